"""Statistics of the machine code of CUDA kernels, for `compare` where there is no GPU."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from typing import Any

from minigrad_kernels.cuda import compile as cuda_compile

TARGET = "sm_90a"
COUNTED = {  # column -> opcodes
    "loads_128": ("LDG.E.128",),
    "stores_128": ("STG.E.128",),
    "async_copies": ("LDGSTS",),
    "tensor_ops": ("HMMA",),
    "fma": ("FFMA", "DFMA"),
}


def statistics_of(names: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Compile the CUDA kernels of these kernels; return one row a kernel and signature, and notes.

    The notes say what is missing where nothing can be compiled.
    """
    lacking = cuda_compile.missing()
    if lacking:
        return [], [f"PTX/SASS statistics: needs {', '.join(lacking)}"]
    return [statistics(check) for check in checks_of(names)], []


def checks_of(names: Sequence[str]) -> list[Any]:
    """Return the checks of the families in which these kernels have their CUDA kernels.

    Of a family, those whose name begins with a kernel's, if there are any, else all.
    """
    found: list[Any] = []
    for family in importlib.import_module("minigrad_kernels.cuda_table").FAMILIES:
        mine = [name for name in names if name in family.CUDA_KERNELS]
        named = [c for c in family.CHECKS if c.name.replace("/", ".").split(".")[0] in mine]
        found += (named or list(family.CHECKS)) if mine else []
    return found


def statistics(check: Any) -> dict[str, Any]:
    """Compile one kernel and signature, and return what came of it."""
    compiled = cuda_compile.examine(check.kernel, check.signature, TARGET)
    row = dataclasses.asdict(compiled)
    del row["opcodes"]
    counts = {column: compiled.count(*opcodes) for column, opcodes in COUNTED.items()}
    return {
        "kernel": check.name,
        "target": TARGET,
        **row,
        "instructions": compiled.instructions,
        **counts,
    }
