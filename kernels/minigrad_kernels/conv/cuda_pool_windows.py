"""Kernels of pooling: a thread an output, or four where windows are pairs, or a thread an input."""

from __future__ import annotations

import math

from numba import cuda, int32, uint32

from minigrad_kernels.conv.pool import NOWHERE, larger
from minigrad_kernels.cuda import ptx
from minigrad_kernels.math.scalar import like

THREADS = 128
WARPS = THREADS // 32
FULL = 0xFFFFFFFF


# ---------------------------------------------------------------- maximum
@cuda.jit
def max_windows(x, h, w, row_windows, column_windows, y, index):
    """Write the largest element of each window and where it is; a NaN is larger than numbers.

    A window without elements, in which nothing may be read, has -inf and NOWHERE.
    """
    rows, columns = uint32(row_windows.size // 3), uint32(column_windows.size // 3)
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(y.size):
        row = uint32(i // columns)
        j = uint32(uint32(i - uint32(row * columns)) * uint32(3))
        plane = uint32(row // rows)
        k = uint32(uint32(row - uint32(plane * rows)) * uint32(3))
        start = uint32(uint32(plane * h) * w)
        bottom, d = row_windows[uint32(k + uint32(1))], row_windows[uint32(k + uint32(2))]
        right, e = column_windows[uint32(j + uint32(1))], column_windows[uint32(j + uint32(2))]
        r = row_windows[k]
        position = uint32(uint32(r * w) + column_windows[j])
        best, empty = x.dtype.type(-math.inf), r >= bottom or column_windows[j] >= right
        if not empty:
            best = x[uint32(start + position)]
        while r < bottom:
            c = column_windows[j]
            while c < right:
                place = uint32(uint32(r * w) + c)
                best, position = larger(best, position, x[uint32(start + place)], place)
                c = uint32(c + e)
            r = uint32(r + d)
        y[i] = best
        index[i] = int32(NOWHERE) if empty else int32(position)
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit(device=True)
def max_of_pairs(a, b, c, d, position, w):
    """Return the largest of two pairs, b beside a and d beside c, w below, and its place."""
    best, where = larger(a, position, b, uint32(position + uint32(1)))
    best, where = larger(best, where, c, uint32(position + w))
    best, where = larger(best, where, d, uint32(position + w + uint32(1)))
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
        position = uint32(uint32(top * w) + left)
        upper = uint32(uint32(uint32(plane * h) * w) + position)
        lower = uint32(upper + w)
        a, b = ptx.load128(x, upper), ptx.load128(x, uint32(upper + uint32(4)))
        c, d = ptx.load128(x, lower), ptx.load128(x, uint32(lower + uint32(4)))
        p, k = max_of_pairs(a[0], a[1], c[0], c[1], position, w)
        q, m = max_of_pairs(a[2], a[3], c[2], c[3], uint32(position + uint32(2)), w)
        r, n = max_of_pairs(b[0], b[1], d[0], d[1], uint32(position + uint32(4)), w)
        s, o = max_of_pairs(b[2], b[3], d[2], d[3], uint32(position + uint32(6)), w)
        ptx.store128(y, i, (p, q, r, s))
        ptx.store128(index, i, (k, m, n, o))
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x * uint32(4)))


@cuda.jit
def max_scatter(dy, index, planes, outputs, inputs, dx):
    """Add each dy to dx where its maximum was: a warp a plane, 32 outputs a step, in order."""
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
            here = uint32(first + lane) < outputs and index[i] >= int32(0)
            # A lane without an output stands for a place of its own, behind all others.
            position = uint32(index[i]) if here else uint32(inputs + lane)
            mine = uint32(cuda.match_any_sync(FULL, int32(position)))
            waits = uint32(cuda.popc(uint32(mine & below)))
            turn = uint32(0)
            while cuda.any_sync(FULL, waits >= turn):
                if here and waits == turn:
                    dx[uint32(start + position)] += dy[i]
                turn = uint32(turn + uint32(1))
                cuda.syncwarp(FULL)
            first = uint32(first + uint32(32))
        plane = uint32(plane + uint32(cuda.gridDim.x * uint32(WARPS)))


# ---------------------------------------------------------------- mean
@cuda.jit
def mean_windows(x, h, w, row_windows, column_windows, y):
    """Write the sum of each window over its divisors' product."""
    rows, columns = uint32(row_windows.size // 3), uint32(column_windows.size // 3)
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(y.size):
        row = uint32(i // columns)
        j = uint32(uint32(i - uint32(row * columns)) * uint32(3))
        plane = uint32(row // rows)
        k = uint32(uint32(row - uint32(plane * rows)) * uint32(3))
        start = uint32(uint32(plane * h) * w)
        bottom, right = row_windows[uint32(k + uint32(1))], column_windows[uint32(j + uint32(1))]
        total = x.dtype.type(0)
        r = row_windows[k]
        while r < bottom:
            line = x.dtype.type(0)
            c = column_windows[j]
            while c < right:
                line += x[uint32(start + uint32(uint32(r * w) + c))]
                c = uint32(c + uint32(1))
            total += line
            r = uint32(r + uint32(1))
        divisor = uint32(row_windows[uint32(k + uint32(2))] * column_windows[uint32(j + uint32(2))])
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
def mean_pairs_back(dy, h, w, columns, divisor, dx):
    """Give dx what `mean_pairs` took: a thread loads four of dy and stores eight of two rows."""
    plane_rows = uint32(h >> uint32(1))
    i = uint32(uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) * uint32(4))
    while i < uint32(dy.size):
        row = uint32(i // columns)
        plane = uint32(row // plane_rows)
        left = uint32(uint32(i - uint32(row * columns)) * uint32(2))
        top = uint32(uint32(row - uint32(plane * plane_rows)) * uint32(2))
        upper = uint32(uint32(uint32(uint32(plane * h) + top) * w) + left)
        lower = uint32(upper + w)
        a, b, c, d = ptx.load128(dy, i)
        a, b, c, d = a / divisor, b / divisor, c / divisor, d / divisor
        ptx.store128(dx, upper, (a, a, b, b))
        ptx.store128(dx, uint32(upper + uint32(4)), (c, c, d, d))
        ptx.store128(dx, lower, (a, a, b, b))
        ptx.store128(dx, uint32(lower + uint32(4)), (c, c, d, d))
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x * uint32(4)))


@cuda.jit
def mean_gather(dy, h, w, row_windows, column_windows, row_reach, column_reach, dx):
    """Add up for each element of dx the shares of the windows that hold it, in order."""
    rows, columns = uint32(row_windows.size // 3), uint32(column_windows.size // 3)
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
            inside = row_windows[a] <= r and r < row_windows[uint32(a + uint32(1))]
            while inside and m < column_reach[uint32(uint32(c * uint32(2)) + uint32(1))]:
                b = uint32(m * uint32(3))
                if column_windows[b] <= c and c < column_windows[uint32(b + uint32(1))]:
                    divisor = uint32(
                        row_windows[uint32(a + uint32(2))] * column_windows[uint32(b + uint32(2))]
                    )
                    position = uint32(uint32(uint32(uint32(plane * rows) + k) * columns) + m)
                    total += dy[position] / like(total, divisor)
                m = uint32(m + uint32(1))
            k = uint32(k + uint32(1))
        dx[i] = total
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))
