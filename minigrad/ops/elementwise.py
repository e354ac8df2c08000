"""Powers, remainders, comparisons, choice and bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.device import USED, device_of, filled, moved, run_at, same_device
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.dtypes import promoted
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import Bridge, Op, no_tensor
from minigrad.engine.values import dtype_beside, plain_number, stored
from minigrad.ops.arithmetic import BOOL, Binary, Mul, Neg
from minigrad.ops.common import (
    Array,
    any_true,
    broadcast_shape,
    converted,
    match,
    only_floating,
    op,
    tensor_of,
)
from minigrad.ops.grammar import host

INFINITE = float("inf")


@op
class Pow(Binary):
    """y = a ** b

    d/da = b a^(b-1), 0 where b is 0; d/db = a^b log a, 0 where a is 0 and b >= 0.
    """

    kernel = "pow"
    domains = ("positive", "reals")

    @classmethod
    def apply(cls, a: Any, b: Any) -> Any:
        if a.array.dtype.kind != "f" and b.array.dtype.kind != "f":
            if a.array.dtype == BOOL and b.array.dtype == BOOL:
                raise ArgumentTypeError(
                    "pow: expected numbers, got two bools; convert one with .long()"
                )
            if any_is("lt", b.array, 0):
                raise ArgumentError(
                    "pow: an integer to a negative integer power is not an integer; use a floating "
                    "base"
                )
        return super().apply(a, b)

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved(0), self.saved(1)
        da = db = None
        if self.needs(0):
            zero, safe = b == 0, b
            if any_unread(zero.array):  # b a^(b-1) is 0 * inf at 0; elsewhere b is differentiated
                safe = where(zero & ~(a.abs() > 0), 1.0, b)
            da = g * b * Pow.apply(a, safe - 1.0)
        if self.needs(1):
            flat = (a == 0) & (b >= 0)
            safe = where(flat, 1.0, a)
            db = where(flat, 0.0, g * Pow.apply(a, b) * safe.log())
        return da, db


def any_is(kernel: str, a: Array, number: int) -> bool:
    """Return whether any element of an array compares so with a number: one small read."""
    found = empty(a.shape, BOOL, a)
    launch(kernel, a, np.array(number, a.dtype if a.dtype.kind in "iu" else np.int64), found)
    return any_true(found)


def any_unread(a: Array) -> bool:
    """Return whether any of the bools may hold; of those on a device, which are not read, yes."""
    return bool(a.any()) if isinstance(a, np.ndarray) else True


def check_divisor(name: str, a: Array, b: Array) -> None:
    """Refuse bools, and a zero that integers are divided by."""
    if a.dtype == BOOL and b.dtype == BOOL:
        raise ArgumentTypeError(
            f"{name}: expected numbers, got two bools; convert one with .long()"
        )
    if a.dtype.kind != "f" and b.dtype.kind != "f" and any_is("eq", b, 0):
        raise ZeroDivisionError(f"{name}: integers are divided by 0; convert them with .float()")


@op
class Remainder(Binary):
    """y = a - b floor(a / b), in the sign of b as in Python; integers stay integers"""

    kernel = "remainder"
    domains = ("reals", "positive")

    @classmethod
    def apply(cls, a: Any, b: Any) -> Any:
        check_divisor("remainder", a.array, b.array)
        return super().apply(a, b)

    def backward(self, g: Any) -> tuple[Any, ...]:
        whole = floor_divide(self.saved(0), self.saved(1)) if self.needs(1) else None
        return g, (None if whole is None else Neg.apply(Mul.apply(g, whole)))


def remainder(input: Any, other: Any) -> Any:
    """Return input - other * floor(input / other), broadcast: it has the sign of `other`.

    Raises: ZeroDivisionError for an integer divided by 0.

    >>> import minigrad as mg
    >>> remainder(mg.tensor([5, -5]), 3)
    tensor([2, 1])
    """
    if not isinstance(input, Bridge.tensor) and not isinstance(other, Bridge.tensor):
        raise no_tensor("remainder", (input, other))
    return Remainder.apply(*two(input, other))


def floor_divide(input: Any, other: Any) -> Any:
    """Return floor(input / other), broadcast; integers stay integers.  Nothing is recorded.

    Raises: ZeroDivisionError for an integer divided by 0.

    >>> import minigrad as mg
    >>> floor_divide(mg.tensor([5, -5]), 2)
    tensor([ 2, -3])
    """
    a, b = two(input, other)
    check_divisor("floor_divide", a.array, b.array)
    return unrecorded("floor_divide", a, b)


def two(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two operands as tensors, a number lifted to go with the other one."""
    if isinstance(a, Bridge.tensor):
        return a, tensor_of(b, a)
    b = tensor_of(b)
    return tensor_of(a, b), b


