"""CUDA kernels of softmax, log-softmax and logsumexp, and of their gradients.

A row of up to some thousand elements is read once and held in registers: its largest element, the
exponentials about it, one an element, their sum, and what is written all come from there.  A longer
one is read from memory for its largest element, and from the cache for the rest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, int32, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import flat
from minigrad_kernels.cuda.row_registers import (
    Form,
    HeldRows,
    folding,
    mapping,
    reading,
    writing,
)
from minigrad_kernels.cuda.rows import HELD, Device, added, joining, places, sizes, topping
from minigrad_kernels.math.scalar import like


@cuda.jit(device=True)
def share(x, m):
    """Return exp(x - m), 0 where that is 1 by x being the maximum."""
    return like(x, 0) if x == m else math.exp(x - m)


@cuda.jit(device=True)
def tie(x, m):
    """Return 1 where x is the maximum, else 0."""
    return like(x, 1) if x == m else like(x, 0)


def peaks(kind: Any, vector: bool, warps: int) -> Device:
    """Return the device function of a row's maximum and the other elements' exponentials.

    The exponentials are taken about the maximum and added up.
    """
    top, whole = topping(warps), joining(added, warps)

    @cuda.jit(device=True)
    def peak(x, first, c, t, threads, held):
        m = kind(-np.inf)
        s, ties = kind(0), kind(0)
        if vector:
            j = uint32(t * uint32(4))
            while j < c:
                p, q, r, o = ptx.load128(x, uint32(first + j))
                m = max(max(max(max(m, p), q), r), o)  # a NaN is passed over, and seen below
                j = uint32(j + threads * uint32(4))
            m = top(m, held)
            j = uint32(t * uint32(4))
            while j < c:
                p, q, r, o = ptx.load128(x, uint32(first + j))
                s += (share(p, m) + share(q, m)) + (share(r, m) + share(o, m))
                ties += (tie(p, m) + tie(q, m)) + (tie(r, m) + tie(o, m))
                j = uint32(j + threads * uint32(4))
        else:
            j = t
            while j < c:
                m = max(m, x[uint32(first + j)])
                j = uint32(j + threads)
            m = top(m, held)
            j = t
            while j < c:
                v = x[uint32(first + j)]
                s += share(v, m)
                ties += tie(v, m)
                j = uint32(j + threads)
        s, ties = whole(s, ties, held)
        return m, s + (ties - kind(1))

    return peak


# ---------------------------------------------------------------- of a held row
@cuda.jit(device=True)
def first_of(a, b, d):
    """Return the first of two numbers."""
    return a


@cuda.jit(device=True)
def greater(a, b):
    """Return the larger of two numbers, of which a NaN is passed over."""
    return max(a, b)


@cuda.jit(device=True)
def plus(a, b):
    """Return a + b."""
    return a + b


@cuda.jit(device=True)
def exponential(x, _, m, none):
    """Return exp(x - m)."""
    return math.exp(x - m)


@cuda.jit(device=True)
def share_and_tie(x, e, m):
    """Return `share` and `tie`, given the exponential."""
    return (like(x, 0), like(x, 1)) if x == m else (e, like(x, 0))


@cuda.jit(device=True)
def pairs_added(a, b):
    """Add two pairs, number by number."""
    return a[0] + b[0], a[1] + b[1]


@cuda.jit(device=True)
def kept(x, e, m, log):
    """Return what softmax, or log-softmax, is made of by `scaled`."""
    return x - m if log else e


@cuda.jit(device=True)
def scaled(x, _, by, more):
    """Return x by + more: x / sum, or x - log sum to the bit, where by is 1."""
    return x * by + more


@cuda.jit(device=True)
def unknown_of(x, _, none):
    """Return 0, or NaN for a NaN."""
    return like(x, 0) if x == x else x


# ---------------------------------------------------------------- forward
@cuda.jit(device=True)
def normalised(x, m, inverse, rest, log):
    """Return softmax or log-softmax of an element, from 1 / s and log s."""
    return (x - m) - rest if log else math.exp(x - m) * inverse


def held_shares(form: Form) -> Device:
    """Return the device function of what `peaks` finds, and the exponentials, of a held row."""
    largest = folding(first_of, greater, form.numbers)
    raised = mapping(exponential, form.numbers)
    counted = folding(share_and_tie, pairs_added, form.numbers)
    top, whole, kind = topping(form.warps), joining(added, form.warps), form.kind

    @cuda.jit(device=True)
    def shares(v, held):
        m = top(largest(v, v, 0), held)
        e = raised(v, v, m, 0)
        s, ties = counted(v, e, m)
        s, ties = whole(s, ties, held)
        return m, s + (ties - kind(1)), e

    return shares


def held_forward(form: Form) -> Any:
    """Return the kernel of softmax and log-softmax of rows held in registers."""
    read, write, place = reading(form), writing(form), places(form.warps)
    shares = held_shares(form)
    keep, scale = mapping(kept, form.numbers), mapping(scaled, form.numbers)
    kind, width = form.kind, form.width

    @cuda.jit
    def softmax_held(x, log, n, c, y):
        """Write softmax, or log-softmax where log is not 0, of n rows of c elements."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, _ = place()
        j = uint32(t * uint32(width))
        while row < n:
            first = uint32(row * c)
            v = read(x, first, j, c, kind(-np.inf))
            m, s, e = shares(v, held)
            s += m - m  # NaN where the maximum is an infinity
            v = keep(v, e, m, log)
            by, more = kind(1) / (kind(1) + s), kind(0)
            if log:
                by, more = kind(1), -math.log1p(s)
            write(y, first, j, c, scale(v, v, by, more))
            row = uint32(row + step)

    return softmax_held


