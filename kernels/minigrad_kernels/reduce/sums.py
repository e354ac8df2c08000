"""Reductions over any axes: sum, mean, max, min, prod, cumsum, argmax, argmin.

y = reduce(x, axes), the reduced axes dropped.  NumPy's loops below `PARALLEL` elements and for
strides that no view makes plain; above, jitted ones over x seen as (outer, reduced, inner), whose
parts depend on the sizes alone.  cumsum keeps the axis, and adds from its end where `backwards`.

Shapes: x: any strides; axes: sorted tuple; y: x.shape without the axes, C-contiguous.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.elementwise.kernels import FLOATS
from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import CHUNK, EXACT, PARALLEL, Kernel, Rounding
from minigrad_kernels.reduce.kernels import SUM, fold, tasks_of
from minigrad_kernels.reduce.max_index import extreme_cpu, most_cpu
from minigrad_kernels.simd.memory import part
from minigrad_kernels.simd.registers import address

Array = np.ndarray[Any, Any]
Axes = tuple[int, ...]
WIDTH = 512  # columns of running sums in one task: its float64 row stays in first-level cache
RUN = 65_536  # elements of a running sum in one task
BLOCK = 64  # between two looks at what rounding took
LARGEST = 1.7976931348623157e308


# ---------------------------------------------------------------- references
def sum_reference(x: Array, axes: Axes, y: Array) -> None:
    """Compute y = the sums of x over the axes, in extended precision."""
    # NumPy adds along an outer axis one by one: float64 alone would be worse than the kernel.
    y[...] = np.add.reduce(x.astype(np.longdouble) if x.dtype in FLOATS else x, axis=axes)


def mean_reference(x: Array, axes: Axes, y: Array) -> None:
    """Compute y = the means of x over the axes, in extended precision."""
    count = math.prod([x.shape[axis] for axis in axes])
    with np.errstate(all="ignore"):
        y[...] = np.add.reduce(x.astype(np.longdouble), axis=axes) / count


def max_reference(x: Array, axes: Axes, y: Array) -> None:
    """Compute y = the largest elements of x over the axes; a NaN is larger than numbers."""
    y[...] = np.maximum.reduce(x, axis=axes)


def min_reference(x: Array, axes: Axes, y: Array) -> None:
    """Compute y = the smallest elements of x over the axes; a NaN is smaller than numbers."""
    y[...] = np.minimum.reduce(x, axis=axes)


def prod_reference(x: Array, axes: Axes, y: Array) -> None:
    """Compute y = the products of x over the axes, fractions and exponents apart."""
    if x.dtype not in FLOATS:
        y[...] = np.multiply.reduce(x, axis=axes)
        return
    # Fractions and exponents apart: nothing overflows or vanishes on the way.
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    count = math.prod([x.shape[axis] for axis in axes])
    rows = x.transpose((*axes, *kept)).reshape(count, *y.shape)
    fraction, power = np.ones(y.shape, np.longdouble), np.zeros(y.shape, np.int64)
    for row in rows:
        fraction, more = np.frexp(fraction * row)
        power += more
    with np.errstate(all="ignore"):
        y[...] = np.ldexp(fraction, np.clip(power, -9_999, 9_999).astype(np.int32))


def cumsum_reference(x: Array, axis: int, backwards: bool, y: Array) -> None:
    """Compute y = the running sums of x along an axis, in extended precision."""
    if backwards:
        x, y = np.flip(x, axis), np.flip(y, axis)
    y[...] = np.add.accumulate(x.astype(np.longdouble) if x.dtype in FLOATS else x, axis=axis)


def argmax_reference(x: Array, axis: int, y: Array) -> None:
    """Write the first index of the largest element along an axis."""
    y[...] = np.argmax(x, axis=axis)


def argmin_reference(x: Array, axis: int, y: Array) -> None:
    """Write the first index of the smallest element along an axis."""
    y[...] = np.argmin(x, axis=axis)


MANY_ROWS = 1_024  # elements of rows to be added up


# ---------------------------------------------------------------- sums
@jit()
def itself(x, m):
    """Return x: the rule of a plain sum."""
    return x


fold_sum = fold("sum", itself)


# ---------------------------------------------------------------- products
# In float64; where a product on the way left its range, again with exponents apart.
SMALL, BIG = 2.0**-960, 2.0**960
LANES = 64  # products side by side along the last axis


@jit()
def product_apart(x, first, step, count):
    """Return a group's product, fraction and exponent apart, so that nothing overflows."""
    fraction, power = 1.0, 0
    for r in range(count):
        fraction, more = math.frexp(fraction * math.frexp(np.float64(x[first + r * step]))[0])
        power += more + math.frexp(np.float64(x[first + r * step]))[1]
    power = min(max(power, -3_000), 3_000)
    most = 1_000 if power > 0 else -1_000
    while abs(power) > 1_000:
        fraction *= 2.0**most
        power -= most
    return fraction * 2.0**power


