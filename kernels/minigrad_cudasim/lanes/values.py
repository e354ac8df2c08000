"""A number of each lane, typed as the simulator types that of one thread.

The kinds: "i" Python's int (held in int64, with bounds), "b" a truth value, "p" a float of
Python's, "f" float32, "d" float64, "u" a uint32 and "U" a uint64, both held in 64 bits, "c" a
complex128.
Operations are computed by `minigrad_cudasim.typed.rules`, as those of one thread are.  What has no
kind raises `Unsupported`.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types

from minigrad_cudasim.numbers import LEAST, LONGEST, Int32, UInt32, power, quotient
from minigrad_cudasim.typed.rules import CASTS, INFIX, OPERATORS, ORDER, PREFIX, Kind, plan

Array = np.ndarray[Any, Any]
Mask = Array | None  # which lanes; None is all of them
Rule = Callable[[list[Any], Mask], Any]
FLOATS: dict[str, Any] = {"p": np.float64, "f": np.float32, "d": np.float64, "c": np.complex128}
UNSIGNED = {"u", "U"}
BITS = {"u": 32, "U": 64}
MOST = LEAST  # whole numbers are smaller, in both directions
EXACT = 1 << 53  # up to which a whole number is a float64


class Unsupported(Exception):
    """What is not done for all lanes at once: the launch is run thread by thread."""


class Lanes:
    """One number of each lane.

    low, high: bounds of whole numbers, on every lane.
    """

    __slots__ = ("data", "high", "kind", "low")

    def __init__(self, kind: str, data: Array, low: int = 0, high: int = 0):
        self.kind = kind
        self.data = data
        self.low = low
        self.high = high

    def __bool__(self) -> bool:
        raise Unsupported("the truth of all lanes")


class Mixed:
    """What is of one kind on some lanes and of another on others, as after `s = 0` a sum of floats.

    parts: for each kind the lanes that have it, and their value.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: list[tuple[Array, Any]]):
        self.parts = parts

    def __bool__(self) -> bool:
        raise Unsupported("the truth of all lanes")

    def on(self, mask: Mask) -> list[tuple[Array, Any]]:
        """Return the parts that lanes of a mask have, each with those lanes."""
        held = [(bits if mask is None else bits & mask, value) for bits, value in self.parts]
        return [(bits, value) for bits, value in held if bits.any()]


def spread(
    rule: Callable[[list[Any], Mask], Any], values: list[Any], mask: Mask, count: int
) -> Any:
    """Return what a rule of values and a mask gives where some values may be of several kinds."""
    at = next((i for i, value in enumerate(values) if isinstance(value, Mixed)), None)
    if at is None:
        return rule(values, mask)
    found: Any = None
    for bits, part in values[at].on(mask):
        here = spread(rule, [*values[:at], part, *values[at + 1 :]], bits, count)
        found = here if found is None else merged(bits, here, found, count)
    return found


def whole(data: Array, low: int | None = None, high: int | None = None) -> Lanes:
    """Return whole numbers; bounds that are unknown or too wide are looked up."""
    if low is None or high is None or not wide(low, high):
        low, high = int(data.min()), int(data.max())
    return Lanes("i", data, low, high)


def kind_of(value: Any) -> str:
    """Return the kind of a value of one or all lanes.

    Raises: Unsupported for what has none.
    """
    if isinstance(value, Lanes):
        return value.kind
    kind = KINDS.get(type(value))
    if kind is None:
        raise Unsupported(f"numbers of type {type(value).__name__}")
    return kind


KINDS: dict[type, str] = {
    int: "i",
    Int32: "i",
    bool: "b",
    np.bool_: "b",
    float: "p",
    np.float32: "f",
    np.float64: "d",
    UInt32: "u",
    np.uint64: "U",
    np.complex128: "c",
}


def bounds(value: Any) -> tuple[int, int]:
    """Return the least and the largest that whole numbers may be."""
    return (value.low, value.high) if isinstance(value, Lanes) else (int(value), int(value))


def raw(value: Any) -> Any:
    """Return the array of lanes, or the number that all have."""
    if isinstance(value, UInt32):
        return np.uint64(value)
    return value.data if isinstance(value, Lanes) else value


def as_kind(value: Any, kind: str) -> Any:
    """Return the array or number of a value as a float kind.

    Raises: Unsupported for whole numbers that float64 does not hold as float32.
    """
    held = kind_of(value)
    if held == "i" and kind == "f":
        low, high = bounds(value)
        if low < -EXACT or high > EXACT:
            raise Unsupported("whole numbers of more than 53 bits as floats")
    if held == "c" and kind != "c":
        raise Unsupported("a complex number as a real one")
    if isinstance(value, Lanes):
        return value.data.astype(FLOATS[kind], copy=False)
    return FLOATS[kind](value)


