"""CUDA kernels of softmax, log-softmax and logsumexp, and of their gradients.

A row is read from memory for its largest element, and from the cache for the sum of exponentials
about it, one an element, and to be written.
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
from minigrad_kernels.cuda.rows import HELD, Rows, added, joining, places, sizes, topping
from minigrad_kernels.math.scalar import like


@cuda.jit(device=True)
def share(x, m):
    """Return exp(x - m), 0 where that is 1 by x being the maximum."""
    return like(x, 0) if x == m else math.exp(x - m)


@cuda.jit(device=True)
def tie(x, m):
    """Return 1 where x is the maximum, else 0."""
    return like(x, 1) if x == m else like(x, 0)


def peaks(kind: Any, vector: bool, warps: int) -> Any:
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


# ---------------------------------------------------------------- forward
@cuda.jit(device=True)
def normalised(x, m, inverse, rest, log):
    """Return softmax or log-softmax of an element, from 1 / s and log s."""
    return (x - m) - rest if log else math.exp(x - m) * inverse


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


# ---------------------------------------------------------------- backward
@cuda.jit(device=True)
def weighed(g, y, log):
    """Return what a gradient's total adds: g, or g y for softmax."""
    return g if log else g * y


@cuda.jit(device=True)
def gradient(g, y, total, log):
    """Return dx of an element from the row's sum of dy, or of dy y."""
    if log and y > like(y, -0.65):  # near p = 1 the difference cancels
        return (g - total) - math.expm1(y) * total
    return g - math.exp(y) * total if log else y * (g - total)


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


FORWARD, SUMMING, BACKWARD = Rows(forward_of), Rows(summing), Rows(backward_of)


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
    *FORWARD.checks("softmax", lambda k: (k[::1], int32, uint32, uint32, k[::1])),
    *SUMMING.checks(
        "logsumexp", lambda k: (k[::1], uint32, uint32, k[::1]), opcodes=("LDG.E.128",)
    ),
    *BACKWARD.checks("softmax_backward", lambda k: (k[::1], k[::1], int32, uint32, uint32, k[::1])),
)
