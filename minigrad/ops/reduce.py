"""Reductions over all elements, one dimension, or several: the ops, and the functions over them.

First the sums, products and extremes, whose gradients are the output's seen in the input's shape,
or need the output; then the fused ops over groups, whose gradients need two numbers a group; then
what users call, from argmax to norm.

Shapes: a group is what is reduced to one number: the input is seen as (A, R, B), R over `dim`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import filled
from minigrad.engine.dispatch import PARALLEL, empty, launch, sizes_around
from minigrad.engine.errors import ArgumentError, ArgumentIndexError, ArgumentTypeError
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import LEAF, Bridge, Op
from minigrad.ops.common import (
    Array,
    axes_of,
    axis_of,
    contiguous,
    converted,
    floating,
    only_floating,
    op,
)
from minigrad.ops.elementwise import any_unread, where
from minigrad.ops.index import Index, gather
from minigrad.ops.results import Max, Min
from minigrad.ops.shape import Cat, Expand, Permute, Reshape
from minigrad.ops.unary import no_bools

Dim = int | Sequence[int] | None
INT64 = np.dtype(np.int64)
FLOAT64 = np.dtype(np.float64)


# ---------------------------------------------------------------- shapes and launches
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


# ---------------------------------------------------------------- sums, products, extremes
class Reduction(Op):
    """y = reduce(a, axes)"""

    keeps = False

    def ends(self) -> bool:
        """Say whether the input is a leaf."""
        return self.edges is not None and self.edges[0] is not None and self.edges[0].kind == LEAF

    def expand_gradient(self, g: Any, divisor: float | None = None) -> Any:
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
        return (self.expand_gradient(g),)


@op
class Mean(Reduction):
    """y = sum of a over `dim` / n"""

    def forward(self, a: Array, dim: Dim = None, keepdim: bool = False) -> Array:
        if a.dtype.kind != "f":
            raise ArgumentTypeError(
                f"mean: expected a floating tensor, got {a.dtype}; convert it first, e.g. "
                "x.float().mean()"
            )
        self.was = a.shape
        self.axes = axes_of("mean", dim, a.ndim)
        self.count = math.prod([a.shape[i] for i in self.axes])
        return reduced("mean", a, self.axes, keepdim)

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (self.expand_gradient(g, float(self.count)),)


class Extremum(Reduction):
    """The largest or smallest over `dim`; the gradient is split evenly among ties"""

    keeps = True
    kernel = ""

    def forward(self, a: Array, dim: Dim = None, keepdim: bool = False) -> Array:
        self.was = a.shape
        self.axes = axes_of(self.kernel, dim, a.ndim)
        if 0 in [a.shape[i] for i in self.axes]:
            raise ArgumentIndexError(
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
            "expand_ties", share, y, x, groups=x.shape, shape=self.was, order=order
        )
        return (self.expand_gradient(g) * part if mode.recording else part,)


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
        shape = (kept if keepdim else dropped)(a.shape, axes)
        order = (*(i for i in range(a.ndim) if i not in axes), *axes)
        n = math.prod(a.shape[i] for i in axes)
        if not n:  # 1, whatever a would be
            none = Reshape.apply(Sum.apply(a, dim=axes), shape=shape)
            return none + Bridge.new(filled((), 1, a.array.dtype, a.array))
        x = Reshape.apply(Permute.apply(a, axes=order), shape=(a.array.size // n, n))
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


# ---------------------------------------------------------------- fused ops over groups
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
        return y.reshape(dropped(self.was, self.axes))

    def each(self, g: Any, like: Array) -> Array:
        """Return the output's gradient as (A, B), float64."""
        return converted(contiguous(g.array).reshape(like.shape), FLOAT64)

    def expand_gradient(self, kernel: str, c: Array, m: Array) -> tuple[Any, ...]:
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
        return self.expand_gradient("expand_centred", c, self.mean)

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
        return self.expand_gradient("expand_centred", c, self.mean)

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
        return self.expand_gradient("expand_unit", self.each(g, y), y)

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
        return self.expand_gradient("expand_exp", self.each(g, y), y)

    @staticmethod
    def composite(a: Any, dim: Dim = None, keepdim: bool = False) -> Any:
        axes = axes_of("logsumexp", dim, a.array.ndim)
        if 0 in [a.array.shape[i] for i in axes]:
            return Sum.apply(a, dim=dim, keepdim=keepdim) - math.inf
        peak = Bridge.new(reduced("max", a.array, axes, True))
        total = Sum.apply((a - peak).exp(), dim=dim, keepdim=True).log() + peak
        return total if keepdim else Reshape.apply(total, shape=dropped(a.array.shape, axes))