@jit()
def zero_of(x, first, step, count):
    """Return whether a group has a zero and no infinity or NaN, and the product's sign."""
    zero, finite, sign = False, True, 1.0
    for r in range(count):
        value = np.float64(x[first + r * step])
        zero |= value == 0.0
        finite &= abs(value) <= LARGEST
        sign = math.copysign(sign, sign * math.copysign(1.0, value))
    return zero and finite, sign


@jit()
def left_range(product):
    """Return 1 where a product lies outside [SMALL, BIG], else 0."""
    size = abs(product)
    return np.int64(0) if (size >= SMALL) & (size <= BIG) else np.int64(1)


@jit()
def times_row(x, p, held, lost, n):
    """Multiply the products held by a row at address p; count where they leave their range."""
    h, q = address(held), address(lost)
    for b in range(n):
        product = load_at(h, b, held, 1) * np.float64(load_at(p, b, x, 0))
        store_at(h, b, product, 1)
        store_at(q, b, load_at(q, b, lost, 2) + left_range(product), 2)


@jit()
def times_four(x, p, step, held, lost, n):
    """Multiply the products held by four rows of float32, which stay far inside float64's range."""
    h, q = address(held), address(lost)
    second, third, fourth = p + step, p + 2 * step, p + 3 * step
    for b in range(n):
        early = np.float64(load_at(p, b, x, 0)) * np.float64(load_at(second, b, x, 0))
        late = np.float64(load_at(third, b, x, 0)) * np.float64(load_at(fourth, b, x, 0))
        product = load_at(h, b, held, 1) * (early * late)
        store_at(h, b, product, 1)
        store_at(q, b, load_at(q, b, lost, 2) + left_range(product), 2)


@jit()
def times_rows(x, p, step, count, held, lost, n):
    """Multiply the products held by `count` rows from address p on, `step` bytes apart."""
    r = 0
    while r < count:
        if x.itemsize == 4 and r + 4 <= count:
            times_four(x, p, step, held, lost, n)
            r += 4
            p += 4 * step
        else:
            times_row(x, p, held, lost, n)
            r += 1
            p += step


@jit()
def times_line(x, first, count, held, lost):
    """Return the product of a run of memory, and whether it kept its range: a lane each LANES."""
    held[:] = 1.0
    lost[:] = 0
    p = address(x) + first * x.itemsize
    rows, step = count // LANES, LANES * x.itemsize
    times_rows(x, p, step, rows, held, lost, LANES)
    times_row(x, p + rows * step, held, lost, count - rows * LANES)
    total, left = 1.0, np.int64(0)
    for b in range(LANES):
        total *= held[b]
        left += lost[b] + (0 if SMALL <= abs(total) <= BIG else 1)
    return total, left


def prod_all(x, outer, reduced, inner, y):
    """Write the products of x seen as (outer, reduced, inner)."""
    parts, each = tasks_of(reduced, inner)
    partial = np.empty(outer * parts * inner)
    lost = np.zeros(outer * parts * inner, np.int64)
    for task in prange(outer * parts):
        a, r = task // parts, task % parts * each
        count = min(each, reduced - r)
        if inner > 1:
            for left in range(0, inner, WIDTH):
                n = min(WIDTH, inner - left)
                held = part(partial, task * inner + left, task * inner + left + n)
                gone = part(lost, task * inner + left, task * inner + left + n)
                held[:] = 1.0
                p = address(x) + ((a * reduced + r) * inner + left) * x.itemsize
                times_rows(x, p, inner * x.itemsize, count, held, gone, n)
        elif count >= 2 * LANES:
            partial[task], lost[task] = times_line(
                x, a * reduced + r, count, np.empty(LANES), np.empty(LANES, np.int64)
            )
        else:
            product, least, most = 1.0, 1.0, 1.0
            for i in range(a * reduced + r, a * reduced + r + count):
                product *= np.float64(x[i])
                size = abs(product)
                least, most = min(least, size), max(most, size)
            partial[task] = product
            lost[task] = 0 if SMALL <= least and most <= BIG else 1
    for group in prange(outer * inner):
        index = group // inner * parts * inner + group % inner
        product, gone = 1.0, np.int64(0)
        for k in range(index, index + parts * inner, inner):
            product *= partial[k]
            gone += lost[k] + (0 if SMALL <= abs(product) <= BIG else 1)
        if gone:
            first = group // inner * reduced * inner + group % inner
            zero, sign = zero_of(x, first, inner, reduced)
            product = sign * 0.0 if zero else product_apart(x, first, inner, reduced)
        y[group] = product


