"""Sums over the batch and the positions of x: (N, C, S), for batch normalisation's CUDA kernels.

A channel has `total` = N S elements, cut into chunks of `each` by the sizes alone.  A block takes a
chunk of some channels, so that bits never depend on the grid, and leaves two partial results:
mean and sum of squared deviations, or the sums of dy and dy (x - mean).  With S = 1 a row of
`row_lanes` lanes reads neighbouring channels, four a lane where C allows it, and goes from row to
row; with S > 1 a block reads one channel, along its planes.  Either way a thread takes four steps
at once.  Warps join their lanes by shuffles and each other through shared memory; a second kernel
joins the chunks, in order.

Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm" (1979).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.launch import blocks
from minigrad_kernels.math.scalar import like
from minigrad_kernels.norm.cuda_channel_lanes import (
    load,
    nothing,
    nothing_4,
    of_channel,
    of_channel_4,
    product,
    product_4,
    square,
    square_4,
    squares,
    squares_4,
)

THREADS = 128
WARPS = THREADS // 32
HELD = 3 * THREADS  # numbers in shared memory, where warps join
FULL = 0xFFFFFFFF
TASKS = 2_048  # blocks that fill a large GPU several times over
CHUNKS = 256  # the most that a channel is cut into


class Tasks(NamedTuple):
    """The parts that a reduction is cut into, in elements, lanes and chunks."""

    channels: int
    plane: int
    total: int
    row_lanes: int
    each: int
    chunks: int
    tiles: int


def tasks_of(x: DeviceArray, lanes: int) -> Tasks:
    """Return how the elements of x: (N, C, S) are cut, `lanes` of them read at a time."""
    n, c, s = x.shape
    total = n * s
    row_lanes = 1 if s > 1 else min(32, 1 << (blocks(c, lanes) - 1).bit_length())
    tiles = c if s > 1 else blocks(c, lanes * row_lanes)
    grain = 4 * (THREADS // row_lanes) * (lanes if s > 1 else 1)
    most = max(1, min(CHUNKS, TASKS // max(1, tiles)))
    each = grain * max(1, blocks(total, grain * most))
    return Tasks(c, s, total, row_lanes, each, blocks(total, each), tiles)


# ---------------------------------------------------------------- parts (a, b, elements)
@cuda.jit(device=True)
def merged(p, q):
    """Merge means and sums of squared deviations; either may be of nothing."""
    n = p[2] + q[2]
    share = q[2] / n if n > like(n, 0) else n
    d = q[0] - p[0]
    return p[0] + d * share, p[1] + (q[1] + d * d * (p[2] * share)), n


@cuda.jit(device=True)
def added(p, q):
    """Add two parts, number by number."""
    return p[0] + q[0], p[1] + q[1], p[2] + q[2]


def block_joining(join: Any) -> Any:
    """Return the device function that joins the parts of threads of equal t % row_lanes."""

    @cuda.jit(device=True)
    def joined(a, b, n, row_lanes, held):
        """Return the part in threads t < row_lanes; held: shared, HELD; barriers on both sides."""
        part = (a, b, n)
        step = uint32(16)
        while step >= row_lanes:
            other = (
                cuda.shfl_down_sync(FULL, part[0], step),
                cuda.shfl_down_sync(FULL, part[1], step),
                cuda.shfl_down_sync(FULL, part[2], step),
            )
            part = join(part, other)
            step = uint32(step >> uint32(1))
        t = uint32(cuda.threadIdx.x)
        if uint32(t & uint32(31)) < row_lanes:
            held[t] = part[0]
            held[uint32(t + uint32(THREADS))] = part[1]
            held[uint32(t + uint32(2 * THREADS))] = part[2]
        cuda.syncthreads()
        if t < row_lanes:
            for w in range(1, WARPS):
                k = uint32(t + uint32(32 * w))
                other = (
                    held[k],
                    held[uint32(k + uint32(THREADS))],
                    held[uint32(k + uint32(2 * THREADS))],
                )
                part = join(part, other)
        cuda.syncthreads()
        return part

    return joined


block_merged, block_added = block_joining(merged), block_joining(added)


# ---------------------------------------------------------------- leaving a chunk's part
@cuda.jit(device=True)
def leave(part, row_lanes, parts, chunk, channel, c):
    """Write a channel's part of a chunk, in the first row of threads."""
    if uint32(cuda.threadIdx.x) < row_lanes and channel < c:
        index = uint32(uint32(chunk * uint32(2)) * c + channel)
        parts[index] = part[0]
        parts[uint32(index + c)] = part[1]