def unrecorded(kernel: str, a: Any, b: Any) -> Any:
    """Launch a kernel of two operands, promoted; nothing is recorded."""

    def general(x: Array, z: Array) -> Array:
        x, z, shape, dtype = match(kernel, x, z)
        y = empty(shape, dtype)
        launch(kernel, x, z, y)
        return y

    return Bridge.new(run_at(kernel, general, a.array, b.array))


class BinaryExtremum(Binary):
    """The larger or smaller of a and b; among equals the gradient is split evenly.

    Each operand gets all where it does not lose, so both where one is NaN.
    """

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = converted(self.saved(0).array, self.dtype)
        b = converted(self.saved(1).array, self.dtype)
        if self.kernel == "minimum":
            a, b = b, a
        return self.share(g, a, b, 0), self.share(g, b, a, 1)

    def share(self, g: Any, mine: Array, other: Array, index: int) -> Any:
        """Return the gradient of the larger of two in `mine`, if the input is to have one."""
        if not self.needs(index):
            return None
        y = empty(self.shape, self.dtype)
        if mode.recording:
            launch("larger_share", filled((), 1, self.dtype), mine, other, y)
            return g * Bridge.new(y)
        launch("larger_share", g.array, mine, other, y)
        return Bridge.new(y)


@op
class Maximum(BinaryExtremum):
    """y = max(a, b)"""

    kernel = "maximum"


@op
class Minimum(BinaryExtremum):
    """y = min(a, b)"""

    kernel = "minimum"


