"""log2 and log10 that vectorise, in float32 and float64, whole at powers of their bases.

    x = m 2^n,  m in [sqrt(1/2), sqrt(2)),  f = m - 1,  s = f / (2 + f)
    log_b x = n log_b 2 + (f - f^2/2 + s (f^2/2 + s^2 q(s^2))) / ln b

q is that of math/logarithm.py.  What f / ln b and the first sum lose in rounding is added at the
end.  Errors in ULP: test_vector_maths.py.
"""

from __future__ import annotations

import numpy as np

from minigrad_kernels.math.logarithm import Q32, Q64, SMALLEST32, SMALLEST64
from minigrad_kernels.math.scalar import (
    constant,
    like,
    multiply_add,
    near_quotient,
    polynomial,
    rule,
    split_power,
)
from minigrad_kernels.simd.exact import exact_multiply_add

# Each in two parts.  1 / ln b: the first rounded to the type; log10 2: with so few bits that n
# times it is exact.
PER32_2, PER64_2 = (
    (1.4426950216293335, 1.9259629911266175e-08),
    (1.4426950408889634, 2.0355273740931033e-17),
)
PER32_10, PER64_10 = (
    (0.4342944920063019, -1.0103050052231683e-08),
    (0.4342944819032518, 1.098319650216765e-17),
)
TWO32, TWO64 = (0.301025390625, 4.605038981195214e-06), (0.30102999566361177, 3.694239077158931e-13)


@rule
def scaled_log(x, high, low, step, rest):
    """Return log(x) (high + low), where ln 2 (high + low) is step + rest."""
    tiny = x < constant(x, SMALLEST32, SMALLEST64)
    m, n = split_power(x * like(x, 2.0**54) if tiny else x)
    n = n - like(x, 54) if tiny else n
    f = m - like(x, 1)
    s = near_quotient(f, like(f, 2) + f)
    z = s * s
    half = like(f, 0.5) * f * f
    bent = multiply_add(s, multiply_add(z, polynomial(z, Q32, Q64), half), -half)
    near = f * high
    lost = exact_multiply_add(f, high, -near)
    far = n * step
    y = far + near
    lost = lost + ((far - y) + near)  # far is 0 or the larger of the two
    y = y + multiply_add(bent, high, multiply_add(f, low, multiply_add(n, rest, lost)))
    y = y if x > 0 else (like(x, -np.inf) if x == 0 else like(x, np.nan))
    return y if x < like(x, np.inf) else x


@rule
def vector_log2(x):
    """Return the logarithm of x to base 2: -inf at 0, NaN below."""
    high, low = constant(x, PER32_2[0], PER64_2[0]), constant(x, PER32_2[1], PER64_2[1])
    return scaled_log(x, high, low, like(x, 1), like(x, 0))


@rule
def vector_log10(x):
    """Return the logarithm of x to base 10: -inf at 0, NaN below."""
    high, low = constant(x, PER32_10[0], PER64_10[0]), constant(x, PER32_10[1], PER64_10[1])
    step, rest = constant(x, TWO32[0], TWO64[0]), constant(x, TWO32[1], TWO64[1])
    return scaled_log(x, high, low, step, rest)
