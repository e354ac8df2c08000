"""sin and cos of any float, without the local memory that CUDA's library takes for large ones.

    |x| 2 / pi = 4 k + q + g,  q in 0 .. 3,  |g| <= 1/2,    r = g pi / 2
    sin r = r + r^3 s(r^2),  cos r = 1 - r^2 / 2 + r^4 c(r^2)

Below 2^16, r is x less q times pi / 2 in three parts, each step exact or rounded once.  Above, q
and g are exact to 2^-70 or 2^-118: a product of whole numbers with the bits of 2 / pi from where
they matter.  s and c are minimax polynomials, error 2^-27 and 2^-57 (Remez exchange in 45 digits).
Source: Payne and Hanek, "Radian reduction for trigonometric functions" (1983).
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, int32, int64, uint32, uint64

from minigrad_kernels.math.scalar import (
    constant,
    like,
    multiply_add,
    nearest,
    polynomial,
    split_power,
)

# The first 1,216 bits of 2 / pi, in hexadecimal.
TWO_OVER_PI = (
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424d"
    "d2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639"
    "835339f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f46"
    "3f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6bab"
)
# Two words of zeros stand before them.
WORDS = np.array(
    [int("0" * 16 + TWO_OVER_PI, 16) >> 32 * k & 0xFFFFFFFF for k in range(39, -1, -1)]
)
TABLE = WORDS.astype(np.uint32)
S32 = (-0.000195038970328068228, 0.00833210046991400475, -0.166666546672257878)
S64 = (
    *(1.58947110964963807e-10, -2.50507345804547867e-8, 2.75573136519168758e-6),
    *(-0.000198412698301445906, 0.00833333333332366244, -0.166666666666666421),
)
C32 = (0.0000244637703289062175, -0.00138876538927619105, 0.0416666546446133738)
C64 = (
    *(-1.13679818804704419e-11, 2.08758977386828701e-9, -2.75573157386132759e-7),
    *(0.0000248015872946280054, -0.00138888888888828391, 0.0416666666666666513),
)
LARGE = 65_536
# pi / 2 in three parts, float32's and float64's.
FIRST = (1.5707963705062866, 1.5707963267948966)
SECOND = (-4.371138828673793e-08, 6.123233995736766e-17)
THIRD = (-1.7151245100058819e-15, -1.4973849048591698e-33)
TINY = 2.0**-64
UNIT = math.pi / 2 * TINY
LOW = 0xFFFFFFFF
# Bits of a float's fraction; where the bits begin of which multiples of 4 come, less the exponent;
# words that are multiplied.
FRACTION32, FRACTION64 = 23, 52
BEGIN32, BEGIN64 = 64 - 25, 64 - 54
COUNT32, COUNT64 = 3, 6


@cuda.jit(device=True)
def stepped(x):
    """Return q and r of 0 <= x < LARGE."""
    n = nearest(x * like(x, 2 / math.pi))
    r = multiply_add(n, constant(x, -FIRST[0], -FIRST[1]), x)
    r = multiply_add(n, constant(x, -SECOND[0], -SECOND[1]), r)
    return uint32(int32(n)), multiply_add(n, constant(x, -THIRD[0], -THIRD[1]), r)


@cuda.jit(device=True)
def reduced(x):
    """Return q and r of x >= 1, finite."""
    words = cuda.const.array_like(TABLE)
    m, n = split_power(x)
    below = m < like(x, 1)
    n = n - like(x, 1) if below else n
    m = m + m if below else m
    whole = uint64(m * constant(x, 2.0**FRACTION32, 2.0**FRACTION64))
    high, low = uint64(whole >> uint64(32)), uint64(whole & uint64(LOW))
    first = uint32(int32(n + constant(x, BEGIN32, BEGIN64)))
    shift = uint64(first & uint32(31))
    k = uint32((first >> uint32(5)) + uint32(int32(constant(x, COUNT32, COUNT64))))
    a = b = c = d = before = carry = uint64(0)
    while k > uint32(first >> uint32(5)):
        k = uint32(k - uint32(1))
        pair = uint64((uint64(words[k]) << uint64(32)) | uint64(words[uint32(k + uint32(1))]))
        word = uint64(uint64(pair << shift) >> uint64(32))
        upper, lower = uint64(low * word), uint64(high * before)
        total = uint64((upper & uint64(LOW)) + (lower & uint64(LOW)) + carry)
        carry = uint64((total >> uint64(32)) + (upper >> uint64(32)) + (lower >> uint64(32)))
        a, b, c, d = uint64(total & uint64(LOW)), a, b, c
        before = word
    g = int64(uint64((a << uint64(34)) | (b << uint64(2)) | (c >> uint64(30))))
    rest = uint64((c << uint64(34)) | (d << uint64(2)))
    q = uint32((a >> uint64(30)) + uint64(1 if g < 0 else 0))
    return q, multiply_add(like(x, rest), like(x, TINY), like(x, g)) * like(x, UNIT)


@cuda.jit(device=True)
def sine_after(size, quarters):
    """Return sin(size + quarters pi / 2), for size >= 0; NaN where it is infinite or NaN."""
    finite = size < like(size, np.inf)
    if size < like(size, LARGE):
        q, r = stepped(size)
    else:
        q, r = reduced(size if finite else like(size, LARGE))
    q = uint32(q + quarters)
    z = r * r
    odd = multiply_add(r * z, polynomial(z, S32, S64), r)
    even = multiply_add(like(z, -0.5), z, like(z, 1))
    even = multiply_add(z * z, polynomial(z, C32, C64), even)
    y = even if q & uint32(1) else odd
    y = -y if q & uint32(2) else y
    return y if finite else size - size


@cuda.jit(device=True)
def sine(x):
    """Return the sine of x."""
    y = sine_after(abs(x), uint32(0))
    return y if x > 0 else (-y if x < 0 else x)


@cuda.jit(device=True)
def cosine(x):
    """Return the cosine of x."""
    return sine_after(abs(x), uint32(1))
