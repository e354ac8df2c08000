"""CUDA kernels of indexing/index.py: gather and scatter, sums in the order of the indices.

scatter_add sorts the indices, stably, and gives each run of equal ones to one thread a column,
which adds the run up in order: 3 launches for every four bits of the number of rows, 5 and more
from some thousand indices on, and time in the length of the longest run.  scatter finds the last of
equal indices by an atomic maximum of integers, which has one result in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, float64, int32, int64, types, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, run, scratch, vectors
from minigrad_kernels.elementwise.cuda_kernels import divisor, quotient
from minigrad_kernels.elementwise.rules import WORDS
from minigrad_kernels.indexing.cuda_sort import begin, count, move, sort
from minigrad_kernels.reduce.cuda_cumsum import TILE_SCANS, tile_sums

NEVER = -1  # no index has been here


# ---------------------------------------------------------------- gather
@cuda.jit
def take(x, indices, width, y):
    """Compute y[i, j] = x[indices[i], j]: an element a step.

    width: the columns, and what `quotient` divides by them.
    """
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(y.size):
        i = quotient(k, width[1], width[2])
        y[k] = x[uint32(uint32(indices[i]) * width[0] + (k - i * width[0]))]
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def take_vectors(x, indices, width, y):
    """Compute what `take` does, 128 bits a step; width counts vectors of four columns."""
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(uint32(y.size) >> uint32(2)):
        i = quotient(k, width[1], width[2])
        index = uint32(uint32(indices[i]) * width[0] + (k - i * width[0]))
        ptx.store128(y, uint32(k << uint32(2)), ptx.load128(x, uint32(index << uint32(2))))
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


def as_words(*arrays: DeviceArray) -> list[DeviceArray]:
    """Return lines of what can be moved as float32 or float64, whatever it means."""
    word = WORDS.get(arrays[0].itemsize)
    return [flat(a) if word is None else flat(a).view(word) for a in arrays]


def columns(count: int) -> tuple[Any, ...]:
    """Return a number of columns with what `quotient` divides by it, as kernels take them."""
    return tuple(np.array(divisor(count), np.uint32))


def take_rows(weight: DeviceArray, indices: DeviceArray, y: DeviceArray) -> None:
    """Write y: (n, C) = weight[indices], weight: (rows, C), indices: (n,)."""
    if not y.size:
        return
    width = y.shape[1]
    x, out = as_words(weight, y)
    if not width % 4 and vectors(x, out):
        run(take_vectors, blocks(out.size // 4), THREADS, x, indices, columns(width // 4), out)
    else:
        run(take, blocks(out.size), THREADS, x, indices, columns(width), out)


def take_flat(x: DeviceArray, indices: DeviceArray, y: DeviceArray) -> None:
    """Write y: (n,) = x[indices], x: (m,), indices: (n,)."""
    take_rows(x[:, None], indices, y[:, None])


# ---------------------------------------------------------------- scatter
@cuda.jit
def clear(y):
    """Write zeros."""
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    zero = y.dtype.type(0)
    while i < uint32(y.size):
        y[i] = zero
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def add_runs(dy, keys, values, width, dw):
    """Add up the rows of dy whose keys are equal: a thread a run and column.

    keys, values: sorted, and the rows that they belong to.  width: as `take` has it.
    """
    n = uint32(keys.size)
    t = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while t < uint32(dy.size):
        k = quotient(t, width[1], width[2])
        column = uint32(t - k * width[0])
        key = keys[k]
        if k == 0 or keys[uint32(k - uint32(1))] != key:
            held = dy[uint32(values[k] * width[0] + column)]
            k = uint32(k + uint32(1))
            while k < n and keys[k] == key:
                held += dy[uint32(values[k] * width[0] + column)]
                k = uint32(k + uint32(1))
            dw[uint32(key * width[0] + column)] = held
        t = uint32(t + uint32(cuda.gridDim.x * cuda.blockDim.x))


def scatter_add_rows(dy: DeviceArray, indices: DeviceArray, dw: DeviceArray) -> None:
    """Write dw: (rows, C) = the sums of dy: (n, C) by indices: (n,), in their order."""
    if not dw.size:
        return
    run(clear, blocks(dw.size), THREADS, flat(dw))
    if dy.size:
        keys, values = sort(indices, dw.shape[0])
        width = columns(dw.shape[1])
        run(add_runs, blocks(dy.size), THREADS, flat(dy), keys, values, width, flat(dw))


def scatter_add_flat(dy: DeviceArray, indices: DeviceArray, dx: DeviceArray) -> None:
    """Write dx: (m,) = the sums of dy: (n,) by indices: (n,), in their order."""
    scatter_add_rows(dy[:, None], indices, dx[:, None])


@cuda.jit
def forget(last):
    """Write NEVER."""
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(last.size):
        last[i] = int32(NEVER)
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def find_last(indices, last):
    """Write the greatest i of each index into `last`: integers, the same in any order."""
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(indices.size):
        cuda.atomic.max(last, uint32(indices[i]), int32(i))
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def put_last(src, indices, last, dx):
    """Compute dx[indices[i]] = src[i] for the last i of each index."""
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(indices.size):
        index = uint32(indices[i])
        if last[index] == int32(i):
            dx[index] = src[i]
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


def scatter_flat(src: DeviceArray, indices: DeviceArray, dx: DeviceArray) -> None:
    """Write src: (n,) into dx: (m,) at indices: (n,), the last of repeated ones."""
    if not src.size:
        return
    last = scratch(dx.size, np.int32, dx)
    run(forget, blocks(dx.size), THREADS, last)
    run(find_last, blocks(src.size), THREADS, indices, last)
    x, out = as_words(src, dx)
    run(put_last, blocks(src.size), THREADS, x, indices, last, out)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "take_rows": take_rows,
    "scatter_add_rows": scatter_add_rows,
    "take_flat": take_flat,
    "scatter_add_flat": scatter_add_flat,
    "scatter_flat": scatter_flat,
}
WIDE = types.UniTuple(uint32, 3)
COUNTS = uint32[::1]


def checks(kind: Any) -> tuple[Check, ...]:
    """Return the checks of these kernels for one type of elements."""
    line, double = kind[::1], kind == float64
    found = {
        "take": (take, (line, int64[::1], WIDE, line)),
        "clear": (clear, (line,)),
        "add_runs": (add_runs, (line, COUNTS, COUNTS, WIDE, line)),
        "put_last": (put_last, (line, int64[::1], int32[::1], line)),
    }
    return tuple(Check(f"{name}/{kind}", *row, float64=double) for name, row in found.items())


CHECKS: tuple[Check, ...] = (
    *checks(float32),
    *checks(float64),
    Check(
        "take.vectors",
        take_vectors,
        (float32[::1], int64[::1], WIDE, float32[::1]),
        ("LDG.E.128", "STG.E.128"),
    ),
    Check("forget", forget, (int32[::1],)),
    Check("find_last", find_last, (int64[::1], int32[::1])),
    Check("sort.begin", begin, (int64[::1], COUNTS, COUNTS)),
    Check("sort.count", count, (COUNTS, uint32, uint32, int32[::1]), ("MATCH",)),
    Check("sort.sums", tile_sums, (int32[::1], uint32, uint32, int32, int64[::1]), ("SHFL.BFLY",)),
    Check(
        "sort.scans",
        TILE_SCANS[True],
        (int32[::1], int64[::1], uint32, uint32, uint32, int32, int32[::1]),
        ("SHFL.UP",),
    ),
    Check(
        "sort.move",
        move,
        (COUNTS, COUNTS, uint32, uint32, int32[::1], COUNTS, COUNTS),
        ("MATCH",),
    ),
)
