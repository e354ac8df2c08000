"""Packing the operands of a matrix product, in the order in which the register tiles read them.

b becomes strips as wide as a tile, a panels as high as one; both lie contiguous along k, so that
no stride of the operand, a power of two above all, makes its rows fall onto each other in a cache.
Rows and columns in either order come out alike.

Shapes: b: (K, N) -> strips (K, STRIP_BYTES); a: (M, K) -> panels (K, HEIGHT).
Source: van Zee and van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS
Functionality", 2015.
"""

from __future__ import annotations

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.matmul.register_tile import HEIGHT, VECTORS
from minigrad_kernels.simd.registers import VECTOR_BYTES, copy_lanes, prefetch, transpose_square

# Depth of a block of K.  Each is summed by itself: blocks of 256 run 4 % faster at 1024^3 and 8 %
# at 2048^3, but have 1.2 to 1.4 times the rounding error of MKL, these 0.85 to 1.0.
KC = 128
MC = 132 // HEIGHT * HEIGHT  # rows of a that stay in second-level cache from strip to strip
NC_BYTES = 4096  # of a row of b, packed at once
STRIP_BYTES = VECTORS * VECTOR_BYTES
AHEAD = 16  # rows that packing asks for before it reads them, where it copies row after row
TOGETHER = 8  # columns of a that are packed in turn: as many lines as the ways of a cache bear


@jit()
def depth_of(k: int) -> int:
    """Return how deep the blocks of K are: even ones, whole vectors each."""
    blocks = max(1, (k + KC // 2) // KC)
    return ((k + blocks - 1) // blocks + 15) // 16 * 16


@jit()
def together_of(depth, level1):
    """Return how many blocks of K are packed and multiplied in one go: c is read and written once
    for all of them, while a strip of b takes three quarters of `level1` bytes at most.
    """
    return max(1, level1 // 4 * 3 // (max(1, depth) * STRIP_BYTES))


@jit()
def pack_strips(dtype, size, source, ld, transposed, kc, columns, target):
    """Write b[kc, columns] as strips, one after the other, each (kc, STRIP_BYTES)."""
    width = VECTOR_BYTES // size
    if transposed:
        for j in range(0, columns, width):
            byte = j * size
            to = target + byte // STRIP_BYTES * STRIP_BYTES * kc + byte % STRIP_BYTES
            rows = min(width, columns - j)
            for k in range(0, kc, width):
                for r in range(rows):
                    prefetch(source + (j + width + r) * ld + k * size, 0)
                transpose_square(
                    dtype,
                    source + j * ld + k * size,
                    ld,
                    rows,
                    kc - k,
                    to + k * STRIP_BYTES,
                    STRIP_BYTES,
                )
    else:
        together = 4 * STRIP_BYTES // size  # strips written in turn, as many as caches bear
        for first in range(0, columns, together):
            for k in range(kc):
                ahead = source + (k + AHEAD) * ld + first * size
                for line in range(0, 4 * STRIP_BYTES, 64):
                    prefetch(ahead + line, 0)
                for j in range(first, min(columns, first + together), width):
                    byte = j * size
                    to = target + byte // STRIP_BYTES * STRIP_BYTES * kc + byte % STRIP_BYTES
                    copy_lanes(dtype, source + k * ld + byte, to + k * STRIP_BYTES, columns - j)


@jit()
def panel_bytes(kc, size):
    """Return the step from a panel to the next: one vector more than it holds."""
    return HEIGHT * kc * size + VECTOR_BYTES


@jit()
def pack_panels(dtype, size, source, ld, transposed, kc, rows, target):
    """Write a[rows, kc] as panels, each (kc, HEIGHT), `panel_bytes` apart.

    Whole vectors are stored, beyond HEIGHT too; what they spoil is written after them.
    """
    width = VECTOR_BYTES // size
    line = HEIGHT * size
    panel = panel_bytes(kc, size)
    if transposed:
        for first in range(0, kc, TOGETHER):
            last = min(kc, first + TOGETHER)
            for i in range(0, rows, HEIGHT):
                panel_rows = min(HEIGHT, rows - i)
                for k in range(first, last):
                    prefetch(source + (k + AHEAD) * ld + i * size, 0)
                    to = target + i // HEIGHT * panel + k * line
                    for r in range(0, panel_rows, width):
                        copy_lanes(
                            dtype, source + k * ld + (i + r) * size, to + r * size, panel_rows - r
                        )
    else:
        for i in range(0, rows, HEIGHT):
            panel_rows = min(HEIGHT, rows - i)
            for k in range(0, kc, width):
                for r in range(panel_rows):
                    prefetch(source + (i + HEIGHT + r) * ld + k * size, 0)
                to = target + i // HEIGHT * panel + k * line
                for r in range((panel_rows - 1) // width * width, -1, -width):
                    transpose_square(
                        dtype,
                        source + (i + r) * ld + k * size,
                        ld,
                        min(width, panel_rows - r),
                        kc - k,
                        to + r * size,
                        line,
                    )
