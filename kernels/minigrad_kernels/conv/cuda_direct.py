"""Convolutions by a thread a result, for float64 and for a few channels a group; sums of parts.

`sizes` is as conv/columns.py numbers it.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, uint32

from minigrad_kernels.conv.cuda_tiles import (
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
    WIDE,
    WIDTH,
    first_seen,
    output_at,
    source_at,
    spot,
)
from minigrad_kernels.cuda import ptx
from minigrad_kernels.norm.cuda_channel_lanes import load

THREADS = 128
FULL = 0xFFFFFFFF


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
                index = uint32(mine + output_at(image, uint32(0), row, column, sizes))
                found = cuda.fma(dy[index], seen, found)
            q = uint32(q + uint32(1))
        parts[i] = found
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


# ---------------------------------------------------------------- sums
@cuda.jit(device=True)
def total_of(values):
    """Return the sum of one element in a tuple."""
    return values[0]


@cuda.jit(device=True)
def total_of_4(values):
    """Return the sum of four elements, in pairs."""
    return (values[0] + values[1]) + (values[2] + values[3])


def summing(lanes: int) -> Any:
    """Return the kernel of bias gradients that reads `lanes` elements of a plane at once."""
    get, add = (ptx.load128, total_of_4) if lanes == 4 else (load, total_of)

    @cuda.jit
    def channel_sums(dy, channels, plane, total, each, chunks, parts):
        """Leave the sum of a chunk of `each` elements of every channel: a warp for each of them."""
        lane = uint32(cuda.threadIdx.x & 31)
        task = uint32(cuda.blockIdx.x * uint32(THREADS // 32) + uint32(cuda.threadIdx.x >> 5))
        while task < uint32(chunks * channels):
            chunk = uint32(task // channels)
            channel = uint32(task - uint32(chunk * channels))
            begin = uint32(chunk * each)
            end = min(total, uint32(begin + each))
            e = uint32(begin + uint32(lane * uint32(lanes)))
            found = parts.dtype.type(0)
            while e < end:
                image = uint32(e // plane)
                line = uint32(uint32(image * channels) + channel)
                index = uint32(uint32(line * plane) + uint32(e - uint32(image * plane)))
                found += add(get(dy, index))
                e = uint32(e + uint32(32 * lanes))
            for step in (16, 8, 4, 2, 1):
                found += cuda.shfl_down_sync(FULL, found, step)
            if lane == 0:
                parts[task] = found
            task = uint32(task + uint32(cuda.gridDim.x * uint32(THREADS // 32)))

    return channel_sums


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


channel_sums, channel_sums_4 = summing(1), summing(4)
