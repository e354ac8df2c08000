"""erf and the normal distribution's tail, that vectorise, in float32 and float64.

    erf x = x + x p(x^2)                       for |x| < 1
    erf x = 1 - 2 Q(sqrt(2) |x|), signed       beyond
    Q(x) = e^(-x^2/2) n(x) / d(x)              for x >= 0

Q is the upper tail of the normal distribution.  Taking out e^(-x^2/2), with what rounding takes
from x^2, keeps the tail right to its last bits, where 1/2 (1 + erf) has none left: gelu(-5) in
float32 is off by 5 ULP instead of 10^5.  The gradient of gelu uses the same exponential.

p, n and d are minimax, error 2^-30 and 2^-27.5 for float32, 2^-62 and 2^-59.9 for float64 (Remez
exchange in 50 digits; n / d on [0, 13.3] and [0, 38.6], of degrees 4 / 5 and 10 / 11: one division
and no choice of branches).  Errors in ULP: test_vector_maths.py.
"""

from __future__ import annotations

import math

from minigrad_kernels.math.exponential import bell, exp_of_negative
from minigrad_kernels.math.scalar import (
    constant,
    like,
    multiply_add,
    near_quotient,
    polynomial,
    rule,
)

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
N32 = (
    *(0.00402034427075804443, 0.0399852721054075148, 0.181310123066813845),
    *(0.43569101595737983, 0.500000002481702876),
)
D32 = (
    *(0.0100773654564375662, 0.100235592813341676, 0.464389184964726311),
    *(1.1944984382730279, 1.66926695079467989, 1.0),
)
N64 = (
    *(2.23406475590791596e-7, 6.95541787326870111e-6, 0.00010630542865816386),
    *(0.00103750803311954193, 0.0071102196203717819, 0.0356157591570468595),
    *(0.131892748536654991, 0.357031055704939696, 0.679201100183795047),
    *(0.827662522494157508, 0.5),
)
D64 = (
    *(5.59996988451404742e-7, 0.0000174346471030401081, 0.000267028190206506255),
    *(0.00261808161828717031, 0.0180880257292595364, 0.0918412469004348021),
    *(0.347901426473765648, 0.979192803285214639, 2.00008643222327019),
    *(2.81578026924164896, 2.45320960579118058, 1.0),
)


@rule
def erf_near(x):
    """Return the error function for |x| below 1."""
    return multiply_add(x, polynomial(x * x, P32, P64), x)


@rule
def tail_ratio(x):
    """Return Q(x) e^(x^2/2) for x >= 0."""
    return near_quotient(polynomial(x, N32, N64), polynomial(x, D32, D64))


@rule
def normal(x):
    """Return (the normal distribution's cumulative function at x, e^(-x^2/2))."""
    t = min(abs(x), constant(x, 14.5, 39))  # the tail is 0 beyond
    e = bell(t)
    tail = e * tail_ratio(t)
    return (like(x, 1) - tail if x > 0 else tail), e


@rule
def vector_erf(x):
    """Return the error function of x."""
    t = min(abs(x), constant(x, 5, 7))  # 1 beyond
    near = erf_near(x)
    tail = exp_of_negative(-t * t) * tail_ratio(t * like(x, math.sqrt(2)))
    far = multiply_add(like(x, -2), tail, like(x, 1))
    y = near if t < 1 else (far if x > 0 else -far)
    return y if x == x else x