def common(a: Any, b: Any) -> str:
    """Return the kind of float that two floats meet in."""
    kinds = {kind_of(a), kind_of(b)}
    return "f" if kinds == {"f"} else "d"


def cast(value: Any, target: Kind | None) -> Any:
    """Return numbers in a type of Numba's; None leaves them.

    Raises: Unsupported for a type that is not held.
    """
    if target is None:
        return value
    if not isinstance(value, Lanes):
        return CASTS[target](value)
    kind = LETTERS.get(target)
    if kind is None:
        raise Unsupported(f"numbers of type {target}")
    if kind == "i":
        if value.kind in "pfdc":
            raise Unsupported("a float as a whole number")
        return value if value.kind == "i" else whole(value.data.astype(np.int64))
    if kind in UNSIGNED:
        return uints(kind, value.data.astype(np.uint64))
    if kind == "b":
        return Lanes("b", value.data != 0)
    return Lanes(kind, as_kind(value, kind))


def among(bits: Any, mask: Mask) -> bool:
    """Tell whether a condition holds on some lane of a mask."""
    return bool(np.any(bits) if mask is None else np.any(bits & mask))


def each(rule: Callable[..., Any], values: list[Any], mask: Mask, count: int) -> Lanes:
    """Apply a rule of one thread's numbers to each lane of a mask.

    Raises: Unsupported where the results have no kind, or several.
    """
    if any(kind_of(value) in UNSIGNED for value in values):
        raise Unsupported("a rule of unsigned numbers")
    at = range(count) if mask is None else np.flatnonzero(mask).tolist()
    columns = [listed(value, count) for value in values]
    results = [rule(*(column[i] for column in columns)) for i in at]
    kinds = {kind_of(result) for result in results}
    if len(kinds) != 1:
        raise Unsupported("results of several types")
    kind = kinds.pop()
    kind = "d" if kind == "p" else kind
    dtype = {"i": np.int64, "b": np.bool_, **FLOATS}[kind]
    data = np.zeros(count, dtype)
    if kind == "i" and not wide(min(results), max(results)):
        raise Unsupported("whole numbers of more than 64 bits")
    data[slice(None) if mask is None else at] = results
    return whole(data) if kind == "i" else Lanes(kind, data)


def listed(value: Any, count: int) -> Any:
    """Return the number of each lane as one thread has it."""
    if not isinstance(value, Lanes):
        return [value] * count
    return value.data.tolist() if value.kind in "ip" else list(value.data)


def binary(op: type, a: Any, b: Any, mask: Mask, count: int) -> Any:
    """Return a op b, with op a class of ast, as one thread computes it.

    Raises: Unsupported, also where a thread would raise.
    """
    name = op.__name__
    if not isinstance(a, Lanes) and not isinstance(b, Lanes):
        return OPERATORS[name](a, b)
    found = plan(name, TYPES[kind_of(a)], TYPES[kind_of(b)])
    kind = None if found is None else LETTERS.get(found.result)
    if found is None or kind is None:
        raise Unsupported(f"{name} of these types")
    a, b = cast(a, found.left), cast(b, found.right)
    if found.powers:
        return raised(a, b, mask, count)
    if kind == "b":
        return Lanes("b", PYTHON[name](raw(a), raw(b)))
    if kind == "U":
        return unsigned(name, a, b, mask)
    if kind == "c":
        return complexes(name, a, b, mask, count)
    if kind == "i":
        return integers(name, a, b, mask)
    if name in ("FloorDiv", "Mod", "Pow"):
        return each(PYTHON[name], [a, b], mask, count)
    x, y = as_kind(a, kind), as_kind(b, kind)
    return Lanes(kind, PYTHON[name](x, y))


def raised(base: Any, exponent: Any, mask: Mask, count: int) -> Any:
    """Return a power of a whole exponent, multiplied out as `numbers.power` does."""
    if not isinstance(base, Lanes) and not isinstance(exponent, Lanes):
        return power(base, exponent)
    if isinstance(exponent, Lanes) or not 0 < exponent <= LONGEST:
        return each(power, [base, exponent], mask, count)
    made: Any = None
    left = int(exponent)
    while left:
        if left & 1:
            made = base if made is None else binary(ast.Mult, made, base, mask, count)
        left >>= 1
        if left:
            base = binary(ast.Mult, base, base, mask, count)
    return made


