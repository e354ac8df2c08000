"""A stable sort of row numbers on the device: by four bits a pass, from the lowest.

Equal keys keep their order, so that what is summed along them has one order, whatever the grid.
A pass counts the digits of every tile of 128 keys, adds the counts up, digit by digit, by the
running sums of cuda_cumsum.py, level by level, and moves each key to its place.  n keys below 2^b
take b / 4 passes over 8 bytes each.
Source: Satish, Harris and Garland, "Designing efficient sorting algorithms for manycore GPUs"
(2009).
"""

from __future__ import annotations

import numpy as np
from numba import cuda, int32, uint32

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.launch import blocks, run, scratch
from minigrad_kernels.cuda.warps import FULL, WARP
from minigrad_kernels.reduce.cuda_cumsum import scan

TILE = 128  # keys of a tile: one to a thread
WARPS = TILE // WARP
DIGITS = 16
BITS = 4
NONE = 16  # the digit of a thread without a key


@cuda.jit(device=True)
def digit_of(keys, i, n, shift):
    """Return four bits of the i-th key, NONE from n on."""
    return uint32((keys[i] >> shift) & uint32(DIGITS - 1)) if i < n else uint32(NONE)


@cuda.jit(device=True)
def same_digit(digit):
    """Return which lanes of the warp have this digit."""
    return uint32(cuda.match_any_sync(FULL, digit))


@cuda.jit(device=True)
def tally(counts, digit):
    """Count the digits of each warp into shared counts[warp, digit]; return those before a thread.

    Barriers stand before and behind: counts may be reused, and read by all.
    """
    t = uint32(cuda.threadIdx.x)
    k = t
    while k < WARPS * DIGITS:
        counts[k >> uint32(BITS), k & uint32(DIGITS - 1)] = uint32(0)
        k = uint32(k + uint32(TILE))
    cuda.syncthreads()
    same = same_digit(digit)
    before = uint32(cuda.popc(uint32(same & cuda.lanemask_lt())))
    if before == 0 and digit < NONE:
        counts[t >> uint32(5), digit] = uint32(cuda.popc(same))
    cuda.syncthreads()
    return before


@cuda.jit
def begin(indices, keys, values):
    """Write the keys as uint32, and where each stands."""
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(indices.size):
        keys[i] = uint32(indices[i])
        values[i] = i
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def count(keys, shift, tiles, totals):
    """Write how often each digit occurs in each tile: totals[digit, tile].  256 shared bytes."""
    counts = cuda.shared.array((WARPS, DIGITS), uint32)
    t = uint32(cuda.threadIdx.x)
    tile = uint32(cuda.blockIdx.x)
    while tile < tiles:
        digit = digit_of(keys, uint32(tile * uint32(TILE) + t), uint32(keys.size), shift)
        tally(counts, digit)
        if t < DIGITS:
            held = uint32(0)
            for warp in range(WARPS):
                held = uint32(held + counts[warp, t])
            totals[uint32(t * tiles + tile)] = int32(held)
        cuda.syncthreads()
        tile = uint32(tile + uint32(cuda.gridDim.x))


@cuda.jit
def move(keys, values, shift, tiles, starts, new_keys, new_values):
    """Move keys and values to their places: starts[digit, tile] and on.  256 shared bytes."""
    counts = cuda.shared.array((WARPS, DIGITS), uint32)
    t = uint32(cuda.threadIdx.x)
    tile = uint32(cuda.blockIdx.x)
    while tile < tiles:
        i = uint32(tile * uint32(TILE) + t)
        digit = digit_of(keys, i, uint32(keys.size), shift)
        index = tally(counts, digit)
        if digit < NONE:
            index = uint32(index + uint32(starts[uint32(digit * tiles + tile)]))
            warp = uint32(0)
            while warp < uint32(t >> uint32(5)):
                index = uint32(index + counts[warp, digit])
                warp = uint32(warp + uint32(1))
            new_keys[index] = keys[i]
            new_values[index] = values[i]
        cuda.syncthreads()
        tile = uint32(tile + uint32(cuda.gridDim.x))


def sort(indices: DeviceArray, below: int) -> tuple[DeviceArray, DeviceArray]:
    """Return row numbers below `below` as sorted uint32, and where each one stood.

    n log16(below) keys are moved; 3 launches a pass, 2 more for every level of the counts' sums.
    """
    n = indices.size
    keys, values, new_keys, new_values = (scratch(n, np.uint32, indices) for _ in range(4))
    tiles = blocks(n, TILE)
    totals, starts = (scratch(DIGITS * tiles, np.int32, indices) for _ in range(2))
    run(begin, tiles, TILE, indices, keys, values)
    for shift in range(0, max(1, below - 1).bit_length(), BITS):
        run(count, tiles, TILE, keys, np.uint32(shift), np.uint32(tiles), totals)
        scan(totals, (1, totals.size, 1), np.int64, False, True, starts)
        work = keys, values, np.uint32(shift), np.uint32(tiles), starts
        run(move, tiles, TILE, *work, new_keys, new_values)
        keys, values, new_keys, new_values = new_keys, new_values, keys, values
    return keys, values
