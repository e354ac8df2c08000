"""CUDA products in float32, the third step: 8 x 8 elements of c in the registers of each thread.

A step of k loads 16 numbers from shared memory, as four 128-bit words, for 64 multiply-adds; the
next slices of a and b come by `cp.async` meanwhile.  A block of 128 x 128 does 32 operations for
each byte that it reads of a and b.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import cuda, float32, int32, int64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.matmul.cuda_parts import KEPT, Device, assign, rows_left, unpacked, writer

DEPTH = 16  # of k in a slice
SIDE = 8  # of a thread's tile


def threads_of(tile: int) -> int:
    """Return the threads of a block whose tile has `tile` rows and columns."""
    return tile * tile // (SIDE * SIDE)


@cache
def fetcher(tile: int, along: bool) -> Device:
    """Return the function that begins to copy DEPTH x `tile` numbers, k by k in shared memory.

    Where there are none come zeros.
    """
    threads = threads_of(tile)
    pitch = tile + 4
    line = tile // 4  # vectors in a row of the slice
    rounds, lines = DEPTH * line // threads, threads // line
    words, apart = tile // (threads // 8), threads // 8

    @cuda.jit(device=True)
    def vectors(held, to, x, first, step, step_k, count, row0, start, end):
        t = uint32(cuda.threadIdx.x)
        d = uint32(t // uint32(line))
        r = uint32(uint32(t & uint32(line - 1)) << uint32(2))
        index = uint32(start + d)
        from_ = uint32(first + uint32(row0 + r) + uint32(index * step_k))
        left = rows_left(end, index, uint32(0)) if uint32(row0 + r) < count else int32(0)
        to = uint32(to + uint32(d * uint32(pitch)) + r)
        for i in range(rounds):
            ptx.copy_async_or_zero(held, to, x, from_, int32(i * lines) < left)
            to = uint32(to + uint32(lines * pitch))
            from_ = uint32(from_ + uint32(step_k * uint32(lines)))

    @cuda.jit(device=True)
    def elements(held, to, x, first, step, step_k, count, row0, start, end):
        t = uint32(cuda.threadIdx.x)
        # A warp takes 8 of k by 4 rows: whole sectors of memory, and 32 banks.
        for j in range(DEPTH // 8):
            d = uint32(uint32(t & uint32(7)) + uint32(j * 8))
            r = uint32(t >> uint32(3))
            index = uint32(start + d)
            from_ = uint32(first + uint32(uint32(row0 + r) * step) + uint32(index * step_k))
            left = rows_left(count, row0, r) if index < end else int32(0)
            place = uint32(to + uint32(d * uint32(pitch)) + r)
            for i in range(words):
                ptx.copy_element_or_zero(held, place, x, from_, int32(i * apart) < left)
                place = uint32(place + uint32(apart))
                from_ = uint32(from_ + uint32(step * uint32(apart)))

    return vectors if along else elements


@cache
def registers(
    kind: str, name: str, with_sums: bool, tile: int, a_along: bool, b_along: bool
) -> Any:
    """Return the kernel of a rule (`cuda_parts.rule_of`), with or without the sums of a's rows.

    tile: of a block, 128 or 64.
    """
    half = tile // 2
    pitch = tile + 4
    slice_ = DEPTH * pitch
    stage = 2 * slice_
    shared = 2 * stage
    beside = half // 32  # warps next to each other
    places = tuple(i * pitch + j for i in range(4) for j in (0, half))
    fetch_a, fetch_b = fetcher(tile, a_along), fetcher(tile, b_along)
    write = writer(kind, name, half, tile, pitch, threads_of(tile))

    @cuda.jit(device=True)
    def multiply(acc, held, p, q):
        """Add the outer product of eight rows at p and eight columns at q to the tile."""
        left = ptx.load128(held, p) + ptx.load128(held, p + half)
        right = ptx.load128(held, q) + ptx.load128(held, q + half)
        return ptx.outer_fma(acc, left, right)

    @cuda.jit(max_registers=128 if tile == 128 else 168)
    def product(a, a_at, b, b_at, bias, side, sums, z, c, sizes, flags):
        """Compute c = after(a b), each block a tile of c, each thread 2 x 2 squares of 4 x 4.

        A warp's threads lie 4 x 8, so that 128-bit loads of shared memory meet in no bank.  Two
        slices of a and of b, 33 KiB of shared memory for a tile of 128: one is multiplied while the
        other comes.  c leaves through the same memory in two halves.
        """
        held = cuda.shared.array(shared, float32, alignment=16)
        kept = cuda.shared.array(KEPT, uint32)
        m, n, work = sizes[0], sizes[1], sizes[8]
        t = uint32(cuda.threadIdx.x)
        lane, warp = uint32(t & uint32(31)), uint32(t >> uint32(5))
        wy = uint32(warp // uint32(beside))
        wx = uint32(warp - uint32(wy * uint32(beside)))
        y = uint32(uint32(wy << uint32(4)) + uint32(uint32(lane >> uint32(3)) << uint32(2)))
        x = uint32(uint32(wx << uint32(5)) + uint32(uint32(lane & uint32(7)) << uint32(2)))
        w = uint32(cuda.blockIdx.x)
        while w < work:
            if t == 0:
                assign(kept, w, tile, a_at, b_at, sizes)
            cuda.syncthreads()
            row0, column0, _, from_a, from_b, start, end = unpacked(kept)
            here = uint32(0)
            total = float32(0)
            acc = ptx.zeros(64)
            fetch_a(held, here, a, from_a, a_at[1], a_at[2], m, row0, start, end)
            to = uint32(slice_)
            fetch_b(held, to, b, from_b, b_at[2], b_at[1], n, column0, start, end)
            ptx.commit_copies()
            while start < end:
                ptx.wait_copies(0)
                cuda.syncthreads()
                start, end = uint32(start + uint32(DEPTH)), kept[6]
                to = uint32(uint32(stage) - here)
                if start < end:
                    fetch_a(held, to, a, from_a, a_at[1], a_at[2], m, row0, start, end)
                    index = uint32(to + uint32(slice_))
                    fetch_b(held, index, b, from_b, b_at[2], b_at[1], n, column0, start, end)
                    ptx.commit_copies()
                # int64, so that the places of a step become offsets in its instructions
                p, q = int64(here + y), int64(here + uint32(slice_) + x)
                last = uint32(here + y + uint32(DEPTH * pitch))
                while uint32(p) < last:  # the loads of a step come while the one before is computed
                    acc = multiply(acc, held, p, q)
                    acc = multiply(acc, held, p + pitch, q + pitch)
                    acc = multiply(acc, held, p + 2 * pitch, q + 2 * pitch)
                    acc = multiply(acc, held, p + 3 * pitch, q + 3 * pitch)
                    p, q = p + 4 * pitch, q + 4 * pitch
                if with_sums and column0 == 0 and t < uint32(tile):
                    for d in range(DEPTH):
                        total += held[uint32(here + uint32(d * pitch) + t)]
                here = to
            row0, column0, slab, w = kept[0], kept[1], kept[2], kept[7]  # no registers meanwhile
            if with_sums and column0 == 0 and t < uint32(tile) and uint32(row0 + t) < m:
                sums[uint32(uint32(slab * m) + row0 + t)] = total
            index = uint32(uint32(y * uint32(pitch)) + x)
            cuda.syncthreads()
            ptx.store_tile(held, index, acc[:32], places)
            cuda.syncthreads()
            write(held, row0, column0, slab, sizes, bias, side, z, c, flags)
            cuda.syncthreads()
            ptx.store_tile(held, index, acc[32:], places)
            cuda.syncthreads()
            row0 = uint32(row0 + uint32(half))
            write(held, row0, column0, slab, sizes, bias, side, z, c, flags)
            w = uint32(w + uint32(cuda.gridDim.x))

    return product
