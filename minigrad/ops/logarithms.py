"""Powers of two, and logarithms of other bases, of sums and of odds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.dispatch import empty, launch
from minigrad.engine.op import Op
from minigrad.ops.common import Array, floating, op
from minigrad.ops.elementwise import limited, where
from minigrad.ops.registry import public
from minigrad.ops.trigonometry import FloatBinary
from minigrad.ops.unary import FromOutput, Unary

LN_2, LN_10 = math.log(2), math.log(10)


@op
class Exp2(FromOutput):
    """y = 2^a"""

    kernel = "exp2"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g * self.output() * LN_2,)


@op
class Log2(Unary):
    """y = the logarithm of a to base 2; -inf at 0"""

    kernel = "log2"
    domain = "positive"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g / (self.saved(0) * LN_2),)


@op
class Log10(Unary):
    """y = the logarithm of a to base 10; -inf at 0"""

    kernel = "log10"
    domain = "positive"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g / (self.saved(0) * LN_10),)


@op
class Logaddexp(FloatBinary):
    """y = log(e^a + e^b), without overflow"""

    kernel = "logaddexp"
    numbers = False

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved(0), self.saved(1)
        return (
            g * (a - b).sigmoid() if self.needs(0) else None,
            g * (b - a).sigmoid() if self.needs(1) else None,
        )


@op
class Logaddexp2(FloatBinary):
    """y = the logarithm of 2^a + 2^b to base 2, without overflow"""

    kernel = "logaddexp2"
    numbers = False

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b = self.saved(0), self.saved(1)
        return (
            g * ((a - b) * LN_2).sigmoid() if self.needs(0) else None,
            g * ((b - a) * LN_2).sigmoid() if self.needs(1) else None,
        )


@op
class Logit(Op):
    """y = log(a / (1 - a)); where eps is given, of a limited to [eps, 1 - eps]

    The gradient is NaN beyond 0 and 1, and 0 beyond the limits.
    """

    @staticmethod
    def samples(draw: Any) -> Any:
        return draw.layouts(draw.unit) + draw.layouts(draw.unit, eps=0.1)[3:]

    def forward(self, input: Array, eps: float | None = None) -> Array:
        a = floating(input)
        if eps is not None:
            a = limited(a, eps, 1 - eps)
        y = empty(a.shape, a.dtype, a)
        launch("sub", np.asarray(1, a.dtype), a, y)
        launch("div", a, y, y)
        launch("log", y, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, eps = self.saved(0), self.meta.get("eps")
        low, beyond = (0.0, math.nan) if eps is None else (eps, 0.0)
        inside = (a >= low) & (a <= 1.0 - low)
        a = where(inside, a, 0.5)  # no infinity there that the second derivative would meet
        return (where(inside, g / (a * (1.0 - a)), beyond),)


@public("tensor", inplace=True)
def logit(input: Any, eps: float | None = None) -> Any:
    """Return log(x / (1 - x)); where eps is given, of x limited to [eps, 1 - eps].

    >>> import minigrad as mg
    >>> logit(mg.tensor([0.5, 0.75]))
    tensor([0.0000, 1.0986])
    """
    return Logit.apply(input, eps=eps)
