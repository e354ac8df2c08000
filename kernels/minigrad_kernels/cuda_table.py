"""All CUDA kernels by the name of their kernel, and all checks.

They are those of the rooms' `cuda_*` files, and of families that are added to the table.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType, SimpleNamespace
from typing import Any

from minigrad_kernels import table
from minigrad_kernels.compare import gpu_limits
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.elementwise.cuda_kernels import lift
from minigrad_kernels.optim import cuda_multi_tensor, multi_tensor

FAMILIES: list[Any] = []  # modules, or what was derived for one that states no CUDA kernels
CUDA_KERNELS: dict[str, CudaKernel] = {}
CHECKS: dict[str, Check] = {}


def add(family: Any) -> None:
    """Enter what a module states as CUDA_KERNELS and CHECKS.

    Raises: ValueError where a kernel has CUDA kernels already.
    """
    for name in family.CUDA_KERNELS:
        if name in CUDA_KERNELS:
            raise ValueError(f"{name!r} has CUDA kernels in two files: {family.__name__}")
    FAMILIES.append(family)
    CUDA_KERNELS.update(family.CUDA_KERNELS)
    CHECKS.update({check.name: check for check in family.CHECKS})


def add_of(family: ModuleType) -> None:
    """Enter the CUDA kernels of a family of the table: stated, beside it, or lifted rules."""
    if hasattr(family, "CUDA_KERNELS"):
        add(family)
    package, _, stem = family.__name__.rpartition(".")
    beside = f"{package}.cuda_{stem}" if package else f"cuda_{stem}"
    if importlib.util.find_spec(beside) is not None:
        add(importlib.import_module(beside))
    add_lifted(family)


def add_lifted(family: ModuleType) -> None:
    """Lift the rules and the optimizers' steps of a family that states no CUDA kernels for them."""
    rows = {name: row for name, row in family.KERNELS.items() if name not in CUDA_KERNELS}
    rules = {
        name: row.rule
        for name, row in rows.items()
        if row.rule is not None and row.rule.function is not None
    }
    steps = {name: row for name, row in rows.items() if isinstance(row, multi_tensor.Step)}
    for cuda_kernels, checks in (lift(rules), cuda_multi_tensor.lift(steps)):
        if cuda_kernels:
            add(SimpleNamespace(__name__=family.__name__, CUDA_KERNELS=cuda_kernels, CHECKS=checks))


for _module in (gpu_limits, *(m for room in table.ROOMS for m in table.modules_of(room, True))):
    if hasattr(_module, "CUDA_KERNELS"):
        add(_module)
for _family in table.FAMILIES:
    (add_lifted if _family.__name__.startswith("minigrad_kernels.") else add_of)(_family)
table.LISTENERS.append(add_of)
