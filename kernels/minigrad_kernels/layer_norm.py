"""Layer normalisation over axis 1 of x: (N, D).

    mean = sum x / D,  var = sum (x - mean)^2 / D,  rstd = 1 / sqrt(var + eps)
    y = (x - mean) * rstd * weight + bias
    dx = rstd * (g - sum g / D - xhat * sum(g * xhat) / D),  g = dy * weight
    dw = sum_n dy * xhat,  db = sum_n dy

dw and db are summed over chunks
of ROWS rows and the chunks added in order, so that bits never depend on the number of threads.

Shapes: x, y, dy, dx: (N, D) C-contiguous; mean, rstd: (N,); weight, bias, dw, db: (D,), or (0,)
for none.
Source: Ba, Kiros and Hinton, "Layer normalization" (2016).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.launch import Kernel, jit
from minigrad_kernels.moments import centred_sums, moments

Array = np.ndarray[Any, Any]

ROWS = 32  # rows of one chunk of partial sums
PARALLEL_ROWS = 32_768  # elements from which two threads pay for their fork and join


# ---------------------------------------------------------------- references
def layer_norm_forward_reference(
    x: Array, weight: Array, bias: Array, eps: float, mean: Array, rstd: Array, y: Array
) -> None:
    if x.size == 0:
        return
    wide = x.astype(np.float64)
    centre = wide.mean(axis=1)
    scale = 1 / np.sqrt(wide.var(axis=1) + eps)
    mean[...] = centre
    rstd[...] = scale
    xhat = (wide - centre[:, None]) * scale[:, None]
    y[...] = (xhat * weight if weight.size else xhat) + (bias if bias.size else 0)


def layer_norm_backward_reference(
    dy: Array, x: Array, weight: Array, mean: Array, rstd: Array, dx: Array, dw: Array, db: Array
) -> None:
    wide = dy.astype(np.float64)
    scale = rstd.astype(np.float64)[:, None]
    xhat = (x - mean.astype(np.float64)[:, None]) * scale
    if weight.size:
        dw[...] = (wide * xhat).sum(axis=0)
        db[...] = wide.sum(axis=0)
    if x.size:
        g = wide * weight if weight.size else wide
        along = xhat * (g * xhat).mean(axis=1, keepdims=True)
        dx[...] = scale * (g - g.mean(axis=1, keepdims=True) - along)


# ---------------------------------------------------------------- one row
@jit(fastmath={"contract"})
def forward_row(x, weight, bias, eps, mean, rstd, y, i):
    row = x[i]
    out = y[i]
    kind = x.dtype.type
    centre, square = moments(row)
    m = kind(centre)
    r = kind(1 / np.sqrt(square / row.size + eps))
    mean[i] = m
    rstd[i] = r
    if weight.size and bias.size:
        for j in range(row.size):
            out[j] = (row[j] - m) * r * weight[j] + bias[j]
    elif weight.size:
        for j in range(row.size):
            out[j] = (row[j] - m) * r * weight[j]
    else:
        for j in range(row.size):
            out[j] = (row[j] - m) * r
        if bias.size:
            for j in range(row.size):
                out[j] += bias[j]


@jit(fastmath={"contract", "reassoc"})
def weighted_sums(dy, x, weight, mean):
    """Return sum dy * weight and sum dy * weight * (x - mean)."""
    total = x.dtype.type(0)
    product = x.dtype.type(0)
    for j in range(x.size):
        g = dy[j] * weight[j]
        total += g
        product += g * (x[j] - mean)
    return total, product


@jit(fastmath={"contract"})
def gradient_row(dy, x, weight, mean, rstd, dx):
    size = x.dtype.type(x.size)
    if weight.size:
        total, product = weighted_sums(dy, x, weight, mean)
    else:
        total, product = centred_sums(dy, x, mean)
    shift = total / size
    slope = product * rstd * rstd / size
    if weight.size:
        for j in range(x.size):
            dx[j] = rstd * (dy[j] * weight[j] - shift - (x[j] - mean) * slope)
    else:
        for j in range(x.size):
            dx[j] = rstd * (dy[j] - shift - (x[j] - mean) * slope)


@jit(fastmath={"contract"})
def parameter_sums(dy, x, mean, rstd, dw, db):
    """Add one row's share to dw and db of its chunk."""
    for j in range(x.size):
        w = dw[j] + dy[j] * ((x[j] - mean) * rstd)
        b = db[j] + dy[j]
        dw[j] = w
        db[j] = b


# ---------------------------------------------------------------- all rows
def forward(x, weight, bias, eps, mean, rstd, y):
    for i in prange(len(x)):
        forward_row(x, weight, bias, eps, mean, rstd, y, i)


@jit()
def backward_chunk(dy, x, weight, mean, rstd, dx, dw, db, first):
    dw[:] = 0
    db[:] = 0
    for i in range(first, min(len(x), first + ROWS)):
        gradient_row(dy[i], x[i], weight, mean[i], rstd[i], dx[i])
        if weight.size:
            parameter_sums(dy[i], x[i], mean[i], rstd[i], dw, db)


@jit()
def add_chunks(parts, total):
    wide = np.zeros(total.size, np.float64)
    for k in range(len(parts)):
        part = parts[k]
        for j in range(total.size):
            wide[j] += part[j]
    for j in range(total.size):
        total[j] = wide[j]


def backward(dy, x, weight, mean, rstd, dx, dw, db):
    chunks = (len(x) + ROWS - 1) // ROWS
    dws = np.empty((chunks, weight.size), x.dtype)
    dbs = np.empty((chunks, weight.size), x.dtype)
    for k in prange(chunks):
        backward_chunk(dy, x, weight, mean, rstd, dx, dws[k], dbs[k], k * ROWS)
    if weight.size:
        add_chunks(dws, dw)
        add_chunks(dbs, db)


forward_small = jit(name="layer_norm.forward.small")(forward)
forward_large = jit(name="layer_norm.forward.large", parallel=True)(forward)
backward_small = jit(name="layer_norm.backward.small")(backward)
backward_large = jit(name="layer_norm.backward.large", parallel=True)(backward)


def layer_norm_forward_cpu(
    x: Array, weight: Array, bias: Array, eps: float, mean: Array, rstd: Array, y: Array
) -> None:
    run = forward_small if x.size < PARALLEL_ROWS else forward_large
    run(x, weight, bias, eps, mean, rstd, y)


def layer_norm_backward_cpu(
    dy: Array, x: Array, weight: Array, mean: Array, rstd: Array, dx: Array, dw: Array, db: Array
) -> None:
    run = backward_small if x.size < PARALLEL_ROWS else backward_large
    run(dy, x, weight, mean, rstd, dx, dw, db)


def forward_cost(x: Array, *rest: Any) -> tuple[int, int]:
    return 8 * x.size, x.nbytes + sum(a.nbytes for a in rest if isinstance(a, np.ndarray))


def backward_cost(*arrays: Array) -> tuple[int, int]:
    return 15 * arrays[0].size, sum(a.nbytes for a in arrays)


KERNELS = {
    "layer_norm_forward": Kernel(
        layer_norm_forward_reference,
        layer_norm_forward_cpu,
        forward_cost,
        out=("mean", "rstd", "y"),
    ),
    "layer_norm_backward": Kernel(
        layer_norm_backward_reference,
        layer_norm_backward_cpu,
        backward_cost,
        out=("dx", "dw", "db"),
    ),
}
