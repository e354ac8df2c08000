"""CUDA twins of convolution and its gradients, as conv.py of the CPU says they are.

All three slide taps over a source: forward over x, for dx over dy with the taps of each of the
stride's phases, for dw with dy in the place of the weight.  A table holds for each tap its row and
column, row * width + column, and its step in the weight; `sizes` is as conv_tiles.py numbers it.

float32 with enough channels goes by tiles; float64, and a few channels a group (depthwise), by a
thread a result.  dw and db are sums over chunks of outputs, cut by the sizes alone and added in
order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, float64, types, uint32

from minigrad_kernels.gpu.array import Array, DeviceArray
from minigrad_kernels.gpu.checks import Check, Twin
from minigrad_kernels.gpu.conv_tiles import (
    CHANNEL_STEP,
    CHANNELS,
    COLUMNS,
    GROUP_STEP,
    GROUPS,
    HEIGHT,
    HIGH,
    IMAGES,
    RESULT_STEP,
    RESULTS,
    ROWS,
    TAPS,
    TILE,
    WIDE,
    WIDTH,
    correlate_tiles,
    first_seen,
    output_at,
    source_at,
    spot,
    weight_tiles,
)
from minigrad_kernels.gpu.launching import blocks, flat, run, scratch, vectors

Pair = tuple[int, int]
THREADS = 128
FULL = 0xFFFFFFFF
FEW = 8  # channels of a group below which tiles would be mostly empty
CHUNKS = 64  # the most that the sum over all outputs is cut into
LEAST = 64  # outputs that are worth a chunk
TASKS = 1_024  # blocks that fill a large GPU


# ---------------------------------------------------------------- a thread a result
@cuda.jit
def correlate(source, weight, bias, taps, sizes, y):
    """Slide taps over a source: a thread an output."""
    count = uint32(uint32(sizes[IMAGES] * sizes[ROWS]) * sizes[COLUMNS])
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(uint32(count * sizes[GROUPS]) * sizes[RESULTS]):
        line = uint32(i // count)
        group = uint32(line // sizes[RESULTS])
        m = uint32(line - uint32(group * sizes[RESULTS]))
        image, row, column = spot(uint32(i - uint32(line * count)), sizes)
        top, left = first_seen(row, column, sizes)
        start = source_at(image, group, top, left, sizes)
        first = uint32(uint32(group * sizes[GROUP_STEP]) + uint32(m * sizes[RESULT_STEP]))
        total = y.dtype.type(0)
        channel = uint32(0)
        while channel < sizes[CHANNELS]:
            tap = uint32(0)
            while tap < uint32(sizes[TAPS] * uint32(4)):
                r = uint32(top + taps[tap])
                c = uint32(left + taps[uint32(tap + uint32(1))])
                if r < sizes[HEIGHT] and c < sizes[WIDTH]:
                    w = weight[uint32(first + taps[uint32(tap + uint32(3))])]
                    seen = source[uint32(start + taps[uint32(tap + uint32(2))])]
                    total = cuda.fma(w, seen, total)
                tap = uint32(tap + uint32(4))
            first = uint32(first + sizes[CHANNEL_STEP])
            start = uint32(start + uint32(sizes[HEIGHT] * sizes[WIDTH]))
            channel = uint32(channel + uint32(1))
        if bias.size:
            total += bias[line]
        plane = uint32(uint32(m * sizes[HIGH]) * sizes[WIDE])
        y[uint32(output_at(image, group, row, column, sizes) + plane)] = total
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def correlate_weight(dy, source, taps, sizes, each, chunks, parts):
    """Leave what dw is over a chunk of `each` outputs: a thread an element and chunk."""
    total = uint32(uint32(sizes[IMAGES] * sizes[ROWS]) * sizes[COLUMNS])
    width = uint32(sizes[CHANNELS] * sizes[TAPS])
    size = uint32(uint32(sizes[GROUPS] * sizes[RESULTS]) * width)
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(size * chunks):
        chunk = uint32(i // size)
        rest = uint32(i - uint32(chunk * size))
        out = uint32(rest // width)
        rest = uint32(rest - uint32(out * width))
        channel = uint32(rest // sizes[TAPS])
        tap = uint32(uint32(rest - uint32(channel * sizes[TAPS])) * uint32(4))
        group = uint32(out // sizes[RESULTS])
        plane = uint32(uint32(uint32(group * sizes[CHANNELS]) + channel) * sizes[HEIGHT])
        start = uint32(plane * sizes[WIDTH])
        mine = uint32(uint32(out * sizes[HIGH]) * sizes[WIDE])
        q = uint32(chunk * each)
        end = min(total, uint32(q + each))
        found = parts.dtype.type(0)
        while q < end:
            image, row, column = spot(q, sizes)
            r, c = first_seen(row, column, sizes)
            r = uint32(r + taps[tap])
            c = uint32(c + taps[uint32(tap + uint32(1))])
            if r < sizes[HEIGHT] and c < sizes[WIDTH]:
                seen = source[uint32(start + source_at(image, uint32(0), r, c, sizes))]
                at = uint32(mine + output_at(image, uint32(0), row, column, sizes))
                found = cuda.fma(dy[at], seen, found)
            q = uint32(q + uint32(1))
        parts[i] = found
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


# ---------------------------------------------------------------- sums
@cuda.jit
def channel_sums(dy, channels, plane, total, each, chunks, parts):
    """Leave the sum of a chunk of `each` elements of every channel: a warp a chunk and channel."""
    lane = uint32(cuda.threadIdx.x & 31)
    task = uint32(cuda.blockIdx.x * uint32(THREADS // 32) + uint32(cuda.threadIdx.x >> 5))
    while task < uint32(chunks * channels):
        chunk = uint32(task // channels)
        channel = uint32(task - uint32(chunk * channels))
        begin = uint32(chunk * each)
        end = min(total, uint32(begin + each))
        e = uint32(begin + lane)
        found = parts.dtype.type(0)
        while e < end:
            image = uint32(e // plane)
            line = uint32(uint32(image * channels) + channel)
            found += dy[uint32(uint32(line * plane) + uint32(e - uint32(image * plane)))]
            e = uint32(e + uint32(32))
        for step in (16, 8, 4, 2, 1):
            found += cuda.shfl_down_sync(FULL, found, step)
        if lane == 0:
            parts[task] = found
        task = uint32(task + uint32(cuda.gridDim.x * uint32(THREADS // 32)))


@cuda.jit
def add_parts(parts, chunks, out):
    """Add the chunks' parts in order: a thread an element."""
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(out.size):
        total = out.dtype.type(0)
        k = uint32(0)
        while k < chunks:
            total += parts[uint32(uint32(k * uint32(out.size)) + i)]
            k = uint32(k + uint32(1))
        out[i] = total
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


