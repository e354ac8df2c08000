"""log and log1p that vectorise, in float32 and float64.

    x = m 2^n,  m in [sqrt(1/2), sqrt(2)),  f = m - 1,  s = f / (2 + f)
    log x = n ln 2 + f - f^2/2 + s (f^2/2 + s^2 q(s^2))

q is the minimax polynomial on s^2 <= 0.03, error 2^-36 and 2^-58 (Remez exchange in 40 digits).
Errors in ULP: test_vector_maths.py.  Source: fdlibm, e_log.c and s_log1p.c.
"""

from __future__ import annotations

import numpy as np

from minigrad_kernels.math.exponential import HIGH32, HIGH64, LOW32, LOW64
from minigrad_kernels.math.scalar import (
    constant,
    like,
    multiply_add,
    near_quotient,
    polynomial,
    rule,
    split_power,
)

Q32 = (0.233345698349814055, 0.285506564971145262, 0.400001234668633545, 0.666666665521449392)
Q64 = (
    *(0.146204573525758932, 0.153313874078428846, 0.181828995374638966, 0.222222109858969008),
    *(0.285714286269333418, 0.399999999998972636, 0.666666666666666977),
)
SMALLEST32, SMALLEST64 = 2.0**-126, 2.0**-1022  # below are the subnormals
ROOT2_LESS_1 = 0.41421356237309515


@rule
def joined(n, f, rest):
    """Return n ln 2 + log1p(f) + rest."""
    s = near_quotient(f, like(f, 2) + f)
    z = s * s
    half = like(f, 0.5) * f * f
    low = multiply_add(n, constant(f, LOW32, LOW64), rest)
    near = f - (half - multiply_add(s, multiply_add(z, polynomial(z, Q32, Q64), half), low))
    return multiply_add(n, constant(f, HIGH32, HIGH64), near)


@rule
def vector_log(x):
    """Return log(x): -inf at 0, NaN below."""
    tiny = x < constant(x, SMALLEST32, SMALLEST64)
    m, n = split_power(x * like(x, 2.0**54) if tiny else x)
    y = joined(n - like(x, 54) if tiny else n, m - like(x, 1), like(x, 0))
    y = y if x > 0 else (like(x, -np.inf) if x == 0 else like(x, np.nan))
    return y if x < like(x, np.inf) else x


@rule
def vector_log1p(x):
    """Return log(1 + x) without cancellation near 0: -inf at -1, NaN below."""
    u = like(x, 1) + x
    lost = like(x, 1) - (u - x) if x >= 1 else x - (u - like(x, 1))
    m, n = split_power(u)
    y = joined(n, m - like(x, 1), lost / u)
    y = y if x > -1 else (like(x, -np.inf) if x == -1 else like(x, np.nan))
    return y if x < like(x, np.inf) and x != 0 else x


@rule
def log1p_unit(x):
    """Return log(1 + x) for x in [0, 1], with one division and no special cases; NaN passes."""
    over = x > like(x, ROOT2_LESS_1)
    f = like(x, 0.5) * (x - like(x, 1)) if over else x
    return joined(like(x, 1) if over else like(x, 0), f, like(x, 0))
