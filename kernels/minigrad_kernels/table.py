"""The table of kernels: one name, one row.  Whoever computes anything goes through it.

The rows stand in the rooms of `ROOMS`, as KERNELS of their families' files; `add` enters those of a
file from elsewhere.

>>> from minigrad_kernels.table import KERNELS
>>> sorted(KERNELS["gemm"].out)
['c']
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType

from minigrad_kernels.jit import plain
from minigrad_kernels.jit import progress as notice
from minigrad_kernels.kernel import Kernel

ROOMS = (
    *("elementwise", "matmul", "conv", "reduce", "softmax", "indexing", "optim", "randomness"),
    *("norm", "recurrent", "scalar_program"),
)
FAMILIES: list[ModuleType] = []
KERNELS: dict[str, Kernel] = {}
LISTENERS: list[Callable[[ModuleType], None]] = []  # told of every family that is added


def add(family: ModuleType) -> None:
    """Enter a family: a module that states KERNELS, rows by name.

    Its CUDA kernels are what it states as CUDA_KERNELS and CHECKS, itself or in the file beside it
    that has its name behind "cuda_"; rules that it lifts have theirs without.  `minigrad` launches
    its kernels by name, `compare` compares them.

    Raises: ValueError where a name is taken.
    """
    for name in family.KERNELS:
        if name in KERNELS:
            raise ValueError(
                f"kernel {name!r} stands in two files, the second is {family.__name__}"
            )
    FAMILIES.append(family)
    for name, kernel in family.KERNELS.items():
        KERNELS[name] = (
            dataclasses.replace(kernel, cpu=kernel.reference, small=None) if plain.ON else kernel
        )
    for listener in LISTENERS:
        listener(family)


def modules_of(room: str, cuda: bool) -> Iterator[ModuleType]:
    """Import the files of a room, those of CUDA kernels or all others."""
    package = importlib.import_module(f"minigrad_kernels.{room}")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("cuda_") == cuda and module.name != "examples":
            yield importlib.import_module(f"{package.__name__}.{module.name}")


for _room in ROOMS:
    for _module in modules_of(_room, cuda=False):
        if hasattr(_module, "KERNELS"):
            add(_module)
if not plain.ON:
    notice.listen()
