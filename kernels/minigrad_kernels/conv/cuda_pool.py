"""CUDA kernels of pooling: a thread an output, or an input where windows give back to it.

Windows of 2 by 2 side by side, float32, are four to a thread: 128-bit accesses on both sides.  The
gradient of avg_pool gathers: for each row and column the host says which windows reach it.  That of
max_pool knows no windows: a warp a plane takes 32 outputs at once, and lanes that hit the same
place take turns, so that every sum is in the order of the outputs, as on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, int32, uint32

from minigrad_kernels.conv.cuda_pool_windows import (
    THREADS,
    WARPS,
    max_pairs,
    max_scatter,
    max_windows,
    mean_gather,
    mean_pairs,
    mean_pairs_back,
    mean_windows,
)
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import blocks, flat, run, vectors


def table(windows: Array) -> Array:
    """Return a table of windows as kernels take it."""
    return windows.astype(np.uint32).reshape(-1)


def size_of(x: DeviceArray) -> tuple[Any, Any]:
    """Return the height and the width of planes as kernels take them."""
    return np.uint32(x.shape[1]), np.uint32(x.shape[2])


def pairs(x: DeviceArray, row_windows: Array, column_windows: Array, divisors: bool) -> bool:
    """Tell whether the windows are 2 by 2, side by side, four to a thread."""
    sides = (row_windows, x.shape[1]), (column_windows, x.shape[2])
    return (
        x.dtype == np.float32
        and x.shape[2] == 2 * len(column_windows)
        and not len(column_windows) % 4
        and x.shape[1] == 2 * len(row_windows)
        and all(
            np.array_equal(t[:, 0], np.arange(0, n, 2))
            and np.array_equal(t[:, 1], t[:, 0] + 2)
            and np.all(t[:, 2] == (t[0, 2] if divisors else 1))
            for t, n in sides
        )
    )


def max_pool(
    x: DeviceArray, row_windows: Array, column_windows: Array, y: DeviceArray, index: DeviceArray
) -> None:
    """Write the largest element of each window to y and its index to index: see conv/pool.py."""
    if not y.size:
        return
    if pairs(x, row_windows, column_windows, False) and vectors(x, y) and not index.address % 16:
        work = blocks(y.size // 4, THREADS)
        columns = np.uint32(len(column_windows))
        run(max_pairs, work, THREADS, flat(x), *size_of(x), columns, flat(y), flat(index))
        return
    work = blocks(y.size, THREADS)
    tables = table(row_windows), table(column_windows)
    run(max_windows, work, THREADS, flat(x), *size_of(x), *tables, flat(y), flat(index))


def max_pool_backward(dy: DeviceArray, index: DeviceArray, dx: DeviceArray) -> None:
    """Write dx: (planes, H, W) from dy and index: (planes, H', W')."""
    if not dx.size:
        return
    planes = len(dx)
    sizes = map(np.uint32, (planes, dy.size // planes, dx.size // planes))
    run(max_scatter, blocks(planes, WARPS), THREADS, flat(dy), flat(index), *sizes, flat(dx))


def avg_pool(x: DeviceArray, row_windows: Array, column_windows: Array, y: DeviceArray) -> None:
    """Write the mean of each window to y: see conv/pool.py for shapes."""
    if not y.size:
        return
    if pairs(x, row_windows, column_windows, True) and vectors(x, y):
        divisor = np.float32(row_windows[0, 2] * column_windows[0, 2])
        work, columns = blocks(y.size // 4, THREADS), np.uint32(len(column_windows))
        run(mean_pairs, work, THREADS, flat(x), *size_of(x), columns, divisor, flat(y))
        return
    tables = table(row_windows), table(column_windows)
    run(mean_windows, blocks(y.size, THREADS), THREADS, flat(x), *size_of(x), *tables, flat(y))


def reach(windows: Array, size: int) -> Array:
    """Return for each of `size` elements the first window that holds it, and one after the last.

    >>> reach(np.array([[0, 2, 1], [1, 3, 1]]), 4).reshape(-1, 2).tolist()
    [[0, 1], [0, 2], [1, 2], [2, 0]]
    """
    found = np.tile(np.array([len(windows), 0], np.uint32), (size, 1))
    for k, (first, last, _) in enumerate(windows):
        found[first:last, 0] = np.minimum(found[first:last, 0], k)
        found[first:last, 1] = k + 1
    return found.reshape(-1)


def avg_pool_backward(
    dy: DeviceArray, row_windows: Array, column_windows: Array, dx: DeviceArray
) -> None:
    """Write dx: (planes, H, W) from dy: (planes, H', W')."""
    if not dx.size:
        return
    if pairs(dx, row_windows, column_windows, True) and vectors(dy, dx):
        divisor = np.float32(row_windows[0, 2] * column_windows[0, 2])
        work, columns = blocks(dy.size // 4, THREADS), np.uint32(len(column_windows))
        run(mean_pairs_back, work, THREADS, flat(dy), *size_of(dx), columns, divisor, flat(dx))
        return
    reaches = reach(row_windows, dx.shape[1]), reach(column_windows, dx.shape[2])
    tables = table(row_windows), table(column_windows), *reaches
    work = blocks(dx.size, THREADS)
    run(mean_gather, work, THREADS, flat(dy), *size_of(dx), *tables, flat(dx))


CUDA_KERNELS: dict[str, CudaKernel] = {
    "max_pool": max_pool,
    "max_pool_backward": max_pool_backward,
    "avg_pool": avg_pool,
    "avg_pool_backward": avg_pool_backward,
}

LINE, WORDS, INDEX, WORD = float32[::1], uint32[::1], int32[::1], uint32
BOTH = ("LDG.E.128", "STG.E.128")
CHECKS: tuple[Check, ...] = (
    Check("pool.max_pairs", max_pairs, (LINE, WORD, WORD, WORD, LINE, INDEX), BOTH, 48),
    Check("pool.mean_pairs", mean_pairs, (LINE, WORD, WORD, WORD, float32, LINE), BOTH, 48),
    Check("pool.mean_pairs_back", mean_pairs_back, (LINE, *(WORD,) * 3, float32, LINE), BOTH, 48),
    *(
        Check(f"pool.{name}/{kind}", kernel, signature, opcodes, 64, kind == float64)
        for kind in (float32, float64)
        for name, kernel, signature, opcodes in (
            (
                "max_windows",
                max_windows,
                (kind[::1], WORD, WORD, WORDS, WORDS, kind[::1], INDEX),
                (),
            ),
            (
                "max_scatter",
                max_scatter,
                (kind[::1], INDEX, WORD, WORD, WORD, kind[::1]),
                ("MATCH.ANY",),
            ),
            ("mean_windows", mean_windows, (kind[::1], WORD, WORD, WORDS, WORDS, kind[::1]), ()),
            ("mean_gather", mean_gather, (kind[::1], WORD, WORD, *(WORDS,) * 4, kind[::1]), ()),
        )
    ),
)
