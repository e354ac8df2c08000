"""Functions of two or three operands beside the four operations: remainders, quotients rounded,
choices, signs, interpolation.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.device import filled
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.dtypes import result_dtype
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import Bridge, Op, refuse_others
from minigrad.ops.arithmetic import Binary
from minigrad.ops.arranging import beside
from minigrad.ops.common import Array, broadcast_shape, match, op, tensor_of
from minigrad.ops.elementwise import Pow, check_divisor, two, where
from minigrad.ops.grammar import host
from minigrad.ops.logarithms import Exp2
from minigrad.ops.registry import public
from minigrad.ops.steps import zeros_like
from minigrad.ops.summed_products import product_toward
from minigrad.ops.trigonometry import FloatBinary
from minigrad.ops.unary import Log, power


# ---------------------------------------------------------------- quotients and remainders
class Whole(Op):
    """A quotient rounded to a whole number, whose gradient is 0"""

    keeps = False

    @classmethod
    def apply(cls, a: Any, b: Any) -> Any:
        check_divisor("div", a.array, b.array)
        return super().apply(a, b)

    def backward(self, g: Any) -> tuple[Any, ...]:
        zero = zeros_like(g)
        return zero, zero

    @staticmethod
    def samples(draw: Any) -> Any:
        return draw.pairs(draw.wave, draw.positive_wave)


@op
class FloorDiv(Whole):
    """y = a / b rounded down"""

    def forward(self, a: Array, b: Array) -> Array:
        a, b, shape, dtype = match("div", a, b)
        y = empty(shape, dtype)
        launch("floor_divide", a, b, y)
        return y


@op
class TruncDiv(Whole):
    """y = a / b rounded towards 0"""

    def forward(self, a: Array, b: Array) -> Array:
        a, b, shape, dtype = match("div", a, b)
        y = empty(shape, dtype)
        if dtype.kind == "f":
            launch("div", a, b, y)
            launch("trunc", y, y)
            return y
        launch("fmod", a, b, y)
        launch("sub", a, y, y)
        launch("floor_divide", y, b, y)
        return y


@op
class Fmod(Binary):
    """y = a - b trunc(a / b), in the sign of a as in C; integers stay integers"""

    kernel = "fmod"
    domains = ("reals", "positive")

    @classmethod
    def apply(cls, a: Any, b: Any) -> Any:
        check_divisor("fmod", a.array, b.array)
        return super().apply(a, b)

    def backward(self, g: Any) -> tuple[Any, ...]:
        whole = TruncDiv.apply(self.saved(0), self.saved(1)) if self.needs(1) else None
        return g, (None if whole is None else -(g * whole))


ROUNDED = {"floor": FloorDiv, "trunc": TruncDiv}


def first_of(a: Any, b: Any) -> Any:
    """Return the first of two operands as a tensor."""
    return a if isinstance(a, Bridge.tensor) else two(a, b)[0]


@public("tensor", also=("divide",), inplace=True)
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Return input / other, broadcast; integers divide to float32.

    rounding_mode: "floor" rounds down and "trunc" towards 0; then integers stay integers and the
        gradient is 0.

    Raises: ZeroDivisionError for an integer divided by 0 and rounded.

    >>> import minigrad as mg
    >>> div(mg.tensor([5, -5]), 2), div(mg.tensor([5, -5]), 2, rounding_mode="trunc")
    (tensor([ 2.5000, -2.5000]), tensor([ 2, -2]))
    """
    if rounding_mode is None:
        return first_of(input, other) / other
    if rounding_mode not in ROUNDED:
        raise ArgumentError(
            f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}"
        )
    return ROUNDED[rounding_mode].apply(*two(input, other))


@public("tensor", inplace=True)
def true_divide(input: Any, other: Any) -> Any:
    """Return input / other; see `div`."""
    return first_of(input, other) / other


