"""Angles and hyperbolas: tan, sinh and cosh, and the inverses of all six functions."""

from __future__ import annotations

import math
from typing import Any

from minigrad.engine.op import Bridge
from minigrad.ops.arithmetic import Binary
from minigrad.ops.common import floating, op
from minigrad.ops.elementwise import where
from minigrad.ops.registry import public
from minigrad.ops.unary import FromOutput, Unary


@op
class Tan(FromOutput):
    """y = tan a"""

    kernel = "tan"

    def backward(self, g: Any) -> tuple[Any, ...]:
        y = self.output()
        return (g * (y * y + 1.0),)


@op
class Asin(Unary):
    """y = the angle in [-pi/2, pi/2] whose sine is a; NaN beyond -1 and 1"""

    kernel = "asin"
    also = ("arcsin",)
    domain = "inside"

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (g / (1.0 - a * a).sqrt(),)


@op
class Acos(Unary):
    """y = the angle in [0, pi] whose cosine is a; NaN beyond -1 and 1"""

    kernel = "acos"
    also = ("arccos",)
    domain = "inside"

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (-(g / (1.0 - a * a).sqrt()),)


@op
class Atan(Unary):
    """y = the angle in [-pi/2, pi/2] whose tangent is a"""

    kernel = "atan"
    also = ("arctan",)

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (g / (a * a + 1.0),)


@op
class Sinh(Unary):
    """y = (e^a - e^-a) / 2"""

    kernel = "sinh"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * Cosh.apply(self.saved(0)),)


@op
class Cosh(Unary):
    """y = (e^a + e^-a) / 2"""

    kernel = "cosh"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * Sinh.apply(self.saved(0)),)


@op
class Asinh(Unary):
    """y = log(a + sqrt(a^2 + 1)), the inverse of sinh"""

    kernel = "asinh"
    also = ("arcsinh",)

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (g / (a * a + 1.0).sqrt(),)


@op
class Acosh(Unary):
    """y = log(a + sqrt(a^2 - 1)), the inverse of cosh; NaN below 1"""

    kernel = "acosh"
    also = ("arccosh",)
    domain = "above one"

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (g / ((a * a) - 1.0).sqrt(),)


@op
class Atanh(Unary):
    """y = 1/2 log((1 + a) / (1 - a)), the inverse of tanh; NaN beyond -1 and 1"""

    kernel = "atanh"
    also = ("arctanh",)
    domain = "inside"

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (g / (1.0 - a * a),)


class FloatBinary(Binary):
    """A function of two numbers that integers, made float32, take too.

    numbers: whether its function takes a number in the place of one of the tensors.
    """

    numbers = True

    @classmethod
    def apply(cls, a: Any, b: Any) -> Any:
        if a.array.dtype.kind != "f" and b.array.dtype.kind != "f":
            a, b = Bridge.new(floating(a.array)), Bridge.new(floating(b.array))
        return super().apply(a, b)


@op
class Atan2(FloatBinary):
    """y = the angle of the point (b, a), in [-pi, pi]; the gradient at the origin is 0"""

    kernel = "atan2"
    also = ("arctan2",)
    numbers = False

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved(0), self.saved(1)
        square = a * a + b * b
        g = where(square == 0, 0.0, g / where(square == 0, 1.0, square))
        return g * b if self.needs(0) else None, -(g * a) if self.needs(1) else None


@op
class Hypot(FloatBinary):
    """y = sqrt(a^2 + b^2), without overflow; the gradient at the origin is NaN, as PyTorch's"""

    kernel = "hypot"
    numbers = False

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved(0), self.saved(1)
        y = Hypot.apply(a, b)
        return g * (a / y) if self.needs(0) else None, g * (b / y) if self.needs(1) else None


@public("tensor", inplace=True)
def deg2rad(input: Any) -> Any:
    """Return angles in radians, given in degrees.

    >>> import minigrad as mg
    >>> deg2rad(mg.tensor([180.0]))
    tensor([3.1416])
    """
    return input * (math.pi / 180)


@public("tensor", inplace=True)
def rad2deg(input: Any) -> Any:
    """Return angles in degrees, given in radians.

    >>> import minigrad as mg
    >>> rad2deg(mg.tensor([3.14159265]))
    tensor([180.])
    """
    return input * (180 / math.pi)
