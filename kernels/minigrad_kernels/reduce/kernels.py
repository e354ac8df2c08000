"""Lifting a scalar rule to a reduction over the middle of x seen as (outer, reduced, inner).

    y[a, b] = finish(sum over r of rule(x[a, r, b], m[a, b]))

finish is what `form` says: SUM and SQUARES, s / divisor; ROOT, the root of that.

Everything is computed in float64, rules and sums alike, and rounded once, where y is written: from
memory that costs no more than float32 (1e7 elements, ms: 2.4 and 2.4; 1,000, us: 0.30 and 0.34).
A float64 sum that overflowed, or a root of squares that did or that lost digits below the smallest
numbers, is done again with its elements scaled by a power of two.

Along the last axis (inner 1) a task is a run of memory, else some rows of it: what a task is
depends on the sizes alone, and the partial sums are added in order.

Sizes, of contiguous arrays in any shape: x: outer * reduced * inner, m: outer * inner or 0 for
zeros, y: outer * inner.
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
from minigrad_kernels.kernel import CHUNK, PARALLEL
from minigrad_kernels.simd.memory import flat, part
from minigrad_kernels.simd.registers import address
from minigrad_kernels.simd.wide import full_width

Array = np.ndarray[Any, Any]

ROWS = 64  # of a task
WIDE = 1_024  # columns at a time: their partial sums stay in first-level cache
# Sums of squares between these have lost nothing that counts below, and nothing above.
LEAST, MOST = 2.0**-900, 1.7976931348623157e308
SUM, SQUARES, ROOT = 0, 1, 2  # of numbers; of their squares; that and its root
UP, DOWN = 2.0**600, 2.0**-600  # bring the largest to where its square neither overflows nor fades


@jit()
def tasks_of(reduced, inner):
    """Return how many parts the reduced axis has, and how long one is."""
    if inner == 1:
        each = CHUNK
    else:
        each = ROWS if reduced <= CHUNK else 4 * ROWS
    return max(1, (reduced + each - 1) // each), each


@jit()
def merge(partial, parts, inner, groups, divisor, form, y):
    """Add the partial sums (outer, parts, inner) over the parts, in order, and write y."""
    for a in range(groups // inner):
        total = part(partial, a * parts * inner, (a * parts + 1) * inner)
        for p in range(1, parts):
            other = part(partial, (a * parts + p) * inner, (a * parts + p + 1) * inner)
            for b in range(inner):
                total[b] += other[b]
        if form == ROOT:
            for b in range(inner):
                y[a * inner + b] = math.sqrt(total[b] / divisor)
        else:
            for b in range(inner):
                y[a * inner + b] = total[b] / divisor


@jit()
def suspect(total, form):
    """Say whether a float64 sum may have overflowed, or squares have lost digits."""
    return not (abs(total) <= MOST) if form == SUM else not (LEAST <= total <= MOST)


@jit()
def finished(total, divisor, form, scale):
    """Return what a sum of scaled numbers, or of their squares, comes to."""
    if form == ROOT:
        return math.sqrt(total / divisor) / scale
    if form == SQUARES:
        return total / divisor / scale / scale
    return total / divisor / scale


def fold(name: str, rule: Any) -> Any:
    """Return f(x, m, outer, reduced, inner, y, divisor=1, form=SUM) of a jitted rule(x, m).

    The rule takes float64 numbers and is x itself wherever that is not finite; for SQUARES and ROOT
    it is (x - m)^2.
    """

    @jit(name=f"fold.{name}.run", fastmath={"contract", "reassoc"})
    def run(x, m):
        """Return the sum in float64 of rule(x[i], m) over a run of memory."""
        full_width()
        total = 0.0
        for i in range(x.size):
            total += rule(np.float64(x[i]), m)
        return total

    @jit(name=f"fold.{name}.few", fastmath={"contract"})
    def few(x, p, inner, count, m, q, sums, n):
        """Add `count` rows of n elements, 4 or 1, from address p on, to the sums."""
        full_width()
        step = inner * x.itemsize
        out = address(sums)
        if count == 4:
            second, third, fourth = p + step, p + 2 * step, p + 3 * step
            for b in range(n):
                c = np.float64(load_at(q, b, m, 4))
                early = rule(np.float64(load_at(p, b, x, 0)), c)
                early += rule(np.float64(load_at(second, b, x, 1)), c)
                late = rule(np.float64(load_at(third, b, x, 2)), c)
                late += rule(np.float64(load_at(fourth, b, x, 3)), c)
                store_at(out, b, load_at(out, b, sums, 5) + (early + late), 5)
        else:
            for b in range(n):
                value = rule(np.float64(load_at(p, b, x, 0)), np.float64(load_at(q, b, m, 4)))
                store_at(out, b, load_at(out, b, sums, 5) + value, 5)

    @jit(name=f"fold.{name}.rows")
    def rows(x, m, first, last, inner, total):
        """Add up rows first to last of x: (reduced * inner,) into total: (inner,)."""
        zeros = np.zeros(0 if m.size else min(inner, WIDE), m.dtype)  # read where m is empty
        for left in range(0, inner, WIDE):
            n = min(inner - left, WIDE)
            p = address(x) + (first * inner + left) * x.itemsize
            q = address(m) + left * m.itemsize if m.size else address(zeros)
            sums = part(total, left, left + n)
            for b in range(n):
                sums[b] = 0
            r = first
            while r < last:
                count = 4 if r + 4 <= last else 1
                few(x, p, inner, count, m, q, sums, n)
                p += count * inner * x.itemsize
                r += count

    @jit(name=f"fold.{name}.again")
    def again(x, m, first, step, count, divisor, form, found):
        """Do one group again, scaled so that nothing overflows and no square vanishes."""
        top = 0.0
        for r in range(count):
            size = abs(np.float64(x[first + r * step]) - m)
            if not size <= MOST:
                return found  # an infinity or a NaN: what was found is right
            top = max(top, size)
        if top == 0.0:
            return found
        scale = DOWN if top > 1.0 else UP
        total = 0.0
        for r in range(count):
            total += rule(np.float64(x[first + r * step]) * scale, m * scale)
        return finished(total, divisor, form, scale)

    @jit(name=f"fold.{name}.line")
    def line(x, divisor, form):
        """Return the fold of all of x: (n,), m being 0: half the time of a call into an array."""
        total = 0.0
        for first in range(0, x.size, CHUNK):
            total += run(part(x, first, min(x.size, first + CHUNK)), 0.0)
        found = finished(total, divisor, form, 1.0)
        if x.itemsize == 8 and suspect(total, form):
            return again(x, 0.0, 0, 1, x.size, divisor, form, found)
        return found

    def whole(values, numbers, outer, reduced, inner, divisor, form, result):
        """Write the fold of all groups: see the module for sizes."""
        x, m, y = flat(values), flat(numbers), flat(result)
        parts, each = tasks_of(reduced, inner)
        partial = np.empty(outer * parts * inner, np.float64)
        for task in prange(outer * parts):
            a = task // parts
            first = (task % parts) * each
            last = min(reduced, first + each)
            block = part(x, a * reduced * inner, (a + 1) * reduced * inner)
            if inner == 1:
                value = np.float64(m[a]) if m.size else 0.0
                partial[task] = run(part(block, first, last), value)
            else:
                mine = part(m, a * inner, (a + 1) * inner) if m.size else part(m, 0, 0)
                sums = part(partial, task * inner, (task + 1) * inner)
                rows(block, mine, first, last, inner, sums)
        merge(partial, parts, inner, y.size, divisor, form, y)
        if x.itemsize == 8:
            for group in range(y.size):
                if suspect(partial[group // inner * parts * inner + group % inner], form):
                    first = group // inner * reduced * inner + group % inner
                    value = np.float64(m[group]) if m.size else 0.0
                    found = y[group]
                    y[group] = again(x, value, first, inner, reduced, divisor, form, found)

    small, large = small_and_large(f"fold.{name}", whole)

    def cpu(
        x: Array,
        m: Array,
        outer: int,
        reduced: int,
        inner: int,
        y: Array,
        divisor: float = 1.0,
        form: int = SUM,
    ) -> None:
        """Fold x on one thread or on all, by its size."""
        if y.size:
            (small if x.size < PARALLEL else large)(x, m, outer, reduced, inner, divisor, form, y)

    cpu.line = line  # type: ignore[attr-defined]
    return cpu


def expand_over_groups(name: str, rule: Any) -> Callable[..., None]:
    """Return f(c, m, x, outer, reduced, inner, dx) of a jitted rule(c, m, x).

        dx[a, r, b] = rule(c[a, b], m[a, b], x[a, r, b])

    c and m are float64, x has its own type; the gradients of reductions are made with it.
    """

    @jit(name=f"expand.{name}.run")
    def run(c, m, x, dx):
        """Write rule(c, m, x) over a run of memory of one group."""
        for i in range(x.size):
            dx[i] = rule(c, m, x[i])

    @jit(name=f"expand.{name}.row")
    def row(c, m, x, dx):
        """Write rule(c, m, x) over a row, an element a group."""
        for i in range(x.size):
            dx[i] = rule(c[i], m[i], x[i])

    def whole(factors, numbers, values, outer, reduced, inner, result):
        """Write dx of all groups: see the module for sizes."""
        c, m, x, dx = flat(factors), flat(numbers), flat(values), flat(result)
        each = CHUNK if inner == 1 else 1
        parts = (reduced + each - 1) // each
        for task in prange(outer * parts):
            a = task // parts
            first = (a * reduced + (task % parts) * each) * inner
            last = min((a + 1) * reduced * inner, first + each * inner)
            mine, out = part(x, first, last), part(dx, first, last)
            if inner == 1:
                run(c[a], m[a], mine, out)
            else:
                begin, end = a * inner, (a + 1) * inner
                row(part(c, begin, end), part(m, begin, end), mine, out)

    small, large = small_and_large(f"expand.{name}", whole)

    def cpu(c: Array, m: Array, x: Array, outer: int, reduced: int, inner: int, dx: Array) -> None:
        """Write dx on one thread or on all, by x's size."""
        if x.size:
            (small if x.size < PARALLEL else large)(c, m, x, outer, reduced, inner, dx)

    return cpu
