"""exp over arrays: a cheaper loop where a block's arguments are moderate, of the same bits.

exp's last step is a product with 2^n.  Where n may leave the range of normal numbers that takes two
powers, clamps before them and a look at NaN: 10 of its 25 operations, which nine blocks in ten do
without.  One product with a power is exact, as two are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.math.exponential import reduced, to_key, vector_exp
from minigrad_kernels.math.scalar import constant, like, power_of_two, rule
from minigrad_kernels.simd.registers import address
from minigrad_kernels.simd.wide import full_width

Array = np.ndarray[Any, Any]
BLOCK = 1_024  # elements that are looked at together
MOST32, MOST64 = 87.0, 708.0  # whose exponentials, and those of their negatives, are normal


@rule
def moderate_exp(x):
    """Return e^x for |x| <= MOST."""
    n, r, tail = reduced(x, like(x, 0))
    return (like(x, 1) + (r + tail)) * power_of_two(n)


@jit(name="exp.loop")
def loop(a: Array, y: Array) -> None:
    """Write the exponentials of a: (n,) to y: (n,)."""
    full_width()
    p, r = address(a), address(y)
    most = to_key(constant(a.dtype.type(0), MOST32, MOST64))
    for first in range(0, y.size, BLOCK):
        last = min(first + BLOCK, y.size)
        top = to_key(a.dtype.type(0))
        for i in range(first, last):
            top = max(top, to_key(abs(load_at(p, i, a, 0))))  # a NaN's is above infinity's
        if top <= most:
            for i in range(first, last):
                store_at(r, i, moderate_exp(load_at(p, i, a, 0)), 3)
        else:
            for i in range(first, last):
                store_at(r, i, vector_exp(load_at(p, i, a, 0)), 3)
