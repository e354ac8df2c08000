"""What variance, norm, logsumexp and the gradients of reductions need of groups of elements.

A group is x[a, :, b]; m and c hold one number for each:

    square_sum: y = sum (x - m)^2           tie_count: y = how many x equal m
    spread_centred: dx = c * (x - m)        spread_ties: dx = c where x equals m, else 0
    spread_unit: dx = c * x / m, 0 where m = 0        spread_exp: dx = c * exp(x - m)
    prod_backward: dx = dy * the product of the others in the group, exact where some are 0

NaN equals NaN among ties.

Shapes: x, dx: (A, R, B), m, c, y, dy: (A, B), all C-contiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.exponential import exponential
from minigrad_kernels.fold import fold, spread
from minigrad_kernels.launch import PARALLEL, Kernel, jit, like

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- references
def ties(x: Array, m: Array) -> Array:
    m = m[:, None]
    return (x == m) | ((x != x) & (m != m))


def square_sum_reference(x: Array, m: Array, y: Array) -> None:
    y[...] = ((x.astype(np.float64) - m[:, None]) ** 2).sum(axis=1)


def tie_count_reference(x: Array, m: Array, y: Array) -> None:
    y[...] = ties(x, m).sum(axis=1)


def spread_centred_reference(c: Array, m: Array, x: Array, dx: Array) -> None:
    dx[...] = c[:, None].astype(np.float64) * (x.astype(np.float64) - m[:, None])


def spread_unit_reference(c: Array, m: Array, x: Array, dx: Array) -> None:
    with np.errstate(all="ignore"):
        ratio = np.where(m == 0, 0, c.astype(np.float64) / m)
        dx[...] = ratio[:, None] * x


def spread_ties_reference(c: Array, m: Array, x: Array, dx: Array) -> None:
    dx[...] = np.where(ties(x, m), c[:, None], 0)


def spread_exp_reference(c: Array, m: Array, x: Array, dx: Array) -> None:
    with np.errstate(all="ignore"):
        dx[...] = c[:, None] * np.exp(x.astype(np.float64) - m[:, None])


def prod_backward_reference(dy: Array, y: Array, x: Array, dx: Array) -> None:
    wide = x.astype(np.float64)
    for r in range(x.shape[1]):
        dx[:, r] = dy * np.delete(wide, r, axis=1).prod(axis=1)


# ---------------------------------------------------------------- rules
@jit(fastmath={"contract", "reassoc"})
def squared(x, m):
    return (x - m) * (x - m)


@jit()
def equal(x, m):
    return (x == m) | ((x != x) & (m != m))


@jit(fastmath={"reassoc"})
def tie(x, m):
    return like(x, 1.0) if equal(x, m) else like(x, 0.0)


@jit(fastmath={"contract"})
def centred(c, m, x):
    return c * (x - m)


@jit()
def unit(c, m, x):
    return x * (c / m if m != 0 else like(x, 0.0))


@jit()
def where_tied(c, m, x):
    return c if equal(x, m) else like(x, 0.0)


@jit()
def exponentiated(c, m, x):
    return c * exponential(x - m)


@jit()
def divided(c, m, x):
    return c * (m / x)


square_sum = fold("square_sum", squared)
tie_count = fold("tie_count", tie)


# ---------------------------------------------------------------- the product's gradient
@jit()
def others(dy, x, first, step, count, dx):
    """Multiply what stands before each element with what stands after it: no division."""
    before = x.dtype.type(1)
    for r in range(count):
        dx[first + r * step] = before
        before *= x[first + r * step]
    after = dy
    for r in range(count - 1, -1, -1):
        dx[first + r * step] *= after
        after *= x[first + r * step]


def exact(dy, y, x, reduced, inner, least, most, dx):
    """Do again the groups whose product has lost its digits: 0, tiny, infinite or NaN."""
    for group in prange(y.size):
        size = abs(y[group])
        if not (least <= size <= most):
            first = group // inner * reduced * inner + group % inner
            others(dy[group], x, first, inner, reduced, dx)


exact_small = jit(name="groups.exact.small")(exact)
exact_large = jit(name="groups.exact.large", parallel=True)(exact)
divide = spread("prod", divided)


def prod_backward(dy: Array, y: Array, x: Array, dx: Array) -> None:
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
        cpu(x, m, *x.shape, y)

    return run


def spreading(name: str, rule: Any) -> Callable[..., None]:
    """Return the CPU column of a rule of (c, m, x)."""
    cpu = spread(name, rule)

    def run(c: Array, m: Array, x: Array, dx: Array) -> None:
        cpu(c, m, x, *x.shape, dx)

    return run


def cost(flops: int) -> Callable[..., tuple[int, int]]:
    """Return a cost function: every array is moved once."""
    return lambda *args: (flops * max(a.size for a in args), sum(a.nbytes for a in args))


def backward(reference: Callable[..., None], cpu: Callable[..., None], flops: int) -> Kernel:
    return Kernel(reference, cpu, cost(flops), out=("dx",))


KERNELS = {
    "square_sum": Kernel(square_sum_reference, folding(square_sum), cost(3)),
    "tie_count": Kernel(tie_count_reference, folding(tie_count), cost(2)),
    "spread_centred": backward(spread_centred_reference, spreading("centred", centred), 2),
    "spread_unit": backward(spread_unit_reference, spreading("unit", unit), 1),
    "spread_ties": backward(spread_ties_reference, spreading("ties", where_tied), 1),
    "spread_exp": backward(spread_exp_reference, spreading("exp", exponentiated), 20),
    "prod_backward": backward(prod_backward_reference, prod_backward, 3),
}
