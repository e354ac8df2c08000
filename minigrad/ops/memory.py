"""Ops that copy, convert or rename memory."""

from __future__ import annotations

from typing import Any

from minigrad.engine.device import device_of, moved, target_of
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.dtypes import numpy_dtype
from minigrad.engine.op import Bridge, Op
from minigrad.ops.common import Array, converted, op


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


@op
class Move(Op):
    """y = a, on another device; the gradient comes back to where a is"""

    keeps = False

    def forward(self, a: Array, device: Any, wait: bool = True) -> Array:
        self.home = device_of(a)
        return moved(a, device, wait)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (Move.apply(g, device=self.home),)


def transferred(input: Any, device: Any, wait: bool = True) -> Any:
    """Return `input` on a device, itself where it is there; wait: for the copy to end."""
    if device.target() is target_of((input.array,)):
        return input
    return Move.apply(input, device=device, wait=wait)


def cast(input: Any, dtype: Any) -> Any:
    """Return `input` in `dtype`, itself where it has it already; only a cast to a float is
    differentiable.
    """
    wanted = numpy_dtype(dtype)
    if input.array.dtype == wanted:
        return input
    if wanted.kind != "f":
        return Bridge.new(converted(input.array, wanted))
    return Cast.apply(input, dtype=wanted)
