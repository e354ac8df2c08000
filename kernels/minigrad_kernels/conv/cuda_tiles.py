"""Convolutions as products of tiles: a block of 64 threads computes 64 x 64 results, float32.

No matrix of patches exists: a thread owns a row of one operand and a column of the other, and reads
eight elements of each ahead, straight from the image, while the eight before are multiplied out of
shared memory, 8 x 8 results a thread in registers.  Elements outside an image are zeros.  Each
result is one chain of multiply-adds in the order of k, whatever the grid.

All numbers are uint32, modulo 2^32: margins before an image are large numbers, beyond every size.
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float32, uint32

from minigrad_kernels.cuda import ptx

TILE = 64  # threads of a block, rows and columns of its results
DEPTH = 8  # elements of k in shared memory, twice
SIDE = DEPTH * TILE
HELD = 4 * SIDE
NONE = 0xFFFFFFFF
# What `sizes` holds: images and groups; channels of a group in the source and in the output; the
# source's height and width; taps; the grid of outputs that one launch computes; steps of the source
# from one of them to the next, and where the first one looks; the output's array, and which of its
# rows and columns the grid is; the weight's elements from one group, result and channel to the
# next; and whether four outputs side by side always lie in one image, together.
IMAGES, GROUPS, CHANNELS, RESULTS, HEIGHT, WIDTH, TAPS = range(7)
ROWS, COLUMNS, DOWN, ACROSS, TOP, LEFT, HIGH, WIDE = range(7, 15)
EVERY_ROW, EVERY_COLUMN, FIRST_ROW, FIRST_COLUMN = range(15, 19)
GROUP_STEP, RESULT_STEP, CHANNEL_STEP, WHOLE = range(19, 23)
FAR = 1 << 30  # a coordinate outside every image, with any tap added


# ---------------------------------------------------------------- patches
@cuda.jit(device=True)
def spot(q, sizes):
    """Return image, row and column of the q-th output of a grid."""
    rows, columns = sizes[ROWS], sizes[COLUMNS]
    line = uint32(q // columns)
    image = uint32(line // rows)
    return image, uint32(line - uint32(image * rows)), uint32(q - uint32(line * columns))


@cuda.jit(device=True)
def first_seen(i, j, sizes):
    """Return the coordinates in the source of what output (i, j) sees with a tap at (0, 0)."""
    return uint32(uint32(i * sizes[DOWN]) + sizes[TOP]), uint32(
        uint32(j * sizes[ACROSS]) + sizes[LEFT]
    )


@cuda.jit(device=True)
def source_at(image, g, r, c, sizes):
    """Return where the source's element (r, c) of a group's first channel lies."""
    channel = uint32(uint32(uint32(image * sizes[GROUPS]) + g) * sizes[CHANNELS])
    return uint32(uint32(uint32(uint32(channel * sizes[HEIGHT]) + r) * sizes[WIDTH]) + c)


@cuda.jit(device=True)
def output_at(image, g, i, j, sizes):
    """Return where output (i, j) of a group's first channel lies."""
    channel = uint32(uint32(uint32(image * sizes[GROUPS]) + g) * sizes[RESULTS])
    r = uint32(uint32(i * sizes[EVERY_ROW]) + sizes[FIRST_ROW])
    c = uint32(uint32(j * sizes[EVERY_COLUMN]) + sizes[FIRST_COLUMN])
    return uint32(uint32(uint32(uint32(channel * sizes[HIGH]) + r) * sizes[WIDE]) + c)


# ---------------------------------------------------------------- elements of both operands
@cuda.jit(device=True)
def weight_and_patch(weight, source, taps, k, row, column, sizes):
    """Return the elements at k = (channel, tap) of a row and a column, and the next k."""
    channel, tap = k
    start, r, c = column
    a = b = float32(0)
    if channel < sizes[CHANNELS]:
        index = uint32(tap << uint32(2))
        if row != uint32(NONE):
            step = uint32(uint32(channel * sizes[CHANNEL_STEP]) + taps[uint32(index + uint32(3))])
            a = weight[uint32(row + step)]
        r = uint32(r + taps[index])
        c = uint32(c + taps[uint32(index + uint32(1))])
        if r < sizes[HEIGHT] and c < sizes[WIDTH]:
            plane = uint32(uint32(channel * sizes[HEIGHT]) * sizes[WIDTH])
            b = source[uint32(uint32(start + plane) + taps[uint32(index + uint32(2))])]
    tap = uint32(tap + uint32(1))
    if tap == sizes[TAPS]:
        tap = uint32(0)
        channel = uint32(channel + uint32(1))
    return a, b, (channel, tap)


