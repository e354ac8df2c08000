"""Example arguments of the kernels of layers: rows, normalisations, convolutions, pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.compare.examples_base import Array, Example, Rng, normal, positive, unwritten


# ---------------------------------------------------------------- rows and columns
def rows_to(few: bool) -> Callable[..., tuple[Any, ...]]:
    """Return what makes x (N, C) and y: (N, C), or (N,) of a reduction."""

    def make(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
        return normal(rng, dtype, n, c), unwritten(dtype, *((n,) if few else (n, c)))

    return make


def softmax_backward(log: bool) -> Callable[..., tuple[Any, ...]]:
    """Return what makes dy, y = softmax(x) or its logarithm, and dx."""

    def make(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
        y = np.exp(normal(rng, np.float64, n, c))
        y /= y.sum(axis=1, keepdims=True)
        kept = (np.log(y) if log else y).astype(dtype)
        return normal(rng, dtype, n, c), kept, unwritten(dtype, n, c)

    return make


def layer_norm(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x, weight, bias, eps, mean, rstd and y."""
    x, affine = normal(rng, dtype, n, c), normal(rng, dtype, 2, c)
    return x, *affine, 1e-5, *unwritten(dtype, 2, n), unwritten(dtype, n, c)


def layer_norm_backward(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return dy, x, weight, mean, rstd, dx, dw and db."""
    dy, x = normal(rng, dtype, n, c), normal(rng, dtype, n, c)
    out = unwritten(dtype, n, c), *unwritten(dtype, 2, c)
    return dy, x, normal(rng, dtype, c), *moments(x, 1), *out


def moments(x: Array, axis: Any) -> tuple[Array, Array]:
    """Return mean and 1 / sqrt(variance + 1e-5) over an axis."""
    mean, var = x.mean(axis, np.float64), x.var(axis, np.float64)
    return mean.astype(x.dtype), (1 / np.sqrt(var + 1e-5)).astype(x.dtype)


def cross_entropy(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x, classes, no weights, ignore_index, no smoothing, mean, and the outputs."""
    x, target = normal(rng, dtype, n, c), rng.integers(0, c, n)
    few = [unwritten(dtype, k) for k in (n, 1, 1)]
    out = few[0], unwritten(np.float64, n), *few[1:], unwritten(dtype, n, c)
    return x, target, np.empty(0, dtype), -100, 0.0, True, *out


def cross_entropy_backward(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return scale, x, classes, no weights, ignore_index, no smoothing, logsum and dx."""
    scale, x, target = normal(rng, dtype, n), normal(rng, dtype, n, c), rng.integers(0, c, n)
    logsum = np.log(np.exp(x.astype(np.float64)).sum(axis=1))
    return scale, x, target, np.empty(0, dtype), -100, 0.0, logsum, unwritten(dtype, n, c)


def take_rows(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return weight (N, C), N numbers of rows, and y."""
    return normal(rng, dtype, n, c), rng.integers(0, n, n), unwritten(dtype, n, c)


def reduction(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x of numbers about 1 (a product of normals would vanish), the axis 1, and y."""
    x = (1 + normal(rng, np.float64, n, c) / 50).astype(dtype)
    return x, (1,), unwritten(dtype, n)


def position(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x, the axis 1, and y of int64."""
    return normal(rng, dtype, n, c), 1, unwritten(np.int64, n)


def cumulated(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x, the axis 1, forwards, and y."""
    return reduction(rng, dtype, n, c)[0], 1, False, unwritten(dtype, n, c)


ROWS = {
    **{name: Example(rows_to(False), "NxC") for name in ("softmax", "log_softmax")},
    "logsumexp": Example(rows_to(True), "NxC"),
    "softmax_backward": Example(softmax_backward(False), "NxC", cancels=True),
    "log_softmax_backward": Example(softmax_backward(True), "NxC", cancels=True),
    "layer_norm_forward": Example(layer_norm, "NxC", cancels=True),
    "layer_norm_backward": Example(layer_norm_backward, "NxC", cancels=True),
    "cross_entropy_forward": Example(cross_entropy, "NxC", cancels=True),
    "cross_entropy_backward": Example(cross_entropy_backward, "NxC", cancels=True),
    **{name: Example(reduction, "NxC") for name in ("sum", "mean", "prod", "max", "min")},
    **{name: Example(position, "NxC") for name in ("argmax", "argmin")},
    "cumsum": Example(cumulated, "NxC"),
    **{name: Example(take_rows, "NxC", cancels=True) for name in ("take_rows", "scatter_add_rows")},
}


# ---------------------------------------------------------------- batch normalisation
def batch_norm(rng: Rng, dtype: Any, n: int, c: int, s: int) -> tuple[Any, ...]:
    """Return x, weight, bias, eps, mean, var, rstd and y."""
    x, affine = normal(rng, dtype, n, c, s), normal(rng, dtype, 2, c)
    return x, *affine, 1e-5, *unwritten(dtype, 3, c), np.full_like(x, np.nan)


def batch_norm_eval(rng: Rng, dtype: Any, n: int, c: int, s: int) -> tuple[Any, ...]:
    """Return x, weight, bias, running mean and variance, eps and y."""
    x, affine = normal(rng, dtype, n, c, s), normal(rng, dtype, 3, c)
    return x, *affine, positive(rng, dtype, c), 1e-5, np.full_like(x, np.nan)


def batch_norm_backward(rng: Rng, dtype: Any, n: int, c: int, s: int) -> tuple[Any, ...]:
    """Return dy, x, weight, mean, rstd, dx, dw and db."""
    dy, x = normal(rng, dtype, n, c, s), normal(rng, dtype, n, c, s)
    out = np.full_like(x, np.nan), *unwritten(dtype, 2, c)
    return dy, x, normal(rng, dtype, c), *moments(x, (0, 2)), *out


def batch_norm_eval_backward(rng: Rng, dtype: Any, n: int, c: int, s: int) -> tuple[Any, ...]:
    """Return dy, x, weight, running mean and variance, eps, dx, dw and db."""
    dy, x = normal(rng, dtype, n, c, s), normal(rng, dtype, n, c, s)
    weight, mean = normal(rng, dtype, 2, c)
    out = np.full_like(x, np.nan), *unwritten(dtype, 2, c)
    return dy, x, weight, mean, positive(rng, dtype, c), 1e-5, *out


def batch_norm_running(rng: Rng, dtype: Any, c: int) -> tuple[Any, ...]:
    """Return a batch's mean and variance, its size, the momentum and the running ones."""
    mean, running = normal(rng, dtype, 2, c)
    var, running_var = positive(rng, dtype, 2, c)
    return mean, var, 32, np.array([0.1]), running, running_var


DRAW = 0.2, 1.25, 2**40 + 1, 3  # p, scale, seed, stream


def batch_norm_dropout(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x, weight, bias, eps, relu, the draw, mean, var, rstd and y."""
    x, weight, bias, eps, *out, _ = batch_norm(rng, dtype, n, c, 1)
    draw = 1, *DRAW, np.array([5], np.int64)
    return x[..., 0], weight, bias, eps, *draw, *out, unwritten(dtype, n, c)


def batch_norm_dropout_backward(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return dy, x, weight, bias, mean, rstd, relu, the draw, dx, dw and db."""
    dy, x, affine = normal(rng, dtype, n, c), normal(rng, dtype, n, c), normal(rng, dtype, 2, c)
    draw = 1, *DRAW, np.array([5], np.int64)
    return dy, x, *affine, *moments(x, 0), *draw, unwritten(dtype, n, c), *unwritten(dtype, 2, c)


NORMS = {
    "batch_norm_forward": Example(batch_norm, "NxCxS", cancels=True),
    "batch_norm_eval": Example(batch_norm_eval, "NxCxS", cancels=True),
    "batch_norm_backward": Example(batch_norm_backward, "NxCxS", cancels=True),
    "batch_norm_eval_backward": Example(batch_norm_eval_backward, "NxCxS", cancels=True),
    "batch_norm_running": Example(batch_norm_running, cancels=True),
    "batch_norm_dropout_forward": Example(batch_norm_dropout, "NxC", cancels=True),
    "batch_norm_dropout_backward": Example(batch_norm_dropout_backward, "NxC", cancels=True),
}


# ---------------------------------------------------------------- images
HOW = (1, 1), (1, 1), (1, 1), 1  # stride, padding, dilation, groups of a convolution of 3 x 3


def conv(rng: Rng, dtype: Any, n: int, c: int, h: int, o: int) -> tuple[Any, ...]:
    """Return x (N, C, H, H), weight (O, C, 3, 3), bias, how it slides, and y."""
    x, weight, bias = (
        normal(rng, dtype, n, c, h, h),
        filters(rng, dtype, o, c),
        normal(rng, dtype, o),
    )
    return x, weight, bias, *HOW, unwritten(dtype, n, o, h, h)


def filters(rng: Rng, dtype: Any, o: int, c: int) -> Array:
    """Draw a weight that keeps the size of what it convolves."""
    return (normal(rng, np.float64, o, c, 3, 3) / (9 * c) ** 0.5).astype(dtype)


def conv_backward_input(rng: Rng, dtype: Any, n: int, c: int, h: int, o: int) -> tuple[Any, ...]:
    """Return dy, weight, how it slides, and dx."""
    dy, weight = normal(rng, dtype, n, o, h, h), filters(rng, dtype, o, c)
    return dy, weight, *HOW, unwritten(dtype, n, c, h, h)


def conv_backward_weight(rng: Rng, dtype: Any, n: int, c: int, h: int, o: int) -> tuple[Any, ...]:
    """Return dy, x, how it slides, dw and db."""
    dy, x = normal(rng, dtype, n, o, h, h), normal(rng, dtype, n, c, h, h)
    return dy, x, *HOW, unwritten(dtype, o, c, 3, 3), unwritten(dtype, o)


def pairs(size: int) -> Array:
    """Return the windows of 2 that step by 2 over `size` elements; one where there is one alone."""
    first = np.arange(0, max(1, size - 1), 2)
    stop = np.minimum(first + 2, size)
    return np.stack([first, stop, stop - first], 1)


def max_pool(rng: Rng, dtype: Any, p: int, h: int, w: int) -> tuple[Any, ...]:
    """Return x (P, H, W), windows down and across that step by one element, y and index."""
    x, down, across = normal(rng, dtype, p, h, w), pairs(h), pairs(w)
    down[:, 2] = across[:, 2] = 1
    shape = p, len(down), len(across)
    return x, down, across, unwritten(dtype, *shape), unwritten(np.int32, *shape)


def max_pool_backward(rng: Rng, dtype: Any, p: int, h: int, w: int) -> tuple[Any, ...]:
    """Return dy, the index of each of its elements, and dx."""
    shape = p, len(pairs(h)), len(pairs(w))
    index = rng.integers(0, h * w, shape).astype(np.int32)
    return normal(rng, dtype, *shape), index, unwritten(dtype, p, h, w)


def avg_pool(rng: Rng, dtype: Any, p: int, h: int, w: int) -> tuple[Any, ...]:
    """Return x (P, H, W), windows down and across with their divisors, and y."""
    down, across = pairs(h), pairs(w)
    y = unwritten(dtype, p, len(down), len(across))
    return normal(rng, dtype, p, h, w), down, across, y


def avg_pool_backward(rng: Rng, dtype: Any, p: int, h: int, w: int) -> tuple[Any, ...]:
    """Return dy, the windows, and dx."""
    down, across = pairs(h), pairs(w)
    dy = normal(rng, dtype, p, len(down), len(across))
    return dy, down, across, unwritten(dtype, p, h, w)


IMAGES = {
    "conv": Example(conv, "NxCxHxO", cancels=True),
    "conv_backward_input": Example(conv_backward_input, "NxCxHxO", cancels=True),
    "conv_backward_weight": Example(conv_backward_weight, "NxCxHxO", cancels=True),
    "max_pool": Example(max_pool, "PxHxW"),
    "max_pool_backward": Example(max_pool_backward, "PxHxW", cancels=True),
    "avg_pool": Example(avg_pool, "PxHxW", cancels=True),
    "avg_pool_backward": Example(avg_pool_backward, "PxHxW", cancels=True),
}
