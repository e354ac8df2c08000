"""Batch normalisation of a 2-D x: (N, C), streamed row by row: see `batch_norm.py`.

Chunks of ROWS rows give partial sums about the chunk's first row, which never cancel badly (the sum
of squares is at most 1 + ROWS times that of the deviations); Chan's formula merges them in order in
float64.  Chunks depend on N alone, so bits never depend on the number of threads.

Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm" (1979).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigrad_kernels.launch import jit

ROWS = 32  # rows of one chunk of partial sums


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
    """Write y = (x - mean) * scale + offset."""
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
    """Add the chunks in order; write dw, db and the coefficients of `gradient_rows`."""
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
    """Write dx = scale * (dy - shift - (x - mean) * slope)."""
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
