"""Modules that are loaded when something is first asked of them: `import minigrad` is quick.

Imports stand at the head of a file, and so does `console = lazy("rich.console")`: for what most
programs never use and what takes long to import.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class LazyModule(ModuleType):
    """Stands for a module; the first attribute that is asked for imports it."""

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":  # asked by `inspect` of everything, and no reason to import
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)

    def __dir__(self) -> list[str]:
        return dir(importlib.import_module(self.__name__))


def lazy(name: str) -> Any:
    """Return a stand-in for the module `name`, which is imported at its first use.

    name: the module's dotted name, written out, for the test of the import directions reads it.
    Raises: ImportError at the first use, where there is no such module.

    >>> colorsys = lazy("colorsys")
    >>> colorsys.rgb_to_hsv(0.0, 0.0, 1.0)[2]
    1.0
    """
    return LazyModule(name)