prod_small, prod_large = small_and_large("reduce.prod", prod_all)


# ---------------------------------------------------------------- running sums
# In float64; from block to block with what rounding took from it, so that a million additions cost
# a float64 no more digits than a block's.
@jit()
def carried(total, lost, x):
    """Return total + x, and all that rounding has taken from it by now (Knuth's two-sum)."""
    both = total + x
    back = both - total
    return both, lost + ((total - (both - back)) + (x - back))


@jit()
def mended(total, lost):
    """Return a sum with what rounding took from it, which is NaN beside infinity."""
    return total + lost if abs(total) <= LARGEST else total


@jit(fastmath={"reassoc"})
def block_sum(x, first, count):
    """Return the sum in float64 of `count` elements of x from `first` on."""
    p = address(x) + first * x.itemsize
    total = 0.0
    for i in range(count):
        total += np.float64(load_at(p, i, x, 0))
    return total


@jit()
def converted(x, p, y, q, count):
    """Write elements from address p on, of x's type, from q on in y's: vector code."""
    for i in range(count):
        store_at(q, i, y.dtype.type(load_at(p, i, x, 0)), 1)


@jit()
def run_up(x, first, step, count, total, lost, y):
    """Add up the elements first, first + step, ... of one run into the same places of y.

    total + lost is the sum of what comes before.

    A block's sum is found before it is added up: the next block need not wait for its additions.
    """
    held = np.empty(BLOCK)
    h = address(held)
    for done in range(0, count, BLOCK):
        n = min(BLOCK, count - done)
        low = first + done * step if step > 0 else first - done - n + 1
        converted(x, address(x) + low * x.itemsize, held, h, n)
        own = mended(total, lost)
        total, lost = carried(total, lost, block_sum(held, 0, n))
        index = 0 if step > 0 else n - 1
        for _ in range(n):
            own += load_at(h, index, held, 2)
            store_at(h, index, own, 2)
            index += step
        converted(held, h, y, address(y) + low * y.itemsize, n)


@jit()
def next_row(x, p, held, y, q, n):
    """Add a row at address p to the sums held and write them at address q."""
    h = address(held)
    for b in range(n):
        total = load_at(h, b, held, 1) + np.float64(load_at(p, b, x, 0))
        store_at(h, b, total, 1)
        store_at(q, b, y.dtype.type(total), 2)


@jit()
def next_row_after(x, p, before, held, y, q, n):
    """Add a row to the sums held of this block, and write them after those `before` it."""
    h, f = address(held), address(before)
    for b in range(n):
        total = load_at(h, b, held, 1) + np.float64(load_at(p, b, x, 0))
        store_at(h, b, total, 1)
        store_at(q, b, y.dtype.type(load_at(f, b, before, 3) + total), 2)


@jit()
def columns_up(x, index, step, rows, n, y):
    """Add up n columns from element `index` on, row by row."""
    held, before = np.zeros(n), np.zeros(n)
    total, lost = np.zeros(n), np.zeros(n)
    p, q = address(x) + index * x.itemsize, address(y) + index * y.itemsize
    for r in range(rows):
        if x.itemsize == 4:
            next_row(x, p, held, y, q, n)
        else:
            next_row_after(x, p, before, held, y, q, n)
            if r % BLOCK == BLOCK - 1:
                for b in range(n):
                    total[b], lost[b] = carried(total[b], lost[b], held[b])
                    before[b] = mended(total[b], lost[b])
                    held[b] = 0.0
        p += step * x.itemsize
        q += step * y.itemsize