def forward_of(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel of softmax and log-softmax in one form: see cuda/rows.py."""
    place, peak = places(warps), peaks(kind, vector, warps)

    @cuda.jit
    def softmax_rows(x, log, n, c, y):
        """Write softmax, or log-softmax where log is not 0, of n rows of c elements."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, threads = place()
        while row < n:
            first = uint32(row * c)
            m, s = peak(x, first, c, t, threads, held)
            s += m - m  # NaN where the maximum is an infinity
            inverse, rest = kind(1) / (kind(1) + s), math.log1p(s)
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    p, q, r, o = ptx.load128(x, uint32(first + j))
                    made = (
                        normalised(p, m, inverse, rest, log),
                        normalised(q, m, inverse, rest, log),
                        normalised(r, m, inverse, rest, log),
                        normalised(o, m, inverse, rest, log),
                    )
                    ptx.store128(y, uint32(first + j), made)
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    index = uint32(first + j)
                    y[index] = normalised(x[index], m, inverse, rest, log)
                    j = uint32(j + threads)
            row = uint32(row + step)

    return softmax_rows


def summing(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel of log sum exp in one form: see cuda/rows.py."""
    place, peak, whole = places(warps), peaks(kind, vector, warps), joining(added, warps)

    @cuda.jit
    def logsumexp_rows(x, n, c, y):
        """Write log sum exp of n rows of c elements.

        With infinity among them it is that, but for a NaN, which the sum of exponentials, NaN
        either way, does not tell.
        """
        held = cuda.shared.array(HELD, kind)
        row, step, t, threads = place()
        while row < n:
            first = uint32(row * c)
            m, s = peak(x, first, c, t, threads, held)
            found = m + math.log1p(s)
            if m == kind(np.inf):
                found = m
                j = t
                while j < c:
                    v = x[uint32(first + j)]
                    if v != v:
                        found = v
                    j = uint32(j + threads)
                found, _ = whole(found, m, held)
            if t == 0:
                y[row] = found
            row = uint32(row + step)

    return logsumexp_rows


def held_summing(form: Form) -> Any:
    """Return the kernel of log sum exp of rows held in registers."""
    read, place, shares = reading(form), places(form.warps), held_shares(form)
    unknown = folding(unknown_of, plus, form.numbers)
    whole = joining(added, form.warps)
    kind, width = form.kind, form.width

    @cuda.jit
    def logsumexp_held(x, n, c, y):
        """Write log sum exp of n rows of c elements; of infinities see `logsumexp_rows`."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, _ = place()
        while row < n:
            v = read(x, uint32(row * c), uint32(t * uint32(width)), c, kind(-np.inf))
            m, s, _ = shares(v, held)
            found = m + math.log1p(s)
            if m == kind(np.inf):
                rest, _ = whole(unknown(v, v, 0), kind(0), held)
                found = m + rest
            if t == 0:
                y[row] = found
            row = uint32(row + step)

    return logsumexp_held


# ---------------------------------------------------------------- backward
@cuda.jit(device=True)
def weighed(g, y, log):
    """Return what a gradient's total adds: g, or g y for softmax."""
    return g if log else g * y


@cuda.jit(device=True)
def log_gradient(g, y, total, none):
    """Return dx of log-softmax from the row's sum of dy."""
    if y > like(y, -0.65):  # near p = 1 the difference cancels
        return (g - total) - math.expm1(y) * total
    return g - math.exp(y) * total


@cuda.jit(device=True)
def plain_gradient(g, y, total, none):
    """Return dx of softmax from the row's sum of dy y."""
    return y * (g - total)


@cuda.jit(device=True)
def gradient(g, y, total, log):
    """Return dx of an element of either."""
    return log_gradient(g, y, total, log) if log else plain_gradient(g, y, total, log)


def held_backward(form: Form) -> Any:
    """Return the kernel of the gradients of rows held in registers."""
    read, write, place = reading(form), writing(form), places(form.warps)
    sum_, whole = folding(weighed, plus, form.numbers), joining(added, form.warps)
    plain, logs = mapping(plain_gradient, form.numbers), mapping(log_gradient, form.numbers)
    kind, width = form.kind, form.width

    @cuda.jit
    def softmax_gradient_held(dy, y, log, n, c, dx):
        """Write the gradient of softmax, or of log-softmax, from its result y."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, _ = place()
        j = uint32(t * uint32(width))
        while row < n:
            first = uint32(row * c)
            g, v = read(dy, first, j, c, kind(0)), read(y, first, j, c, kind(0))
            total, _ = whole(sum_(g, v, log), kind(0), held)
            if log:
                g = logs(g, v, total, 0)
            else:
                g = plain(g, v, total, 0)
            write(dx, first, j, c, g)
            row = uint32(row + step)

    return softmax_gradient_held


def backward_of(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel of the gradients in one form: see cuda/rows.py."""
    place, whole = places(warps), joining(added, warps)

    @cuda.jit
    def softmax_gradient(dy, y, log, n, c, dx):
        """Write the gradient of softmax, or of log-softmax, from its result y."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, threads = place()
        while row < n:
            first = uint32(row * c)
            total = kind(0)
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    g, v = ptx.load128(dy, uint32(first + j)), ptx.load128(y, uint32(first + j))
                    left = weighed(g[0], v[0], log) + weighed(g[1], v[1], log)
                    total += left + (weighed(g[2], v[2], log) + weighed(g[3], v[3], log))
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    total += weighed(dy[uint32(first + j)], y[uint32(first + j)], log)
                    j = uint32(j + threads)
            total, _ = whole(total, kind(0), held)
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    g, v = ptx.load128(dy, uint32(first + j)), ptx.load128(y, uint32(first + j))
                    made = (
                        gradient(g[0], v[0], total, log),
                        gradient(g[1], v[1], total, log),
                        gradient(g[2], v[2], total, log),
                        gradient(g[3], v[3], total, log),
                    )
                    ptx.store128(dx, uint32(first + j), made)
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    index = uint32(first + j)
                    dx[index] = gradient(dy[index], y[index], total, log)
                    j = uint32(j + threads)
            row = uint32(row + step)

    return softmax_gradient


FORWARD = HeldRows(held_forward, forward_of)
SUMMING = HeldRows(held_summing, summing)
BACKWARD = HeldRows(held_backward, backward_of)


def going(log: int) -> CudaKernel:
    """Return the CUDA kernel of softmax, or of log-softmax where log is not 0: x, y: (N, C)."""

    def cuda_kernel(x: DeviceArray, y: DeviceArray) -> None:
        n, c = x.shape
        if x.size:
            FORWARD(n, c, (x, y), flat(x), np.int32(log), *sizes(n, c), flat(y))

    return cuda_kernel


def coming(log: int) -> CudaKernel:
    """Return the CUDA kernel of the gradient of softmax or log-softmax: dy, y, dx: (N, C)."""

    def cuda_kernel(dy: DeviceArray, y: DeviceArray, dx: DeviceArray) -> None:
        n, c = dx.shape
        if dx.size:
            BACKWARD(n, c, (dy, y, dx), flat(dy), flat(y), np.int32(log), *sizes(n, c), flat(dx))

    return cuda_kernel


def logsumexp(x: DeviceArray, y: DeviceArray) -> None:
    """Compute y: (N,) = log sum exp of the rows of x: (N, C), -inf where C = 0."""
    n, c = x.shape
    if n and c:
        SUMMING(n, c, (x,), flat(x), *sizes(n, c), y)
    elif n:
        y.target.write(y, -np.inf)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "softmax": going(0),
    "log_softmax": going(1),
    "logsumexp": logsumexp,
    "softmax_backward": coming(0),
    "log_softmax_backward": coming(1),
}
CHECKS: tuple[Check, ...] = (
    *FORWARD.checks("softmax", lambda k: (k[::1], int32, uint32, uint32, k[::1]), registers=128),
    *SUMMING.checks(
        "logsumexp",
        lambda k: (k[::1], uint32, uint32, k[::1]),
        opcodes=("LDG.E.128",),
        registers=96,
    ),
    *BACKWARD.checks(
        "softmax_backward",
        lambda k: (k[::1], k[::1], int32, uint32, uint32, k[::1]),
        registers=128,
    ),
)
