"""Batch normalisation over axes 0 and 2 of x: (N, C, S); S = 1 for a 2-D input, H * W for images.

    mean = sum x / (N S),  var = sum (x - mean)^2 / (N S),  rstd = 1 / sqrt(var + eps)
    y = (x - mean) * rstd * weight + bias
    dx = weight * rstd * (dy - db / (N S) - xhat * dw / (N S)),  dw = sum dy * xhat,  db = sum dy

The running statistics take the unbiased variance: running += momentum * (new - running).

Memory is streamed row by row: chunks of ROWS rows give partial sums about the chunk's first row, which never
cancel badly (sum of squares <= (1 + ROWS) * sum of squared deviations), and Chan's formula merges them in order in
float64.  Chunks depend on N alone, so bits never depend on the number of threads.

Shapes: x, dx, y: (N, C, S); mean, var, rstd: (C,); weight, bias, dw, db: (C,), or all (0,) for none.
Source: Ioffe and Szegedy, "Batch normalization" (ICML 2015); Chan et al., "Updating formulae" (1979).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.launch import Kernel, jit

Array = np.ndarray[Any, Any]

ROWS = 32  # rows of one chunk of partial sums
SEGMENT = 1_024  # elements of a plane summed at a time: 4 KB
PARALLEL_STATS = 32_768  # elements from which two threads pay (measured at 64 to 1024 rows and columns)


# ---------------------------------------------------------------- references
def per_channel(values: Array, size: int, neutral: float) -> Array:
    return (values.astype(np.float64) if values.size else np.full(size, neutral))[:, None]


def batch_norm_forward_reference(
    x: Array, weight: Array, bias: Array, eps: float, mean: Array, var: Array, rstd: Array, y: Array
) -> None:
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
    m = float(momentum[0])
    unbiased = var.astype(np.float64) * (count / (count - 1))
    running_mean[...] = (1 - m) * running_mean.astype(np.float64) + m * mean
    running_var[...] = (1 - m) * running_var.astype(np.float64) + m * unbiased


def batch_norm_eval_reference(
    x: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array, eps: float, y: Array
) -> None:
    scale = 1 / np.sqrt(running_var.astype(np.float64) + eps)
    y[...] = (x - running_mean.astype(np.float64)[:, None]) * scale[:, None] * per_channel(
        weight, scale.size, 1
    ) + per_channel(bias, scale.size, 0)


def batch_norm_backward_reference(
    dy: Array, x: Array, weight: Array, mean: Array, rstd: Array, dx: Array, dw: Array, db: Array
) -> None:
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
    g = dy.astype(np.float64)
    scale = 1 / np.sqrt(running_var.astype(np.float64) + eps)[:, None]
    dx[...] = g * scale * per_channel(weight, running_mean.size, 1)
    if weight.size:
        dw[...] = (g * (x - running_mean.astype(np.float64)[:, None]) * scale).sum(axis=(0, 2))
        db[...] = g.sum(axis=(0, 2))


# ---------------------------------------------------------------- rows: x: (N, C)
@jit(fastmath={"contract"})
def row_moments(x, first, last, sums, squares):
    """Sum x - x[first] and its square over rows first to last, for every column."""
    shift = x[first]
    sums[:] = 0
    squares[:] = 0
    for i in range(first + 1, last):
        row = x[i]
        for c in range(row.size):
            d = row[c] - shift[c]
            s = sums[c] + d
            q = squares[c] + d * d
            sums[c] = s
            squares[c] = q


@jit()
def merge_moments(x, sums, squares, mean, var):
    """Merge the chunks' sums in order into the mean and the biased variance."""
    centre = np.zeros(mean.size, np.float64)
    spread = np.zeros(mean.size, np.float64)
    seen = 0.0
    for k in range(len(sums)):
        rows = float(min(ROWS, len(x) - k * ROWS))
        share = rows / (seen + rows)
        both = seen * share
        seen += rows
        shift = x[k * ROWS]
        s_k = sums[k]
        q_k = squares[k]
        for c in range(mean.size):
            s = np.float64(s_k[c]) / rows
            d = shift[c] + s - centre[c]
            spread[c] += q_k[c] - s * s * rows + d * d * both
            centre[c] += d * share
    for c in range(mean.size):
        mean[c] = centre[c]
        var[c] = spread[c] / seen


@jit()
def coefficients(var, weight, bias, eps, rstd, scale, offset):
    """Write 1 / sqrt(var + eps), times the weight, and the bias (1 and 0 where there is none)."""
    for c in range(var.size):
        r = var.dtype.type(1 / np.sqrt(np.float64(var[c]) + eps))
        rstd[c] = r
        scale[c] = r * weight[c] if weight.size else r
        offset[c] = bias[c] if bias.size else var.dtype.type(0)


@jit(fastmath={"contract"})
def normalise_rows(x, mean, scale, offset, first, last, y):
    for i in range(first, last):
        row = x[i]
        out = y[i]
        for c in range(row.size):
            out[c] = (row[c] - mean[c]) * scale[c] + offset[c]


