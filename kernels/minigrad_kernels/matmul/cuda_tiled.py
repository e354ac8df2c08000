"""CUDA products, the second step: a block shares tiles of a and b through shared memory.

Each number that is loaded serves TILE multiply-adds: TILE / 4 float32 operations a byte.  It stays
in use for float64 and for narrow products, which would leave most of a larger tile empty.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import cuda, uint32

from minigrad_kernels.matmul.cuda_parts import KEPT, assign, element, unpacked

TILE = 16
PITCH = TILE + 1  # so that neither rows nor columns of a tile meet in one bank
THREADS = TILE * TILE


@cache
def tiled(kind: str, name: str, with_sums: bool, dtype: Any) -> Any:
    """Return the kernel of a rule (`cuda_parts.rule_of`), with or without the sums of a's rows.

    dtype: a Numba type.
    """
    finish = element(kind, name)

    @cuda.jit
    def product(a, a_at, b, b_at, bias, side, sums, z, c, sizes, flags):
        """Compute c = after(a b), one element a thread, by 16 x 16 tiles of a and of b.

        Threads beside each other load neighbours, whichever way an operand lies.  Shared: 4.25 KiB
        for float64, 2.1 for float32.
        """
        left = cuda.shared.array((TILE, PITCH), dtype)
        right = cuda.shared.array((TILE, PITCH), dtype)
        kept = cuda.shared.array(KEPT, uint32)
        m, n, work = sizes[0], sizes[1], sizes[8]
        t = uint32(cuda.threadIdx.x)
        x, y = uint32(t & uint32(TILE - 1)), uint32(t // uint32(TILE))
        lx, ly = (x, y) if a_at[2] == uint32(1) else (y, x)  # neighbours in memory side by side
        rx, ry = (x, y) if b_at[2] == uint32(1) else (y, x)
        w = uint32(cuda.blockIdx.x)
        while w < work:
            if t == 0:
                assign(kept, w, TILE, a_at, b_at, sizes)
            cuda.syncthreads()
            row0, column0, slab, from_a, from_b, start, end = unpacked(kept)
            v = dtype(0)
            total = dtype(0)
            while start < end:
                row, d = uint32(row0 + ly), uint32(start + lx)
                p = uint32(from_a + uint32(row * a_at[1]) + uint32(d * a_at[2]))
                left[ly, lx] = a[p] if row < m and d < end else dtype(0)
                d, column = uint32(start + ry), uint32(column0 + rx)
                q = uint32(from_b + uint32(d * b_at[1]) + uint32(column * b_at[2]))
                right[ry, rx] = b[q] if d < end and column < n else dtype(0)
                cuda.syncthreads()
                for d in range(TILE):
                    v += left[y, d] * right[d, x]
                    if with_sums:
                        total += left[y, d]
                cuda.syncthreads()
                start = uint32(start + uint32(TILE))
            row, column = uint32(row0 + y), uint32(column0 + x)
            if row < m and column < n:
                line = uint32(uint32(slab * m) + row)
                if with_sums and column == 0:
                    sums[line] = total
                finish(v, uint32(uint32(line * n) + column), column, bias, side, z, c, flags)
            w = uint32(w + uint32(cuda.gridDim.x))

    return product