@cuda.jit(device=True)
def gradient_and_patch(dy, source, taps, k, row, column, sizes):
    """Return the elements at k = (image, i, j, left) of an output channel and a tap; the next k."""
    image, i, j, left = k
    start, row_offset, column_offset = column
    a = b = float32(0)
    if left > uint32(0):
        if row != uint32(NONE):
            a = dy[uint32(row + output_at(image, uint32(0), i, j, sizes))]
        r, c = first_seen(i, j, sizes)
        r, c = uint32(r + row_offset), uint32(c + column_offset)
        if r < sizes[HEIGHT] and c < sizes[WIDTH]:
            b = source[uint32(start + source_at(image, uint32(0), r, c, sizes))]
        left = uint32(left - uint32(1))
    j = uint32(j + uint32(1))
    if j == sizes[COLUMNS]:
        j = uint32(0)
        i = uint32(i + uint32(1))
        if i == sizes[ROWS]:
            i = uint32(0)
            image = uint32(image + uint32(1))
    return a, b, (image, i, j, left)


# ---------------------------------------------------------------- the product
@cuda.jit(device=True)
def store_slices(held, to, a, b):
    """Store a thread's DEPTH elements of both operands in shared memory."""
    index = uint32(to + cuda.threadIdx.x)
    for d in range(DEPTH):
        held[uint32(index + uint32(d * TILE))] = a[d]
        held[uint32(index + uint32(d * TILE + SIDE))] = b[d]


