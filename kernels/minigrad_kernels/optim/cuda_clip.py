"""CUDA kernels of clipping: the norm of all gradients of a table, scaling by it, clamping.

The norm is a sum of float64 partials, PARTS at most, each of CHUNK elements or a multiple of them
whatever the grid, added up by one block in a fixed order.  It stays on the device, where the launch
that scales reads it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda, float32, float64, int64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import blocks, run, scratch
from minigrad_kernels.cuda.plan import Planned
from minigrad_kernels.cuda.targets import upload
from minigrad_kernels.jit.address_table import SIZE, START, G, row_at
from minigrad_kernels.optim.clip import SMALL, larger
from minigrad_kernels.optim.cuda_multi_tensor import (
    ALIGNED,
    CHUNK,
    THREADS,
    elements,
    whole_vectors,
)

FULL = 0xFFFFFFFF
WARPS = THREADS // 32
PARTS = 2_048  # partial norms at most, which one block joins


@cuda.jit(device=True)
def joined(a, b, order):
    """Return the partial norm of two parts: the larger one, a NaN before all, or the sum."""
    return larger(a, b) if order == np.inf else a + b


@cuda.jit(device=True)
def block_joined(value, parts, order):
    """Return the partial norm of a block's threads, in thread 0; parts: shared, (WARPS,)."""
    for step in (16, 8, 4, 2, 1):
        value = joined(value, cuda.shfl_down_sync(FULL, value, step), order)
    t = uint32(cuda.threadIdx.x)
    if t & uint32(31) == 0:
        parts[t >> uint32(5)] = value
    cuda.syncthreads()
    if t == 0:
        for w in range(1, WARPS):
            value = joined(value, parts[w], order)
    cuda.syncthreads()
    return value


@cuda.jit(device=True)
def powered(x, order):
    """Return |x|^order in float64; |x| itself for order inf."""
    size = abs(float64(x))
    if order == 2.0:
        size = size * size
    elif order != np.inf:
        size = size**order
    return size


@cuda.jit(device=True)
def clamped(x, low, high, by):
    """Return x limited to [low, high], then scaled; a NaN stays one."""
    x = low if x < low else x
    return (high if x > high else x) * by


def norms(single: bool) -> Any:
    """Return the kernel that writes the partial norm of each chunk: a block a chunk."""

    @cuda.jit
    def partial_norms(table, order, each, like, parts):
        """Leave what each chunk of `each` gradients adds to the norm: a block a chunk."""
        held = cuda.shared.array(WARPS, float64)
        last = table.shape[0] - 1
        count = uint32(table[last, START] + table[last, SIZE])
        chunk = uint32(cuda.blockIdx.x)
        while chunk < uint32(parts.size):
            begin = uint32(chunk * each)
            end = min(count, uint32(begin + each))
            found = float64(0)
            k = row_at(table, int64(begin))
            index = begin
            while index < end:
                size, start = table[k, SIZE], uint32(table[k, START])
                g = ptx.array_at(table[k, G], size, like.dtype)
                low = uint32(index - start)
                high = min(uint32(size), uint32(end - start))
                i = uint32(low + cuda.threadIdx.x)
                if single and table[k, G] & int64(ALIGNED) == 0:
                    first, after = whole_vectors(low, high)
                    v = uint32(first + cuda.threadIdx.x * uint32(4))
                    while v < after:
                        a, b, c, d = ptx.load128(g, v)
                        found = joined(found, powered(a, order), order)
                        found = joined(found, powered(b, order), order)
                        found = joined(found, powered(c, order), order)
                        found = joined(found, powered(d, order), order)
                        v = uint32(v + uint32(4 * THREADS))
                    if i < first:
                        found = joined(found, powered(g[i], order), order)
                    i = uint32(after + cuda.threadIdx.x)
                while i < high:
                    found = joined(found, powered(g[i], order), order)
                    i = uint32(i + uint32(THREADS))
                index = uint32(start + high)
                k += 1
            found = block_joined(found, held, order)
            if cuda.threadIdx.x == 0:
                parts[chunk] = found
            chunk = uint32(chunk + cuda.gridDim.x)

    return partial_norms


@cuda.jit
def finish_norm(parts, order, norm):
    """Join the partial norms, every THREADS-th by one thread, then those: one block."""
    held = cuda.shared.array(WARPS, float64)
    found = float64(0)
    i = uint32(cuda.threadIdx.x)
    while i < uint32(parts.size):
        found = joined(found, parts[i], order)
        i = uint32(i + uint32(THREADS))
    found = block_joined(found, held, order)
    if cuda.threadIdx.x == 0:
        if order == 2.0:
            norm[0] = math.sqrt(found)
        elif order == np.inf:
            norm[0] = found
        else:
            norm[0] = found ** (1.0 / order)


@cuda.jit(device=True)
def factor_of(norm, most):
    """Return max_norm / (norm + SMALL), or 1 where that is more, or where norm is empty."""
    value = most / (norm[0] + SMALL) if norm.size else 1.0
    return 1.0 if value >= 1.0 else value


