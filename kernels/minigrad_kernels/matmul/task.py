"""One task of a matrix product, a block of c, compiled once for each dtype and called by address.

A task packs its columns of b into strips and its rows of a into panels, unless they are few, and
lays register tiles over them.  K is cut into blocks by K alone, and each element is summed in the
order of k, block after block: bits depend neither on threads nor on M, N and layout.

What is left to do with c follows at once, while it is in cache: an epilogue (matmul/epilogue.py),
or the row sums of a, which for a gradient g^T x are the bias gradient.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.function_pointers import call_at, entry
from minigrad_kernels.matmul.packing import (
    KC,
    MC,
    NC_BYTES,
    STRIP_BYTES,
    depth_of,
    pack_panels,
    pack_strips,
    panel_bytes,
    together_of,
)
from minigrad_kernels.matmul.register_tile import HEIGHT, WIDE, pair, strip
from minigrad_kernels.simd.caches import level1_bytes
from minigrad_kernels.simd.registers import VECTOR_BYTES, address_array

PLAIN, BIAS, ADD = 0, 1, 2  # what c starts from: zeros, a row, itself
NOTHING, SUMS = 0, 1  # what follows; else the address of an epilogue
LEVEL1 = level1_bytes()
DEEPEST = max((KC + KC // 2 + 15) // 16 * 16, LEVEL1 // 4 * 3 // STRIP_BYTES)
PANELS = (MC // HEIGHT) * (HEIGHT * DEEPEST * 8 + VECTOR_BYTES)
WAYS = 6 << 12  # bytes of six ways of a first-level cache of 64 sets
# Bytes a thread packs into.  Whole huge pages, which NumPy asks the system for: packed blocks in
# ordinary ones took 6 % more time at 1024^3 on a Xeon.
PAGE = 2 << 20
ARENA = -(-(64 + 2 * STRIP_BYTES + PANELS + DEEPEST * (NC_BYTES + STRIP_BYTES)) // PAGE) * PAGE


@jit()
def add_rows(dtype, a, lda, transposed, rows, kc, sums, fresh):
    """Add a[rows, kc] to the sums of its rows, in the order of k, four at a time."""
    total = address_array(sums, rows, dtype)
    if fresh:
        for i in range(rows):
            total[i] = 0
    fours = kc // 4 * 4
    if transposed:
        for k in range(0, fours, 4):
            x0 = address_array(a + k * lda, rows, dtype)
            x1 = address_array(a + (k + 1) * lda, rows, dtype)
            x2 = address_array(a + (k + 2) * lda, rows, dtype)
            x3 = address_array(a + (k + 3) * lda, rows, dtype)
            for i in range(rows):
                total[i] += (x0[i] + x1[i]) + (x2[i] + x3[i])
        for k in range(fours, kc):
            x = address_array(a + k * lda, rows, dtype)
            for i in range(rows):
                total[i] += x[i]
    else:
        for i in range(rows):
            x = address_array(a + i * lda, kc, dtype)
            for k in range(0, fours, 4):
                total[i] += (x[k] + x[k + 1]) + (x[k + 2] + x[k + 3])
            for k in range(fours, kc):
                total[i] += x[k]


def task_of(dtype: Any, name: str, level1: int) -> Any:
    """Return the jitted task of a dtype; all its arguments are int64: addresses, steps in bytes.

    level1: bytes of first-level cache; a constant of the closure, it is in the kernel's cache key.
    """
    size = np.dtype(dtype).itemsize

    @jit(name=name)
    def task(
        a, lda, a_transposed, b, ldb, b_transposed, base, mode, c, ldc, k_all,
        m0, m1, n0, n1, after, side, arena,
    ):  # fmt: skip
        nr = STRIP_BYTES // size
        depth = depth_of(k_all)
        # Of few rows each number of b meets hardly more than one: what is packed is used at once,
        # from the first-level cache, and where rows of b are read once, they are not packed at all.
        slim = m1 - m0 <= 2 * HEIGHT
        block = depth if slim else depth * together_of(depth, level1)
        most_columns = 2 * nr if slim else NC_BYTES // size
        zeros = (arena + 63) // 64 * 64
        panels = zeros + 2 * STRIP_BYTES
        packed = panels + PANELS
        none = address_array(zeros, 2 * nr, dtype)
        for j in range(2 * nr):
            none[j] = 0
        apart = k_all * (ldb & -ldb) <= WAYS  # else rows of a strip fall onto each other in a cache
        few = m1 - m0 <= 12 * HEIGHT and k_all * ldb <= 2**16 and apart
        fewer = m1 - m0 <= 3 * HEIGHT and k_all * ldb <= 2**19
        once = m1 - m0 <= HEIGHT
        in_place = (few or fewer or once) and not b_transposed and (n1 - n0) % nr == 0
        most = MC if depth >= 128 else 2 * HEIGHT  # little depth: walk c by rows, not by strips
        row_blocks = max(1, (m1 - m0 + most - 1) // most)
        block_rows = ((m1 - m0 + row_blocks - 1) // row_blocks + HEIGHT - 1) // HEIGHT * HEIGHT
        pack_a = k_all > 128 and n1 - n0 >= 4 * nr and m1 - m0 > HEIGHT
        for j0 in range(n0, n1, most_columns):
            columns = min(most_columns, n1 - j0)
            p = 0
            while True:
                kc = min(block, k_all - p)
                last = p + kc >= k_all
                if not in_place:
                    if b_transposed:
                        from_b = b + j0 * ldb + p * size
                    else:
                        from_b = b + p * ldb + j0 * size
                    pack_strips(dtype, size, from_b, ldb, b_transposed, kc, columns, packed)
                for i0 in range(m0, m1, block_rows):
                    rows = min(block_rows, m1 - i0)
                    from_a = a + (p * lda + i0 * size if a_transposed else i0 * lda + p * size)
                    if after == SUMS and j0 == 0:
                        add_rows(
                            dtype, from_a, lda, a_transposed, rows, kc, side + i0 * size, p == 0
                        )
                    if pack_a:
                        pack_panels(dtype, size, from_a, lda, a_transposed, kc, rows, panels)
                    j = 0
                    while j < columns:
                        to = c + i0 * ldc + (j0 + j) * size
                        if p > 0 or mode == ADD:
                            start, start_ld = to, ldc
                        elif mode == BIAS:
                            start, start_ld = base + (j0 + j) * size, 0
                        else:
                            start, start_ld = zeros, 0
                        if in_place:
                            at_b, strip_ld = b + p * ldb + (j0 + j) * size, ldb
                            beside = STRIP_BYTES
                        else:
                            at_b, strip_ld = packed + j * kc * size, STRIP_BYTES
                            beside = kc * STRIP_BYTES
                        if WIDE and not a_transposed and not pack_a and columns - j > nr:
                            pair(
                                dtype, rows, from_a, lda, at_b, beside, strip_ld,
                                kc, depth, start, start_ld, to, ldc, columns - j,
                            )  # fmt: skip
                            j += 2 * nr
                            continue
                        at_a, line, by_column, step, panel = from_a, lda, a_transposed, rows, 0
                        if pack_a:
                            at_a, line, by_column, step = panels, HEIGHT * size, 1, HEIGHT
                            panel = panel_bytes(kc, size)
                        for i in range(0, rows, step):
                            strip(
                                dtype, by_column, min(step, rows - i), at_a, line,
                                at_b, strip_ld, kc, depth, start, start_ld, to, ldc, columns - j,
                            )  # fmt: skip
                            at_a += panel
                            start += step * start_ld
                            to += step * ldc
                        j += nr
                    if after > SUMS and last:
                        where = i0 * ldc + j0 * size
                        call_at(after, (c + where, side + where, ldc, rows, columns))
                p += kc
                if last:
                    break

    return task


TASKS = {
    np.dtype(dtype): task_of(dtype, f"gemm_task.task.{np.dtype(dtype)}", LEVEL1)
    for dtype in (np.float32, np.float64)
}
ARGUMENTS = 18


def strip_of(dtype: Any, name: str) -> Any:
    """Return the jitted function that lays a strip of register tiles; all arguments are int64."""

    @jit(name=name)
    def lay(by_column, rows, a, lda, b, ldb, kc, depth, base, base_ld, c, ldc, columns):
        strip(
            dtype, by_column, rows, a, lda, b, ldb, kc, depth, base, base_ld, c, ldc, columns
        )  # fmt: skip

    return lay


STRIPS = {
    np.dtype(dtype): strip_of(dtype, f"gemm_strip.strip.{np.dtype(dtype)}")
    for dtype in (np.float32, np.float64)
}


@functools.cache
def strip_address(dtype: np.dtype[Any]) -> int:
    """Return the address of `strip` of a dtype, for kernels that would compile it into themselves:
    convolutions, each twice, took 13 s of it.
    """
    return entry(STRIPS[dtype], 13)


@functools.cache
def task_address(dtype: np.dtype[Any]) -> int:
    """Return the address of the task of a dtype, compiled at the first use."""
    return entry(TASKS[dtype], ARGUMENTS)


@functools.cache
def arenas() -> int:
    """Return the address of the arenas; the memory stays as long as the process.

    The first is for kernels on the calling thread alone, which hold the interpreter's lock; the
    others are for the threads of a parallel loop, which may run meanwhile.
    """
    memory = np.empty((1 + numba.config.NUMBA_NUM_THREADS) * ARENA + PAGE, np.uint8)
    _held.append(memory)
    return -(-int(memory.ctypes.data) // PAGE) * PAGE


@functools.cache
def places(size: int) -> tuple[int, int]:
    """Return the addresses of the task for elements of so many bytes, and of the arenas."""
    return task_address(np.dtype(f"f{size}")), arenas()


def thread_arenas() -> int:
    """Return the address of the arenas of a parallel loop's threads."""
    return arenas() + ARENA


_held: list[Any] = []
