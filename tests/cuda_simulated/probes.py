"""Small CUDA kernels that use what ours will use: the simulator's and the compiler's test pieces.

Each `Probe` knows its signature and how to run and judge one launch, so that every check walks
over all of them: correct results under several orders, no fault, every mutant caught, resources.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda, float32, uint32
from numba import types as nt

import minigrad_cudasim as simulate
from minigrad_kernels.cuda import ptx

TILE = 8
ROW_THREADS = 64
ROW_WARPS = 2  # of `row_sum`; a shared array takes a constant size
GEMM = 32  # rows and columns of a block's tile of `gemm_registers`
DEPTH = 8
SLICE = GEMM * DEPTH
LEFT = 16 * 8  # elements of a slice of `gemm_tensor`
RIGHT = 8 * 8
LEFT_STAGES = 2 * LEFT
RIGHT_STAGES = 2 * RIGHT
PARTS = 32  # threads of a block of `total`
FULL = 0xFFFFFFFF
Array = np.ndarray[Any, Any]
Launch = Callable[..., None]


@cuda.jit
def matmul_tiled(a, b, c):
    """Compute c = a b by tiles in shared memory; any shapes."""
    left = cuda.shared.array((TILE, TILE), float32)
    right = cuda.shared.array((TILE, TILE), float32)
    tx = cuda.threadIdx.x
    ty = cuda.threadIdx.y
    i = cuda.blockIdx.y * TILE + ty
    j = cuda.blockIdx.x * TILE + tx
    held = float32(0)
    for start in range(0, a.shape[1], TILE):
        left[ty, tx] = float32(0)
        right[ty, tx] = float32(0)
        if i < a.shape[0] and start + tx < a.shape[1]:
            left[ty, tx] = a[i, start + tx]
        if start + ty < b.shape[0] and j < b.shape[1]:
            right[ty, tx] = b[start + ty, j]
        cuda.syncthreads()
        for k in range(TILE):
            held += left[ty, k] * right[k, tx]
        cuda.syncthreads()
    if i < c.shape[0] and j < c.shape[1]:
        c[i, j] = held


@cuda.jit(device=True)
def warp_sum(v):
    """Return the sum over the warp, in every lane."""
    v += cuda.shfl_xor_sync(FULL, v, 16)
    v += cuda.shfl_xor_sync(FULL, v, 8)
    v += cuda.shfl_xor_sync(FULL, v, 4)
    v += cuda.shfl_xor_sync(FULL, v, 2)
    v += cuda.shfl_xor_sync(FULL, v, 1)
    return v


@cuda.jit
def row_sum(x, y):
    """Sum each row of x into y: a block a row, shuffles within warps, shared memory between."""
    parts = cuda.shared.array(ROW_WARPS, float32)
    t = uint32(cuda.threadIdx.x)
    row = uint32(cuda.blockIdx.x)
    n = uint32(x.shape[1])
    held = float32(0)
    j = t
    while j < n:
        held += x[row, j]
        j = uint32(j + uint32(ROW_THREADS))
    held = warp_sum(held)
    if t & uint32(31) == 0:
        parts[t >> uint32(5)] = held
    cuda.syncthreads()
    if t == 0:
        held = float32(0)
        for w in range(ROW_WARPS):
            held += parts[w]
        y[row] = held


@cuda.jit
def scale_vectors(x, factor, y):
    """Compute y = factor x, 16 bytes a thread and turn, the last elements one by one."""
    n = uint32(x.size)
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    step = uint32(cuda.gridDim.x * cuda.blockDim.x)
    whole = uint32(n >> uint32(2))
    k = i
    while k < whole:
        at = uint32(k << uint32(2))
        v = ptx.load128(x, at)
        ptx.store128(y, at, (v[0] * factor, v[1] * factor, v[2] * factor, v[3] * factor))
        k = uint32(k + step)
    k = uint32((whole << uint32(2)) + i)
    while k < n:
        y[k] = x[k] * factor
        k = uint32(k + step)


@cuda.jit
def total(x, parts, count, y):
    """Sum x into y in one launch: each block leaves its part, the last to end adds them up.

    count: (1,) int32, zero before the launch and after it.
    """
    t = cuda.threadIdx.x
    b = cuda.blockIdx.x
    last = cuda.shared.array(1, nt.int32)
    held = float32(0)
    for i in range(b * PARTS + t, x.size, cuda.gridDim.x * PARTS):
        held += x[i]
    held = warp_sum(held)
    if t == 0:
        parts[b] = held
        cuda.threadfence()
        last[0] = cuda.atomic.add(count, 0, 1)
    cuda.syncthreads()
    if last[0] == cuda.gridDim.x - 1:
        held = float32(0)
        for i in range(t, cuda.gridDim.x, PARTS):
            held += parts[i]
        held = warp_sum(held)
        if t == 0:
            y[0] = held
            cuda.atomic.exch(count, 0, 0)


@cuda.jit
def gemm_registers(a, b, c, m, n, k):
    """Compute c = a b, a: (m k,), b: (k n,), c: (m n,), by 4 x 4 registers of 64 threads.

    m, n: multiples of 32; k: a multiple of 8.
    """
    left = cuda.shared.array(SLICE, float32, alignment=16)
    right = cuda.shared.array(SLICE, float32, alignment=16)
    t = uint32(cuda.threadIdx.x)
    tx = uint32((t & uint32(7)) << uint32(2))
    ty = uint32((t >> uint32(3)) << uint32(2))
    row = uint32(cuda.blockIdx.y) * uint32(GEMM)
    column = uint32(cuda.blockIdx.x) * uint32(GEMM)
    ar = uint32(t >> uint32(1))
    ac = uint32((t & uint32(1)) << uint32(2))
    tile = ptx.zeros(16)
    start = uint32(0)
    while start < k:
        v = ptx.load128(a, uint32((row + ar) * k + start + ac))
        left[(ac + uint32(0)) * uint32(GEMM) + ar] = v[0]
        left[(ac + uint32(1)) * uint32(GEMM) + ar] = v[1]
        left[(ac + uint32(2)) * uint32(GEMM) + ar] = v[2]
        left[(ac + uint32(3)) * uint32(GEMM) + ar] = v[3]
        w = ptx.load128(b, uint32((start + (t >> uint32(3))) * n + column + tx))
        ptx.store128(right, uint32((t >> uint32(3)) * uint32(GEMM) + tx), w)
        cuda.syncthreads()
        for d in range(DEPTH):
            at = uint32(uint32(d) * uint32(GEMM))
            tile = ptx.outer_fma(tile, ptx.load128(left, at + ty), ptx.load128(right, at + tx))
        cuda.syncthreads()
        start = uint32(start + uint32(DEPTH))
    o = uint32((row + ty) * n + column + tx)
    ptx.store128(c, o, (tile[0], tile[1], tile[2], tile[3]))
    ptx.store128(c, o + n, (tile[4], tile[5], tile[6], tile[7]))
    ptx.store128(c, o + n + n, (tile[8], tile[9], tile[10], tile[11]))
    ptx.store128(c, o + n + n + n, (tile[12], tile[13], tile[14], tile[15]))


@cuda.jit
def gemm_tensor(a, b, c, k):
    """Compute c = a b on tensor cores, a: (16, k), b: (k, 8), flat, one warp; k: a multiple of 8.

    The next slices of a and b are on their way while this one is multiplied.
    """
    left = cuda.shared.array(LEFT_STAGES, float32, alignment=16)
    right = cuda.shared.array(RIGHT_STAGES, float32, alignment=16)
    t = uint32(cuda.threadIdx.x)
    g = uint32(t >> uint32(2))
    r = uint32(t & uint32(3))
    row = uint32(t >> uint32(1))
    half = uint32((t & uint32(1)) << uint32(2))
    tile = ptx.zeros(4)
    start = uint32(0)
    stage = uint32(0)
    ptx.copy_async(left, row * uint32(8) + half, a, row * k + half)
    if t < uint32(16):
        ptx.copy_async(right, t * uint32(4), b, t * uint32(4))
    ptx.commit_copies()
    while start < k:
        after = uint32(start + uint32(8))
        other = uint32(stage ^ uint32(1))
        if after < k:
            at = uint32(other * uint32(LEFT) + row * uint32(8) + half)
            ptx.copy_async(left, at, a, row * k + after + half)
            if t < uint32(16):
                at = uint32(other * uint32(RIGHT) + t * uint32(4))
                ptx.copy_async(right, at, b, after * uint32(8) + t * uint32(4))
        ptx.commit_copies()
        ptx.wait_copies(1)
        cuda.syncwarp()
        p = uint32(stage * uint32(LEFT) + g * uint32(8) + r)
        q = uint32(stage * uint32(RIGHT) + r * uint32(8) + g)
        x = (
            ptx.to_tf32(left[p]),
            ptx.to_tf32(left[p + uint32(64)]),
            ptx.to_tf32(left[p + uint32(4)]),
            ptx.to_tf32(left[p + uint32(68)]),
        )
        y = (ptx.to_tf32(right[q]), ptx.to_tf32(right[q + uint32(32)]))
        tile = ptx.mma_tf32(x, y, tile)
        cuda.syncwarp()
        stage = other
        start = after
    o = uint32(g * uint32(8) + (r << uint32(1)))
    c[o] = tile[0]
    c[o + uint32(1)] = tile[1]
    c[o + uint32(64)] = tile[2]
    c[o + uint32(65)] = tile[3]


# ---------------------------------------------------------------- how each is run and judged
def close(y: Array, expected: Array, rtol: float = 1e-5) -> None:
    assert simulate.unwritten(y) == 0
    np.testing.assert_allclose(np.asarray(y), expected, rtol=rtol, atol=rtol)


def random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def try_matmul(kernel: Any, **options: Any) -> None:
    for m, k, n in ((9, 17, 10), (1, 1, 1), (16, 8, 8)):
        a, b, c = random(m, k), random(k, n), simulate.empty((m, n))
        grid = (-(-n // TILE), -(-m // TILE))
        simulate.launch(kernel, grid, (TILE, TILE), a, b, c, strict=True, **options)
        close(c, a @ b)


def try_row_sum(kernel: Any, **options: Any) -> None:
    for rows, n in ((3, 130), (1, 1), (2, 64)):
        x, y = random(rows, n), simulate.empty(rows)
        simulate.launch(kernel, rows, ROW_THREADS, x, y, strict=True, **options)
        close(y, x.sum(1))


def try_scale(kernel: Any, **options: Any) -> None:
    for n in (0, 1, 3, 4, 75, 512):
        x, y = random(n), simulate.empty(n)
        simulate.launch(kernel, 2, 32, x, np.float32(3), y, strict=True, **options)
        close(y, 3 * x)


def try_total(kernel: Any, **options: Any) -> None:
    for n, blocks in ((300, 3), (1, 1), (65, 2)):
        x, parts, y = random(n), simulate.empty(blocks), simulate.empty(1)
        count = np.zeros(1, np.int32)
        simulate.launch(kernel, blocks, PARTS, x, parts, count, y, strict=True, **options)
        close(y, x.sum(keepdims=True))
        assert count[0] == 0


def try_registers(kernel: Any, **options: Any) -> None:
    for m, k, n in ((64, 16, 32),):
        a, b, c = random(m * k), random(k * n), simulate.empty(m * n)
        sizes = (np.uint32(m), np.uint32(n), np.uint32(k))
        simulate.launch(kernel, (n // GEMM, m // GEMM), 64, a, b, c, *sizes, strict=True, **options)
        close(c, (a.reshape(m, k) @ b.reshape(k, n)).ravel())


def try_tensor(kernel: Any, **options: Any) -> None:
    for k in (8, 32):
        a, b, c = random(16 * k), random(k * 8), simulate.empty(16 * 8)
        simulate.launch(kernel, 1, 32, a, b, c, np.uint32(k), strict=True, **options)
        close(c, (a.reshape(16, k) @ b.reshape(k, 8)).ravel(), rtol=4e-3)


VECTOR = nt.float32[::1]
MATRIX = nt.float32[:, ::1]


@dataclass(frozen=True)
class Probe:
    """check: launches a kernel, or a mutant of it, on awkward sizes and judges what it wrote.

    promised: SASS opcodes that must occur.
    """

    kernel: Any
    check: Callable[..., None]
    signature: tuple[Any, ...]
    promised: tuple[str, ...] = ()


PROBES = {
    "matmul_tiled": Probe(matmul_tiled, try_matmul, (MATRIX,) * 3, ("LDS", "FFMA", "BAR.SYNC")),
    "row_sum": Probe(row_sum, try_row_sum, (MATRIX, VECTOR), ("SHFL.BFLY",)),
    "scale_vectors": Probe(
        scale_vectors, try_scale, (VECTOR, nt.float32, VECTOR), ("LDG.E.128", "STG.E.128")
    ),
    "total": Probe(
        total, try_total, (VECTOR, VECTOR, nt.int32[::1], VECTOR), ("SHFL.BFLY", "MEMBAR")
    ),
    "gemm_registers": Probe(
        gemm_registers,
        try_registers,
        (VECTOR, VECTOR, VECTOR, nt.uint32, nt.uint32, nt.uint32),
        ("LDG.E.128", "LDS.128", "STG.E.128", "FFMA"),
    ),
    "gemm_tensor": Probe(
        gemm_tensor, try_tensor, (VECTOR, VECTOR, VECTOR, nt.uint32), ("HMMA", "LDGSTS")
    ),
}
