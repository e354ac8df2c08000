"""The table of kernels: one name, one row.  Whoever computes anything goes through it.

>>> from minigrad_kernels.table import KERNELS
>>> sorted(KERNELS["gemm"].out)
['c']
"""

from __future__ import annotations

import dataclasses
import importlib
from types import ModuleType
from typing import Any

from minigrad_kernels.conv import conv, pool
from minigrad_kernels.elementwise import activations as activation
from minigrad_kernels.elementwise import rules as elementwise
from minigrad_kernels.indexing import index
from minigrad_kernels.jit import plain
from minigrad_kernels.jit import progress as notice
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.matmul import gemm as matmul
from minigrad_kernels.norm import batch_norm, batch_norm_dropout, layer_norm
from minigrad_kernels.optim import adam, adaptive, clip, sgd
from minigrad_kernels.randomness import dropout, random
from minigrad_kernels.reduce import centred as groups
from minigrad_kernels.reduce import max_index as extreme
from minigrad_kernels.reduce import sums as reduce
from minigrad_kernels.scalar_program import program as scalar_tape
from minigrad_kernels.softmax import cross_entropy, softmax

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


class CudaKernel:
    """The CUDA column of a row: the CUDA kernel of that name, imported when it is first called."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any) -> None:
        importlib.import_module("minigrad_kernels.cuda_table").CUDA_KERNELS[self.name](*args)


def _merge(families: tuple[ModuleType, ...]) -> dict[str, Kernel]:
    table: dict[str, Kernel] = {}
    for family in families:
        for name, kernel in family.KERNELS.items():
            if name in table:
                raise ValueError(
                    f"kernel {name!r} stands in two files, the second is {family.__name__}"
                )
            table[name] = dataclasses.replace(kernel, cuda=CudaKernel(name))
            if plain.ON:
                table[name] = dataclasses.replace(kernel, cpu=kernel.reference, small=None)
    return table


KERNELS = _merge(FAMILIES)
if not plain.ON:
    notice.listen()
