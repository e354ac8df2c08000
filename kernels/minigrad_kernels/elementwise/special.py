"""Special functions: erfc and the inverse of erf, the gamma function's logarithm and its
derivatives, sin(x) / x and its derivatives, Bessel functions of an imaginary argument.

    zeta(s, q) = sum over k >= 0 of (q + k)^-s, the first terms one by one, the rest by Euler and
        Maclaurin's formula
    digamma(x) = log x - 1 / 2x - sum of B_2k / (2k x^2k), after ten steps of digamma(x + 1) =
        digamma(x) + 1 / x; below 0 by reflection
    sinc's n-th derivative S_n: the power series for |x| <= 1, else x S_n + n S_(n-1) = pi^(n-1)
        sin(pi x + n pi / 2)
    I_n(x): its power series below 20, its asymptotic series beyond

Shapes: as elementwise/rules.py, whose rules these are too.
Source: Abramowitz and Stegun, "Handbook of mathematical functions" (1964), 6.3, 9.6, 9.7, 23.2;
    erfinv's first guess: Giles, "Approximating the erfinv function" (2011).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.elementwise.kernels import lift
from minigrad_kernels.elementwise.rules import CLOSE
from minigrad_kernels.kernel import NEAR_ONE, Rounding, Rule
from minigrad_kernels.math.error_function import erf_near, tail_ratio
from minigrad_kernels.math.exponential import exp_of_negative
from minigrad_kernels.math.logarithm import vector_log
from minigrad_kernels.math.scalar import constant, like, nearest, polynomial, rule

Array = np.ndarray[Any, Any]
SERIES: Rounding = (40.0, 1.0)
# Giles's polynomials, for w = -log(1 - x^2) below 5 and for its root beyond.
NEAR = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
FAR = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773),
    *(-0.0076224613, 0.00943887047, 1.00167406, 2.83297682),
)
# The same on w to 37, which float64 reaches: relative minimax, error 2^-21.
FAR64 = (
    *(-1.55267907351841348e-6, 0.0000150184425088609424, -0.0000313317524861584272),
    *(-0.000177292620983528537, 0.00121581100821074209, -0.0033649148538727013),
    *(0.0057577616993330396, -0.00773040054475249238, 0.00943982771612895413),
    *(1.00168435802128971, 2.83297701010476107),
)
SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(9, -1, -1))
COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in range(9, -1, -1))
DIGAMMA = (-1 / 12, 691 / 32760, -1 / 132, 1 / 240, -1 / 252, 1 / 120, -1 / 12, 0.0)
# B_2k / (2k)!
EULER = (
    *(1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000),
    *(1 / 74724249600, -3617 / 10670622842880000),
)
TERMS = 60  # of the Bessel functions' power series, 1e-20 for x = 20
WIDE = 20.0


# ---------------------------------------------------------------- error functions
@rule
def erfc(a):
    """Return 1 - erf(a), right to its last bits where that is small."""
    return math.erfc(a)


@rule
def erfcx(a):
    """Return e^(a^2) erfc(a)."""
    size = abs(a)
    if size < like(a, 9):
        y = like(a, 2) * tail_ratio(size * like(a, math.sqrt(2)))
    else:  # 1 / (sqrt(pi) a) (1 - 1 / 2 a^2 + 1 3 / (2 a^2)^2 - ...)
        z = like(a, -0.5) / (size * size)
        y, term, odd = like(a, 1), like(a, 1), like(a, 1)
        for _ in range(18):
            term = term * odd * z
            y += term
            odd += like(a, 2)
        y = y / (size * like(a, math.sqrt(math.pi)))
    return like(a, 2) * math.exp(size * size) - y if a < 0 else y


@rule
def refined(y, size):
    """Return the inverse of erf from a guess good to 4e-7: a step of Halley's."""
    e = exp_of_negative(-y * y)
    # erf(y) - size over e: above a half from the tails, which do not cancel
    near = (erf_near(y) - size) / e
    far = (like(y, 1) - size) / e - like(y, 2) * tail_ratio(y * like(y, math.sqrt(2)))
    off = (near if size < like(y, 0.5) else far) * like(y, math.sqrt(math.pi) / 2)
    return y - off / (like(y, 1) + y * off)


