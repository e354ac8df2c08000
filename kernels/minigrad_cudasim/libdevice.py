"""The functions of `cuda.libdevice` in Python: those of float32 end in f, the fast ones are exact.

Source: NVIDIA, "Libdevice User's Guide".  Missing are the Bessel functions of the second kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from minigrad_cudasim.numbers import INTEGERS, REPLACED, UInt32, brev, clz, ffs, fma, popc

Number = Any
PI = math.pi


def kind_of(x: Any) -> Any:
    """Return the float type of an argument, float64 for Python's numbers."""
    return type(x) if isinstance(x, np.float32 | np.float16) else np.float64


def of_float(rule: Callable[[float], float]) -> Callable[[Any], Any]:
    """Return a function of floats that keeps its type, with NaN for what has no value."""

    def apply(x: Any) -> Any:
        kind = kind_of(x)
        try:
            return kind(rule(float(x)))
        except (ValueError, OverflowError, ZeroDivisionError):
            return kind(np.nan)

    return apply


def erfinv(y: float) -> float:
    """Return the x with erf(x) = y, by Newton's steps from an estimate of Giles (2010)."""
    if not -1 <= y <= 1:
        return math.nan
    if abs(y) == 1:
        return math.copysign(math.inf, y)
    w = math.log1p(-y * y)
    a = 2 / (PI * 0.147) + w / 2
    x = math.copysign(math.sqrt(max(math.sqrt(a * a - w / 0.147) - a, 0.0)), y)
    for _ in range(4):
        x -= (math.erf(x) - y) / (2 / math.sqrt(PI) * math.exp(-x * x))
    return x


def erfcinv(y: float) -> float:
    """Return the x with erfc(x) = y, by Newton's steps where erfinv would lose digits."""
    if y >= 0.5 or y <= 0:
        return erfinv(1 - y) if 0 < y < 2 else (math.inf if y == 0 else math.nan)
    x = math.sqrt(-math.log(y))
    for _ in range(60):
        step = (math.erfc(x) - y) / (-2 / math.sqrt(PI) * math.exp(-x * x))
        x -= step
        if abs(step) < 1e-17 * abs(x):
            break
    return x


def bessel(n: int, x: float) -> float:
    """Return the Bessel function of the first kind: its integral, by the trapezoidal rule."""
    points = 64 + 2 * int(abs(x)) + 2 * abs(n)
    angles = [PI * (i + 0.5) / points for i in range(points)]
    return sum(math.cos(n * t - x * math.sin(t)) for t in angles) / points


def erfcx(x: float) -> float:
    """Return exp(x^2) erfc(x), by its continued fraction where the product overflows."""
    if x < 10:
        return math.exp(x * x) * math.erfc(x)
    held = 0.0
    for k in range(50, 0, -1):
        held = k / 2 / (x + held)
    return 1 / math.sqrt(PI) / (x + held)


def round_away(x: float) -> float:
    """Round to whole numbers, halves away from zero."""
    return math.copysign(math.floor(abs(x) + 0.5), x) if abs(x) < 2**52 else x


FLOATS: dict[str, Callable[..., Any]] = {
    **{f.__name__: model for f, model in REPLACED.items()},
    "erfinv": of_float(erfinv),
    "erfcinv": of_float(erfcinv),
    "erfcx": of_float(erfcx),
    "normcdf": of_float(lambda x: 0.5 * math.erfc(-x / math.sqrt(2))),
    "normcdfinv": of_float(lambda p: -math.sqrt(2) * erfcinv(2 * p)),
    "j0": of_float(lambda x: bessel(0, x)),
    "j1": of_float(lambda x: bessel(1, x)),
    "jn": lambda n, x: kind_of(x)(bessel(int(n), float(x))),
    "tgamma": REPLACED[math.gamma],
    "exp10": lambda x: kind_of(x)(10.0 ** np.float64(x)),
    "cospi": of_float(lambda x: math.cos(PI * math.fmod(x, 2))),
    "sinpi": of_float(lambda x: math.sin(PI * math.fmod(x, 2))),
    "round": of_float(round_away),
    "rsqrt": lambda x: type(x)(1) / np.sqrt(x),
    "rcbrt": lambda x: type(x)(1) / np.cbrt(x),
    "logb": of_float(lambda x: math.frexp(x)[1] - 1 if x else -math.inf),
    "saturate": lambda x: type(x)(min(max(x, 0), 1)) if x == x else type(x)(0),
    "fdivide": lambda x, y: x / y,
    "fdim": lambda x, y: x - y if x > y else type(x)(0),
    "fmax": np.fmax,
    "fmin": np.fmin,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "rint": np.rint,
    "nearbyint": np.rint,
    "cbrt": np.cbrt,
    "nextafter": np.nextafter,
    "remainder": lambda x, y: kind_of(x)(math.remainder(x, y)) if y else kind_of(x)(np.nan),
    "powi": lambda x, n: kind_of(x)(np.float64(x) ** int(n)),
    "scalbn": np.ldexp,
    "fma": fma,
}


