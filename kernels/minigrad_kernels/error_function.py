"""erf and the normal distribution's tail, that vectorise, in float32 and float64.

    erf x = x + x p(x^2)                       for |x| < 1
    erf x = 1 - 2 Q(sqrt(2) |x|), signed       beyond
    Q(x) = e^(-x^2/2) r(u) / (1 + 2.5 x),      u = (x - k) / (x + k),  x >= 0

Q is the upper tail of the normal distribution.  Taking out e^(-x^2/2), with what rounding takes
from x^2, keeps the tail right to its last bits, where 1/2 (1 + erf) has none left: gelu(-5) in
float32 is off by 2 ULP instead of 10^5.  The gradient of gelu uses the same exponential.

p and r are minimax polynomials, error 2^-30 and 2^-30, 2^-62 and 2^-57 (Remez exchange in 40
digits).  Errors in ULP: test_vector_maths.py.
Source: Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x" (1981).
"""

from __future__ import annotations

import math

from minigrad_kernels.exponential import exp_of_sum
from minigrad_kernels.scalar import constant, like, multiply_add, polynomial, rule

P32 = (
    *(0.0000788911915748783879, -0.00080208456984069044, 0.00518953646193926138),
    *(-0.0268544455815080762, 0.112836002118158885, -0.376126271404405456, 0.128379165914654321),
)
P64 = (
    *(5.96068533852097103e-11, -1.13749557360701496e-9, 1.46603287227422595e-8),
    *(-1.63503962228646163e-7, 1.64610084778027013e-6, -0.0000149255957721809053),
    *(0.000120553311329558196, -0.000854832698142554209, 0.00522397762482843067),
    *(-0.0268661706450778751, 0.112837916709548845, -0.376126389031837482, 0.128379167095512574),
)
R32 = (
    *(-0.0000417955491925729426, -0.000290607840029802966, -0.000107376956483383192),
    *(0.00205931843356957185, -0.00168547670306146215, -0.0132815677046586241),
    *(0.0575791582157660073, -0.126789860807371531, 0.179062051521302316),
    *(-0.151569889645322141, 0.0138378873262061318, 1.03851705505950299),
)
R64 = (
    *(3.85556822955655765e-9, 5.86422082641254322e-9, -4.37561688590837855e-8),
    *(-4.07700491371355611e-8, 3.68983522421110013e-7, -9.68182996400246533e-8),
    *(-2.67160788389130768e-6, 5.53597964717448313e-6, 0.000010317160129902907),
    *(-0.0000741126127445272433, 0.000125250729764254317, 0.000280162979399399815),
    *(-0.00244304591168419848, 0.00885931701018828893, -0.0227764405962959196),
    *(0.046386814282906628, -0.0778977165143063768, 0.109062977395226361),
    *(-0.125588522282755814, 0.111925592749812596, -0.0592186787696296811),
    *(-0.0277683055788983234, 1.03646902919114958),
)


@rule
def erf_near(x):
    return multiply_add(x, polynomial(x * x, P32, P64), x)


@rule
def tail_ratio(x):
    """Return Q(x) e^(x^2/2) for x >= 0."""
    k = constant(x, 4, 6)
    u = (x - k) / (x + k)
    return polynomial(u, R32, R64) / multiply_add(like(x, 2.5), x, like(x, 1))


@rule
def bell(x):
    """Return e^(-x^2/2)."""
    half = like(x, -0.5) * x
    square = half * x
    return exp_of_sum(square, multiply_add(half, x, -square))


@rule
def normal(x):
    """Return (the normal distribution's cumulative function at x, e^(-x^2/2)); not for NaN."""
    t = min(abs(x), constant(x, 14.5, 39))  # the tail is 0 beyond
    e = bell(t)
    tail = e * tail_ratio(t)
    far = like(x, 1) - tail if x > 0 else tail
    z = like(x, math.sqrt(0.5)) * x
    near = multiply_add(like(x, 0.5), erf_near(z), like(x, 0.5))
    return (near if t < like(x, 0.7) else far), e


@rule
def vector_erf(x):
    t = min(abs(x), constant(x, 5, 7))  # 1 beyond
    near = erf_near(x)
    tail = exp_of_sum(-t * t, like(x, 0)) * tail_ratio(t * like(x, math.sqrt(2)))
    far = multiply_add(like(x, -2), tail, like(x, 1))
    y = near if t < 1 else (far if x > 0 else -far)
    return y if x == x else x
