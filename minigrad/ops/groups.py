"""Fused ops over groups: variance, norm, logsumexp, and extremes with their positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.device import filled
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.op import Bridge, Op
from minigrad.ops.common import Array, axes_of, contiguous, converted, floating, op
from minigrad.ops.elementwise import any_unread, where
from minigrad.ops.index import gather
from minigrad.ops.reduce import (
    INT64,
    Dim,
    Mean,
    Sum,
    dropped,
    grouped,
    kept,
    launch_grouped,
    reduced,
)
from minigrad.ops.shape import Reshape

FLOAT64 = np.dtype(np.float64)


class OverGroups(Op):
    """y = one number a group along `dim`; the gradient needs x and two numbers a group, which are
    kept in float64
    """

    was: tuple[int, ...]
    axes: tuple[int, ...]
    order: tuple[int, ...] | None

    def open(self, name: str, a: Array, dim: Dim) -> tuple[Array, Array]:
        """Return x as (A, R, B) and a new y: (A, B), float64."""
        self.was, self.axes = a.shape, axes_of(name, dim, a.ndim)
        self.x, self.order = grouped(a, self.axes)
        outer, _, inner = self.x.shape
        return self.x, empty((outer, inner), FLOAT64)

    def close(self, y: Array, keepdim: bool) -> Array:
        """Return y in the output's shape and the input's dtype."""
        y = converted(y, self.x.dtype)
        if keepdim:
            return y.reshape(kept(self.was, self.axes))
        return y.reshape(tuple([n for i, n in enumerate(self.was) if i not in self.axes]))

    def each(self, g: Any, like: Array) -> Array:
        """Return the output's gradient as (A, B), float64."""
        return converted(contiguous(g.array).reshape(like.shape), FLOAT64)

    def spread(self, kernel: str, c: Array, m: Array) -> tuple[Any, ...]:
        """Launch the gradient from the numbers c and m of each group."""
        self.saved(0)
        x = self.x
        return (launch_grouped(kernel, c, m, x, groups=x.shape, shape=self.was, order=self.order),)


def divisor_of(n: int, correction: float) -> float:
    """Return what squared deviations of n numbers are divided by: 0 where that is none of them."""
    return float(n - correction) if n > correction else 0.0


@op
class Variance(OverGroups):
    """y = sum (a - mean)^2 / (n - correction) over `dim`"""

    root = False

    def forward(
        self, a: Array, dim: Dim = None, correction: float = 1, keepdim: bool = False
    ) -> Array:
        x, y = self.open("var", a, dim)
        self.divisor = divisor_of(x.shape[1], correction)
        self.mean, self.y = empty(y.shape, FLOAT64), y
        launch("variance", x, self.divisor, int(self.root), self.mean, y)
        return self.close(y, keepdim)

    def backward(self, g: Any) -> tuple[Any, ...]:
        c = empty(self.mean.shape, FLOAT64)
        launch("div", self.each(g, c), np.asarray(self.divisor), c)
        launch("add", c, c, c)
        return self.spread("spread_centred", c, self.mean)

    @staticmethod
    def composite(a: Any, dim: Dim = None, correction: float = 1, keepdim: bool = False) -> Any:
        centred = a - Mean.apply(a, dim=dim, keepdim=True)
        n = math.prod([a.array.shape[i] for i in axes_of("var", dim, a.array.ndim)])
        return Sum.apply(centred * centred, dim=dim, keepdim=keepdim) / divisor_of(n, correction)


@op
class Deviation(Variance):
    """y = sqrt(sum (a - mean)^2 / (n - correction)) over `dim`; of constants it is 0 with gradient
    0

    In float64, where y is infinite the gradient is 0, and where it is subnormal it may overflow.
    """

    root = True

    def backward(self, g: Any) -> tuple[Any, ...]:
        c, y = empty(self.mean.shape, FLOAT64), self.result()
        launch("div", self.each(g, c), np.asarray(self.divisor), c)
        flat = empty(y.shape, np.dtype(np.bool_))
        launch("eq", y, np.asarray(0.0), flat)
        launch("div", c, y, c)
        launch("where", flat, np.asarray(0.0), c, c)
        return self.spread("spread_centred", c, self.mean)

    @staticmethod
    def composite(a: Any, dim: Dim = None, correction: float = 1, keepdim: bool = False) -> Any:
        centred = a - Mean.apply(a, dim=dim, keepdim=True)
        n = math.prod([a.array.shape[i] for i in axes_of("std", dim, a.array.ndim)])
        divisor = math.sqrt(divisor_of(n, correction))
        if not divisor:  # NaN with NaN gradients, which the norm's 0 at 0 would hide
            return Sum.apply(centred * centred, dim=dim, keepdim=keepdim) / divisor
        return Norm.composite(centred, dim, keepdim) / divisor


