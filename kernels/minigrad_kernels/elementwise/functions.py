"""Functions of elements that NumPy and the C library have: angles, hyperbolas, logarithms, steps.

Small arrays are NumPy's ufuncs; large ones polynomials that vectorise (inverse_tangent.py,
hyperbolas.py, logarithms.py, tangent.py) on all cores.

Shapes: as elementwise/rules.py, whose rules these are too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.elementwise import tangent
from minigrad_kernels.elementwise.hyperbolas import (
    vector_acosh,
    vector_asinh,
    vector_atanh,
    vector_cosh,
    vector_hypot,
    vector_sinh,
)
from minigrad_kernels.elementwise.inverse_tangent import (
    vector_acos,
    vector_asin,
    vector_atan,
    vector_atan2,
)
from minigrad_kernels.elementwise.kernels import lift
from minigrad_kernels.elementwise.logarithms import vector_log2, vector_log10
from minigrad_kernels.elementwise.rules import CLOSE
from minigrad_kernels.kernel import EXACT, NEAR_ONE, Rounding, Rule
from minigrad_kernels.math.exponential import exp_of_negative, exponential
from minigrad_kernels.math.logarithm import log1p_unit
from minigrad_kernels.math.scalar import constant, like, nearest, power_of_two, rule

Array = np.ndarray[Any, Any]
LN_2 = math.log(2)
FAR: Rounding = (6.0, 0.0)


# ---------------------------------------------------------------- angles and hyperbolas
@rule
def tan(a):
    """Return the tangent."""
    return tangent.tangent(a)


@rule
def asin(a):
    """Return the angle whose sine is a."""
    return vector_asin(a)


@rule
def acos(a):
    """Return the angle whose cosine is a."""
    return vector_acos(a)


@rule
def atan(a):
    """Return the angle whose tangent is a."""
    return vector_atan(a)


@rule
def atan2(a, b):
    """Return the angle of the point (b, a)."""
    return vector_atan2(a, b)


@rule
def hypot(a, b):
    """Return the distance of the point (a, b) from the origin."""
    return vector_hypot(a, b)


@rule
def sinh(a):
    """Return the hyperbolic sine."""
    return vector_sinh(a)


@rule
def cosh(a):
    """Return the hyperbolic cosine."""
    return vector_cosh(a)


@rule
def asinh(a):
    """Return the inverse of sinh."""
    return vector_asinh(a)


@rule
def acosh(a):
    """Return the inverse of cosh."""
    return vector_acosh(a)


@rule
def atanh(a):
    """Return the inverse of tanh."""
    return vector_atanh(a)


# ---------------------------------------------------------------- powers and logarithms
@rule
def exp2(a):
    """Return 2 to the power of a."""
    t = max(min(a, constant(a, 130, 1030)), constant(a, -152, -1080))
    n = nearest(t)
    half = nearest(like(a, 0.5) * n)
    y = exponential((t - n) * like(a, LN_2)) * power_of_two(half) * power_of_two(n - half)
    return y if a == a else a


@rule
def log2(a):
    """Return the logarithm to base 2."""
    return vector_log2(a)


@rule
def log10(a):
    """Return the logarithm to base 10."""
    return vector_log10(a)


@rule
def logaddexp(a, b):
    """Return log(e^a + e^b), without overflow."""
    top = a if a > b or a != a else b
    if a == b:
        return top + like(a, LN_2)
    return top + log1p_unit(exp_of_negative(-abs(a - b)))


@rule
def logaddexp2(a, b):
    """Return the logarithm of 2^a + 2^b to base 2, without overflow."""
    top = a if a > b or a != a else b
    if a == b:
        return top + like(a, 1)
    return top + log1p_unit(exp_of_negative(-abs(a - b) * like(a, LN_2))) * like(a, 1 / LN_2)


# ---------------------------------------------------------------- steps
@rule
def rint(a):
    """Return the nearest whole number, the even one of two."""
    return nearest(a)


@rule
def ceil(a):
    """Return the smallest whole number that is not below a."""
    whole = nearest(a)
    return math.copysign(whole + like(a, 1) if whole < a else whole, a)


@rule
def trunc(a):
    """Return the whole part."""
    size = abs(a)
    whole = nearest(size)
    return math.copysign(whole - like(a, 1) if whole > size else whole, a)


# ---------------------------------------------------------------- of two, bit by bit
@rule
def copysign(a, b):
    """Return |a| with the sign of b."""
    return math.copysign(a, b)


@rule
def fmax(a, b):
    """Return the larger operand, the other one where one is NaN."""
    return b if a != a or b > a else a


@rule
def fmin(a, b):
    """Return the smaller operand, the other one where one is NaN."""
    return b if a != a or b < a else a


def np_fmax(a: Array, b: Array, y: Array | None = None) -> Array:
    """Return the larger of a and b that is not NaN."""
    return np.fmax(a, b, out=y)  # NumPy deprecates a third positional argument of these two


def np_fmin(a: Array, b: Array, y: Array | None = None) -> Array:
    """Return the smaller of a and b that is not NaN."""
    return np.fmin(a, b, out=y)


RULES = {
    "tan": Rule(tan, 1, np.tan, ufunc=True, flops=15, rounding=CLOSE),
    "asin": Rule(asin, 1, np.arcsin, ufunc=True, flops=15, rounding=CLOSE),
    "acos": Rule(acos, 1, np.arccos, ufunc=True, flops=15, rounding=CLOSE),
    "atan": Rule(atan, 1, np.arctan, ufunc=True, flops=15, rounding=CLOSE),
    "atan2": Rule(atan2, 2, np.arctan2, ufunc=True, flops=20, rounding=CLOSE),
    "hypot": Rule(hypot, 2, np.hypot, ufunc=True, flops=5, rounding=CLOSE),
    "sinh": Rule(sinh, 1, np.sinh, ufunc=True, flops=12, rounding=CLOSE),
    "cosh": Rule(cosh, 1, np.cosh, ufunc=True, flops=12, rounding=CLOSE),
    "asinh": Rule(asinh, 1, np.arcsinh, ufunc=True, flops=15, rounding=CLOSE),
    "acosh": Rule(acosh, 1, np.arccosh, ufunc=True, flops=15, draws="positive", rounding=CLOSE),
    "atanh": Rule(atanh, 1, np.arctanh, ufunc=True, flops=15, rounding=CLOSE),
    "exp2": Rule(exp2, 1, np.exp2, ufunc=True, flops=12, rounding=FAR),
    "log2": Rule(log2, 1, np.log2, ufunc=True, flops=10, draws="positive", rounding=CLOSE),
    "log10": Rule(log10, 1, np.log10, ufunc=True, flops=10, draws="positive", rounding=CLOSE),
    "logaddexp": Rule(logaddexp, 2, np.logaddexp, ufunc=True, flops=30, rounding=NEAR_ONE),
    "logaddexp2": Rule(logaddexp2, 2, np.logaddexp2, ufunc=True, flops=30, rounding=NEAR_ONE),
    "rint": Rule(rint, 1, np.rint, ufunc=True, rounding=EXACT),
    "ceil": Rule(ceil, 1, np.ceil, ufunc=True, flops=2, rounding=EXACT),
    "trunc": Rule(trunc, 1, np.trunc, ufunc=True, flops=2, rounding=EXACT),
    "copysign": Rule(copysign, 2, np.copysign, ufunc=True, rounding=EXACT),
    "fmax": Rule(fmax, 2, np_fmax, ufunc=True, rounding=EXACT),
    "fmin": Rule(fmin, 2, np_fmin, ufunc=True, rounding=EXACT),
}
LOOPS = {"tan": tangent.loop}
KERNELS = {name: lift(name, rule, LOOPS.get(name)) for name, rule in RULES.items()}
