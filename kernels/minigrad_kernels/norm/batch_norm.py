"""Batch normalisation over axes 0 and 2 of x: (N, C, S); S = 1 for a 2-D input, H * W for images.

    mean = sum x / (N S),  var = sum (x - mean)^2 / (N S),  rstd = 1 / sqrt(var + eps)
    y = (x - mean) * rstd * weight + bias
    dx = weight * rstd * (dy - db / (N S) - xhat * dw / (N S)),  dw = sum dy * xhat,  db = sum dy

The running statistics take the unbiased variance: running += momentum * (new - running).

`norm/batch_norm_rows.py` holds the loops for S = 1, `norm/batch_norm_planes.py` those for S > 1.

Shapes: x, dx, y: (N, C, S) C-contiguous; mean, var, rstd: (C,); weight, bias, dw, db: (C,), or all
(0,) for none; momentum: (1,).
Source: Ioffe and Szegedy, "Batch normalization" (ICML 2015).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.norm.batch_norm_planes import planes_backward, planes_eval, planes_forward
from minigrad_kernels.norm.batch_norm_rows import rows_backward, rows_eval, rows_forward
from minigrad_kernels.simd.row_tasks import streams

Array = np.ndarray[Any, Any]

PARALLEL_STATS = 32_768  # elements from which two threads pay for two forks and joins


# ---------------------------------------------------------------- references
def per_channel(values: Array, size: int, neutral: float) -> Array:
    """Return values: (C,) in float64 as (C, 1), or `size` times `neutral` where there are none."""
    return (values.astype(np.float64) if values.size else np.full(size, neutral))[:, None]


def batch_norm_forward_reference(
    x: Array, weight: Array, bias: Array, eps: float, mean: Array, var: Array, rstd: Array, y: Array
) -> None:
    """Compute mean, biased var, rstd and y in float64: see the module for shapes."""
    wide = x.astype(np.float64)
    centre = wide.mean(axis=(0, 2))
    spread = wide.var(axis=(0, 2))
    scale = 1 / np.sqrt(spread + eps)
    mean[...] = centre
    var[...] = spread
    rstd[...] = scale
    y[...] = (wide - centre[:, None]) * scale[:, None] * per_channel(weight, mean.size, 1)
    y[...] += per_channel(bias, mean.size, 0)


def batch_norm_running_reference(
    mean: Array, var: Array, count: int, momentum: Array, running_mean: Array, running_var: Array
) -> None:
    """Move the running statistics towards those of a batch in float64.

    count: elements a channel, N S.  momentum: (1,), the weight of the new value.
    """
    m = float(momentum[0])
    unbiased = var.astype(np.float64) * (count / (count - 1))
    running_mean[...] = (1 - m) * running_mean.astype(np.float64) + m * mean
    running_var[...] = (1 - m) * running_var.astype(np.float64) + m * unbiased


def batch_norm_eval_reference(
    x: Array,
    weight: Array,
    bias: Array,
    running_mean: Array,
    running_var: Array,
    eps: float,
    y: Array,
) -> None:
    """Compute y in float64 from the running statistics."""
    scale = 1 / np.sqrt(running_var.astype(np.float64) + eps)
    y[...] = (x - running_mean.astype(np.float64)[:, None]) * scale[:, None] * per_channel(
        weight, scale.size, 1
    ) + per_channel(bias, scale.size, 0)


def batch_norm_backward_reference(
    dy: Array, x: Array, weight: Array, mean: Array, rstd: Array, dx: Array, dw: Array, db: Array
) -> None:
    """Compute dx, and dw and db where there is a weight, in float64."""
    g = dy.astype(np.float64)
    xhat = (x - mean.astype(np.float64)[:, None]) * rstd.astype(np.float64)[:, None]
    count = x.size / max(1, mean.size)
    sum_g = g.sum(axis=(0, 2))
    sum_gx = (g * xhat).sum(axis=(0, 2))
    scale = rstd.astype(np.float64)[:, None] * per_channel(weight, mean.size, 1)
    dx[...] = scale * (g - sum_g[:, None] / count - xhat * sum_gx[:, None] / count)
    if weight.size:
        dw[...] = sum_gx
        db[...] = sum_g


def batch_norm_eval_backward_reference(
    dy: Array,
    x: Array,
    weight: Array,
    running_mean: Array,
    running_var: Array,
    eps: float,
    dx: Array,
    dw: Array,
    db: Array,
) -> None:
    """Compute the gradients in float64 with the statistics taken for constants."""
    g = dy.astype(np.float64)
    scale = 1 / np.sqrt(running_var.astype(np.float64) + eps)[:, None]
    dx[...] = g * scale * per_channel(weight, running_mean.size, 1)
    if weight.size:
        dw[...] = (g * (x - running_mean.astype(np.float64)[:, None]) * scale).sum(axis=(0, 2))
        db[...] = g.sum(axis=(0, 2))


# ---------------------------------------------------------------- choice by size
def both(function: Any) -> tuple[Any, Any]:
    """Compile a pass sequential and parallel."""
    return small_and_large(f"batch_norm.{function.__name__}", function)


ROWS_FORWARD, PLANES_FORWARD = both(rows_forward), both(planes_forward)
ROWS_EVAL, PLANES_EVAL = both(rows_eval), both(planes_eval)
ROWS_BACKWARD, PLANES_BACKWARD = both(rows_backward), both(planes_backward)


def batch_norm_forward_cpu(
    x: Array, weight: Array, bias: Array, eps: float, mean: Array, var: Array, rstd: Array, y: Array
) -> None:
    """Compute mean, biased var, rstd and y on the CPU."""
    large = x.size >= PARALLEL_STATS
    if x.shape[2] == 1:
        y = y.reshape(y.shape[:2])
        run = ROWS_FORWARD[large]
        run(x.reshape(y.shape), weight, bias, eps, mean, var, rstd, y, large and streams(y))
    else:
        PLANES_FORWARD[large](x, weight, bias, eps, mean, var, rstd, y)


@jit()
def batch_norm_running_cpu(mean, var, count, momentum, running_mean, running_var):
    """Move the running statistics towards those of a batch of `count` elements a channel."""
    m = momentum[0]
    unbias = count / (count - 1)
    for c in range(mean.size):
        old_mean = np.float64(running_mean[c])
        old_var = np.float64(running_var[c])
        running_mean[c] = (1 - m) * old_mean + m * mean[c]
        running_var[c] = (1 - m) * old_var + m * (var[c] * unbias)


def batch_norm_eval_cpu(
    x: Array,
    weight: Array,
    bias: Array,
    running_mean: Array,
    running_var: Array,
    eps: float,
    y: Array,
) -> None:
    """Compute y on the CPU from the running statistics."""
    large = x.size >= PARALLEL_STATS
    if x.shape[2] == 1:
        y = y.reshape(y.shape[:2])
        x = x.reshape(y.shape)
        stream = large and streams(y)
        ROWS_EVAL[large](x, weight, bias, running_mean, running_var, eps, y, stream)
    else:
        PLANES_EVAL[large](x, weight, bias, running_mean, running_var, eps, y)


def batch_norm_backward_cpu(
    dy: Array, x: Array, weight: Array, mean: Array, rstd: Array, dx: Array, dw: Array, db: Array
) -> None:
    """Compute dx, and dw and db where there is a weight, on the CPU."""
    run_backward(dy, x, x.size / max(1, mean.size), weight, mean, rstd, dx, dw, db)


def batch_norm_eval_backward_cpu(
    dy: Array,
    x: Array,
    weight: Array,
    running_mean: Array,
    running_var: Array,
    eps: float,
    dx: Array,
    dw: Array,
    db: Array,
) -> None:
    """Compute the gradients on the CPU with the statistics taken for constants."""
    rstd = 1 / np.sqrt(running_var + eps)
    # Constant statistics are those of infinitely many values: this batch's share in them is 0.
    run_backward(dy, x, np.inf, weight, running_mean, rstd, dx, dw, db)


def run_backward(
    dy: Array,
    x: Array,
    count: float,
    weight: Array,
    mean: Array,
    rstd: Array,
    dx: Array,
    dw: Array,
    db: Array,
) -> None:
    """Launch the backward loops for x's shape and size.

    count: the elements that a channel's statistics were taken over, inf for constant statistics.
    """
    large = x.size >= PARALLEL_STATS
    if x.shape[2] == 1:
        dx = dx.reshape(dx.shape[:2])
        x = x.reshape(dx.shape)
        dy = dy.reshape(dx.shape)
        stream = large and streams(dx)
        ROWS_BACKWARD[large](dy, x, count, weight, mean, rstd, dx, dw, db, stream)
    else:
        PLANES_BACKWARD[large](dy, x, count, weight, mean, rstd, dx, dw, db)


def cost(flops: int, again: int) -> Any:
    """Return a cost function: flops an element; all arrays once, `again` of x's size more."""

    def count(x: Array, *rest: Any) -> tuple[int, int]:
        """Return the flops and the bytes of a launch on x."""
        arrays = [x, *(a for a in rest if isinstance(a, np.ndarray))]
        return flops * x.size, sum(a.nbytes for a in arrays) + again * x.nbytes

    return count


KERNELS = {
    "batch_norm_forward": Kernel(
        batch_norm_forward_reference,
        batch_norm_forward_cpu,
        cost(8, 1),
        out=("mean", "var", "rstd", "y"),
    ),
    "batch_norm_running": Kernel(
        batch_norm_running_reference,
        batch_norm_running_cpu,
        cost(7, 0),
        out=(),
        inout=("running_mean", "running_var"),
    ),
    "batch_norm_eval": Kernel(batch_norm_eval_reference, batch_norm_eval_cpu, cost(4, 0)),
    "batch_norm_backward": Kernel(
        batch_norm_backward_reference, batch_norm_backward_cpu, cost(11, 2), out=("dx", "dw", "db")
    ),
    "batch_norm_eval_backward": Kernel(
        batch_norm_eval_backward_reference,
        batch_norm_eval_backward_cpu,
        cost(11, 2),
        out=("dx", "dw", "db"),
    ),
}
