"""Reductions of the elements that a mask leaves: `minigrad.masked`, as PyTorch's `torch.masked`.

mask: bools that broadcast to the input's shape, True where an element counts; None counts all.
dim: an int, several, or None for all.  What has no element that counts is what the reduction starts
from: 0 for a sum, 1 for a product, NaN for a mean.

>>> import minigrad as mg
>>> x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
>>> mask = mg.tensor([[True, False], [True, True]])
>>> mean(x, 1, mask=mask)
tensor([1.0000, 3.5000], grad_fn=<Div>)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.engine.dtypes import float32, int64, numpy_dtype
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.ops.common import axes_of
from minigrad.ops.elementwise import where
from minigrad.ops.norm import log_softmax as _log_softmax
from minigrad.ops.norm import softmax as _softmax
from minigrad.ops.norms import vector_norm
from minigrad.ops.reduce import logsumexp as _logsumexp
from minigrad.ops.statistics import nanmedian
from minigrad.tensors.creation import full, ones_like
from minigrad.tensors.tensor import Tensor

Dim = int | Sequence[int] | None
INFINITE = float("inf")


def kept(input: Tensor, mask: Tensor | None, otherwise: float) -> Tensor:
    """Return the input with another number where the mask is False.

    Raises: TypeError for a mask that is not bool, ValueError for one that does not broadcast to the
        input's shape.
    """
    if mask is None:
        return input
    if numpy_dtype(mask.dtype).kind != "b":
        raise ArgumentTypeError(f"masked: expected a bool mask, got {mask.dtype}; use .bool()")
    if mask.ndim > input.ndim:
        raise ArgumentError(f"masked: the mask {mask.shape} has more dims than {input.shape}")
    made: Tensor = where(mask, input, full((), otherwise, dtype=input.dtype, device=input.device))
    if made.shape != input.shape:
        raise ArgumentError(f"masked: mask {mask.shape} does not broadcast to {input.shape}")
    return made


def dims(name: str, input: Tensor, dim: Dim) -> tuple[int, ...]:
    """Return the dimensions that are named: all where `dim` is None or ()."""
    return axes_of(name, dim, input.ndim)  # which takes () as all


def lowest(input: Tensor, sign: int) -> float:
    """Return the number of a dtype that no element is beyond."""
    kind = numpy_dtype(input.dtype)
    if kind.kind == "f":
        return -INFINITE * sign
    if kind.kind == "b":
        return sign < 0
    bits = 8 * kind.itemsize - (kind.kind == "i")
    bottom = -(2**bits) if kind.kind == "i" else 0
    return bottom if sign > 0 else 2**bits - 1


def dtype_of(input: Tensor, dtype: Any) -> Any:
    """Return the dtype of a result: the one asked for, else the input's."""
    return input.dtype if dtype is None else dtype


def counted(input: Tensor, dtype: Any) -> Any:
    """Return the dtype of a sum: int64 for integers and bools."""
    if dtype is not None:
        return dtype
    return input.dtype if input.dtype.is_floating_point else int64


