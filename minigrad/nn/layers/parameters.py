"""Parameters in lists and dicts: ParameterList, ParameterDict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from minigrad.engine.errors import ArgumentIndexError
from minigrad.nn.module import Module, registered
from minigrad.nn.parameter import Parameter
from minigrad.tensors.tensor import Tensor


def as_parameter(value: Any) -> Any:
    """Return a tensor as a parameter; all else as it is."""
    plain = isinstance(value, Tensor) and not isinstance(value, Parameter)
    return Parameter(value) if plain else value


def described(key: Any, value: Any) -> str:
    """Return a line of the repr."""
    if not isinstance(value, Tensor):
        return f"({key}): Object of type: {type(value).__name__}"
    sizes = "x".join(map(str, value.shape))
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"({key}): {kind} containing: [{value.dtype} of size {sizes}]"


@registered
class ParameterList(Module):
    """A list whose parameters are found; tensors become parameters, other things are kept.

    >>> import minigrad as mg
    >>> weights = ParameterList([mg.ones(2), mg.zeros(3)])
    >>> len(weights), [name for name, _ in weights.named_parameters()]
    (2, ['0', '1'])
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        self.extend(values or [])

    def _place(self, i: int) -> str:
        if not -self._size <= i < self._size:
            raise ArgumentIndexError(f"ParameterList: index {i} is out of range for {self._size}")
        return str(i % self._size)

    def __getitem__(self, i: int | slice) -> Any:
        if isinstance(i, slice):
            return type(self)([self[k] for k in range(self._size)[i]])
        return getattr(self, self._place(i))

    def __setitem__(self, i: int, value: Any) -> None:
        setattr(self, self._place(i), as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(self._size)])

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Add a value at the end."""
        self._size += 1
        self[-1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add values at the end."""
        for value in tuple(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n  ".join(described(i, value) for i, value in enumerate(self))

    def __repr__(self) -> str:
        lines = [described(i, value) for i, value in enumerate(self)]
        return (
            "\n    ".join([f"{self._get_name()}(", *lines]) + "\n)"
            if lines
            else (f"{self._get_name()}()")
        )


@registered
class ParameterDict(Module):
    """A dict whose parameters are found; tensors become parameters, other things are kept.

    >>> import minigrad as mg
    >>> weights = ParameterDict({"a": mg.ones(2)})
    >>> list(weights), "b" in weights
    (['a'], False)
    """

    def __init__(self, parameters: Mapping[str, Any] | Iterable[Any] | None = None) -> None:
        super().__init__()
        self._names: list[str] = []
        self.update(parameters or {})

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(f"ParameterDict has no {key!r}; it has {self._names}")
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self._names:
            if hasattr(self, key):
                raise KeyError(f"ParameterDict already has an attribute {key!r}")
            self._names.append(key)
        setattr(self, key, as_parameter(value))

    def __delitem__(self, key: str) -> None:
        self[key]
        self._names.remove(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._names))

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return list(self)

    def values(self) -> Iterable[Any]:
        """Return the values."""
        return [self[key] for key in self]

    def items(self) -> Iterable[tuple[str, Any]]:
        """Return pairs of name and value."""
        return [(key, self[key]) for key in self]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or `default` where there is none."""
        return self[key] if key in self._names else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return a value; set it to `default` first where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a value out and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last value out and return it with its name."""
        key = self._names[-1]
        return key, self.pop(key)

    def clear(self) -> None:
        """Take all values out."""
        for key in self:
            del self[key]

    def copy(self) -> ParameterDict:
        """Return a dict of the same parameters."""
        return ParameterDict(dict(self.items()))

    def update(self, parameters: Mapping[str, Any] | Iterable[Any]) -> None:
        """Add or replace values."""
        given: Any = parameters
        pairs = given.items() if hasattr(given, "items") else given
        for key, value in pairs:
            self[key] = value

    def extra_repr(self) -> str:
        return "\n  ".join(described(key, value) for key, value in self.items())

    def __repr__(self) -> str:
        return f"{self._get_name()}({self.extra_repr()})"
