"""Sums of products over the middle of x and z, both seen as (A, R, B): y = sum_r x z.

The gradient of a product towards an operand that was broadcast is such a sum: the product itself is
never written out.  A product is rounded to x's type, and the sums are float64 and rounded once, as
where both are computed one after the other.

Shapes: x, z: (A, R, B), y: (A, B), all C-contiguous.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.example import Example, Rng, normal, unwritten
from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import PARALLEL, SUMS, Kernel
from minigrad_kernels.reduce.kernels import (
    DOWN,
    MOST,
    SUM,
    UP,
    WIDE,
    finished,
    merge,
    suspect,
    tasks_of,
)
from minigrad_kernels.simd.memory import flat, part
from minigrad_kernels.simd.registers import address
from minigrad_kernels.simd.wide import full_width

Array = np.ndarray[Any, Any]


def sum_products_reference(x: Array, z: Array, y: Array) -> None:
    """Compute y = the sums of x z over axis 1, products in x's type, sums in extended precision."""
    y[...] = (x * z).astype(np.longdouble).sum(axis=1)


@jit(fastmath={"reassoc"})
def run(x, p, q, count):
    """Return the sum in float64 of the products of `count` elements from addresses p and q on.

    x: for its dtype.
    """
    full_width()
    total = 0.0
    for i in range(count):
        total += np.float64(load_at(p, i, x, 0) * load_at(q, i, x, 0))
    return total


@jit()
def few(x, p, q, step, count, sums, n):
    """Add the products of `count` rows of n elements, 4 or 1, `step` bytes apart, to the sums."""
    full_width()
    out = address(sums)
    if count == 4:
        p1, p2, p3 = p + step, p + 2 * step, p + 3 * step
        q1, q2, q3 = q + step, q + 2 * step, q + 3 * step
        for b in range(n):
            early = np.float64(load_at(p, b, x, 0) * load_at(q, b, x, 0))
            early += np.float64(load_at(p1, b, x, 0) * load_at(q1, b, x, 0))
            late = np.float64(load_at(p2, b, x, 0) * load_at(q2, b, x, 0))
            late += np.float64(load_at(p3, b, x, 0) * load_at(q3, b, x, 0))
            store_at(out, b, load_at(out, b, sums, 5) + (early + late), 5)
    else:
        for b in range(n):
            product = np.float64(load_at(p, b, x, 0) * load_at(q, b, x, 0))
            store_at(out, b, load_at(out, b, sums, 5) + product, 5)


@jit()
def rows(x, p, q, count, inner, total):
    """Add up the products of `count` rows from addresses p and q on into total: (inner,)."""
    step = inner * x.itemsize
    for left in range(0, inner, WIDE):
        n = min(inner - left, WIDE)
        sums = part(total, left, left + n)
        for b in range(n):
            sums[b] = 0
        first, second = p + left * x.itemsize, q + left * x.itemsize
        done = 0
        while done < count:
            together = 4 if done + 4 <= count else 1
            few(x, first, second, step, together, sums, n)
            first += together * step
            second += together * step
            done += together


@jit()
def again(x, z, first, step, count, found):
    """Add up one group again, scaled so that nothing overflows on the way."""
    top = 0.0
    for i in range(first, first + count * step, step):
        size = abs(x[i] * z[i])
        if not size <= MOST:
            return found  # an infinity or a NaN: what was found is right
        top = max(top, size)
    scale = DOWN if top > 1.0 else UP
    total = 0.0
    for i in range(first, first + count * step, step):
        total += x[i] * z[i] * scale
    return finished(total, 1.0, SUM, scale)


def whole(left, right, result):
    """Write the sums of all groups."""
    outer, reduced, inner = left.shape
    x, z, y = flat(left), flat(right), flat(result)
    parts, each = tasks_of(reduced, inner)
    partial = np.empty(outer * parts * inner, np.float64)
    for task in prange(outer * parts):
        a = task // parts
        first = (task % parts) * each
        count = min(reduced - first, each)
        offset = (a * reduced + first) * inner * x.itemsize
        p, q = address(x) + offset, address(z) + offset
        if inner == 1:
            partial[task] = run(x, p, q, count)
        else:
            rows(x, p, q, count, inner, part(partial, task * inner, (task + 1) * inner))
    merge(partial, parts, inner, y.size, 1.0, SUM, y)
    if x.itemsize == 8:
        for group in range(y.size):
            if suspect(partial[group // inner * parts * inner + group % inner], SUM):
                first = group // inner * reduced * inner + group % inner
                y[group] = again(x, z, first, inner, reduced, y[group])


small, large = small_and_large("products.sum", whole)


def sum_products_cpu(x: Array, z: Array, y: Array) -> None:
    """Compute y = the sums of x z over axis 1, on one thread or on all, by x's size."""
    if y.size:
        (small if x.size < PARALLEL else large)(x, z, y)


def cost(x: Array, z: Array, y: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `sum_products`."""
    return 2 * x.size, 2 * x.nbytes + y.nbytes


def example(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return x, z and y."""
    return normal(rng, dtype, o, r, i), normal(rng, dtype, o, r, i), unwritten(dtype, o, i)


KERNELS = {
    "sum_products": Kernel(
        sum_products_reference,
        sum_products_cpu,
        cost,
        example=Example(example, "OxRxI", cancels=True),
        rounding=SUMS,
    ),
}
