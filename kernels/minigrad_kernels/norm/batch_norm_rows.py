"""Batch normalisation of a 2-D x: (N, C), in tasks of rows and columns: see norm/batch_norm.py.

A task walks BLOCK rows at a time, so that what belongs to a column is read once for all of them,
and asks for the next block's lines meanwhile.  ROWS rows give sums about the first of them, which
never cancel badly (the sum of squares is at most 1 + ROWS times that of the deviations); Chan's
formula merges them in order in float64.  Tasks depend on the sizes alone, so bits never depend on
the number of threads.

Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm" (1979).
"""

from __future__ import annotations

import numpy as np
from numba import prange

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.simd.lanes import fence, fma, load, splat, store, width
from minigrad_kernels.simd.registers import VECTOR_BYTES, address, prefetch
from minigrad_kernels.simd.row_tasks import BLOCK, ROWS, add_parts, task_rows

COLUMNS = 1_024  # of a task: 4 KB of a float32 row, so that a column's sums stay in the L1 cache


@jit()
def tasks_of(x):
    """Return how many parts the rows of x, and how many its columns, are split into."""
    size = task_rows(len(x))
    return (len(x) + size - 1) // size, (x.shape[1] + COLUMNS - 1) // COLUMNS


@jit()
def extent(x, task):
    """Return a task's first row, row after the last, first column and number of columns."""
    size = task_rows(len(x))
    column_blocks = (x.shape[1] + COLUMNS - 1) // COLUMNS
    k = task // column_blocks
    first = task % column_blocks * COLUMNS
    return k * size, min(len(x), (k + 1) * size), first, min(COLUMNS, x.shape[1] - first)