def rows_forward(x, weight, bias, eps, mean, var, rstd, y):
    chunks = (len(x) + ROWS - 1) // ROWS
    sums = np.empty((chunks, mean.size), x.dtype)
    squares = np.empty((chunks, mean.size), x.dtype)
    for k in prange(chunks):
        row_moments(x, k * ROWS, min(len(x), (k + 1) * ROWS), sums[k], squares[k])
    merge_moments(x, sums, squares, mean, var)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for k in prange(chunks):
        normalise_rows(x, mean, scale, offset, k * ROWS, min(len(x), (k + 1) * ROWS), y)


def rows_eval(x, weight, bias, mean, var, eps, y):
    rstd = np.empty(mean.size, x.dtype)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for k in prange((len(x) + ROWS - 1) // ROWS):
        normalise_rows(x, mean, scale, offset, k * ROWS, min(len(x), (k + 1) * ROWS), y)


@jit(fastmath={"contract"})
def row_gradients(dy, x, mean, first, last, sums, products):
    """Sum dy and dy * (x - mean) over rows first to last, for every column."""
    sums[:] = 0
    products[:] = 0
    for i in range(first, last):
        row = x[i]
        g = dy[i]
        for c in range(row.size):
            s = sums[c] + g[c]
            p = products[c] + g[c] * (row[c] - mean[c])
            sums[c] = s
            products[c] = p


@jit()
def merge_gradients(sums, products, count, weight, rstd, dw, db, scale, shift, slope):
    """Add the chunks in order: dw, db and the coefficients of dx = scale * (dy - shift - (x - mean) * slope)."""
    total = np.zeros(rstd.size, np.float64)
    product = np.zeros(rstd.size, np.float64)
    for k in range(len(sums)):
        s_k = sums[k]
        p_k = products[k]
        for c in range(rstd.size):
            total[c] += s_k[c]
            product[c] += p_k[c]
    for c in range(rstd.size):
        r = np.float64(rstd[c])
        scale[c] = rstd[c] * weight[c] if weight.size else rstd[c]
        shift[c] = total[c] / count
        slope[c] = product[c] * r * r / count
        if weight.size:
            dw[c] = product[c] * r
            db[c] = total[c]


@jit(fastmath={"contract"})
def gradient_rows(dy, x, mean, scale, shift, slope, first, last, dx):
    for i in range(first, last):
        row = x[i]
        g = dy[i]
        out = dx[i]
        for c in range(row.size):
            out[c] = scale[c] * (g[c] - shift[c] - (row[c] - mean[c]) * slope[c])


def rows_backward(dy, x, count, weight, mean, rstd, dx, dw, db):
    chunks = (len(x) + ROWS - 1) // ROWS
    sums = np.empty((chunks, mean.size), x.dtype)
    products = np.empty((chunks, mean.size), x.dtype)
    for k in prange(chunks):
        last = min(len(x), (k + 1) * ROWS)
        row_gradients(dy, x, mean, k * ROWS, last, sums[k], products[k])
    scale = np.empty(mean.size, x.dtype)
    shift = np.empty(mean.size, x.dtype)
    slope = np.empty(mean.size, x.dtype)
    merge_gradients(sums, products, count, weight, rstd, dw, db, scale, shift, slope)
    for k in prange(chunks):
        last = min(len(x), (k + 1) * ROWS)
        gradient_rows(dy, x, mean, scale, shift, slope, k * ROWS, last, dx)


# ---------------------------------------------------------------- planes: x: (N, C, S)
@jit(fastmath={"contract", "reassoc"})
def segment_moments(x, first, last):
    """Return the mean of x[first:last] and the sum of squares about it, in two passes."""
    total = x.dtype.type(0)
    for i in range(first, last):
        total += x[i]
    mean = total / x.dtype.type(last - first)
    rest = x.dtype.type(0)
    square = x.dtype.type(0)
    for i in range(first, last):
        d = x[i] - mean
        rest += d
        square += d * d
    left = np.float64(rest)
    return np.float64(mean) + left / (last - first), square - left * left / (last - first)


@jit()
def plane_moments(x, channel, mean, var):
    centre = 0.0
    spread = 0.0
    seen = 0
    for n in range(len(x)):
        plane = x[n, channel]
        for first in range(0, plane.size, SEGMENT):
            last = min(plane.size, first + SEGMENT)
            m, q = segment_moments(plane, first, last)
            share = (last - first) / (seen + last - first)
            spread += q + (m - centre) * (m - centre) * seen * share
            centre += (m - centre) * share
            seen += last - first
    mean[channel] = centre
    var[channel] = spread / seen


@jit(fastmath={"contract"})
def normalise_planes(x, mean, scale, offset, channel, y):
    m = mean[channel]
    a = scale[channel]
    b = offset[channel]
    for n in range(len(x)):
        plane = x[n, channel]
        out = y[n, channel]
        for i in range(plane.size):
            out[i] = (plane[i] - m) * a + b


def planes_forward(x, weight, bias, eps, mean, var, rstd, y):
    for channel in prange(mean.size):
        plane_moments(x, channel, mean, var)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for channel in prange(mean.size):
        normalise_planes(x, mean, scale, offset, channel, y)


def planes_eval(x, weight, bias, mean, var, eps, y):
    rstd = np.empty(mean.size, x.dtype)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for channel in prange(mean.size):
        normalise_planes(x, mean, scale, offset, channel, y)


@jit(fastmath={"contract", "reassoc"})
def segment_gradients(dy, x, mean, first, last):
    total = x.dtype.type(0)
    product = x.dtype.type(0)
    for i in range(first, last):
        total += dy[i]
        product += dy[i] * (x[i] - mean)
    return total, product


@jit()
def plane_gradients(dy, x, mean, channel, sums, products):
    total = 0.0
    product = 0.0
    for n in range(len(x)):
        plane = x[n, channel]
        g = dy[n, channel]
        for first in range(0, plane.size, SEGMENT):
            s, p = segment_gradients(g, plane, mean[channel], first, min(plane.size, first + SEGMENT))
            total += s
            product += p
    sums[channel] = total
    products[channel] = product


@jit(fastmath={"contract"})
def gradient_planes(dy, x, mean, scale, shift, slope, channel, dx):
    m = mean[channel]
    a = scale[channel]
    s = shift[channel]
    k = slope[channel]
    for n in range(len(x)):
        plane = x[n, channel]
        g = dy[n, channel]
        out = dx[n, channel]
        for i in range(plane.size):
            out[i] = a * (g[i] - s - (plane[i] - m) * k)


def planes_backward(dy, x, count, weight, mean, rstd, dx, dw, db):
    sums = np.empty((1, mean.size), np.float64)
    products = np.empty((1, mean.size), np.float64)
    for channel in prange(mean.size):
        plane_gradients(dy, x, mean, channel, sums[0], products[0])
    scale = np.empty(mean.size, x.dtype)
    shift = np.empty(mean.size, x.dtype)
    slope = np.empty(mean.size, x.dtype)
    merge_gradients(sums, products, count, weight, rstd, dw, db, scale, shift, slope)
    for channel in prange(mean.size):
        gradient_planes(dy, x, mean, scale, shift, slope, channel, dx)


# ---------------------------------------------------------------- choice by size
def both(function: Any) -> tuple[Any, Any]:
    """Compile one source twice: sequential, where prange is range, and parallel."""
    name = f"batch_norm.{function.__name__}"
    return jit(name=f"{name}.small")(function), jit(name=f"{name}.large", parallel=True)(function)


FORWARD = (both(rows_forward), both(planes_forward))
EVAL = (both(rows_eval), both(planes_eval))
BACKWARD = (both(rows_backward), both(planes_backward))


def batch_norm_forward_cpu(
    x: Array, weight: Array, bias: Array, eps: float, mean: Array, var: Array, rstd: Array, y: Array
) -> None:
    large = x.size >= PARALLEL_STATS
    if x.shape[2] == 1:
        x = x.reshape(x.shape[:2])
        y = y.reshape(x.shape)
    FORWARD[x.ndim - 2][large](x, weight, bias, eps, mean, var, rstd, y)


@jit()
def batch_norm_running_cpu(mean, var, count, momentum, running_mean, running_var):
    m = momentum[0]
    unbias = count / (count - 1)
    for c in range(mean.size):
        old_mean = np.float64(running_mean[c])
        old_var = np.float64(running_var[c])
        running_mean[c] = (1 - m) * old_mean + m * mean[c]
        running_var[c] = (1 - m) * old_var + m * (var[c] * unbias)


def batch_norm_eval_cpu(
    x: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array, eps: float, y: Array
) -> None:
    large = x.size >= PARALLEL_STATS
    if x.shape[2] == 1:
        x = x.reshape(x.shape[:2])
        y = y.reshape(x.shape)
    EVAL[x.ndim - 2][large](x, weight, bias, running_mean, running_var, eps, y)


def batch_norm_backward_cpu(
    dy: Array, x: Array, weight: Array, mean: Array, rstd: Array, dx: Array, dw: Array, db: Array
) -> None:
    backward(dy, x, x.size / max(1, mean.size), weight, mean, rstd, dx, dw, db)


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
    rstd = 1 / np.sqrt(running_var + eps)
    # Constant statistics are those of infinitely many values: this batch's share in them is 0.
    backward(dy, x, np.inf, weight, running_mean, rstd, dx, dw, db)


def backward(
    dy: Array, x: Array, count: float, weight: Array, mean: Array, rstd: Array, dx: Array, dw: Array, db: Array
) -> None:
    large = x.size >= PARALLEL_STATS
    if x.shape[2] == 1:
        x = x.reshape(x.shape[:2])
        dy = dy.reshape(x.shape)
        dx = dx.reshape(x.shape)
    BACKWARD[x.ndim - 2][large](dy, x, count, weight, mean, rstd, dx, dw, db)


def cost(flops: int, written: int) -> Any:
    """Return a cost function: flops an element; every array once, but x and the gradient twice where sums come first."""

    def count(x: Array, *rest: Any) -> tuple[int, int]:
        arrays = [x, *(a for a in rest if isinstance(a, np.ndarray))]
        return flops * x.size, sum(a.nbytes for a in arrays) + written * x.nbytes

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
