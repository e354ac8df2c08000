"""CUDA kernel of copy: any layout, any pair of dtypes, transposes by way of a shared tile.

Shapes: a broadcasts against y: (...); both may be strided.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import boolean, cuda, float32, float64, int64, uint32

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import blocks, flat, run
from minigrad_kernels.cuda.plan import Planned
from minigrad_kernels.elementwise.cuda_kernels import (
    DIMS,
    EMPTY,
    SHAPE,
    STEPS,
    LiftedCuda,
    checks,
    line_of,
    offset_of,
    quotient,
    shape_of,
    walk_of,
)
from minigrad_kernels.elementwise.plan import Layout
from minigrad_kernels.elementwise.rules import WORDS, copied

SIDE = 32  # of a tile, whose rows and columns are each one warp wide
PADDED = SIDE + 1  # elements of a row of the tile: no two of a column share a bank
ROWS = 8  # of the block that moves it
LEAST = 16  # rows and columns from which a tile is worth its barriers


@cuda.jit
def transpose(a, y, tiles, rows, columns, p, r):
    """Copy in tiles of 32 x 32, so that both the reads, along columns, and the writes coalesce.

    tiles: their number, then `divisor` of those of a row, of those of a column, and of the batches
        of the second dimension.  rows, columns: of y.  p, r: the steps of a and y: see `offset_of`.
    4,224 bytes of shared memory for words of 4, else 8,448.
    """
    tile = cuda.shared.array((SIDE, PADDED), a.dtype)
    x, z = uint32(cuda.threadIdx.x), uint32(cuda.threadIdx.y)
    t = uint32(cuda.blockIdx.x)
    while t < tiles[0]:
        line = quotient(t, tiles[2], tiles[3])
        batch = quotient(line, tiles[5], tiles[6])
        outer = quotient(batch, tiles[8], tiles[9])
        middle = uint32(batch - outer * tiles[7])
        row = uint32((line - batch * tiles[4]) * uint32(SIDE))
        column = uint32((t - line * tiles[1]) * uint32(SIDE))
        for k in range(0, SIDE, ROWS):
            i, j = uint32(row + x), uint32(column + z + uint32(k))
            if i < rows and j < columns:
                tile[uint32(z + uint32(k)), x] = a[offset_of((outer, middle, i, j), p)]
        cuda.syncthreads()
        for k in range(0, SIDE, ROWS):
            i, j = uint32(row + z + uint32(k)), uint32(column + x)
            if i < rows and j < columns:
                y[offset_of((outer, middle, i, j), r)] = tile[x, uint32(z + uint32(k))]
        cuda.syncthreads()
        t = uint32(t + uint32(cuda.gridDim.x))


@functools.lru_cache(maxsize=256)
def tilings(a: Layout, y: Layout) -> list[tuple[Any, ...]] | None:
    """Return the launches of `transpose` that copy a to y, or None where rows of a are rows of y.

    The dimension along which a has its neighbours is made the last but one; that along which y has
    them is the last.
    """
    found = []
    for shape, p, r in walk_of(a, y).launches:
        sizes = [int(shape[0] // (shape[1] * shape[4] * shape[7])), *map(int, shape[7:0:-3])]
        near = [axis for axis in range(DIMS - 1) if p[axis + 1] == 1 and sizes[axis] >= LEAST]
        if not near or sizes[-1] < LEAST or p[-1] == 1 or r[-1] != 1:
            return None
        order = [axis for axis in range(DIMS - 1) if axis != near[0]] + [near[0], DIMS - 1]
        outer, middle, rows, columns = (sizes[axis] for axis in order)
        row_tiles, column_tiles = blocks(rows, SIDE), blocks(columns, SIDE)
        p, r = ((steps[0], *(steps[axis + 1] for axis in order)) for steps in (p, r))
        tiles = shape_of((outer, middle, row_tiles, column_tiles))
        found.append((tiles, np.uint32(rows), np.uint32(columns), p, r))
    return found


copy_words = LiftedCuda("copy", copied, 1)


def copy(a: DeviceArray, y: DeviceArray) -> None:
    """Write a to y, which it broadcasts against, converted to y's dtype."""
    if not y.size:
        return
    if a.dtype == y.dtype:
        if a.shape == y.shape and a.flags.c_contiguous and y.flags.c_contiguous:
            if not y.nbytes % 16:
                a, y = flat(a).view(np.float32), flat(y).view(np.float32)
        elif y.itemsize in WORDS:
            a, y = a.view(WORDS[y.itemsize]), y.view(WORDS[y.itemsize])
            layouts = [(x.shape, x.strides, x.itemsize) for x in (a, y)]
            launches = tilings(*layouts)
            if launches is not None:
                lines = [line_of(x, *line) for x, line in zip((a, y), walk_of(*layouts).lines)]
                for tiles, *rest in launches:
                    run(transpose, int(tiles[0]), (SIDE, ROWS), *lines, tiles, *rest)
                return
    copy_words(a, y)


def contiguous(a: DeviceArray) -> DeviceArray:
    """Return an array in C order, copied only where it is not."""
    if a.flags.c_contiguous:
        return a
    y = a.target.empty(a.shape, a.dtype)
    copy(a, y)
    return y


planned_copy = Planned("copy", copy, copy)

CUDA_KERNELS: dict[str, CudaKernel] = {"copy": copy}
MOVED = (STEPS, STEPS)
CHECKS: tuple[Check, ...] = (
    *checks({"copy": copy_words}),
    *(
        Check(
            f"copy.tiles/{word}",
            transpose,
            (word[::1], word[::1], SHAPE, uint32, uint32, *MOVED),
            ("LDS", "STS"),
            40,
            float64=word == float64,
        )
        for word in (float32, float64)
    ),
    Check(
        "copy.strided/bool_to_float32",
        copy_words.strided,
        (boolean[::1], EMPTY, float32[::1], SHAPE, *MOVED),
        (),
        40,
    ),
    Check(
        "copy.strided/float32_to_int64",
        copy_words.strided,
        (float32[::1], EMPTY, int64[::1], SHAPE, *MOVED),
        (),
        40,
    ),
)