def complexes(name: str, a: Any, b: Any, mask: Mask, count: int) -> Lanes:
    """Return what an operation of complex numbers gives.

    Raises: Unsupported for products that are not numbers, which are not the same everywhere.
    """
    if name not in ("Add", "Sub", "Mult"):
        rule = quotient if name == "Div" else PYTHON[name]
        return each(rule, [cast(v, types.complex128) for v in (a, b)], mask, count)
    x, y = as_kind(a, "c"), as_kind(b, "c")
    if name != "Mult":
        return Lanes("c", PYTHON[name](x, y))
    made = paired(x.real * y.real - x.imag * y.imag, x.real * y.imag + x.imag * y.real)
    wrong = np.isnan(made)
    if wrong.any() and among(wrong, mask):
        raise Unsupported("products that are not numbers")
    return Lanes("c", made)


def paired(real: Any, imag: Any) -> Array:
    """Return complex numbers of their parts."""
    made = np.empty(np.broadcast_shapes(np.shape(real), np.shape(imag)), np.complex128)
    made.real, made.imag = real, imag
    return made


def nonzero(divisor: Any, mask: Mask) -> Any:
    """Return a divisor, with 1 for 0 on lanes that do not divide.

    Raises: Unsupported where one does, which Python refuses.
    """
    zero = divisor == 0
    if not np.any(zero):
        return divisor
    if not isinstance(divisor, np.ndarray) or among(zero, mask):
        raise Unsupported("division by zero")
    return np.where(zero, 1, divisor)


def uints(kind: str, data: Array) -> Lanes:
    """Return unsigned numbers of 32 or 64 bits, held in 64."""
    return Lanes(kind, data, 0, (1 << BITS[kind]) - 1)


def unsigned(name: str, a: Any, b: Any, mask: Mask) -> Lanes:
    """Return what an operation of unsigned numbers gives: a uint64, which wraps.

    Raises: Unsupported for division by zero, shifts to the left of less than nothing, and powers.
    """
    x, y = raw(a), raw(b)
    if name in ("LShift", "RShift"):
        if bounds(b)[0] < 0:
            raise Unsupported("a shift by less than nothing")
        y = np.asarray(y).astype(np.uint64)
    elif not isinstance(b, Lanes):
        y = np.uint64(y)
    if not isinstance(a, Lanes):
        x = np.uint64(x)
    if name in ("FloorDiv", "Mod"):
        return uints("U", PYTHON[name](x, nonzero(y, mask)))
    if name not in ("Add", "Sub", "Mult", "LShift", "RShift", "BitAnd", "BitOr", "BitXor"):
        raise Unsupported(f"{name} of unsigned numbers")
    return uints("U", PYTHON[name](x, y))


def integers(name: str, a: Any, b: Any, mask: Mask) -> Lanes:
    """Return what an operation of whole numbers gives, wrapped to 64 bits as NumPy does."""
    x, y = raw(a), raw(b)
    (al, ah), (bl, bh) = bounds(a), bounds(b)
    if name in ("Add", "Sub"):
        low, high = (al + bl, ah + bh) if name == "Add" else (al - bh, ah - bl)
        return whole(PYTHON[name](x, y), low, high)
    corners = (
        [PYTHON[name](p, q) for p in (al, ah) for q in (bl, bh)] if usable(name, bl, bh) else []
    )
    if name == "Mult":
        return whole(x * y, min(corners), max(corners))
    if name in ("FloorDiv", "Mod"):
        y = nonzero(y, mask)
        data = PYTHON[name](x, y)
        if bl > 0:
            low, high = (min(corners), max(corners)) if name == "FloorDiv" else (0, bh - 1)
            return whole(data, low, high)
        return whole(data)
    if name in ("LShift", "RShift"):
        if bl < 0:
            raise Unsupported("a shift by less than nothing")
        data = PYTHON[name](np.asarray(x, np.int64), np.asarray(y, np.int64))
        return whole(data, min(corners), max(corners)) if corners else whole(data)
    if name in ("BitAnd", "BitOr", "BitXor"):
        if al >= 0 and bl >= 0:
            most = (1 << max(ah, bh).bit_length()) - 1
            return whole(PYTHON[name](x, y), 0, most)
        return whole(PYTHON[name](x, y))
    raise Unsupported(name)


def usable(name: str, low: int, high: int) -> bool:
    """Tell whether an operation takes all second numbers within bounds."""
    if name in ("FloorDiv", "Mod"):
        return low > 0
    return name == "Mult" or (name in ("LShift", "RShift") and 0 <= low and high < 62)


def wide(*numbers: int) -> bool:
    """Tell whether numbers are within what an int64 holds, so that nothing has wrapped."""
    return all(-MOST <= n < MOST for n in numbers)