@public("tensor")
def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Return input + alpha * other, broadcast.

    >>> import minigrad as mg
    >>> add(mg.tensor([1.0, 2.0]), 10, alpha=2)
    tensor([21., 22.])
    """
    return first_of(input, other).add(other, alpha=alpha)


@public("tensor")
def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Return input - alpha * other, broadcast."""
    return first_of(input, other).sub(other, alpha=alpha)


@public("tensor")
def mul(input: Any, other: Any) -> Any:
    """Return input * other, broadcast."""
    return first_of(input, other) * other


@public("tensor", inplace=True)
def multiply(input: Any, other: Any) -> Any:
    """Return input * other; see `mul`."""
    return input * other


@public("tensor", inplace=True)
def subtract(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Return input - alpha * other; see `sub`."""
    return input.sub(other, alpha=alpha)


@public("function")
def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """Return other - alpha * input.

    >>> import minigrad as mg
    >>> rsub(mg.tensor([1.0, 2.0]), 10, alpha=2)
    tensor([8., 6.])
    """
    return tensor_of(other, input).sub(input, alpha=alpha)


# ---------------------------------------------------------------- powers
@public("function")
def pow(input: Any, exponent: Any) -> Any:
    """Return input ** exponent; either may be a number.

    >>> import minigrad as mg
    >>> pow(2, mg.tensor([1.0, 3.0]))
    tensor([2., 8.])
    """
    if isinstance(input, Bridge.tensor):
        return power(input, exponent)
    refuse_others("pow", (exponent,))
    return Pow.apply(tensor_of(input, exponent), exponent)


@public("tensor", inplace=True)
def float_power(input: Any, exponent: Any) -> Any:
    """Return input ** exponent, computed in float64 and of that dtype.

    >>> import minigrad as mg
    >>> float_power(mg.tensor([2, 3]), -1)
    tensor([0.5000, 0.3333], dtype=minigrad.float64)
    """
    a, b = two(input, exponent)
    return power(a.double(), b.double())


@public("tensor", inplace=True)
def ldexp(input: Any, other: Any) -> Any:
    """Return input * 2 ** other; integers give float32.

    >>> import minigrad as mg
    >>> ldexp(mg.tensor([1.0]), mg.tensor([4]))
    tensor([16.])
    """
    return input * Exp2.apply(tensor_of(other))


@public("tensor", inplace=True)
def xlogy(input: Any, other: Any) -> Any:
    """Return input * log(other), 0 where the input is 0; NaN where `other` is.

    >>> import minigrad as mg
    >>> xlogy(mg.tensor([0.0, 2.0]), mg.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    a, b = two(input, other)
    flat = (a == 0) & ((b <= 0) | (b == math.inf))
    return a * Log.apply(where(flat, 1, b))


# ---------------------------------------------------------------- choices and signs
class NumberExtremum(Binary):
    """The larger or smaller of a and b, the other one where one is NaN; among equals the gradient
    is a's
    """

    numbers = False

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved(0), self.saved(1)
        first = (a >= b if self.kernel == "fmax" else a <= b) | b.isnan()
        return where(first, g, 0.0), where(first, 0.0, g)


@op
class Fmax(NumberExtremum):
    """y = max(a, b), the other one where one is NaN"""

    kernel = "fmax"


@op
class Fmin(NumberExtremum):
    """y = min(a, b), the other one where one is NaN"""

    kernel = "fmin"


@op
class Copysign(FloatBinary):
    """y = |a| with the sign of b; the gradient is 0 where a is"""

    kernel = "copysign"
    domains = ("kinked", "kinked")

    def backward(self, g: Any) -> tuple[Any, ...]:
        return g * turned(self.saved(0), self.saved(1)), zeros_like(g)


def turned(a: Any, b: Any) -> Any:
    """Return the derivative of copysign(a, b) in a: 1 or -1, 0 at 0."""
    one = Bridge.new(filled((), 1, a.array.dtype, a.array))
    same = Copysign.apply(one, a.detach()) * Copysign.apply(one, b.detach())
    return where(a == 0, 0.0, same)


@public("tensor", inplace=True)
def nextafter(input: Any, other: Any) -> Any:
    """Return the next number after `input` towards `other`; nothing is recorded.

    >>> import minigrad as mg
    >>> float(nextafter(mg.tensor(1.0), mg.tensor(2.0))) - 1 == 2**-23
    True
    """
    return on_host("nextafter", np.nextafter, "f", input, other)


@public("tensor", inplace=True)
def gcd(input: Any, other: Any) -> Any:
    """Return the greatest common divisor of integers, which is not negative.

    >>> import minigrad as mg
    >>> gcd(mg.tensor([12, 7]), mg.tensor([18, 3]))
    tensor([6, 1])
    """
    return on_host("gcd", np.gcd, "iu", input, other)


@public("tensor", inplace=True)
def lcm(input: Any, other: Any) -> Any:
    """Return the least common multiple of integers, which is not negative."""
    return on_host("lcm", np.lcm, "iu", input, other)


def on_host(name: str, function: Any, kinds: str, a: Any, b: Any) -> Any:
    """Return a NumPy function of two tensors of given kinds of dtypes, computed on the host."""
    refuse_others(name, (a, b))
    dtype = result_dtype(a.array, b.array)
    if dtype.kind not in kinds:
        wanted = "floating tensors" if kinds == "f" else "integers"
        raise ArgumentTypeError(
            f"{name}: expected {wanted}, got {a.array.dtype} and {b.array.dtype}"
        )
    x, y = (host(t).astype(dtype, copy=False) for t in (a, b))
    return beside(np.asarray(function(x, y)), a)


# ---------------------------------------------------------------- three operands
def alike(*operands: Any) -> bool:
    """Return whether all are floating tensors of one dtype."""
    kinds = {t.array.dtype if isinstance(t, Bridge.tensor) else None for t in operands}
    dtype = kinds.pop()
    return not kinds and dtype is not None and dtype.kind == "f"


class Blend(Op):
    """A sum of two operands of which the second is multiplied by a number"""

    keeps = False
    kernel = ""

    def forward(self, a: Array, b: Array, number: float) -> Array:
        a, b, shape, dtype = match(self.kernel, a, b)
        y = empty(shape, dtype)
        launch(self.kernel, a, b, number, 0.0, y)
        return y

    @classmethod
    def samples(cls, draw: Any) -> Any:
        return [(arrays, {"number": 0.3}) for arrays, _ in draw.pairs(draw.normal)]


@op
class Lerp(Blend):
    """y = a + (b - a) number"""

    kernel = "lerp"

    def backward(self, g: Any) -> tuple[Any, ...]:
        part = g * self.meta["number"]
        return g - part, part


@op
class AddScaled(Blend):
    """y = a + b number"""

    kernel = "add_scaled"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return g, (g * self.meta["number"] if self.needs(1) else None)


class Three(Op):
    """A function of three operands, broadcast"""

    kernel = ""
    second: str = "normal"  # what the last operand of samples is drawn from

    def forward(self, a: Array, b: Array, c: Array) -> Array:
        shape = a.shape
        if not a.shape == b.shape == c.shape:
            shape = broadcast_shape(self.kernel, a.shape, b.shape, c.shape)
        y = empty(shape, a.dtype)
        launch(self.kernel, a, b, c, y)
        return y

    @classmethod
    def samples(cls, draw: Any) -> Any:
        last = getattr(draw, cls.second)
        shapes = (((), (), ()), ((2, 3), (3,), (2, 1)), ((3,), (2, 3), ()), ((0,), (0,), (1,)))
        return [((draw.normal(*a), draw.normal(*b), last(*c)), {}) for a, b, c in shapes]


@op
class Addcmul(Three):
    """y = a + b c"""

    kernel = "addcmul"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (
            g,
            product_toward(self, 1, g, self.saved(2)) if self.needs(1) else None,
            product_toward(self, 2, g, self.saved(1)) if self.needs(2) else None,
        )


@op
class Addcdiv(Three):
    """y = a + b / c"""

    kernel = "addcdiv"
    second = "positive"

    def backward(self, g: Any) -> tuple[Any, ...]:
        c = self.saved(2)
        return (
            g,
            g / c if self.needs(1) else None,
            -(g * ((self.saved(1) / c) / c)) if self.needs(2) else None,
        )


@public("tensor", inplace=True)
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """Return input + weight * (end - input): `input` for weight 0, `end` for weight 1.

    >>> import minigrad as mg
    >>> lerp(mg.tensor([0.0, 10.0]), mg.tensor([4.0, 20.0]), 0.5)
    tensor([ 2., 15.])
    """
    refuse_others("lerp", (input, end))
    dtype = input.array.dtype
    others = [end, *([weight] if isinstance(weight, Bridge.tensor) else [])]
    if dtype.kind != "f" or any(t.array.dtype != dtype and t.array.ndim for t in others):
        shown = ", ".join(str(t.array.dtype) for t in (input, *others))
        raise ArgumentTypeError(f"lerp: expected floating tensors of one dtype, got {shown}")
    if not others[1:] and type(weight) in (int, float) and alike(input, end):
        return Lerp.apply(input, end, number=weight)
    return input + (end - input) * weight


@public("tensor", inplace=True)
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """Return input + value * tensor1 * tensor2, broadcast.

    >>> import minigrad as mg
    >>> addcmul(mg.tensor([1.0]), mg.tensor([2.0]), mg.tensor([3.0]), value=0.5)
    tensor([4.])
    """
    if value == 1 and alike(input, tensor1, tensor2):
        return Addcmul.apply(input, tensor1, tensor2)
    return plus(input, tensor1 * tensor2, value)


@public("tensor", inplace=True)
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """Return input + value * tensor1 / tensor2, broadcast.

    Raises: TypeError for an integer divided by an integer.

    >>> import minigrad as mg
    >>> addcdiv(mg.tensor([1.0]), mg.tensor([3.0]), mg.tensor([2.0]))
    tensor([2.5000])
    """
    if tensor1.array.dtype.kind != "f" and tensor2.array.dtype.kind != "f":
        raise ArgumentTypeError(
            f"addcdiv: integers are divided, {tensor1.array.dtype} by {tensor2.array.dtype}; "
            "convert one with .float()"
        )
    if value == 1 and alike(input, tensor1, tensor2):
        return Addcdiv.apply(input, tensor1, tensor2)
    return plus(input, tensor1 / tensor2, value)


def plus(a: Any, b: Any, value: Any) -> Any:
    """Return a + value b."""
    if value != 1 and type(value) in (int, float) and alike(a, b):
        return AddScaled.apply(a, b, number=value)
    return a + (b if value == 1 else b * value)


# ---------------------------------------------------------------- bounds
@public("tensor", inplace=True)
def clamp_min(input: Any, min: Any) -> Any:
    """Return elements not below `min`; see `clamp`."""
    return input.clamp(min=min)


@public("tensor", inplace=True)
def clamp_max(input: Any, max: Any) -> Any:
    """Return elements not above `max`; see `clamp`."""
    return input.clamp(max=max)


# ---------------------------------------------------------------- other names
@public("tensor", inplace=True)
def greater(input: Any, other: Any) -> Any:
    """Return input > other; see `gt`."""
    return input > other


@public("tensor", inplace=True)
def greater_equal(input: Any, other: Any) -> Any:
    """Return input >= other; see `ge`."""
    return input >= other


@public("tensor", inplace=True)
def less(input: Any, other: Any) -> Any:
    """Return input < other; see `lt`."""
    return input < other


@public("tensor", inplace=True)
def less_equal(input: Any, other: Any) -> Any:
    """Return input <= other; see `le`."""
    return input <= other


@public("tensor", inplace=True)
def not_equal(input: Any, other: Any) -> Any:
    """Return input != other; see `ne`."""
    return input != other


@public("tensor", inplace=True)
def negative(input: Any) -> Any:
    """Return -input; see `neg`."""
    return -input


@public("tensor", inplace=True)
def absolute(input: Any) -> Any:
    """Return |input|; see `abs`."""
    return input.abs()
