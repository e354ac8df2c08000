"""Pooling: the largest or the mean of windows of every channel; one dimension is height 1.

A window is the product of a row of `row_windows` and a row of `column_windows`, tables of int64
that say where each output's window lies, so that adaptive windows, padding and clipped ends are all
one case.
A window of max_pool may have no elements: nothing is read there, y = -inf, and no gradient.
max_pool: y = the largest x of the window (NaN if it holds one) and where that is; the gradient
    goes there.  avg_pool: y = the sum of the window / (its rows' divisor * its columns' divisor).

Shapes: x: (planes, H, W) -> y, index: (planes, H', W'); index counts in H * W.
    row_windows: (H', 3), column_windows: (W', 3): first, last + 1, and the step (max) or the
    divisor (mean).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.compile import get_num_threads, jit, like
from minigrad_kernels.kernel import PARALLEL, Kernel

Array = np.ndarray[Any, Any]
NOWHERE = -1  # the index of a window without elements, first >= last: y is -inf


# ---------------------------------------------------------------- references
def max_pool_reference(
    x: Array, row_windows: Array, column_windows: Array, y: Array, index: Array
) -> None:
    """Write the largest element of each window to y and its index in its plane to index."""
    numbers = np.arange(x.shape[1] * x.shape[2]).reshape(x.shape[1:])
    for i, (top, bottom, d) in enumerate(row_windows):
        for j, (left, right, e) in enumerate(column_windows):
            rows, columns = slice(top, bottom, d), slice(left, right, e)
            places = numbers[rows, columns].reshape(-1)
            if not places.size:
                y[:, i, j], index[:, i, j] = -np.inf, NOWHERE
                continue
            seen = x[:, rows, columns].reshape(len(x), places.size)
            which = seen.argmax(1)  # the first NaN, else the first of the largest
            y[:, i, j] = seen[np.arange(len(x)), which]
            index[:, i, j] = places[which]


def max_pool_backward_reference(dy: Array, index: Array, dx: Array) -> None:
    """Compute dx in float64: each dy is added where its maximum was."""
    flat = np.zeros((len(dx), dx.shape[1] * dx.shape[2]))
    planes = np.arange(len(dx))[:, None]
    shape = len(dx), dy.shape[1] * dy.shape[2]
    held = np.where(index < 0, 0, dy).reshape(shape)
    np.add.at(flat, (planes, np.maximum(index, 0).reshape(shape)), held)
    dx[...] = flat.reshape(dx.shape)


def avg_pool_reference(x: Array, row_windows: Array, column_windows: Array, y: Array) -> None:
    """Compute y in float64: each window's sum over the product of its divisors."""
    for i, (top, bottom, n) in enumerate(row_windows):
        for j, (left, right, m) in enumerate(column_windows):
            y[:, i, j] = x[:, top:bottom, left:right].astype(np.float64).sum((1, 2)) / (n * m)


def avg_pool_backward_reference(
    dy: Array, row_windows: Array, column_windows: Array, dx: Array
) -> None:
    """Compute dx in float64: each dy is shared evenly over its window."""
    total = np.zeros(dx.shape)
    for i, (top, bottom, n) in enumerate(row_windows):
        for j, (left, right, m) in enumerate(column_windows):
            share = dy[:, i, j].astype(np.float64) / (n * m)
            total[:, top:bottom, left:right] += share[:, None, None]
    dx[...] = total


# ---------------------------------------------------------------- maximum
@jit()
def larger(best, position, other, place):
    """Return the larger number and its place; a NaN beats numbers, and the first stays on ties."""
    better = best == best and not other <= best
    return (other, place) if better else (best, position)


@jit()
def side_by_side(table):
    """Return whether the windows are pairs without gap or overlap."""
    for k in range(len(table)):
        if table[k, 0] != 2 * k or table[k, 1] != 2 * k + 2 or table[k, 2] != 1:
            return False
    return True


