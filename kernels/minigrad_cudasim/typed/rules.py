"""Numba's rules of numbers: what type an operation gives, and in which type it is computed.

The rules are asked of Numba's own typing (`signature`), which is the same for all of its targets
but for functions of the math module, and kept for the pairs of types that have come up.  `Operator`
applies them to numbers as they come, where types are not known beforehand.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba.core import types, typing
from numba.core.registry import cpu_target
from numba.core.typing.templates import make_concrete_template

from minigrad_cudasim.halves import Half
from minigrad_cudasim.numbers import INTEGERS, Int32, UInt32, power, quotient, wrapped

Kind = Any  # a type of Numba's

KINDS: dict[type, Kind] = {
    bool: types.boolean,
    np.bool_: types.boolean,
    int: types.int64,
    Int32: types.int32,
    UInt32: types.uint32,
    float: types.float64,
    complex: types.complex128,
    **{
        getattr(np, name): getattr(types, name)
        for name in (
            "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
        ).split()
    },
}
INFIX: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Pow": operator.pow,
    "LShift": operator.lshift,
    "RShift": operator.rshift,
    "BitAnd": operator.and_,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
}
ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Eq": operator.eq,
    "NotEq": operator.ne,
}
PREFIX: dict[str, Callable[[Any], Any]] = {
    "USub": operator.neg,
    "UAdd": operator.pos,
    "Invert": operator.invert,
    "Not": operator.not_,
}
SINGLE, DOUBLE = types.float32, types.float64
WIDE = (types.int64, types.uint64)
FLOATS = [(SINGLE, SINGLE), (DOUBLE, DOUBLE)]
PAIRS = [(SINGLE, SINGLE, SINGLE), (DOUBLE, DOUBLE, DOUBLE)]
POWERS = [(SINGLE, SINGLE, types.int32), (DOUBLE, DOUBLE, types.int32)]
# The result and the arguments of functions of the math module that CUDA's target types by itself:
# floor, ceil and trunc of a float are floats.
MATHEMATICS: dict[Any, list[tuple[Kind, ...]]] = {
    **{
        getattr(math, name): [*((DOUBLE, kind) for kind in WIDE), *FLOATS]
        for name in (
            "acos acosh asin asinh atan atanh ceil cos cosh degrees erf erfc exp expm1 fabs floor "
            "gamma lgamma log log10 log1p log2 radians sin sinh sqrt tan tanh trunc"
        ).split()
    },
    **{f: [*((DOUBLE, k, k) for k in WIDE), *PAIRS] for f in (math.atan2, math.hypot)},
    **dict.fromkeys((math.copysign, math.fmod, math.remainder), PAIRS),
    math.pow: [*PAIRS, *POWERS],
    math.ldexp: POWERS,
}
SHIFTS = ("LShift", "RShift")


class Signature(NamedTuple):
    """In which types Numba takes arguments, and which it gives."""

    args: tuple[Kind, ...]
    result: Kind


@cache
def signature(function: Any, kinds: tuple[Kind, ...]) -> Signature | None:
    """Return how Numba types a call of numbers, None where it does not."""
    context = cpu_target.typing_context
    context.refresh()
    try:
        if function in MATHEMATICS:
            cases = [typing.signature(*case) for case in MATHEMATICS[function]]
            template = make_concrete_template("mathematics", function, cases)
            found = template(context).apply(kinds, {})
            return None if found is None else Signature(tuple(found.args), found.return_type)
        found = context.resolve_function_type(function, kinds, {})
    except Exception:  # Numba's errors of typing, and what its implementations raise
        return None
    return None if found is None else Signature(tuple(found.args), found.return_type)


@cache
def unified(a: Kind, b: Kind) -> Kind | None:
    """Return the type of a name that is given numbers of two types, None where there is none."""
    return cpu_target.typing_context.unify_types(a, b)


def whole(kind: Kind) -> bool:
    """Tell whether a type is of whole numbers."""
    return isinstance(kind, types.Integer)


def held_unsigned(kind: Kind) -> bool:
    """Tell whether numbers of a type are NumPy's uint64 here: those of 32 and 64 bits."""
    return whole(kind) and not kind.signed and kind.bitwidth >= 32


def held_int(kind: Kind) -> bool:
    """Tell whether numbers of a type are Python's int here."""
    return whole(kind) and not held_unsigned(kind)


def single(value: Any) -> Any:
    """Return a number as float32, rounded once."""
    if type(value) is int and not -(1 << 53) <= value <= 1 << 53:
        return np.int64(wrapped(value)).astype(np.float32)
    return np.float32(value)


CASTS: dict[Kind, Callable[[Any], Any]] = {
    types.boolean: bool,
    types.float32: single,
    types.float64: np.float64,
    types.complex64: np.complex64,
    types.complex128: np.complex128,
    **{getattr(types, name): cast for name, cast in INTEGERS.items()},
}


def cast_between(source: Kind, target: Kind) -> Callable[[Any], Any] | None:
    """Return what makes a number of one type one of another; None where it is one already."""
    if source == target:
        return None
    if target == types.int64:
        if held_int(source):
            return None
        if source in (types.boolean, types.uint32):
            return int
    if whole(source) and whole(target):
        if held_unsigned(target) == held_unsigned(source) and spans(target, source):
            return None if target != types.uint32 else CASTS[target]
        if held_int(target) and held_int(source) and spans(target, source):
            return None
    if target == types.float32 and not whole(source):
        return np.float32
    return CASTS.get(target)


