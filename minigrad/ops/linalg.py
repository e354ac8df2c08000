"""Products of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.backend import empty, launch
from minigrad.ops.common import Array, broadcast_shape, contiguous, op
from minigrad.ops.shape import Expand, Permute, Reshape, expand_strides
from minigrad.tape import Bridge, Op


def check_dtypes(name: str, a: Array, b: Array) -> None:
    """Refuse operands of different dtypes, and integers."""
    if a.dtype != b.dtype:
        raise TypeError(
            f"{name}: dtypes {a.dtype} and {b.dtype} differ; convert one, e.g. "
            f"x.to(minigrad.{a.dtype})"
        )
    if a.dtype.kind != "f":
        raise TypeError(
            f"{name}: expected floating tensors, got {a.dtype}; convert them with .float()"
        )


def swapped(t: Any) -> Any:
    """Return the matrices of `t` transposed, a view."""
    n = t.data.ndim
    return Permute.apply(t, axes=(*range(n - 2), n - 1, n - 2))


@op
class MatMul(Op):
    """y = a @ b, over the last two dimensions; leading ones broadcast.  a: (..., M, K), b: (..., K,
    N) -> (..., M, N)
    """

    def forward(self, a: Array, b: Array) -> Array:
        check_dtypes("matmul", a, b)
        if a.shape[-1] != b.shape[-2]:
            raise ValueError(
                f"matmul: shapes {a.shape} and {b.shape} do not fit: the last size of the first, "
                f"{a.shape[-1]},"
                f" must equal the second last of the second, {b.shape[-2]}"
            )
        if a.ndim == 2 and b.ndim == 2:
            y = empty((a.shape[0], b.shape[1]), a.dtype)
            launch("gemm", a, b, y)
            return y
        batch = broadcast_shape("matmul", a.shape[:-2], b.shape[:-2])
        y = empty((*batch, a.shape[-2], b.shape[-1]), a.dtype)
        view = np.lib.stride_tricks.as_strided
        a = view(
            a, (*batch, *a.shape[-2:]), expand_strides(a, (*batch, *a.shape[-2:])), writeable=False
        )
        b = view(
            b, (*batch, *b.shape[-2:]), expand_strides(b, (*batch, *b.shape[-2:])), writeable=False
        )
        for i in np.ndindex(batch[:-1]):
            launch("bmm", a[i], b[i], y[i])
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (
            MatMul.apply(g, swapped(self.saved(1))) if self.needs(0) else None,
            MatMul.apply(swapped(self.saved(0)), g) if self.needs(1) else None,
        )


def matmul(input: Any, other: Any) -> Any:
    """Return the matrix product; 1-D operands as vectors, leading dimensions broadcast.

    Shape: (..., M, K) @ (..., K, N) -> (..., M, N); (K,) @ (K,) -> ().

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 2.0]]) @ mg.tensor([3.0, 4.0])
    tensor([11.])
    """
    if input.ndim == 0 or other.ndim == 0:
        raise ValueError(
            f"matmul: shapes {input.shape} and {other.shape}: both need at least one dimension; "
            "use *"
        )
    if input.ndim >= 2 and other.ndim >= 2:
        if input.ndim > 2 and other.ndim == 2 and input.data.flags.c_contiguous and input.shape[-1]:
            rows = Reshape.apply(input, shape=(math.prod(input.shape[:-1]), input.shape[-1]))
            return Reshape.apply(
                MatMul.apply(rows, other), shape=(*input.shape[:-1], other.shape[-1])
            )
        return MatMul.apply(input, other)
    a = Reshape.apply(input, shape=(1, -1)) if input.ndim == 1 else input
    b = Reshape.apply(other, shape=(-1, 1)) if other.ndim == 1 else other
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"matmul: shapes {input.shape} and {other.shape} do not fit: the inner sizes differ"
        )
    y = MatMul.apply(a, b)
    shape = list(y.shape)
    if other.ndim == 1:
        del shape[-1]
    if input.ndim == 1:
        del shape[-1 if other.ndim == 1 else -2]
    return Reshape.apply(y, shape=tuple(shape))


@op
class Linear(Op):
    """y = x W^T + b, b may be empty (none).  x: (..., I), W: (O, I), b: (O,) -> y: (..., O)"""

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        check_dtypes("linear", x, weight)
        if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
            raise ValueError(
                f"linear: input {x.shape} does not fit weight {weight.shape}: the input's last "
                "size must be the"
                " weight's second (weight is (out_features, in_features))"
            )
        rows = x if x.ndim == 2 else contiguous(x).reshape(math.prod(x.shape[:-1]), x.shape[-1])
        self.rows = rows
        y = empty((rows.shape[0], weight.shape[0]), x.dtype)
        if bias.size:
            check_dtypes("linear", x, bias)
            if bias.shape != weight.shape[:1]:
                raise ValueError(
                    f"linear: bias {bias.shape} does not fit weight {weight.shape}: expected "
                    f"{weight.shape[:1]}"
                )
            launch("gemm_bias", rows, weight.T, contiguous(bias), y)
        else:
            launch("gemm", rows, weight.T, y)
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], weight.shape[0])

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, weight = self.saved(0).data, self.saved(1).data
        dy = g.data
        if dy.ndim != 2:
            dy = contiguous(dy).reshape(self.rows.shape[0], weight.shape[0])
        dx = dw = db = None
        if self.needs(0):
            out = empty(self.rows.shape, weight.dtype)
            launch("gemm", dy, weight, out)
            dx = Bridge.new(out.reshape(x.shape))
        if self.needs(1):
            out = empty(weight.shape, weight.dtype)
            launch("gemm", dy.T, self.rows, out)
            dw = Bridge.new(out)
        if self.needs(2):
            out = empty(weight.shape[:1], weight.dtype)
            launch("sum", dy, (0,), out)
            db = Bridge.new(out)
        return dx, dw, db

    @staticmethod
    def composite(x: Any, weight: Any, bias: Any) -> Any:
        y = matmul(x, swapped(weight))
        return y + bias if bias.data.size else y


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Apply y = x W^T + b.

    Shape: input: (..., in), weight: (out, in), bias: (out,) or None -> y: (..., out).

    >>> import minigrad as mg
    >>> linear(mg.ones(1, 2), mg.tensor([[1.0, 2.0]]), mg.tensor([0.5]))
    tensor([[3.5000]])
    """
    return Linear.apply(input, weight, absent(weight) if bias is None else bias)


def absent(like: Any) -> Any:
    """Return the empty tensor that stands for an argument that is not there."""
    return Bridge.new(empty(0, like.data.dtype))


def dot(input: Any, other: Any) -> Any:
    """Return the inner product of two vectors."""
    if input.ndim != 1 or other.ndim != 1:
        raise ValueError(
            f"dot: expected two 1-D tensors, got shapes {input.shape} and {other.shape}; use matmul"
        )
    return matmul(input, other)


def outer(input: Any, other: Any) -> Any:
    """Return the outer product of two vectors: (M,), (N,) -> (M, N)."""
    m, n = input.data.size, other.data.size
    left = Expand.apply(Reshape.apply(input, shape=(m, 1)), shape=(m, n))
    return left * other