@jit()
def max_of_four(x, y, index):
    """Pool windows of 2 by 2, without a loop in each."""
    width = np.int32(x.shape[1])
    for i in range(y.shape[0]):
        upper = x[2 * i]
        lower = x[2 * i + 1]
        for j in range(y.shape[1]):
            position = np.int32(2 * i) * width + np.int32(2 * j)
            best, where = larger(upper[2 * j], position, upper[2 * j + 1], position + np.int32(1))
            best, where = larger(best, where, lower[2 * j], position + width)
            best, where = larger(best, where, lower[2 * j + 1], position + width + np.int32(1))
            y[i, j] = best
            index[i, j] = where


@jit()
def max_of_windows(x, row_windows, column_windows, y, index):
    """Pool any windows of one plane x: (H, W)."""
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            if (
                row_windows[i, 0] >= row_windows[i, 1]
                or column_windows[j, 0] >= column_windows[j, 1]
            ):
                y[i, j] = -np.inf
                index[i, j] = NOWHERE
                continue
            position = row_windows[i, 0] * x.shape[1] + column_windows[j, 0]
            best = x[row_windows[i, 0], column_windows[j, 0]]
            for r in range(row_windows[i, 0], row_windows[i, 1], row_windows[i, 2]):
                for c in range(column_windows[j, 0], column_windows[j, 1], column_windows[j, 2]):
                    best, position = larger(best, position, x[r, c], r * x.shape[1] + c)
            y[i, j] = best
            index[i, j] = position


@jit()
def max_planes(x, row_windows, column_windows, y, index, first, last):
    """Pool the planes from `first` to `last`."""
    pairs = side_by_side(row_windows) and side_by_side(column_windows)
    for p in range(first, last):
        if pairs:
            max_of_four(x[p], y[p], index[p])
        else:
            max_of_windows(x[p], row_windows, column_windows, y[p], index[p])


