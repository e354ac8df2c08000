"""CUDA twins of pooling: a thread an output, or an input where windows give back to it.

Windows of 2 by 2 side by side, float32, are four to a thread: 128-bit accesses on both sides.  The
gradient of avg_pool gathers: for each row and column the host says which windows reach it.  That of
max_pool knows no windows: a warp a plane takes 32 outputs at once, and lanes that hit the same
place take turns, so that every sum is in the order of the outputs, as on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, float64, int32, uint32

from minigrad_kernels import ptx
from minigrad_kernels.gpu.array import Array, DeviceArray
from minigrad_kernels.gpu.checks import Check, Twin
from minigrad_kernels.gpu.launching import blocks, flat, run, vectors
from minigrad_kernels.pool import larger
from minigrad_kernels.scalar import like

THREADS = 128
WARPS = THREADS // 32
FULL = 0xFFFFFFFF


# ---------------------------------------------------------------- maximum
@cuda.jit
def max_windows(x, h, w, down, across, y, index):
    """Write the largest element of each window and where it is; a NaN is larger than numbers."""
    rows, columns = uint32(down.size // 3), uint32(across.size // 3)
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(y.size):
        row = uint32(i // columns)
        j = uint32(uint32(i - uint32(row * columns)) * uint32(3))
        plane = uint32(row // rows)
        k = uint32(uint32(row - uint32(plane * rows)) * uint32(3))
        start = uint32(uint32(plane * h) * w)
        bottom, d = down[uint32(k + uint32(1))], down[uint32(k + uint32(2))]
        right, e = across[uint32(j + uint32(1))], across[uint32(j + uint32(2))]
        r = down[k]
        at = uint32(uint32(r * w) + across[j])
        best = x[uint32(start + at)]
        while r < bottom:
            c = across[j]
            while c < right:
                place = uint32(uint32(r * w) + c)
                best, at = larger(best, at, x[uint32(start + place)], place)
                c = uint32(c + e)
            r = uint32(r + d)
        y[i] = best
        index[i] = int32(at)
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit(device=True)
def max_of_pairs(a, b, c, d, at, w):
    """Return the largest of two pairs, b beside a and d beside c, w below, and its place."""
    best, where = larger(a, at, b, uint32(at + uint32(1)))
    best, where = larger(best, where, c, uint32(at + w))
    best, where = larger(best, where, d, uint32(at + w + uint32(1)))
    return best, int32(where)


@cuda.jit
def max_pairs(x, h, w, columns, y, index):
    """Pool windows of 2 by 2 side by side, four of a row at once; w = 2 columns, columns % 4 = 0.

    Two 128-bit loads of each of two rows, one store of y and one of index.
    """
    plane_rows = uint32(h >> uint32(1))
    i = uint32(uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) * uint32(4))
    while i < uint32(y.size):
        row = uint32(i // columns)
        plane = uint32(row // plane_rows)
        left = uint32(uint32(i - uint32(row * columns)) * uint32(2))
        top = uint32(uint32(row - uint32(plane * plane_rows)) * uint32(2))
        at = uint32(uint32(top * w) + left)
        upper = uint32(uint32(uint32(plane * h) * w) + at)
        lower = uint32(upper + w)
        a, b = ptx.load128(x, upper), ptx.load128(x, uint32(upper + uint32(4)))
        c, d = ptx.load128(x, lower), ptx.load128(x, uint32(lower + uint32(4)))
        p, k = max_of_pairs(a[0], a[1], c[0], c[1], at, w)
        q, m = max_of_pairs(a[2], a[3], c[2], c[3], uint32(at + uint32(2)), w)
        r, n = max_of_pairs(b[0], b[1], d[0], d[1], uint32(at + uint32(4)), w)
        s, o = max_of_pairs(b[2], b[3], d[2], d[3], uint32(at + uint32(6)), w)
        ptx.store128(y, i, (p, q, r, s))
        ptx.store128(index, i, (k, m, n, o))
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x * uint32(4)))


@cuda.jit
def max_scatter(dy, index, planes, outputs, inputs, dx):
    """Add each dy to dx where its maximum was: a warp a plane, 32 outputs a turn, in order."""
    lane = uint32(cuda.threadIdx.x & 31)
    below = uint32(uint32(uint32(1) << lane) - uint32(1))
    plane = uint32(cuda.blockIdx.x * uint32(WARPS) + uint32(cuda.threadIdx.x >> 5))
    while plane < planes:
        start = uint32(plane * inputs)
        i = lane
        while i < inputs:
            dx[uint32(start + i)] = dx.dtype.type(0)
            i = uint32(i + uint32(32))
        cuda.syncwarp(FULL)
        first = uint32(0)
        while first < outputs:
            i = uint32(uint32(plane * outputs) + uint32(first + lane))
            here = uint32(first + lane) < outputs
            # A lane without an output stands for a place of its own, behind all others.
            at = uint32(index[i]) if here else uint32(inputs + lane)
            mine = uint32(cuda.match_any_sync(FULL, int32(at)))
            waits = uint32(cuda.popc(uint32(mine & below)))
            turn = uint32(0)
            while cuda.any_sync(FULL, waits >= turn):
                if here and waits == turn:
                    dx[uint32(start + at)] += dy[i]
                turn = uint32(turn + uint32(1))
                cuda.syncwarp(FULL)
            first = uint32(first + uint32(32))
        plane = uint32(plane + uint32(cuda.gridDim.x * uint32(WARPS)))


# ---------------------------------------------------------------- mean
@cuda.jit
def mean_windows(x, h, w, down, across, y):
    """Write the sum of each window over its divisors' product."""
    rows, columns = uint32(down.size // 3), uint32(across.size // 3)
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(y.size):
        row = uint32(i // columns)
        j = uint32(uint32(i - uint32(row * columns)) * uint32(3))
        plane = uint32(row // rows)
        k = uint32(uint32(row - uint32(plane * rows)) * uint32(3))
        start = uint32(uint32(plane * h) * w)
        bottom, right = down[uint32(k + uint32(1))], across[uint32(j + uint32(1))]
        total = x.dtype.type(0)
        r = down[k]
        while r < bottom:
            line = x.dtype.type(0)
            c = across[j]
            while c < right:
                line += x[uint32(start + uint32(uint32(r * w) + c))]
                c = uint32(c + uint32(1))
            total += line
            r = uint32(r + uint32(1))
        divisor = uint32(down[uint32(k + uint32(2))] * across[uint32(j + uint32(2))])
        y[i] = total / like(total, divisor)
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def mean_pairs(x, h, w, columns, divisor, y):
    """Do what `mean_windows` does for windows of 2 by 2 side by side, as `max_pairs` reads them."""
    plane_rows = uint32(h >> uint32(1))
    i = uint32(uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) * uint32(4))
    while i < uint32(y.size):
        row = uint32(i // columns)
        plane = uint32(row // plane_rows)
        left = uint32(uint32(i - uint32(row * columns)) * uint32(2))
        top = uint32(uint32(row - uint32(plane * plane_rows)) * uint32(2))
        upper = uint32(uint32(uint32(uint32(plane * h) + top) * w) + left)
        lower = uint32(upper + w)
        a, b = ptx.load128(x, upper), ptx.load128(x, uint32(upper + uint32(4)))
        c, d = ptx.load128(x, lower), ptx.load128(x, uint32(lower + uint32(4)))
        means = (
            ((a[0] + a[1]) + (c[0] + c[1])) / divisor,
            ((a[2] + a[3]) + (c[2] + c[3])) / divisor,
            ((b[0] + b[1]) + (d[0] + d[1])) / divisor,
            ((b[2] + b[3]) + (d[2] + d[3])) / divisor,
        )
        ptx.store128(y, i, means)
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x * uint32(4)))


@cuda.jit
def mean_gather(dy, h, w, down, across, row_reach, column_reach, dx):
    """Add up for each element of dx the shares of the windows that hold it, in order."""
    rows, columns = uint32(down.size // 3), uint32(across.size // 3)
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(dx.size):
        line = uint32(i // w)
        c = uint32(i - uint32(line * w))
        plane = uint32(line // h)
        r = uint32(line - uint32(plane * h))
        total = dx.dtype.type(0)
        k = row_reach[uint32(r * uint32(2))]
        while k < row_reach[uint32(uint32(r * uint32(2)) + uint32(1))]:
            a = uint32(k * uint32(3))
            m = column_reach[uint32(c * uint32(2))]
            inside = down[a] <= r and r < down[uint32(a + uint32(1))]
            while inside and m < column_reach[uint32(uint32(c * uint32(2)) + uint32(1))]:
                b = uint32(m * uint32(3))
                if across[b] <= c and c < across[uint32(b + uint32(1))]:
                    divisor = uint32(down[uint32(a + uint32(2))] * across[uint32(b + uint32(2))])
                    at = uint32(uint32(uint32(uint32(plane * rows) + k) * columns) + m)
                    total += dy[at] / like(total, divisor)
                m = uint32(m + uint32(1))
            k = uint32(k + uint32(1))
        dx[i] = total
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


# ---------------------------------------------------------------- twins
def table(windows: Array) -> Array:
    """Return a table of windows as kernels take it."""
    return windows.astype(np.uint32).reshape(-1)


def size_of(x: DeviceArray) -> tuple[Any, Any]:
    return np.uint32(x.shape[1]), np.uint32(x.shape[2])


def pairs(x: DeviceArray, down: Array, across: Array, divisors: bool) -> bool:
    """Tell whether the windows are 2 by 2, side by side, four to a thread."""
    sides = (down, x.shape[1]), (across, x.shape[2])
    return (
        x.dtype == np.float32
        and x.shape[2] == 2 * len(across)
        and not len(across) % 4
        and x.shape[1] == 2 * len(down)
        and all(
            np.array_equal(t[:, 0], np.arange(0, n, 2))
            and np.array_equal(t[:, 1], t[:, 0] + 2)
            and np.all(t[:, 2] == (t[0, 2] if divisors else 1))
            for t, n in sides
        )
    )


def max_pool(
    x: DeviceArray, down: Array, across: Array, y: DeviceArray, index: DeviceArray
) -> None:
    if not y.size:
        return
    if pairs(x, down, across, False) and vectors(x, y) and not index.address % 16:
        work = blocks(y.size // 4, THREADS)
        columns = np.uint32(len(across))
        run(max_pairs, work, THREADS, flat(x), *size_of(x), columns, flat(y), flat(index))
        return
    work = blocks(y.size, THREADS)
    tables = table(down), table(across)
    run(max_windows, work, THREADS, flat(x), *size_of(x), *tables, flat(y), flat(index))


def max_pool_backward(dy: DeviceArray, index: DeviceArray, dx: DeviceArray) -> None:
    if not dx.size:
        return
    planes = len(dx)
    sizes = map(np.uint32, (planes, dy.size // planes, dx.size // planes))
    run(max_scatter, blocks(planes, WARPS), THREADS, flat(dy), flat(index), *sizes, flat(dx))


def avg_pool(x: DeviceArray, down: Array, across: Array, y: DeviceArray) -> None:
    if not y.size:
        return
    if pairs(x, down, across, True) and vectors(x, y):
        divisor = np.float32(down[0, 2] * across[0, 2])
        work, columns = blocks(y.size // 4, THREADS), np.uint32(len(across))
        run(mean_pairs, work, THREADS, flat(x), *size_of(x), columns, divisor, flat(y))
        return
    tables = table(down), table(across)
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


def avg_pool_backward(dy: DeviceArray, down: Array, across: Array, dx: DeviceArray) -> None:
    if not dx.size:
        return
    reaches = reach(down, dx.shape[1]), reach(across, dx.shape[2])
    tables = table(down), table(across), *reaches
    work = blocks(dx.size, THREADS)
    run(mean_gather, work, THREADS, flat(dy), *size_of(dx), *tables, flat(dx))


TWINS: dict[str, Twin] = {
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