@jit()
def place(a, row, column):
    """Return the address of a[row, column] of a 2-D array."""
    return address(a) + (row * a.shape[1] + column) * (VECTOR_BYTES // width(a))


# ---------------------------------------------------------------- moments
@jit(inline="always")
def moments_column(x, at, row, rows, shift, sums, squares, fresh, count):
    """Add x - shift and its square over a block of rows, one register of columns."""
    centre = load(x, shift, count)
    if fresh:
        s = q = splat(x.dtype.type(0))
    else:
        s = load(x, sums, count)
        q = load(x, squares, count)
    for _ in range(rows):
        prefetch(at + BLOCK * row, 0)
        d = load(x, at, count) - centre
        s = s + d
        q = fma(d, d, q)
        at += row
    store(s, x, sums, count, False)
    store(q, x, squares, count, False)


@jit()
def moments_task(x, parts, task):
    """Write the mean and the sum of squared deviations of a task's rows to parts: (tasks, 2, C)."""
    begin, end, left, block_columns = extent(x, task)
    lanes = width(x)
    row = x.shape[1] * (VECTOR_BYTES // lanes)
    sums = np.empty((2, block_columns), x.dtype)
    part = parts[begin // task_rows(len(x))]
    centre = part[0, left : left + block_columns]
    spread = part[1, left : left + block_columns]
    centre[:] = 0
    spread[:] = 0
    seen = 0.0
    for start in range(begin, end, ROWS):
        last = min(end, start + ROWS)
        for block in range(start, last, BLOCK):
            rows = min(BLOCK, last - block)
            at = place(x, block, left)
            shift = place(x, start, left)
            s = address(sums)
            q = place(sums, 1, 0)
            fresh = block == start
            for _ in range(block_columns // lanes):
                moments_column(x, at, row, rows, shift, s, q, fresh, lanes)
                at += VECTOR_BYTES
                shift += VECTOR_BYTES
                s += VECTOR_BYTES
                q += VECTOR_BYTES
            if block_columns % lanes:
                moments_column(x, at, row, rows, shift, s, q, fresh, block_columns % lanes)
        merge_rows(x[start], sums, left, last - start, seen, centre, spread)
        seen += last - start


@jit()
def merge_rows(shift, sums, left, rows, seen, centre, spread):
    """Merge sums about `shift` over some rows into the mean and spread of those `seen` before."""
    inverse = 1.0 / rows
    share = rows / (seen + rows)
    both = seen * share
    for c in range(centre.size):
        s = np.float64(sums[0, c])
        q = np.float64(sums[1, c])
        m = s * inverse
        d = np.float64(shift[left + c]) + m - centre[c]
        wider = spread[c] + (q - s * m + d * d * both)
        moved = centre[c] + d * share
        spread[c] = wider
        centre[c] = moved


@jit()
def merge_tasks(n, parts, mean, var):
    """Merge the tasks in order into the mean and the biased variance."""
    size = task_rows(n)
    centre = np.zeros(mean.size, np.float64)
    spread = np.zeros(mean.size, np.float64)
    seen = 0.0
    for k in range(len(parts)):
        rows = float(min(size, n - k * size))
        share = rows / (seen + rows)
        both = seen * share
        seen += rows
        part = parts[k]
        for c in range(mean.size):
            d = part[0, c] - centre[c]
            wider = spread[c] + (part[1, c] + d * d * both)
            moved = centre[c] + d * share
            spread[c] = wider
            centre[c] = moved
    for c in range(mean.size):
        mean[c] = centre[c]
        var[c] = spread[c] / seen


# ---------------------------------------------------------------- forward
@jit()
def coefficients(var, weight, bias, eps, rstd, scale, offset):
    """Write 1 / sqrt(var + eps), times the weight, and the bias (1 and 0 where there is none)."""
    for c in range(var.size):
        r = var.dtype.type(1 / np.sqrt(np.float64(var[c]) + eps))
        rstd[c] = r
        scale[c] = r * weight[c] if weight.size else r
        offset[c] = bias[c] if bias.size else var.dtype.type(0)


@jit(inline="always")
def normalise_column(x, at, out, row, rows, mean, scale, offset, count, stream):
    """Write (x - mean) * scale + offset over a block of rows, one register of columns."""
    m = load(x, mean, count)
    a = load(x, scale, count)
    b = load(x, offset, count)
    for _ in range(rows):
        prefetch(at + BLOCK * row, 0)
        if not stream:
            prefetch(out + BLOCK * row, 1)
        store(fma(load(x, at, count) - m, a, b), x, out, count, stream)
        at += row
        out += row


@jit()
def normalise_task(x, mean, scale, offset, y, task, stream):
    """Write y = (x - mean) * scale + offset."""
    begin, end, left, block_columns = extent(x, task)
    lanes = width(x)
    row = x.shape[1] * (VECTOR_BYTES // lanes)
    skip = left * (VECTOR_BYTES // lanes)
    for block in range(begin, end, BLOCK):
        rows = min(BLOCK, end - block)
        at = place(x, block, left)
        out = place(y, block, left)
        m = address(mean) + skip
        a = address(scale) + skip
        b = address(offset) + skip
        for _ in range(block_columns // lanes):
            normalise_column(x, at, out, row, rows, m, a, b, lanes, stream)
            at += VECTOR_BYTES
            out += VECTOR_BYTES
            m += VECTOR_BYTES
            a += VECTOR_BYTES
            b += VECTOR_BYTES
        if block_columns % lanes:
            normalise_column(x, at, out, row, rows, m, a, b, block_columns % lanes, False)
    if stream:
        fence()


def rows_forward(x, weight, bias, eps, mean, var, rstd, y, stream):
    """Write mean, var, rstd and y of x: (N, C), in tasks of rows and columns."""
    row_blocks, column_blocks = tasks_of(x)
    parts = np.empty((row_blocks, 2, mean.size), np.float64)
    for task in prange(row_blocks * column_blocks):
        moments_task(x, parts, task)
    merge_tasks(len(x), parts, mean, var)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for task in prange(row_blocks * column_blocks):
        normalise_task(x, mean, scale, offset, y, task, stream)


def rows_eval(x, weight, bias, mean, var, eps, y, stream):
    """Write y of x: (N, C) from given statistics, in tasks of rows and columns."""
    row_blocks, column_blocks = tasks_of(x)
    rstd = np.empty(mean.size, x.dtype)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    coefficients(var, weight, bias, eps, rstd, scale, offset)
    for task in prange(row_blocks * column_blocks):
        normalise_task(x, mean, scale, offset, y, task, stream)


# ---------------------------------------------------------------- backward
@jit(inline="always")
def sums_column(x, dy_at, x_at, row, rows, mean, sums, products, fresh, count):
    """Add dy and dy * (x - mean) over a block of rows, one register of columns."""
    m = load(x, mean, count)
    if fresh:
        s = p = splat(x.dtype.type(0))
    else:
        s = load(x, sums, count)
        p = load(x, products, count)
    for _ in range(rows):
        prefetch(dy_at + BLOCK * row, 0)
        prefetch(x_at + BLOCK * row, 0)
        g = load(x, dy_at, count)
        s = s + g
        p = fma(g, load(x, x_at, count) - m, p)
        dy_at += row
        x_at += row
    store(s, x, sums, count, False)
    store(p, x, products, count, False)


@jit()
def sums_task(dy, x, mean, parts, task):
    """Write the sums of dy and of dy * (x - mean) over a task's rows to parts: (tasks, 2, C)."""
    begin, end, left, block_columns = extent(x, task)
    lanes = width(x)
    row = x.shape[1] * (VECTOR_BYTES // lanes)
    sums = np.empty((2, block_columns), x.dtype)
    part = parts[begin // task_rows(len(x))]
    part[:, left : left + block_columns] = 0
    for start in range(begin, end, ROWS):
        last = min(end, start + ROWS)
        for block in range(start, last, BLOCK):
            rows = min(BLOCK, last - block)
            dy_at = place(dy, block, left)
            x_at = place(x, block, left)
            m = address(mean) + left * (VECTOR_BYTES // lanes)
            s = address(sums)
            p = place(sums, 1, 0)
            fresh = block == start
            for _ in range(block_columns // lanes):
                sums_column(x, dy_at, x_at, row, rows, m, s, p, fresh, lanes)
                dy_at += VECTOR_BYTES
                x_at += VECTOR_BYTES
                m += VECTOR_BYTES
                s += VECTOR_BYTES
                p += VECTOR_BYTES
            if block_columns % lanes:
                sums_column(x, dy_at, x_at, row, rows, m, s, p, fresh, block_columns % lanes)
        for k in range(2):
            whole = part[k, left : left + block_columns]
            for c in range(block_columns):
                whole[c] += sums[k, c]


@jit()
def gradient_coefficients(sums, products, count, weight, rstd, dw, db, scale, shift, slope):
    """Write dw, db and the coefficients of `gradient_task`; sums, products: (C,) float64."""
    for c in range(rstd.size):
        r = np.float64(rstd[c])
        scale[c] = rstd[c] * weight[c] if weight.size else rstd[c]
        shift[c] = sums[c] / count
        slope[c] = products[c] * r * r / count
        if weight.size:
            dw[c] = products[c] * r
            db[c] = sums[c]


@jit(inline="always")
def gradient_column(x, dy_at, x_at, out, row, rows, mean, scale, shift, slope, count, stream):
    """Write a block's scale * (dy - shift - (x - mean) * slope), one register of columns."""
    m = load(x, mean, count)
    a = load(x, scale, count)
    b = load(x, shift, count)
    k = load(x, slope, count)
    for _ in range(rows):
        prefetch(dy_at + BLOCK * row, 0)
        prefetch(x_at + BLOCK * row, 0)
        if not stream:
            prefetch(out + BLOCK * row, 1)
        d = load(x, x_at, count) - m
        store(a * (load(x, dy_at, count) - b - d * k), x, out, count, stream)
        dy_at += row
        x_at += row
        out += row


@jit()
def gradient_task(dy, x, mean, scale, shift, slope, dx, task, stream):
    """Write dx = scale * (dy - shift - (x - mean) * slope); dx may be dy."""
    begin, end, left, block_columns = extent(x, task)
    lanes = width(x)
    row = x.shape[1] * (VECTOR_BYTES // lanes)
    skip = left * (VECTOR_BYTES // lanes)
    for block in range(begin, end, BLOCK):
        rows = min(BLOCK, end - block)
        dy_at = place(dy, block, left)
        x_at = place(x, block, left)
        out = place(dx, block, left)
        m = address(mean) + skip
        a = address(scale) + skip
        b = address(shift) + skip
        k = address(slope) + skip
        for _ in range(block_columns // lanes):
            gradient_column(x, dy_at, x_at, out, row, rows, m, a, b, k, lanes, stream)
            dy_at += VECTOR_BYTES
            x_at += VECTOR_BYTES
            out += VECTOR_BYTES
            m += VECTOR_BYTES
            a += VECTOR_BYTES
            b += VECTOR_BYTES
            k += VECTOR_BYTES
        if block_columns % lanes:
            gradient_column(
                x, dy_at, x_at, out, row, rows, m, a, b, k, block_columns % lanes, False
            )
    if stream:
        fence()


def rows_backward(dy, x, count, weight, mean, rstd, dx, dw, db, stream):
    """Write dx, dw and db of x: (N, C), in tasks of rows and columns; count: rows, or inf."""
    row_blocks, column_blocks = tasks_of(x)
    parts = np.empty((row_blocks, 2, mean.size), np.float64)
    for task in prange(row_blocks * column_blocks):
        sums_task(dy, x, mean, parts, task)
    sums = np.empty((2, mean.size), np.float64)
    add_parts(parts, sums[0], sums[1])
    scale = np.empty(mean.size, x.dtype)
    shift = np.empty(mean.size, x.dtype)
    slope = np.empty(mean.size, x.dtype)
    gradient_coefficients(sums[0], sums[1], count, weight, rstd, dw, db, scale, shift, slope)
    for task in prange(row_blocks * column_blocks):
        gradient_task(dy, x, mean, scale, shift, slope, dx, task, stream)
