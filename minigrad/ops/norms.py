"""Norms of vectors and matrices, and what is read off singular values: `minigrad.linalg`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.ops import matrices, reduce
from minigrad.ops.arranging import beside, movedim
from minigrad.ops.common import axes_of, axis_of
from minigrad.ops.grammar import host
from minigrad.ops.registry import public
from minigrad.ops.shape import Reshape

Dim = int | Sequence[int] | None


def floating(name: str, A: Any, dtype: Any) -> Any:
    """Return the tensor in `dtype` if that is given; refuse integers."""
    if A.array.dtype.kind != "f":
        raise ArgumentTypeError(f"{name}: expected a floating tensor, got {A.dtype}; use .float()")
    return A if dtype is None else A.to(dtype)


@public("linalg")
def vector_norm(
    x: Any, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """Return (sum |x|^ord)^(1/ord) over `dim`, of all elements by default; ord may be inf, -inf,
    or 0, the number of elements that are not 0.

    >>> import minigrad as mg
    >>> vector_norm(mg.tensor([[3.0, -4.0]]), 1)
    tensor(7.)
    """
    x = floating("vector_norm", x, dtype)
    axes = None if dim is None else axes_of("vector_norm", dim, x.ndim)
    picked = range(x.ndim) if axes is None else axes
    if 0 in [x.shape[d] for d in picked] and (ord < 0 or ord == math.inf):
        raise ArgumentError(f"vector_norm: shape {x.shape} has no element for order {ord}")
    if not x.ndim:
        return reduce.norm(Reshape.apply(x, shape=(1,)), ord, 0)
    return reduce.norm(x, ord, axes, keepdim)


@public("linalg")
def matrix_norm(
    A: Any,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """Return a norm of matrices over two dimensions.

    ord: "fro", the root of the summed squares; "nuc", the sum of the singular values; 2 and -2,
        the largest and the smallest of them; 1 and -1, of the sums of columns; inf and -inf, of
        rows.

    >>> import minigrad as mg
    >>> matrix_norm(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor(6.)
    """
    A = floating("matrix_norm", A, dtype)
    if len(tuple(dim)) != 2:
        raise ArgumentError(f"matrix_norm: dim must name two dimensions, got {tuple(dim)}")
    row, column = (axis_of("matrix_norm", d, A.ndim) for d in dim)
    if row == column or A.ndim < 2:
        raise ArgumentError(f"matrix_norm: dim {tuple(dim)} does not fit shape {A.shape}")
    if ord == "fro":
        return reduce.norm(A, 2.0, (row, column), keepdim)
    if ord in ("nuc", 2, -2):
        values = matrices.svdvals(movedim(A, (row, column), (-2, -1)))
        if ord == "nuc":
            y = values.sum(-1)
        else:
            y = values.amax(-1) if ord == 2 else values.amin(-1)
    elif ord in (1, -1, math.inf, -math.inf):
        along, over = (row, column) if abs(float(ord)) == 1 else (column, row)
        sums = A.abs().sum(along, keepdim=True)
        y = sums.amax((row, column)) if float(ord) > 0 else sums.amin((row, column))
        del over
    else:
        raise ArgumentError(
            f"matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}"
        )
    if not keepdim:
        return y
    return Reshape.apply(
        y, shape=tuple(1 if d in (row, column) else n for d, n in enumerate(A.shape))
    )


@public("linalg")
def norm(
    A: Any,
    ord: float | str | None = None,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """Return a norm: of two dimensions that `dim` names, or of a matrix where `ord` is given,
    `matrix_norm`; else `vector_norm`.
    """
    several = isinstance(dim, (tuple, list)) and len(dim) == 2
    if ord is not None and (several or (dim is None and (A.ndim == 2 or isinstance(ord, str)))):
        where: Any = (-2, -1) if dim is None else dim
        return matrix_norm(A, ord, where, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise ArgumentError(f"norm: order {ord!r} is of matrices; name two dimensions, got {dim!r}")
    if dim is None and ord is not None and A.ndim > 2:
        raise ArgumentError(f"norm: with an order, name the dimensions of shape {A.shape}")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@public("linalg")
def cond(A: Any, p: Any = None) -> Any:
    """Return how much relative errors may grow in solving: |A| |A^-1|, of the singular values for
    p None, 2 or -2.
    """
    if p in (None, 2, -2):
        values = matrices.svdvals(A)
        most, least = values[..., 0], values[..., -1]
        return least / most if p == -2 else most / least
    return matrix_norm(A, p) * matrix_norm(matrices.inv(A), p)


@public("linalg")
def matrix_rank(
    A: Any,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Any:
    """Return how many singular values are not small: above rtol times the largest, and above atol
    or tol.
    """
    matrices.matrices("matrix_rank", A, square=hermitian)
    values = host(matrices.svdvals(A.detach()))
    least = tol if atol is None else atol
    if rtol is None:
        none = least is None or (np.ndim(host_of(least)) == 0 and float(host_of(least)) == 0)
        share: Any = max(A.shape[-2:]) * np.finfo(values.dtype).eps if none else 0.0
    else:
        share = host_of(rtol)
    most = values.max(-1, initial=0)
    limit = np.maximum(share * most, 0 if least is None else host_of(least))
    return beside(np.asarray((values > np.asarray(limit)[..., None]).sum(-1), np.int64), A)


def host_of(x: Any) -> Any:
    """Return a number, or a tensor's elements."""
    return host(x) if hasattr(x, "array") else x
