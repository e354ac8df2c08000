"""Modules that stand for PyTorch's in this process, and what finds them on import."""

from __future__ import annotations

import difflib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from minigrad.torch_programs.calls import adapted

MISSING = object()
ADAPTED = ("torch", "torch.linalg", "torch.special")  # modules whose functions take `out=`


class StandIn(ModuleType):
    """A module named after one of PyTorch's, whose names are those of its sources.

    sources: modules of ours by dotted name, and dicts of names; the first that has a name gives it.
    refused: names that are there only to say why they cannot be had, with the reason.
    """

    def __init__(
        self, name: str, sources: Sequence[str | Mapping[str, Any]], refused: Mapping[str, str]
    ) -> None:
        super().__init__(name, f"minigrad under the name {name}.")
        self.__path__: list[str] = []
        self._sources = [importlib.import_module(s) if isinstance(s, str) else s for s in sources]
        self._refused = refused

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if name == self.__name__:  # torch.torch
            return self
        found = self._found(name)
        if found is MISSING:
            raise AttributeError(self._why(name), name=name, obj=self)
        if self.__name__ in ADAPTED:
            found = adapted(found)
        self.__dict__[name] = found
        return found

    def _found(self, name: str) -> Any:
        """Return what stands under a name in the first source that has it."""
        for source in self._sources:
            if isinstance(source, Mapping):
                found = source.get(name, MISSING)
            else:
                found = getattr(source, name, MISSING)
            if found is not MISSING and not isinstance(found, ModuleType):
                return found
        if name in self._refused:
            return refusing(f"{self.__name__}.{name}", self._refused[name])
        if is_known(f"{self.__name__}.{name}"):
            return importlib.import_module(f"{self.__name__}.{name}")
        return MISSING

    def _why(self, name: str) -> str:
        """Return the error about a name that is not there, with the nearest that is."""
        near = difflib.get_close_matches(name, dir(self), 3, 0.7)
        hint = f"; the nearest there is: {', '.join(near)}" if near else ""
        return f"minigrad, which stands for {self.__name__} here, has no {name!r}{hint}"

    def __dir__(self) -> list[str]:
        names = set(super().__dir__())
        for source in self._sources:
            names.update(source if isinstance(source, Mapping) else dir(source))
        return sorted(name for name in names if not name.startswith("_"))


def refusing(name: str, reason: str) -> Callable[..., Any]:
    """Return what raises, when called or asked for an attribute, an error that says why."""

    class Refused:
        def __new__(cls, *_: Any, **__: Any) -> Any:
            raise NotImplementedError(f"{name}: {reason}")

    Refused.__name__ = Refused.__qualname__ = name.rpartition(".")[2]
    return Refused


# What the finder makes: by module, its sources and what it refuses.
KNOWN: dict[str, tuple[Sequence[str | Mapping[str, Any]], Mapping[str, str]]] = {}
# Modules with all that lies below them, and where that is.
BELOW: dict[str, Sequence[str | Mapping[str, Any]]] = {}
ABSENT: dict[str, str] = {}  # modules that cannot be had, with the reason


def is_known(name: str) -> bool:
    """Return whether there is a module of ours under a name of PyTorch's."""
    return name in KNOWN or name.rpartition(".")[0] in BELOW


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Find `torch` and what lies below it, all of it here."""

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in ROOTS:
            return None
        for absent, reason in ABSENT.items():
            if name == absent or name.startswith(f"{absent}."):
                raise ModuleNotFoundError(f"{name}: {reason}", name=name)
        if is_known(name):
            return importlib.util.spec_from_loader(name, self, is_package=True)
        above, _, last = name.rpartition(".")
        if above in sys.modules:  # `from torch import x` comes here too, for an x that is not there
            raise ImportError(sys.modules[above]._why(last), name=name)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        if spec.name in KNOWN:
            return StandIn(spec.name, *KNOWN[spec.name])
        return StandIn(spec.name, BELOW[spec.name.rpartition(".")[0]], {})

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is to run: the names are there already."""


class Companions(importlib.abc.MetaPathFinder):
    """Asked last: say of libraries that are built on PyTorch why they are not there."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name in COMPANIONS:
            raise ModuleNotFoundError(
                f"No module named {name!r}: it is not part of minigrad, and its own release is "
                "built on PyTorch's compiled code; what a program needs of it has to come from "
                "elsewhere (data sets: minigrad.data, NumPy files)",
                name=name,
            )


ROOTS = ("torch", "functorch")
COMPANIONS = ("torchvision", "torchaudio", "torchtext")
FINDERS = (Finder(), Companions())


def put_up() -> None:
    """Let `import torch` find minigrad in this process.

    Raises: ImportError where PyTorch itself is imported already.
    """
    for root in ROOTS:
        held = sys.modules.get(root)
        if held is not None and not isinstance(held, StandIn):
            raise ImportError(
                f"minigrad.as_torch: {root} itself ({getattr(held, '__file__', None)}) is imported "
                "in this process already; import minigrad.as_torch before it, or in a process of "
                "its own"
            )
    if FINDERS[0] not in sys.meta_path:
        sys.meta_path.insert(0, FINDERS[0])
        sys.meta_path.append(FINDERS[1])
