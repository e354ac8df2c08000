"""sinh, cosh and their inverses, and hypot, that vectorise, in float32 and float64.

    sinh x = x + x^3 p(x^2) for |x| < 1, its power series;  (e^|x| - e^-|x|) / 2, signed, beyond
    asinh x = log(1 + w),  w = x + x^2 / (1 + sqrt(1 + x^2))
    acosh x = log(1 + w),  w = (x - 1) + sqrt((x - 1) (x + 1))
    atanh x = log(1 + w) / 2,  w = 2 x / (1 - x)

For x above 2^13, or 2^28, the first two logarithms are that of 2 x.  e^x is computed as its fourth
part, which is finite where sinh and cosh are; hypot brings its operands to where squares are.

Errors in ULP: test_vector_maths.py.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad_kernels.math.exponential import reduced
from minigrad_kernels.math.logarithm import joined, vector_log1p
from minigrad_kernels.math.scalar import (
    constant,
    like,
    multiply_add,
    polynomial,
    power_of_two,
    rule,
    split_power,
)

S32 = tuple(1 / math.factorial(n) for n in range(11, 1, -2))
S64 = tuple(1 / math.factorial(n) for n in range(21, 1, -2))
FAR32, FAR64 = 2.0**13, 2.0**28
# Between these, squares and their sums are neither subnormal nor infinite where it counts.
LEAST32, LEAST64, MOST32, MOST64 = 2.0**-40, 2.0**-450, 2.0**60, 2.0**500
UP32, UP64 = 2.0**100, 2.0**600


@rule
def quarter_exp(x):
    """Return e^x / 4 for x >= 0, finite up to where e^x / 2 no longer is."""
    n, r, tail = reduced(min(x, constant(x, 89.5, 710.6)), like(x, 0))
    return (like(x, 1) + (r + tail)) * power_of_two(n - like(x, 2))


@rule
def vector_sinh(x):
    """Return the hyperbolic sine of x."""
    z = x * x
    near = multiply_add(x * z, polynomial(z, S32, S64), x)
    quarter = quarter_exp(abs(x))
    half = quarter - like(x, 0.0625) / quarter
    return near if abs(x) < 1 else (math.copysign(half + half, x) if x == x else x)


@rule
def vector_cosh(x):
    """Return the hyperbolic cosine of x."""
    quarter = quarter_exp(abs(x))
    half = quarter + like(x, 0.0625) / quarter
    return half + half if x == x else x


@rule
def log_of_sum(w, x, far):
    """Return log(1 + w), or log(2 x) where x is far."""
    u = like(w, 1) + w
    lost = like(w, 1) - (u - w) if w >= 1 else w - (u - like(w, 1))
    m, n = split_power(x if far else u)
    rest = like(w, 0) if far else lost / u
    return joined(n + like(w, 1) if far else n, m - like(w, 1), rest)


@rule
def vector_asinh(x):
    """Return the inverse of sinh."""
    size = abs(x)
    far = size > constant(x, FAR32, FAR64)
    t = like(x, 1) if far else size
    w = t + t * t / (like(x, 1) + math.sqrt(multiply_add(t, t, like(x, 1))))
    y = math.copysign(log_of_sum(w, size, far), x)
    return y if size < like(x, np.inf) else x


@rule
def vector_acosh(x):
    """Return the inverse of cosh, NaN below 1."""
    far = x > constant(x, FAR32, FAR64)
    t = like(x, 0) if far or not x >= 1 else x - like(x, 1)
    w = t + math.sqrt(t * (t + like(x, 2)))
    y = log_of_sum(w, x, far)
    y = y if x < like(x, np.inf) else x
    return like(x, np.nan) if x < 1 else y


@rule
def vector_atanh(x):
    """Return the inverse of tanh, NaN for |x| > 1."""
    size = abs(x)
    y = like(x, 0.5) * vector_log1p((size + size) / (like(x, 1) - size))
    return math.copysign(y, x) if size < like(x, np.inf) else like(x, np.nan)


@rule
def vector_hypot(a, b):
    """Return sqrt(a^2 + b^2); inf where one of them is infinite."""
    up, across = abs(a), abs(b)
    most = up if up > across else across
    scale = like(a, 1)
    back = like(a, 1)
    if most < constant(a, LEAST32, LEAST64):
        scale, back = constant(a, UP32, UP64), constant(a, 1 / UP32, 1 / UP64)
    if most > constant(a, MOST32, MOST64):
        scale, back = constant(a, 1 / UP32, 1 / UP64), constant(a, UP32, UP64)
    p, q = up * scale, across * scale
    y = math.sqrt(multiply_add(p, p, q * q)) * back
    infinite = up == like(a, np.inf) or across == like(a, np.inf)
    return like(a, np.inf) if infinite else y
