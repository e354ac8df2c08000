"""Products of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.device import host_copy, nothing_like, to_current_device
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import Bridge, Op, refuse_others
from minigrad.ops.common import Array, broadcast_shape, contiguous, op
from minigrad.ops.registry import public
from minigrad.ops.shape import Expand, Permute, Reshape, expanded
from minigrad.ops.unary import Gelu, Relu, Sigmoid, Silu, Softplus, Tanh, Unary


def check_dtypes(name: str, a: Array, b: Array) -> None:
    """Refuse operands of different dtypes, and integers."""
    if a.dtype != b.dtype:
        raise ArgumentTypeError(
            f"{name}: dtypes {a.dtype} and {b.dtype} differ; convert one, e.g. "
            f"x.to(minigrad.{a.dtype})"
        )
    if a.dtype.kind != "f":
        raise ArgumentTypeError(
            f"{name}: expected floating tensors, got {a.dtype}; convert them with .float()"
        )


def swapped(t: Any) -> Any:
    """Return the matrices of `t` transposed, a view."""
    n = t.array.ndim
    if n < 2:
        if n:
            raise ArgumentError(f"mT: expected at least two dimensions, got shape {t.array.shape}")
        return t
    return Permute.apply(t, axes=(*range(n - 2), n - 1, n - 2))


def product_of_integers(a: Array, b: Array) -> Array:
    """Return a @ b of integers, computed on the host."""
    return to_current_device(np.matmul(host_copy(a), host_copy(b)))


@op
class MatMul(Op):
    """y = a @ b, over the last two dimensions; leading ones broadcast.  a: (..., M, K), b: (..., K,
    N) -> (..., M, N)
    """

    def forward(self, a: Array, b: Array) -> Array:
        whole = a.dtype == b.dtype and a.dtype.kind in "iu"
        if not whole:
            check_dtypes("matmul", a, b)
        if a.shape[-1] != b.shape[-2]:
            raise ArgumentError(
                f"matmul: shapes {a.shape} and {b.shape} do not fit: the last size of the first, "
                f"{a.shape[-1]},"
                f" must equal the second last of the second, {b.shape[-2]}"
            )
        if whole:  # integers are for NumPy: nothing learns from them
            return product_of_integers(a, b)
        if a.ndim == 2 and b.ndim == 2:
            y = empty((a.shape[0], b.shape[1]), a.dtype)
            launch("gemm", a, b, y)
            return y
        batch = broadcast_shape("matmul", a.shape[:-2], b.shape[:-2])
        y = empty((*batch, a.shape[-2], b.shape[-1]), a.dtype)
        a = expanded(a, (*batch, *a.shape[-2:]))
        b = expanded(b, (*batch, *b.shape[-2:]))
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
        raise ArgumentError(
            f"matmul: shapes {input.shape} and {other.shape}: both need at least one dimension; "
            "use *"
        )
    if input.ndim >= 2 and other.ndim >= 2:
        held = input.array
        if held.ndim > 2 and other.ndim == 2 and held.flags.c_contiguous and held.shape[-1]:
            rows = Reshape.apply(input, shape=(math.prod(input.shape[:-1]), input.shape[-1]))
            return Reshape.apply(
                MatMul.apply(rows, other), shape=(*input.shape[:-1], other.shape[-1])
            )
        return MatMul.apply(input, other)
    a = Reshape.apply(input, shape=(1, -1)) if input.ndim == 1 else input
    b = Reshape.apply(other, shape=(-1, 1)) if other.ndim == 1 else other
    if a.shape[-1] != b.shape[-2]:
        raise ArgumentError(
            f"matmul: shapes {input.shape} and {other.shape} do not fit: the inner sizes differ"
        )
    y = MatMul.apply(a, b)
    shape = list(y.shape)
    if other.ndim == 1:
        del shape[-1]
    if input.ndim == 1:
        del shape[-1 if other.ndim == 1 else -2]
    return Reshape.apply(y, shape=tuple(shape))


def linear_rows(name: str, x: Array, weight: Array, bias: Array) -> Array:
    """Return x as a matrix, after checking that the three fit; an empty bias stands for none."""
    check_dtypes(name, x, weight)
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ArgumentError(
            f"{name}: input {x.shape} does not fit weight {weight.shape}: the input's last "
            "size must be the"
            " weight's second (weight is (out_features, in_features))"
        )
    if bias.size:
        check_dtypes(name, x, bias)
        if bias.shape != weight.shape[:1]:
            raise ArgumentError(
                f"{name}: bias {bias.shape} does not fit weight {weight.shape}: expected "
                f"{weight.shape[:1]}"
            )
    return x if x.ndim == 2 else contiguous(x).reshape(math.prod(x.shape[:-1]), x.shape[-1])


class LinearLike(Op):
    """What starts with x W^T + b: its gradients for x, W and b are products with that of the sum"""

    rows: Array

    def gradients(self, dy: Array) -> tuple[Any, ...]:
        """Return those for input, weight and bias; the bias's are sums on the weight's way."""
        x, weight = self.saved(0).array, self.saved(1).array
        rows = self.rows
        dx = dw = db = None
        if self.needs(0):
            dx = empty(rows.shape, weight.dtype)
            launch("gemm", dy, weight, dx)
            dx = dx if dx.shape == x.shape else dx.reshape(x.shape)
        if self.needs(2):
            db = empty(weight.shape[:1], weight.dtype)
        if self.needs(1):
            dw = empty(weight.shape, weight.dtype)
            if db is None:
                launch("gemm", dy.T, rows, dw)
            else:
                launch("gemm_sums", dy.T, rows, dw, db)
        elif db is not None:
            launch("sum", dy, (0,), db)
        return tuple(None if d is None else Bridge.new(d) for d in (dx, dw, db))

    def flat(self, g: Any) -> Array:
        """Return the gradient of the output as a matrix."""
        dy = g.array
        if dy.ndim == 2:
            return dy
        return contiguous(dy).reshape(self.rows.shape[0], dy.shape[-1])


@op
class Linear(LinearLike):
    """y = x W^T + b, b may be empty (none).  x: (..., I), W: (O, I), b: (O,) -> y: (..., O)"""

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        self.rows = rows = linear_rows("linear", x, weight, bias)
        y = empty((rows.shape[0], weight.shape[0]), x.dtype)
        if bias.size:
            launch("gemm_bias", rows, weight.T, contiguous(bias), y)
        else:
            launch("gemm", rows, weight.T, y)
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], weight.shape[0])

    def backward(self, g: Any) -> tuple[Any, ...]:
        return self.gradients(self.flat(g))

    @staticmethod
    def composite(x: Any, weight: Any, bias: Any) -> Any:
        y = matmul(x, swapped(weight))
        return y + bias if bias.array.size else y


FUSED: tuple[type[Unary], ...] = (Relu, Tanh, Sigmoid, Gelu, Silu, Softplus)
ACTIVATIONS = {activation.kernel: activation for activation in FUSED}


@op
class LinearActivation(LinearLike):
    """y = f(x W^T + b), b may be empty (none).  x: (..., I), W: (O, I), b: (O,) -> y: (..., O)

    f is applied to each block of y as soon as it is computed; bits are those of Linear and f.
    """

    kept: Array  # f's output, or its input where the derivative needs that

    def forward(self, x: Array, weight: Array, bias: Array, activation: str) -> Array:
        self.rows = rows = linear_rows("linear_activation", x, weight, bias)
        y = empty((rows.shape[0], weight.shape[0]), x.dtype)
        inputs = (rows, weight.T, contiguous(bias), activation)
        if ACTIVATIONS[activation].keeps_output or not mode.recording:
            launch("gemm_activation", *inputs, y)
            self.kept = self.y = y
        else:
            self.kept = empty(y.shape, y.dtype)
            launch("gemm_activation_saved", *inputs, self.kept, y)
        self.activation = activation
        return y if x.ndim == 2 else y.reshape(*x.shape[:-1], weight.shape[0])

    def backward(self, g: Any) -> tuple[Any, ...]:
        if ACTIVATIONS[self.activation].keeps_output:
            self.result()  # raises where the output was written to since
        dy = empty(self.kept.shape, self.kept.dtype)
        launch(f"{self.activation}_backward", self.flat(g), self.kept, dy)
        return self.gradients(dy)

    @staticmethod
    def composite(x: Any, weight: Any, bias: Any, activation: str) -> Any:
        return ACTIVATIONS[activation].apply(Linear.composite(x, weight, bias))


def linear_activation(input: Any, weight: Any, bias: Any = None, activation: str = "relu") -> Any:
    """Apply y = f(x W^T + b) as one op: `linear`, then an activation, in one pass over y.

    Shape: input: (..., in), weight: (out, in), bias: (out,) or None -> y: (..., out).
    activation: "relu", "tanh", "sigmoid", "gelu" (the exact one), "silu" or "softplus".
    Raises: ValueError for another activation.

    >>> import minigrad as mg
    >>> linear_activation(mg.ones(1, 2), mg.tensor([[1.0, 2.0], [-1.0, 0.0]]), activation="relu")
    tensor([[3., 0.]])
    """
    if activation not in ACTIVATIONS:
        raise ArgumentError(
            f"linear_activation: expected an activation of {', '.join(ACTIVATIONS)}, got "
            f"{activation!r}; apply another to the result of linear"
        )
    bias = absent(weight) if bias is None else bias
    return LinearActivation.apply(input, weight, bias, activation=activation)


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Apply y = x W^T + b.

    Shape: input: (..., in), weight: (out, in), bias: (out,) or None -> y: (..., out).

    >>> import minigrad as mg
    >>> linear(mg.ones(1, 2), mg.tensor([[1.0, 2.0]]), mg.tensor([0.5]))
    tensor([[3.5000]])
    """
    try:
        bias = absent(weight) if bias is None else bias
    except AttributeError:
        refuse_others("linear", (input, weight))
        raise
    return Linear.apply(input, weight, bias)


def absent(like: Any) -> Any:
    """Return the empty tensor that stands for an argument that is not there."""
    return Bridge.new(nothing_like(like.array))


def dot(input: Any, other: Any) -> Any:
    """Return the inner product of two vectors."""
    if input.ndim != 1 or other.ndim != 1:
        raise ArgumentError(
            f"dot: expected two 1-D tensors, got shapes {input.shape} and {other.shape}; use matmul"
        )
    return matmul(input, other)


@public("tensor", also=("ger",))
def outer(input: Any, other: Any) -> Any:
    """Return the outer product of two vectors: (M,), (N,) -> (M, N)."""
    if input.ndim != 1 or other.ndim != 1:
        raise ArgumentError(
            f"outer: expected two 1-D tensors, got shapes {input.shape} and {other.shape}"
        )
    m, n = input.array.size, other.array.size
    left = Expand.apply(Reshape.apply(input, shape=(m, 1)), shape=(m, n))
    return left * other
