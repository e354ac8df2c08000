"""Clipping of gradients over an address table: their norm, scaling by a norm, clamping.

    norm = (sum |g|^order)^(1/order), the largest |g| for order inf
    scale: g = g min(1, max_norm / (norm + 1e-6))      clamp: g = min(max(g, -limit), limit)

A NaN norm gives NaN gradients, and a NaN stays one under clamp.  Partial sums of BLOCK elements are
float64 and added in order, so that the norm does not depend on the number of threads.  The norm
stays in memory: scale reads it there.

Shapes: a row of the table names g: (n,).  norm: (1,) float64.
Source: Pascanu, Mikolov and Bengio 2013, Algorithm 1; the 1e-6 is PyTorch's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.address_table import (
    SIZE,
    START,
    G,
    device_function,
    load_at,
    memory,
    row_at,
    store_at,
    total,
)
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.optim.multi_tensor import BLOCK, MANY

Array = np.ndarray[Any, Any]

SMALL = 1e-6  # PyTorch's guard against a norm of zero


# ---------------------------------------------------------------- references
def grad_norm_reference(table: Array, order: float, like: Array, norm: Array) -> None:
    """Write the norm of all gradients of a table to norm: (1,), in float64."""
    grads = [np.float64(memory(row[G], int(row[SIZE]), like.dtype)) for row in table]
    flat = np.abs(np.concatenate([*grads, np.zeros(0)]))
    if order == math.inf:
        norm[0] = np.max(flat, initial=0.0)
    else:
        norm[0] = np.sum(flat**order) ** (1 / order)


def grad_scale_reference(table: Array, norm: Array, max_norm: float, like: Array) -> None:
    """Scale all gradients of a table by min(1, max_norm / (norm + SMALL)), in float64."""
    factor = np.minimum(1.0, max_norm / (norm[0] + SMALL))
    for row in table:
        g = memory(row[G], int(row[SIZE]), like.dtype)
        g[...] = np.float64(g) * factor


def grad_clamp_reference(table: Array, limit: float, like: Array) -> None:
    """Clamp all gradients of a table to [-limit, limit]."""
    for row in table:
        g = memory(row[G], int(row[SIZE]), like.dtype)
        g[...] = np.clip(g, -limit, limit)


# ---------------------------------------------------------------- one slice of one tensor
@device_function(fastmath={"reassoc", "contract", "nsz"})
def sum_of_squares(g: int, lo: int, hi: int, like: Array) -> float:
    """Return the sum of squares in float64 of elements lo to hi at address g."""
    result = 0.0
    for i in range(lo, hi):
        x = np.float64(load_at(g, i, like, 1))
        result += x * x
    return result


@device_function()
def partial_norm(g: int, lo: int, hi: int, order: float, like: Array) -> float:
    """Return the sum of |g|^order over a slice, or the largest |g|, a NaN before all."""
    result = 0.0
    if order == 2.0:
        result = sum_of_squares(g, lo, hi, like)
    elif order == np.inf:
        for i in range(lo, hi):
            result = larger(result, np.float64(abs(load_at(g, i, like, 1))))
    else:
        for i in range(lo, hi):
            result += np.float64(abs(load_at(g, i, like, 1))) ** order
    return result


@device_function()
def larger(a: float, b: float) -> float:
    """Return the larger one, or NaN where one is."""
    return a if a >= b or a != a else b


@device_function()
def block_norm(table: Array, order: float, like: Array, begin: int, end: int) -> float:
    """Return what elements `begin` to `end` of all gradients add to the norm."""
    result = 0.0
    k = row_at(table, begin)
    while begin < end:
        row = table[k]
        hi = min(row[SIZE], end - row[START])
        part = partial_norm(row[G], begin - row[START], hi, order, like)
        result = larger(result, part) if order == np.inf else result + part
        begin = row[START] + hi
        k += 1
    return result


@device_function()
def finish_norm(parts: Array, order: float, norm: Array) -> None:
    """Write the norm that the blocks' parts come to, added in order."""
    result = 0.0
    for b in range(parts.size):
        result = larger(result, parts[b]) if order == np.inf else result + parts[b]
    if order == 2.0:
        norm[0] = np.sqrt(result)
    elif order == np.inf:
        norm[0] = result
    else:
        norm[0] = result ** (1.0 / order)