@op
class Where(Op):
    """y = a where c, else b

    The gradient is masked: a NaN or infinity that arises *inside* the branch not taken still
    gives 0 * inf = NaN in that branch's own backward; `detect_anomaly` names it.
    """

    def forward(self, c: Array, a: Array, b: Array) -> Array:
        if c.dtype.kind == "u":  # masks of old
            c = converted(c, BOOL)
        if c.dtype != BOOL:
            raise ArgumentTypeError(
                f"where: the condition must be bool, got {c.dtype}; write the comparison, e.g. c "
                "!= 0"
            )
        a, b, shape, dtype = match("where", a, b)
        if c.shape != shape:
            shape = broadcast_shape("where", c.shape, shape)
        y = empty(shape, dtype)
        launch("where", c, a, b, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        c = self.saved(0)
        zero = Bridge.lift(0.0, g)
        return (
            None,
            Where.apply(c, g, zero) if self.needs(1) else None,
            Where.apply(c, zero, g) if self.needs(2) else None,
        )


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Choose from `input` where `condition` holds, else from `other`, all broadcast.  Of a
    condition alone, return the places where it holds, a tensor a dimension.

    Either may be a number: beside a tensor it takes that one's dtype where the kind fits, and two
    numbers give float32 if one is a float, else int64 or bool.

    >>> import minigrad as mg
    >>> mg.where(mg.tensor([True, False]), mg.tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.])
    """
    if input is None and other is None:
        places = np.atleast_1d(host(condition)).nonzero()
        return tuple(Bridge.new(moved(at, device_of(condition.array))) for at in places)
    if isinstance(condition, bool):
        raise ArgumentTypeError("where: expected the condition as a tensor of bools, got a bool")
    a, b = two(input, other) if isinstance(other, Bridge.tensor) else (input, other)
    a = tensor_of(a)
    return Where.apply(tensor_of(condition), a, tensor_of(b, a if a is input else None))


# ------------------------------------------------------------ comparisons: bool, not differentiable
def compare(kernel: str, a: Any, b: Any) -> Any:
    """Launch a comparison of two tensors; nothing is recorded."""
    x, y = a.array, b.array
    if USED:
        _, (x, y) = same_device(kernel, (x, y))
    if x.dtype != y.dtype:
        if x.dtype.kind in "iu" and y.dtype.kind in "iu":  # no number is cut off to be compared
            wide = promoted(x.dtype, y.dtype)
            x, y = converted(x, wide), converted(y, wide)
        x, y, shape, _ = match(kernel, x, y)
    else:
        shape = x.shape if x.shape == y.shape else broadcast_shape(kernel, x.shape, y.shape)
    out = empty(shape, BOOL, x)
    launch(kernel, x, y, out)
    return Bridge.new(out)


def test(kernel: str, a: Any) -> Any:
    """Launch a one-operand test: isnan, isfinite, logical_not."""
    out = empty(a.array.shape, BOOL, a.array)
    launch(kernel, a.array, out)
    return Bridge.new(out)


# ---------------------------------------------------------------- one operand and two numbers
def unary_with_parameters(
    kernel: str, a: Array, first: float, second: float, *gradient: Array
) -> Array:
    """Launch a kernel of one operand and two numbers, or its backward with the gradient first."""
    a = only_floating(kernel, a)
    y = empty(a.shape, a.dtype, a)
    launch(kernel, *gradient, a, first, second, y)
    return y


def bounds(low: float | None, high: float | None) -> tuple[float, float]:
    """Return both bounds as numbers; None is an infinite one."""
    return -INFINITE if low is None else low, INFINITE if high is None else high


def limited(a: Array, low: float, high: float) -> Array:
    """Return min(max(a, low), high); integers stay integers."""
    if a.dtype.kind == "f":
        return unary_with_parameters("clamp", a, low, high)
    if a.dtype == BOOL:
        raise ArgumentTypeError("clamp: expected numbers, got bools; convert them with .long()")
    y = empty(a.shape, a.dtype)
    launch("copy", a, y)
    if low != -INFINITE:
        launch("maximum", y, stored(low, a.dtype), y)
    if high != INFINITE:
        launch("minimum", y, stored(high, a.dtype), y)
    return y


@op
class Clamp(Op):
    """y = min(max(a, low), high); the derivative is 1 inside and at both bounds"""

    def forward(self, a: Array, low: float | None, high: float | None) -> Array:
        return limited(a, *bounds(low, high))

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, (low, high) = self.saved(0), bounds(**self.meta)
        if mode.recording:
            return (where((a >= low) & (a <= high), g, 0.0),)
        return (Bridge.new(unary_with_parameters("clamp_backward", a.array, low, high, g.array)),)


# ---------------------------------------------------------------- functions
def logical(kernel: str, a: Any, b: Any) -> Any:
    """Launch and / or / xor of two tensors seen as bool."""
    x, y = converted(a.array, BOOL), converted(b.array, BOOL)
    out = empty(broadcast_shape(kernel, x.shape, y.shape), BOOL)
    launch(kernel, x, y, out)
    return Bridge.new(out)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Limit elements to [min, max]; either bound may be None, or a tensor.

    >>> import minigrad as mg
    >>> mg.clamp(mg.tensor([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise ArgumentError("clamp: expected min, max or both, got neither")
    low, high = plain_number(min), plain_number(max)
    if (low is None) != (min is None) or (high is None) != (max is None):  # tensors
        y = input if min is None else bounded(input, tensor_of(min, input), "ge")
        return y if max is None else bounded(y, tensor_of(max, input), "le")
    if input.array.dtype.kind != "f":
        dtype = input.array.dtype
        for bound in (low, high):
            if bound is not None:
                dtype = promoted(dtype, dtype_beside(bound, dtype))
        for bound in (low, high):
            if bound is not None:
                stored(bound, dtype)  # raises where it does not fit
        input = Bridge.new(converted(input.array, dtype))
    return Clamp.apply(input, low=low, high=high)


def bounded(a: Any, bound: Any, holds: str) -> Any:
    """Return `a` where it holds the bound, else the bound; NaN, with no gradient, where one is."""
    y = Where.apply(compare(holds, a, bound), a, bound)
    if y.array.dtype.kind != "f":
        return y
    missing = test("isnan", a) | test("isnan", bound)
    return where(missing, float("nan"), y) if any_unread(missing.array) else y


# ---------------------------------------------------------------- bits
def bits(name: str, of_bools: str, a: Any, b: Any) -> Any:
    """Launch and, or, xor: of integers bit by bit, of bools as truth values."""
    a, b = two(a, b)
    x, y = a.array, b.array
    if x.dtype.kind == "f" or y.dtype.kind == "f":
        raise ArgumentTypeError(f"{name}: expected integers or bools, got {x.dtype} and {y.dtype}")
    both = x.dtype == BOOL and y.dtype == BOOL
    return unrecorded(of_bools if both else name, a, b)


def bitwise_and(input: Any, other: Any) -> Any:
    """Return input & other: of integers bit by bit, of bools where both hold.

    >>> import minigrad as mg
    >>> bitwise_and(mg.tensor([6, 7]), 3)
    tensor([2, 3])
    """
    return bits("bitwise_and", "logical_and", input, other)


def bitwise_or(input: Any, other: Any) -> Any:
    """Return input | other: of integers bit by bit, of bools where either holds."""
    return bits("bitwise_or", "logical_or", input, other)


def bitwise_xor(input: Any, other: Any) -> Any:
    """Return input ^ other: of integers bit by bit, of bools where just one holds."""
    return bits("bitwise_xor", "ne", input, other)


def bitwise_not(input: Any) -> Any:
    """Return ~input: of integers bit by bit, of bools where it does not hold.

    Raises: TypeError for floats.

    >>> import minigrad as mg
    >>> bitwise_not(mg.tensor([0, 5])), bitwise_not(mg.tensor([True, False]))
    (tensor([-1, -6]), tensor([False,  True]))
    """
    a = input.array
    if a.dtype == BOOL:
        return test("logical_not", input)
    if a.dtype.kind == "f":
        raise ArgumentTypeError(
            f"bitwise_not: expected integers or bools, got {a.dtype}; use logical_not"
        )
    ones = np.array(-1).astype(a.dtype)  # all of its bits
    return unrecorded("bitwise_xor", input, Bridge.new(ones))


def bitwise_left_shift(input: Any, other: Any) -> Any:
    """Return input * 2^other in the bits of integers; 0 where all of them leave."""
    return shifted("left_shift", input, other)


def bitwise_right_shift(input: Any, other: Any) -> Any:
    """Return floor(input / 2^other) of integers, also where all bits leave."""
    return shifted("right_shift", input, other)


def shifted(kernel: str, a: Any, b: Any) -> Any:
    """Launch a shift of integers."""
    a, b = two(a, b)
    kinds = {a.array.dtype.kind, b.array.dtype.kind}
    if "f" in kinds or kinds == {"b"}:
        raise ArgumentTypeError(
            f"{kernel}: expected integers, got {a.array.dtype} and {b.array.dtype}"
        )
    return unrecorded(kernel, a, b)
