"""fmod, remainder and floor_divide: exact, in vector code where the quotients are moderate.

    fmod(a, b) = a - n b,  n = a / b cut to a whole number,  in one fused multiply-add

A quotient below 2^22 in float32, 2^51 in float64, rounds to no whole number but its next one above,
so that n is right or one too many; then a - n b is negative and -b at least, and one b is added.
Both differences are exact.  So a block of elements is vector code if all its quotients are so, the
C library's fmod if not: the bits are the same.

Small arrays and integers are NumPy's.  Shapes: as elementwise/rules.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.elementwise.kernels import Lifted, by_size, row_of
from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import EXACT, Kernel, Rule
from minigrad_kernels.math.scalar import constant, like, rule
from minigrad_kernels.simd.exact import exact_multiply_add
from minigrad_kernels.simd.registers import address
from minigrad_kernels.simd.wide import full_width

Array = np.ndarray[Any, Any]
BLOCK = 256  # elements that are vector code or not
MOST32, MOST64 = 2.0**22, 2.0**51


# ---------------------------------------------------------------- of one pair
@rule
def moderate(a, b):
    """Return whether |a / b| is small enough; not where a is infinite, b is 0 or one is NaN."""
    return abs(a) < constant(a, MOST32, MOST64) * abs(b)


@rule
def near_fmod(a, b):
    """Return fmod(a, b) for a moderate quotient."""
    size, by = abs(a), abs(b)
    n = np.trunc(size / by)
    rest = exact_multiply_add(-n, by, size)
    rest = rest + by if rest < 0 else rest
    return math.copysign(size if n == 0 else rest, a)  # 0 times an infinite b would be NaN


@rule
def of_fmod(rest, a, b):
    """Return fmod(a, b)."""
    return rest


@rule
def of_remainder(rest, a, b):
    """Return Python's remainder, in the sign of b, from fmod(a, b)."""
    turned = rest + b if (b < 0) != (rest < 0) else rest
    return turned if rest != 0 else math.copysign(rest, b)


@rule
def of_floor_divide(rest, a, b):
    """Return floor(a / b) from fmod(a, b); a / b where b is 0."""
    quotient = (a - rest) / b
    whole = quotient - like(a, 1) if rest != 0 and (b < 0) != (rest < 0) else quotient
    low = np.floor(whole)
    near = low + like(a, 1) if whole - low > like(a, 0.5) else low
    found = near if whole != 0 else math.copysign(like(a, 0), a / b)
    return found if b != 0 else a / b


# ---------------------------------------------------------------- of arrays
def blocks(name: str, finish: Any) -> Any:
    """Return the loop of finish(fmod(a, b), a, b) over contiguous arrays."""

    @jit(name=f"{name}.loop")
    def loop(a: Array, b: Array, y: Array) -> None:
        full_width()
        p, q, r = address(a), address(b), address(y)
        for first in range(0, y.size, BLOCK):
            last = min(first + BLOCK, y.size)
            far = 0
            for i in range(first, last):
                far += 0 if moderate(load_at(p, i, a, 0), load_at(q, i, b, 1)) else 1
            if far == 0:
                for i in range(first, last):
                    x, z = load_at(p, i, a, 0), load_at(q, i, b, 1)
                    store_at(r, i, finish(near_fmod(x, z), x, z), 3)
            else:
                for i in range(first, last):
                    x, z = a[i], b[i]
                    y[i] = finish(np.fmod(x, z), x, z)

    return loop


def row(name: str, finish: Any, ufunc: np.ufunc) -> Kernel:
    """Return the row of one of the three: NumPy's loop for integers and for few numbers."""

    def cost(*args: Array) -> tuple[int, int]:
        """Return the flops and the bytes of a launch."""
        return args[-1].size, sum(a.nbytes for a in args)

    lifted = Lifted(name, None, 2, loop=blocks(name, finish))
    stated = Rule(None, 2, ufunc, True, draws="positive", rounding=EXACT)
    return row_of(stated, ufunc, by_size(lifted, ufunc), cost, small=ufunc)


KERNELS = {
    "fmod": row("fmod", of_fmod, np.fmod),
    "remainder": row("remainder", of_remainder, np.remainder),
    "floor_divide": row("floor_divide", of_floor_divide, np.floor_divide),
}