def leaving(join: Any, block_join: Any, lanes: int) -> Any:
    """Return the device function that joins a block's threads and leaves one part a channel."""

    @cuda.jit(device=True)
    def lone(state, n, row_lanes, held, parts, chunk, channel, c, rows):
        """Leave the part of a thread's one channel."""
        part = block_join(state[0][0], state[0][1], n, row_lanes, held)
        leave(part, row_lanes, parts, chunk, channel, c)

    @cuda.jit(device=True)
    def four(state, n, row_lanes, held, parts, chunk, channel, c, rows):
        """Leave the parts of four channels, or of one that is read four elements at a time."""
        a, b, e, d = state
        if rows:
            one, two, three = uint32(1), uint32(2), uint32(3)
            part = block_join(a[0], a[1], n, row_lanes, held)
            leave(part, row_lanes, parts, chunk, channel, c)
            part = block_join(b[0], b[1], n, row_lanes, held)
            leave(part, row_lanes, parts, chunk, uint32(channel + one), c)
            part = block_join(e[0], e[1], n, row_lanes, held)
            leave(part, row_lanes, parts, chunk, uint32(channel + two), c)
            part = block_join(d[0], d[1], n, row_lanes, held)
            leave(part, row_lanes, parts, chunk, uint32(channel + three), c)
        else:
            left = join((a[0], a[1], n), (b[0], b[1], n))
            right = join((e[0], e[1], n), (d[0], d[1], n))
            part = join(left, right)
            part = block_join(part[0], part[1], part[2], row_lanes, held)
            leave(part, row_lanes, parts, chunk, channel, c)

    return four if lanes == 4 else lone