@rule
def erfinv(a):
    """Return x with erf(x) = a: Giles's guess, 3 ULP in float32, and a step from there in float64.

    The tail of float64 is longer, and has a polynomial of its own.
    """
    size = abs(a)
    w = -vector_log((like(a, 1) - size) * (like(a, 1) + size))
    near = polynomial(w - like(a, 2.5), NEAR, NEAR)
    far = polynomial(math.sqrt(w) - like(a, 3), FAR, FAR64)
    guess = (near if w < like(a, 5) else far) * size
    y = guess if constant(a, 1, 0) == like(a, 1) else refined(guess, size)
    y = y if size < like(a, 1) else (like(a, np.inf) if size == like(a, 1) else like(a, np.nan))
    return math.copysign(y, a) if a == a else a


# ---------------------------------------------------------------- the gamma function
@rule
def lgamma(a):
    """Return the logarithm of |gamma(a)|, infinite at 0 and whole numbers below."""
    return like(a, np.inf) if a <= 0 and nearest(a) == a else math.lgamma(a)


@rule
def cotangent_of_turn(a):
    """Return cot(pi a)."""
    t = (a - nearest(a)) * like(a, math.pi / 2)
    z = t * t
    s, c = t * polynomial(z, SINE, SINE), polynomial(z, COSINE, COSINE)
    return (c * c - s * s) / (like(a, 2) * s * c)


@rule
def digamma(a):
    """Return the derivative of lgamma; NaN at whole numbers below 0, infinite at 0."""
    x = like(a, 1) - a if a < 0 else a
    steps = like(a, 0)
    if x < like(a, 10):
        for k in range(10):
            steps += like(a, 1) / (x + like(a, k))
        x = x + like(a, 10)
    z = like(a, 1) / (x * x)
    y = math.log(x) - like(a, 0.5) / x + polynomial(z, DIGAMMA, DIGAMMA) - steps
    if a < 0:
        whole = nearest(a) == a
        y = like(a, np.nan) if whole else y - like(a, math.pi) * cotangent_of_turn(a)
    return y if a != 0 else math.copysign(like(a, np.inf), -a)


@rule
def zeta(s, q):
    """Return the sum of (q + k)^-s over all k >= 0, for s > 1; infinite where a term is."""
    if not s > 1:
        return like(s, np.inf) if s == 1 else like(s, np.nan)
    if q <= 0:
        if nearest(q) == q:
            return like(s, np.inf)
        if nearest(s) != s:
            return like(s, np.nan)
    total, x, k = like(s, 0), q, like(s, 0)
    while k < like(s, 10) or x < like(s, 10):
        total += x**-s
        x, k = x + like(s, 1), k + like(s, 1)
    term = x**-s
    if term == 0:
        return total
    total += term * x / (s - like(s, 1)) + like(s, 0.5) * term
    rising, inverse = s, like(s, 1) / x
    term = term * inverse
    step = like(s, 1)
    for b in EULER:
        total += like(s, b) * rising * term
        rising = rising * (s + step) * (s + step + like(s, 1))
        term = term * inverse * inverse
        step = step + like(s, 2)
    return total


# ---------------------------------------------------------------- sin(x) / x
@rule
def sine_of_turn(a, quarters):
    """Return sin(pi a + quarters pi / 2)."""
    n = nearest(a + a)
    t = (a - like(a, 0.5) * n) * like(a, math.pi)
    z = t * t
    q = n + quarters
    q = q - like(a, 4) * nearest(like(a, 0.25) * q)  # of -2 to 2
    if q == like(a, 1) or q == like(a, -1):
        y = polynomial(z, COSINE, COSINE)
    else:
        y = t * polynomial(z, SINE, SINE)
    return -y if q < 0 or q == like(a, 2) else y


