"""Numbers of a simulated kernel, and the functions of them.

Signed integers are Python's, and so are unsigned ones of 8 and 16 bits; uint32 and uint64 are
NumPy's uint64, of which `UInt32` remembers its width; floats and complex numbers are NumPy's.  A
bare literal such as 2.0 is a float64.  Which type an operation gives is said in
`minigrad_cudasim.typed`.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from minigrad_cudasim.halves import Half

Number = Any


class UInt32(np.uint64):
    """A uint32: its arithmetic gives uint64, after it was negated or inverted in 32 bits."""

    def __neg__(self) -> Any:
        return np.uint64(-int(self) & 0xFFFFFFFF)

    def __invert__(self) -> Any:
        return np.uint64(int(self) ^ 0xFFFFFFFF)


class Int32(int):
    """An integer of at most 32 bits, for what counts bits; its arithmetic gives int64."""


class Integer:
    """The cast to an integer type, wrapping as C does; also names that type as a dtype."""

    def __init__(self, name: str):
        self.name = name
        self.dtype = np.dtype(name)
        self.bits = 8 * self.dtype.itemsize
        self.mask = (1 << self.bits) - 1
        self.half = 1 << (self.bits - 1)
        self.signed = self.dtype.kind == "i"
        wraps = {"uint32": UInt32, "uint64": np.uint64, "int32": Int32}
        self.wrap: Callable[[int], Any] = wraps.get(name, int)

    def __call__(self, value: Any = 0) -> Any:
        """Return a value wrapped to the integer's bits."""
        bits = int(value) & self.mask
        if self.signed and bits >= self.half:
            bits -= self.mask + 1
        return self.wrap(bits)

    def __repr__(self) -> str:
        return self.name


INTEGERS = {
    name: Integer(name)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}
FLOATS = {"float16": Half, "float32": np.float32, "float64": np.float64}


def cast_to(name: str) -> Any:
    """Return the cast that a Numba or NumPy type of that name is in a kernel, or None."""
    name = {"intp": "int64", "uintp": "uint64", "boolean": "bool", "bool_": "bool"}.get(name, name)
    if name == "bool":
        return bool
    return INTEGERS.get(name) or FLOATS.get(name)


def loader(dtype: np.dtype[Any]) -> Callable[[Any], Any] | None:
    """Return what makes a kernel's number of an array's element; None where it is one already."""
    if dtype.kind in "bi" or dtype.name in ("uint8", "uint16"):
        return np.generic.item
    return {"uint32": UInt32, "float16": Half}.get(dtype.name)


