"""Lifting a scalar rule to a reduction over the middle of x seen as (outer, reduced, inner).

    y[a, b] = sum over r of rule(x[a, r, b], m[a, b])

Along the last axis (inner 1) a task is a run of memory, else some rows of it: what a task is
depends on the sizes alone, and the partial sums are added in order, in float64.

Shapes: x: (outer * reduced * inner,), m: (outer * inner,) or (0,) where no rule reads it,
y: (outer * inner,), all flat and contiguous.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.launch import CHUNK, PARALLEL, jit

Array = np.ndarray[Any, Any]

SHORT = 16  # rows summed in the type of x before they go into a float64 total
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
        for b in range(inner):
            total = 0.0
            for p in range(parts):
                total += partial[(a * parts + p) * inner + b]
            y[a * inner + b] = total


def fold(name: str, rule: Any) -> Callable[..., None]:
    """Return f(x, m, outer, reduced, inner, y) of a jitted rule(x, m)."""

    @jit(name=f"fold.{name}.run", fastmath={"contract", "reassoc"})
    def run(x, m):
        total = x.dtype.type(0)
        for i in range(x.size):
            total += rule(x[i], m)
        return total

    @jit(name=f"fold.{name}.short", fastmath={"contract"})
    def short(x, m, part):
        if m.size:
            for b in range(x.size):
                part[b] += rule(x[b], m[b])
        else:
            for b in range(x.size):
                part[b] += rule(x[b], x.dtype.type(0))

    @jit(name=f"fold.{name}.rows")
    def rows(x, m, first, last, inner, total):
        """Add up rows first to last of x: (reduced * inner,) into total: (inner,)."""
        width = min(inner, WIDE)
        part = np.empty(width, x.dtype)
        for left in range(0, inner, WIDE):
            count = min(inner - left, WIDE)
            mine = m[left : left + count]
            total[left : left + count] = 0
            for top in range(first, last, SHORT):
                part[:] = 0
                for r in range(top, min(last, top + SHORT)):
                    begin = r * inner + left
                    short(x[begin : begin + count], mine, part[:count])
                for b in range(count):
                    total[left + b] += part[b]

    def whole(x, m, outer, reduced, inner, y):
        parts, each = tasks_of(reduced, inner)
        partial = np.empty(outer * parts * inner, np.float64)
        for task in prange(outer * parts):
            a = task // parts
            first = (task % parts) * each
            last = min(reduced, first + each)
            block = x[a * reduced * inner : (a + 1) * reduced * inner]
            if inner == 1:
                partial[task] = run(block[first:last], m[a] if m.size else x.dtype.type(0))
            else:
                mine = m[a * inner : (a + 1) * inner]
                rows(block, mine, first, last, inner, partial[task * inner : (task + 1) * inner])
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

    def whole(c, m, x, outer, reduced, inner, dx):
        each = CHUNK if inner == 1 else 1
        parts = (reduced + each - 1) // each
        for task in prange(outer * parts):
            a = task // parts
            first = (a * reduced + (task % parts) * each) * inner
            last = min((a + 1) * reduced * inner, first + each * inner)
            if inner == 1:
                run(c[a], m[a], x[first:last], dx[first:last])
            else:
                mine = slice(a * inner, (a + 1) * inner)
                row(c[mine], m[mine], x[first:last], dx[first:last])

    small = jit(name=f"spread.{name}.small")(whole)
    large = jit(name=f"spread.{name}.large", parallel=True)(whole)

    def cpu(c: Array, m: Array, x: Array, outer: int, reduced: int, inner: int, dx: Array) -> None:
        if x.size:
            (small if x.size < PARALLEL else large)(c, m, x, outer, reduced, inner, dx)

    return cpu
