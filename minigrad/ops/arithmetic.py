"""The four operations and the negative.

Every rule is written for operands of one shape: `forward` broadcasts by itself, and the sweep sums
each gradient back to the shape of its operand."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentTypeError
from minigrad.engine.op import Bridge, Op
from minigrad.ops.common import Array, floating, match, op
from minigrad.ops.summed_products import product_toward

BOOL = np.dtype(np.bool_)


class Binary(Op):
    """y = f(a, b), operands broadcast and promoted.

    kernel: its name, and the function's.  domains: what the operands are drawn from, see `Unary`.
    """

    kernel = ""
    domains = ("reals", "reals")
    public = "tensor"

    def forward(self, a: Array, b: Array) -> Array:
        a, b, shape, dtype = match(self.kernel, a, b)
        y = empty(shape, dtype)
        launch(self.kernel, a, b, y)
        return y


@op
class Add(Binary):
    """y = a + b"""

    keeps = False
    kernel = "add"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return g, g


@op
class Sub(Binary):
    """y = a - b"""

    keeps = False
    kernel = "sub"

    def forward(self, a: Array, b: Array) -> Array:
        if a.dtype == BOOL or b.dtype == BOOL:
            raise ArgumentTypeError(
                "sub: a bool is not subtracted: ~mask inverts one, a ^ b tells where two differ, "
                ".long() makes numbers of it"
            )
        return super().forward(a, b)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return g, (Neg.apply(g) if self.needs(1) else None)


@op
class Mul(Binary):
    """y = a * b"""

    kernel = "mul"

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (
            product_toward(self, 0, g, self.saved(1)) if self.needs(0) else None,
            product_toward(self, 1, g, self.saved(0)) if self.needs(1) else None,
        )


@op
class Div(Binary):
    """y = a / b; integers divide to float32"""

    kernel = "div"
    domains = ("reals", "positive")

    @classmethod
    def apply(cls, a: Any, b: Any) -> Any:
        if a.array.dtype.kind != "f" and b.array.dtype.kind != "f":
            a, b = Bridge.new(floating(a.array)), Bridge.new(floating(b.array))
        return super().apply(a, b)

    def backward(self, g: Any) -> tuple[Any, ...]:
        b = self.saved(1)
        return (
            g / b if self.needs(0) else None,
            # Not over b * b, which overflows or vanishes long before b does.
            -(g * ((self.saved(0) / b) / b)) if self.needs(1) else None,
        )


@op
class Neg(Op):
    """y = -a"""

    keeps = False

    def forward(self, a: Array) -> Array:
        if a.dtype is BOOL:
            raise ArgumentTypeError("neg: a bool has no sign: ~mask inverts one")
        y = empty(a.shape, a.dtype)
        launch("neg", a, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (Neg.apply(g),)
