"""CUDA kernels of the reductions over any axes.

Sums, products and extremes are folds (reduce/kernels.py) of x seen as (outer, reduced, inner),
copied first where no view is that.  Sums and products of floats are float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float64, int64

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import flat, scratch
from minigrad_kernels.elementwise.cuda_copy import contiguous
from minigrad_kernels.reduce import cuda_kernels as fold
from minigrad_kernels.reduce.cuda_kernels import (
    Fold,
    added,
    finishing,
    take_one,
    take_wide,
    zero,
    zero_wide,
)
from minigrad_kernels.reduce.cuda_max_index import extreme_fold
from minigrad_kernels.reduce.kernels import SUM
from minigrad_kernels.reduce.sums import Axes, merged


@cuda.jit(device=True)
def one(x):
    """Return the product of no elements."""
    return x.dtype.type(1)


@cuda.jit(device=True)
def multiplied(a, b):
    """Return the product of two numbers."""
    return a * b


@cuda.jit(device=True)
def lowest(x):
    """Return the maximum of no elements."""
    return x.dtype.type(-np.inf)


@cuda.jit(device=True)
def highest(x):
    """Return the minimum of no elements."""
    return x.dtype.type(np.inf)


@cuda.jit(device=True)
def larger(a, b):
    """Return the larger of two numbers, a NaN before all."""
    return a if a >= b or a != a else b


@cuda.jit(device=True)
def smaller(a, b):
    """Return the smaller of two numbers, a NaN before all."""
    return a if a <= b or a != a else b


@cuda.jit(device=True)
def one_wide(x):
    """Return the product of no elements, in float64."""
    return float64(1)


FOLDS = {
    "sum": Fold("sum", zero_wide, take_wide, added, wide=True),
    "prod": Fold("prod", one_wide, take_wide, multiplied, wide=True),
    "max": Fold("max", lowest, take_one, larger),
    "min": Fold("min", highest, take_one, smaller),
}


def grouped(x: DeviceArray, axes: Axes) -> tuple[Any, int, int, int]:
    """Return x flat and the sizes before, along and after the axes, copied where it must be."""
    found = merged(x, axes)
    if found is not None:
        return found[0], *found[1]
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    moved = contiguous(x.transpose((*kept, *axes)))
    count = int(np.prod([x.shape[axis] for axis in kept]))
    return flat(moved), count, x.size // count if count else 0, 1


@cuda.jit(device=True)
def least_integer(x):
    """Return the maximum of no integers."""
    return int64(-0x8000000000000000)


@cuda.jit(device=True)
def most_integer(x):
    """Return the minimum of no integers."""
    return int64(0x7FFFFFFFFFFFFFFF)


WHOLE = {
    "sum": Fold("sum_whole", zero, take_one, added),
    "prod": Fold("prod_whole", one, take_one, multiplied),
    "max": Fold("max_whole", least_integer, take_one, larger),
    "min": Fold("min_whole", most_integer, take_one, smaller),
}


def folding(name: str) -> CudaKernel:
    """Return the CUDA kernel of one reduction; integers and bools are folded as int64."""

    def cuda_kernel(x: DeviceArray, axes: Axes, y: DeviceArray) -> None:
        """Reduce x over the axes into y."""
        if not y.size:
            return
        whole = x.dtype.kind != "f"
        line, *shape = grouped(x.astype(np.int64, copy=False) if whole else x, axes)
        made = y if y.dtype == line.dtype else scratch(y.shape, line.dtype, y)
        (WHOLE if whole else FOLDS)[name]((line,), tuple(shape), (flat(made),))
        if made is not y:
            y[...] = made

    return cuda_kernel


def mean(x: DeviceArray, axes: Axes, y: DeviceArray) -> None:
    """Compute y = the means of x over the axes."""
    line, *shape = grouped(x, axes)
    count = float(np.prod([x.shape[axis] for axis in axes]))
    none = scratch(0, np.float64, y)
    finishing(FOLDS["sum"], line, none, tuple(shape), count, SUM, flat(y))


def placing(sign: int) -> CudaKernel:
    """Return the CUDA kernel of argmax or argmin; what is no float32 is compared in float64."""

    def cuda_kernel(x: DeviceArray, axis: int, y: DeviceArray) -> None:
        """Write the first index of the extreme element along an axis."""
        if not y.size:
            return
        line, *shape = grouped(x if x.dtype.kind == "f" else x.astype(np.float64), (axis,))
        held = scratch(y.size, line.dtype, y)
        extreme_fold((line,), tuple(shape), (held, flat(y)), sign)

    return cuda_kernel


CUDA_KERNELS: dict[str, CudaKernel] = {
    **{name: folding(name) for name in FOLDS},
    "mean": mean,
    "argmax": placing(1),
    "argmin": placing(-1),
}
CHECKS: tuple[Check, ...] = (
    *(check for name, each in FOLDS.items() for check in fold.checks(name, each)),
    *(
        Check(f"{name}.{label}/int64", getattr(WHOLE[name], label), signature)
        for signature in [(int64[::1], int64[::1], int64, fold.SIZES, int64[::1], int64[::1])]
        for name in WHOLE
        for label in ("rows", "columns")
    ),
)