@op
class ExtremumWithIndex(Op):
    """y = the largest of a along `axis`, or for sign -1 the smallest; `indices` gets where.

    The gradient goes to the element at that position, the first among ties.
    """

    def forward(self, a: Array, axis: int, sign: int, indices: Array) -> Array:
        self.was = a.shape
        x, self.order = grouped(a, (axis,))
        self.sizes = x.shape
        y = empty(indices.shape, a.dtype)
        groups = (x.shape[0], x.shape[2])
        self.indices = empty(groups, INT64)
        launch("extreme", x, sign, y.reshape(groups), self.indices)
        # The caller may write to his own.
        launch("copy", self.indices.reshape(indices.shape), indices)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        dy = contiguous(g.array).reshape(self.indices.shape)
        how = {"groups": self.sizes, "shape": self.was, "order": self.order}
        return (launch_grouped("extreme_backward", dy, self.indices, **how),)

    @staticmethod
    def composite(a: Any, axis: int, sign: int, indices: Array) -> Any:
        picked = empty(indices.shape, INT64, a.array)
        launch("argmax" if sign > 0 else "argmin", a.array, axis, picked)
        y = gather(a, axis, Bridge.new(np.expand_dims(picked, axis)))
        return Reshape.apply(y, shape=indices.shape)


def root(squares: Any) -> Any:
    """Return the square root, with gradient 0 where it is 0."""
    zero = squares == 0
    if not any_unread(zero.array):
        return squares.sqrt()
    return where(zero, 0.0, where(zero, 1.0, squares).sqrt())


# ---------------------------------------------------------------- functions
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the position of the largest element, the first among ties; not differentiable."""
    no_bools("argmax", input.array)
    return _position("argmax", input, dim, keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the position of the smallest element, the first among ties; not differentiable."""
    no_bools("argmin", input.array)
    return _position("argmin", input, dim, keepdim)


def _position(kernel: str, input: Any, dim: int | None, keepdim: bool) -> Any:
    """Return the index of the extremum along a dimension, or in all elements for None."""
    a = input.array
    axis = 0 if dim is None else axis_of(kernel, dim, a.ndim)
    if dim is None or a.ndim == 0:
        a = a.reshape(-1)
    if a.shape[axis] == 0:
        raise ArgumentError(f"{kernel}: shape {input.array.shape} has no elements along dim {dim}")
    y = empty(a.shape[:axis] + a.shape[axis + 1 :], INT64, a)
    launch(kernel, a, axis, y)
    if keepdim:
        shape = (1,) * input.ndim if dim is None else kept(input.array.shape, (axis,))
        y = y.reshape(shape)
    return Bridge.new(y)


def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Return the largest element, or (values, indices) along `dim`, or the elementwise maximum with
    a tensor.

    Along a dim the gradient goes to the selected index, the first on ties; over all it is split
    among ties.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 3.0, 2.0]]).max(1).indices
    tensor([1])
    """
    return _extremum(input, dim, keepdim, Amax, "argmax", "maximum")


def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Return the smallest element, or (values, indices) along `dim`, or the elementwise minimum
    with a tensor.
    """
    return _extremum(input, dim, keepdim, Amin, "argmin", "minimum")


def _extremum(
    input: Any, dim: Any, keepdim: bool, over_all: Any, position: str, pairwise: str
) -> Any:
    """Return max or min: of all elements, along a dimension with indices, or of two tensors."""
    if dim is None:
        return over_all.apply(input)
    if hasattr(dim, "requires_grad"):
        return getattr(input, pairwise)(dim)
    axis = axis_of(pairwise, dim, input.ndim)
    result = Max if pairwise == "maximum" else Min
    if input.ndim == 0:
        return result(input, Bridge.new(filled((), 0, INT64, input.array)))
    shape = dropped(input.array.shape, (axis,))
    if input.array.dtype.kind == "f" and input.array.shape[axis]:
        indices = empty(shape, INT64, input.array)
        sign = 1 if pairwise == "maximum" else -1
        values = ExtremumWithIndex.apply(input, axis=axis, sign=sign, indices=indices)
        if keepdim:
            wide = kept(input.array.shape, (axis,))
            return result(Reshape.apply(values, shape=wide), Bridge.new(indices.reshape(wide)))
        return result(values, Bridge.new(indices))
    indices = _position(position, input, dim, keepdim=True)
    values = gather(input, dim, indices)
    if keepdim:
        return result(values, indices)
    return result(Reshape.apply(values, shape=shape), Reshape.apply(indices, shape=shape))


