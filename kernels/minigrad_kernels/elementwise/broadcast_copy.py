"""Copies of what is repeated along one run of axes: the gradient of a sum, a row added to many.

    y[a, r, b] = x[a, b]

The walk of elementwise/walk.py writes a repeated number into a tile and copies that; here it is
written once: (256, 512) of a column takes 4 us instead of 8, on two cores.

Shapes: x: (outer * inner,), y: (outer * repeats * inner,), flat and contiguous.
"""

from __future__ import annotations

import functools
import math

from numba import prange

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.simd.lanes import load, store, width
from minigrad_kernels.simd.memory import part
from minigrad_kernels.simd.registers import VECTOR_BYTES, address

NARROW = 16  # elements: shorter rows are the walk's, which packs many into a tile
STRETCH = 8_192  # elements of one task

Shape = tuple[int, ...]


@functools.lru_cache(4096)
def repeated(shape: Shape, wanted: Shape) -> tuple[int, int, int] | None:
    """Return (outer, repeats, inner) of broadcasting a shape to a larger one.

    None where more than one run of axes is repeated, or short rows.

    >>> repeated((4, 1), (4, 5)), repeated((32,), (2, 3, 32)), repeated((1, 3, 1), (2, 3, 4))
    ((4, 5, 1), (1, 6, 32), None)
    """
    own = (1,) * (len(wanted) - len(shape)) + shape
    axes = [i for i, (n, m) in enumerate(zip(own, wanted, strict=True)) if n != m]
    if not axes:
        return None
    first, last = axes[0], axes[-1]
    inner = math.prod(wanted[last + 1 :])
    if any(n != 1 for n in own[first : last + 1]) or 1 < inner < NARROW:
        return None
    return math.prod(wanted[:first]), math.prod(wanted[first : last + 1]), inner


@jit()
def fill(value, y):
    """Write one value to all elements."""
    for i in range(y.size):
        y[i] = value


@jit(inline="always")
def copy_row(x, at, out, count):
    """Copy a row from address to address, whole registers of x's elements first."""
    lanes = width(x)
    for _ in range(count // (4 * lanes)):
        a, b = load(x, at, lanes), load(x, at + VECTOR_BYTES, lanes)
        c, d = load(x, at + 2 * VECTOR_BYTES, lanes), load(x, at + 3 * VECTOR_BYTES, lanes)
        store(a, x, out, lanes, False)
        store(b, x, out + VECTOR_BYTES, lanes, False)
        store(c, x, out + 2 * VECTOR_BYTES, lanes, False)
        store(d, x, out + 3 * VECTOR_BYTES, lanes, False)
        at += 4 * VECTOR_BYTES
        out += 4 * VECTOR_BYTES
    rest = count % (4 * lanes)
    for k in range(0, rest, lanes):
        store(load(x, at, rest - k), x, out, rest - k, False)
        at += VECTOR_BYTES
        out += VECTOR_BYTES


@jit(parallel=True)
def repeat(x, outer, repeats, inner, y):
    """Write x `repeats` times along the axis between outer and inner."""
    each = max(1, STRETCH // inner)
    parts = (repeats + each - 1) // each
    for task in prange(outer * parts):
        a = task // parts
        first = task % parts * each
        last = min(repeats, first + each)
        begin = (a * repeats + first) * inner
        if inner == 1:
            fill(x[a], part(y, begin, begin + last - first))
        else:
            row = inner * x.itemsize
            source, out = address(x) + a * row, address(y) + begin * y.itemsize
            for _ in range(last - first):
                copy_row(x, source, out, inner)
                out += row
