"""Functions that are constant between jumps, what is left of them, and tests of single elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.device import filled
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentTypeError
from minigrad.engine.op import Bridge, Op
from minigrad.ops.arithmetic import BOOL
from minigrad.ops.common import Array, only_floating, op
from minigrad.ops.elementwise import unary_with_parameters, where
from minigrad.ops.registry import public
from minigrad.ops.unary import Unary, no_bools, sign

INFINITE = math.inf


class Step(Unary):
    """A function whose gradient is 0 wherever it has one; integers are themselves"""

    keeps = False

    @classmethod
    def of_integers(cls, a: Any) -> Any:
        no_bools(cls.kernel, a.array)
        return a.clone()

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (zeros_like(g),)


def zeros_like(g: Any) -> Any:
    """Return zeros in the shape of a gradient."""
    return Bridge.new(filled(g.array.shape, 0, g.array.dtype, g.array))


@op
class Floor(Step):
    """y = the largest whole number not above a"""

    kernel = "floor"


@op
class Ceil(Step):
    """y = the smallest whole number not below a"""

    kernel = "ceil"


@op
class Trunc(Step):
    """y = the whole part of a, towards 0"""

    kernel = "trunc"
    also = ("fix",)


@op
class Rint(Step):
    """y = the nearest whole number, the even one of two"""

    kernel = "rint"
    public = ""  # round


@op
class Sign(Step):
    """y = -1, 0 or 1; 0 for NaN"""

    kernel = "sign"
    also = ("sgn",)

    @classmethod
    def of_integers(cls, a: Any) -> Any:
        return sign(a)


@public("tensor", inplace=True)
def round(input: Any, *, decimals: int = 0) -> Any:
    """Return the nearest number of so many decimals, of two the one with an even last digit.

    decimals: negative for tens, hundreds, ...  The gradient is 0.

    >>> import minigrad as mg
    >>> round(mg.tensor([0.5, 1.5, -2.7])), round(mg.tensor([3.14159]), decimals=2)
    (tensor([ 0.,  2., -3.]), tensor([3.1400]))
    """
    if not decimals:
        return Rint.apply(input)
    only_floating("round with decimals", input.array)
    unit = 10.0 ** abs(decimals)
    if decimals > 0:
        return Rint.apply(input * unit) / unit
    return Rint.apply(input / unit) * unit


@public("tensor", inplace=True)
def frac(input: Any) -> Any:
    """Return what is left of the whole part, in the sign of the input.

    >>> import minigrad as mg
    >>> frac(mg.tensor([1.5, -2.25]))
    tensor([ 0.5000, -0.2500])
    """
    only_floating("frac", input.array)
    return input - Trunc.apply(input)


@public("tensor")
def positive(input: Any) -> Any:
    """Return the tensor itself, as +x does.

    Raises: TypeError for bools.
    """
    no_bools("positive", input.array)
    return input


@public("tensor", inplace=True)
def heaviside(input: Any, values: Any) -> Any:
    """Return 0 for negative elements, 1 for positive ones, `values` where they are 0.

    NaN stays NaN, as in NumPy, where PyTorch gives 0.

    >>> import minigrad as mg
    >>> heaviside(mg.tensor([-1.5, 0.0, 2.0]), mg.tensor([0.5]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    dtype = input.array.dtype
    if dtype != values.array.dtype:
        raise ArgumentTypeError(
            f"heaviside: expected two tensors of one dtype, got {dtype} and "
            f"{values.array.dtype}; convert one of them"
        )
    step = (input > 0).to(dtype)
    if dtype.kind == "f":
        step = where(input != input, math.nan, step)
    return where(input == 0, values, step)


# ---------------------------------------------------------------- tests of elements
@public("tensor")
def isinf(input: Any) -> Any:
    """Return where elements are infinite, of either sign.

    >>> import minigrad as mg
    >>> isinf(mg.tensor([1.0, -float("inf")]))
    tensor([False,  True])
    """
    return none_of(input) if input.array.dtype.kind != "f" else input.abs() == INFINITE


@public("tensor")
def isposinf(input: Any) -> Any:
    """Return where elements are +inf."""
    return none_of(input) if input.array.dtype.kind != "f" else input == INFINITE


@public("tensor")
def isneginf(input: Any) -> Any:
    """Return where elements are -inf."""
    return none_of(input) if input.array.dtype.kind != "f" else input == -INFINITE


@public("tensor")
def isreal(input: Any) -> Any:
    """Return True for each element: no tensor here is complex."""
    return Bridge.new(filled(input.array.shape, True, BOOL, input.array))


@public("tensor")
def signbit(input: Any) -> Any:
    """Return where elements have a minus sign, -0.0 too.

    >>> import minigrad as mg
    >>> signbit(mg.tensor([-1.0, -0.0, 0.0]))
    tensor([ True,  True, False])
    """
    a = input.array
    if a.dtype.kind != "f":
        return none_of(input) if a.dtype == BOOL else input < 0
    one = filled((), 1, a.dtype, a)
    y = empty(a.shape, a.dtype, a)
    launch("copysign", one, a, y)
    return Bridge.new(y) < 0


def none_of(input: Any) -> Any:
    """Return False for each element."""
    return Bridge.new(filled(input.array.shape, False, BOOL, input.array))


@op
class NanToNum(Op):
    """y = a, 0 where that is NaN, and numbers for the infinities, whose gradient is 0 too"""

    def forward(self, a: Array, most: float, least: float) -> Array:
        return unary_with_parameters("nan_to_num", a, most, least)

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0)
        return (where(Bridge.new(a.array) - Bridge.new(a.array) == 0, g, 0.0),)

    @staticmethod
    def samples(draw: Any) -> Any:
        return draw.layouts(draw.normal, most=2.0, least=-3.0)


@public("tensor", inplace=True)
def nan_to_num(
    input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """Return finite numbers: NaN becomes `nan`, or 0; the infinities become `posinf` and `neginf`,
    or the dtype's largest and smallest number.  Replaced elements have gradient 0.

    >>> import minigrad as mg
    >>> nan_to_num(mg.tensor([float("nan"), float("inf"), 1.0]), posinf=9.0)
    tensor([0., 9., 1.])
    """
    dtype = input.array.dtype
    if dtype.kind != "f":
        return input.clone()
    most = float(np.finfo(dtype).max)
    ends = most if posinf is None else posinf, -most if neginf is None else neginf
    y = NanToNum.apply(input, most=ends[0], least=ends[1])
    return where(input != input, nan, y) if nan else y