@device_function()
def block_scale(
    table: Array, low: float, high: float, factor: float, like: Array, begin: int, end: int
) -> None:
    """Clamp to [low, high], then scale; a NaN stays one."""
    k = row_at(table, begin)
    while begin < end:
        row = table[k]
        hi = min(row[SIZE], end - row[START])
        g = row[G]
        for i in range(begin - row[START], hi):
            x = load_at(g, i, like, 1)
            x = low if x < low else x
            x = high if x > high else x
            store_at(g, i, x * factor, 1)
        begin = row[START] + hi
        k += 1


# ---------------------------------------------------------------- over the table
@jit()
def norm_sequential(table: Array, order: float, like: Array, norm: Array) -> None:
    """Compute the norm block by block on one thread."""
    n = table[-1, START] + table[-1, SIZE]
    parts = np.zeros((n + BLOCK - 1) // BLOCK)
    for b in range(parts.size):
        parts[b] = block_norm(table, order, like, b * BLOCK, min(n, (b + 1) * BLOCK))
    finish_norm(parts, order, norm)


@jit(parallel=True)
def norm_parallel(table: Array, order: float, like: Array, norm: Array) -> None:
    """Compute the norm in parallel, a block a task."""
    n = table[-1, START] + table[-1, SIZE]
    parts = np.zeros((n + BLOCK - 1) // BLOCK)
    for b in prange(parts.size):
        parts[b] = block_norm(table, order, like, b * BLOCK, min(n, (b + 1) * BLOCK))
    finish_norm(parts, order, norm)


@jit()
def scale_sequential(table: Array, low: Array, high: Array, factor: Array, like: Array) -> None:
    """Clamp and scale all gradients on one thread."""
    n = table[-1, START] + table[-1, SIZE]
    block_scale(table, low[0], high[0], factor[0], like, 0, n)


@jit(parallel=True)
def scale_parallel(table: Array, low: Array, high: Array, factor: Array, like: Array) -> None:
    """Clamp and scale all gradients in parallel, a block a task."""
    n = table[-1, START] + table[-1, SIZE]
    for b in prange((n + BLOCK - 1) // BLOCK):
        block_scale(table, low[0], high[0], factor[0], like, b * BLOCK, min(n, (b + 1) * BLOCK))


def grad_norm(table: Array, order: float, like: Array, norm: Array) -> None:
    """Write the norm of all gradients of a table to norm: (1,) float64, on the CPU."""
    n = total(table)
    if n == 0:
        norm[0] = 0.0
        return
    run = norm_parallel if n >= MANY else norm_sequential
    run(table, float(order), like, norm)


def _scale(table: Array, low: float, high: float, factor: float, like: Array) -> None:
    """Clamp all gradients of a table to [low, high], then scale them."""
    n = total(table)
    if n:
        run = scale_parallel if n >= MANY else scale_sequential
        low_, high_, factor_ = np.array([[low], [high], [factor]], like.dtype)
        run(table, low_, high_, factor_, like)


def grad_scale(table: Array, norm: Array, max_norm: float, like: Array) -> None:
    """Scale all gradients of a table by min(1, max_norm / (norm + SMALL)), on the CPU."""
    factor = max_norm / (norm[0] + SMALL)
    if not factor >= 1.0:
        _scale(table, -math.inf, math.inf, factor, like)


def grad_clamp(table: Array, limit: float, like: Array) -> None:
    """Clamp all gradients of a table to [-limit, limit], on the CPU."""
    _scale(table, -limit, limit, 1.0, like)


# ---------------------------------------------------------------- the table's rows
def norm_cost(table: Array, order: float, like: Array, norm: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `grad_norm`."""
    n = total(table)
    return 2 * n, n * like.dtype.itemsize


def scale_cost(table: Array, *scalars: Any) -> tuple[int, int]:
    """Return the flops and the bytes of `grad_scale` and `grad_clamp`."""
    n = total(table)
    return n, 2 * n * scalars[-1].dtype.itemsize


KERNELS = {
    "grad_norm": Kernel(grad_norm_reference, grad_norm, norm_cost, out=("norm",)),
    "grad_scale": Kernel(grad_scale_reference, grad_scale, scale_cost, out=()),
    "grad_clamp": Kernel(grad_clamp_reference, grad_clamp, scale_cost, out=()),
}