def spans(wide: Kind, narrow: Kind) -> bool:
    """Tell whether one integer type holds all numbers of another."""
    return bool(wide.minval <= narrow.minval and narrow.maxval <= wide.maxval)


class Plan(NamedTuple):
    """How an operation is computed.

    left, right: what the numbers are cast to before; None leaves them.  wraps: whether the result
    may be beyond int64.  powers: whether it is a number multiplied by itself.  divides: whether it
    is a quotient of complex numbers.
    """

    left: Kind | None
    right: Kind | None
    result: Kind
    wraps: bool = False
    powers: bool = False
    divides: bool = False


@cache
def plan(name: str, a: Kind, b: Kind) -> Plan | None:
    """Return how `a op b` is computed, with op the name of a class of ast; None where it is not."""
    rule = INFIX.get(name) or ORDER[name]
    found = signature(rule, (a, b))
    if found is None or found.result not in CASTS:
        return None
    result = found.result
    if name in SHIFTS:
        return Plan(*shifted(a, b, result), result, name == "LShift" and result == types.int64)
    if name == "Pow" and whole(found.args[1]):
        right = types.int64 if not whole(b) or held_unsigned(b) else None
        return Plan(differing(a, result), right, result, False, True)
    if name in ORDER:
        left, right = found.args
        if whole(left) and whole(right) and left != types.boolean:
            return Plan(None, None, result)  # Python compares whole numbers as they are
        target = left if left == right else unified(left, right)
    else:
        target = result
    left, right = both_in(target, a, b)
    wraps = target == types.int64 and name in ("Add", "Sub", "Mult")
    divides = name == "Div" and result in types.complex_domain
    return Plan(left, right, result, wraps, divides=divides)


def shifted(a: Kind, b: Kind, result: Kind) -> tuple[Kind | None, Kind | None]:
    """Return what the two numbers of a shift are cast to."""
    left = result if cast_between(a, result) is not None else None
    right = types.int64 if not held_int(b) else None
    return left, right


def differing(kind: Kind, target: Kind) -> Kind | None:
    """Return a target where a number of a type is to be cast to it."""
    return None if cast_between(kind, target) is None else target


def both_in(target: Kind, a: Kind, b: Kind) -> tuple[Kind | None, Kind | None]:
    """Return what two numbers are cast to so that Python and NumPy compute in a type.

    NumPy's float64 takes all other numbers, and float32 truth values, without a cast.
    """
    if target == types.boolean:
        return None, None
    if target in (types.float32, types.float64):
        if target in (a, b):
            if target == types.float64:
                return None, None
            return (target if whole(a) else None), (target if whole(b) else None)
        return (None, target) if a in types.real_domain else (target, None)
    return differing(a, target), differing(b, target)


class Operator:
    """An operator of numbers whose types are looked at when they come.

    >>> OPERATORS["Mult"](np.float32(3), 2), OPERATORS["Sub"](UInt32(3), 5)
    (np.float64(6.0), -2)
    """

    def __init__(self, name: str):
        self.name = name
        self.plain: Callable[[Any, Any], Any] = INFIX.get(name) or ORDER[name]
        self.known: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}

    def __call__(self, a: Any, b: Any) -> Any:
        """Return what the operator gives by Numba's rules, by Python's for what is no number."""
        key = (type(a), type(b))
        rule = self.known.get(key)
        if rule is None:
            rule = self.known[key] = self.rule(KINDS.get(key[0]), KINDS.get(key[1]))
        return rule(a, b)

    def rule(self, a: Kind | None, b: Kind | None) -> Callable[[Any, Any], Any]:
        """Return what computes it for numbers of two types."""
        found = None if a is None or b is None else plan(self.name, a, b)
        if found is None:
            return self.plain
        left, right = (None if k is None else CASTS[k] for k in (found.left, found.right))
        inner: Callable[[Any, Any], Any] = power if found.powers else self.plain
        inner = quotient if found.divides else inner
        wraps = found.wraps

        def apply(x: Any, y: Any) -> Any:
            x = x if left is None else left(x)
            y = y if right is None else right(y)
            made = inner(x, y)
            return wrapped(made) if wraps and type(made) is int else made

        return apply


OPERATORS = {name: Operator(name) for name in (*INFIX, *ORDER)}


class Right:
    """The right side of `y[i] += x` where what is in the array is not computed with as NumPy does.

    NumPy's numbers and Python's leave the operation to it.
    """

    __slots__ = ("value",)
    __array_ufunc__ = None

    def __init__(self, value: Any):
        self.value = value


def reflected(rule: Operator) -> Callable[[Right, Any], Any]:
    """Return the method that a number on the left leaves an operation to."""
    return lambda self, other: rule(other, self.value)


METHODS = {
    "Add": "add",
    "Sub": "sub",
    "Mult": "mul",
    "Div": "truediv",
    "FloorDiv": "floordiv",
    "Mod": "mod",
    "Pow": "pow",
    "LShift": "lshift",
    "RShift": "rshift",
    "BitAnd": "and",
    "BitOr": "or",
    "BitXor": "xor",
}
for name, method in METHODS.items():
    setattr(Right, f"__r{method}__", reflected(OPERATORS[name]))


def kind_of(value: Any) -> Kind | None:
    """Return the type of a number, None for what is none that is known."""
    return None if isinstance(value, Half) else KINDS.get(type(value))


def name_of(op: ast.AST) -> str:
    """Return the name of an operator's class."""
    return type(op).__name__
