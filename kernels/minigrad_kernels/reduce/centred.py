"""Variance, norm, ties and the gradients of reductions, over groups of elements.

A group is x[a, :, b]; m and c hold one number for each:

    norm: y = sqrt(sum x^2)                 tie_count: y = how many x equal m
    variance: mean = sum x / R, y = sum (x - mean)^2 / divisor, or its root where `root` is 1
    expand_centred: dx = c * (x - m)        expand_ties: dx = c where x equals m, else 0
    expand_unit: dx = c * x / m, 0 where m = 0        expand_exp: dx = c * exp(x - m)
    prod_backward: dx = dy * the product of the others in the group, exact where some are 0

NaN equals NaN among ties.  norm and variance are computed in float64 and rounded once, into y of
either type: reduce/kernels.py says how float64 itself is kept from overflow.

Shapes: x, dx: (A, R, B), mean, m, c, y, dy: (A, B), all C-contiguous; mean, and the m and c of
centred, unit and exp: float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit, like
from minigrad_kernels.kernel import PARALLEL, Kernel
from minigrad_kernels.math.exponential import exponential
from minigrad_kernels.reduce.kernels import ROOT, SQUARES, expand_over_groups, fold
from minigrad_kernels.reduce.sums import NOTHING, ROUNDED, fold_sum

Array = np.ndarray[Any, Any]
HUGE, TINY = 2.0**600, 2.0**-600


# ---------------------------------------------------------------- references
def ties(x: Array, m: Array) -> Array:
    """Return where x: (A, R, B) equals m: (A, B), NaN equal to NaN."""
    m = m[:, None]
    return (x == m) | ((x != x) & (m != m))


def scaled(x: Array, m: Array) -> tuple[Array, Array]:
    """Return x - m of each group in extended precision over its largest, and that."""
    wide = x.astype(np.longdouble) - m[:, None]
    top = np.abs(wide).max(axis=1, initial=0)
    top = np.where((top > 0) & np.isfinite(top), top, 1)
    return wide / top[:, None], top


def norm_reference(x: Array, y: Array) -> None:
    """Compute y = sqrt(sum x^2) of each group, in extended precision."""
    shares, top = scaled(x, np.zeros(y.shape))
    y[...] = np.sqrt((shares * shares).sum(axis=1)) * top


def variance_reference(x: Array, divisor: float, root: int, mean: Array, y: Array) -> None:
    """Compute mean and y of each group, in extended precision."""
    with np.errstate(all="ignore"):
        exact = x.astype(np.longdouble).sum(axis=1) / x.shape[1]
        shares, top = scaled(x, exact)
        spread = (shares * shares).sum(axis=1) / divisor
        mean[...] = exact
        y[...] = np.sqrt(spread) * top if root else spread * top * top


def tie_count_reference(x: Array, m: Array, y: Array) -> None:
    """Compute y = how many elements of each group equal m."""
    y[...] = ties(x, m).sum(axis=1)


def expand_centred_reference(c: Array, m: Array, x: Array, dx: Array) -> None:
    """Compute dx = c * (x - m) in float64."""
    dx[...] = c[:, None].astype(np.float64) * (x.astype(np.float64) - m[:, None])


def expand_unit_reference(c: Array, m: Array, x: Array, dx: Array) -> None:
    """Compute dx = c * x / m, 0 where m is 0, in extended precision."""
    with np.errstate(all="ignore"):
        ratio = np.where(m == 0, 0, c.astype(np.longdouble) / m)
        dx[...] = ratio[:, None] * x


def expand_ties_reference(c: Array, m: Array, x: Array, dx: Array) -> None:
    """Compute dx = c where x equals m, else 0."""
    dx[...] = np.where(ties(x, m), c[:, None], 0)


def expand_exp_reference(c: Array, m: Array, x: Array, dx: Array) -> None:
    """Compute dx = c * exp(x - m) in float64."""
    with np.errstate(all="ignore"):
        dx[...] = c[:, None] * np.exp(x.astype(np.float64) - m[:, None])


def prod_backward_reference(dy: Array, y: Array, x: Array, dx: Array) -> None:
    """Compute dx = dy * the product of the others in the group, in float64."""
    wide = x.astype(np.float64)
    for r in range(x.shape[1]):
        dx[:, r] = dy * np.delete(wide, r, axis=1).prod(axis=1)


# ---------------------------------------------------------------- rules
@jit(fastmath={"contract", "reassoc"})
def squared(x, m):
    """Return (x - m)^2."""
    return (x - m) * (x - m)


@jit(fastmath={"contract", "reassoc"})
def apart(x, m):
    """Return x - m."""
    return x - m


@jit()
def equal(x, m):
    """Return whether x equals m, NaN equal to NaN."""
    return (x == m) | ((x != x) & (m != m))


@jit(fastmath={"reassoc"})
def tie(x, m):
    """Return 1 where x equals m, else 0."""
    return like(x, 1.0) if equal(x, m) else like(x, 0.0)


@jit(fastmath={"contract"})
def centred(c, m, x):
    """Return c (x - m)."""
    return like(x, c * (x - m))


@jit()
def unit(c, m, x):
    """Return c x / m, 0 where m is 0."""
    up = HUGE if m < TINY else 1.0  # c over the smallest norms would overflow
    return like(x, x * up * (c / (m * up) if m != 0 else 0.0))


@jit()
def where_tied(c, m, x):
    """Return c where x equals m, else 0."""
    return c if equal(x, m) else like(x, 0.0)


@jit()
def exponentiated(c, m, x):
    """Return c e^(x - m)."""
    return like(x, c * exponential(like(x, x - m)))


@jit()
def divided(c, m, x):
    """Return c m / x."""
    return like(x, c * (np.float64(m) / x))


square_sum = fold("square_sum", squared)
left_sum = fold("left_sum", apart)
tie_count = fold("tie_count", tie)


# ---------------------------------------------------------------- the product's gradient
@jit()
def others(dy, x, first, step, count, dx):
    """Multiply what stands before each element with what stands after it: no division."""
    before = np.empty(count)
    product = 1.0
    for r in range(count):
        before[r] = product
        product *= np.float64(x[first + r * step])
    after = np.float64(dy)
    for r in range(count - 1, -1, -1):
        dx[first + r * step] = before[r] * after
        after *= np.float64(x[first + r * step])


def exact(dy, y, x, reduced, inner, least, most, dx):
    """Do again the groups whose product has lost its digits: 0, tiny, infinite or NaN."""
    for group in prange(y.size):
        size = abs(y[group])
        if not (least <= size <= most):
            first = group // inner * reduced * inner + group % inner
            others(dy[group], x, first, inner, reduced, dx)


exact_small, exact_large = small_and_large("groups.exact", exact)
divide = expand_over_groups("prod", divided)


def prod_backward(dy: Array, y: Array, x: Array, dx: Array) -> None:
    """Compute dx = dy * the product of the group's others, by division where that is exact."""
    _, reduced, inner = x.shape
    flat = [a.reshape(-1) for a in (dy, y, x)]
    divide(*flat, *x.shape, dx.reshape(-1))
    if x.size:
        run = exact_small if x.size < PARALLEL else exact_large
        limits = np.finfo(x.dtype)
        run(*flat, reduced, inner, limits.tiny, limits.max, dx.reshape(-1))


