"""Reductions: over all elements, one dimension, or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.backend import PARALLEL, empty, launch
from minigrad.modes import mode
from minigrad.ops.common import Array, axes_of, axis_of, floating, op
from minigrad.ops.elementwise import where
from minigrad.ops.index import Index, gather
from minigrad.ops.shape import Cat, Expand, Flip, Permute, Reshape
from minigrad.sweep import through_composite
from minigrad.tape import Bridge, Op

Dim = int | Sequence[int] | None
INT64 = np.dtype(np.int64)


def kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` with 1 along `axes`."""
    return tuple([1 if i in axes else n for i, n in enumerate(shape)])


def reduced(
    kernel: str, a: Array, axes: tuple[int, ...], keepdim: bool, dtype: Any = None
) -> Array:
    """Launch a reduction into a new array."""
    dtype = dtype or a.dtype
    if len(axes) == a.ndim:
        y = empty((), dtype)
    else:
        y = empty(tuple([n for i, n in enumerate(a.shape) if i not in axes]), dtype)
    if axes:
        launch(kernel, a, axes, y)
    else:
        launch("copy", a, y)
    return y.reshape(kept(a.shape, axes)) if keepdim else y


class Reduction(Op):
    """y = reduce(a, axes)"""

    keeps = False

    def spread(self, g: Any, divisor: float | None = None) -> Any:
        """Return the output's gradient, divided, seen in the input's shape.

        Recorded, or large, it is expanded without a copy; else it is written out, which is cheaper.
        """
        shape = kept(self.was, self.axes)
        if not mode.recording and math.prod(self.was) < PARALLEL:
            y = empty(self.was, self.dtype)
            data = g.data if g.data.ndim == 0 else g.data.reshape(shape)
            if divisor is None:
                launch("copy", data, y)
            else:
                launch("div", data, np.asarray(divisor, self.dtype), y)
            return Bridge.new(y)
        if divisor is not None:
            g = g / divisor
        if g.data.shape != shape:
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
        y = reduced("sum", a, self.axes, keepdim)
        launch("div", y, np.asarray(self.count, a.dtype), y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (self.spread(g, float(self.count)),)


class Amost(Reduction):
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
        x, y = self.saved(0).data, self.result().reshape(kept(self.was, self.axes))
        ties = (x == y) | ((x != x) & (y != y))  # NaN is the extreme where there is one
        share = ties / np.maximum(ties.sum(axis=self.axes, keepdims=True), 1)
        return (self.spread(g) * Bridge.new(share.astype(self.dtype)),)


@op
class Amax(Amost):
    """y = the largest of a over `dim`; ties share the gradient"""

    kernel = "max"


@op
class Amin(Amost):
    """y = the smallest of a over `dim`; ties share the gradient"""

    kernel = "min"


@op
class Prod(Reduction):
    """y = product of a over `dim`; exact where factors are 0"""

    keeps = True

    def forward(self, a: Array, dim: int | None = None, keepdim: bool = False) -> Array:
        self.axes = axes_of("prod", dim, a.ndim)
        return reduced("prod", a, self.axes, keepdim, None if a.dtype.kind == "f" else INT64)

    def backward(self, g: Any) -> tuple[Any, ...]:
        (part,) = through_composite(self, g)
        return (part if mode.recording or part is None else part.detach(),)

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
        x = Reshape.apply(
            Permute.apply(a, axes=order), shape=(a.data.size // n if n else a.data.size, n)
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

    def forward(self, a: Array, axis: int) -> Array:
        y = empty(a.shape, a.dtype if a.dtype.kind == "f" else INT64)
        launch("cumsum", a, axis, y)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        axis = self.meta["axis"]
        turned = Flip.apply(g, axes=(axis,))
        return (Flip.apply(CumSum.apply(turned, axis=axis), axes=(axis,)),)


# ---------------------------------------------------------------- functions
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the position of the largest element, the first among ties; not differentiable."""
    return _position("argmax", input, dim, keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the position of the smallest element, the first among ties; not differentiable."""
    return _position("argmin", input, dim, keepdim)


def _position(kernel: str, input: Any, dim: int | None, keepdim: bool) -> Any:
    a = input.data
    axis = 0 if dim is None else axis_of(kernel, dim, a.ndim)
    if dim is None or a.ndim == 0:
        a = a.reshape(-1)
    if a.shape[axis] == 0:
        raise ValueError(f"{kernel}: shape {input.data.shape} has no elements along dim {dim}")
    y = empty(a.shape[:axis] + a.shape[axis + 1 :], INT64)
    launch(kernel, a, axis, y)
    if keepdim:
        shape = (1,) * input.ndim if dim is None else kept(input.data.shape, (axis,))
        y = y.reshape(shape)
    return Bridge.new(y)


def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Return the largest element, or (values, indices) along `dim`, or the elementwise maximum with
    a tensor.

    Along a dim the gradient goes to the selected index, the first on ties; over all it is split
    among ties.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 3.0, 2.0]]).max(1)
    (tensor([3.]), tensor([1]))
    """
    return _extreme(input, dim, keepdim, Amax, argmax, "maximum")


def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Return the smallest element, or (values, indices) along `dim`, or the elementwise minimum
    with a tensor.
    """
    return _extreme(input, dim, keepdim, Amin, argmin, "minimum")


