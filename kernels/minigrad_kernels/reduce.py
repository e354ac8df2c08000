"""Reductions over any axes: sum, max, min, prod, cumsum, argmax, argmin.

y = reduce(x, axes), the reduced axes dropped.  NumPy's loops below `PARALLEL` elements and for
strides that no view makes plain; above, jitted ones over x seen as (outer, reduced, inner), whose
parts depend on the sizes alone.  cumsum keeps the axis, and adds from its end where `backwards`.

Shapes: x: any strides; axes: sorted tuple; y: x.shape without the axes, C-contiguous.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.extreme import extreme_cpu, most_cpu
from minigrad_kernels.fold import fold
from minigrad_kernels.launch import PARALLEL, Kernel, jit
from minigrad_kernels.lift import FLOATS

Array = np.ndarray[Any, Any]
Axes = tuple[int, ...]
WIDTH = 512  # columns of running sums in one task: two of its rows stay in first-level cache


# ---------------------------------------------------------------- references
def sum_reference(x: Array, axes: Axes, y: Array) -> None:
    # NumPy adds along an outer axis one by one: float64 alone would be worse than the kernel.
    y[...] = np.add.reduce(x.astype(np.longdouble) if x.dtype in FLOATS else x, axis=axes)


def max_reference(x: Array, axes: Axes, y: Array) -> None:
    y[...] = np.maximum.reduce(x, axis=axes)


def min_reference(x: Array, axes: Axes, y: Array) -> None:
    y[...] = np.minimum.reduce(x, axis=axes)


def prod_reference(x: Array, axes: Axes, y: Array) -> None:
    y[...] = np.multiply.reduce(x.astype(np.float64) if x.dtype in FLOATS else x, axis=axes)


def cumsum_reference(x: Array, axis: int, backwards: bool, y: Array) -> None:
    if backwards:
        x, y = np.flip(x, axis), np.flip(y, axis)
    y[...] = np.add.accumulate(x.astype(np.float64) if x.dtype in FLOATS else x, axis=axis)


def argmax_reference(x: Array, axis: int, y: Array) -> None:
    y[...] = np.argmax(x, axis=axis)


def argmin_reference(x: Array, axis: int, y: Array) -> None:
    y[...] = np.argmin(x, axis=axis)


MANY_ROWS = 1_024  # elements of rows to be added up


# ---------------------------------------------------------------- sums
@jit()
def itself(x, m):
    return x


fold_sum = fold("sum", itself)


# ---------------------------------------------------------------- running sums
@jit()
def run_up(x, first, step, count, y):
    """Add up the elements first, first + step, ... of one run into the same places of y."""
    total = x.dtype.type(0)
    for i in range(count):
        total += x[first + i * step]
        y[first + i * step] = total


@jit()
def next_row(x, held, y):
    for b in range(x.size):
        y[b] = x[b] + held[b]


def cumsum_all(x, outer, reduced, inner, backwards, y):
    blocks = (inner + WIDTH - 1) // WIDTH
    for task in prange(outer * blocks):
        begin = task // blocks * reduced * inner
        if inner == 1:
            run_up(
                x, begin + reduced - 1 if backwards else begin, -1 if backwards else 1, reduced, y
            )
        else:
            left = task % blocks * WIDTH
            count = min(WIDTH, inner - left)
            step = -inner if backwards else inner
            at = begin + left + ((reduced - 1) * inner if backwards else 0)
            y[at : at + count] = x[at : at + count]
            for _ in range(1, reduced):
                at += step
                next_row(x[at : at + count], y[at - step : at - step + count], y[at : at + count])


cumsum_small = jit(name="reduce.cumsum.small")(cumsum_all)
cumsum_large = jit(name="reduce.cumsum.large", parallel=True)(cumsum_all)


# ---------------------------------------------------------------- choice by size
@functools.lru_cache(4096)
def sizes_around(shape: tuple[int, ...], axes: Axes) -> tuple[int, int, int] | None:
    """Return the sizes before, along and after axes that follow each other; None if they do not.

    >>> sizes_around((2, 3, 4, 5), (1, 2))
    (2, 12, 5)
    """
    first, last = axes[0], axes[-1]
    if last - first + 1 != len(axes):
        return None
    sizes = shape[:first], shape[first : last + 1], shape[last + 1 :]
    return math.prod(sizes[0]), math.prod(sizes[1]), math.prod(sizes[2])


def merged(x: Array, axes: Axes) -> tuple[Array, tuple[int, int, int]] | None:
    """Return x flat and its sizes around the axes; None where it must be strided.

    The transpose of a contiguous array is as good where at most one axis is kept.
    """
    flags = x.flags
    if not flags.c_contiguous:
        if not flags.f_contiguous or x.ndim - len(axes) > 1:
            return None
        axes = tuple([x.ndim - 1 - axis for axis in reversed(axes)])
        x = x.T
    sizes = sizes_around(x.shape, axes)
    return None if sizes is None else (x.reshape(-1), sizes)


def large(x: Array, axes: Axes) -> tuple[Array, tuple[int, int, int]] | None:
    """Return what `merged` does where a jitted loop is to run, else None."""
    return merged(x, axes) if x.size >= PARALLEL and x.dtype in FLOATS else None


def several(x: Array, axes: Axes) -> tuple[Array, tuple[int, int, int]] | None:
    """Return what `merged` does where there are elements enough for a jitted loop on one thread."""
    return merged(x, axes) if x.size >= MANY_ROWS and x.dtype in FLOATS else None


def sum_cpu(x: Array, axes: Axes, y: Array) -> None:
    # NumPy adds rows one by one: the error of 64 of them is twice that of `fold`.
    view = several(x, axes) if axes[-1] < x.ndim - 1 else large(x, axes)
    if view is None:
        np.add.reduce(x, axis=None if len(axes) == x.ndim else axes, out=y)
    else:
        fold_sum(view[0], view[0][:0], *view[1], y.reshape(-1))


def prod_cpu(x: Array, axes: Axes, y: Array) -> None:
    # In order: parts of their own could be 0 and inf, and their product NaN.
    np.multiply.reduce(x, axis=axes, out=y)


def most(sign: int, ufunc: Any) -> Callable[..., None]:
    """Return the CPU column of max or min."""

    def cpu(x: Array, axes: Axes, y: Array) -> None:
        # Of all elements NumPy's is the fastest while they are few.
        view = several(x, axes) if len(axes) < x.ndim else large(x, axes)
        if view is None:
            ufunc.reduce(x, axis=None if len(axes) == x.ndim else axes, out=y)
        else:
            most_cpu(view[0].reshape(view[1]), sign, y)

    return cpu


def position(sign: int, numpy: Any) -> Callable[..., None]:
    """Return the CPU column of argmax or argmin; along the last axis NumPy's is the fastest."""

    def cpu(x: Array, axis: int, y: Array) -> None:
        view = large(x, (axis,))
        if view is None or view[1][2] == 1:
            numpy(x, axis=axis, out=y)
        else:
            extreme_cpu(view[0].reshape(view[1]), sign, np.empty(y.size, x.dtype), y.reshape(-1))

    return cpu