# ---------------------------------------------------------------- geometry
def word(value: int) -> Any:
    return np.uint32(value & 0xFFFFFFFF)


def table_of(taps: list[tuple[int, int, int]], width: int) -> Array:
    """Return the table of (row, column, step in the weight), in a source of that width."""
    rows = [(r, c, r * width + c, step) for r, c, step in taps] or [(0, 0, 0, 0)]
    return (np.array(rows, np.int64) & 0xFFFFFFFF).astype(np.uint32).reshape(-1)


def sliding(
    x: DeviceArray, weight: DeviceArray, y: DeviceArray, padding: Pair, how: Any
) -> tuple[tuple[Any, ...], Array]:
    """Return sizes and taps of the forward direction; how: stride, dilation, groups."""
    stride, dilation, groups = how
    out, channels, high, wide = weight.shape
    taps = [
        (a * dilation[0], b * dilation[1], a * wide + b) for a in range(high) for b in range(wide)
    ]
    each, step = out // groups, high * wide
    sizes = (
        *(x.shape[0], groups, channels, each, *x.shape[2:], len(taps), *y.shape[2:], *stride),
        *(-padding[0], -padding[1], *y.shape[2:], 1, 1, 0, 0),
        *(each * channels * step, channels * step, step, y.shape[2] * y.shape[3] % 4 == 0),
    )
    return tuple(map(word, sizes)), table_of(taps, x.shape[3])


def slide(
    source: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    taps: Array,
    sizes: tuple[Any, ...],
    y: DeviceArray,
) -> None:
    groups, each = int(sizes[GROUPS]), int(sizes[RESULTS])
    count = int(sizes[IMAGES]) * int(sizes[ROWS]) * int(sizes[COLUMNS])
    args = flat(source), flat(weight), bias, taps, sizes, flat(y)
    if source.dtype == np.float32 and each >= FEW:
        run(correlate_tiles, groups * blocks(each, TILE) * blocks(count, TILE), TILE, *args)
    else:
        run(correlate, blocks(groups * each * count, THREADS), THREADS, *args)


# ---------------------------------------------------------------- twins
def conv(
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    y: DeviceArray,
) -> None:
    if y.size:
        sizes, taps = sliding(x, weight, y, padding, (stride, dilation, groups))
        if not vectors(y):
            sizes = (*sizes[:-1], np.uint32(0))
        slide(x, weight, bias, taps, sizes, y)


