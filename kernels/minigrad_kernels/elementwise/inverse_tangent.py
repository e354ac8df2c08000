"""atan2, and by it asin, acos and atan, that vectorise, in float32 and float64.

    atan t = t + t^3 p(t^2)                     for t = low / high of |a| and |b|, in [0, 1]
    atan2(a, b) = k pi / 2 +- atan t, signed    k and the sign by quadrant, pi / 2 in two parts
    asin x = atan2(x, sqrt((1 - x) (1 + x)))    acos x = atan2(sqrt((1 - x) (1 + x)), x)

p is minimax relative to atan, error 2^-28.5 for float32 and 2^-57.6 for float64 (Remez exchange in
50 digits).  Errors in ULP: test_vector_maths.py.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad_kernels.math.scalar import constant, like, multiply_add, polynomial, rule

P32 = (
    *(-0.001793645388769946, 0.0109147209406226585, -0.0311780812114527631),
    *(0.0579578553610094382, -0.0840346746250370758, 0.109521924021385862),
    *(-0.14264243110009606, 0.199985484319023948, -0.33333299094066598),
)
P64 = (
    *(0.0000132251199737147343, -0.000152161226089271922, 0.000831323094977148933),
    *(-0.00288492069205509814, 0.00719650477463739079, -0.0139005580591053833),
    *(0.0219848461921319764, -0.0299038481449046081, 0.0366419011833347047),
    *(-0.042191782992877264, 0.0472232188844146782, -0.0525351842980410467),
    *(0.0588052778014865667, -0.0666640405045630164, 0.0769227983823212429),
    *(-0.0909090700288166507, 0.111111110070187543, -0.142857142825748185),
    *(0.199999999999514552, -0.33333333333333068),
)
# pi / 2 in two parts, the first rounded to the type
HIGH32, LOW32 = 1.57079637050628662109375, -4.37113900018624283e-8
HIGH64, LOW64 = math.pi / 2, 6.12323399573676603587e-17


@rule
def vector_atan2(a, b):
    """Return the angle of the point (b, a), with the signs of zeros and infinities as in C."""
    up, across = abs(a), abs(b)
    steep = up > across
    low, high = (across, up) if steep else (up, across)
    divisor = like(a, 1) if high == 0 else high
    t = like(a, 1) if low == like(a, np.inf) else low / divisor
    z = t * t
    angle = multiply_add(t * z, polynomial(z, P32, P64), t)
    back = math.copysign(like(a, 1), b) < 0
    turned = -angle if steep != back else angle
    quarters = like(a, 1) if steep else (like(a, 2) if back else like(a, 0))
    rest = multiply_add(quarters, constant(a, LOW32, LOW64), turned)
    y = math.copysign(multiply_add(quarters, constant(a, HIGH32, HIGH64), rest), a)
    return y if a == a and b == b else a + b


@rule
def vector_atan(x):
    """Return the angle whose tangent is x."""
    return vector_atan2(x, like(x, 1))


@rule
def leg(x):
    """Return sqrt(1 - x^2), NaN for |x| > 1."""
    return math.sqrt((like(x, 1) - x) * (like(x, 1) + x))


@rule
def vector_asin(x):
    """Return the angle whose sine is x, NaN for |x| > 1."""
    return vector_atan2(x, leg(x))


@rule
def vector_acos(x):
    """Return the angle whose cosine is x, NaN for |x| > 1."""
    return vector_atan2(leg(x), x)
