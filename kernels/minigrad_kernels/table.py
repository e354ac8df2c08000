"""The table of kernels: one name, one row.  Whoever computes anything goes through it.

>>> from minigrad_kernels.table import KERNELS
>>> sorted(KERNELS["gemm"].out)
['c']
"""

from __future__ import annotations

from types import ModuleType

from minigrad_kernels import (
    activation,
    adam,
    adaptive,
    batch_norm,
    batch_norm_dropout,
    clip,
    conv,
    cross_entropy,
    dropout,
    elementwise,
    extreme,
    groups,
    index,
    layer_norm,
    matmul,
    notice,
    pool,
    random,
    reduce,
    scalar_tape,
    sgd,
    softmax,
)
from minigrad_kernels.launch import Kernel

FAMILIES: tuple[ModuleType, ...] = (
    activation,
    adam,
    adaptive,
    batch_norm,
    batch_norm_dropout,
    clip,
    conv,
    cross_entropy,
    dropout,
    elementwise,
    extreme,
    groups,
    index,
    layer_norm,
    matmul,
    pool,
    random,
    reduce,
    scalar_tape,
    sgd,
    softmax,
)


def _merge(families: tuple[ModuleType, ...]) -> dict[str, Kernel]:
    table: dict[str, Kernel] = {}
    for family in families:
        for name, kernel in family.KERNELS.items():
            if name in table:
                raise ValueError(
                    f"kernel {name!r} stands in two files, the second is {family.__name__}"
                )
            table[name] = kernel
    return table


KERNELS = _merge(FAMILIES)
notice.listen()
