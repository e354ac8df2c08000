"""CUDA products on tensor cores of operands that `cuda_packing` laid out: the fourth step.

What `cuda_tensor_cores` does with each number in each block that needs it, rounding and exchanging
registers, one pass over a and b has done here for all.  The inner loop is left with its products
and their loads: a warp of 64 x 64 needs 32 loads of 128 bits for 128 products of 16 x 8 x 8 words,
no bank is met twice, and copies to shared memory need no bounds.  A block of 128 x 256 does 43
operations for each byte that it reads in TF32 and 85 in bfloat16, against 32.
Shared memory: 32 words of k a slice and three slices, 144 KiB, beyond what a kernel gets unasked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import cuda, float32, int64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.matmul.cuda_packing import GROUP, WORDS
from minigrad_kernels.matmul.cuda_parts import Device, located, writer

SIDE = 64  # rows and columns of a warp
SLICE = 2 * GROUP  # words of k in shared memory at a time
DOWN = 2  # warps of a block under each other
STAGES = 3  # slices: one is multiplied, two are on their way
ROWS = DOWN * SIDE  # of a block
PIECE = np.uint32(4)  # words of one copy
HALF = int(WORDS) // 2  # of a group: what a warp loads at once
ROUND = 2 * int(WORDS)  # words of 16 lines of a slice, which 128 threads copy at once
MULTIPLY = {"tf32": ptx.mma_tf32, "bf16": ptx.mma_bf16}


def threads_of(columns: int) -> int:
    """Return the threads of a block of so many columns.

    >>> threads_of(128), threads_of(256)
    (128, 256)
    """
    return 32 * DOWN * columns // SIDE


def shared_of(columns: int) -> int:
    """Return the bytes of dynamic shared memory that a block takes.

    >>> shared_of(128) // 1024, shared_of(256) // 1024
    (96, 144)
    """
    return 4 * STAGES * SLICE * (ROWS + columns)


def copier(lines: int, threads: int) -> Device:
    """Return the function that begins to copy a slice of `lines` packed lines."""
    apart = threads // 128  # groups of lines that the block copies at once

    @cuda.jit(device=True)
    def copy(held, to, x, from_, group):
        for _ in range(lines // (GROUP * apart)):
            ptx.copy_async(held, to, x, from_)
            to = uint32(to + uint32(apart * ROUND))
            from_ = uint32(from_ + uint32(group * uint32(apart)))

    return copy


@cuda.jit(device=True)
def pair(held, index):
    """Return both fragments of a group: of a for two steps, of b for 16 columns."""
    return ptx.load128(held, index) + ptx.load128(held, index + HALF)


@cuda.jit(device=True)
def fragments(held, index):
    """Return those of the four groups of 64 lines."""
    return (
        pair(held, index)
        + pair(held, index + ROUND)
        + pair(held, index + 2 * ROUND)
        + pair(held, index + 3 * ROUND)
    )


@cache
def slices(precision: str, columns: int) -> Device:
    """Return the function that multiplies one slice in shared memory: both its groups of k."""
    multiply = MULTIPLY[precision]

    @cuda.jit(device=True)
    def multiplied(acc, held, p, q):
        # int64, so that the places of fragments become offsets in their instructions
        p, q = int64(p), int64(q)
        acc = multiply(fragments(held, p), fragments(held, q), acc)
        return multiply(fragments(held, p + 2 * HALF), fragments(held, q + 2 * HALF), acc)

    return multiplied


def places_of(pitch: int) -> tuple[int, ...]:
    """Return where a warp's accumulators lie in rows of `pitch` numbers, two by two."""
    return tuple(
        (16 * i + r) * pitch + 8 * j
        for i in range(SIDE // 16)
        for j in range(SIDE // 8)
        for r in (0, 8)
    )


@cache
def packed_product(kind: str, name: str, precision: str, columns: int) -> Callable[..., Any]:
    """Return the kernel of a rule (`cuda_parts.rule_of`) over packed operands.

    precision: "tf32" or "bf16".  columns: of a block, 256 or 128; its rows are 128.
    """
    threads = threads_of(columns)
    right = ROWS * SLICE  # where a slice of b begins
    stage = right + columns * SLICE
    shared = STAGES * stage
    pitch = columns + 8  # of c on its way out: rows of 8 threads meet in no bank
    places = places_of(pitch)
    registers = SIDE * SIDE // 32
    copy_a, copy_b = copier(ROWS, threads), copier(columns, threads)
    multiplied = slices(precision, columns)
    write = writer(kind, name, ROWS, columns, pitch, threads)

    @cuda.jit
    def product(a, a_at, b, b_at, bias, side, sums, z, c, sizes, flags):
        """Compute c = after(a b), a block a tile of c, a warp 64 x 64 of it.

        a, b: uint32, packed; a_at, b_at: (first, group of lines, 0, image) of each.  sizes as
        matmul/cuda_parts.py has them, k and chunk in slices.  sums: not written.
        """
        held = cuda.shared.array(0, uint32, alignment=16)
        out = cuda.shared.array(0, float32, alignment=16)  # the same memory
        t = uint32(cuda.threadIdx.x)
        lane, warp = uint32(t & uint32(31)), uint32(t >> uint32(5))
        wy, wx = uint32(warp & uint32(DOWN - 1)), uint32(warp // uint32(DOWN))
        mine = uint32(lane * PIECE)
        p = uint32(uint32(wy * uint32(4 * ROUND)) + mine)
        q = uint32(uint32(wx * uint32(4 * ROUND)) + mine + uint32(right))
        group, piece = uint32(t >> uint32(7)), uint32(uint32(t & uint32(127)) * PIECE)
        to_piece = uint32(uint32(group * uint32(ROUND)) + piece)
        g, r = uint32(lane >> uint32(2)), uint32(uint32(lane & uint32(3)) << uint32(1))
        row, column = uint32(uint32(wy * uint32(SIDE)) + g), uint32(uint32(wx * uint32(SIDE)) + r)
        index = uint32(uint32(row * uint32(pitch)) + column)
        w = uint32(cuda.blockIdx.x)
        while w < sizes[8]:
            i, j, slab, from_a, from_b, start, end = located(w, 1, a_at, b_at, sizes)
            line = uint32(uint32(i * uint32(ROWS // GROUP)) + group)
            ahead = uint32(uint32(start * uint32(ROUND)) + piece)
            from_a = uint32(from_a + uint32(line * a_at[1]) + ahead)
            line = uint32(uint32(j * uint32(columns // GROUP)) + group)
            from_b = uint32(from_b + uint32(line * b_at[1]) + ahead)
            acc = ptx.zeros(registers)
            ahead = start  # the slice to be copied next, into the stage `to`
            to = uint32(0)
            for _ in range(STAGES - 1):
                if ahead < end:
                    copy_a(held, uint32(to + to_piece), a, from_a, a_at[1])
                    copy_b(held, uint32(to + to_piece + uint32(right)), b, from_b, b_at[1])
                ptx.commit_copies()
                from_a, from_b = uint32(from_a + uint32(ROUND)), uint32(from_b + uint32(ROUND))
                ahead = uint32(ahead + uint32(1))
                to = uint32(to + uint32(stage))
            here = uint32(0)
            while start < end:
                ptx.wait_copies(1)
                cuda.syncthreads()
                if ahead < end:
                    copy_a(held, uint32(to + to_piece), a, from_a, a_at[1])
                    copy_b(held, uint32(to + to_piece + uint32(right)), b, from_b, b_at[1])
                ptx.commit_copies()
                from_a, from_b = uint32(from_a + uint32(ROUND)), uint32(from_b + uint32(ROUND))
                ahead = uint32(ahead + uint32(1))
                acc = multiplied(acc, held, uint32(here + p), uint32(here + q))
                to = here
                here = uint32(here + uint32(stage)) if here < uint32(shared - stage) else uint32(0)
                start = uint32(start + uint32(1))
            cuda.syncthreads()
            ptx.store_tile(out, index, acc, places)
            cuda.syncthreads()
            row0, column0 = uint32(i * uint32(ROWS)), uint32(j * uint32(columns))
            write(out, row0, column0, slab, sizes, bias, side, z, c, flags)
            cuda.syncthreads()
            w = uint32(w + uint32(cuda.gridDim.x))

    product.dynamic_shared = shared_of(columns)
    return product
