"""Normalisations and softmax: fused ops, each with its composite in plain ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import Bridge, Op, refuse_others
from minigrad.ops.common import Array, axis_of, contiguous, only_floating, op, shaped
from minigrad.ops.dropout import Dropout
from minigrad.ops.linalg import check_dtypes
from minigrad.ops.reduce import Mean, Sum, reduced
from minigrad.ops.shape import Reshape
from minigrad.ops.unary import Relu


# ---------------------------------------------------------------- softmax
def to_rows(a: Array, axis: int) -> Array:
    """Return `a` as contiguous rows (N, C) with `axis` last."""
    if a.ndim and axis != a.ndim - 1:
        a = np.moveaxis(a, axis, -1)
    a = contiguous(a)
    if a.ndim == 2:
        return a
    c = a.shape[-1] if a.ndim else 1
    return a.reshape(a.size // c if c else math.prod(a.shape[:-1]), c)


def launched(kernel: str, rows: tuple[Array, ...], shape: tuple[int, ...], axis: int) -> Any:
    """Return f(rows) in the `shape` from which `to_rows` made them, and as rows.

    What is returned owns its memory: the sweep would copy a view before it becomes a .grad.
    """
    last = axis >= len(shape) - 1
    y = empty(shape if last else rows[0].shape, rows[0].dtype)
    out = y if y.ndim == 2 else y.reshape(rows[0].shape)
    launch(kernel, *rows, out)
    if last:
        return y, out
    moved = (*shape[:axis], *shape[axis + 1 :], shape[axis])
    return contiguous(np.moveaxis(out.reshape(moved), -1, axis)), out


class OverRows(Op):
    """y = f(rows of x along `axis`); the gradient needs the output alone."""

    kernel = ""

    def forward(self, x: Array, axis: int) -> Array:
        rows = to_rows(only_floating(self.kernel, x), axis)
        y, self.y = launched(self.kernel, (rows,), x.shape, axis)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        axis = self.meta["axis"]
        rows = to_rows(g.array, axis), self.result()
        dx, _ = launched(self.kernel + "_backward", rows, g.array.shape, axis)
        return (Bridge.new(dx),)


def shifted(x: Any, axis: int) -> Any:
    """Return x minus its largest along `axis`, a constant for the gradient."""
    peak = reduced("max" if x.array.size else "sum", x.array, (axis,) if x.array.ndim else (), True)
    return x - Bridge.new(peak)


@op
class Softmax(OverRows):
    """y_c = exp(x_c) / sum_k exp(x_k)"""

    kernel = "softmax"

    @staticmethod
    def composite(x: Any, axis: int) -> Any:
        e = shifted(x, axis).exp()
        return e / Sum.apply(e, dim=axis, keepdim=True)


@op
class LogSoftmax(OverRows):
    """y_c = x_c - log sum_k exp(x_k)"""

    kernel = "log_softmax"

    @staticmethod
    def composite(x: Any, axis: int) -> Any:
        z = shifted(x, axis)
        return z - Sum.apply(z.exp(), dim=axis, keepdim=True).log()


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return exp(x) / sum(exp(x)) along `dim`; an all -inf slice gives NaN.

    dtype: what to convert the input to first.

    >>> import minigrad as mg
    >>> mg.softmax(mg.zeros(2), 0)
    tensor([0.5000, 0.5000])
    """
    if not isinstance(input, Bridge.tensor):
        refuse_others("softmax", (input,))
    if dtype is not None:
        input = input.to(dtype)
    return Softmax.apply(input, axis=axis_of("softmax", dim, input.ndim))


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Return log(softmax(x)) along `dim`, stable for extreme inputs; dtype: see `softmax`."""
    if not isinstance(input, Bridge.tensor):
        refuse_others("log_softmax", (input,))
    if dtype is not None:
        input = input.to(dtype)
    return LogSoftmax.apply(input, axis=axis_of("log_softmax", dim, input.ndim))


# ---------------------------------------------------------------- batch normalisation
def channels(x: Array) -> Array:
    """Return `x` (N, C, ...) as contiguous (N, C, S)."""
    return contiguous(x).reshape(x.shape[0], x.shape[1], math.prod(x.shape[2:]))


def per_channel(t: Any, ndim: int) -> Any:
    """Return a (C,) tensor shaped to broadcast along dimension 1 of an ndim-dimensional one."""
    return Reshape.apply(t, shape=(t.array.size, *(1,) * (ndim - 2)))


@op
class BatchNorm(Op):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, statistics of the batch; var is the biased
    one.

    x: (N, C, ...), weight and bias: (C,) or empty.  running: (mean, var, momentum) arrays to
    update, or None; the unbiased variance is what is stored.
    """

    def forward(
        self, x: Array, weight: Array, bias: Array, eps: float, running: Any = None
    ) -> Array:
        self.x = rows = channels(x)
        c = rows.shape[1]
        self.mean, self.rstd = empty(c, x.dtype), empty(c, x.dtype)
        variance, y = empty(c, x.dtype), empty(x.shape, x.dtype)
        out = y.reshape(rows.shape)
        launch("batch_norm_forward", rows, weight, bias, eps, self.mean, variance, self.rstd, out)
        if running is not None:
            count = rows.shape[0] * rows.shape[2]
            mean, var, momentum = running
            launch("batch_norm_running", self.mean, variance, count, momentum, mean, var)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        weight = self.saved(1).array
        self.saved(0)
        dy = channels(g.array)
        c = dy.shape[1]
        dx, dw, db = empty(g.array.shape, dy.dtype), empty(c, dy.dtype), empty(c, dy.dtype)
        out = dx.reshape(dy.shape)
        launch("batch_norm_backward", dy, self.x, weight, self.mean, self.rstd, out, dw, db)
        return (
            Bridge.new(dx),
            Bridge.new(dw) if self.needs(1) else None,
            Bridge.new(db) if self.needs(2) else None,
        )

    @staticmethod
    def composite(x: Any, weight: Any, bias: Any, eps: float, running: Any = None) -> Any:
        axes = (0, *range(2, x.array.ndim))
        centred = x - Mean.apply(x, dim=axes, keepdim=True)
        var = Mean.apply(centred * centred, dim=axes, keepdim=True)
        return affine(centred / (var + eps).sqrt(), weight, bias)


