"""Lifting a scalar rule to a reduction over the middle of x seen as (outer, reduced, inner).

    y[a, b] = sum over r of rule(x[a, r, b], m[a, b])

Along the last axis (inner 1) a task is a run of memory, else some rows of it: what a task is
depends on the sizes alone, and the partial sums are added in order, in float64.

Sizes, of contiguous arrays in any shape: x: outer * reduced * inner, m: outer * inner or 0 for
zeros, y: outer * inner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.address_table import load_at, store_at
from minigrad_kernels.ahead import flat, part
from minigrad_kernels.launch import CHUNK, PARALLEL, jit
from minigrad_kernels.simd import address

Array = np.ndarray[Any, Any]

SHORT = 32  # rows summed, four by four, in the type of x before they go into a float64 total
ROWS = 64  # of a task
WIDE = 1_024  # columns at a time: their partial sums stay in first-level cache


@jit()
def tasks_of(reduced, inner):
    """Return how many parts the reduced axis has, and how long one is."""
    if inner == 1:
        each = CHUNK
    else:
        each = ROWS if reduced <= CHUNK else 4 * ROWS
    return max(1, (reduced + each - 1) // each), each


@jit()
def merge(partial, parts, inner, y):
    """Add the partial sums (outer, parts, inner) over the parts, in order."""
    for a in range(y.size // inner):
        total = part(partial, a * parts * inner, (a * parts + 1) * inner)
        for p in range(1, parts):
            other = part(partial, (a * parts + p) * inner, (a * parts + p + 1) * inner)
            for b in range(inner):
                total[b] += other[b]
        for b in range(inner):
            y[a * inner + b] = total[b]


def fold(name: str, rule: Any) -> Callable[..., None]:
    """Return f(x, m, outer, reduced, inner, y) of a jitted rule(x, m)."""

    @jit(name=f"fold.{name}.run", fastmath={"contract", "reassoc"})
    def run(x, m):
        total = x.dtype.type(0)
        for i in range(x.size):
            total += rule(x[i], m)
        return total

    @jit(name=f"fold.{name}.few", fastmath={"contract"})
    def few(x, p, inner, count, q, sums, n):
        """Add `count` rows of n elements, 4 or 1, from address p on, to the sums."""
        step = inner * x.itemsize
        out = address(sums)
        if count == 4:
            second, third, fourth = p + step, p + 2 * step, p + 3 * step
            for b in range(n):
                m = load_at(q, b, x, 4)
                early = rule(load_at(p, b, x, 0), m) + rule(load_at(second, b, x, 1), m)
                late = rule(load_at(third, b, x, 2), m) + rule(load_at(fourth, b, x, 3), m)
                store_at(out, b, load_at(out, b, x, 5) + (early + late), 5)
        else:
            for b in range(n):
                value = rule(load_at(p, b, x, 0), load_at(q, b, x, 4))
                store_at(out, b, load_at(out, b, x, 5) + value, 5)

    @jit(name=f"fold.{name}.rows")
    def rows(x, m, first, last, inner, total):
        """Add up rows first to last of x: (reduced * inner,) into total: (inner,)."""
        sums = np.empty(min(inner, WIDE), x.dtype)
        zeros = np.zeros(0 if m.size else sums.size, x.dtype)  # what a rule reads where m is empty
        for left in range(0, inner, WIDE):
            n = min(inner - left, WIDE)
            p = address(x) + (first * inner + left) * x.itemsize
            q = address(m) + left * x.itemsize if m.size else address(zeros)
            for b in range(n):
                total[left + b] = 0
            for top in range(first, last, SHORT):
                for b in range(n):
                    sums[b] = 0
                r = top
                while r < min(last, top + SHORT):
                    count = 4 if r + 4 <= min(last, top + SHORT) else 1
                    few(x, p, inner, count, q, sums, n)
                    p += count * inner * x.itemsize
                    r += count
                for b in range(n):
                    total[left + b] += sums[b]

    def whole(values, numbers, outer, reduced, inner, result):
        x, m, y = flat(values), flat(numbers), flat(result)
        parts, each = tasks_of(reduced, inner)
        partial = np.empty(outer * parts * inner, np.float64)
        for task in prange(outer * parts):
            a = task // parts
            first = (task % parts) * each
            last = min(reduced, first + each)
            block = part(x, a * reduced * inner, (a + 1) * reduced * inner)
            if inner == 1:
                value = m[a] if m.size else x.dtype.type(0)
                partial[task] = run(part(block, first, last), value)
            else:
                mine = part(m, a * inner, (a + 1) * inner) if m.size else part(m, 0, 0)
                sums = part(partial, task * inner, (task + 1) * inner)
                rows(block, mine, first, last, inner, sums)
        merge(partial, parts, inner, y)

    small = jit(name=f"fold.{name}.small")(whole)
    large = jit(name=f"fold.{name}.large", parallel=True)(whole)

    def cpu(x: Array, m: Array, outer: int, reduced: int, inner: int, y: Array) -> None:
        if y.size:
            (small if x.size < PARALLEL else large)(x, m, outer, reduced, inner, y)

    return cpu


def spread(name: str, rule: Any) -> Callable[..., None]:
    """Return f(c, m, x, outer, reduced, inner, dx): dx[a, r, b] = rule(c[a, b], m[a, b], x[a, r,
    b]).
    """

    @jit(name=f"spread.{name}.run")
    def run(c, m, x, dx):
        for i in range(x.size):
            dx[i] = rule(c, m, x[i])

    @jit(name=f"spread.{name}.row")
    def row(c, m, x, dx):
        for i in range(x.size):
            dx[i] = rule(c[i], m[i], x[i])

    def whole(factors, numbers, values, outer, reduced, inner, result):
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

    small = jit(name=f"spread.{name}.small")(whole)
    large = jit(name=f"spread.{name}.large", parallel=True)(whole)

    def cpu(c: Array, m: Array, x: Array, outer: int, reduced: int, inner: int, dx: Array) -> None:
        if x.size:
            (small if x.size < PARALLEL else large)(c, m, x, outer, reduced, inner, dx)

    return cpu
