"""CUDA products on tensor cores: float32 in memory, rounded to TF32 or bfloat16 in registers.

Slices of a and b lie row by row in shared memory, 16 of k to a row, so that one 128-bit load brings
four neighbours in k.  Which of them a fragment of `mma.sync` calls which k is free, as long as a
and b agree: thread t of four takes 4 t .. 4 t + 3, for two TF32 products or one of bfloat16.
A warp of 64 x 64 does 16 multiply-adds for each number that it loads from shared memory, a block of
128 x 128 does 32 operations for each byte of a and b that it reads.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import cuda, float32, int32, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.matmul.cuda_parts import Device, located, rows_left, writer

DEPTH = 16  # of k in a slice
STAGES = 3  # slices: one is multiplied, two are on their way
THREADS = 128  # four warps, 2 x 2
ONE = np.uint32(1)


@cuda.jit(device=True)
def swizzled(row, chunk):
    """Return where four neighbours in k lie in a slice.

    Their chunks are exchanged from row to row, so that eight rows by four of k meet in no bank.
    """
    rotated = uint32(chunk ^ uint32(uint32(row >> ONE) & uint32(3)))
    return uint32(uint32(row << uint32(4)) + uint32(rotated << uint32(2)))


@cache
def fetcher(tile: int, along: bool) -> Device:
    """Return the function that begins to copy `tile` rows of DEPTH numbers, zeros where none is."""

    @cuda.jit(device=True)
    def vectors(held, to, x, first, step, step_k, count, row0, start, end):
        t = uint32(cuda.threadIdx.x)
        chunk = uint32(t & uint32(3))
        r = uint32(t >> uint32(2))
        index = uint32(start + uint32(chunk << uint32(2)))
        from_ = uint32(first + uint32(uint32(row0 + r) * step) + index)
        left = rows_left(count, row0, r) if index < end else int32(0)
        to = uint32(to + swizzled(r, chunk))
        for i in range(tile // 32):
            ptx.copy_async_or_zero(held, to, x, from_, int32(i * 32) < left)
            to = uint32(to + uint32(32 * DEPTH))
            from_ = uint32(from_ + uint32(step * uint32(32)))

    @cuda.jit(device=True)
    def elements(held, to, x, first, step, step_k, count, row0, start, end):
        t = uint32(cuda.threadIdx.x)
        # A warp takes 8 rows by one chunk: whole sectors where rows lie together, 32 banks.
        d = uint32(uint32(t >> uint32(3)) & uint32(3))
        chunk = uint32(t >> uint32(5))
        r = uint32(t & uint32(7))
        index = uint32(start + uint32(uint32(chunk << uint32(2)) + d))
        from_ = uint32(first + uint32(uint32(row0 + r) * step) + uint32(index * step_k))
        left = rows_left(count, row0, r) if index < end else int32(0)
        to = uint32(to + swizzled(r, chunk) + d)
        for i in range(tile // 8):
            ptx.copy_element_or_zero(held, to, x, from_, int32(i * 8) < left)
            to = uint32(to + uint32(8 * DEPTH))
            from_ = uint32(from_ + uint32(step * uint32(8)))

    return vectors if along else elements


# ---------------------------------------------------------------- fragments
@cuda.jit(device=True)
def left_tf32(held, index):
    """Return two 16 x 8 fragments of a, from rows at `index` and 8 below."""
    v = ptx.load128(held, index)
    w = ptx.load128(held, uint32(index + uint32(8 * DEPTH)))
    return (
        ptx.to_tf32(v[0]),
        ptx.to_tf32(w[0]),
        ptx.to_tf32(v[1]),
        ptx.to_tf32(w[1]),
        ptx.to_tf32(v[2]),
        ptx.to_tf32(w[2]),
        ptx.to_tf32(v[3]),
        ptx.to_tf32(w[3]),
    )


@cuda.jit(device=True)
def right_tf32(held, index):
    """Return two 8 x 8 fragments of b."""
    v = ptx.load128(held, index)
    return ptx.to_tf32(v[0]), ptx.to_tf32(v[1]), ptx.to_tf32(v[2]), ptx.to_tf32(v[3])


@cuda.jit(device=True)
def left_bf16(held, index):
    """Return a 16 x 16 fragment of a, from rows at `index` and 8 below."""
    v = ptx.load128(held, index)
    w = ptx.load128(held, uint32(index + uint32(8 * DEPTH)))
    return (
        ptx.pack_bf16(v[0], v[1]),
        ptx.pack_bf16(w[0], w[1]),
        ptx.pack_bf16(v[2], v[3]),
        ptx.pack_bf16(w[2], w[3]),
    )


@cuda.jit(device=True)
def right_bf16(held, index):
    """Return a 16 x 8 fragment of b."""
    v = ptx.load128(held, index)
    return ptx.pack_bf16(v[0], v[1]), ptx.pack_bf16(v[2], v[3])


LEFT = {"tf32": left_tf32, "bf16": left_bf16}
RIGHT = {"tf32": right_tf32, "bf16": right_bf16}
MULTIPLY = {"tf32": ptx.mma_tf32, "bf16": ptx.mma_bf16}


def several(one: Device, count: int, step: int) -> Device:
    """Return the function of the fragments of `count` (a power of two) places `step` apart."""
    if count == 1:
        return one
    half = several(one, count // 2, step)
    apart = np.uint32(count // 2 * step)

    @cuda.jit(device=True)
    def both(held, index):
        return half(held, index) + half(held, uint32(index + apart))

    return both


@cache
def tensor(
    kind: str,
    name: str,
    with_sums: bool,
    tile: int,
    precision: str,
    a_along: bool,
    b_along: bool,
) -> Any:
    """Return the kernel of a rule (`cuda_parts.rule_of`), with or without the sums of a's rows.

    tile: of a block, 128 or 64; precision: "tf32" or "bf16".
    """
    half = tile // 2  # of a warp
    rows, columns = half // 16, half // 8  # fragments of a warp
    size = tile * DEPTH
    stage = 2 * size
    shared = STAGES * stage
    pitch = tile + 8  # of c on its way out: rows of 8 threads meet in no bank
    places = tuple((16 * i + r) * pitch + 8 * j for i in range(rows) for j in range(columns)
                   for r in (0, 8))  # fmt: skip
    registers = 4 * rows * columns
    multiply = MULTIPLY[precision]
    left = several(LEFT[precision], rows, 16 * DEPTH)
    right = several(RIGHT[precision], columns, 8 * DEPTH)
    fetch_a, fetch_b = fetcher(tile, a_along), fetcher(tile, b_along)
    write = writer(kind, name, half, tile, pitch, THREADS)

    @cuda.jit
    def product(a, a_at, b, b_at, bias, side, sums, z, c, sizes, flags):
        """Compute c = after(a b), each block a tile of c, each of four warps a quarter of it.

        Three slices of a and of b, 48 KiB of shared memory for a tile of 128: one is multiplied
        while two come by `cp.async`.  c leaves through the same memory in two halves.
        """
        held = cuda.shared.array(shared, float32, alignment=16)
        m, n, work = sizes[0], sizes[1], sizes[8]
        t = uint32(cuda.threadIdx.x)
        lane, warp = uint32(t & uint32(31)), uint32(t >> uint32(5))
        g, r = uint32(lane >> uint32(2)), uint32(lane & uint32(3))
        wy, wx = uint32(warp >> ONE), uint32(warp & ONE)
        p = swizzled(uint32(uint32(wy * uint32(half)) + g), r)
        q = uint32(swizzled(uint32(uint32(wx * uint32(half)) + g), r) + uint32(size))
        out = uint32(uint32(g * uint32(pitch)) + uint32(wx * uint32(half)) + uint32(r << ONE))
        w = uint32(cuda.blockIdx.x)
        while w < work:
            place = located(w, tile, a_at, b_at, sizes)
            row0, column0, slab, from_a, from_b, start, end = place
            total = float32(0)
            acc = ptx.zeros(registers)
            ahead = start  # of the slice to be fetched next, into the stage `to`
            to = uint32(0)
            here = uint32(0)
            for _ in range(STAGES - 1):
                fetch_a(held, to, a, from_a, a_at[1], a_at[2], m, row0, ahead, end)
                index = uint32(to + uint32(size))
                fetch_b(held, index, b, from_b, b_at[2], b_at[1], n, column0, ahead, end)
                ptx.commit_copies()
                ahead = uint32(ahead + uint32(DEPTH))
                to = uint32(to + uint32(stage))
            while start < end:
                ptx.wait_copies(1)
                cuda.syncthreads()
                if ahead < end:
                    fetch_a(held, to, a, from_a, a_at[1], a_at[2], m, row0, ahead, end)
                    index = uint32(to + uint32(size))
                    fetch_b(held, index, b, from_b, b_at[2], b_at[1], n, column0, ahead, end)
                ptx.commit_copies()
                ahead = uint32(ahead + uint32(DEPTH))
                acc = multiply(left(held, uint32(here + p)), right(held, uint32(here + q)), acc)
                if with_sums and column0 == 0 and t < uint32(tile):
                    for d in range(4):
                        v = ptx.load128(held, uint32(here + swizzled(t, uint32(d))))
                        total += v[0] + v[1] + v[2] + v[3]
                to = here
                here = uint32(here + uint32(stage)) if here < uint32(shared - stage) else uint32(0)
                start = uint32(start + uint32(DEPTH))
            if with_sums and column0 == 0 and t < uint32(tile) and uint32(row0 + t) < m:
                sums[uint32(uint32(slab * m) + row0 + t)] = total
            ptx.wait_copies(0)
            for h in range(2):
                cuda.syncthreads()
                if wy == uint32(h):
                    ptx.store_tile(held, out, acc, places)
                cuda.syncthreads()
                write(held, row0, column0, slab, sizes, bias, side, z, c, flags)
                row0 = uint32(row0 + uint32(half))
            cuda.syncthreads()
            w = uint32(w + uint32(cuda.gridDim.x))

    return product