@rule
def sinc(a, order, _):
    """Return a derivative of sin(pi a) / (pi a)."""
    if abs(a) <= like(a, 1):
        # The term of x^2k, differentiated: (-1)^k pi^2k x^(2k - n) / ((2k + 1) (2k - n)!)
        square = like(a, -(math.pi**2)) * a * a
        term, total, k = like(a, 1), like(a, 0), like(a, 0)
        while like(a, 2) * k < order:
            term, k = term * like(a, -(math.pi**2)), k + like(a, 1)
        m = like(a, 2) * k - order
        term = term * a if m == like(a, 1) else term
        for _i in range(20):
            total += term / (like(a, 2) * k + like(a, 1))
            term = term * square / ((m + like(a, 1)) * (m + like(a, 2)))
            k, m = k + like(a, 1), m + like(a, 2)
        return total
    y = sine_of_turn(a, like(a, 0)) / (like(a, math.pi) * a)
    n, scale = like(a, 1), like(a, 1)
    while n <= order:
        y = (scale * sine_of_turn(a, n) - n * y) / a
        n, scale = n + like(a, 1), scale * like(a, math.pi)
    return y if abs(a) < like(a, np.inf) else a - a


# ---------------------------------------------------------------- Bessel functions
@rule
def bessel_i(a, order, scaled):
    """Return the modified Bessel function of the first kind, e^-|a| times that if `scaled`."""
    x = abs(a)
    if x < like(a, WIDE):
        half = like(a, 0.5) * x
        term, n = like(a, 1), like(a, 0)
        while n < order:
            n = n + like(a, 1)
            term = term * half / n
        total, k = like(a, 0), like(a, 0)
        for _i in range(TERMS):
            total += term
            k = k + like(a, 1)
            term = term * half * half / (k * (k + order))
        y = total * math.exp(-x) if scaled != 0 else total
    else:
        total, term, k = like(a, 1), like(a, 1), like(a, 0)
        for _i in range(20):
            odd = like(a, 2) * k + like(a, 1)
            k = k + like(a, 1)
            term = term * (odd * odd - like(a, 4) * order * order) / (like(a, 8) * k * x)
            total += term
        y = total / math.sqrt(like(a, 2 * math.pi) * x)
        if scaled == 0:  # in two factors, of which neither overflows before the product
            root = math.exp(like(a, 0.5) * x)
            y = y * root * root
        y = like(a, 0) if x == like(a, np.inf) and scaled != 0 else y
        y = x if x == like(a, np.inf) and scaled == 0 else y
    odd_order = order != like(a, 2) * nearest(like(a, 0.5) * order)
    return -y if odd_order and a < 0 else y


# ---------------------------------------------------------------- NumPy spellings
def _on_poles(function: Any, infinite: float) -> Any:
    """Return a function of `math` on arrays, with a number where it has a pole or overflows."""

    def each(x: float) -> float:
        try:
            return float(function(x))
        except (ValueError, OverflowError):
            return infinite

    return np.vectorize(each, otypes=[np.float64])


np_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def np_erfcx(a: Array) -> Array:
    """Return e^(a^2) erfc(a), by a continued fraction for a > 2."""
    size = np.abs(a)
    far = np.where(size > 2, size, 2.0)
    rest = far
    for k in range(120, 0, -1):
        rest = far + k / 2 / rest
    low = np.where(size > 2, 2.0, size)
    y = np.where(size > 2, 1 / (rest * math.sqrt(math.pi)), np.exp(low * low) * np_erfc(low))
    return np.where(np.isnan(a), a, np.where(a < 0, 2 * np.exp(size * size) - y, y))


np_lgamma = _on_poles(math.lgamma, math.inf)


def _erfinv(x: float) -> float:
    """Return the inverse of erf by Halley's steps from Winitzki's guess, good to 0.2 %."""
    if not abs(x) < 1:
        return math.copysign(math.inf, x) if abs(x) == 1 else math.nan
    if x == 0:
        return x
    size = abs(x)
    low = math.log((1 - size) * (1 + size))
    middle = 2 / (math.pi * 0.147) + low / 2
    y = math.sqrt(max(0.0, math.sqrt(middle * middle - low / 0.147) - middle))
    for _ in range(5):
        off = (math.erf(y) - size) if size < 0.5 else ((1 - size) - math.erfc(y))
        step = off / (2 / math.sqrt(math.pi) * math.exp(-y * y))
        y -= step / (1 + y * step)
    return math.copysign(y, x)


def np_digamma(a: Array) -> Array:
    """Return digamma, by twelve steps and the asymptotic series."""
    a = np.asarray(a)
    x = np.where(a < 0, 1 - a, a)
    steps = np.zeros_like(x)
    for _ in range(12):
        low = x < 12
        steps += np.where(low, 1 / x, 0)
        x = np.where(low, x + 1, x)
    y = np.log(x) - 0.5 / x + np.polyval(DIGAMMA, 1 / (x * x)) - steps
    whole = np.rint(a) == a
    y = np.where(a < 0, y - np.pi / np.tan(np.pi * (a - np.rint(a))), y)
    y = np.where((a < 0) & whole, np.nan, y)
    return np.where(a == 0, np.copysign(np.inf, -a), y)