def reaching(phase: int, size: int, stride: int, padding: int, dilation: int) -> list[Pair]:
    """Return (tap, dy's position less x's, in strides) of the taps that hit a phase of x."""
    found = [(k, phase + padding - k * dilation) for k in range(size)]
    return [(k, at // stride) for k, at in found if at % stride == 0]


def conv_backward_input(
    dy: DeviceArray,
    weight: DeviceArray,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dx: DeviceArray,
) -> None:
    if not dx.size:
        return
    out, channels, high, wide = weight.shape
    each, step = out // groups, high * wide
    steps = each * channels * step, step, channels * step
    whole = stride == (1, 1) and dx.shape[2] * dx.shape[3] % 4 == 0 and vectors(dx)
    none = scratch(0, dy.dtype, dy)
    for i in range(min(stride[0], dx.shape[2])):
        for j in range(min(stride[1], dx.shape[3])):
            down = reaching(i, high, stride[0], padding[0], dilation[0])
            across = reaching(j, wide, stride[1], padding[1], dilation[1])
            taps = [(r, c, a * wide + b) for a, r in down for b, c in across]
            grid = [
                len(range(k, n, s)) for k, n, s in zip((i, j), dx.shape[2:], stride, strict=True)
            ]
            sizes = (
                *(dy.shape[0], groups, each, channels, *dy.shape[2:], len(taps), *grid, 1, 1),
                *(0, 0, *dx.shape[2:], *stride, i, j, *steps, whole),
            )
            table = table_of(taps, dy.shape[3])
            slide(dy, weight, none, table, tuple(map(word, sizes)), dx)


def cut(total: int, tasks: int) -> tuple[int, int]:
    """Return the chunks of a sum, and the elements of each: a multiple of 32.

    tasks: blocks that one chunk of all sums takes.
    """
    most = max(1, min(CHUNKS, TASKS // max(1, tasks)))
    each = 32 * max(1, blocks(max(LEAST, blocks(total, most)), 32))
    return max(1, blocks(total, each)), each


def conv_backward_weight(
    dy: DeviceArray,
    x: DeviceArray,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dw: DeviceArray,
    db: DeviceArray,
) -> None:
    sizes, taps = sliding(x, dw, dy, padding, (stride, dilation, groups))
    total = dy.size // len(dw)
    width, results = dw.size // len(dw), len(dw) // groups
    tiled = dy.dtype == np.float32 and results >= FEW
    tiles = groups * blocks(results, TILE) * blocks(width, TILE)
    tasks = tiles if tiled else blocks(dw.size, THREADS)
    chunks, each = cut(total, tasks)
    parts = scratch(chunks * dw.size, dw.dtype, dw) if chunks > 1 else flat(dw)
    counts = np.uint32(each), np.uint32(chunks)
    if tiled:
        none = scratch(0, dy.dtype, dy)
        run(
            weight_tiles, tiles * chunks, TILE, flat(dy), flat(x), none, taps, sizes, *counts, parts
        )
    else:
        work = blocks(chunks * dw.size, THREADS)
        run(correlate_weight, work, THREADS, flat(dy), flat(x), taps, sizes, *counts, parts)
    if chunks > 1:
        run(add_parts, blocks(dw.size, THREADS), THREADS, parts, np.uint32(chunks), flat(dw))
    if db.size:
        chunks, each = cut(total, blocks(db.size, 4))
        parts = scratch(chunks * db.size, db.dtype, db)
        plane = max(1, dy.shape[2] * dy.shape[3])
        counts = tuple(map(np.uint32, (db.size, plane, total, each, chunks)))
        run(channel_sums, blocks(chunks * db.size, 4), THREADS, flat(dy), *counts, parts)
        run(add_parts, blocks(db.size, THREADS), THREADS, parts, np.uint32(chunks), db)


TWINS: dict[str, Twin] = {
    "conv": conv,
    "conv_backward_input": conv_backward_input,
    "conv_backward_weight": conv_backward_weight,
}


def checks() -> list[Check]:
    sizes, words, word = types.UniTuple(uint32, 23), uint32[::1], uint32
    line = float32[::1]
    slid = (line, line, line, words, sizes, line)
    tiled = (line, line, line, words, sizes, word, word, line)
    found = [
        Check("conv.tiles", correlate_tiles, slid, ("LDS.128", "STG.E.128"), 168),
        Check("conv.weight_tiles", weight_tiles, tiled, ("LDS.128",), 168),
    ]
    for kind in (float32, float64):
        line = kind[::1]
        cases = (
            ("correlate", correlate, (line, line, line, words, sizes, line), ()),
            (
                "correlate_weight",
                correlate_weight,
                (line, line, words, sizes, word, word, line),
                (),
            ),
            ("channel_sums", channel_sums, (line, *(word,) * 5, line), ("SHFL.DOWN",)),
            ("add_parts", add_parts, (line, word, line), ()),
        )
        found += [
            Check(f"conv.{name}/{kind}", kernel, signature, opcodes, 64, kind == float64)
            for name, kernel, signature, opcodes in cases
        ]
    return found


CHECKS: tuple[Check, ...] = tuple(checks())