def cumsum_all(x, outer, reduced, inner, backwards, y):
    """Write the running sums of x seen as (outer, reduced, inner)."""
    if inner == 1:
        step = -1 if backwards else 1
        parts = (reduced + RUN - 1) // RUN
        totals, losts = np.empty(outer * parts), np.empty(outer * parts)
        if parts > 1:
            for task in prange(outer * parts):
                k = task % parts
                count = min(RUN, reduced - k * RUN)
                first = task // parts * reduced + (
                    reduced - k * RUN - count if backwards else k * RUN
                )
                total = 0.0
                for start in range(first, first + count, CHUNK):
                    total += block_sum(x, start, min(CHUNK, first + count - start))
                totals[task] = total
        for a in range(outer):
            total, lost = 0.0, 0.0
            for task in range(a * parts, (a + 1) * parts):
                own = totals[task]
                totals[task], losts[task] = total, lost
                total, lost = carried(total, lost, own)
        for task in prange(outer * parts):
            a, k = task // parts, task % parts
            first = a * reduced + (reduced - 1 - k * RUN if backwards else k * RUN)
            run_up(x, first, step, min(RUN, reduced - k * RUN), totals[task], losts[task], y)
    else:
        blocks = (inner + WIDTH - 1) // WIDTH
        for task in prange(outer * blocks):
            left = task % blocks * WIDTH
            step = -inner if backwards else inner
            index = task // blocks * reduced * inner + left
            index += (reduced - 1) * inner if backwards else 0
            columns_up(x, index, step, reduced, min(WIDTH, inner - left), y)


cumsum_small, cumsum_large = small_and_large("reduce.cumsum", cumsum_all)


# ---------------------------------------------------------------- choice by size
@functools.lru_cache(4096)
def sizes_around(shape: tuple[int, ...], axes: Axes) -> tuple[int, int, int] | None:
    """Return the sizes before, along and after axes that follow each other; None if they do not.

    >>> sizes_around((2, 3, 4, 5), (1, 2))
    (2, 12, 5)
    """
    first, last = axes[0], axes[-1]
    if last - first + 1 != len(axes):
        return None
    sizes = shape[:first], shape[first : last + 1], shape[last + 1 :]
    return math.prod(sizes[0]), math.prod(sizes[1]), math.prod(sizes[2])


def merged(x: Any, axes: Axes) -> tuple[Any, tuple[int, int, int]] | None:
    """Return x flat and its sizes around the axes; None where it must be strided.

    The transpose of a contiguous array is as good where at most one axis is kept.
    """
    flags = x.flags
    if not flags.c_contiguous:
        if not flags.f_contiguous or x.ndim - len(axes) > 1:
            return None
        axes = tuple([x.ndim - 1 - axis for axis in reversed(axes)])
        x = x.T
    sizes = sizes_around(x.shape, axes)
    return None if sizes is None else (x.reshape(-1), sizes)


def large(x: Array, axes: Axes) -> tuple[Array, tuple[int, int, int]] | None:
    """Return what `merged` does where a jitted loop is to run, else None."""
    return merged(x, axes) if x.size >= PARALLEL and x.dtype in FLOATS else None


def several(x: Array, axes: Axes) -> tuple[Array, tuple[int, int, int]] | None:
    """Return what `merged` does where there are elements enough for a jitted loop on one thread."""
    return merged(x, axes) if x.size >= MANY_ROWS and x.dtype in FLOATS else None


