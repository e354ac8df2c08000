"""The largest element of a group and where it stands: max, min, argmax and argmin in one pass.

    y[a, b] = x[a, i, b], i = the first r where sign * x[a, r, b] is largest

sign is 1 for the largest and -1 for the smallest; a NaN is the extreme where there is one.
`extreme_backward` gives dx = dy at that place and 0 elsewhere.

Shapes: x, dx: (A, R, B) C-contiguous; y, dy: (A, B) in its type, indices: (A, B) int64, the i.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import PARALLEL, Kernel
from minigrad_kernels.math.exponential import from_key, to_key
from minigrad_kernels.reduce.kernels import tasks_of
from minigrad_kernels.simd.memory import part

Array = np.ndarray[Any, Any]

STEP = 512  # elements whose extreme is found before one of them is looked for


# ---------------------------------------------------------------- references
def extreme_reference(x: Array, sign: int, y: Array, indices: Array) -> None:
    """Write the index of the first extreme of each group, and y = x there."""
    indices[...] = np.argmax(x, axis=1) if sign > 0 else np.argmin(x, axis=1)
    y[...] = np.take_along_axis(x, indices[:, None], 1)[:, 0]


def extreme_backward_reference(dy: Array, indices: Array, dx: Array) -> None:
    """Write dx = dy at the extreme's index of each group, 0 elsewhere."""
    dx[...] = 0
    np.put_along_axis(dx, indices[:, None], dy[:, None], 1)


# ---------------------------------------------------------------- a run of memory
@jit()
def largest_or_nan(x, sign):
    """Return the largest element of x times sign, NaN where there is one."""
    best = to_key(x.dtype.type(-np.inf))
    broken = False
    for i in range(x.size):
        v = x[i] * sign
        best = max(best, to_key(v))
        broken |= v != v
    return x.dtype.type(np.nan) if broken else from_key(best)


@jit()
def better(v, best):
    """Say whether v comes before `best`: larger, or the first NaN."""
    return (not (v <= best)) & (best == best)


@jit()
def place_of(x, sign, best):
    """Return the first place of `best`, or of a NaN, in at most STEP elements that hold one.

    The loop does not stop there, and so is vector code.
    """
    place = np.int32(STEP)
    for i in range(x.size):
        v = x[i] * sign
        here = np.int32(i) if (v == best) | (v != v) else np.int32(STEP)
        place = min(place, here)
    return place


@jit()
def run_extreme(x, sign):
    """Return the extreme of a run, times sign, and its position."""
    best = x.dtype.type(-np.inf)
    start = 0
    for first in range(0, x.size, STEP):
        top = largest_or_nan(part(x, first, min(x.size, first + STEP)), sign)
        if better(top, best):
            best = top
            start = first
    start += place_of(part(x, start, min(x.size, start + STEP)), sign, best)
    return x[start] * sign, start


def runs(x, sign, outer, reduced, y):
    """Write the extremes of runs of memory, without their indices."""
    flip = x.dtype.type(sign)
    parts, each = tasks_of(reduced, 1)
    best = np.empty(outer * parts, x.dtype)
    for task in prange(outer * parts):
        begin = task // parts * reduced
        first = begin + task % parts * each
        best[task] = largest_or_nan(part(x, first, min(begin + reduced, first + each)), flip)
    for a in range(outer):
        y[a] = largest_or_nan(part(best, a * parts, (a + 1) * parts), x.dtype.type(1)) * flip


# ---------------------------------------------------------------- rows of columns
@jit()
def row_extreme(x, sign, r, best, where):
    """Merge row r into the extremes of its columns."""
    for b in range(x.size):
        v = x[b] * sign
        take = better(v, best[b])
        best[b] = v if take else best[b]
        where[b] = r if take else where[b]


@jit()
def rows_extreme(x, sign, first, last, inner, best, where):
    """Find the extremes of rows first to last of x: (reduced * inner,), a column each."""
    for b in range(inner):
        best[b] = x[first * inner + b] * sign
        where[b] = first
    for r in range(first + 1, last):
        row_extreme(part(x, r * inner, (r + 1) * inner), sign, np.int32(r), best, where)