@cuda.jit(device=True)
def multiply(acc, held, p, q):
    """Add the product of eight rows at p and eight columns at q of shared memory to a tile."""
    left = ptx.load128(held, p) + ptx.load128(held, uint32(p + uint32(TILE // 2)))
    right = ptx.load128(held, q) + ptx.load128(held, uint32(q + uint32(TILE // 2)))
    return ptx.outer_fma(acc, left, right)


@cuda.jit(device=True)
def corner():
    """Return the first row and column of a thread: its others follow, and lie half a tile on."""
    t = uint32(cuda.threadIdx.x)
    return uint32(uint32(t >> uint32(3)) << uint32(2)), uint32(uint32(t & uint32(7)) << uint32(2))


def product_of(pair: Any) -> Any:
    """Return the device function that multiplies `steps` times DEPTH elements of k."""

    @cuda.jit(device=True)
    def eight(x, y, taps, k, row, column, sizes):
        a0, b0, k = pair(x, y, taps, k, row, column, sizes)
        a1, b1, k = pair(x, y, taps, k, row, column, sizes)
        a2, b2, k = pair(x, y, taps, k, row, column, sizes)
        a3, b3, k = pair(x, y, taps, k, row, column, sizes)
        a4, b4, k = pair(x, y, taps, k, row, column, sizes)
        a5, b5, k = pair(x, y, taps, k, row, column, sizes)
        a6, b6, k = pair(x, y, taps, k, row, column, sizes)
        a7, b7, k = pair(x, y, taps, k, row, column, sizes)
        return (a0, a1, a2, a3, a4, a5, a6, a7), (b0, b1, b2, b3, b4, b5, b6, b7), k

    @cuda.jit(device=True)
    def product(x, y, taps, k, row, column, sizes, steps, held):
        """Return the thread's tile; barriers: none may read `held` when it is called."""
        acc = ptx.zeros(64)
        top, left = corner()
        here = uint32(0)
        a, b, k = eight(x, y, taps, k, row, column, sizes)
        store_slices(held, here, a, b)
        cuda.syncthreads()
        step = uint32(0)
        while step < steps:
            a, b, k = eight(x, y, taps, k, row, column, sizes)
            p, q = uint32(here + top), uint32(here + uint32(SIDE) + left)
            for d in range(DEPTH):
                on = uint32(d * TILE)
                acc = multiply(acc, held, uint32(p + on), uint32(q + on))
            here = uint32(uint32(2 * SIDE) - here)
            store_slices(held, here, a, b)
            cuda.syncthreads()
            step = uint32(step + uint32(1))
        return acc

    return product


@cuda.jit(device=True)
def put(out, index, base, values, b, whole):
    """Write eight results of a row, in two fours; at: where the columns lie, NONE for no column."""
    if whole:
        if index[0] != uint32(NONE):
            four = (values[0] + b, values[1] + b, values[2] + b, values[3] + b)
            ptx.store128(out, uint32(base + index[0]), four)
        if index[4] != uint32(NONE):
            four = (values[4] + b, values[5] + b, values[6] + b, values[7] + b)
            ptx.store128(out, uint32(base + index[4]), four)
    else:
        for k in range(8):
            if index[k] != uint32(NONE):
                out[uint32(base + index[k])] = values[k] + b


@cuda.jit(device=True)
def put_row(out, index, m, count, step, bias, group, values, whole):
    """Write row m of a thread's tile with its bias, where there is such a row."""
    if m < count:
        b = bias[uint32(uint32(group * count) + m)] if bias.size else float32(0)
        put(out, index, uint32(m * step), values, b, whole)


@cuda.jit(device=True)
def put_tile(out, index, first, count, step, bias, group, acc, whole):
    """Write a thread's tile: rows first.. and those half a tile on, `step` apart."""
    m = uint32(first + corner()[0])
    n = uint32(m + uint32(TILE // 2))
    one, two, three = uint32(1), uint32(2), uint32(3)
    put_row(out, index, m, count, step, bias, group, acc[0:8], whole)
    put_row(out, index, uint32(m + one), count, step, bias, group, acc[8:16], whole)
    put_row(out, index, uint32(m + two), count, step, bias, group, acc[16:24], whole)
    put_row(out, index, uint32(m + three), count, step, bias, group, acc[24:32], whole)
    put_row(out, index, n, count, step, bias, group, acc[32:40], whole)
    put_row(out, index, uint32(n + one), count, step, bias, group, acc[40:48], whole)
    put_row(out, index, uint32(n + two), count, step, bias, group, acc[48:56], whole)
    put_row(out, index, uint32(n + three), count, step, bias, group, acc[56:64], whole)


# ---------------------------------------------------------------- kernels
weight_product = product_of(weight_and_patch)
gradient_product = product_of(gradient_and_patch)


@cuda.jit(device=True)
def output_place(q, count, group, sizes):
    """Return where the q-th output of a group's first channel lies, NONE where there is none."""
    if q >= count:
        return uint32(NONE)
    image, i, j = spot(q, sizes)
    return output_at(image, group, i, j, sizes)


@cuda.jit
def correlate_tiles(source, weight, bias, taps, sizes, y):
    """Slide taps over a source: see conv/conv.py for `sizes`; a tile is 64 channels by 64 outputs.

    8 KiB of shared memory, read 128 bits at once; written so where outputs allow it.
    """
    held = cuda.shared.array(HELD, float32, alignment=16)
    t = uint32(cuda.threadIdx.x)
    m, whole = sizes[RESULTS], sizes[WHOLE]
    count = uint32(uint32(sizes[IMAGES] * sizes[ROWS]) * sizes[COLUMNS])
    row_tiles = uint32(uint32(m + uint32(TILE - 1)) // uint32(TILE))
    column_tiles = uint32(uint32(count + uint32(TILE - 1)) // uint32(TILE))
    steps = uint32(
        uint32(uint32(sizes[CHANNELS] * sizes[TAPS]) + uint32(DEPTH - 1)) // uint32(DEPTH)
    )
    work = uint32(cuda.blockIdx.x)
    while work < uint32(uint32(row_tiles * column_tiles) * sizes[GROUPS]):
        rest = uint32(work // row_tiles)
        group = uint32(rest // column_tiles)
        top = uint32(uint32(work - uint32(rest * row_tiles)) * uint32(TILE))
        left = uint32(uint32(rest - uint32(group * column_tiles)) * uint32(TILE))
        row = uint32(NONE)
        if uint32(top + t) < m:
            row = uint32(
                uint32(group * sizes[GROUP_STEP]) + uint32(uint32(top + t) * sizes[RESULT_STEP])
            )
        image, i, j = spot(uint32(left + t), sizes)
        r, c = first_seen(i, j, sizes)
        column = source_at(image, group, r, c, sizes), r, c
        if uint32(left + t) >= count:
            column = uint32(0), uint32(FAR), uint32(FAR)
        k = sizes[CHANNELS] if sizes[TAPS] == uint32(0) else uint32(0), uint32(0)
        acc = weight_product(weight, source, taps, k, row, column, sizes, steps, held)
        q = uint32(left + corner()[1])
        half = uint32(q + uint32(TILE // 2))
        index = (
            output_place(q, count, group, sizes),
            output_place(uint32(q + uint32(1)), count, group, sizes),
            output_place(uint32(q + uint32(2)), count, group, sizes),
            output_place(uint32(q + uint32(3)), count, group, sizes),
            output_place(half, count, group, sizes),
            output_place(uint32(half + uint32(1)), count, group, sizes),
            output_place(uint32(half + uint32(2)), count, group, sizes),
            output_place(uint32(half + uint32(3)), count, group, sizes),
        )
        put_tile(y, index, top, m, uint32(sizes[HIGH] * sizes[WIDE]), bias, group, acc, whole)
        work = uint32(work + cuda.gridDim.x)


@cuda.jit(device=True)
def numbered(q, count):
    """Return q, or NONE from `count` on."""
    return q if q < count else uint32(NONE)


@cuda.jit
def weight_tiles(dy, source, none, taps, sizes, each, chunks, parts):
    """Leave dy's products with the patches over a chunk of `each` outputs in parts, a chunk a row.

    A tile is 64 output channels by 64 (channel, tap); 8 KiB of shared memory, read 128 bits
    at once.
    """
    held = cuda.shared.array(HELD, float32, alignment=16)
    t = uint32(cuda.threadIdx.x)
    m = sizes[RESULTS]
    total = uint32(uint32(sizes[IMAGES] * sizes[ROWS]) * sizes[COLUMNS])
    width = uint32(sizes[CHANNELS] * sizes[TAPS])
    row_tiles = uint32(uint32(m + uint32(TILE - 1)) // uint32(TILE))
    column_tiles = uint32(uint32(width + uint32(TILE - 1)) // uint32(TILE))
    tiles = uint32(uint32(row_tiles * column_tiles) * sizes[GROUPS])
    work = uint32(cuda.blockIdx.x)
    while work < uint32(tiles * chunks):
        chunk = uint32(work // tiles)
        rest = uint32(work - uint32(chunk * tiles))
        line = uint32(rest // row_tiles)
        group = uint32(line // column_tiles)
        top = uint32(uint32(rest - uint32(line * row_tiles)) * uint32(TILE))
        left = uint32(uint32(line - uint32(group * column_tiles)) * uint32(TILE))
        plane = uint32(sizes[HIGH] * sizes[WIDE])
        row = uint32(NONE)
        if uint32(top + t) < m:
            row = uint32(uint32(uint32(uint32(group * m) + top) + t) * plane)
        q = uint32(left + t)
        column = uint32(0), uint32(FAR), uint32(FAR)
        if q < width:
            channel = uint32(q // sizes[TAPS])
            tap = uint32(uint32(q - uint32(channel * sizes[TAPS])) << uint32(2))
            channel = uint32(uint32(group * sizes[CHANNELS]) + channel)
            start = uint32(uint32(channel * sizes[HEIGHT]) * sizes[WIDTH])
            column = start, taps[tap], taps[uint32(tap + uint32(1))]
        begin = uint32(chunk * each)
        some = min(each, uint32(total - begin))
        image, i, j = spot(begin, sizes)
        steps = uint32(uint32(some + uint32(DEPTH - 1)) // uint32(DEPTH))
        k = image, i, j, some
        acc = gradient_product(dy, source, taps, k, row, column, sizes, steps, held)
        q = uint32(left + corner()[1])
        half = uint32(q + uint32(TILE // 2))
        index = (
            numbered(q, width),
            numbered(uint32(q + uint32(1)), width),
            numbered(uint32(q + uint32(2)), width),
            numbered(uint32(q + uint32(3)), width),
            numbered(half, width),
            numbered(uint32(half + uint32(1)), width),
            numbered(uint32(half + uint32(2)), width),
            numbered(uint32(half + uint32(3)), width),
        )
        first = uint32(uint32(uint32(chunk * sizes[GROUPS]) + group) * m)
        count = uint32(first + m)
        put_tile(parts, index, uint32(first + top), count, width, none, uint32(0), acc, False)
        work = uint32(work + cuda.gridDim.x)
