"""Parameters in a list or by name, found by the module that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensors.tensor import Tensor


def as_parameter(value: Any) -> Any:
    """Return a tensor as a parameter, anything else as it is."""
    held = isinstance(value, Tensor) and not isinstance(value, Parameter)
    return Parameter(value) if held else value


class ParameterList(Module):
    """A list of parameters; tensors become parameters.

    >>> import minigrad as mg
    >>> weights = ParameterList([mg.ones(2), mg.zeros(3)])
    >>> len(weights), [name for name, _ in weights.named_parameters()]
    (2, ['0', '1'])
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def append(self, value: Any) -> ParameterList:
        """Add a parameter at the end."""
        setattr(self, str(len(self)), as_parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return ParameterList(list(self)[i])
        n = len(self)
        if not -n <= i < n:
            raise IndexError(f"ParameterList: index {i} of {n} parameters")
        return getattr(self, str(i % n))

    def __setitem__(self, i: int, value: Any) -> None:
        setattr(self, str(i % len(self)), as_parameter(value))

    def __len__(self) -> int:
        return sum(name.isdigit() for name in vars(self))

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, str(i)) for i in range(len(self)))

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)


class ParameterDict(Module):
    """Parameters by name; tensors become parameters.

    >>> import minigrad as mg
    >>> weights = ParameterDict({"a": mg.ones(2)})
    >>> list(weights), "a" in weights, weights["a"].requires_grad
    (['a'], True, True)
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._names: list[str] = []
        self.update(parameters or {})

    def update(self, parameters: Any) -> None:
        """Add parameters, or replace those of the same names."""
        pairs = parameters.items() if isinstance(parameters, Mapping) else parameters
        for name, value in pairs:
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self._names:
            self._names.append(name)
        setattr(self, name, as_parameter(value))

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return getattr(self, name)

    def __delitem__(self, name: str) -> None:
        self._names.remove(name)
        delattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._names))

    def keys(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self)

    def values(self) -> Iterator[Any]:
        """Yield the parameters."""
        return (self[name] for name in self)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield names and parameters."""
        return ((name, self[name]) for name in self)
