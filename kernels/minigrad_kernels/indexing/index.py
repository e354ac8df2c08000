"""Gather and scatter of rows and of single elements.

    take:         y[i] = x[indices[i]]
    scatter_add:  dx = 0, then dx[indices[i]] += dy[i] for i in order
    scatter:      dx[indices[i]] = src[i] for i in order, so that the last write wins

The order of additions is the order of the indices, whatever the number of threads: parallel kernels
split columns, never indices.  Indices are checked and made non-negative by whoever launches.

Shapes: weight, dw: (V, D); x, dx: (V,); indices: (n,) int64 in [0, V); dy, y: (n, D) of rows, else
(n,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import EXACT, PARALLEL, Kernel
from minigrad_kernels.simd.registers import address
from minigrad_kernels.simd.wide import full_width

Array = np.ndarray[Any, Any]

COLUMNS = 64  # columns of one task of a scatter: a few cache lines, so that tasks share none
ROWS = 64  # rows of one task of a gather
ELEMENTS = 4_096  # of one task


# ---------------------------------------------------------------- references
def take_rows_reference(weight: Array, indices: Array, y: Array) -> None:
    """Write y: (n, C) = weight[indices]."""
    y[...] = weight[indices]


def scatter_add_rows_reference(dy: Array, indices: Array, dw: Array) -> None:
    """Write dw: (rows, C) = the sums in float64 of dy: (n, C) by indices: (n,)."""
    total = np.zeros(dw.shape)
    np.add.at(total, indices, dy.astype(np.float64))
    dw[...] = total


def take_flat_reference(x: Array, indices: Array, y: Array) -> None:
    """Write y: (n,) = x[indices]."""
    y[...] = x[indices]


def scatter_add_flat_reference(dy: Array, indices: Array, dx: Array) -> None:
    """Write dx: (m,) = the sums in float64 of dy: (n,) by indices: (n,)."""
    total = np.zeros(dx.shape)
    np.add.at(total, indices, dy.astype(np.float64))
    dx[...] = total


def scatter_flat_reference(src: Array, indices: Array, dx: Array) -> None:
    """Write src: (n,) into dx: (m,) at indices: (n,), one after the other."""
    for i, index in enumerate(indices.tolist()):
        dx[index] = src[i]


# ---------------------------------------------------------------- rows
@jit(parallel=True)
def take_rows_parallel(weight, indices, y):
    """Copy rows in parallel, ROWS a task."""
    width = weight.shape[1]
    step = width * weight.itemsize
    for task in prange((indices.size + ROWS - 1) // ROWS):
        for i in range(task * ROWS, min(indices.size, (task + 1) * ROWS)):
            row, out = address(weight) + indices[i] * step, address(y) + i * step
            for j in range(width):
                store_at(out, j, load_at(row, j, weight, 0), 3)


def take_rows_cpu(weight: Array, indices: Array, y: Array) -> None:
    """Write y: (n, C) = weight[indices] on the CPU, by NumPy while it is small."""
    if y.size < PARALLEL or weight.dtype.kind != "f":
        if y.size:
            np.take(weight, indices, axis=0, out=y, mode="clip")  # "raise" would buffer the output
    else:
        take_rows_parallel(weight, indices, y)


def scatter_rows(dy, indices, dw):
    """Add rows into dw in the order of the indices, COLUMNS columns a task."""
    for task in prange((dw.shape[1] + COLUMNS - 1) // COLUMNS):
        first = task * COLUMNS
        last = min(dw.shape[1], first + COLUMNS)
        dw[:, first:last] = 0
        for i in range(indices.size):
            out = dw[indices[i], first:last]
            row = dy[i, first:last]
            for j in range(out.size):
                out[j] += row[j]


scatter_rows_small, scatter_rows_large = small_and_large("index.scatter_rows", scatter_rows)


def scatter_add_rows_cpu(dy: Array, indices: Array, dw: Array) -> None:
    """Write dw: (rows, C) = the sums of dy: (n, C) by indices: (n,) on the CPU."""
    wide = dy.size >= PARALLEL and dw.shape[1] >= 2 * COLUMNS
    (scatter_rows_large if wide else scatter_rows_small)(dy, indices, dw)


# ---------------------------------------------------------------- single elements
@jit()
def pick(x, indices, first, last, y):
    """Copy elements first to last of a choice."""
    full_width()
    source, where, out = address(x), address(indices), address(y)
    for i in range(first, last):
        store_at(out, i, load_at(source, load_at(where, i, indices, 1), x, 0), 3)


@jit(parallel=True)
def take_flat_parallel(x, indices, y):
    """Copy elements in parallel."""
    for task in prange((indices.size + ELEMENTS - 1) // ELEMENTS):
        first = task * ELEMENTS
        pick(x, indices, first, min(indices.size, first + ELEMENTS), y)


def take_flat_cpu(x: Array, indices: Array, y: Array) -> None:
    """Write y: (n,) = x[indices] on the CPU, by NumPy while it is small."""
    if y.size < PARALLEL or x.dtype.kind != "f":
        if y.size:
            np.take(x, indices, out=y, mode="clip")
    else:
        take_flat_parallel(x, indices, y)


@jit()
def scatter_add_flat_jitted(dy, indices, dx):
    """Add elements into dx in the order of the indices, on one thread."""
    dx[:] = 0
    for i in range(indices.size):
        dx[np.uint64(indices[i])] += dy[i]  # unsigned: no look at whether it counts from the end


def scatter_add_flat_cpu(dy: Array, indices: Array, dx: Array) -> None:
    """Write dx: (m,) = the sums of dy: (n,) by indices: (n,) on the CPU."""
    if dy.size < PARALLEL:
        dx.fill(0)
        np.add.at(dx, indices, dy)
    else:
        scatter_add_flat_jitted(dy, indices, dx)


@jit()
def scatter_flat_jitted(src, indices, dx):
    """Write elements into dx in the order of the indices, on one thread."""
    for i in range(indices.size):
        dx[np.uint64(indices[i])] = src[i]


def scatter_flat_cpu(src: Array, indices: Array, dx: Array) -> None:
    """Write src: (n,) into dx: (m,) at indices: (n,) on the CPU, the last of repeated ones."""
    if src.size < PARALLEL:
        dx[indices] = src  # NumPy documents that the last of repeated indices wins
    else:
        scatter_flat_jitted(src, indices, dx)


# ---------------------------------------------------------------- the rows of the table
def take_cost(x: Array, indices: Array, y: Array) -> tuple[int, int]:
    """Return the flops, none, and the bytes of taking rows or elements."""
    return 0, indices.nbytes + 2 * y.nbytes


def scatter_add_cost(dy: Array, indices: Array, dx: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `scatter_add_rows` and `scatter_add_flat`."""
    return dy.size, 3 * dy.nbytes + indices.nbytes + dx.nbytes


def scatter_cost(src: Array, indices: Array, dx: Array) -> tuple[int, int]:
    """Return the flops, none, and the bytes of `scatter_flat`."""
    return 0, 2 * src.nbytes + indices.nbytes


KERNELS = {
    "take_rows": Kernel(take_rows_reference, take_rows_cpu, take_cost, rounding=EXACT),
    "scatter_add_rows": Kernel(
        scatter_add_rows_reference, scatter_add_rows_cpu, scatter_add_cost, out=("dw",)
    ),
    "take_flat": Kernel(take_flat_reference, take_flat_cpu, take_cost, rounding=EXACT),
    "scatter_add_flat": Kernel(
        scatter_add_flat_reference, scatter_add_flat_cpu, scatter_add_cost, out=("dx",)
    ),
    "scatter_flat": Kernel(
        scatter_flat_reference,
        scatter_flat_cpu,
        scatter_cost,
        out=(),
        inout=("dx",),
        rounding=EXACT,
    ),
}
