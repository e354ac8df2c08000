"""Pooling: the largest or the mean of windows of every channel; one dimension is height 1.

A window is the product of a row of `down` and a row of `across`, tables of int64 that say where
each output's window lies, so that adaptive windows, padding and clipped ends are all one case.
A window of max_pool may have no elements: nothing is read there, y = -inf, and no gradient.
max_pool: y = the largest x of the window (NaN if it holds one) and where that is; the gradient
    goes there.  avg_pool: y = the sum of the window / (down's divisor * across's divisor).

Shapes: x: (planes, H, W) -> y, index: (planes, H', W'); index counts in H * W.
    down: (H', 3), across: (W', 3): first, last + 1, and the step (max) or the divisor (mean).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange

from minigrad_kernels.jit.compile import jit, like
from minigrad_kernels.kernel import PARALLEL, Kernel

Array = np.ndarray[Any, Any]
NOWHERE = -1  # the index of a window without elements, first >= last: y is -inf


# ---------------------------------------------------------------- references
def max_pool_reference(x: Array, down: Array, across: Array, y: Array, index: Array) -> None:
    numbers = np.arange(x.shape[1] * x.shape[2]).reshape(x.shape[1:])
    for i, (top, bottom, d) in enumerate(down):
        for j, (left, right, e) in enumerate(across):
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
    flat = np.zeros((len(dx), dx.shape[1] * dx.shape[2]))
    planes = np.arange(len(dx))[:, None]
    shape = len(dx), dy.shape[1] * dy.shape[2]
    held = np.where(index < 0, 0, dy).reshape(shape)
    np.add.at(flat, (planes, np.maximum(index, 0).reshape(shape)), held)
    dx[...] = flat.reshape(dx.shape)


def avg_pool_reference(x: Array, down: Array, across: Array, y: Array) -> None:
    for i, (top, bottom, n) in enumerate(down):
        for j, (left, right, m) in enumerate(across):
            y[:, i, j] = x[:, top:bottom, left:right].astype(np.float64).sum((1, 2)) / (n * m)


def avg_pool_backward_reference(dy: Array, down: Array, across: Array, dx: Array) -> None:
    total = np.zeros(dx.shape)
    for i, (top, bottom, n) in enumerate(down):
        for j, (left, right, m) in enumerate(across):
            share = dy[:, i, j].astype(np.float64) / (n * m)
            total[:, top:bottom, left:right] += share[:, None, None]
    dx[...] = total


# ---------------------------------------------------------------- maximum
@jit()
def larger(best, at, other, place):
    """Return the larger number and its place; a NaN beats numbers, and the first stays on ties."""
    better = best == best and not other <= best
    return (other, place) if better else (best, at)


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
            at = np.int32(2 * i) * width + np.int32(2 * j)
            best, where = larger(upper[2 * j], at, upper[2 * j + 1], at + np.int32(1))
            best, where = larger(best, where, lower[2 * j], at + width)
            best, where = larger(best, where, lower[2 * j + 1], at + width + np.int32(1))
            y[i, j] = best
            index[i, j] = where


@jit()
def max_of_windows(x, down, across, y, index):
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            if down[i, 0] >= down[i, 1] or across[j, 0] >= across[j, 1]:
                y[i, j] = -np.inf
                index[i, j] = NOWHERE
                continue
            at = down[i, 0] * x.shape[1] + across[j, 0]
            best = x[down[i, 0], across[j, 0]]
            for r in range(down[i, 0], down[i, 1], down[i, 2]):
                for c in range(across[j, 0], across[j, 1], across[j, 2]):
                    best, at = larger(best, at, x[r, c], r * x.shape[1] + c)
            y[i, j] = best
            index[i, j] = at


@jit()
def max_planes(x, down, across, y, index, first, last):
    pairs = side_by_side(down) and side_by_side(across)
    for p in range(first, last):
        if pairs:
            max_of_four(x[p], y[p], index[p])
        else:
            max_of_windows(x[p], down, across, y[p], index[p])


@jit(parallel=True)
def max_planes_all(x, down, across, y, index, chunks):
    for k in prange(chunks):
        first = len(x) * k // chunks
        max_planes(x, down, across, y, index, first, len(x) * (k + 1) // chunks)


@jit()
def max_backward(dy, index, dx, first, last):
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
    for k in prange(chunks):
        max_backward(dy, index, dx, len(dx) * k // chunks, len(dx) * (k + 1) // chunks)


def chunks_of(planes: int, size: int) -> int:
    """Return how many threads share `planes` of `size` elements together; 0: the caller alone."""
    return 0 if size < PARALLEL else min(planes, numba.get_num_threads())


def max_pool_cpu(x: Array, down: Array, across: Array, y: Array, index: Array) -> None:
    chunks = chunks_of(len(x), x.size)
    if chunks:
        max_planes_all(x, down, across, y, index, chunks)
    else:
        max_planes(x, down, across, y, index, 0, len(x))


def max_pool_backward_cpu(dy: Array, index: Array, dx: Array) -> None:
    chunks = chunks_of(len(dx), dx.size)
    if chunks:
        max_backward_all(dy, index, dx, chunks)
    else:
        max_backward(dy, index, dx, 0, len(dx))


# ---------------------------------------------------------------- mean
@jit(fastmath={"reassoc", "nsz"})
def sum_of(row, first, last):
    total = like(row[first], 0.0)
    for j in range(first, last):
        total += row[j]
    return total


@jit()
def avg_planes(x, down, across, y, first, last):
    for p in range(first, last):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                total = sum_of(x[p, down[i, 0]], across[j, 0], across[j, 1])
                for r in range(down[i, 0] + 1, down[i, 1]):
                    total += sum_of(x[p, r], across[j, 0], across[j, 1])
                y[p, i, j] = total / like(total, down[i, 2] * across[j, 2])


@jit(parallel=True)
def avg_planes_all(x, down, across, y, chunks):
    for k in prange(chunks):
        avg_planes(x, down, across, y, len(x) * k // chunks, len(x) * (k + 1) // chunks)


@jit()
def avg_backward(dy, down, across, dx, first, last):
    for p in range(first, last):
        dx[p] = 0
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                value = dy[p, i, j]
                share = value / like(value, down[i, 2] * across[j, 2])
                for r in range(down[i, 0], down[i, 1]):
                    for c in range(across[j, 0], across[j, 1]):
                        dx[p, r, c] += share


@jit(parallel=True)
def avg_backward_all(dy, down, across, dx, chunks):
    for k in prange(chunks):
        avg_backward(dy, down, across, dx, len(dx) * k // chunks, len(dx) * (k + 1) // chunks)


def avg_pool_cpu(x: Array, down: Array, across: Array, y: Array) -> None:
    chunks = chunks_of(len(x), x.size)
    if chunks:
        avg_planes_all(x, down, across, y, chunks)
    else:
        avg_planes(x, down, across, y, 0, len(x))


def avg_pool_backward_cpu(dy: Array, down: Array, across: Array, dx: Array) -> None:
    chunks = chunks_of(len(dx), dx.size)
    if chunks:
        avg_backward_all(dy, down, across, dx, chunks)
    else:
        avg_backward(dy, down, across, dx, 0, len(dx))


# ---------------------------------------------------------------- cost and rows
def taps(table: Array) -> int:
    """Return how many elements all windows of one axis see together, steps of 1 assumed."""
    return int((table[:, 1] - table[:, 0]).sum())


def max_pool_cost(x: Array, down: Array, across: Array, y: Array, index: Array) -> tuple[int, int]:
    return len(x) * taps(down) * taps(across), x.nbytes + y.nbytes + index.nbytes


def max_pool_backward_cost(dy: Array, index: Array, dx: Array) -> tuple[int, int]:
    return dy.size, dy.nbytes + index.nbytes + dx.nbytes


def avg_pool_cost(x: Array, down: Array, across: Array, y: Array) -> tuple[int, int]:
    return len(x) * taps(down) * taps(across) + y.size, x.nbytes + y.nbytes


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
