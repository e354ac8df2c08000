"""Functions of one operand: exponentials, roots, activations.

A rule with a kernel of its own uses it in a first-order sweep; under `create_graph` (recording is
on) it speaks plain ops, so that it can be differentiated again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.device import run_at
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentTypeError
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import Bridge, Op, refuse_others
from minigrad.ops.common import Array, converted, floating, only_floating, op, tensor_of
from minigrad.ops.elementwise import INFINITE, Pow, limited, unary_with_parameters, where

INT64 = np.dtype(np.int64)


def fused_backward(name: str, g: Any, saved: Array) -> Any:
    """Launch a two-operand backward kernel and return the gradient as a tensor."""
    y = empty(saved.shape, saved.dtype, saved)
    launch(name, g.array, saved, y)
    return Bridge.new(y)


class Unary(Op):
    """y = f(a), integers first made float32

    kernel: its name, and the function's.  also: other names.  domain: what it is checked on,
    "reals", "positive", "inside" -1 and 1, "above one", or "kinked" where it is not smooth: away
    from 0.
    """

    kernel = ""
    also: tuple[str, ...] = ()
    domain = "reals"
    public = "tensor"
    keeps_output = False

    @classmethod
    def apply(cls, a: Any) -> Any:
        refuse_others(cls.__name__, (a,))
        return super().apply(a) if a.array.dtype.kind == "f" else cls.of_integers(a)

    @classmethod
    def of_integers(cls, a: Any) -> Any:
        """Return f of a tensor of integers or bools, which has no gradient."""
        return cls.apply(Bridge.new(floating(a.array)))

    def forward(self, a: Array) -> Array:
        y = empty(a.shape, a.dtype)
        launch(self.kernel, a, y)
        if self.keeps_output:
            self.y = y
        return y


def no_bools(name: str, x: Array) -> Array:
    """Return an array of integers; a TypeError for bools."""
    if x.dtype.kind == "b":
        raise ArgumentTypeError(f"{name}: expected numbers, got bools; convert them with .long()")
    return x


class FromOutput(Unary):
    """A function whose derivative is written in its output."""

    keeps = False
    keeps_output = True


@op
class Abs(Unary):
    """y = |a|; the derivative at 0 is 0"""

    kernel = "abs"
    domain = "kinked"

    @classmethod
    def of_integers(cls, a: Any) -> Any:
        return Bridge.new(run_at("abs", cls().forward, no_bools("abs", a.array)))

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * sign(self.saved(0)),)


def sign(a: Any) -> Any:
    """Return -1, 0 or 1 an element; its gradient is zero everywhere, so nothing is recorded.

    >>> import minigrad as mg
    >>> sign(mg.tensor([-2.0, 0.0, 3.0]))
    tensor([-1.,  0.,  1.])
    """
    y = empty(a.array.shape, a.array.dtype)
    launch("copy" if y.dtype.kind == "b" else "sign", a.array, y)
    return Bridge.new(y)


@op
class Square(Unary):
    """y = a^2"""

    kernel = "square"

    @classmethod
    def of_integers(cls, a: Any) -> Any:
        x = a.array if a.array.dtype.kind in "iu" else converted(a.array, INT64)
        return Bridge.new(run_at("square", cls().forward, x))

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        if mode.recording:  # a power, so that its derivatives exist to any order, the third being 0
            return (g * Pow.apply(a, Bridge.lift(1.0, a)) * 2.0,)
        return (fused_backward("square_backward", g, a.array),)


def power(input: Any, exponent: Any) -> Any:
    """Return input ** exponent; the square and the root of a floating tensor are Square and Sqrt.

    So (-inf) ** 0.5 is NaN, as PyTorch has it, where Pow's is inf.

    >>> import minigrad as mg
    >>> mg.tensor([3.0]) ** 2
    tensor([9.])
    """
    if exponent.__class__ in (int, float) and input.array.dtype.kind == "f":
        if exponent == 2:
            return Square.apply(input)
        if exponent == 0.5:
            return Sqrt.apply(input)
    return Pow.apply(input, tensor_of(exponent, input))


@op
class Exp(FromOutput):
    """y = e^a"""

    kernel = "exp"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * self.output(),)


@op
class Expm1(Unary):
    """y = e^a - 1, accurate near 0"""

    kernel = "expm1"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * Exp.apply(self.saved(0)),)  # y + 1 has no digits left far below 0


@op
class Log(Unary):
    """y = log a; -inf at 0"""

    kernel = "log"
    domain = "positive"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g / self.saved(0),)


@op
class Log1p(Unary):
    """y = log(1 + a), accurate near 0"""

    kernel = "log1p"
    domain = "positive"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g / (self.saved(0) + 1.0),)


@op
class Sqrt(FromOutput):
    """y = sqrt(a); the derivative at 0 is inf"""

    kernel = "sqrt"
    domain = "positive"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g / (self.output() * 2.0),)


@op
class Sin(Unary):
    """y = sin a"""

    kernel = "sin"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * Cos.apply(self.saved(0)),)


@op
class Cos(Unary):
    """y = cos a"""

    kernel = "cos"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (-(g * Sin.apply(self.saved(0))),)


@op
class Tanh(FromOutput):
    """y = tanh a

    The gradient is 1 - y^2 of the rounded y: off by no more than an epsilon of the dtype, which
    beyond |a| = 9 in float32 is all of it.
    """

    kernel = "tanh"

    def backward(self, g: Any) -> tuple[Any, ...]:
        if mode.recording:
            y = self.output()
            return (g * (1.0 - y * y),)
        return (fused_backward("tanh_backward", g, self.result()),)


@op
class Sigmoid(FromOutput):
    """y = 1 / (1 + e^-a)

    The gradient is y (1 - y) of the rounded y: exact for a < 0, off by no more than an epsilon of
    the dtype above.  `binary_cross_entropy_with_logits` and `logsigmoid` lose nothing at any a.
    """

    kernel = "sigmoid"

    def backward(self, g: Any) -> tuple[Any, ...]:
        if mode.recording:
            y = self.output()
            return (g * (y * (1.0 - y)),)
        return (fused_backward("sigmoid_backward", g, self.result()),)


@op
class Erf(Unary):
    """y = erf a = 2/sqrt(pi) * integral of e^(-t^2) from 0 to a"""

    kernel = "erf"

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (g * Exp.apply(-(a * a)) * (2 / math.sqrt(math.pi)),)


@op
class Relu(FromOutput):
    """y = max(a, 0); the derivative at 0 is 0"""

    kernel = "relu"
    domain = "kinked"

    @classmethod
    def of_integers(cls, a: Any) -> Any:
        return Bridge.new(run_at("relu", limited, no_bools("relu", a.array), 0, INFINITE))

    def backward(self, g: Any) -> tuple[Any, ...]:
        if mode.recording:
            return (where(Bridge.new(self.result()) <= 0, 0.0, g),)
        return (fused_backward("relu_backward", g, self.result()),)


class Smooth(Unary):
    """An activation with a kernel for its derivative in its input, and a composite for any
    order.  Floating tensors only.
    """

    public = "functional"

    @classmethod
    def of_integers(cls, a: Any) -> Any:
        return only_floating(cls.kernel, a.array)  # which it is not

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (fused_backward(f"{self.kernel}_backward", g, floating(self.saved(0).array)),)


@op
class Softplus(Smooth):
    """y = log(1 + e^a), linear above 20"""

    kernel = "softplus"

    @staticmethod
    def composite(a: Any) -> Any:
        linear = a > 20
        return where(linear, a, Log1p.apply(Exp.apply(where(linear, 0.0, a))))


@op
class Silu(Smooth):
    """y = a sigmoid(a)"""

    kernel = "silu"

    @staticmethod
    def composite(a: Any) -> Any:
        return a * Sigmoid.apply(a)


@op
class Gelu(Smooth):
    """y = a/2 (1 + erf(a / sqrt 2))"""

    kernel = "gelu"

    @staticmethod
    def composite(a: Any) -> Any:
        return a * (Erf.apply(a * math.sqrt(0.5)) + 1.0) * 0.5


@op
class LogSigmoid(Smooth):
    """y = -log(1 + e^-a)"""

    kernel = "logsigmoid"

    @staticmethod
    def composite(a: Any) -> Any:
        low = where(a < 0, a, 0.0)
        return low - Log1p.apply(Exp.apply(low + low - a))


@op
class GeluTanh(Smooth):
    """y = a/2 (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3)))"""

    kernel = "gelu_tanh"
    public = ""  # gelu(x, approximate="tanh")

    @staticmethod
    def composite(a: Any) -> Any:
        inner = (a + a * a * a * 0.044715) * math.sqrt(2 / math.pi)
        return a * (Tanh.apply(inner) + 1.0) * 0.5


@op
class Hardsigmoid(Smooth):
    """y = min(max(a + 3, 0), 6) / 6; the derivative at both ends is 0"""

    kernel = "hardsigmoid"
    public = ""

    @staticmethod
    def samples(draw: Any) -> Any:
        return draw.layouts(lambda *s: np.asarray(draw.apart(*s) * 1.01))  # none is 3

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        if mode.recording:
            return (where((a <= -3.0) | (a >= 3.0), 0.0, g / 6.0),)
        inside = unary_with_parameters("hardtanh_backward", a.array, -3.0, 3.0, g.array)
        return (Bridge.new(inside) / 6.0,)


@op
class Hardswish(Smooth):
    """y = a hardsigmoid(a)"""

    kernel = "hardswish"
    public = ""
    samples = Hardsigmoid.samples

    @staticmethod
    def composite(a: Any) -> Any:
        return a * Hardsigmoid.apply(a)


# ---------------------------------------------------------------- activations with numbers
@op
class LeakyRelu(Op):
    """y = a where a > 0, else negative_slope a"""

    public = "functional"

    def forward(self, a: Array, negative_slope: float) -> Array:
        return unary_with_parameters("leaky_relu", a, negative_slope, 0.0)

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, slope = self.saved(0).array, self.meta["negative_slope"]
        return (Bridge.new(unary_with_parameters("leaky_relu_backward", a, slope, 0.0, g.array)),)

    @staticmethod
    def samples(draw: Any) -> Any:
        return draw.layouts(draw.apart, negative_slope=0.1)

    @staticmethod
    def composite(a: Any, negative_slope: float) -> Any:
        return where(a > 0, a, a * negative_slope)


@op
class Elu(Op):
    """y = alpha (e^a - 1) where a <= 0, else a"""

    public = "functional"

    def forward(self, a: Array, alpha: float) -> Array:
        return unary_with_parameters("elu", a, alpha, 0.0)

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, alpha = self.saved(0).array, self.meta["alpha"]
        return (Bridge.new(unary_with_parameters("elu_backward", a, alpha, 0.0, g.array)),)

    @staticmethod
    def samples(draw: Any) -> Any:
        return draw.layouts(draw.apart, alpha=1.3)

    @staticmethod
    def composite(a: Any, alpha: float) -> Any:
        low = a <= 0
        return where(low, Expm1.apply(where(low, a, 0.0)) * alpha, a)


@op
class Hardtanh(Op):
    """y = min(max(a, low), high); the derivative is 1 inside and, unlike clamp's, 0 at the
    bounds
    """

    public = "functional"

    @staticmethod
    def samples(draw: Any) -> Any:
        return draw.layouts(draw.apart, low=-0.5, high=0.7)

    def forward(self, a: Array, low: float, high: float) -> Array:
        return limited(a, low, high)

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, low, high = self.saved(0), self.meta["low"], self.meta["high"]
        if mode.recording:
            return (where((a <= low) | (a >= high), 0.0, g),)
        return (
            Bridge.new(unary_with_parameters("hardtanh_backward", a.array, low, high, g.array)),
        )
