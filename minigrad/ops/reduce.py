"""Reductions to sums, products and extremes: over all elements, one dimension, or several."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import filled
from minigrad.engine.dispatch import PARALLEL, empty, launch, sizes_around
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import LEAF, Bridge, Op
from minigrad.ops.common import Array, axes_of, contiguous, op
from minigrad.ops.index import Index
from minigrad.ops.shape import Cat, Expand, Permute, Reshape

Dim = int | Sequence[int] | None
INT64 = np.dtype(np.int64)


# Shapes come back step after step: one is looked up in 0.05 us, and made in 0.25.
@functools.lru_cache(4096)
def kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` with 1 along `axes`."""
    return tuple([1 if i in axes else n for i, n in enumerate(shape)])


@functools.lru_cache(4096)
def dropped(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` without `axes`."""
    return tuple([n for i, n in enumerate(shape) if i not in axes])


def reduced(
    kernel: str, a: Array, axes: tuple[int, ...], keepdim: bool, dtype: Any = None
) -> Array:
    """Launch a reduction into a new array."""
    y = empty(dropped(a.shape, axes), dtype or a.dtype)
    if axes:
        launch(kernel, a, axes, y)
    else:
        launch("copy", a, y)
    return y.reshape(kept(a.shape, axes)) if keepdim else y


def grouped(a: Array, axes: tuple[int, ...]) -> tuple[Array, tuple[int, ...] | None]:
    """Return `a` as contiguous (A, R, B), R over `axes`, and the order its axes were brought in."""
    if not axes:
        return a.reshape(1, 1, 1), None
    adjacent = axes[-1] - axes[0] + 1 == len(axes)
    order: tuple[int, ...] | None = None
    if not (adjacent and a.flags.c_contiguous):
        rest = tuple([i for i in range(a.ndim) if i not in axes])
        if adjacent and len(rest) < 2 and a.flags.f_contiguous:
            order = tuple(range(a.ndim - 1, -1, -1))
        else:
            order = rest + axes
        a = contiguous(a.transpose(order))
        axes = tuple(sorted(order.index(i) for i in axes))
    return a.reshape(sizes_around(a.shape, axes)), order


def launch_grouped(
    kernel: str,
    *inputs: Any,
    groups: tuple[int, ...],
    shape: tuple[int, ...],
    order: tuple[int, ...] | None,
) -> Any:
    """Launch what writes (A, R, B); return it as a tensor in the shape and order that `grouped`
    got.

    It owns its memory where it can: the sweep would copy a view before it becomes a .grad.
    """
    dtype = inputs[-1].dtype  # the elements'; numbers of groups may be float64
    y = empty(shape if order is None else groups, dtype if dtype.kind == "f" else inputs[0].dtype)
    launch(kernel, *inputs, y.reshape(groups))
    if order is not None:
        back = [order.index(i) for i in range(len(shape))]
        y = y.reshape([shape[i] for i in order]).transpose(back)
    return Bridge.new(y)


class Reduction(Op):
    """y = reduce(a, axes)"""

    keeps = False

    def ends(self) -> bool:
        """Say whether the input is a leaf."""
        return self.edges is not None and self.edges[0] is not None and self.edges[0].kind == LEAF

    def spread(self, g: Any, divisor: float | None = None) -> Any:
        """Return the output's gradient, divided, seen in the input's shape.

        Recorded, or large and on its way to another op, it is expanded without a copy; else it is
        written out: a small one because that is cheaper, a leaf's because it must be.
        """
        shape = kept(self.was, self.axes)
        if not mode.recording and (self.ends() or math.prod(self.was) < PARALLEL):
            y = empty(self.was, self.dtype)
            data = g.array
            if divisor is not None:
                data = empty(data.shape, self.dtype)
                launch("div", g.array, np.asarray(divisor, self.dtype), data)
            launch("copy", data if data.ndim == 0 else data.reshape(shape), y)
            return Bridge.new(y)
        if divisor is not None:
            g = g / divisor
        if g.array.shape != shape:
            g = Reshape.apply(g, shape=shape)
        return Expand.apply(g, shape=self.was)

    was: tuple[int, ...]
    axes: tuple[int, ...]


@op
class Sum(Reduction):
    """y = sum of a over `dim`; integers and bools sum to int64"""

    def forward(self, a: Array, dim: Dim = None, keepdim: bool = False) -> Array:
        self.was = a.shape
        self.axes = axes_of("sum", dim, a.ndim)
        return reduced("sum", a, self.axes, keepdim, None if a.dtype.kind == "f" else INT64)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (self.spread(g),)


@op
class Mean(Reduction):
    """y = sum of a over `dim` / n"""

    def forward(self, a: Array, dim: Dim = None, keepdim: bool = False) -> Array:
        if a.dtype.kind != "f":
            raise TypeError(
                f"mean: expected a floating tensor, got {a.dtype}; convert it first, e.g. "
                "x.float().mean()"
            )
        self.was = a.shape
        self.axes = axes_of("mean", dim, a.ndim)
        self.count = math.prod([a.shape[i] for i in self.axes])
        return reduced("mean", a, self.axes, keepdim)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (self.spread(g, float(self.count)),)


class Extremum(Reduction):
    """The largest or smallest over `dim`; the gradient is split evenly among ties"""

    keeps = True
    kernel = ""

    def forward(self, a: Array, dim: Dim = None, keepdim: bool = False) -> Array:
        self.was = a.shape
        self.axes = axes_of(self.kernel, dim, a.ndim)
        if 0 in [a.shape[i] for i in self.axes]:
            raise ValueError(
                f"{self.kernel}: shape {a.shape} has no elements along {self.axes}, so no extreme"
            )
        self.y = y = reduced(self.kernel, a, self.axes, keepdim)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, order = grouped(self.saved(0).array, self.axes)
        y = self.result().reshape(x.shape[0], x.shape[2])
        share = empty(y.shape, y.dtype)
        launch("tie_count", x, y, share)
        whole = filled(y.shape, 1, y.dtype) if mode.recording else contiguous(g.array)
        launch("div", whole.reshape(y.shape), share, share)
        part = launch_grouped(
            "spread_ties", share, y, x, groups=x.shape, shape=self.was, order=order
        )
        return (self.spread(g) * part if mode.recording else part,)


@op
class Amax(Extremum):
    """y = the largest of a over `dim`; ties share the gradient"""

    kernel = "max"


@op
class Amin(Extremum):
    """y = the smallest of a over `dim`; ties share the gradient"""

    kernel = "min"


@op
class Prod(Reduction):
    """y = product of a over `dim`; exact where factors are 0"""

    keeps = True

    def forward(self, a: Array, dim: int | None = None, keepdim: bool = False) -> Array:
        self.axes = axes_of("prod", dim, a.ndim)
        self.y = y = reduced("prod", a, self.axes, keepdim, None if a.dtype.kind == "f" else INT64)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        a = self.saved(0).array
        x, order = grouped(a, self.axes)
        groups = x.shape[0], x.shape[2]
        y, dy = self.result().reshape(groups), contiguous(g.array).reshape(groups)
        return (
            launch_grouped("prod_backward", dy, y, x, groups=x.shape, shape=a.shape, order=order),
        )

    @staticmethod
    def composite(a: Any, dim: int | None = None, keepdim: bool = False) -> Any:
        """Multiply halves together: no division, so a zero factor needs no case of its own."""
        axes = axes_of("prod", dim, a.ndim)
        shape = (
            kept(a.shape, axes)
            if keepdim
            else tuple(n for i, n in enumerate(a.shape) if i not in axes)
        )
        order = (*(i for i in range(a.ndim) if i not in axes), *axes)
        n = math.prod(a.shape[i] for i in axes)
        if not n:  # 1, whatever a would be
            none = Reshape.apply(Sum.apply(a, dim=axes), shape=shape)
            return none + Bridge.new(filled((), 1, a.array.dtype, a.array))
        x = Reshape.apply(
            Permute.apply(a, axes=order), shape=(a.array.size // n if n else a.array.size, n)
        )
        while n > 1:
            half = n // 2
            pair = Index.apply(x, index=(slice(None), slice(0, half))) * Index.apply(
                x, index=(slice(None), slice(half, 2 * half))
            )
            x = (
                Cat.apply(pair, Index.apply(x, index=(slice(None), slice(2 * half, n))), axis=1)
                if n % 2
                else pair
            )
            n = half + n % 2
        return Reshape.apply(x, shape=shape)


@op
class CumSum(Op):
    """y_i = a_0 + ... + a_i along `axis`"""

    keeps = False

    def forward(self, a: Array, axis: int, backwards: bool = False) -> Array:
        y = empty(a.shape, a.dtype if a.dtype.kind == "f" else INT64)
        launch("cumsum", a, axis, backwards, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        backwards = not self.meta.get("backwards", False)
        return (CumSum.apply(g, axis=self.meta["axis"], backwards=backwards),)


def reduce_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` down to the `shape` that was broadcast to its own: the engine's unbroadcast."""
    given = g.array.shape
    lead = len(given) - len(shape)
    axes = tuple(
        i for i in range(len(given)) if i < lead or (shape[i - lead] == 1 and given[i] != 1)
    )
    total = Sum.apply(g, dim=axes)
    return total if total.array.shape == shape else Reshape.apply(total, shape=shape)
