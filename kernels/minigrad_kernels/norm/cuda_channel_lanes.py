"""Steps of the kernels over channels on one element, or on four side by side, as tuples."""

from __future__ import annotations

from numba import cuda

from minigrad_kernels.cuda import ptx
from minigrad_kernels.math.scalar import like


# ---------------------------------------------------------------- access
@cuda.jit(device=True)
def load(a, index):
    """Return the element at an index, in a tuple."""
    return (a[index],)


@cuda.jit(device=True)
def store(a, index, values):
    """Write the one element of a tuple at an index."""
    a[index] = values[0]


@cuda.jit(device=True)
def of_channel(a, channel, rows):
    """Return what belongs to a channel, in a tuple."""
    return (a[channel],)


@cuda.jit(device=True)
def of_channel_4(a, channel, rows):
    """Return what belongs to four elements: four channels of a row, or one channel's four times."""
    if rows:
        return ptx.load128(a, channel)
    v = a[channel]
    return v, v, v, v


# ---------------------------------------------------------------- sums
@cuda.jit(device=True)
def squares_of_four(held, a, b, c, d, share, both):
    """Merge four elements into (mean, spread); share: 4 of all, both: the others' part of it."""
    m = ((a + b) + (c + d)) * like(a, 0.25)
    p, q, r, s = a - m, b - m, c - m, d - m
    far = m - held[0]
    spread = cuda.fma(p, p, cuda.fma(q, q, cuda.fma(r, r, s * s)))
    return cuda.fma(far, share, held[0]), held[1] + cuda.fma(far * far, both, spread)


@cuda.jit(device=True)
def square_of_one(held, a, share, both):
    """Merge one element into (mean, spread), as `squares_of_four` does four."""
    far = a - held[0]
    return cuda.fma(far, share, held[0]), cuda.fma(far * far, both, held[1])


@cuda.jit(device=True)
def product_of_one(held, g, x, mean):
    """Add g and g (x - mean) to the two sums held."""
    return held[0] + g, cuda.fma(g, x - mean, held[1])


@cuda.jit(device=True)
def nothing(zero):
    """Return the sums of no elements, for one lane."""
    return ((zero, zero),)


@cuda.jit(device=True)
def nothing_4(zero):
    """Return the sums of no elements, for four lanes."""
    return (zero, zero), (zero, zero), (zero, zero), (zero, zero)


@cuda.jit(device=True)
def squares(held, a, b, c, d, share, both):
    """Merge four steps of one lane into its (mean, spread)."""
    return (squares_of_four(held[0], a[0], b[0], c[0], d[0], share, both),)


@cuda.jit(device=True)
def squares_4(held, a, b, c, d, share, both):
    """Merge four steps of four lanes into their (mean, spread)."""
    return (
        squares_of_four(held[0], a[0], b[0], c[0], d[0], share, both),
        squares_of_four(held[1], a[1], b[1], c[1], d[1], share, both),
        squares_of_four(held[2], a[2], b[2], c[2], d[2], share, both),
        squares_of_four(held[3], a[3], b[3], c[3], d[3], share, both),
    )


@cuda.jit(device=True)
def square(held, a, share, both):
    """Merge one step of one lane into its (mean, spread)."""
    return (square_of_one(held[0], a[0], share, both),)


@cuda.jit(device=True)
def square_4(held, a, share, both):
    """Merge one step of four lanes into their (mean, spread)."""
    return (
        square_of_one(held[0], a[0], share, both),
        square_of_one(held[1], a[1], share, both),
        square_of_one(held[2], a[2], share, both),
        square_of_one(held[3], a[3], share, both),
    )


@cuda.jit(device=True)
def product(held, g, x, mean):
    """Add one step of one lane to its sums of g and g (x - mean)."""
    return (product_of_one(held[0], g[0], x[0], mean[0]),)


@cuda.jit(device=True)
def product_4(held, g, x, mean):
    """Add one step of four lanes to their sums of g and g (x - mean)."""
    return (
        product_of_one(held[0], g[0], x[0], mean[0]),
        product_of_one(held[1], g[1], x[1], mean[1]),
        product_of_one(held[2], g[2], x[2], mean[2]),
        product_of_one(held[3], g[3], x[3], mean[3]),
    )


# ---------------------------------------------------------------- over the elements
@cuda.jit(device=True)
def affine(x, m, a, b):
    """Return (x - m) a + b of one lane."""
    return (cuda.fma(x[0] - m[0], a[0], b[0]),)


@cuda.jit(device=True)
def affine_4(x, m, a, b):
    """Return (x - m) a + b of four lanes."""
    return (
        cuda.fma(x[0] - m[0], a[0], b[0]),
        cuda.fma(x[1] - m[1], a[1], b[1]),
        cuda.fma(x[2] - m[2], a[2], b[2]),
        cuda.fma(x[3] - m[3], a[3], b[3]),
    )


@cuda.jit(device=True)
def slope_of(g, x, m, a, b, k):
    """Return a (g - b - (x - m) k) of one element."""
    return a * cuda.fma(m - x, k, g - b)


@cuda.jit(device=True)
def slopes(g, x, m, a, b, k):
    """Return a (g - b - (x - m) k) of one lane."""
    return (slope_of(g[0], x[0], m[0], a[0], b[0], k[0]),)


@cuda.jit(device=True)
def slopes_4(g, x, m, a, b, k):
    """Return a (g - b - (x - m) k) of four lanes."""
    return (
        slope_of(g[0], x[0], m[0], a[0], b[0], k[0]),
        slope_of(g[1], x[1], m[1], a[1], b[1], k[1]),
        slope_of(g[2], x[2], m[2], a[2], b[2], k[2]),
        slope_of(g[3], x[3], m[3], a[3], b[3], k[3]),
    )
