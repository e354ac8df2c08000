"""Mean and variance of a contiguous run of memory, and the sums that their gradient needs.

Two passes over a segment that stays in first-level cache, never E[x^2] - E[x]^2; Chan's formula
merges the segments in order in float64: a mean of 1e4 beside unit variance is right in float32.
"""

from __future__ import annotations

import numpy as np

from minigrad_kernels.launch import jit

SEGMENT = 1_024  # elements summed at a time in their own type: 4 KB


@jit()
def merge(mean, square, count, m, q, n):
    """Add n values of mean m and squared deviations q to count values of (mean, square)."""
    share = n / (count + n)
    apart = m - mean
    return mean + apart * share, square + q + apart * apart * count * share


@jit(fastmath={"contract", "reassoc"})
def segment_moments(x):
    """Return the mean of x: (n,) and the sum of squares about it, as float64."""
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    mean = total / x.dtype.type(x.size)
    rest = x.dtype.type(0)
    square = x.dtype.type(0)
    for i in range(x.size):
        d = x[i] - mean
        rest += d
        square += d * d
    left = np.float64(rest)  # what rounding took from the mean
    return np.float64(mean) + left / x.size, np.float64(square) - left * left / x.size


@jit()
def moments(x):
    """Return the mean of x: (n,) and the sum of squared deviations, as float64."""
    mean = 0.0
    square = 0.0
    for first in range(0, x.size, SEGMENT):
        segment = x[first : first + SEGMENT]
        m, q = segment_moments(segment)
        mean, square = merge(mean, square, first, m, q, segment.size)
    return mean, square


@jit(fastmath={"contract", "reassoc"})
def centred_sums(dy, x, mean):
    """Return sum dy and sum dy * (x - mean)."""
    total = x.dtype.type(0)
    product = x.dtype.type(0)
    for i in range(x.size):
        total += dy[i]
        product += dy[i] * (x[i] - mean)
    return total, product