def clamping(single: bool) -> Any:
    """Return the kernel that clamps each gradient to [low, high], then multiplies by a factor."""

    @cuda.jit
    def clamp_scale(table, low, high, norm, most, like):
        """Clamp and scale all gradients, see `factor_of`: a block a chunk."""
        last = table.shape[0] - 1
        count = uint32(table[last, START] + table[last, SIZE])
        by = like.dtype.type(factor_of(norm, most))
        begin = uint32(cuda.blockIdx.x * uint32(CHUNK))
        while begin < count:
            end = min(count, uint32(begin + uint32(CHUNK)))
            k = row_at(table, int64(begin))
            index = begin
            while index < end:
                size, start = table[k, SIZE], uint32(table[k, START])
                g = ptx.array_at(table[k, G], size, like.dtype)
                left = uint32(index - start)
                stop = min(uint32(size), uint32(end - start))
                i = uint32(left + cuda.threadIdx.x)
                if single and table[k, G] & int64(ALIGNED) == 0:
                    first, after = whole_vectors(left, stop)
                    v = uint32(first + cuda.threadIdx.x * uint32(4))
                    while v < after:
                        a, b, c, d = ptx.load128(g, v)
                        made = (
                            clamped(a, low, high, by),
                            clamped(b, low, high, by),
                            clamped(c, low, high, by),
                            clamped(d, low, high, by),
                        )
                        ptx.store128(g, v, made)
                        v = uint32(v + uint32(4 * THREADS))
                    if i < first:
                        g[i] = clamped(g[i], low, high, by)
                    i = uint32(after + cuda.threadIdx.x)
                while i < stop:
                    g[i] = clamped(g[i], low, high, by)
                    i = uint32(i + uint32(THREADS))
                index = uint32(start + stop)
                k += 1
            begin = uint32(begin + cuda.gridDim.x * uint32(CHUNK))

    return clamp_scale


SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
norms_single, norms_double = norms(True), norms(False)
clamp_single, clamp_double = clamping(True), clamping(False)
NORMS = {SINGLE: norms_single, DOUBLE: norms_double}
CLAMPING = {SINGLE: clamp_single, DOUBLE: clamp_double}


def rows_of(table: Array, like: DeviceArray) -> DeviceArray:
    """Return a table on the device of `like`; a GPU keeps it while the addresses are the same."""
    kept = getattr(like.target, "table_of", None)
    return upload(like.target, table) if kept is None else kept(table)


def on_device(function: Callable[..., None]) -> Callable[..., None]:
    """Return the CUDA kernel f(table, ...) of one that takes the table's rows, and its elements."""
    planned = Planned(function.__name__, function, function)

    @functools.wraps(function)
    def launched(table: Array, *args: Any) -> None:
        like = next(a for a in args if isinstance(a, DeviceArray))
        planned(rows_of(table, like), elements(table), *args)

    launched.plans_itself = True  # type: ignore[attr-defined]
    return launched


@on_device
def grad_norm(
    rows: DeviceArray, count: int, order: float, like: DeviceArray, norm: DeviceArray
) -> None:
    """Write the norm of all gradients of a table to norm: (1,) float64."""
    if count == 0:
        norm.target.write(norm, 0)
        return
    each = CHUNK * blocks(count, CHUNK * PARTS)
    parts = scratch(blocks(count, each), np.float64, like)
    exponent = np.float64(order)
    run(NORMS[like.dtype], parts.size, THREADS, rows, exponent, np.uint32(each), like, parts)
    run(finish_norm, 1, THREADS, parts, exponent, norm)


def _scale(
    rows: DeviceArray,
    count: int,
    limit: float,
    norm: DeviceArray,
    max_norm: float,
    like: DeviceArray,
) -> None:
    """Clamp all gradients of a table to [-limit, limit], then scale them: see `factor_of`."""
    if count:
        few = like.dtype.type(-limit), like.dtype.type(limit), norm, np.float64(max_norm), like
        run(CLAMPING[like.dtype], blocks(count, CHUNK), THREADS, rows, *few)


@on_device
def grad_scale(
    rows: DeviceArray, count: int, norm: DeviceArray, max_norm: float, like: DeviceArray
) -> None:
    """Scale all gradients of a table by min(1, max_norm / (norm + SMALL))."""
    _scale(rows, count, math.inf, norm, max_norm, like)


@on_device
def grad_clamp(rows: DeviceArray, count: int, limit: float, like: DeviceArray) -> None:
    """Clamp all gradients of a table to [-limit, limit]."""
    _scale(rows, count, limit, scratch(0, np.float64, like), 0.0, like)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "grad_norm": grad_norm,
    "grad_scale": grad_scale,
    "grad_clamp": grad_clamp,
}

ROWS = int64[:, ::1]
DOUBLES = float64[::1]
CHECKS: tuple[Check, ...] = (
    Check("finish_norm", finish_norm, (DOUBLES, float64, DOUBLES), ("SHFL.DOWN",), 48, True),
    *(
        check
        for kind, dtype in ((float32, SINGLE), (float64, DOUBLE))
        for check in (
            Check(
                f"grad_norm/{kind}",
                NORMS[dtype],
                (ROWS, float64, uint32, kind[::1], DOUBLES),
                ("SHFL.DOWN", "LDG.E.128") if kind == float32 else ("SHFL.DOWN",),
                64,
                True,
            ),
            Check(
                f"grad_clamp/{kind}",
                CLAMPING[dtype],
                (ROWS, kind, kind, DOUBLES, float64, kind[::1]),
                ("LDG.E.128", "STG.E.128") if kind == float32 else (),
                40,
                True,
            ),
        )
    ),
)
