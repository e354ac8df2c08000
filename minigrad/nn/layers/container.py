"""Modules that hold modules: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from minigrad.engine.errors import ArgumentIndexError
from minigrad.nn.layers.fusion import LONGEST, run_some
from minigrad.nn.module import MODULE as KIND
from minigrad.nn.module import Module, indented, registered


def position(name: str, i: int, n: int) -> int:
    """Return `i` counted from the first of `n`."""
    if not -n <= i < n:
        raise ArgumentIndexError(f"{name}: index {i} is out of range for {n} modules")
    return i % n


class Indexed(Module):
    """A row of modules under the names "0", "1", ... or those that were given."""

    def _row(self) -> list[tuple[str, Any]]:
        """Return the children in order; one that stands twice is there twice."""
        return list(self._own(KIND))

    def __len__(self) -> int:
        return len(self._row())

    def __iter__(self) -> Iterator[Module]:
        return iter([module for _, module in self._row()])

    def __contains__(self, module: object) -> bool:
        return any(module is held for held in self)

    def __setitem__(self, i: int, module: Module) -> None:
        row = self._row()
        setattr(self, row[position(self._get_name(), i, len(row))][0], module)

    def _replace(self, modules: Iterable[tuple[str, Module]]) -> None:
        kept = list(modules)
        for name, _ in self._row():
            delattr(self, name)
        for name, module in kept:
            self.add_module(name, module)

    def __delitem__(self, i: int | slice) -> None:
        row = self._row()
        gone = (
            range(len(row))[i]
            if isinstance(i, slice)
            else [position(self._get_name(), i, len(row))]
        )
        kept = [pair for k, pair in enumerate(row) if k not in gone]
        numbered = all(name == str(k) for k, (name, _) in enumerate(row))
        self._replace(
            (str(k) if numbered else name, module) for k, (name, module) in enumerate(kept)
        )

    def append(self, module: Module) -> Any:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add modules at the end."""
        for module in tuple(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before the one at `index`; all are numbered anew."""
        row = [held for _, held in self._row()]
        row.insert(index, module)
        self._replace((str(k), held) for k, held in enumerate(row))
        return self

    def pop(self, index: int = -1) -> Module:
        """Take a module out and return it."""
        row = self._row()
        module: Module = row[position(self._get_name(), index, len(row))][1]
        del self[index]
        return module


@registered
class Sequential(Indexed):
    """Call modules one after the other; they are numbered, or named by a dict.

    Neighbours that have one op between them (a linear layer and ReLU; batch-norm, ReLU and
    dropout) run as that op, with the same bits.  A slice is a Sequential of the same modules.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> model = Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> model(mg.ones(4, 2)).shape, len(model[:2]), model[-1]
    ((4, 1), 2, Linear(in_features=3, out_features=1, bias=True))
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(args):
                self.add_module(str(i), module)

    def __getitem__(self, i: int | slice) -> Any:
        row = self._row()
        if isinstance(i, slice):
            return type(self)(dict(row[i]))
        return row[position(self._get_name(), i, len(row))][1]

    def forward(self, input: Any) -> Any:
        own = self.__dict__
        row = [own[name] for name, kind in self._kinds.items() if kind == KIND]
        row = [module for module in row if module is not None]
        done = 0
        while done < len(row):
            input, count = run_some(input, row[done : done + LONGEST])
            done += count
        return input


@registered
class ModuleList(Indexed):
    """A list whose modules are found; it has no forward.

    >>> from minigrad import nn
    >>> layers = ModuleList([nn.Linear(2, 2) for _ in range(2)])
    >>> layers
    ModuleList(
      (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def __getitem__(self, i: int | slice) -> Any:
        row = self._row()
        if isinstance(i, slice):
            return type(self)(module for _, module in row[i])
        return row[position(self._get_name(), i, len(row))][1]

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        self.extend(modules)
        return self

    def __add__(self, modules: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *modules])

    def __repr__(self) -> str:
        texts = [repr(module) for module in self]
        if not texts:
            return f"{self._get_name()}()"
        blocks: list[tuple[int, int]] = []
        for i, text in enumerate(texts):
            if i and text == texts[i - 1]:
                blocks[-1] = (blocks[-1][0], i)
            else:
                blocks.append((i, i))
        lines = []
        for first, last in blocks:
            body = indented(texts[first])
            many = f"({first}-{last}): {last - first + 1} x {body}"
            lines.append(many if last > first else f"({first}): {body}")
        return "\n  ".join([f"{self._get_name()}(", *lines]) + "\n)"


@registered
class ModuleDict(Module):
    """A dict whose modules are found; it has no forward.

    >>> from minigrad import nn
    >>> heads = ModuleDict({"a": nn.Linear(2, 1)})
    >>> list(heads), "b" in heads
    (['a'], False)
    """

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Any:
        if self._kinds.get(key) != KIND:
            raise KeyError(f"{self._get_name()} has no module {key!r}; it has {list(self)}")
        return self.__dict__[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._kinds))

    def __contains__(self, key: object) -> bool:
        return key in self._kinds

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return list(self)

    def values(self) -> Iterable[Module]:
        """Return the modules."""
        return [self[key] for key in self]

    def items(self) -> Iterable[tuple[str, Module]]:
        """Return pairs of name and module."""
        return [(key, self[key]) for key in self]

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules."""
        pairs = modules.items() if isinstance(modules, Mapping) else modules
        for key, module in pairs:
            self[key] = module

    def pop(self, key: str) -> Module:
        """Take a module out and return it."""
        module: Module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for key in self:
            del self[key]
