"""Powers of two and logarithms: of other bases, of sums, of odds."""

from __future__ import annotations

import math
from typing import Any

from minigrad.ops.common import op
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
