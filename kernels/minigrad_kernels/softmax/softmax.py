"""Softmax, log-softmax and logsumexp over axis 1 of x: (N, C), stable at any finite logits.

    m = max x,  s = sum exp(x - m)
    softmax = exp(x - m) / s,  log_softmax = (x - m) - log s,  logsumexp = m + log s
    softmax backward:      dx = y * (dy - sum dy * y)
    log-softmax backward:  dx = dy - exp(y) * sum dy

A row of -inf gives NaN, and logsumexp -inf; a row with +inf gives NaN, and logsumexp +inf; a row
with NaN gives NaN.

Shapes: x, y, dy, dx: (N, C) C-contiguous; of logsumexp y: (N,).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.math.exponential import exp_of_negative, largest
from minigrad_kernels.simd.memory import line, part, read_ahead, write_ahead
from minigrad_kernels.simd.registers import address
from minigrad_kernels.simd.wide import full_width

Array = np.ndarray[Any, Any]

PARALLEL_EXP = 16_384  # elements from which two threads pay for their fork and join
STEP = 512  # elements between two looks ahead


# ---------------------------------------------------------------- references
def shifted(x: Array) -> tuple[Array, Array, Array]:
    """Return x - max, its exponentials' sums less 1 as a column, and the maxima."""
    wide = x.astype(np.longdouble)
    top = np.max(wide, axis=1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        centred = wide - top
        e = np.exp(centred)
    rows = np.arange(len(x))
    if x.shape[1]:
        e[rows, np.argmax(centred, axis=1)] -= 1
    return centred, e.sum(axis=1, keepdims=True), top


def softmax_reference(x: Array, y: Array) -> None:
    """Compute y = softmax of the rows of x: (N, C), in extended precision."""
    centred, total, _ = shifted(x)
    y[...] = np.exp(centred) / (1 + total)


def log_softmax_reference(x: Array, y: Array) -> None:
    """Compute y = log-softmax of the rows of x: (N, C), in extended precision."""
    centred, total, _ = shifted(x)
    y[...] = centred - np.log1p(total)
    y += 0  # what is too small for y's type is 0, not -0, as the kernel has it


def softmax_backward_reference(dy: Array, y: Array, dx: Array) -> None:
    """Compute dx: (N, C) from dy and softmax's y, in extended precision."""
    g, wide = dy.astype(np.longdouble), y.astype(np.longdouble)
    if not y.size:
        return
    about = np.take_along_axis(g, y.argmax(axis=1)[:, None], axis=1)  # for sum y = 1
    mean = ((g - about) * wide).sum(axis=1, keepdims=True)
    dx[...] = wide * ((g - about) - mean)


def log_softmax_backward_reference(dy: Array, y: Array, dx: Array) -> None:
    """Compute dx: (N, C) from dy and log-softmax's y, in extended precision."""
    g = dy.astype(np.longdouble)
    total = g.sum(axis=1, keepdims=True)
    dx[...] = (g - total) - np.expm1(y.astype(np.longdouble)) * total


def logsumexp_reference(x: Array, y: Array) -> None:
    """Compute y: (N,) = log sum exp of the rows of x: (N, C), in extended precision."""
    _, total, top = shifted(x)
    y[...] = np.where(np.isinf(top), top, top + np.log1p(total))[:, 0]


# ---------------------------------------------------------------- one row
# The next row is asked for in the pass that computes most.
# exp(x - max) is 1 at the largest element: the sum is that and the rest, and where the rest is
# small it is summed alone, so that log(1 + rest) and 1 - p of the surest rows keep all its digits.
SURE = 1.25


@jit(fastmath={"contract", "reassoc"})
def exponentials(x, shift, y):
    """Write exp(x - shift) and return the sum.

    x and y do not overlap, and the loop is told so: else it is vector code for arrays that lie
    apart and adds one by one where y follows x within 256 bytes, with other last bits.
    """
    full_width()
    p, q = address(x), address(y)
    total = x.dtype.type(0)
    for i in range(x.size):
        e = exp_of_negative(load_at(p, i, x, 0) - shift)
        store_at(q, i, e, 3)
        total += e
    return total


@jit(fastmath={"reassoc"})
def total_of(a):
    """Return the sum of a row, in any order."""
    full_width()
    total = a.dtype.type(0)
    for i in range(a.size):
        total += a[i]
    return total


@jit()
def long_total(a):
    """Return the sum of a long row, float64."""
    total = 0.0
    for start in range(0, a.size, STEP):
        total += np.float64(total_of(part(a, start, min(a.size, start + STEP))))
    return total


@jit()
def place_of(x, top):
    """Return the first place of `top` in x, which holds it."""
    index = 0
    while x[index] != top:
        index += 1
    return index


@jit()
def exp_row(x, shift, y):
    """Write exp(x - shift) of a row; return the sum less the largest element's 1, float64."""
    total = 0.0
    for start in range(0, x.size, STEP):
        stop = min(x.size, start + STEP)
        read_ahead(x, x.size + start, stop - start)
        write_ahead(y, x.size + start, stop - start)
        total += np.float64(exponentials(part(x, start, stop), shift, part(y, start, stop)))
    if x.size and total < SURE:
        index = place_of(x, shift)
        return long_total(part(y, 0, index)) + long_total(part(y, index + 1, y.size))
    return total - 1.0


@jit(fastmath={"contract", "reassoc"})
def some_exp(x, shift):
    """Return the sum of exp(x - shift) over a part of a row."""
    full_width()
    total = x.dtype.type(0)
    for i in range(x.size):
        total += exp_of_negative(x[i] - shift)
    return total


@jit()
def plain_sum_exp(x, shift):
    """Return the sum of exp(x - shift) over a row."""
    total = 0.0
    for start in range(0, x.size, STEP):
        total += np.float64(some_exp(part(x, start, min(x.size, start + STEP)), shift))
    return total


@jit()
def sum_exp(x, shift):
    """Return the sum of exp(x - shift) over a row less the largest element's 1, float64."""
    total = plain_sum_exp(x, shift)
    if x.size and total < SURE:
        index = place_of(x, shift)
        return plain_sum_exp(part(x, 0, index), shift) + plain_sum_exp(
            part(x, index + 1, x.size), shift
        )
    return total - 1.0


@jit()
def log_of_total(x, rest):
    """Return log(1 + rest) in the row's type, and what rounding took from the sum.

    rest: float64.
    """
    total = x.dtype.type(1.0 + rest)
    lost = rest - (np.float64(total) - 1.0)
    return np.log(total) + x.dtype.type(lost) / total


@jit()
def softmax_row(x, y):
    """Write the softmax of one row."""
    full_width()
    top = largest(x)
    inverse = x.dtype.type(1.0 / (1.0 + exp_row(x, top, y)))
    for i in range(x.size):
        y[i] *= inverse


@jit()
def log_softmax_row(x, y):
    """Write the log-softmax of one row."""
    full_width()
    top = largest(x)
    log_total = log_of_total(x, exp_row(x, top, y))
    for i in range(x.size):
        y[i] = (x[i] - top) - log_total


@jit()
def logsumexp_row(x):
    """Return log sum exp of a row, float64."""
    top = largest(x)
    if np.isinf(top):  # inf - inf is NaN: the answer is the infinity, unless the row holds a NaN
        for i in range(x.size):
            if np.isnan(x[i]):
                return np.float64(x[i])
        return np.float64(top)
    return np.float64(top) + np.float64(log_of_total(x, sum_exp(x, top)))


@jit(fastmath={"contract", "reassoc"})
def dot(a, b, less):
    """Return the sum of (a - less) b."""
    full_width()
    total = a.dtype.type(0)
    for i in range(a.size):
        total += (a[i] - less) * b[i]
    return total


@jit()
def place_above(y, least):
    """Return the place of an element above `least`, of which there is at most one; -1 for none."""
    if largest(y) > least:
        for i in range(y.size):
            if y[i] > least:
                return i
    return -1


@jit(fastmath={"contract"})
def softmax_backward_row(dy, y, dx):
    """Write the gradient of one row's softmax from its result."""
    full_width()
    # About the gradient of an element near 1, whose own then does not cancel: sum y = 1.
    index = place_above(y, y.dtype.type(0.51))
    about = dy[index] if index >= 0 else y.dtype.type(0)
    wide = 0.0
    for start in range(0, y.size, STEP):
        stop = min(y.size, start + STEP)
        wide += np.float64(dot(part(dy, start, stop), part(y, start, stop), about))
    mean = y.dtype.type(wide)
    for start in range(0, y.size, STEP):
        stop = min(y.size, start + STEP)
        next_rows(dy, y, dx, start, stop - start)
        g, held, out = part(dy, start, stop), part(y, start, stop), part(dx, start, stop)
        for i in range(g.size):
            out[i] = held[i] * ((g[i] - about) - mean)


@jit(fastmath={"contract"})
def log_softmax_backward_row(dy, y, dx):
    """Write the gradient of one row's log-softmax from its result."""
    full_width()
    wide = 0.0
    for start in range(0, y.size, STEP):
        wide += np.float64(total_of(part(dy, start, min(dy.size, start + STEP))))
    total = y.dtype.type(wide)
    index = place_above(y, y.dtype.type(-0.65))
    own = 0.0
    if index >= 0:  # near p = 1 the difference cancels: g - p total = (g - total) - (p - 1) total
        own = (np.float64(dy[index]) - wide) - math.expm1(np.float64(y[index])) * wide
    for start in range(0, y.size, STEP):
        stop = min(y.size, start + STEP)
        next_rows(dy, y, dx, start, stop - start)
        g, held, out = part(dy, start, stop), part(y, start, stop), part(dx, start, stop)
        for i in range(g.size):
            out[i] = g[i] - exp_of_negative(held[i]) * total
    if index >= 0:
        dx[index] = own


@jit()
def next_rows(dy, y, dx, start, count):
    """Ask for the lines of the next row."""
    read_ahead(dy, y.size + start, count)
    read_ahead(y, y.size + start, count)
    write_ahead(dx, y.size + start, count)


# ---------------------------------------------------------------- all rows
def softmax_rows(x, y):
    """Write softmax of all rows, a row a task."""
    for i in prange(len(x)):
        softmax_row(line(x, i), line(y, i))


def log_softmax_rows(x, y):
    """Write log-softmax of all rows, a row a task."""
    for i in prange(len(x)):
        log_softmax_row(line(x, i), line(y, i))


def logsumexp_rows(x, y):
    """Write log sum exp of all rows, a row a task."""
    for i in prange(len(x)):
        y[i] = logsumexp_row(line(x, i))


def softmax_backward_rows(dy, y, dx):
    """Write softmax's gradient of all rows, a row a task."""
    for i in prange(len(y)):
        softmax_backward_row(line(dy, i), line(y, i), line(dx, i))


def log_softmax_backward_rows(dy, y, dx):
    """Write log-softmax's gradient of all rows, a row a task."""
    for i in prange(len(y)):
        log_softmax_backward_row(line(dy, i), line(y, i), line(dx, i))


def by_size(rows: Any) -> Callable[..., None]:
    """Compile one source twice, sequential (prange is range) and parallel; the size picks."""
    name = f"softmax.{rows.__name__}"
    small, large = small_and_large(name, rows)

    def cpu(*args: Array) -> None:
        (small if args[0].size < PARALLEL_EXP else large)(*args)

    return cpu


def cost(flops: int) -> Callable[..., tuple[int, int]]:
    """Return a cost function of `flops` an element, where every array is moved once."""
    return lambda *args: (flops * args[0].size, sum(a.nbytes for a in args))


KERNELS = {
    "softmax": Kernel(softmax_reference, by_size(softmax_rows), cost(20)),
    "log_softmax": Kernel(log_softmax_reference, by_size(log_softmax_rows), cost(20)),
    "logsumexp": Kernel(logsumexp_reference, by_size(logsumexp_rows), cost(20)),
    "softmax_backward": Kernel(
        softmax_backward_reference, by_size(softmax_backward_rows), cost(4), out=("dx",)
    ),
    "log_softmax_backward": Kernel(
        log_softmax_backward_reference, by_size(log_softmax_backward_rows), cost(20), out=("dx",)
    ),
}