def _extreme(
    input: Any, dim: Any, keepdim: bool, over_all: Any, position: Any, pairwise: str
) -> Any:
    if dim is None:
        return over_all.apply(input)
    if hasattr(dim, "requires_grad"):
        return getattr(input, pairwise)(dim)
    if input.ndim == 0:
        return input, Bridge.new(np.zeros((), INT64))
    indices = position(input, dim, keepdim=True)
    values = gather(input, dim, indices)
    if keepdim:
        return values, indices
    shape = tuple(n for i, n in enumerate(input.shape) if i != axis_of("max", dim, input.ndim))
    return Reshape.apply(values, shape=shape), Reshape.apply(indices, shape=shape)


def var(input: Any, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Any:
    """Return the variance over `dim`, squared deviations divided by n - correction; two passes.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0, 3.0]).var()
    tensor(1.)
    """
    centred = input - Mean.apply(input, dim=dim, keepdim=True)
    axes = axes_of("var", dim, input.ndim)
    n = math.prod(input.shape[i] for i in axes)
    total = Sum.apply(centred * centred, dim=dim, keepdim=keepdim)
    return total / (float(n - correction) if n > correction else 0.0)


def std(input: Any, dim: Dim = None, *, correction: float = 1, keepdim: bool = False) -> Any:
    """Return the standard deviation over `dim`; of constants it is 0 with gradient 0."""
    return root(var(input, dim, correction=correction, keepdim=keepdim))


def root(squares: Any) -> Any:
    """Return the square root, with gradient 0 where it is 0."""
    zero = squares == 0
    if not zero.data.any():
        return squares.sqrt()
    return where(zero, 0.0, where(zero, 1.0, squares).sqrt())


def norm(input: Any, p: float | str = 2.0, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return the p-norm over `dim`: (sum |x|^p)^(1/p); p may be inf, -inf, 0 or "fro".  At 0 its
    gradient is 0.

    >>> import minigrad as mg
    >>> mg.tensor([3.0, 4.0]).norm()
    tensor(5.)
    """
    if p == "fro":
        p = 2.0
    if isinstance(p, str):
        raise ValueError(f"norm: p must be a number or 'fro', got {p!r}")
    if p == 2:
        return root(Sum.apply(input * input, dim=dim, keepdim=keepdim))
    size = input.abs()
    if p == 1:
        return Sum.apply(size, dim=dim, keepdim=keepdim)
    if p == math.inf:
        return Amax.apply(size, dim=dim, keepdim=keepdim)
    if p == -math.inf:
        return Amin.apply(size, dim=dim, keepdim=keepdim)
    zero = size == 0
    powers = where(zero, 0.0, where(zero, 1.0, size) ** p)
    total = Sum.apply(powers, dim=dim, keepdim=keepdim)
    if p == 0:
        return total
    none = total == 0
    return where(none, 0.0, where(none, 1.0, total) ** (1 / p))


def cumsum(input: Any, dim: int) -> Any:
    """Return running sums along `dim`."""
    if input.ndim == 0:
        return input.clone()
    return CumSum.apply(input, axis=axis_of("cumsum", dim, input.ndim))


def logsumexp(input: Any, dim: Dim, keepdim: bool = False) -> Any:
    """Return log(sum(exp(x))) over `dim` without overflow; an all -inf slice gives -inf.

    >>> import minigrad as mg
    >>> mg.tensor([1000.0, 0.0]).logsumexp(0)
    tensor(1000.)
    """
    a = floating(input.data)
    axes = axes_of("logsumexp", dim, a.ndim)
    peak = reduced("max", a, axes, True)
    peak = Bridge.new(np.where(np.isfinite(peak), peak, 0).astype(a.dtype))
    total = Sum.apply((input - peak).exp(), dim=dim, keepdim=True).log() + peak
    if keepdim:
        return total
    return Reshape.apply(total, shape=tuple(n for i, n in enumerate(input.shape) if i not in axes))


def any(input: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return whether any element is non-zero."""
    return Sum.apply(input != 0, dim=dim, keepdim=keepdim) > 0


def all(input: Any, dim: Dim = None, keepdim: bool = False) -> Any:
    """Return whether all elements are non-zero."""
    return Sum.apply(input == 0, dim=dim, keepdim=keepdim) == 0


def reduce_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` down to the `shape` that was broadcast to its own: the engine's unbroadcast."""
    given = g.data.shape
    lead = len(given) - len(shape)
    axes = tuple(
        i for i in range(len(given)) if i < lead or (shape[i - lead] == 1 and given[i] != 1)
    )
    total = Sum.apply(g, dim=axes)
    return total if total.data.shape == shape else Reshape.apply(total, shape=shape)