def var(
    input: Any,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = 1,
) -> Any:
    """Return the variance over `dim`, squared deviations divided by n - correction; two passes.

    unbiased: True is correction 1, False correction 0; as in PyTorch it may stand in place of dim.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0, 3.0]).var()
    tensor(1.)
    """
    return _variance("var", Variance, input, dim, unbiased, keepdim, correction)


def std(
    input: Any,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = 1,
) -> Any:
    """Return the standard deviation over `dim`, see `var`; of constants it is 0 with gradient 0."""
    return _variance("std", Deviation, input, dim, unbiased, keepdim, correction)


def _variance(
    name: str,
    op: Any,
    input: Any,
    dim: Dim,
    unbiased: bool | None,
    keepdim: bool,
    correction: float | None,
) -> Any:
    """Return var or std over dimensions, divided by their elements less the correction."""
    if isinstance(dim, bool | np.bool_) and unbiased is None:
        dim, unbiased = None, dim
    if correction is None:
        correction = 1
    if unbiased is not None:
        if correction != 1:
            raise ArgumentError(f"{name}: give unbiased or correction, not both")
        correction = 1 if unbiased else 0
    if input.array.dtype.kind != "f":
        input = input - Mean.apply(input, dim=dim, keepdim=True)  # which says what to do
    return op.apply(input, dim=dim, correction=correction, keepdim=keepdim)


def norm(input: Any, p: float | str = 2.0, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return the p-norm over `dim`: (sum |x|^p)^(1/p); p may be inf, -inf, 0 or "fro".  At 0 its
    gradient is 0.

    >>> import minigrad as mg
    >>> mg.tensor([3.0, 4.0]).norm()
    tensor(5.)
    """
    if not isinstance(p, str):
        p = float(p)
    if p == "fro":
        p = 2.0
    if isinstance(p, str):
        raise ArgumentError(f"norm: p must be a number or 'fro', got {p!r}")
    only_floating("norm", input.array)
    if p == 2:
        return Norm.apply(input, dim=dim, keepdim=keepdim)
    size = input.abs()
    if p == 1:
        return Sum.apply(size, dim=dim, keepdim=keepdim)
    if p == math.inf:
        return Amax.apply(size, dim=dim, keepdim=keepdim)
    if p == -math.inf:
        return Amin.apply(size, dim=dim, keepdim=keepdim)
    if p == 0:
        return Sum.apply(
            where(size == 0, 0.0, where(size == 0, 1.0, size) ** p), dim=dim, keepdim=keepdim
        )
    # Shares of the largest: no power overflows, nor do all vanish.
    axes = axes_of("norm", dim, input.array.ndim)
    top = scale_of(input, axes)
    size = size / top
    zero = size == 0
    powers = where(zero, 0.0, where(zero, 1.0, size) ** p)
    total = Sum.apply(powers, dim=dim, keepdim=True)
    none = total == 0
    y = where(none, 0.0, where(none, 1.0, total) ** (1 / p)) * top
    return y if keepdim else Reshape.apply(y, shape=dropped(input.array.shape, axes))


def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return running sums along `dim`, of the input in `dtype` if that is given."""
    x = input if dtype is None else input.to(dtype)
    axis = axis_of("cumsum", dim, x.ndim)
    y = CumSum.apply(x, axis=axis) if x.ndim else x.sum()
    return y if dtype is None else y.to(dtype)


def logsumexp(input: Any, dim: Dim, keepdim: bool = False) -> Any:
    """Return log(sum(exp(x))) over `dim` without overflow; an all -inf slice gives -inf.

    >>> import minigrad as mg
    >>> mg.tensor([1000.0, 0.0]).logsumexp(0)
    tensor(1000.)
    """
    return LogSumExp.apply(input, dim=dim, keepdim=keepdim)


def any(input: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return whether any element is non-zero: as bool, of uint8 as uint8, as PyTorch has it."""
    return _truth(input, Sum.apply(input != 0, dim=dim, keepdim=keepdim) > 0)


def all(input: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return whether all elements are non-zero: as bool, of uint8 as uint8, as PyTorch has it."""
    return _truth(input, Sum.apply(input == 0, dim=dim, keepdim=keepdim) == 0)


def _truth(input: Any, found: Any) -> Any:
    """Return a truth in the input's type where that is uint8, as PyTorch does."""
    return found.type_as(input) if input.array.dtype == np.uint8 else found