def cumsum_cpu(x: Array, axis: int, backwards: bool, y: Array) -> None:
    if x.dtype not in FLOATS or not x.flags.c_contiguous:
        if backwards:
            x, y = np.flip(x, axis), np.flip(y, axis)
        np.add.accumulate(x, axis=axis, out=y)
        return
    shape = x.shape
    sizes = sizes_around(shape, (axis,))
    if x.size:
        run = cumsum_small if x.size < PARALLEL else cumsum_large
        run(x.reshape(-1), *sizes, backwards, y.reshape(-1))


def cost(x: Array, axes: Any, y: Array) -> tuple[int, int]:
    return x.size, x.nbytes + y.nbytes


def cumsum_cost(x: Array, axis: int, backwards: bool, y: Array) -> tuple[int, int]:
    return x.size, x.nbytes + y.nbytes


def row(reference: Callable[..., None], cpu: Callable[..., None]) -> Kernel:
    return Kernel(reference, cpu, cost)


KERNELS = {
    "sum": row(sum_reference, sum_cpu),
    "max": row(max_reference, most(1, np.maximum)),
    "min": row(min_reference, most(-1, np.minimum)),
    "prod": row(prod_reference, prod_cpu),
    "cumsum": Kernel(cumsum_reference, cumsum_cpu, cumsum_cost),
    "argmax": row(argmax_reference, position(1, np.argmax)),
    "argmin": row(argmin_reference, position(-1, np.argmin)),
}
