"""`torch.save` and `torch.load`: states, and whole modules as the name of their class and what they
hold.  No pickle: loading a file never runs code of it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from minigrad import serialization, trees
from minigrad.engine.random import Generator
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.registry import OPS, PUBLIC
from minigrad.tensors.tensor import Tensor

HOW = "save model.state_dict(), and load it with model.load_state_dict(torch.load(...))"


class Writer(trees.Writer):
    """Encode modules, too: once each, though they stand in several places."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no id is given twice

    def encoded(self, value: Any, path: tuple[Any, ...], above: set[int]) -> Any:
        if isinstance(value, Module | Parameter):
            if id(value) in self.seen:
                return {"again": self.seen[id(value)]}
            self.seen[id(value)] = len(self.seen)
            self.kept.append(value)
            if isinstance(value, Parameter):
                return {"parameter": [value.requires_grad, self._named(path, value)]}
            return self.module(value, path, above)
        if isinstance(value, Generator):
            return {"generator": None}
        if isinstance(value, FunctionType | BuiltinFunctionType):
            return {"function": self.function(value, path)}
        return super().encoded(value, path, above)

    def module(self, value: Module, path: tuple[Any, ...], above: set[int]) -> Any:
        """Encode a module as its class's name and its attributes.

        Raises: TypeError for one that is not found by its class's name, or has hooks.
        """
        name = f"{type(value).__module__}:{type(value).__qualname__}"
        try:
            known = module_class(name) is type(value)
        except ValueError:
            known = False
        if not known or value._hooks:
            what = "has hooks" if known else "its class is not found by its name"
            raise TypeError(f"torch.save: the module {name} cannot be held, {what}: {HOW}")
        held = {k: v for k, v in vars(value).items() if k != "_hooks"}
        inside = above | {id(value)}
        return {"module": [name, [self._entry(k, v, path, inside) for k, v in held.items()]]}

    def function(self, value: Any, path: tuple[Any, ...]) -> str:
        """Return the name of a function of minigrad's.

        Raises: TypeError for any other.
        """
        value = getattr(value, "__wrapped__", value)  # of torch's function, which takes out=
        name = f"{value.__module__}:{value.__qualname__}"
        if function_named(name) is not value:
            place = ".".join(map(str, path))
            raise TypeError(f"torch.save: {place!r} is a function, which no file holds: {HOW}")
        return name


class Reader(trees.Reader):
    """Decode modules, of classes that the program has."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        super().__init__(arrays)
        self.seen: list[Any] = []

    def of_kind(self, kind: str, value: Any) -> Any:
        if kind == "again":
            return self.seen[value]
        if kind == "parameter":
            requires_grad, name = value
            self.seen.append(Parameter(np.array(self.arrays[name]), requires_grad))
            return self.seen[-1]
        if kind == "module":
            name, held = value
            made = object.__new__(module_class(name))
            self.seen.append(made)
            made.__dict__.update((k, self.decoded(v)) for k, v in held)
            return made
        if kind == "generator":
            return Generator()
        if kind == "function":
            return function_named(value)
        return super().of_kind(kind, value)


def module_class(name: str) -> type[Module]:
    """Return the class of modules that a name stands for; it must have been imported.

    Raises: ValueError where there is none.
    """
    module, _, inner = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in inner.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Module)):
        raise ValueError(
            f"torch.load: the file holds a module of the class {inner} of {module}, which this "
            "program does not have: define or import it first"
        )
    return found


def function_named(name: str) -> Any:
    """Return the function of minigrad's that a name stands for; None for any other."""
    module, _, inner = name.partition(":")
    if module.partition(".")[0] != "minigrad":
        return None
    found = getattr(sys.modules.get(module), inner, None)
    if found is None:  # made of an op, see tensors/registry.py
        found = (
            getattr(Tensor, inner, None) if inner in {n for e in PUBLIC for n in e.names} else None
        )
    return found if OPS and callable(found) else None


def save(obj: Any, f: Any, *_: Any, **__: Any) -> None:
    """Write tensors, states, what holds them, or a whole module, to a path or an open file.

    Raises: TypeError for what cannot be held, with the way to do it.
    """
    value = obj.state_dict() if hasattr(obj, "state_dict") and not isinstance(obj, Module) else obj
    serialization.write(*trees.flatten(value, Writer()), f)


def load(f: Any, map_location: Any = None, *_: Any, **__: Any) -> Any:
    """Read what `save` wrote, or a state that PyTorch saved."""
    found = serialization.read(f, Reader)
    if isinstance(found, Module):
        return found if map_location is None or callable(map_location) else found.to(map_location)
    return found if map_location is None else serialization.placed(found, map_location)
