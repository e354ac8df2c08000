"""tan in vector code, where angles are moderate.

    x = n pi / 2 + r,  |r| <= pi / 4,  pi / 2 in three parts
    tan x = t for an even n, -1 / t for an odd one,  t = r + r^3 p(r^2)

p is minimax relative to tan, error 2^-29.5 for float32 and 2^-60 for float64 (Remez exchange in 50
digits).  Larger angles than 2^13, or 2^20, are the C library's, one by one: an element's bits do
not depend on its neighbours.  Errors in ULP: test_vector_maths.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.math.scalar import (
    constant,
    like,
    multiply_add,
    nearest,
    polynomial,
    rule,
)
from minigrad_kernels.simd.exact import exact_multiply_add
from minigrad_kernels.simd.registers import address
from minigrad_kernels.simd.wide import full_width

Array = np.ndarray[Any, Any]
BLOCK = 256  # elements that are vector code or not
FAR32, FAR64 = 2.0**13, 2.0**20
T32 = (
    *(0.00437735721862482403, 0.0000873876450213352316, 0.0108374716167048823),
    *(0.0212815614733935568, 0.0540600350562820904, 0.133326623124418638, 0.333333497843304614),
)
T64 = (
    *(9.71574820202015e-06, -2.3900862691310842e-05, 4.788530028443776e-05),
    *(-2.4737714319814735e-05, 6.651591703534998e-05, 8.394526066712719e-05),
    *(0.00024360060706967365, 0.000588906604055787, 0.0014560371797781553),
    *(0.0035921020495443086, 0.008863237811434962, 0.021869488406116917),
    *(0.05396825397265673, 0.13333333333325792, 0.33333333333333376),
)
# pi / 2 in parts, each rounded to the type
FIRST32, SECOND32, THIRD32 = 1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15
FIRST64, SECOND64, THIRD64 = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33


@rule
def moderate(x):
    """Return whether an angle is small enough; not where it is NaN."""
    return abs(x) < constant(x, FAR32, FAR64)


@rule
def near_tangent(x):
    """Return the tangent of a moderate angle."""
    n = nearest(x * like(x, 2 / math.pi))
    r = exact_multiply_add(n, constant(x, -FIRST32, -FIRST64), x)
    r = exact_multiply_add(n, constant(x, -SECOND32, -SECOND64), r)
    r = exact_multiply_add(n, constant(x, -THIRD32, -THIRD64), r)
    z = r * r
    t = multiply_add(r * z, polynomial(z, T32, T64), r)
    half = like(x, 0.5) * n
    y = like(x, -1) / t if nearest(half) != half else t
    return x if x == 0 else y


@rule
def tangent(x):
    """Return the tangent."""
    return near_tangent(x) if moderate(x) else math.tan(x)


@jit(name="tan.loop")
def loop(a: Array, y: Array) -> None:
    """Write the tangents of a: (n,) to y: (n,)."""
    full_width()
    p, r = address(a), address(y)
    for first in range(0, y.size, BLOCK):
        last = min(first + BLOCK, y.size)
        far = 0
        for i in range(first, last):
            far += 0 if moderate(load_at(p, i, a, 0)) else 1
        if far == 0:
            for i in range(first, last):
                store_at(r, i, near_tangent(load_at(p, i, a, 0)), 3)
        else:
            for i in range(first, last):
                y[i] = tangent(a[i])
