"""What a kernel may call, for all lanes at once."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import reduce
from types import BuiltinFunctionType
from typing import Any

import numpy as np
from numba.core import types

from minigrad_cudasim.lanes.values import (
    MOST,
    UNSIGNED,
    Lanes,
    Mask,
    Unsupported,
    as_kind,
    bounds,
    common,
    each,
    kind_of,
    paired,
    raw,
    uints,
    whole,
)
from minigrad_cudasim.numbers import BUILTINS, REPLACED, Integer
from minigrad_cudasim.typed.rules import CASTS

# Those that give the same bits for an array as for each of its elements (a test holds it).
UFUNCS = (
    np.sqrt,
    np.fabs,
    np.exp,
    np.exp2,
    np.expm1,
    np.log,
    np.log2,
    np.log10,
    np.log1p,
    np.sin,
    np.cos,
    np.tan,
    np.tanh,
    np.sinh,
    np.cosh,
    np.arcsin,
    np.arccos,
    np.arctan,
    np.floor,
    np.ceil,
    np.trunc,
    np.rint,
)
HOMES = ("minigrad_cudasim.numbers", "minigrad_cudasim.libdevice")
ROUNDS = (np.floor, np.ceil, np.trunc)
FLOATS: tuple[Any, ...] = (np.float32, np.float64, CASTS[types.float32], BUILTINS["float"])
COUNTED = ("popc", "clz", "ffs", "brev")  # they ask for a width that lanes do not keep


def apply(function: Any, args: list[Any], mask: Mask, count: int) -> Any:
    """Return what a function of numbers, some of them lanes, gives on each lane.

    Raises: Unsupported for one that is not known to depend on its arguments alone.
    """
    if isinstance(function, Integer) and len(args) == 1:
        return to_integer(function, args[0], mask)
    if function is builtins.int and len(args) == 1:
        return truncated(args[0], mask)
    if function in FLOATS and len(args) == 1:
        single = function in (np.float32, CASTS[types.float32])
        single = single or (function is BUILTINS["float"] and kind_of(args[0]) == "f")
        kind = "f" if single else "d"
        return Lanes(kind, as_kind(args[0], kind))
    if function is builtins.bool and len(args) == 1:
        return Lanes("b", raw(args[0]) != 0)
    if function is np.complex128:
        real, imag = (*args, 0.0)[:2]
        if kind_of(real) == "c":
            raise Unsupported("a complex number of one")
        return Lanes("c", paired(as_kind(real, "d"), as_kind(imag, "d")))
    if function is builtins.abs and len(args) == 1:
        if kind_of(args[0]) == "c":
            return each(function, args, mask, count)
        return absolute(args[0])
    if function in (BUILTINS["min"], BUILTINS["max"]) and len(args) > 1:
        return extreme(function is BUILTINS["max"], args)
    if isinstance(function, np.ufunc) and function.nin == len(args) == 1 and function in UFUNCS:
        kind = kind_of(args[0])
        if kind in "bc" or (kind in "iuU" and function in ROUNDS):
            raise Unsupported(f"{function.__name__} of whole numbers")
        held = kind if kind in "fd" else "d"
        return Lanes(held, function(as_kind(args[0], held)))
    if pure(function):
        return each(function, args, mask, count)
    raise Unsupported(f"a call of {getattr(function, '__name__', function)}")


def pure(function: Any) -> bool:
    """Tell whether a function depends on its arguments alone, as far as is known."""
    if isinstance(function, np.ufunc):
        return function.nout == 1
    name = getattr(function, "__name__", "")
    home = getattr(function, "__module__", None)
    if home in HOMES:
        return (name not in COUNTED and function not in BUILTINS.values()) or name == "rounded"
    return isinstance(function, BuiltinFunctionType) and (
        home == "math" or function in REPLACED or function in (builtins.round, builtins.pow)
    )


def to_integer(cast: Integer, value: Any, mask: Mask) -> Any:
    """Return a value wrapped to an integer's bits.

    Raises: Unsupported for numbers of more than 62 bits that are not unsigned.
    """
    if kind_of(value) in UNSIGNED:
        return rewrapped(cast, value.data)
    held = truncated(value, mask)
    if cast.name in ("uint32", "uint64"):
        return rewrapped(cast, held.data.astype(np.uint64))
    low, high = bounds(held)
    limits = np.iinfo(cast.dtype)
    if limits.min <= low and high <= limits.max:
        return held
    return whole(held.data.astype(cast.dtype).astype(np.int64))


def rewrapped(cast: Integer, data: Any) -> Lanes:
    """Return bits as an integer's, those above its own cut off."""
    if cast.name in ("uint32", "uint64"):
        return uints("u" if cast.bits == 32 else "U", data & np.uint64(cast.mask))
    return whole(data.astype(cast.dtype).astype(np.int64))


def truncated(value: Any, mask: Mask) -> Any:
    """Return a value without its fraction, as `int` does.

    Raises: Unsupported for what is no number or has more than 62 bits.
    """
    kind = kind_of(value)
    if kind == "i":
        return value
    if kind == "b":
        return whole(value.data.astype(np.int64), 0, 1)
    if kind in UNSIGNED:
        if (value.data >= MOST).any():
            raise Unsupported("whole numbers of more than 62 bits")
        return whole(value.data.astype(np.int64))
    data = value.data if mask is None else np.where(mask, value.data, 0)
    if not (np.abs(data) < MOST).all():
        raise Unsupported("floats beyond whole numbers")
    return whole(data.astype(np.int64))


def absolute(value: Any) -> Lanes:
    """Return the absolute value."""
    kind = kind_of(value)
    if kind == "b" or kind in UNSIGNED:
        raise Unsupported("arithmetic of truth values")
    if kind != "i":
        return Lanes(kind, np.abs(value.data))
    low, high = bounds(value)
    return whole(np.abs(value.data), 0, max(-low, high, 0))


def extreme(largest: bool, args: list[Any]) -> Any:
    """Return the largest or smallest of several; of two floats of which one is NaN, the other."""
    kinds = set(map(kind_of, args))
    rule: Callable[..., Any]
    if kinds == {"i"}:
        rule = np.maximum if largest else np.minimum
        low, high = zip(*map(bounds, args), strict=True)
        held = reduce(rule, map(raw, args))
        pick = max if largest else min
        return whole(held.astype(np.int64), pick(low), pick(high))
    if not kinds <= set("pfd"):
        raise Unsupported("the larger of a float and a whole number")
    total = args[0]
    rule = np.fmax if largest else np.fmin
    for value in args[1:]:
        kind = common(total, value)
        # Two of Python's floats give NumPy's.
        data = rule(as_kind(total, kind), as_kind(value, kind))
        held_kind = "d" if kind == "p" else kind
        total = Lanes(held_kind, data) if isinstance(data, np.ndarray) else data
    return total
