"""Plain mode: with MINIGRAD_PLAIN=1 every kernel is its NumPy reference, and Numba is not needed.

For reading and for finding faults: a debugger steps from `loss.backward()` down to the line of
NumPy that computes, and a wrong number that stays in plain mode is not the kernels'.  It is slow.
Results are the references' float64 numbers rounded to the arrays' dtype.

The files of the kernels import Numba at their heads.  In plain mode they are given stand-ins for
it, which decorate nothing and compute nothing, for as long as the table is imported.

>>> stand_in = StandIn("numba")
>>> @stand_in.njit(parallel=True)
... def double(x):
...     return 2 * x
>>> double(3)
6
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

REPLACED = ("numba", "llvmlite")
OF_ANOTHER = (
    "overload",
    "infer_global",
    "lower_builtin",
    "register_model",
)  # called with another's name
ON = os.environ.get("MINIGRAD_PLAIN", "") not in ("", "0")


class StandIn(ModuleType):
    """A stand-in for any module or function: it returns what it decorates, else stand-ins."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        found = StandIn(f"{self.__name__}.{name}")
        setattr(self, name, found)
        return found

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Return the decorated function as it is, or another stand-in."""
        decorates = len(args) == 1 and not options and isinstance(args[0], FunctionType | type)
        if decorates and self.__name__.rpartition(".")[2] not in OF_ANOTHER:
            return args[0]
        return StandIn(f"{self.__name__}()")

    def __getitem__(self, item: Any) -> StandIn:
        return self

    def __iter__(self) -> Iterator[StandIn]:
        return iter(())

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return ()

    def __or__(self, other: Any) -> Any:
        return self

    def __ror__(self, other: Any) -> Any:
        return self


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for every module of what is replaced."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return how a replaced module is found, None for all others."""
        if name.partition(".")[0] in REPLACED:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> StandIn:
        """Return the stand-in of a module."""
        made = StandIn(spec.name)
        made.__path__ = []
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: a stand-in has no code."""


@contextlib.contextmanager
def replaced() -> Iterator[None]:
    """Put the stand-ins where Numba is imported from; afterwards all is as it was."""

    def ours() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] in REPLACED]

    held = {name: sys.modules.pop(name) for name in ours()}
    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in ours():
            del sys.modules[name]
        sys.modules.update(held)


def refuse(what: str) -> None:
    """Raise for what needs compiled kernels.

    Raises: RuntimeError in plain mode.
    """
    if ON:
        raise RuntimeError(
            f"{what} needs compiled kernels, but MINIGRAD_PLAIN=1 has set every kernel to its NumPy"
            " reference; unset it and start Python anew"
        )


def import_kernels(*modules: str) -> None:
    """Import files of kernels with the stand-ins in Numba's place."""
    with replaced():
        for name in modules:
            importlib.import_module(name)
