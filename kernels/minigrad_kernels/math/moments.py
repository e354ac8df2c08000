"""Sums over a contiguous run of memory: its mean and variance, and what their gradient needs.

Two passes over a segment that stays in first-level cache, never E[x^2] - E[x]^2; Chan's formula
merges the segments in order in float64: a mean of 1e4 beside unit variance is right in float32.
Every sum has four registers of partial sums, so that a float32 one of a segment is a tree of short
chains; the order depends on the size alone.

`x` gives the type; `at` and the like are addresses.
"""

from __future__ import annotations

import numpy as np

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.simd.lanes import first, fma, load, splat, total, width
from minigrad_kernels.simd.registers import VECTOR_BYTES, address

SEGMENT = 4_096  # elements summed at a time in their own type: 16 KB
STEP = 4 * VECTOR_BYTES


@jit()
def merge(mean, square, count, m, q, n):
    """Add n values of mean m and squared deviations q to count values of (mean, square)."""
    share = n / (count + n)
    apart = m - mean
    return mean + apart * share, square + q + apart * apart * count * share


@jit(inline="always")
def sum_at(x, at, n):
    """Return the sum of n elements."""
    lanes = width(x)
    a = b = c = d = splat(x.dtype.type(0))
    rest = n % (4 * lanes)
    for _ in range(n // (4 * lanes)):
        a = a + load(x, at, lanes)
        b = b + load(x, at + VECTOR_BYTES, lanes)
        c = c + load(x, at + 2 * VECTOR_BYTES, lanes)
        d = d + load(x, at + 3 * VECTOR_BYTES, lanes)
        at += STEP
    for k in range(0, rest, lanes):
        a = a + load(x, at, rest - k)
        at += VECTOR_BYTES
    return total((a + b) + (c + d))


@jit(inline="always")
def deviations_at(x, at, n, centre):
    """Return the sum of x - centre over n elements, and of its square."""
    lanes = width(x)
    m = splat(centre)
    a = b = c = d = splat(x.dtype.type(0))
    e = f = g = h = a
    rest = n % (4 * lanes)
    for _ in range(n // (4 * lanes)):
        p = load(x, at, lanes) - m
        q = load(x, at + VECTOR_BYTES, lanes) - m
        r = load(x, at + 2 * VECTOR_BYTES, lanes) - m
        s = load(x, at + 3 * VECTOR_BYTES, lanes) - m
        a = a + p
        b = b + q
        c = c + r
        d = d + s
        e = fma(p, p, e)
        f = fma(q, q, f)
        g = fma(r, r, g)
        h = fma(s, s, h)
        at += STEP
    for k in range(0, rest, lanes):
        p = first(load(x, at, rest - k) - m, rest - k)
        a = a + p
        e = fma(p, p, e)
        at += VECTOR_BYTES
    return total((a + b) + (c + d)), total((e + f) + (g + h))


@jit(inline="always")
def segment_moments(x, at, n):
    """Return the mean of n elements and the sum of squares about it, as float64."""
    inverse = 1 / np.float64(n)
    centre = x.dtype.type(sum_at(x, at, n) * inverse)
    rest, square = deviations_at(x, at, n, centre)
    left = np.float64(rest)  # what rounding took from the mean
    share = left * inverse
    return np.float64(centre) + share, np.float64(square) - left * share


@jit()
def moments_at(x, at, n):
    """Return the mean of n elements and the sum of their squared deviations, as float64."""
    if n <= SEGMENT:
        return segment_moments(x, at, n)
    mean = 0.0
    square = 0.0
    for begin in range(0, n, SEGMENT):
        size = min(SEGMENT, n - begin)
        m, q = segment_moments(x, at, size)
        mean, square = merge(mean, square, begin, m, q, size)
        at += 4 * SEGMENT if width(x) * 4 == VECTOR_BYTES else 8 * SEGMENT
    return mean, square


@jit()
def moments(x):
    """Return the mean of x: (n,) contiguous and the sum of squared deviations, as float64."""
    return moments_at(x, address(x), x.size)


@jit(inline="always")
def products_at(x, dy_at, x_at, n, mean):
    """Return the sum of dy over n elements, and of dy * (x - mean)."""
    lanes = width(x)
    m = splat(mean)
    a = b = c = d = splat(x.dtype.type(0))
    rest = n % (2 * lanes)
    for _ in range(n // (2 * lanes)):
        g = load(x, dy_at, lanes)
        h = load(x, dy_at + VECTOR_BYTES, lanes)
        a = a + g
        b = b + h
        c = fma(g, load(x, x_at, lanes) - m, c)
        d = fma(h, load(x, x_at + VECTOR_BYTES, lanes) - m, d)
        dy_at += 2 * VECTOR_BYTES
        x_at += 2 * VECTOR_BYTES
    for k in range(0, rest, lanes):
        g = load(x, dy_at, rest - k)
        a = a + g
        c = fma(g, load(x, x_at, rest - k) - m, c)
        dy_at += VECTOR_BYTES
        x_at += VECTOR_BYTES
    return total(a + b), total(c + d)