@jit()
def merge(best, where, parts, inner, sign, y, indices):
    """Merge the parts' extremes in order into y and indices."""
    for a in range(y.size // inner):
        for b in range(inner):
            k = a * parts * inner + b
            top = best[k]
            place = where[k]
            for _ in range(1, parts):
                k += inner
                if better(best[k], top):
                    top = best[k]
                    place = where[k]
            y[a * inner + b] = top * sign
            indices[a * inner + b] = place


# ---------------------------------------------------------------- all tasks
def extreme_forward(x, sign, outer, reduced, inner, y, indices):
    """Write y and indices of all groups."""
    flip = x.dtype.type(sign)
    parts, each = tasks_of(reduced, inner)
    best = np.empty(outer * parts * inner, x.dtype)
    where = np.empty(outer * parts * inner, np.int32)
    for task in prange(outer * parts):
        a = task // parts
        first = (task % parts) * each
        last = min(reduced, first + each)
        block = part(x, a * reduced * inner, (a + 1) * reduced * inner)
        if inner == 1:
            best[task], place = run_extreme(part(block, first, last), flip)
            where[task] = first + place
        else:
            begin, end = task * inner, (task + 1) * inner
            mine, places = part(best, begin, end), part(where, begin, end)
            rows_extreme(block, flip, first, last, inner, mine, places)
    merge(best, where, parts, inner, flip, y, indices)


@jit()
def place_run(dy, index, dx):
    """Write dy at one index of a run of memory, zeros elsewhere."""
    dx[:] = 0
    dx[index] = dy


@jit()
def place_row(dy, indices, r, dx):
    """Write dy in row r of its groups where that is the index, else 0."""
    for b in range(dx.size):
        dx[b] = dy[b] if indices[b] == r else dx.dtype.type(0)


def extreme_backward(dy, indices, outer, reduced, inner, dx):
    """Write dx of all groups."""
    lines = outer if inner == 1 else outer * reduced
    width = reduced if inner == 1 else inner
    for line in prange(lines):
        out = part(dx, line * width, (line + 1) * width)
        if inner == 1:
            place_run(dy[line], indices[line], out)
        else:
            begin, end = line // reduced * inner, (line // reduced + 1) * inner
            place_row(part(dy, begin, end), part(indices, begin, end), line % reduced, out)


forward_small, forward_large = small_and_large("extreme.forward", extreme_forward)
runs_small, runs_large = small_and_large("extreme.runs", runs)
backward_small, backward_large = small_and_large("extreme.backward", extreme_backward)


def extreme_cpu(x: Array, sign: int, y: Array, indices: Array) -> None:
    """Write the index of the first extreme of each group, and y = x there, on the CPU."""
    if y.size:
        run = forward_small if x.size < PARALLEL else forward_large
        run(x.reshape(-1), sign, *x.shape, y.reshape(-1), indices.reshape(-1))


def most_cpu(x: Array, sign: int, y: Array) -> None:
    """Write what `extreme` does to y, and not where it stands."""
    outer, reduced, inner = x.shape
    if inner == 1 and y.size:
        run = runs_small if x.size < PARALLEL else runs_large
        run(x.reshape(-1), sign, outer, reduced, y.reshape(-1))
    else:
        extreme_cpu(x, sign, y, np.empty(y.size, np.int64))


def extreme_backward_cpu(dy: Array, indices: Array, dx: Array) -> None:
    """Write dx = dy at the extreme's index of each group, 0 elsewhere, on the CPU."""
    if dx.size:
        run = backward_small if dx.size < PARALLEL else backward_large
        run(dy.reshape(-1), indices.reshape(-1), *dx.shape, dx.reshape(-1))


def cost(x: Array, sign: int, y: Array, indices: Array) -> tuple[int, int]:
    """Return the comparisons and the bytes of `extreme`."""
    return x.size, x.nbytes + y.nbytes + indices.nbytes


def backward_cost(dy: Array, indices: Array, dx: Array) -> tuple[int, int]:
    """Return the writes and the bytes of `extreme_backward`."""
    return dx.size, dy.nbytes + indices.nbytes + dx.nbytes


KERNELS = {
    "extreme": Kernel(extreme_reference, extreme_cpu, cost, out=("y", "indices")),
    "extreme_backward": Kernel(
        extreme_backward_reference, extreme_backward_cpu, backward_cost, out=("dx",)
    ),
}