def split(x: Any) -> tuple[Any, int]:
    """Return the mantissa and exponent of a float."""
    mantissa, exponent = np.frexp(x)
    return mantissa, int(exponent)


def quotient(x: Any, y: Any) -> tuple[Any, int]:
    """Return the remainder of x / y and the nearest quotient's low bits."""
    rest = math.remainder(x, y)
    return kind_of(x)(rest), round((float(x) - rest) / float(y))


PAIRS: dict[str, Callable[..., Any]] = {
    "frexp": split,
    "modf": lambda x: tuple(kind_of(x)(v) for v in np.modf(x)),
    "sincos": lambda x: (np.sin(x), np.cos(x)),
    "sincospi": lambda x: (FLOATS["sinpi"](x), FLOATS["cospi"](x)),
    "remquo": quotient,
}


def low(value: Any, bits: int = 32) -> int:
    """Return the lowest bits of an integer as a signed one."""
    return INTEGERS[f"int{bits}"](value)


def unsigned(value: Any, bits: int = 32) -> int:
    """Return the lowest bits of an integer as an unsigned one."""
    return int(value) & ((1 << bits) - 1)


def bytes_of(x: Any, y: Any, s: Any) -> int:
    """Return the four bytes that a selector picks out of two words."""
    both = (unsigned(y) << 32 | unsigned(x)).to_bytes(8, "little")
    return int.from_bytes(bytes(both[int(s) >> 4 * i & 7] for i in range(4)), "little")


def cast_bits(value: Any, source: Any, target: Any) -> Any:
    """Return the bits of a number as another type."""
    held = np.array(value).astype(source).view(target)[()]
    return held.item() if np.dtype(target).kind == "i" else held


INTEGER: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "llabs": abs,
    "brev": lambda x: low(int(brev(UInt32(unsigned(x))))),
    "clz": lambda x: clz(UInt32(unsigned(x))),
    "ffs": ffs,
    "popc": lambda x: popc(UInt32(unsigned(x))),
    "brevll": lambda x: low(int(brev(np.uint64(unsigned(x, 64)))), 64),
    "clzll": clz,
    "ffsll": ffs,
    "popcll": popc,
    "max": max,
    "min": min,
    "llmax": max,
    "llmin": min,
    "umax": lambda x, y: max(unsigned(x), unsigned(y)),
    "umin": lambda x, y: min(unsigned(x), unsigned(y)),
    "ullmax": lambda x, y: max(unsigned(x, 64), unsigned(y, 64)),
    "ullmin": lambda x, y: min(unsigned(x, 64), unsigned(y, 64)),
    "hadd": lambda x, y: int(x) + int(y) >> 1,
    "rhadd": lambda x, y: int(x) + int(y) + 1 >> 1,
    "uhadd": lambda x, y: unsigned(x) + unsigned(y) >> 1,
    "urhadd": lambda x, y: unsigned(x) + unsigned(y) + 1 >> 1,
    "mul24": lambda x, y: low((low(int(x) << 8) >> 8) * (low(int(y) << 8) >> 8)),
    "umul24": lambda x, y: low(unsigned(x, 24) * unsigned(y, 24)),
    "mulhi": lambda x, y: int(x) * int(y) >> 32,
    "umulhi": lambda x, y: unsigned(x) * unsigned(y) >> 32,
    "mul64hi": lambda x, y: int(x) * int(y) >> 64,
    "umul64hi": lambda x, y: unsigned(x, 64) * unsigned(y, 64) >> 64,
    "sad": lambda x, y, z: abs(int(x) - int(y)) + int(z),
    "usad": lambda x, y, z: abs(unsigned(x) - unsigned(y)) + unsigned(z),
    "byte_perm": lambda x, y, s: low(bytes_of(x, y, s)),
    "double_as_longlong": lambda x: cast_bits(x, np.float64, np.int64),
    "longlong_as_double": lambda x: cast_bits(x, np.int64, np.float64),
    "float_as_int": lambda x: cast_bits(x, np.float32, np.int32),
    "int_as_float": lambda x: cast_bits(x, np.int32, np.float32),
    "float2half_rn": lambda x: cast_bits(x, np.float16, np.int16),
    "half2float": lambda x: np.float32(cast_bits(x, np.int16, np.float16)),
    "double2hiint": lambda x: cast_bits(x, np.float64, np.int64) >> 32,
    "double2loint": lambda x: low(cast_bits(x, np.float64, np.int64)),
    "hiloint2double": lambda hi, lo: cast_bits(
        low(int(hi) << 32 | unsigned(lo), 64), np.int64, np.float64
    ),
    "ilogb": lambda x: math.frexp(x)[1] - 1,
    "isfinited": lambda x: int(np.isfinite(x)),
    "finite": lambda x: int(np.isfinite(x)),
    "isinf": lambda x: int(np.isinf(x)),
    "isnan": lambda x: int(np.isnan(x)),
    "isinfd": lambda x: int(np.isinf(x)),
    "isnand": lambda x: int(np.isnan(x)),
    "signbit": lambda x: int(np.signbit(x)),
    "signbitd": lambda x: int(np.signbit(x)),
    "llrint": lambda x: int(np.rint(x)),
    "llround": lambda x: int(round_away(float(x))),
}