@jit(parallel=True)
def max_planes_all(x, row_windows, column_windows, y, index, chunks):
    """Pool all planes in `chunks` parallel chunks."""
    for k in prange(chunks):
        first = len(x) * k // chunks
        max_planes(x, row_windows, column_windows, y, index, first, len(x) * (k + 1) // chunks)


@jit()
def max_backward(dy, index, dx, first, last):
    """Write dx of the planes from `first` to `last`: each dy is added where its maximum was."""
    for p in range(first, last):
        plane = dx[p].reshape(-1)
        plane[:] = 0
        came = dy[p].reshape(-1)
        where = index[p].reshape(-1)
        for i in range(came.size):
            if where[i] >= 0:
                plane[where[i]] += came[i]


@jit(parallel=True)
def max_backward_all(dy, index, dx, chunks):
    """Write dx of all planes in `chunks` parallel chunks."""
    for k in prange(chunks):
        max_backward(dy, index, dx, len(dx) * k // chunks, len(dx) * (k + 1) // chunks)


def chunks_of(planes: int, size: int) -> int:
    """Return how many threads share `planes` of `size` elements together; 0: the caller alone."""
    return 0 if size < PARALLEL else min(planes, get_num_threads())


def max_pool_cpu(
    x: Array, row_windows: Array, column_windows: Array, y: Array, index: Array
) -> None:
    """Write y and index on the CPU: see the module for shapes."""
    chunks = chunks_of(len(x), x.size)
    if chunks:
        max_planes_all(x, row_windows, column_windows, y, index, chunks)
    else:
        max_planes(x, row_windows, column_windows, y, index, 0, len(x))


def max_pool_backward_cpu(dy: Array, index: Array, dx: Array) -> None:
    """Write dx: (planes, H, W) on the CPU, from dy and index: (planes, H', W')."""
    chunks = chunks_of(len(dx), dx.size)
    if chunks:
        max_backward_all(dy, index, dx, chunks)
    else:
        max_backward(dy, index, dx, 0, len(dx))


# ---------------------------------------------------------------- mean
@jit(fastmath={"reassoc", "nsz"})
def sum_of(row, first, last):
    """Return the sum of a row's elements from `first` to `last`, in any order."""
    total = like(row[first], 0.0)
    for j in range(first, last):
        total += row[j]
    return total


@jit()
def avg_planes(x, row_windows, column_windows, y, first, last):
    """Average the windows of the planes from `first` to `last`."""
    for p in range(first, last):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                total = sum_of(x[p, row_windows[i, 0]], column_windows[j, 0], column_windows[j, 1])
                for r in range(row_windows[i, 0] + 1, row_windows[i, 1]):
                    total += sum_of(x[p, r], column_windows[j, 0], column_windows[j, 1])
                y[p, i, j] = total / like(total, row_windows[i, 2] * column_windows[j, 2])


@jit(parallel=True)
def avg_planes_all(x, row_windows, column_windows, y, chunks):
    """Average the windows of all planes in `chunks` parallel chunks."""
    for k in prange(chunks):
        avg_planes(
            x, row_windows, column_windows, y, len(x) * k // chunks, len(x) * (k + 1) // chunks
        )


@jit()
def avg_backward(dy, row_windows, column_windows, dx, first, last):
    """Write dx of the planes from `first` to `last`: each dy is shared evenly over its window."""
    for p in range(first, last):
        dx[p] = 0
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                value = dy[p, i, j]
                share = value / like(value, row_windows[i, 2] * column_windows[j, 2])
                for r in range(row_windows[i, 0], row_windows[i, 1]):
                    for c in range(column_windows[j, 0], column_windows[j, 1]):
                        dx[p, r, c] += share


@jit(parallel=True)
def avg_backward_all(dy, row_windows, column_windows, dx, chunks):
    """Write dx of all planes in `chunks` parallel chunks."""
    for k in prange(chunks):
        avg_backward(
            dy, row_windows, column_windows, dx, len(dx) * k // chunks, len(dx) * (k + 1) // chunks
        )


def avg_pool_cpu(x: Array, row_windows: Array, column_windows: Array, y: Array) -> None:
    """Write y on the CPU: see the module for shapes."""
    chunks = chunks_of(len(x), x.size)
    if chunks:
        avg_planes_all(x, row_windows, column_windows, y, chunks)
    else:
        avg_planes(x, row_windows, column_windows, y, 0, len(x))


def avg_pool_backward_cpu(dy: Array, row_windows: Array, column_windows: Array, dx: Array) -> None:
    """Write dx: (planes, H, W) on the CPU, from dy: (planes, H', W')."""
    chunks = chunks_of(len(dx), dx.size)
    if chunks:
        avg_backward_all(dy, row_windows, column_windows, dx, chunks)
    else:
        avg_backward(dy, row_windows, column_windows, dx, 0, len(dx))


# ---------------------------------------------------------------- cost and rows
def taps(table: Array) -> int:
    """Return how many elements all windows of one axis see together, steps of 1 assumed."""
    return int((table[:, 1] - table[:, 0]).sum())


def max_pool_cost(
    x: Array, row_windows: Array, column_windows: Array, y: Array, index: Array
) -> tuple[int, int]:
    """Return the comparisons and the bytes of `max_pool`."""
    return len(x) * taps(row_windows) * taps(column_windows), x.nbytes + y.nbytes + index.nbytes


def max_pool_backward_cost(dy: Array, index: Array, dx: Array) -> tuple[int, int]:
    """Return the additions and the bytes of `max_pool_backward`."""
    return dy.size, dy.nbytes + index.nbytes + dx.nbytes


def avg_pool_cost(x: Array, row_windows: Array, column_windows: Array, y: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `avg_pool`, which its gradient has too."""
    return len(x) * taps(row_windows) * taps(column_windows) + y.size, x.nbytes + y.nbytes


KERNELS = {
    "max_pool": Kernel(max_pool_reference, max_pool_cpu, max_pool_cost, out=("y", "index")),
    "max_pool_backward": Kernel(
        max_pool_backward_reference, max_pool_backward_cpu, max_pool_backward_cost, out=("dx",)
    ),
    "avg_pool": Kernel(avg_pool_reference, avg_pool_cpu, avg_pool_cost),
    "avg_pool_backward": Kernel(
        avg_pool_backward_reference, avg_pool_backward_cpu, avg_pool_cost, out=("dx",)
    ),
}