def store_cast(value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a value as an array of that type can hold it, wrapped as C does."""
    if dtype.kind in "iu" and type(value) is not bool:
        return INTEGERS[dtype.name](value)
    return value


def wrapped(value: int) -> int:
    """Return a whole number as int64 holds it.

    >>> wrapped(1 << 63), wrapped(5)
    (-9223372036854775808, 5)
    """
    if -LEAST <= value < LEAST:
        return value
    return ((value + LEAST) & MASK) - LEAST


def power(base: Any, exponent: Any) -> Any:
    """Return a power of a whole exponent as Numba multiplies it out: from the lowest bit on.

    >>> power(np.float32(3), 3), power(2, 63), power(np.float64(2), -1)
    (np.float32(27.0), -9223372036854775808, np.float64(0.5))
    """
    one = type(base)(1)
    left, made = abs(int(exponent)), one
    if left > LONGEST:
        return base**exponent
    while left:
        if left & 1:
            made = product(made, base)
        left >>= 1
        base = product(base, base)
    if exponent >= 0:
        return made
    if isinstance(made, int | np.integer):
        return made if made in (1, -1) else type(made)(0)
    return type(made)(1.0) / made


def product(a: Any, b: Any) -> Any:
    """Return a product of two numbers of one type in that type."""
    return wrapped(a * b) if isinstance(a, int) else a * b


def quotient(a: Any, b: Any) -> Any:
    """Return the quotient of two complex numbers of one type, by the algorithm of CPython.

    >>> quotient(np.complex64(4 + 2j), np.complex64(2))
    np.complex64(2+1j)
    """
    x, y, u, v = a.real, a.imag, b.real, b.imag
    if u == 0 == v:
        return a / b
    if abs(u) >= abs(v):
        ratio = v / u
        below = u + v * ratio
        real, imag = (x + y * ratio) / below, (y - x * ratio) / below
    elif abs(v) > abs(u):
        ratio = u / v
        below = u * ratio + v
        real, imag = (x * ratio + y) / below, (y * ratio - x) / below
    else:
        real = imag = np.nan
    return type(a)(complex(real, imag))


LEAST = 1 << 63
MASK = (1 << 64) - 1
LONGEST = 0x10000  # the largest exponent that is multiplied out


def width(value: Any) -> int:
    """Return the bits of an integer as Numba types it."""
    return 32 if isinstance(value, UInt32 | Int32) else 64


def unary(rule: Callable[..., Any]) -> Callable[[Any], Any]:
    """Keep the type of a float32 argument through a function of the math module."""

    def apply(x: Any) -> Any:
        kind = np.float32 if isinstance(x, np.float32) else np.float64
        try:
            return kind(rule(float(x)))
        except (ValueError, OverflowError):
            return kind(np.nan if not math.isinf(x) else x)

    return apply


# NumPy's functions keep float32, and give infinities and NaN where Python's raise.
REPLACED: dict[Any, Any] = {
    math.sqrt: np.sqrt,
    math.exp: np.exp,
    math.exp2: np.exp2,
    math.expm1: np.expm1,
    math.log: np.log,
    math.log2: np.log2,
    math.log10: np.log10,
    math.log1p: np.log1p,
    math.sin: np.sin,
    math.cos: np.cos,
    math.tan: np.tan,
    math.asin: np.arcsin,
    math.acos: np.arccos,
    math.atan: np.arctan,
    math.atan2: np.arctan2,
    math.sinh: np.sinh,
    math.cosh: np.cosh,
    math.tanh: np.tanh,
    math.asinh: np.arcsinh,
    math.acosh: np.arccosh,
    math.atanh: np.arctanh,
    math.fabs: np.fabs,
    math.fmod: np.fmod,
    math.hypot: np.hypot,
    math.copysign: np.copysign,
    math.pow: np.power,
    math.ldexp: np.ldexp,
    math.floor: np.floor,
    math.ceil: np.ceil,
    math.trunc: np.trunc,
    math.degrees: unary(math.degrees),
    math.radians: unary(math.radians),
    math.erf: unary(math.erf),
    math.erfc: unary(math.erfc),
    math.gamma: unary(math.gamma),
    math.lgamma: unary(math.lgamma),
}


def extreme(builtin: Callable[..., Any], ufunc: Callable[..., Any]) -> Callable[..., Any]:
    """Return what `max` or `min` is on a GPU: of two floats of which one is NaN, the other."""

    def apply(*values: Any) -> Any:
        if all(isinstance(v, float | np.floating) for v in values):
            return reduce(ufunc, values)
        return builtin(*values)

    return apply


def zipped(*args: Any) -> Any:
    """Return what `zip` is, without reading the element past the end of the shortest array."""
    if not args or not all(hasattr(a, "__len__") for a in args):
        return zip(*args)
    iterators = [iter(a) for a in args]
    return (tuple(next(i) for i in iterators) for _ in range(min(map(len, args))))


def rounded(x: Any, digits: Any = None) -> Any:
    """Return what `round` is on a GPU: a scaled copy of the number, halves to even, in float64."""
    if not isinstance(x, np.floating):
        return builtins.round(x) if digits is None else builtins.round(x, int(digits))
    if digits is None:
        return int(np.rint(x))
    if not np.isfinite(x):
        return x
    scale = np.float64(10.0) ** abs(int(digits))
    whole = np.rint(x * scale if digits >= 0 else x / scale)
    return type(x)(whole / scale if digits >= 0 else whole * scale)


def shown(value: Any) -> Any:
    """Return a value to be printed: the numbers of tuples as Python's own, as a GPU writes them."""
    if type(value) is tuple:
        return tuple(v.item() if isinstance(v, np.generic) else shown(v) for v in value)
    return value


def printed(*values: Any, **options: Any) -> None:
    """Print values as a kernel does."""
    print(*map(shown, values), **options)


class Real:
    """`float` in a kernel: it keeps a float's type, and makes float64 of other numbers."""

    name = "float64"

    def __call__(self, value: Any = 0.0) -> Any:
        """Return a number as a float."""
        return value if isinstance(value, np.floating) else np.float64(value)


def whole_range(*bounds: Any) -> range:
    """Return a range; Numba casts floats to whole numbers there, such as what `math.ceil` gives.

    >>> whole_range(np.float64(3.0))
    range(0, 3)
    """
    return range(*(int(b) if isinstance(b, float | np.floating) else b for b in bounds))


BUILTINS = {
    **vars(builtins),
    "range": whole_range,
    "print": printed,
    "float": Real(),
    "complex": np.complex128,
    "round": rounded,
    "zip": zipped,
    "max": extreme(max, np.fmax),
    "min": extreme(min, np.fmin),
}


def fma(a: Any, b: Any, c: Any) -> Any:
    """Return a b + c, rounded once, of three floats of one type.

    >>> fma(np.float64(1 + 2**-30), np.float64(1 - 2**-30), np.float64(-1)) == -(2.0**-60)
    np.True_
    """
    kind = type(a)
    if not kind is type(b) is type(c) or kind not in FUSED:
        return a * b + c
    return kind(FUSED[kind](float(a), float(b), float(c)))


def fused_single(a: float, b: float, c: float) -> float:
    """Return a b + c of floats of 24 bits so that rounding it to 24 rounds once.

    The product is exact, and a sum that is not is given an odd last bit, as one that lies between.
    Source: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums" (2008).
    """
    product = a * b
    total = product + c
    part = total - product
    error = (product - (total - part)) + (c - part)
    if (error > 0 or error < 0) and int(math.frexp(total)[0] * 2.0**53) % 2 == 0:
        return math.nextafter(total, math.copysign(math.inf, error))
    return total


def fused_double(a: float, b: float, c: float) -> float:
    """Return a b + c rounded once: the ratio of two whole numbers is divided exactly."""
    total = a * b + c
    if not math.isfinite(a) or not math.isfinite(b) or not math.isfinite(c):
        return total
    (n, d), (m, e), (k, f) = (v.as_integer_ratio() for v in (a, b, c))
    whole = n * m * f + k * d * e
    try:
        return whole / (d * e * f) if whole else total
    except OverflowError:
        return math.inf if whole > 0 else -math.inf


FUSED: dict[Any, Callable[..., float]] = {np.float32: fused_single, np.float64: fused_double}


def popc(value: Any) -> int:
    """Count the bits that are set.

    >>> popc(UInt32(0xF0))
    4
    """
    return (int(value) & ((1 << width(value)) - 1)).bit_count()


def clz(value: Any) -> int:
    """Count the zero bits above the highest set one.

    >>> clz(UInt32(1)), clz(1)
    (31, 63)
    """
    return width(value) - (int(value) & ((1 << width(value)) - 1)).bit_length()


def ffs(value: Any) -> int:
    """Return the place of the lowest set bit from 1 on, 0 for none."""
    return (int(value) & -int(value)).bit_length()


def brev(value: Any) -> Any:
    """Reverse the bits.

    >>> hex(brev(UInt32(1)))
    '0x80000000'
    """
    bits = width(value)
    text = f"{int(value) & ((1 << bits) - 1):0{bits}b}"[::-1]
    return UInt32(int(text, 2)) if bits == 32 else np.uint64(int(text, 2))