@cuda.jit(device=True)
def place(e, channel, c, s):
    """Return where element e of a channel lies."""
    if s == uint32(1):
        return uint32(uint32(e * c) + channel)
    row = uint32(e // s)
    return uint32(uint32(uint32(uint32(row * c) + channel) * s) + uint32(e - uint32(row * s)))


# ---------------------------------------------------------------- chunks
def moments_of(kind: Any, lanes: int) -> Any:
    """Return the kernel that leaves mean and sum of squared deviations of each chunk."""
    get, none = (ptx.load128, nothing_4) if lanes == 4 else (load, nothing)
    four, one = (squares_4, square_4) if lanes == 4 else (squares, square)
    done = leaving(merged, block_merged, lanes)

    @cuda.jit
    def moments(x, c, s, total, row_lanes, each, chunks, tiles, parts):
        """Leave mean and sum of squared deviations of each chunk and channel."""
        held = cuda.shared.array(HELD, kind)
        t = uint32(cuda.threadIdx.x)
        rows = s == uint32(1)
        pace = uint32(1) if rows else uint32(lanes)
        span = uint32(lanes) if rows else uint32(1)
        lane = uint32(t % row_lanes)
        line = uint32(uint32(t // row_lanes) * pace)
        step = uint32(uint32(uint32(THREADS) // row_lanes) * pace)
        task = uint32(cuda.blockIdx.x)
        while task < uint32(chunks * tiles):
            chunk = uint32(task // tiles)
            channel = uint32(uint32(uint32(uint32(task % tiles) * row_lanes) + lane) * span)
            begin = uint32(chunk * each)
            end = min(total, uint32(begin + each))
            e = uint32(begin + line)
            seen = kind(0)
            state = none(kind(0))
            if channel < c:
                while uint32(e + uint32(uint32(3) * step)) < end:
                    p = get(x, place(e, channel, c, s))
                    q = get(x, place(uint32(e + step), channel, c, s))
                    r = get(x, place(uint32(e + uint32(uint32(2) * step)), channel, c, s))
                    u = get(x, place(uint32(e + uint32(uint32(3) * step)), channel, c, s))
                    share = kind(4) / (seen + kind(4))
                    state = four(state, p, q, r, u, share, seen * share)
                    seen += kind(4)
                    e = uint32(e + uint32(uint32(4) * step))
                while e < end:
                    share = kind(1) / (seen + kind(1))
                    p = get(x, place(e, channel, c, s))
                    state = one(state, p, share, seen * share)
                    seen += kind(1)
                    e = uint32(e + step)
            done(state, seen, row_lanes, held, parts, chunk, channel, c, rows)
            task = uint32(task + cuda.gridDim.x)

    return moments


def products_of(kind: Any, lanes: int) -> Any:
    """Return the kernel that leaves the sums of dy and of dy (x - mean) of each chunk."""
    get, none = (ptx.load128, nothing_4) if lanes == 4 else (load, nothing)
    one = product_4 if lanes == 4 else product
    coefficient = of_channel_4 if lanes == 4 else of_channel
    done = leaving(added, block_added, lanes)

    @cuda.jit
    def products(dy, x, mean, c, s, total, row_lanes, each, chunks, tiles, parts):
        """Leave the sums of dy and of dy (x - mean) of each chunk and channel."""
        held = cuda.shared.array(HELD, kind)
        t = uint32(cuda.threadIdx.x)
        rows = s == uint32(1)
        pace = uint32(1) if rows else uint32(lanes)
        span = uint32(lanes) if rows else uint32(1)
        lane = uint32(t % row_lanes)
        line = uint32(uint32(t // row_lanes) * pace)
        step = uint32(uint32(uint32(THREADS) // row_lanes) * pace)
        task = uint32(cuda.blockIdx.x)
        while task < uint32(chunks * tiles):
            chunk = uint32(task // tiles)
            channel = uint32(uint32(uint32(uint32(task % tiles) * row_lanes) + lane) * span)
            begin = uint32(chunk * each)
            end = min(total, uint32(begin + each))
            e = uint32(begin + line)
            state = none(kind(0))
            if channel < c:
                m = coefficient(mean, channel, rows)
                while uint32(e + step) < end:
                    here = place(e, channel, c, s)
                    there = place(uint32(e + step), channel, c, s)
                    g, h = get(dy, here), get(dy, there)
                    v, w = get(x, here), get(x, there)
                    state = one(one(state, g, v, m), h, w, m)
                    e = uint32(e + uint32(uint32(2) * step))
                if e < end:
                    here = place(e, channel, c, s)
                    state = one(state, get(dy, here), get(x, here), m)
            done(state, kind(0), row_lanes, held, parts, chunk, channel, c, rows)
            task = uint32(task + cuda.gridDim.x)

    return products


# ---------------------------------------------------------------- all chunks of 32 channels
def joining_chunks(block_join: Any, join: Any) -> Any:
    """Return the device function that joins the chunks of a channel: each warp every WARPS-th."""

    @cuda.jit(device=True)
    def whole(parts, chunks, each, total, channel, c, held):
        """Return the part of all chunks of a channel, in the threads of the first warp."""
        zero = like(parts[0], 0) if parts.size else parts.dtype.type(0)
        part = (zero, zero, zero)
        if channel < c:
            k = uint32(cuda.threadIdx.x >> 5)
            while k < chunks:
                index = uint32(uint32(k * uint32(2)) * c + channel)
                n = min(each, uint32(total - uint32(k * each)))
                part = join(part, (parts[index], parts[uint32(index + c)], like(zero, n)))
                k = uint32(k + uint32(WARPS))
        return block_join(part[0], part[1], part[2], uint32(32), held)

    return whole


all_merged = joining_chunks(block_merged, merged)
all_added = joining_chunks(block_added, added)

KINDS = ((float32, 4), (float32, 1), (float64, 1))
moments_4, moments_single, moments_double = (moments_of(*key) for key in KINDS)
products_4, products_single, products_double = (products_of(*key) for key in KINDS)
MOMENTS = dict(zip(KINDS, (moments_4, moments_single, moments_double), strict=True))
PRODUCTS = dict(zip(KINDS, (products_4, products_single, products_double), strict=True))