# ---------------------------------------------------------------- rounding as asked for
def rounded(exact: Fraction, kind: Any, mode: str) -> Any:
    """Return an exact value as a float, rounded to nearest (rn), to zero, up or down (rz, ru, rd).

    >>> rounded(Fraction(1, 3), np.float32, "rd") < rounded(Fraction(1, 3), np.float32, "ru")
    np.True_
    """
    near = kind(float(exact))
    if not np.isfinite(near):
        return near
    candidates = [np.nextafter(near, kind(-np.inf)), near, np.nextafter(near, kind(np.inf))]
    held = [(Fraction(float(c)), c) for c in candidates if np.isfinite(c)]
    if mode == "rz":
        mode = "rd" if exact > 0 else "ru"
    if mode == "rd":
        return max((pair for pair in held if pair[0] <= exact), key=lambda p: p[0])[1]
    if mode == "ru":
        return min((pair for pair in held if pair[0] >= exact), key=lambda p: p[0])[1]
    return min(held, key=lambda pair: (abs(pair[0] - exact), pair[1] is not near))[1]


EXACT: dict[str, Callable[..., Fraction]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "rcp": lambda x: 1 / x,
    "fma": lambda x, y, z: x * y + z,
}
PLAIN: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "rcp": lambda x: 1 / x,
    "fma": lambda x, y, z: x * y + z,
}
WHOLE: dict[str, Callable[[float], float]] = {
    "rn": np.rint,
    "rz": np.trunc,
    "ru": np.ceil,
    "rd": np.floor,
}
KINDS = {"float": np.float32, "double": np.float64}
BITS = {"int": (32, True), "uint": (32, False), "ll": (64, True), "ull": (64, False)}


def arithmetic(name: str, kind: Any, mode: str) -> Callable[..., Any]:
    """Return an operation in one rounding."""

    def apply(*args: Any) -> Any:
        values = [kind(a) for a in args]
        if not all(map(np.isfinite, values)) or (name in ("div", "rcp") and values[-1] == 0):
            return kind(PLAIN[name](*values))
        exact = EXACT[name](*(Fraction(float(v)) for v in values))
        return rounded(exact, kind, mode) if exact else kind(PLAIN[name](*values))

    return apply


def root(kind: Any, mode: str) -> Callable[[Any], Any]:
    """Return the square root in one rounding: 200 bits of it are as good as all."""

    def apply(x: Any) -> Any:
        value = kind(x)
        if not np.isfinite(value) or value <= 0:
            return np.sqrt(value)
        n, d = float(value).as_integer_ratio()
        shifted = math.isqrt((n << 400) // d)
        exact = Fraction(shifted, 1 << 200)
        if shifted * shifted * d != n << 400:
            exact += Fraction(1, 1 << 300)
        return rounded(exact, kind, mode)

    return apply


def conversion(source: str, target: str, mode: str) -> Callable[[Any], Any]:
    """Return the conversion of one type to another in one rounding."""
    if target in BITS:
        bits, signed = BITS[target]
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

        def to_integer(x: Any) -> int:
            if not np.isfinite(x):
                return 0 if x != x else (most if x > 0 else least)
            return min(max(int(WHOLE[mode](np.float64(x))), least), most)

        return to_integer
    kind = KINDS[target]
    if source in BITS:
        bits, signed = BITS[source]
        return lambda x: rounded(
            Fraction(low(x, bits) if signed else unsigned(x, bits)), kind, mode
        )

    def to_float(x: Any) -> Any:
        return rounded(Fraction(float(x)), kind, mode) if np.isfinite(x) and x else kind(x)

    return to_float


def libdevice(name: str) -> Any:
    """Return what a function of `cuda.libdevice` computes.

    >>> libdevice("fast_expf")(np.float32(0)), libdevice("dmul_rz")(0.1, 3.0), libdevice("clz")(1)
    (np.float32(1.0), np.float64(0.3), 31)

    Raises: AttributeError for one without a model.
    """
    base = name.removeprefix("fast_")
    for table in (INTEGER, FLOATS, PAIRS):
        found = table.get(base) or table.get(base.removesuffix("f"))
        if found is not None:
            return found
    stem, _, mode = base.rpartition("_")
    if mode in WHOLE:
        if stem == "frsqrt":
            return FLOATS["rsqrt"]
        source, two, target = stem.partition("2")
        if two:
            return conversion(source, target, mode)
        if stem.removesuffix("f") == "fma":
            return arithmetic("fma", np.float32 if stem.endswith("f") else np.float64, mode)
        kind = {"f": np.float32, "d": np.float64}.get(stem[0])
        if kind is not None and stem[1:] == "sqrt":
            return root(kind, mode)
        if kind is not None and stem[1:] in EXACT:
            return arithmetic(stem[1:], kind, mode)
    raise AttributeError(f"minigrad_cudasim has no model of cuda.libdevice.{name}: register one")
