"""Layer normalisation over axis 1 of x: (N, D).

    mean = sum x / D,  var = sum (x - mean)^2 / D,  rstd = 1 / sqrt(var + eps)
    y = (x - mean) * rstd * weight + bias
    dx = rstd * (g - sum g / D - xhat * sum(g * xhat) / D),  g = dy * weight
    dw = sum_n dy * xhat,  db = sum_n dy

dw and db are summed over ROWS rows at a time, these in float64 over the rows of a task, and the
tasks in order, so that bits never depend on the number of threads.

Shapes: x, y, dy, dx: (N, D) C-contiguous; mean, rstd: (N,); weight, bias, dw, db: (D,), or (0,)
for none.
Source: Ba, Kiros and Hinton, "Layer normalization" (2016).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.math.moments import moments_at
from minigrad_kernels.simd.lanes import fence, fma, load, splat, store, total, width
from minigrad_kernels.simd.registers import VECTOR_BYTES, address, prefetch
from minigrad_kernels.simd.row_tasks import BLOCK, ROWS, add_parts, streams, task_rows

Array = np.ndarray[Any, Any]

PARALLEL_ROWS = 32_768  # elements from which two threads pay for their fork and join


# ---------------------------------------------------------------- references
def layer_norm_forward_reference(
    x: Array, weight: Array, bias: Array, eps: float, mean: Array, rstd: Array, y: Array
) -> None:
    """Compute mean, rstd and y in float64: see the module for shapes."""
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
    """Compute dx, and dw and db where there is a weight, in float64."""
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


# ---------------------------------------------------------------- forward
@jit(inline="always")
def normalise_step(x, at, out, m, r, w, b, count, stream):
    """Write (x - m) * r * weight + bias; w, b: addresses, or 0 for none."""
    v = (load(x, at, count) - m) * r
    if w and b:
        v = fma(v, load(x, w, count), load(x, b, count))
    elif w:
        v = v * load(x, w, count)
    elif b:
        v = v + load(x, b, count)
    store(v, x, out, count, stream)


@jit()
def forward_rows(x, weight, bias, eps, mean, rstd, y, begin, end, stream):
    """Write mean, rstd and y of the rows from `begin` to `end`."""
    n = x.shape[1]
    lanes = width(x)
    row = n * (VECTOR_BYTES // lanes)
    kind = x.dtype.type
    affine = address(weight) if weight.size else 0
    shift = address(bias) if bias.size else 0
    at = address(x) + begin * row
    out = address(y) + begin * row
    for i in range(begin, end):
        centre, square = moments_at(x, at, n)
        mean[i] = kind(centre)
        rstd[i] = kind(1 / np.sqrt(square / n + eps))
        m = splat(mean[i])
        r = splat(rstd[i])
        w = affine
        b = shift
        for _ in range(n // lanes):
            prefetch(at + row, 0)
            if not stream:
                prefetch(out + row, 1)
            normalise_step(x, at, out, m, r, w, b, lanes, stream)
            at += VECTOR_BYTES
            out += VECTOR_BYTES
            w += VECTOR_BYTES if affine else 0
            b += VECTOR_BYTES if shift else 0
        rest = n % lanes
        if rest:
            normalise_step(x, at, out, m, r, w, b, rest, False)
            at += rest * (VECTOR_BYTES // lanes)
            out += rest * (VECTOR_BYTES // lanes)
    if stream:
        fence()


def layer_norm_forward(x, weight, bias, eps, mean, rstd, y, stream):
    """Write mean, rstd and y of all rows, ROWS a task."""
    for k in prange((len(x) + ROWS - 1) // ROWS):
        end = min(len(x), (k + 1) * ROWS)
        forward_rows(x, weight, bias, eps, mean, rstd, y, k * ROWS, end, stream)


# ---------------------------------------------------------------- backward
@jit(inline="always")
def sums_step(x, dy_at, x_at, w, m, a, b, count):
    """Return a + sum of dy * weight, and b + sum of dy * weight * (x - m), lane by lane."""
    g = load(x, dy_at, count)
    if w:
        g = g * load(x, w, count)
    return a + g, fma(g, load(x, x_at, count) - m, b)


@jit(inline="always")
def row_sums(x, dy_at, x_at, w, n, mean, out, ahead):
    """Return the sums of dy * weight and of dy * weight * (x - mean) of a row.

    Asks for the lines `ahead` bytes further on, and for those of dx, at `out`, if that is not 0.
    """
    lanes = width(x)
    m = splat(mean)
    a = b = c = d = splat(x.dtype.type(0))
    rest = n % (2 * lanes)
    next_w = VECTOR_BYTES if w else 0
    for _ in range(n // (2 * lanes)):
        prefetch(x_at + ahead, 0)
        prefetch(dy_at + ahead, 0)
        a, b = sums_step(x, dy_at, x_at, w, m, a, b, lanes)
        dy_at += VECTOR_BYTES
        x_at += VECTOR_BYTES
        w += next_w
        prefetch(x_at + ahead, 0)
        prefetch(dy_at + ahead, 0)
        c, d = sums_step(x, dy_at, x_at, w, m, c, d, lanes)
        dy_at += VECTOR_BYTES
        x_at += VECTOR_BYTES
        w += next_w
        if out:
            prefetch(out, 1)
            prefetch(out + VECTOR_BYTES, 1)
            out += 2 * VECTOR_BYTES
    for k in range(0, rest, lanes):
        a, b = sums_step(x, dy_at, x_at, w, m, a, b, rest - k)
        dy_at += VECTOR_BYTES
        x_at += VECTOR_BYTES
        w += next_w
    return total(a + c), total(b + d)


@jit(inline="always")
def gradient_columns(x, dy_at, x_at, out, row, rows, each, w, dw, db, count, stream):
    """Write one register's columns of dx in a block of rows, and add to their dw and db.

    dx = rstd * (dy * weight - shift - (x - mean) * slope)

    each: (4, BLOCK) mean, rstd, shift and slope of the rows.  w, dw, db: addresses, or 0 for none.
    """
    if w:
        factor = load(x, w, count)
        products = load(x, dw, count)
        sums = load(x, db, count)
    for i in range(rows):
        r = splat(each[1, i])
        g = load(x, dy_at, count)
        d = load(x, x_at, count) - splat(each[0, i])
        if w:
            products = fma(g, d * r, products)
            sums = sums + g
            g = g * factor
        v = r * (g - splat(each[2, i]) - d * splat(each[3, i]))
        store(v, x, out, count, stream)
        dy_at += row
        x_at += row
        out += row
    if w:
        store(products, x, dw, count, False)
        store(sums, x, db, count, False)


@jit(inline="always")
def backward_block(dy, x, weight, mean, rstd, dx, each, sums, begin, end, stream):
    """Write dx of at most BLOCK rows, and add their dw and db to sums: (2, D)."""
    n = x.shape[1]
    lanes = width(x)
    row = n * (VECTOR_BYTES // lanes)
    kind = x.dtype.type
    dy_at = address(dy) + begin * row
    x_at = address(x) + begin * row
    out = address(dx) + begin * row
    w = address(weight) if weight.size else 0
    for i in range(begin, end):
        offset = (i - begin) * row
        soon = 0 if stream else out + offset
        g, p = row_sums(x, dy_at + offset, x_at + offset, w, n, mean[i], soon, BLOCK * row)
        each[0, i - begin] = mean[i]
        each[1, i - begin] = rstd[i]
        each[2, i - begin] = g / kind(n)
        each[3, i - begin] = p * rstd[i] * rstd[i] / kind(n)
    dw = address(sums)
    db = dw + row
    rows = end - begin
    for _ in range(n // lanes):
        gradient_columns(x, dy_at, x_at, out, row, rows, each, w, dw, db, lanes, stream)
        dy_at += VECTOR_BYTES
        x_at += VECTOR_BYTES
        out += VECTOR_BYTES
        dw += VECTOR_BYTES
        db += VECTOR_BYTES
        w += VECTOR_BYTES if w else 0
    rest = n % lanes
    if rest:
        gradient_columns(x, dy_at, x_at, out, row, rows, each, w, dw, db, rest, False)


@jit()
def backward_rows(dy, x, weight, mean, rstd, dx, parts, begin, end, stream):
    """Write dx of rows begin to end, and the sums for dw and db to parts: (2, D) float64."""
    each = np.empty((4, BLOCK), x.dtype)
    sums = np.zeros((2, weight.size), x.dtype)
    parts[:] = 0
    for start in range(begin, end, ROWS):
        last = min(end, start + ROWS)
        for block in range(start, last, BLOCK):
            stop = min(last, block + BLOCK)
            backward_block(dy, x, weight, mean, rstd, dx, each, sums, block, stop, stream)
        for p in range(2):
            for j in range(weight.size):
                parts[p, j] += sums[p, j]
            sums[p, :] = 0
    if stream:
        fence()


def layer_norm_backward(dy, x, weight, mean, rstd, dx, dw, db, stream):
    """Write dx of all rows, and dw and db from the tasks' sums in order."""
    size = task_rows(len(x))
    tasks = (len(x) + size - 1) // size
    parts = np.empty((tasks, 2, weight.size), np.float64)
    for k in prange(tasks):
        end = min(len(x), (k + 1) * size)
        backward_rows(dy, x, weight, mean, rstd, dx, parts[k], k * size, end, stream)
    if weight.size:
        add_parts(parts, dw, db)


