"""The arguments of a kernel: which it writes, which stay on the host, what a table points to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import build_table
from minigrad_kernels.kernel import Kernel

Array = np.ndarray[Any, Any]
# What steers a step stays on the host, and a CUDA kernel reads it there.
CONTROL = frozenset(
    {"call", "hyper", "steps", "table", "momentum", "row_windows", "column_windows"}
)


@dataclass(frozen=True)
class Rows:
    """Stands for a table of addresses among arguments: the arrays (p, g, *state) of each tensor."""

    arrays: Sequence[Sequence[Array]]
    groups: Sequence[int] | None = None


@dataclass(frozen=True)
class Bound:
    """The arguments of one launch in memory of their own.

    written: the arrays that the kernel writes, those behind its table first.  tensors: what its
    table points to, kept alive.
    """

    args: tuple[Any, ...]
    written: tuple[Any, ...]
    tensors: tuple[Any, ...] = ()


def names(kernel: Kernel, args: Sequence[Any]) -> list[str]:
    """Return the names of a kernel's arguments; a ufunc's and a lifted rule's have none.

    >>> from minigrad_kernels.table import KERNELS
    >>> names(KERNELS["gemm"], (0, 0, 0)), names(KERNELS["add"], (0, 0, 0))
    (['a', 'b', 'c'], ['a0', 'a1', 'y'])
    """
    try:
        found = list(inspect.signature(kernel.reference).parameters)
    except ValueError:
        found = []
    return found if len(found) == len(args) else [*(f"a{i}" for i in range(len(args) - 1)), "y"]


def positions(kernel: Kernel, args: Sequence[Any]) -> list[int]:
    """Return which arguments a kernel writes, `out` before `inout`."""
    found = names(kernel, args)
    return [found.index(name) for name in (*kernel.out, *kernel.inout)]


def bind(
    kernel: Kernel, args: Sequence[Any], place: Callable[[Array], Any], wide: bool = False
) -> Bound:
    """Return the arguments with every array copied to where `place` puts it.

    wide: what is written becomes float64, and so do all tensors of a table: for the reference.
    """
    written = positions(kernel, args)
    tensors: list[tuple[Any, ...]] = []
    mine: list[Any] = []
    table = any(isinstance(a, Rows) for a in args)
    for i, (label, value) in enumerate(zip(names(kernel, args), args, strict=True)):
        if isinstance(value, Rows):
            tensors = [tuple(place(widened(a, wide)) for a in row) for row in value.arrays]
            mine.append(build_table(tensors, value.groups))
        elif not isinstance(value, np.ndarray):
            mine.append(value)
        elif label in CONTROL:
            mine.append(value.copy())
        else:
            mine.append(place(widened(value, wide and (table or i in written))))
    changed = [a for row in tensors for a in row] + [mine[i] for i in written]
    return Bound(tuple(mine), tuple(changed), tuple(tensors))


def widened(a: Array, wide: bool) -> Array:
    """Return float32 as float64, if asked to."""
    return a.astype(np.float64) if wide and a.dtype == np.float32 else a