# ---------------------------------------------------------------- rows of the table
def folding(cpu: Callable[..., None]) -> Callable[..., None]:
    """Return `cpu` for arrays with their shapes."""

    def run(x: Array, m: Array, y: Array) -> None:
        """Fold x: (A, R, B) with m: (A, B) into y: (A, B)."""
        cpu(x, m, *x.shape, y)

    return run


def expanding(name: str, rule: Any) -> Callable[..., None]:
    """Return the CPU column of a rule of (c, m, x): see `expand_over_groups`."""
    cpu = expand_over_groups(name, rule)

    def run(c: Array, m: Array, x: Array, dx: Array) -> None:
        """Write dx: (A, R, B) from c, m: (A, B) and x: (A, R, B)."""
        cpu(c, m, x, *x.shape, dx)

    return run


def norm(x: Array, y: Array) -> None:
    """Compute y = sqrt(sum x^2) of each group, on the CPU."""
    square_sum(x, NOTHING[x.dtype], *x.shape, y, 1.0, ROOT)


def variance(x: Array, divisor: float, root: int, mean: Array, y: Array) -> None:
    """Compute mean and y of each group, on the CPU."""
    shape = x.shape
    n = float(shape[1])
    fold_sum(x, NOTHING[x.dtype], *shape, mean, n)
    square_sum(x, mean, *shape, y, divisor, ROOT if root else SQUARES)
    if x.itemsize == 8 and n:
        # What rounding took from the mean is nothing beside float32's elements.
        left = np.empty(mean.shape)
        left_sum(x, mean, *shape, left, n)
        with np.errstate(all="ignore"):
            more = left * (left * (n / np.float64(divisor)))
            square = y * y if root else y
            kept = np.maximum(square - more, 0)
            where = (square < np.inf) & (more > 1e-20 * kept)
            np.copyto(y, np.sqrt(kept) if root else kept, where=where)


def cost(flops: int) -> Callable[..., tuple[int, int]]:
    """Return a cost function: every array is moved once."""
    return lambda *args: (flops * max(a.size for a in args), sum(a.nbytes for a in args))


def variance_cost(x: Array, divisor: float, root: int, mean: Array, y: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `variance`."""
    return 4 * x.size, 2 * x.nbytes + mean.nbytes + y.nbytes


def gradient_kernel(reference: Callable[..., None], cpu: Callable[..., None], flops: int) -> Kernel:
    """Return the table's row of a gradient, which writes dx; flops: an element."""
    return Kernel(reference, cpu, cost(flops), out=("dx",))


KERNELS = {
    "norm": Kernel(norm_reference, norm, cost(2), rounding=ROUNDED),
    "variance": Kernel(
        variance_reference, variance, variance_cost, out=("mean", "y"), rounding=ROUNDED
    ),
    "tie_count": Kernel(tie_count_reference, folding(tie_count), cost(2)),
    "expand_centred": gradient_kernel(expand_centred_reference, expanding("centred", centred), 2),
    "expand_unit": gradient_kernel(expand_unit_reference, expanding("unit", unit), 1),
    "expand_ties": gradient_kernel(expand_ties_reference, expanding("ties", where_tied), 1),
    "expand_exp": gradient_kernel(expand_exp_reference, expanding("exp", exponentiated), 20),
    "prod_backward": gradient_kernel(prod_backward_reference, prod_backward, 3),
}