forward_small, forward_large = small_and_large("layer_norm.forward", layer_norm_forward)
backward_small, backward_large = small_and_large("layer_norm.backward", layer_norm_backward)


def layer_norm_forward_cpu(
    x: Array, weight: Array, bias: Array, eps: float, mean: Array, rstd: Array, y: Array
) -> None:
    """Compute mean, rstd and y on the CPU: see the module for shapes."""
    if x.size < PARALLEL_ROWS:
        forward_small(x, weight, bias, eps, mean, rstd, y, False)
    else:
        forward_large(x, weight, bias, eps, mean, rstd, y, streams(y))


def layer_norm_backward_cpu(
    dy: Array, x: Array, weight: Array, mean: Array, rstd: Array, dx: Array, dw: Array, db: Array
) -> None:
    """Compute dx, and dw and db where there is a weight, on the CPU."""
    if x.size < PARALLEL_ROWS:
        backward_small(dy, x, weight, mean, rstd, dx, dw, db, False)
    else:
        backward_large(dy, x, weight, mean, rstd, dx, dw, db, streams(dx))


def forward_cost(x: Array, *rest: Any) -> tuple[int, int]:
    """Return the flops and the bytes of `layer_norm_forward`."""
    return 8 * x.size, x.nbytes + sum(a.nbytes for a in rest if isinstance(a, np.ndarray))


def backward_cost(*arrays: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `layer_norm_backward`."""
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
