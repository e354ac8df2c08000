"""Kernels as plain Python: every name that means something on a GPU replaced by its model.

A kernel, what it calls and what its closure holds are rebuilt for one launch.  Literals such as 2.0
become float64, as they are to Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba.core import types

from minigrad_cudasim.cuda import Cuda
from minigrad_cudasim.libdevice import libdevice
from minigrad_cudasim.log import Region
from minigrad_cudasim.machine import Machine
from minigrad_cudasim.memory import SimulatedArray
from minigrad_cudasim.models import MODELS, Model
from minigrad_cudasim.numbers import BUILTINS, REPLACED, cast_to
from minigrad_cudasim.typed.functions import Typed, promoted

try:
    from numba import cuda as numba_cuda
except ImportError:  # a Numba without its CUDA target, and no numba-cuda
    numba_cuda = None


class Names:
    """A module as a kernel sees it: its names, translated when they are asked for."""

    def __init__(self, module: ModuleType, translate: Callable[[Any], Any]):
        self._module = module
        self._translate = translate

    def __getattr__(self, name: str) -> Any:
        value = self._translate(getattr(self._module, name))
        setattr(self, name, value)
        return value


class Builder:
    """Rebuilds the functions of one launch."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self.cuda = Cuda(machine)
        self.memo: dict[int, Any] = {}
        self.kept: list[Any] = []
        self.originals: dict[int, FunctionType] = {}  # by what was made of them
        self.typed = Typed(self.rebuild, self.originals)
        self.prints = False  # whether a function that was rebuilt may print
        self.constants: dict[int, SimulatedArray] = {}
        self.stubs: dict[int, Any] = {}
        self.cuda._module = self.module
        if numba_cuda is not None:
            self.find_stubs(numba_cuda, self.cuda)
            for group in ("atomic", "shared", "local", "const"):
                self.find_stubs(getattr(numba_cuda, group), getattr(self.cuda, group))

    def module(self, name: str) -> Names | None:
        """Return a module within numba.cuda as a kernel sees it, or None."""
        held = getattr(numba_cuda, name, None)
        return Names(held, self.translate) if isinstance(held, ModuleType) else None

    def find_stubs(self, real: Any, ours: Any) -> None:
        """Map what numba.cuda calls by a name to ours, for kernels that import it by name."""
        for name in dir(ours):
            if name not in ("laneid", "warpsize") and not name.startswith("_"):
                stub = getattr(real, name, None)
                if stub is not None:
                    self.stubs[id(stub)] = getattr(ours, name)

    def translate(self, value: Any) -> Any:
        """Return what a value of a kernel's globals or closure is in the simulator."""
        if id(value) in MODELS:
            return self.modelled(MODELS[id(value)][1])
        if isinstance(value, ModuleType):
            return self.cuda if value is numba_cuda else Names(value, self.translate)
        if id(value) in self.stubs:
            return self.stubs[id(value)]
        home = str(getattr(value, "__module__", ""))
        if home.endswith("cuda.libdevice"):
            return libdevice(value.__name__)
        if isinstance(value, types.Number | types.Boolean):
            return cast_to(value.name) or value
        if isinstance(value, type) and issubclass(value, np.generic):
            return cast_to(value.__name__) or value
        if isinstance(value, BuiltinFunctionType):
            return REPLACED.get(value, value)
        if isinstance(value, np.ndarray):
            return self.constant(value)
        if isinstance(value, float):
            return value if isinstance(value, np.generic) else np.float64(value)
        if isinstance(value, np.integer | np.bool_):
            return (cast_to(value.dtype.name) or type(value))(value)
        if type(value) is tuple:
            return tuple(map(self.translate, value))
        function = getattr(value, "py_func", value)
        if isinstance(function, FunctionType) and not home.startswith("numpy"):
            return self.rebuild(function)
        if type(value).__name__ == "_Intrinsic":
            return missing(value._name)
        return value

    def modelled(self, held: Model) -> Callable[..., Any]:
        """Return what a model is called by in a simulated kernel."""
        if not held.collective:
            jitted = getattr(held.rule, "py_func", None)
            return held.rule if jitted is None else self.rebuild(jitted)
        return lambda *args: self.cuda.collective(held.name, held.rule, args)

    def constant(self, array: np.ndarray[Any, Any]) -> SimulatedArray:
        """Return a global array, which the compiler freezes, as constant memory."""
        if id(array) not in self.constants:
            frozen = array.copy()
            region = Region(self.machine, "const", self.machine.reserve(array.nbytes), None)
            self.constants[id(array)] = SimulatedArray(region, frozen, 0, "array")
        return self.constants[id(array)]

    def rebuild(self, function: FunctionType) -> FunctionType:
        """Return a function over translated globals and closure."""
        if id(function) in self.memo:
            return self.memo[id(function)]
        space: dict[str, Any] = {"__simulated__": True, "__builtins__": BUILTINS}
        closure = tuple(CellType() for _ in function.__closure__ or ())
        code = promoted(function.__code__)
        built = FunctionType(
            code,
            space,
            function.__name__,
            tuple(map(self.translate, function.__defaults__ or ())),
            closure or None,
        )
        self.memo[id(function)] = built  # before its names: it may call itself
        self.kept.append(function)
        self.originals[id(built)] = function
        names = names_of(code)
        self.prints = self.prints or "print" in names
        for name in names:
            if name in function.__globals__:
                space[name] = self.translate(function.__globals__[name])
        for new, old in zip(closure, function.__closure__ or (), strict=True):
            new.cell_contents = self.translate(old.cell_contents)
        return built


def missing(name: str) -> Callable[..., Any]:
    """Return what stands for an intrinsic without a model until it is called."""

    def call(*args: Any) -> Any:
        raise NotImplementedError(
            f"no model of the intrinsic {name} is registered: register one, "
            f"@minigrad_cudasim.model({name})"
        )

    return call


def names_of(code: CodeType) -> set[str]:
    """Return the global names and attributes of a code object and of those nested in it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_of(constant)
    return found
