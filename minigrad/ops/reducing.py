"""Reductions as functions: argmax and max to norm, and what is put together from the ops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.device import filled
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.op import Bridge
from minigrad.ops.common import axes_of, axis_of, only_floating
from minigrad.ops.elementwise import where
from minigrad.ops.groups import Deviation, ExtremumWithIndex, LogSumExp, Norm, Variance, scale_of
from minigrad.ops.index import gather
from minigrad.ops.reduce import INT64, Amax, Amin, CumSum, Dim, Mean, Sum, dropped, kept
from minigrad.ops.shape import Reshape
from minigrad.ops.unary import no_bools


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the position of the largest element, the first among ties; not differentiable."""
    no_bools("argmax", input.array)
    return _position("argmax", input, dim, keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the position of the smallest element, the first among ties; not differentiable."""
    no_bools("argmin", input.array)
    return _position("argmin", input, dim, keepdim)


def _position(kernel: str, input: Any, dim: int | None, keepdim: bool) -> Any:
    a = input.array
    axis = 0 if dim is None else axis_of(kernel, dim, a.ndim)
    if dim is None or a.ndim == 0:
        a = a.reshape(-1)
    if a.shape[axis] == 0:
        raise ValueError(f"{kernel}: shape {input.array.shape} has no elements along dim {dim}")
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
    >>> mg.tensor([[1.0, 3.0, 2.0]]).max(1)
    (tensor([3.]), tensor([1]))
    """
    return _extreme(input, dim, keepdim, Amax, "argmax", "maximum")


def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Return the smallest element, or (values, indices) along `dim`, or the elementwise minimum
    with a tensor.
    """
    return _extreme(input, dim, keepdim, Amin, "argmin", "minimum")


def _extreme(
    input: Any, dim: Any, keepdim: bool, over_all: Any, position: str, pairwise: str
) -> Any:
    if dim is None:
        return over_all.apply(input)
    if hasattr(dim, "requires_grad"):
        return getattr(input, pairwise)(dim)
    axis = axis_of(pairwise, dim, input.ndim)
    if input.ndim == 0:
        return input, Bridge.new(filled((), 0, INT64, input.array))
    shape = tuple(n for i, n in enumerate(input.shape) if i != axis)
    if input.array.dtype.kind == "f" and input.array.shape[axis]:
        at = empty(shape, INT64, input.array)
        sign = 1 if pairwise == "maximum" else -1
        values, indices = (
            ExtremumWithIndex.apply(input, axis=axis, sign=sign, at=at),
            Bridge.new(at),
        )
        if keepdim:
            wide = kept(input.array.shape, (axis,))
            return Reshape.apply(values, shape=wide), Bridge.new(at.reshape(wide))
        return values, indices
    indices = _position(position, input, dim, keepdim=True)
    values = gather(input, dim, indices)
    if keepdim:
        return values, indices
    return Reshape.apply(values, shape=shape), Reshape.apply(indices, shape=shape)


def var(
    input: Any,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float = 1,
) -> Any:
    """Return the variance over `dim`, squared deviations divided by n - correction; two passes.

    unbiased: True is correction 1, False correction 0; as in PyTorch it may stand in place of dim.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0, 3.0]).var()
    tensor(1.)
    """
    return _spread("var", Variance, input, dim, unbiased, keepdim, correction)


def std(
    input: Any,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float = 1,
) -> Any:
    """Return the standard deviation over `dim`, see `var`; of constants it is 0 with gradient 0."""
    return _spread("std", Deviation, input, dim, unbiased, keepdim, correction)


def _spread(
    name: str,
    op: Any,
    input: Any,
    dim: Dim,
    unbiased: bool | None,
    keepdim: bool,
    correction: float,
) -> Any:
    if isinstance(dim, bool) and unbiased is None:
        dim, unbiased = None, dim
    if unbiased is not None:
        if correction != 1:
            raise ValueError(f"{name}: give unbiased or correction, not both")
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
        raise ValueError(f"norm: p must be a number or 'fro', got {p!r}")
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
    if dtype is not None:
        input = input.to(dtype)
    axis = axis_of("cumsum", dim, input.ndim)
    return CumSum.apply(input, axis=axis) if input.ndim else input.clone()


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
    return found.type_as(input) if input.array.dtype == np.uint8 else found
