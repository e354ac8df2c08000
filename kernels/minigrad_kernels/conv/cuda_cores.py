"""Convolutions on tensor cores, as implicit products: patches exist in shared memory alone.

The source is laid out with channels innermost, rounded once to TF32 or bfloat16, its channels
filled up with zeros to whole pieces of 16 bytes; the weight is packed as the left operand of a
product (matmul/cuda_packing.py) whose k is (tap, channel).  The product's loop is that of
matmul/cuda_packed.py, but a slice of its right operand, 32 words of k for the outputs of a block,
is gathered: `cp.async` brings a piece for each output and tap, zeros for taps outside an image.
Four words of a piece are what one lane takes, so what is gathered needs no exchange either.

`sizes` is as conv/columns.py numbers it; pieces: of a pixel's channels; slices: of 32 words of k.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, float32, uint32

from minigrad_kernels.conv.cuda_tiles import (
    CHANNEL_STEP,
    CHANNELS,
    COLUMNS,
    FAR,
    GROUP_STEP,
    GROUPS,
    HEIGHT,
    HIGH,
    IMAGES,
    NONE,
    RESULT_STEP,
    RESULTS,
    ROWS,
    TAPS,
    WIDE,
    WIDTH,
    first_seen,
    output_place,
    spot,
)
from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.launch import blocks, flat, run, scratch
from minigrad_kernels.matmul.cuda_packed import (
    DOWN,
    PIECE,
    ROUND,
    SIDE,
    SLICE,
    STAGES,
    copier,
    places_of,
    shared_of,
    slices,
    threads_of,
)
from minigrad_kernels.matmul.cuda_packed import ROWS as LINES
from minigrad_kernels.matmul.cuda_packing import EACH, GROUP, THREADS, WORDS, put_left, words
from minigrad_kernels.matmul.cuda_parts import Device


# ---------------------------------------------------------------- both operands
@cache
def channels_last(precision: str) -> Any:
    """Return the kernel that lays a source out, channels innermost."""
    get = words(precision, False)
    each = np.uint32(4 * EACH[precision])

    @cuda.jit
    def lay_out(source, sizes, pieces, out):
        """Write out: (images, groups, height, width, pieces, 4 words); a warp takes 8 pixels by 4
        pieces, so that it reads and writes whole sectors.
        """
        channels = sizes[CHANNELS]
        plane = uint32(sizes[HEIGHT] * sizes[WIDTH])
        count = uint32(uint32(sizes[IMAGES] * sizes[GROUPS]) * plane)
        across = uint32(uint32(pieces + uint32(3)) >> uint32(2))
        t = uint32(cuda.threadIdx.x)
        lane = uint32(t & uint32(31))
        w = uint32(uint32(cuda.blockIdx.x * uint32(THREADS // 32)) + uint32(t >> uint32(5)))
        while w < uint32(uint32(uint32(count + uint32(7)) >> uint32(3)) * across):
            line = uint32(w // across)
            piece = uint32(uint32(uint32(w - uint32(line * across)) << uint32(2)))
            piece = uint32(piece + uint32(lane & uint32(3)))
            pixel = uint32(uint32(line << uint32(3)) + uint32(lane >> uint32(2)))
            if pixel < count and piece < pieces:
                image = uint32(pixel // plane)
                first = uint32(uint32(image * channels) * plane)
                first = uint32(first + uint32(pixel - uint32(image * plane)))
                d = uint32(piece * each)
                from_ = uint32(first + uint32(d * plane))
                v = get(source, from_, plane, d, channels, True)
                ptx.store128(out, uint32(uint32(uint32(pixel * pieces) + piece) << uint32(2)), v)
            w = uint32(w + uint32(cuda.gridDim.x * uint32(THREADS // 32)))

    return lay_out


@cache
def weight_packer(precision: str) -> Any:
    """Return the kernel that packs a weight, group by group, as the left operand of a product."""
    get = words(precision, False)
    each = np.uint32(4 * EACH[precision])

    @cuda.jit
    def pack(weight, taps, sizes, pieces, line_groups, k_groups, out):
        """Pack the weight: a warp a group of 16 channels of the output by 16 words of k."""
        step, count, channels = sizes[CHANNEL_STEP], sizes[RESULTS], sizes[CHANNELS]
        t = uint32(cuda.threadIdx.x)
        lane = uint32(t & uint32(31))
        w = uint32(uint32(cuda.blockIdx.x * uint32(THREADS // 32)) + uint32(t >> uint32(5)))
        while w < uint32(uint32(sizes[GROUPS] * line_groups) * k_groups):
            rest = uint32(w // k_groups)
            group = uint32(rest // line_groups)
            line = uint32(uint32(rest - uint32(group * line_groups)) * uint32(GROUP))
            line = uint32(line + uint32(lane >> uint32(2)))
            piece = uint32(uint32(w - uint32(rest * k_groups)) << uint32(2))
            piece = uint32(piece + uint32(lane & uint32(3)))
            tap = uint32(piece // pieces)
            d = uint32(uint32(piece - uint32(tap * pieces)) * each)
            some = tap < sizes[TAPS]
            place = uint32(uint32(tap << uint32(2)) + uint32(3)) if some else uint32(0)
            from_ = uint32(uint32(group * sizes[GROUP_STEP]) + taps[place])
            from_ = uint32(from_ + uint32(line * sizes[RESULT_STEP]) + uint32(d * step))
            below = uint32(from_ + uint32(sizes[RESULT_STEP] << uint32(3)))
            v = get(weight, from_, step, d, channels, some and line < count)
            line = uint32(line + uint32(8))
            u = get(weight, below, step, d, channels, some and line < count)
            put_left(out, uint32(uint32(w * WORDS) + uint32(lane << uint32(2))), v, u)
            w = uint32(w + uint32(cuda.gridDim.x * uint32(THREADS // 32)))

    return pack


# ---------------------------------------------------------------- the product
@cache
def gatherer(columns: int) -> Device:
    """Return the function that begins to gather a slice of the patches of so many outputs."""
    apart = threads_of(columns) // 128  # groups of outputs that the block gathers at once

    @cuda.jit(device=True)
    def gather(held, to, seen, source, taps, piece, pieces, sizes):
        """Copy this thread's pieces of k to `to`; seen: where what its outputs see is kept."""
        tap = uint32(piece // pieces)
        some = tap < sizes[TAPS]
        v = ptx.load128(taps, uint32(tap << uint32(2)) if some else uint32(0))
        piece = uint32(piece - uint32(tap * pieces))
        for _ in range(columns // (GROUP * apart)):
            x = ptx.load128(held, seen)
            r, c = uint32(x[1] + v[0]), uint32(x[2] + v[1])
            inside = some and r < sizes[HEIGHT] and c < sizes[WIDTH]
            from_ = uint32(uint32(uint32(uint32(x[0] + v[2]) * pieces) + piece) << uint32(2))
            ptx.copy_async_or_zero(held, to, source, from_, inside)
            to = uint32(to + uint32(apart * ROUND))
            seen = uint32(seen + uint32(4 * GROUP * apart))

    return gather


def shared_with_places(columns: int) -> int:
    """Return the bytes of dynamic shared memory that a block takes.

    >>> shared_with_places(128) // 1024, shared_with_places(256) // 1024
    (98, 148)
    """
    return shared_of(columns) + 16 * columns


@cache
def correlate_cores(precision: str, columns: int) -> Any:
    """Return the kernel that slides taps over a source; columns: outputs of a block, 256 or 128."""
    threads = threads_of(columns)
    right = LINES * SLICE
    stage = right + columns * SLICE
    shared = STAGES * stage
    pitch = columns + 8
    places = places_of(pitch)
    registers = SIDE * SIDE // 32
    copy, gather = copier(LINES, threads), gatherer(columns)
    multiplied = slices(precision, columns)

    @cuda.jit
    def correlate(source, weight, bias, taps, sizes, pieces, steps, y):
        """Slide taps over a source: a block 128 channels by `columns` outputs, a thread's own
        output's place known to it, and kept for the others.
        """
        held = cuda.shared.array(0, uint32, alignment=16)
        out = cuda.shared.array(0, float32, alignment=16)  # the same memory
        t = uint32(cuda.threadIdx.x)
        lane, warp = uint32(t & uint32(31)), uint32(t >> uint32(5))
        wy, wx = uint32(warp & uint32(DOWN - 1)), uint32(warp // uint32(DOWN))
        p = uint32(uint32(wy * uint32(4 * ROUND)) + uint32(lane * PIECE))
        q = uint32(uint32(wx * uint32(4 * ROUND)) + uint32(lane * PIECE) + uint32(right))
        unit, piece = uint32(t >> uint32(7)), uint32(t & uint32(127))
        to_piece = uint32(uint32(unit * uint32(ROUND)) + uint32(piece * PIECE))
        # Of its pieces: the place among those of a slice, and the first output.
        mine = uint32(uint32(uint32(piece >> uint32(6)) << uint32(2)) + uint32(piece & uint32(3)))
        seen = uint32(
            uint32(unit * uint32(GROUP)) + uint32(uint32(piece >> uint32(2)) & uint32(15))
        )
        seen = uint32(uint32(seen << uint32(2)) + uint32(shared))
        g, r = uint32(lane >> uint32(2)), uint32(uint32(lane & uint32(3)) << uint32(1))
        row, column = uint32(uint32(wy * uint32(SIDE)) + g), uint32(uint32(wx * uint32(SIDE)) + r)
        index = uint32(uint32(row * uint32(pitch)) + column)
        m = sizes[RESULTS]
        count = uint32(uint32(sizes[IMAGES] * sizes[ROWS]) * sizes[COLUMNS])
        row_tiles = uint32(uint32(m + uint32(LINES - 1)) // uint32(LINES))
        column_tiles = uint32(uint32(count + uint32(columns - 1)) // uint32(columns))
        plane = uint32(sizes[HIGH] * sizes[WIDE])
        line = uint32(steps * uint32(ROUND))  # words of 16 rows of the weight
        work = uint32(cuda.blockIdx.x)
        while work < uint32(uint32(row_tiles * column_tiles) * sizes[GROUPS]):
            rest = uint32(work // row_tiles)
            group = uint32(rest // column_tiles)
            tile = uint32(work - uint32(rest * row_tiles))
            top = uint32(tile * uint32(LINES))
            left = uint32(uint32(rest - uint32(group * column_tiles)) * uint32(columns))
            image, i, j = spot(uint32(left + t), sizes)
            r, c = first_seen(i, j, sizes)
            first = uint32(uint32(uint32(image * sizes[GROUPS]) + group) * sizes[HEIGHT])
            first = uint32(uint32(uint32(first + r) * sizes[WIDTH]) + c)
            if uint32(left + t) >= count:
                r = uint32(FAR)
            ptx.store128(held, uint32(uint32(t << uint32(2)) + uint32(shared)), (first, r, c, c))
            cuda.syncthreads()
            from_ = uint32(uint32(uint32(group * row_tiles) + tile) * uint32(LINES // GROUP))
            from_ = uint32(uint32(uint32(from_ + unit) * line) + uint32(piece * PIECE))
            acc = ptx.zeros(registers)
            ahead = uint32(0)
            k = mine
            to = uint32(0)
            for _ in range(STAGES - 1):
                if ahead < steps:
                    copy(held, uint32(to + to_piece), weight, from_, line)
                    there = uint32(to + to_piece + uint32(right))
                    gather(held, there, seen, source, taps, k, pieces, sizes)
                ptx.commit_copies()
                from_, k = uint32(from_ + uint32(ROUND)), uint32(k + uint32(8))
                ahead = uint32(ahead + uint32(1))
                to = uint32(to + uint32(stage))
            here = step = uint32(0)
            while step < steps:
                ptx.wait_copies(1)
                cuda.syncthreads()
                if ahead < steps:
                    copy(held, uint32(to + to_piece), weight, from_, line)
                    there = uint32(to + to_piece + uint32(right))
                    gather(held, there, seen, source, taps, k, pieces, sizes)
                ptx.commit_copies()
                from_, k = uint32(from_ + uint32(ROUND)), uint32(k + uint32(8))
                ahead = uint32(ahead + uint32(1))
                acc = multiplied(acc, held, uint32(here + p), uint32(here + q))
                to = here
                here = uint32(here + uint32(stage)) if here < uint32(shared - stage) else uint32(0)
                step = uint32(step + uint32(1))
            cuda.syncthreads()
            ptx.store_tile(out, index, acc, places)
            cuda.syncthreads()
            at = output_place(uint32(left + t), count, group, sizes)
            if at != uint32(NONE):
                at = uint32(at + uint32(top * plane))
                b = uint32(uint32(group * m) + top)
                last = uint32(min(uint32(m - top), uint32(LINES)) * uint32(pitch))
                e = uint32(0)
                while e < last:
                    y[at] = out[uint32(e + t)] + (bias[b] if bias.size else float32(0))
                    at, b = uint32(at + plane), uint32(b + uint32(1))
                    e = uint32(e + uint32(pitch))
            cuda.syncthreads()
            work = uint32(work + cuda.gridDim.x)

    correlate.dynamic_shared = shared_with_places(columns)
    return correlate


# ---------------------------------------------------------------- launches
class Laid(NamedTuple):
    """A source with channels innermost.  pieces: of a pixel's channels."""

    line: DeviceArray
    precision: str
    pieces: int


def laid(source: DeviceArray, sizes: tuple[Any, ...], precision: str) -> Laid:
    """Return a source, rounded and with channels innermost; sizes: of any of its launches."""
    images, groups, channels, _, height, width = map(int, sizes[:6])
    pieces = blocks(channels, 4 * EACH[precision])
    pixels = images * groups * height * width
    out = scratch(4 * pieces * pixels, np.uint32, source)
    work = blocks(blocks(pixels, 8) * blocks(pieces, 4), THREADS // 32)
    run(channels_last(precision), work, THREADS, flat(source), sizes, np.uint32(pieces), out)
    return Laid(out, precision, pieces)


def slide_cores(
    source: Laid,
    weight: DeviceArray,
    bias: DeviceArray,
    taps: Array,
    sizes: tuple[Any, ...],
    y: DeviceArray,
    columns: int,
) -> None:
    """Slide taps over a source by blocks of so many outputs."""
    groups, each, count = int(sizes[GROUPS]), int(sizes[RESULTS]), int(sizes[TAPS])
    outputs = int(sizes[IMAGES]) * int(sizes[ROWS]) * int(sizes[COLUMNS])
    steps = blocks(4 * source.pieces * count, SLICE)
    row_tiles = blocks(each, LINES)
    line_groups, k_groups = row_tiles * LINES // GROUP, steps * SLICE // GROUP
    work = groups * line_groups * k_groups
    packed = scratch(work * int(WORDS), np.uint32, weight)
    pieces = np.uint32(source.pieces)
    numbers = (sizes, pieces, np.uint32(line_groups), np.uint32(k_groups))
    if work:
        grid = blocks(work, THREADS // 32)
        run(weight_packer(source.precision), grid, THREADS, flat(weight), taps, *numbers, packed)
    kernel = correlate_cores(source.precision, columns)
    tiles = groups * row_tiles * blocks(outputs, columns)
    args = (source.line, packed, bias, taps, sizes, pieces, np.uint32(steps), flat(y))
    run(kernel, tiles, threads_of(columns), *args, shared=kernel.dynamic_shared)