@op
class BatchNormDropout(Op):
    """y = dropout(a(batch_norm(x))), a(z) = max(z, 0) with `relu`, else z; the same bits as one op
    after the other

    x: (N, C), weight and bias: (C,), or both empty.  running: as BatchNorm's.  p, scale, seed,
    stream, call: as Dropout's, p below 1.
    """

    def forward(
        self,
        x: Array,
        weight: Array,
        bias: Array,
        eps: float,
        relu: bool,
        p: float,
        scale: float,
        seed: int,
        stream: int,
        call: Array,
        running: Any = None,
    ) -> Array:
        self.x = rows = contiguous(x)
        n, c = x.shape
        self.mean, self.rstd = empty(c, x.dtype), empty(c, x.dtype)
        variance, y = empty(c, x.dtype), empty(x.shape, x.dtype)
        self.draw = int(relu), p, scale, seed, stream, call
        statistics = self.mean, variance, self.rstd
        launch("batch_norm_dropout_forward", rows, weight, bias, eps, *self.draw, *statistics, y)
        if running is not None:
            mean, var, momentum = running
            launch("batch_norm_running", self.mean, variance, n, momentum, mean, var)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        weight, bias = self.saved(1).array, self.saved(2).array
        self.saved(0)
        dy = contiguous(g.array)
        c = dy.shape[1]
        out = empty(dy.shape, dy.dtype), empty(c, dy.dtype), empty(c, dy.dtype)
        kept = self.x, weight, bias, self.mean, self.rstd
        launch("batch_norm_dropout_backward", dy, *kept, *self.draw, *out)
        return tuple(Bridge.new(d) if i == 0 or self.needs(i) else None for i, d in enumerate(out))

    @staticmethod
    def composite(
        x: Any, weight: Any, bias: Any, eps: float, relu: bool, running: Any = None, **draw: Any
    ) -> Any:
        z = BatchNorm.composite(x, weight, bias, eps)
        return Dropout.apply(Relu.apply(z) if relu else z, **draw)


def affine(y: Any, weight: Any, bias: Any) -> Any:
    """Scale and shift along dimension 1; an empty weight or bias is none."""
    if weight.array.size:
        y = y * per_channel(weight, y.array.ndim)
    return y + per_channel(bias, y.array.ndim) if bias.array.size else y