def unary(op: type, a: Any) -> Any:
    """Return op a, with op a class of ast."""
    name = op.__name__
    if not isinstance(a, Lanes):
        return PYTHON[name](a)
    if name == "Not":
        return Lanes("b", ~truth(a))
    if a.kind in UNSIGNED:
        data = PYTHON[name](a.data)
        return uints("U", data & np.uint64(0xFFFFFFFF) if a.kind == "u" else data)
    if a.kind == "b":
        return Lanes("b", ~a.data) if name == "Invert" else unary(op, cast(a, types.int64))
    if a.kind != "i" and name == "Invert":
        raise Unsupported(f"{name} of {a.kind}")
    if a.kind != "i":
        return a if name == "UAdd" else Lanes(a.kind, -a.data)
    if name == "UAdd":
        return a
    low, high = (-a.high, -a.low) if name == "USub" else (~a.high, ~a.low)
    return whole(PYTHON[name](a.data), low, high)


def compared(op: type, a: Any, b: Any) -> Any:
    """Return whether a op b, with op a class of ast."""
    name = op.__name__
    if not isinstance(a, Lanes) and not isinstance(b, Lanes):
        return OPERATORS[name](a, b) if name in ORDER else IDENTITY[name](a, b)
    if name not in ORDER:
        raise Unsupported(name)
    found = plan(name, TYPES[kind_of(a)], TYPES[kind_of(b)])
    if found is None:
        raise Unsupported("an order of these types")
    a, b = cast(a, found.left), cast(b, found.right)
    kinds = {kind_of(a), kind_of(b)}
    if "c" in kinds:
        return Lanes("b", ORDER[name](as_kind(a, "c"), as_kind(b, "c")))
    if kinds & set("pfd"):
        kind = "f" if kinds <= set("fb") else "d"
        return Lanes("b", ORDER[name](as_kind(a, kind), as_kind(b, kind)))
    if kinds <= UNSIGNED or kinds <= set("ib"):
        return Lanes("b", ORDER[name](raw(a), raw(b)))
    if "U" in kinds:
        raise Unsupported("unsigned numbers and others")
    x, y = (np.asarray(raw(v)).astype(np.int64) for v in (a, b))
    return Lanes("b", ORDER[name](x, y))


def truth(value: Any) -> Any:
    """Return on which lanes a value is true, or whether it is on all."""
    if isinstance(value, Lanes):
        return value.data if value.kind == "b" else value.data != 0
    kind_of(value)
    return bool(value)


def merged(mask: Array, new: Any, old: Any, count: int, others: Mask = None) -> Any:
    """Return the new value on the lanes of a mask and the old one on the others.

    others: those that have the old one, where it is not all others.

    Raises: Unsupported for values of two types that are no numbers.
    """
    if new is old:
        return new
    if isinstance(new, tuple) and isinstance(old, tuple) and len(new) == len(old):
        pairs = zip(new, old, strict=True)
        return tuple(merged(mask, n, o, count, others) for n, o in pairs)
    if isinstance(new, Mixed) or isinstance(old, Mixed) or kind_of(new) != kind_of(old):
        rest = ~mask if others is None else others
        kinds: dict[str, tuple[Array, Any]] = {}
        for bits, value in [*parts_of(new, mask), *parts_of(old, rest)]:
            kind = kind_of(value)
            assert bits is not None
            if kind in kinds:
                before, other = kinds[kind]
                kinds[kind] = before | bits, merged(bits, value, other, count)
            else:
                kinds[kind] = bits, value
        parts = list(kinds.values())
        return parts[0][1] if len(parts) == 1 else Mixed(parts)
    kind = kind_of(new)
    if not isinstance(new, Lanes) and not isinstance(old, Lanes) and kind in "ib" and new == old:
        return new
    data = np.where(mask, raw(new), raw(old))
    if kind in UNSIGNED:
        return uints(kind, data.astype(np.uint64, copy=False))
    if kind != "i":
        return Lanes(kind, data.astype(FLOATS.get(kind, np.bool_), copy=False))
    (a, b), (c, d) = bounds(new), bounds(old)
    return whole(data.astype(np.int64, copy=False), min(a, c), max(b, d))


def parts_of(value: Any, mask: Mask) -> list[tuple[Mask, Any]]:
    """Return the lanes of a mask with what they have of a value, kind by kind."""
    return list(value.on(mask)) if isinstance(value, Mixed) else [(mask, value)]


TYPES: dict[str, Kind] = {
    "i": types.int64,
    "b": types.boolean,
    "p": types.float64,
    "f": types.float32,
    "d": types.float64,
    "u": types.uint32,
    "U": types.uint64,
    "c": types.complex128,
}
LETTERS: dict[Kind, str] = {kind: letter for letter, kind in TYPES.items()}
PYTHON: dict[str, Callable[..., Any]] = {**INFIX, **PREFIX}
IDENTITY: dict[str, Callable[[Any, Any], Any]] = {
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "In": lambda a, b: a in b,
    "NotIn": lambda a, b: a not in b,
}