def sum(
    input: Tensor,
    dim: Dim = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the sum of the elements that count.

    >>> import minigrad as mg
    >>> sum(mg.tensor([1, 2, 3]), mask=mg.tensor([True, False, True]))
    tensor(4)
    """
    axes = dims("sum", input, dim)
    return kept(input, mask, 0).sum(axes, keepdim, dtype=counted(input, dtype))


def prod(
    input: Tensor,
    dim: Dim = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the product of the elements that count."""
    y = kept(input, mask, 1).to(counted(input, dtype))
    for axis in reversed(dims("prod", input, dim)):
        y = y.prod(axis, keepdim=keepdim)
    return y


def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Return the running sum of the elements that count."""
    return kept(input, mask, 0).cumsum(dim).to(dtype_of(input, dtype))


def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Return the running product of the elements that count."""
    return kept(input, mask, 1).cumprod(dim).to(dtype_of(input, dtype))


def amax(
    input: Tensor,
    dim: Dim = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the largest element that counts; ties share the gradient."""
    y = kept(input, mask, lowest(input, 1)).amax(dims("amax", input, dim), keepdim)
    return y.to(dtype_of(input, dtype))


def amin(
    input: Tensor,
    dim: Dim = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the smallest element that counts; ties share the gradient."""
    y = kept(input, mask, lowest(input, -1)).amin(dims("amin", input, dim), keepdim)
    return y.to(dtype_of(input, dtype))


def argmax(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return where the largest element that counts lies, in the input's dtype as PyTorch has it."""
    y = kept(input, mask, lowest(input, 1)).argmax(dim, keepdim)
    return y.to(dtype_of(input, dtype))


def argmin(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return where the smallest element that counts lies; see `argmax`."""
    y = kept(input, mask, lowest(input, -1)).argmin(dim, keepdim)
    return y.to(dtype_of(input, dtype))


def count(input: Tensor, axes: tuple[int, ...], keepdim: bool, mask: Tensor | None) -> Tensor:
    """Return how many elements count."""
    return sum(ones_like(input, dtype=int64), axes, keepdim=keepdim, mask=mask)


def mean(
    input: Tensor,
    dim: Dim = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the mean of the elements that count.

    Raises: ValueError for integers without a floating `dtype`.
    """
    kind = dtype_of(input, dtype)
    if numpy_dtype(kind).kind != "f":
        raise ArgumentError(f"masked.mean: expected a floating dtype, got {kind}; use .float()")
    axes = dims("mean", input, dim)
    total = sum(input, axes, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / count(input, axes, keepdim, mask)


def median(
    input: Tensor,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the lower median of the elements that count.

    Raises: ValueError for integers of which none counts.
    """
    floating = input.dtype.is_floating_point
    x = kept(input if floating else input.to(float32), mask, float("nan"))
    y: Tensor = nanmedian(x, dim, keepdim)[0]
    if floating:
        return y
    if y.isnan().any():
        raise ArgumentError("masked.median: of some integers none counts; use .float()")
    return y.to(dtype_of(input, dtype))


def logsumexp(
    input: Tensor,
    dim: Dim = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return log sum exp of the elements that count; -inf where none does."""
    low = -INFINITE if input.dtype.is_floating_point else lowest(input, 1)
    y: Tensor = _logsumexp(kept(input, mask, low), dims("logsumexp", input, dim), keepdim)
    return y.to(dtype_of(input, dtype))


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Any = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:
    """Return log(e^input + e^other), where an element that does not count adds nothing."""
    a, b = kept(input, input_mask, -INFINITE), kept(other, other_mask, -INFINITE)
    return a.logaddexp(b).to(dtype_of(input, dtype))


def norm(
    input: Tensor,
    ord: float | None = 2.0,
    dim: Dim = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the p-norm of the elements that count; inf for p = -inf where none does."""
    order = 2.0 if ord is None else float(ord)
    x = kept(input, mask, INFINITE if order == -INFINITE else 0.0)
    y: Tensor = vector_norm(x, order, dims("norm", input, dim), keepdim, dtype=dtype)
    return y


def var(
    input: Tensor,
    dim: Dim = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the variance of the elements that count, divided by their number less `correction`.

    correction: 1 if None; `unbiased=False` is 0.  Integers give float32.
    """
    if unbiased is not None and correction is not None:
        raise ArgumentError("masked.var: give unbiased or correction, not both")
    less = (1.0 if unbiased in (None, True) else 0.0) if correction is None else float(correction)
    kind = (input.dtype if input.dtype.is_floating_point else float32) if dtype is None else dtype
    axes = dims("var", input, dim)
    number = count(input, axes, True, mask)
    gap = input - sum(input, axes, keepdim=True, dtype=kind, mask=mask) / number
    total = sum(gap * gap, axes, keepdim=keepdim, dtype=kind, mask=mask)
    return total / (number.reshape(*total.shape).to(kind) - less).clamp(min=0.0)


def std(
    input: Tensor,
    dim: Dim = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the standard deviation of the elements that count; see `var`."""
    how = {"keepdim": keepdim, "dtype": dtype, "mask": mask}
    return var(input, dim, unbiased, correction=correction, **how).sqrt()


def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Return the softmax of the elements that count, 0 for the others; NaN where none counts.

    >>> import minigrad as mg
    >>> softmax(mg.tensor([1.0, 9.0, 1.0]), 0, mask=mg.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    y: Tensor = _softmax(kept(input, mask, lowest(input, 1)), dim, dtype=dtype)
    return y


def log_softmax(
    input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """Return the log-softmax of the elements that count, -inf for the others."""
    y: Tensor = _log_softmax(kept(input, mask, lowest(input, 1)), dim, dtype=dtype)
    return y


def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Return the softmax of the negatives of the elements that count, 0 for the others."""
    y: Tensor = _softmax(-kept(input, mask, lowest(input, -1)), dim, dtype=dtype)
    return y


def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the elements that count over their p-norm, or `eps` if that is larger."""
    kind = dtype_of(input, dtype)
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return kept(input.to(kind), mask, 0) / length.clamp(min=eps)


__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]