@op
class BatchNormEval(Op):
    """y = (x - running_mean) / sqrt(running_var + eps) * weight + bias, the statistics constants"""

    def forward(
        self, x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float
    ) -> Array:
        rows = channels(x)
        y = empty(x.shape, x.dtype)
        launch("batch_norm_eval", rows, weight, bias, mean, var, eps, y.reshape(rows.shape))
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, weight, mean, var = (self.saved(i).array for i in (0, 1, 3, 4))
        dy = channels(g.array)
        c = dy.shape[1]
        dx, dw, db = empty(x.shape, dy.dtype), empty(c, dy.dtype), empty(c, dy.dtype)
        out = dx.reshape(dy.shape)
        eps = self.meta["eps"]
        launch("batch_norm_eval_backward", dy, channels(x), weight, mean, var, eps, out, dw, db)
        return (
            Bridge.new(dx),
            Bridge.new(dw) if self.needs(1) else None,
            Bridge.new(db) if self.needs(2) else None,
            None,
            None,
        )

    @staticmethod
    def composite(x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float) -> Any:
        n = x.array.ndim
        centred = x - per_channel(mean.detach(), n)
        return affine(centred / (per_channel(var.detach(), n) + eps).sqrt(), weight, bias)


def check_channels(name: str, x: Array, **per: Any) -> None:
    """Refuse what batch_norm cannot normalise, with the shapes in the message."""
    if x.ndim < 2:
        raise ArgumentError(
            f"{name}: expected an input of at least two dimensions (N, C, ...), got shape {x.shape}"
        )
    if x.dtype.kind != "f":
        raise ArgumentTypeError(
            f"{name}: expected a floating input, got {x.dtype}; convert it with .float()"
        )
    for label, t in per.items():
        if t is None:
            continue
        try:
            shape = t.array.shape
        except AttributeError:
            refuse_others(f"{name}: {label}", (t,))
            raise
        if shape != (x.shape[1],):
            raise ArgumentError(
                f"{name}: {label} has shape {t.array.shape}, expected ({x.shape[1]},): one value a "
                f"channel of input {x.shape}"
            )
        check_dtypes(name, x, t.array)


# ---------------------------------------------------------------- layer normalisation
@op
class LayerNorm(Op):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last `dims` dimensions

    weight and bias: of those dimensions' shape, or empty.
    """

    def forward(self, x: Array, weight: Array, bias: Array, dims: int, eps: float) -> Array:
        given = x.shape
        shape = (math.prod(given[: x.ndim - dims]), math.prod(given[x.ndim - dims :]))
        self.x = rows = shaped(x, shape)
        n = shape[0]
        self.mean, self.rstd, y = empty(n, x.dtype), empty(n, x.dtype), empty(given, x.dtype)
        flat = shaped(weight, (weight.size,)), shaped(bias, (bias.size,))
        out = shaped(y, shape)
        launch("layer_norm_forward", rows, *flat, eps, self.mean, self.rstd, out)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        x, weight = self.saved(0).array, self.saved(1).array
        affine = x.shape[x.ndim - self.meta["dims"] :]
        # What is returned owns its memory: the sweep would copy a view before it becomes a .grad.
        dx, dw, db = empty(x.shape, x.dtype), empty(affine, x.dtype), empty(affine, x.dtype)
        shape, flat = self.x.shape, (dw.size,)
        launch(
            "layer_norm_backward",
            shaped(g.array, shape),
            self.x,
            shaped(weight, (weight.size,)),
            self.mean,
            self.rstd,
            shaped(dx, shape),
            shaped(dw, flat),
            shaped(db, flat),
        )
        return (
            Bridge.new(dx),
            Bridge.new(dw) if self.needs(1) else None,
            Bridge.new(db) if self.needs(2) else None,
        )

    @staticmethod
    def composite(x: Any, weight: Any, bias: Any, dims: int, eps: float) -> Any:
        axes = tuple(range(x.array.ndim - dims, x.array.ndim))
        centred = x - Mean.apply(x, dim=axes, keepdim=True)
        var = Mean.apply(centred * centred, dim=axes, keepdim=True)
        y = centred / (var + eps).sqrt()
        if weight.array.size:
            y = y * weight
        return y + bias if bias.array.size else y