def regrouped(x: Array, axes: Axes, y: Array) -> tuple[Array, tuple[int, int, int]]:
    """Return what `merged` does, copied where that finds no view."""
    view = merged(x, axes)
    if view is None:
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        moved = np.ascontiguousarray(x.transpose((*kept, *axes)))
        view = moved.reshape(-1), (y.size, x.size // y.size if y.size else 0, 1)
    return view


NOTHING = {dtype: np.empty(0, dtype) for dtype in FLOATS}


def summed(x: Array, axes: Axes, y: Array, divisor: float) -> None:
    """Write the sum over the axes, divided; what no view makes plain is copied first."""
    if len(axes) == x.ndim and x.size < PARALLEL and x.flags.c_contiguous:
        y.fill(fold_sum.line(x if x.ndim == 1 else x.reshape(-1), divisor, SUM))
        return
    line, sizes = regrouped(x, axes, y)
    fold_sum(line, NOTHING[x.dtype], *sizes, y if y.ndim == 1 else y.reshape(-1), divisor)


def sum_cpu(x: Array, axes: Axes, y: Array) -> None:
    """Compute y = the sums of x over the axes, on the CPU."""
    if x.dtype in FLOATS:
        summed(x, axes, y, 1.0)
    else:
        np.add.reduce(x, axis=None if len(axes) == x.ndim else axes, out=y)


def mean_cpu(x: Array, axes: Axes, y: Array) -> None:
    """Compute y = the means of x over the axes, on the CPU."""
    summed(x, axes, y, float(math.prod([x.shape[axis] for axis in axes])))


def prod_cpu(x: Array, axes: Axes, y: Array) -> None:
    """Compute y = the products of x over the axes, on the CPU."""
    if x.dtype not in FLOATS:
        np.multiply.reduce(x, axis=axes, out=y)
    elif y.size:
        line, sizes = regrouped(x, axes, y)
        run = prod_small if x.size < PARALLEL else prod_large
        run(line, *sizes, y.reshape(-1))


def most(sign: int, ufunc: Any) -> Callable[..., None]:
    """Return the CPU column of max or min."""

    def cpu(x: Array, axes: Axes, y: Array) -> None:
        """Compute y = the extreme elements of x over the axes."""
        # Of all elements NumPy's is the fastest while they are few.
        view = several(x, axes) if len(axes) < x.ndim else large(x, axes)
        if view is None:
            ufunc.reduce(x, axis=None if len(axes) == x.ndim else axes, out=y)
        else:
            most_cpu(view[0].reshape(view[1]), sign, y)

    return cpu


def position(sign: int, numpy: Any) -> Callable[..., None]:
    """Return the CPU column of argmax or argmin; along the last axis NumPy's is the fastest."""

    def cpu(x: Array, axis: int, y: Array) -> None:
        """Write the first index of the extreme element along an axis."""
        view = large(x, (axis,))
        if view is None or view[1][2] == 1:
            numpy(x, axis=axis, out=y)
        else:
            extreme_cpu(view[0].reshape(view[1]), sign, np.empty(y.size, x.dtype), y.reshape(-1))

    return cpu


def cumsum_cpu(x: Array, axis: int, backwards: bool, y: Array) -> None:
    """Compute y = the running sums of x along an axis, on the CPU."""
    if x.dtype not in FLOATS:
        if backwards:
            x, y = np.flip(x, axis), np.flip(y, axis)
        np.add.accumulate(x, axis=axis, out=y)
        return
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    if x.size:
        run = cumsum_small if x.size < PARALLEL else cumsum_large
        line = np.ascontiguousarray(x).reshape(-1)
        run(line, outer, x.shape[axis], inner, backwards, y.reshape(-1))


def cost(x: Array, axes: Any, y: Array) -> tuple[int, int]:
    """Return the flops and the bytes of a reduction."""
    return x.size, x.nbytes + y.nbytes


def cumsum_cost(x: Array, axis: int, backwards: bool, y: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `cumsum`."""
    return x.size, x.nbytes + y.nbytes


def row(
    reference: Callable[..., None], cpu: Callable[..., None], rounding: Rounding = EXACT
) -> Kernel:
    """Return the table's row of a reduction."""
    return Kernel(reference, cpu, cost, rounding=rounding)


# Float64 sums, rounded once.  In float64 the additions have roundings of their own, some 20 eps; in
# float32 they are nothing, and tests/ops/test_extreme_sums.py holds it to 1 ulp.
ROUNDED: Rounding = (40.0, 0.0)


KERNELS = {
    "sum": row(sum_reference, sum_cpu, ROUNDED),
    "mean": row(mean_reference, mean_cpu, ROUNDED),
    "max": row(max_reference, most(1, np.maximum)),
    "min": row(min_reference, most(-1, np.minimum)),
    "prod": row(prod_reference, prod_cpu, (400.0, 0.0)),
    "cumsum": Kernel(cumsum_reference, cumsum_cpu, cumsum_cost, rounding=ROUNDED),
    "argmax": row(argmax_reference, position(1, np.argmax)),
    "argmin": row(argmin_reference, position(-1, np.argmin)),
}