def np_zeta(s: Array, q: Array) -> Array:
    """Return the Hurwitz zeta function."""
    s, q = np.broadcast_arrays(s, q)
    pole = (q <= 0) & (np.rint(q) == q)
    total, x = np.zeros(s.shape), np.where(pole, 20.0, q)
    for k in range(100_000):
        left = (k < 14) | (x < 14)
        if not left.any():
            break
        total = np.where(left, total + x**-s, total)
        x = np.where(left, x + 1, x)
    rest = x ** (1 - s) / (s - 1) + 0.5 * x**-s
    rising = s
    for k, b in enumerate(EULER):
        rest = rest + b * rising * x ** (-s - 2 * k - 1)
        rising = rising * (s + 2 * k + 1) * (s + 2 * k + 2)
    total = np.where(x**-s == 0, total, total + rest)
    total = np.where(pole, np.inf, np.where((q <= 0) & (np.rint(s) != s), np.nan, total))
    return np.where(s > 1, total, np.where(s == 1, np.inf, np.nan))


def np_sinc(a: Array, order: float, _: float) -> Array:
    """Return a derivative of sin(pi a) / (pi a)."""
    a = np.asarray(a)
    n = int(order)
    series = np.zeros(a.shape)
    near = np.where(np.abs(a) <= 1, a, 0)
    for k in range((n + 1) // 2, (n + 1) // 2 + 24):
        down = math.factorial(2 * k - n) * (2 * k + 1)
        series += (-1) ** k * math.pi ** (2 * k) / down * near ** (2 * k - n)
    far = np.where(np.abs(a) > 1, a, 1)
    turn = far - 2 * np.rint(far / 2)
    y = np.sin(np.pi * turn) / (np.pi * far)
    for m in range(1, n + 1):
        y = (math.pi ** (m - 1) * np.sin(np.pi * turn + m * np.pi / 2) - m * y) / far
    y = np.where(np.abs(a) <= 1, series, y)
    return np.where(np.isinf(a), np.nan, np.where(np.isnan(a), a, y))


def np_bessel_i(a: Array, order: float, scaled: float) -> Array:
    """Return the modified Bessel function by an integral over half a turn, 400 points."""
    a = np.asarray(a)
    angle = (np.arange(400) + 0.5) * np.pi / 400
    x = np.abs(a)[..., None]
    with np.errstate(all="ignore"):
        terms = np.exp(np.where(np.isinf(x), 0, x) * (np.cos(angle) - 1)) * np.cos(order * angle)
        y = terms.mean(-1)
        y = y if scaled else y * np.exp(np.abs(a) / 2) * np.exp(np.abs(a) / 2)
    y = np.where(np.isinf(a), 0.0 if scaled else np.inf, np.where(np.isnan(a), a, y))
    return np.where(a < 0, (-1) ** int(order) * y, y)


RULES = {
    "erfc": Rule(erfc, 1, np_erfc, flops=30, rounding=CLOSE),
    "erfinv": Rule(
        erfinv, 1, np.vectorize(_erfinv, otypes=[np.float64]), flops=80, rounding=(8.0, 0.0)
    ),
    "erfcx": Rule(erfcx, 1, np_erfcx, flops=60, rounding=(20.0, 0.0)),
    "lgamma": Rule(lgamma, 1, np_lgamma, flops=40, rounding=NEAR_ONE),
    "digamma": Rule(digamma, 1, np_digamma, flops=60, rounding=SERIES),
    "zeta": Rule(zeta, 2, np_zeta, flops=200, draws="positive", rounding=SERIES),
    "sinc": Rule(sinc, 1, np_sinc, flops=100, numbers=(0.0, 0.0), rounding=SERIES),
    "bessel_i": Rule(bessel_i, 1, np_bessel_i, flops=200, numbers=(1.0, 1.0), rounding=SERIES),
}
KERNELS = {name: lift(name, rule) for name, rule in RULES.items()}
