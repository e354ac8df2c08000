"""Batch normalisation of x: (N, C), an activation and dropout, as one pass after the statistics.

    z = (x - mean) * rstd * weight + bias,  a = max(z, 0) if relu else z
    y = a * scale where word(i) >= p * 2^32, else 0
    g = dy * scale where kept and (z > 0 or not relu), else 0; dx, dw, db: batch_norm_backward of g

Each element is computed as `norm/batch_norm.py`, `relu` and `randomness/dropout.py` compute it one
after the other, bit by bit.  Nothing but x is kept: z and the mask, a function of (seed, stream,
call, i), are computed again in backward.

Shapes: x, y, dy, dx: (N, C) C-contiguous; mean, var, rstd: (C,); weight, bias, dw, db: (C,), or all
(0,) for none; call: (1,) int64; relu: 0 or 1; p in [0, 1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.math.philox import WORDS_AT_ONCE, element_words, halves
from minigrad_kernels.norm.batch_norm import (
    PARALLEL_STATS,
    batch_norm_backward_reference,
    batch_norm_forward_reference,
    both,
    cost,
)
from minigrad_kernels.norm.batch_norm_rows import (
    coefficients,
    extent,
    gradient_coefficients,
    gradient_task,
    merge_tasks,
    moments_task,
    place,
    tasks_of,
)
from minigrad_kernels.randomness.dropout import dropout_reference
from minigrad_kernels.simd.lanes import fma, kept, load, splat, store, where_positive, width
from minigrad_kernels.simd.registers import VECTOR_BYTES, address, prefetch
from minigrad_kernels.simd.row_tasks import ROWS, add_parts, task_rows

Array = np.ndarray[Any, Any]


WORDS = 4 * WORDS_AT_ONCE  # the most drawn for several rows


@jit()
def chunk_shape(x):
    """Return the rows and the columns that words are drawn for at a time.

    They are several narrow rows or a part of one; less some where a row may begin inside a block of
    four.
    """
    c = x.shape[1]
    spare = 0 if c % 4 == 0 else 4
    if 2 * c <= WORDS - spare:
        return (WORDS - spare) // c, c
    return 1, WORDS_AT_ONCE - (WORDS_AT_ONCE // 4 if spare else 0)


@jit()
def draw(key, call, first, count, words):
    """Write the words of `count` elements from `first` on; return the address of the first.

    key: (3,) uint64 seed's halves and stream.
    """
    size = (first % 4 + count + WORDS_AT_ONCE - 1) // WORDS_AT_ONCE * WORDS_AT_ONCE
    skip = element_words(key[0], key[1], key[2], call, first, words[:size])
    return address(words) + 4 * skip


# ---------------------------------------------------------------- references
def batch_norm_dropout_forward_reference(
    x: Array,
    weight: Array,
    bias: Array,
    eps: float,
    relu: int,
    p: float,
    scale: float,
    seed: int,
    stream: int,
    call: Array,
    mean: Array,
    var: Array,
    rstd: Array,
    y: Array,
) -> None:
    """Compute mean, biased var, rstd and y in float64, step after step."""
    z = np.empty((*x.shape, 1))
    batch_norm_forward_reference(x[:, :, None], weight, bias, eps, mean, var, rstd, z)
    a = np.maximum(z, 0) if relu else z
    dropout_reference(a[:, :, 0], p, scale, seed, stream, call, y)


def batch_norm_dropout_backward_reference(
    dy: Array,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    rstd: Array,
    relu: int,
    p: float,
    scale: float,
    seed: int,
    stream: int,
    call: Array,
    dx: Array,
    dw: Array,
    db: Array,
) -> None:
    """Compute dx, and dw and db where there is a weight, in float64, step after step."""
    g = np.empty(x.shape)
    dropout_reference(dy, p, scale, seed, stream, call, g)
    if relu:
        z = (x - mean.astype(np.float64)) * rstd
        if weight.size:
            z = z * weight + bias
        g[z <= 0] = 0
    column = dx[:, :, None]
    batch_norm_backward_reference(g[:, :, None], x[:, :, None], weight, mean, rstd, column, dw, db)


# ---------------------------------------------------------------- forward
@jit(inline="always")
def forward_step(x, at, m, a, b, relu, factor, least, words, out, count):
    """Write y of one register."""
    v = fma(load(x, at, count) - load(x, m, count), load(x, a, count), load(x, b, count))
    if relu:
        v = where_positive(v, v)
    store(kept(v * factor, words, least), x, out, count, False)


@jit()
def forward_task(x, mean, scale, offset, relu, least, factor, key, call, y, task):
    """Write y of a task; key: as `draw` takes it.

    Through the cache: (16384, 4096) takes 25 ms, and 53 with stores that go round it, which wait
    for the words between them.
    """
    begin, end, left, block_columns = extent(x, task)
    lanes = width(x)
    each = VECTOR_BYTES // lanes
    n = x.shape[1]
    # A register may be loaded from the last word on, whatever it holds.
    words = np.zeros(WORDS + VECTOR_BYTES, np.uint32)
    rows, step = chunk_shape(x)
    gain = splat(x.dtype.type(factor))
    for block in range(begin, end, rows):
        last = min(end, block + rows)
        for start in range(left, left + block_columns, step):
            count = min(step, left + block_columns - start)
            drawn = draw(key, call, block * n + start, (last - block - 1) * n + count, words)
            for i in range(block, last):
                at = place(x, i, start)
                out = place(y, i, start)
                w = drawn + 4 * (i - block) * n
                m = address(mean) + start * each
                a = address(scale) + start * each
                b = address(offset) + start * each
                for _ in range(count // lanes):
                    prefetch(at + n * each, 0)
                    prefetch(out + n * each, 1)
                    forward_step(x, at, m, a, b, relu, gain, least, w, out, lanes)
                    at += VECTOR_BYTES
                    out += VECTOR_BYTES
                    m += VECTOR_BYTES
                    a += VECTOR_BYTES
                    b += VECTOR_BYTES
                    w += 4 * lanes
                rest = count % lanes
                if rest:
                    forward_step(x, at, m, a, b, relu, gain, least, w, out, rest)


def dropout_rows_forward(x, weight, bias, eps, relu, least, factor, key, call, mean, var, rstd, y):
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
        forward_task(x, mean, scale, offset, relu, least, factor, key, call[0], y, task)


# ---------------------------------------------------------------- backward
@jit(inline="always")
def masked_step(x, dy_at, x_at, m, a, b, relu, factor, least, words, s, p, out, count):
    """Write g to `out`, and add it and g * (x - mean) to the sums at s and p."""
    g = kept(load(x, dy_at, count) * factor, words, least)
    d = load(x, x_at, count) - load(x, m, count)
    if relu:
        g = where_positive(fma(d, load(x, a, count), load(x, b, count)), g)
    store(g, x, out, count, False)
    store(load(x, s, count) + g, x, s, count, False)
    store(fma(g, d, load(x, p, count)), x, p, count, False)


@jit()
def masked_rows(x, dy_at, x_at, out, m, a, b, s, p, words, relu, factor, least, rows, count):
    """Do `masked_step` to `count` columns of some rows; all between x and relu are addresses."""
    lanes = width(x)
    row = x.shape[1] * (VECTOR_BYTES // lanes)
    whole = count // lanes * VECTOR_BYTES
    rest = count % lanes
    gain = splat(x.dtype.type(factor))
    for _ in range(rows):
        w = words
        for k in range(0, whole, VECTOR_BYTES):
            d = dy_at + k
            e = x_at + k
            f = out + k
            prefetch(d + row, 0)
            prefetch(e + row, 0)
            prefetch(f + row, 1)
            masked_step(x, d, e, m + k, a + k, b + k, relu, gain, least, w, s + k, p + k, f, lanes)
            w += 4 * lanes
        if rest:
            k = whole
            d = dy_at + k
            e = x_at + k
            f = out + k
            masked_step(x, d, e, m + k, a + k, b + k, relu, gain, least, w, s + k, p + k, f, rest)
        dy_at += row
        x_at += row
        out += row
        words += 4 * x.shape[1]


@jit()
def masked_task(dy, x, mean, scale, offset, relu, least, factor, key, call, dx, parts, task):
    """Write g of a task's rows to dx, and its sums to parts: (tasks, 2, C), as `sums_task` adds."""
    begin, end, left, block_columns = extent(x, task)
    each = VECTOR_BYTES // width(x)
    n = x.shape[1]
    words = np.zeros(WORDS + VECTOR_BYTES, np.uint32)
    sums = np.empty((2, block_columns), x.dtype)
    part = parts[begin // task_rows(len(x))]
    part[:, left : left + block_columns] = 0
    rows, step = chunk_shape(x)
    for first in range(begin, end, ROWS):
        sums[:] = 0
        last = min(end, first + ROWS)
        for block in range(first, last, rows):
            chunk_rows = min(rows, last - block)
            for start in range(left, left + block_columns, step):
                count = min(step, left + block_columns - start)
                drawn = draw(key, call, block * n + start, (chunk_rows - 1) * n + count, words)
                skip = start * each
                masked_rows(
                    *(x, place(dy, block, start), place(x, block, start), place(dx, block, start)),
                    *(address(mean) + skip, address(scale) + skip, address(offset) + skip),
                    *(place(sums, 0, start - left), place(sums, 1, start - left), drawn),
                    *(relu, factor, least, chunk_rows, count),
                )
        for k in range(2):
            whole = part[k, left : left + block_columns]
            for c in range(block_columns):
                whole[c] += sums[k, c]


def dropout_rows_backward(
    dy, x, weight, bias, mean, rstd, relu, least, factor, key, call, dx, dw, db
):
    """Write dx, dw and db of x: (N, C), in tasks of rows and columns; dx holds g in between."""
    row_blocks, column_blocks = tasks_of(x)
    scale = np.empty(mean.size, x.dtype)
    offset = np.empty(mean.size, x.dtype)
    for c in range(mean.size):
        scale[c] = rstd[c] * weight[c] if weight.size else rstd[c]
        offset[c] = bias[c] if bias.size else x.dtype.type(0)
    parts = np.empty((row_blocks, 2, mean.size), np.float64)
    for task in prange(row_blocks * column_blocks):
        masked_task(dy, x, mean, scale, offset, relu, least, factor, key, call[0], dx, parts, task)
    sums = np.empty((2, mean.size), np.float64)
    add_parts(parts, sums[0], sums[1])
    shift = np.empty(mean.size, x.dtype)
    slope = np.empty(mean.size, x.dtype)
    gradient_coefficients(
        sums[0], sums[1], float(len(x)), weight, rstd, dw, db, scale, shift, slope
    )
    for task in prange(row_blocks * column_blocks):
        gradient_task(dx, x, mean, scale, shift, slope, dx, task, False)


FORWARD = both(dropout_rows_forward)
BACKWARD = both(dropout_rows_backward)


def key_of(seed: int, stream: int) -> Array:
    """Return the seed's halves and the stream as the loops take them: (3,) uint64."""
    return np.array([*halves(seed), stream], np.uint64)


def batch_norm_dropout_forward_cpu(
    x: Array,
    weight: Array,
    bias: Array,
    eps: float,
    relu: int,
    p: float,
    scale: float,
    seed: int,
    stream: int,
    call: Array,
    mean: Array,
    var: Array,
    rstd: Array,
    y: Array,
) -> None:
    """Compute mean, biased var, rstd and y on the CPU: see the module for shapes."""
    large = x.size >= PARALLEL_STATS
    draw = relu, np.uint32(int(p * 2**32)), float(scale), key_of(seed, stream), call
    FORWARD[large](x, weight, bias, eps, *draw, mean, var, rstd, y)


def batch_norm_dropout_backward_cpu(
    dy: Array,
    x: Array,
    weight: Array,
    bias: Array,
    mean: Array,
    rstd: Array,
    relu: int,
    p: float,
    scale: float,
    seed: int,
    stream: int,
    call: Array,
    dx: Array,
    dw: Array,
    db: Array,
) -> None:
    """Compute dx, and dw and db where there is a weight, on the CPU."""
    draw = relu, np.uint32(int(p * 2**32)), float(scale), key_of(seed, stream), call
    BACKWARD[x.size >= PARALLEL_STATS](dy, x, weight, bias, mean, rstd, *draw, dx, dw, db)


KERNELS = {
    "batch_norm_dropout_forward": Kernel(
        batch_norm_dropout_forward_reference,
        batch_norm_dropout_forward_cpu,
        cost(30, 1),
        out=("mean", "var", "rstd", "y"),
    ),
    "batch_norm_dropout_backward": Kernel(
        batch_norm_dropout_backward_reference,
        batch_norm_dropout_backward_cpu,
        cost(34, 3),
        out=("dx", "dw", "db"),
    ),
}