@op
class Norm(OverGroups):
    """y = sqrt(sum a^2) over `dim`; the gradient a / y is 0 where y is

    No square overflows or vanishes: y is right over the whole range of the dtype.  Where a float64
    y is infinite all the same, its gradient is 0.
    """

    def forward(self, a: Array, dim: Dim = None, keepdim: bool = False) -> Array:
        x, y = self.open("norm", a, dim)
        launch("norm", x, y)
        self.y = y
        return self.close(y, keepdim)

    def backward(self, g: Any) -> tuple[Any, ...]:
        y = self.result()
        return self.spread("spread_unit", self.each(g, y), y)

    @staticmethod
    def composite(a: Any, dim: Dim = None, keepdim: bool = False) -> Any:
        top = scale_of(a, axes_of("norm", dim, a.array.ndim))
        share = a / top
        y = root(Sum.apply(share * share, dim=dim, keepdim=True)) * top
        if keepdim:
            return y
        axes = axes_of("norm", dim, a.array.ndim)
        return Reshape.apply(y, shape=dropped(a.array.shape, axes))


def scale_of(a: Any, axes: tuple[int, ...]) -> Any:
    """Return the largest |a| over the axes, a constant for the gradient; 1 where that is 0 or
    infinite, or there is none.
    """
    x = a.array
    if not x.size:
        return Bridge.new(filled(kept(x.shape, axes), 1, x.dtype))
    size = empty(x.shape, x.dtype, x)
    launch("abs", x, size)
    top = Bridge.new(reduced("max", size, axes, True))
    return where((top > 0) & (top < math.inf), top, 1.0)


@op
class LogSumExp(OverGroups):
    """y = log sum exp(a) over `dim`"""

    def forward(self, a: Array, dim: Dim = None, keepdim: bool = False) -> Array:
        x, y = self.open("logsumexp", floating(a), dim)
        if x.shape[2] == 1:
            launch("logsumexp", x.reshape(x.shape[:2]), y.reshape(-1))
        else:
            rows = contiguous(x.transpose(0, 2, 1)).reshape(y.size, x.shape[1])
            launch("logsumexp", rows, y.reshape(-1))
        self.y = y
        return self.close(y, keepdim)

    def backward(self, g: Any) -> tuple[Any, ...]:
        y = self.result()
        return self.spread("spread_exp", self.each(g, y), y)

    @staticmethod
    def composite(a: Any, dim: Dim = None, keepdim: bool = False) -> Any:
        axes = axes_of("logsumexp", dim, a.array.ndim)
        if 0 in [a.array.shape[i] for i in axes]:
            return Sum.apply(a, dim=dim, keepdim=keepdim) - math.inf
        peak = Bridge.new(reduced("max", a.array, axes, True))
        total = Sum.apply((a - peak).exp(), dim=dim, keepdim=True).log() + peak
        shape = tuple([n for i, n in enumerate(a.array.shape) if i not in axes])
        return total if keepdim else Reshape.apply(total, shape=shape)


@op
class ExtremumWithIndex(Op):
    """y = the largest of a along `axis`, or for sign -1 the smallest; `at` is filled with positions

    The gradient goes to the element at that position, the first among ties.
    """

    def forward(self, a: Array, axis: int, sign: int, at: Array) -> Array:
        self.was = a.shape
        x, self.order = grouped(a, (axis,))
        self.sizes = x.shape
        y = empty(at.shape, a.dtype)
        groups = (x.shape[0], x.shape[2])
        self.at = empty(groups, INT64)
        launch("extreme", x, sign, y.reshape(groups), self.at)
        launch("copy", self.at.reshape(at.shape), at)  # the caller may write to his own
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        dy = contiguous(g.array).reshape(self.at.shape)
        how = {"groups": self.sizes, "shape": self.was, "order": self.order}
        return (launch_grouped("extreme_backward", dy, self.at, **how),)

    @staticmethod
    def composite(a: Any, axis: int, sign: int, at: Array) -> Any:
        picked = empty(at.shape, INT64, a.array)
        launch("argmax" if sign > 0 else "argmin", a.array, axis, picked)
        y = gather(a, axis, Bridge.new(np.expand_dims(picked, axis)))
        return Reshape.apply(y, shape=at.shape)


def root(squares: Any) -> Any:
    """Return the square root, with gradient 0 where it is 0."""
    zero = squares == 0
    if not any_unread(zero.array):
        return squares.sqrt()
    return where(zero, 0.0, where(zero, 1.0, squares).sqrt())
