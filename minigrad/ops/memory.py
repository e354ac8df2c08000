"""Ops that copy, convert or rename memory."""

from __future__ import annotations

from typing import Any

from minigrad.backend import empty, launch
from minigrad.dtypes import numpy_dtype
from minigrad.ops.common import Array, converted, op
from minigrad.tape import Bridge, Op


@op
class Cast(Op):
    """y = a in another dtype; differentiable between floating dtypes"""

    keeps = False

    def forward(self, a: Array, dtype: Any) -> Array:
        y = empty(a.shape, numpy_dtype(dtype))
        launch("copy", a, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g,)


@op
class Clone(Op):
    """y = a, in memory of its own"""

    keeps = False

    def forward(self, a: Array) -> Array:
        y = empty(a.shape, a.dtype)
        launch("copy", a, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g,)


@op
class Identity(Op):
    """y = a, the same memory under another node: one slot of a composite"""

    keeps = False

    def forward(self, a: Array) -> Array:
        return a

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (g,)


def cast(input: Any, dtype: Any) -> Any:
    """Return `input` in `dtype`, itself where it has it already; only a cast to a float is
    differentiable.
    """
    wanted = numpy_dtype(dtype)
    if input.data.dtype == wanted:
        return input
    if wanted.kind != "f":
        return Bridge.new(converted(input.data, wanted))
    return Cast.apply(input, dtype=wanted)
