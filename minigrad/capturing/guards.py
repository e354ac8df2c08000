"""What a captured function refers to, and whether that is still what it was.

A recording holds for the Python values that the function could see: its arguments, the variables
around it, attributes of modules and of one's own objects.  `Surroundings` walks over them once and
remembers; `changed` says what is another now.
"""

from __future__ import annotations

import builtins
import dis
import enum
import functools
import pickle
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from operator import is_
from typing import Any

import numpy as np

from minigrad.capturing.tables import identity
from minigrad.engine.random import Generator
from minigrad.nn.module import Module
from minigrad.optim.lr_scheduler.base import LRScheduler
from minigrad.optim.optimizer import Optimizer
from minigrad.tensors.tensor import Tensor

SIMPLE = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, enum.Enum)
SMALL = 16  # elements of a NumPy array whose numbers are compared
MOST = 20_000  # objects that a function may refer to
MISSING = object()
OF_MODULES = ("_kinds", "_transient")  # which say of what kind the attributes are
LIBRARIES = {"minigrad", "minigrad_kernels", "numpy", "numba", "llvmlite"} | sys.stdlib_module_names
# What a replay would leave out, in silence.
SPEAKING = {"print": print, "input": input, "open": open, "breakpoint": breakpoint}
# Modules of which a function that names them, or something of theirs, would tell, ask or wait.
ELSEWHERE = {
    *("datetime", "logging", "multiprocessing", "os", "queue", "secrets", "select", "signal"),
    *("socket", "subprocess", "sys", "threading", "time", "uuid", "warnings"),
}
DRAWING = (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
OF_PROCESS = (random.random.__self__, np.random.mtrand._rand)  # type: ignore[attr-defined]


def from_library(module: Any) -> bool:
    """Return whether a module's name is that of a library whose code does not change."""
    root = str(module or "").partition(".")[0]
    return root in LIBRARIES and root != "__main__"


def module_of(value: Any) -> str:
    """Return the module that a value is, or comes from; "" for what says none.

    >>> import time
    >>> module_of(time), module_of(time.time), module_of(1.0)
    ('time', 'time', '')
    """
    if isinstance(value, types.ModuleType):
        name: Any = value.__name__
    elif isinstance(value, SIMPLE):
        name = ""
    elif isinstance(getattr(value, "__self__", None), random.Random):
        name = "random"
    else:
        name = getattr(value if callable(value) else type(value), "__module__", "")
    return str(name or "").partition(".")[0]


def random_state(source: Any) -> Any:
    """Return the state of a source of random numbers that is not minigrad's."""
    if isinstance(source, np.random.Generator):
        source = source.bit_generator
    if isinstance(source, np.random.BitGenerator):
        return pickle.dumps(source.state)
    if isinstance(source, np.random.RandomState):
        return pickle.dumps(source.get_state(legacy=False))
    return source.getstate()


GRADIENT_CAME = "a .grad was None and is not"


class Surroundings:
    """All that a function and its arguments refer to.

    tensors: by id, (where, tensor).  optimizers, schedulers: those found.  reason: what cannot be
    watched, None where all can.  target: the GPU that tensors are to lie on, None for the CPU.
    """

    def __init__(
        self, function: Any, arguments: Iterable[tuple[str, Any]], target: Any = None
    ) -> None:
        self.target = target
        self.tensors: dict[int, tuple[str, Tensor]] = {}
        self.optimizers: dict[int, Optimizer] = {}
        self.reason: str | None = None
        self.seen: dict[int, Any] = {}
        # (where, how to read the values, what they were)
        self.watched: list[tuple[str, Callable[[], Any], list[Any]]] = []
        self.dicts: list[tuple[str, dict[Any, Any], list[Any], list[Any]]] = []
        self.of_objects: list[bool] = []  # of each dict: whether it holds an object's attributes
        self.cells: list[tuple[str, Any, Any]] = []
        # Random numbers that are not minigrad's: where, the source, and its state.
        self.sources = [("the process", s, random_state(s)) for s in OF_PROCESS]
        pending = [("the function", function), *arguments]
        while pending and self.reason is None:
            where, value = pending.pop()
            pending += self.look(where, value)
            if len(self.seen) > MOST:
                self.reason = f"the function refers to more than {MOST:,} objects"
        self.optimized = [
            (optimizer, optimizer._changes, optimizer._steps)
            for optimizer in self.optimizers.values()
        ]
        self.arrays = [(label, t, t.array, t.tracked) for label, t in self.tensors.values()]
        self.flatten()

    # ------------------------------------------------------------ the walk
    def look(self, where: str, value: Any) -> list[tuple[str, Any]]:
        """Remember one object; return what it refers to."""
        if isinstance(value, SIMPLE) or id(value) in self.seen:
            return []
        self.seen[id(value)] = value
        if isinstance(value, Tensor):
            return self.tensor(where, value)
        if isinstance(value, Optimizer):
            self.optimizers[id(value)] = value
            kind = type(value)
            if kind._update is not Optimizer._update or kind.step is not Optimizer.step:
                self.reason = f"{kind.__name__} computes in Python from step to step"
            if value._hooks:
                self.reason = f"{kind.__name__} has hooks, which a replay would not call"
            params = [p for group in value.param_groups for p in group["params"]]
            return [(f"{where}, parameter {i}", p) for i, p in enumerate(params)]
        if isinstance(value, LRScheduler):
            return [(f"{where}.optimizer", value.optimizer)]
        if isinstance(value, Generator):
            return []
        if isinstance(value, np.ndarray):
            # What is larger reaches no launch without the recording's notice.
            self.watch(where, lambda: (value.tobytes() if value.size <= SMALL else value.shape,))
            return []
        if isinstance(value, types.FunctionType):
            return self.function(where, value)
        if isinstance(value, types.MethodType):
            return [(where, value.__func__), ("self", value.__self__)]
        if isinstance(value, functools.partial):
            return [(where, value.func), (where, list(value.args)), (where, value.keywords)]
        if isinstance(value, list | tuple):
            return self.listed(where, value)
        if isinstance(value, set | frozenset):
            self.watch(where, lambda: sorted(map(repr, value)))
            return []
        if isinstance(value, dict):
            return self.entries(where, value, where + "[{!r}]")
        if isinstance(value, Captured):
            return self.look(where, value.function)
        if isinstance(value, DRAWING):
            self.sources.append((where, value, random_state(value)))
            return []
        if isinstance(value, Iterator):
            self.reason = f"{where} is an iterator, which a replay would not advance"
            return []
        if isinstance(value, deque):
            self.watch(where, lambda: value)
            return [(f"{where}[{i}]", v) for i, v in enumerate(value)]
        return self.thing(where, value)

    def watch(self, where: str, read: Callable[[], Any]) -> None:
        """Remember values that are read anew for each call."""
        self.watched.append((where, read, list(read())))

    def tensor(self, where: str, t: Tensor) -> list[tuple[str, Any]]:
        """Remember a tensor, and its gradient's memory."""
        if t.node is not None:
            self.reason = f"{where} is the result of an op that requires grad: detach() it"
        if t.hooks is not None and t.hooks.calls:
            self.reason = f"{where} has hooks, which a replay would not call"
        array: Any = t.array
        if self.target is not None:
            if getattr(array, "target", None) is not self.target:
                self.reason = f"{where} does not lie on {self.target.name}"
        elif not isinstance(array, np.ndarray):
            self.reason = f"{where} lies on a device, or has lanes: captures are of the CPU"
        self.tensors[id(t)] = where, t
        return []

    def listed(self, where: str, value: Any) -> list[tuple[str, Any]]:
        """Remember what a list holds."""
        if isinstance(value, list):
            self.watch(where, lambda: value)
        return [(f"{where}[{i}]", v) for i, v in enumerate(value)]

    def entries(self, where: str, held: dict[Any, Any], form: str) -> list[tuple[str, Any]]:
        """Remember what a dict holds."""
        self.dicts.append((where, held, list(held), list(held.values())))
        self.of_objects.append(form.endswith(".{}"))
        return [(form.format(key), v) for key, v in held.items()]

    def function(self, where: str, f: Any) -> list[tuple[str, Any]]:
        """Remember the variables around a function of the user's."""
        found: list[tuple[str, Any]] = []
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            self.cells.append((f"the variable {name!r}", cell, value))
            found.append((name, value))
        if from_library(f.__module__):
            return found  # what was given to it may be the user's; its code does not change
        used = names_of(f.__code__)
        for name in globals_of(f.__code__):  # an attribute may be called as a global is
            if name in f.__globals__:
                value = f.__globals__[name]
                if module_of(value) in ELSEWHERE:
                    self.reason = (
                        f"{f.__qualname__} names {name!r}, of the module {module_of(value)}: what"
                        " it says, asks or waits for would be left out of a replay"
                    )
                self.named(f"the global {name!r}", f.__globals__, name, value)
                found.append((name, value))
            elif name in SPEAKING and getattr(builtins, name) is SPEAKING[name]:
                self.reason = f"{f.__qualname__} calls {name}(), which a replay would leave out"
        found += [(f"{where}'s default", v) for v in f.__defaults__ or ()]
        found += [(f"{where}'s default", v) for v in (f.__kwdefaults__ or {}).values()]
        # Modules that it names: the values that it may take from them.
        for name, value in list(found):
            if isinstance(value, types.ModuleType) and not from_library(value.__name__):
                for key in used:
                    if key in vars(value):
                        self.named(f"{name}.{key}", vars(value), key, vars(value)[key])
                        found.append((f"{name}.{key}", vars(value)[key]))
        return found

    def named(self, where: str, held: dict[Any, Any], key: str, value: Any) -> None:
        """Remember one entry of a dict."""
        self.watched.append((where, lambda: (held.get(key, MISSING),), [value]))

    def thing(self, where: str, value: Any) -> list[tuple[str, Any]]:
        """Remember the attributes of a module or of another object of the user's."""
        if isinstance(value, Module):
            if value._hooks or value._state_hooks:
                self.reason = f"{where} has hooks, which a replay would not call"
        elif isinstance(value, type | types.ModuleType) or from_library(type(value).__module__):
            return self.of_class(where, value) if isinstance(value, type) else []
        found: list[tuple[str, Any]] = self.of_class(where, type(value))
        if isinstance(getattr(value, "__dict__", None), dict):
            attributes = self.entries(where, value.__dict__, where + ".{}")
            inner = {id(value.__dict__.get(name)) for name in OF_MODULES}
            found += [(label, v) for label, v in attributes if id(v) not in inner]
        return found

    def of_class(self, where: str, kind: type) -> list[tuple[str, Any]]:
        """Remember what the user's classes hold: constants and methods."""
        found: list[tuple[str, Any]] = []
        for base in kind.__mro__:
            if from_library(base.__module__) or id(base) in self.seen:
                continue
            self.seen[id(base)] = base
            for name, value in vars(base).items():
                if name.startswith("__") and name != "__call__":
                    continue
                value = value.__func__ if isinstance(value, staticmethod | classmethod) else value
                value = value.fget if isinstance(value, property) else value
                if isinstance(value, SIMPLE) and not isinstance(value, type(None)):
                    self.watch_class(f"{base.__name__}.{name}", base, name)
                found.append((f"{base.__name__}.{name}", value))
        return found

    def watch_class(self, where: str, base: type, name: str) -> None:
        """Remember an attribute of a class."""
        self.watch(where, lambda: (vars(base).get(name, MISSING),))

    # ------------------------------------------------------------ each call
    def flatten(self) -> None:
        """Lay out in rows what is compared at each call: a row costs 25 ns an object."""
        self.held = [d for _, d, _, _ in self.dicts]
        self.sizes = [len(d) for d in self.held]
        self.values = [v for _, _, _, values in self.dicts for v in values]
        # Of attributes the values say enough: another name for the same value would be no change.
        self.named_dicts = [d for d, own in zip(self.held, self.of_objects, strict=True) if not own]
        self.keys = [k for d in self.named_dicts for k in d]
        self.members = [(t, array, tracked, False) for _, t, array, tracked in self.arrays]
        self.contents = [before for _, _, before in self.cells]
        # Dicts and variables by one compiled call, where that is: made when they have settled.
        self.compiled: Any = None
        self.settled = False

    def without_gradients(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """Have the `.grad` of tensors compared with None too; return those that are not looked at.

        One loop over all that is asked of a tensor takes 1.3 us less for 23 tensors than two.
        """
        bare = {id(t): t for t in tensors}
        self.members = [(t, array, tracked, id(t) in bare) for _, t, array, tracked in self.arrays]
        for t, *_ in self.members:
            bare.pop(id(t), None)
        return list(bare.values())

    def same(self) -> bool:
        """Return whether everything is the very object that it was; False says nothing."""
        if self.compiled is None:
            alike = self.same_held()
            if alike and not self.settled:
                self.settled = True
                self.compiled = identity(
                    self.held, [(cell, "cell_contents") for _, cell, _ in self.cells]
                )
        else:
            alike = self.compiled()
        return alike and self.same_tensors() and self.same_besides()

    def same_held(self) -> bool:
        """Return whether dicts and variables hold what they held."""
        try:
            now = [cell.cell_contents for _, cell, _ in self.cells]
        except ValueError:
            return False
        return (
            [*map(len, self.held)] == self.sizes
            and all(map(is_, chain.from_iterable(map(dict.values, self.held)), self.values))
            and all(map(is_, now, self.contents))
        )

    def same_tensors(self) -> bool:
        """Return whether tensors have the memory that they had, and nothing to tell of it."""
        for t, memory, needs, bare in self.members:
            if t.array is not memory or t.tracked is not needs or t.node is not None or t.hooks:
                return False
            if bare and t._grad is not None:
                return False
        return True

    def same_besides(self) -> bool:
        """Return whether keys of dicts, what is read anew, and optimizers are the same."""
        for optimizer, changes, _ in self.optimized:
            if changes_of(optimizer) != changes:
                return False
        for _, read, before in self.watched:
            now = read()
            if len(now) != len(before) or not all(map(is_, now, before)):
                return False
        return all(map(is_, chain.from_iterable(self.named_dicts), self.keys))

    def drawn(self) -> str | None:
        """Say which source of random numbers, not minigrad's, was drawn from since the walk."""
        for where, source, state in self.sources:
            if random_state(source) != state:
                kind = type(source)
                return (
                    f"{kind.__module__}.{kind.__name__} of {where} was drawn from, which a replay"
                    " would not do; draw by mg.rand and the like"
                )
        return None

    def changed(self) -> str | None:
        """Say what is another than it was; None where all is the same."""
        if self.same():
            return None
        for where, cell, before in self.cells:
            try:
                now = cell.cell_contents
            except ValueError:
                now = MISSING
            if now is not before and not equal(now, before):
                return said(where, before, now)
        for where, held, keys, values in self.dicts:
            if len(held) != len(keys):
                return f"{where} has other entries"
            for (key, now), name, before in zip(held.items(), keys, values, strict=True):
                if key is not name and key != name:
                    return f"{where} has other entries"
                if now is not before and not equal(now, before):
                    return said(f"{where}.{key}", before, now)
        for where, read, before in self.watched:
            now = read()
            if len(now) != len(before):
                return f"{where} has other entries"
            for a, b in zip(now, before, strict=True):
                if a is not b and not equal(a, b):
                    return said(where, b, a)
        if any(bare and t._grad is not None for t, _, _, bare in self.members):
            return GRADIENT_CAME
        for where, t, array, tracked in self.arrays:
            if t.array is not array:
                return f"the memory of {where} is another"
            if t.tracked is not tracked or t.node is not None:
                return f"requires_grad of {where} is another"
            if t.hooks is not None and t.hooks.calls:
                return f"{where} has hooks"
        for optimizer, changes, _ in self.optimized:
            if changes_of(optimizer) != changes:
                return f"{type(optimizer).__name__} has other parameters, state or rules"
        return None


def equal(a: Any, b: Any) -> bool:
    """Return whether two simple values are the same; others are only themselves."""
    if type(a) is not type(b) or not isinstance(a, SIMPLE):
        return False
    return bool(a == b) or (a != a and b != b)


def said(where: str, before: Any, now: Any) -> str:
    """Return the words for a change."""
    if isinstance(before, SIMPLE) and isinstance(now, SIMPLE):
        return f"{where} was {before!r:.40} and is {now!r:.40}"
    return f"{where} is another object"


def changes_of(optimizer: Optimizer) -> int:
    """Return how often an optimizer has changed its rules, state or parameters, by now."""
    optimizer._read_options()
    return optimizer._changes


def globals_of(code: Any) -> set[str]:
    """Return the names that a function's code asks of its globals, those of inner ones too."""
    found = {
        each.argval
        for each in dis.get_instructions(code)
        if "GLOBAL" in each.opname or each.opname == "LOAD_NAME"
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= globals_of(constant)
    return found


def names_of(code: Any) -> set[str]:
    """Return the names of globals and attributes in a function's code, those of inner ones too."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= names_of(constant)
    return found


class Captured:
    """The base of a captured function, which guards look through."""

    function: Callable[..., Any]
