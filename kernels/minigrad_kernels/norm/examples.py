"""Example arguments of the normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.example import Array, Example, Rng, normal, positive, unwritten
from minigrad_kernels.randomness.examples import DRAW


def moments(x: Array, axis: Any) -> tuple[Array, Array]:
    """Return mean and 1 / sqrt(variance + 1e-5) over an axis."""
    mean, var = x.mean(axis, np.float64), x.var(axis, np.float64)
    return mean.astype(x.dtype), (1 / np.sqrt(var + 1e-5)).astype(x.dtype)


def layer_norm(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x, weight, bias, eps, mean, rstd and y."""
    x, affine = normal(rng, dtype, n, c), normal(rng, dtype, 2, c)
    return x, *affine, 1e-5, *unwritten(dtype, 2, n), unwritten(dtype, n, c)


def layer_norm_backward(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return dy, x, weight, mean, rstd, dx, dw and db."""
    dy, x = normal(rng, dtype, n, c), normal(rng, dtype, n, c)
    out = unwritten(dtype, n, c), *unwritten(dtype, 2, c)
    return dy, x, normal(rng, dtype, c), *moments(x, 1), *out


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


EXAMPLES = {
    "layer_norm_forward": Example(layer_norm, "NxC", cancels=True),
    "layer_norm_backward": Example(layer_norm_backward, "NxC", cancels=True),
    "batch_norm_forward": Example(batch_norm, "NxCxS", cancels=True),
    "batch_norm_eval": Example(batch_norm_eval, "NxCxS", cancels=True),
    "batch_norm_backward": Example(batch_norm_backward, "NxCxS", cancels=True),
    "batch_norm_eval_backward": Example(batch_norm_eval_backward, "NxCxS", cancels=True),
    "batch_norm_running": Example(batch_norm_running, cancels=True),
    "batch_norm_dropout_forward": Example(batch_norm_dropout, "NxC", cancels=True),
    "batch_norm_dropout_backward": Example(batch_norm_dropout_backward, "NxC", cancels=True),
}
