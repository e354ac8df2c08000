"""Common parts of the CUDA products: places of tiles and operands, and what follows the product.

A kernel of a product is `kernel(a, a_at, b, b_at, bias, side, sums, z, c, sizes, flags)`:
    a, b: the memory of an operand as one line; a_at, b_at: uint32 (first, row, column, image), the
        index of the first element and the steps between rows, columns and images, modulo 2**32, so
        that they may point backwards; any strides, transposes and broadcasts are so many steps.
    sizes: uint32 (m, n, k, batch, splits, chunk, row_tiles, column_tiles, work): a split takes
        `chunk` of k; row_tiles x column_tiles tiles make c, `work` of them are computed in all.
    bias: (n,), side: like c, sums: (m,), z, c: C-contiguous lines; those that are not used, c.
    flags: what is to be done besides.
With several splits, the parts of c lie one after the other, and `combine` adds them in order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import cuda, int32, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.elementwise import activations as activation

BIAS = np.uint32(1)  # c starts from the bias
ADD = np.uint32(2)  # c is added to
SAVE = np.uint32(4)  # z gets c before the activation
C_VECTORS = np.uint32(8)  # c, z, side and bias may be reached 128 bits at once
KEPT = 8  # numbers that describe a tile, see `located`
GROUP = np.uint32(8)  # rows of tiles that blocks walk together, so that a and b stay in the L2

Device = Callable[..., Any]


@cuda.jit(device=True)
def located(w, tile, a_at, b_at, sizes):
    """Return row, column and slab of the w-th tile, the first of a and of b, start and end in k.

    Tiles go in columns of GROUP under each other; a slab is one split of one image of the batch.
    """
    k, batch, chunk, row_tiles, column_tiles = sizes[2], sizes[3], sizes[5], sizes[6], sizes[7]
    tiles = uint32(row_tiles * column_tiles)
    slab = uint32(w // tiles)
    r = uint32(w - uint32(slab * tiles))
    span = uint32(GROUP * column_tiles)
    group = uint32(r // span)
    r = uint32(r - uint32(group * span))
    first = uint32(group * GROUP)
    group_rows = min(uint32(row_tiles - first), uint32(GROUP))
    j = uint32(r // group_rows)
    i = uint32(first + uint32(r - uint32(j * group_rows)))
    split = uint32(slab // batch)
    image = uint32(slab - uint32(split * batch))
    from_a = uint32(a_at[0] + uint32(image * a_at[3]))
    from_b = uint32(b_at[0] + uint32(image * b_at[3]))
    start = uint32(split * chunk)
    end = min(k, uint32(start + chunk))
    return uint32(i * uint32(tile)), uint32(j * uint32(tile)), slab, from_a, from_b, start, end


@cuda.jit(device=True)
def assign(kept, w, tile, a_at, b_at, sizes):
    """Keep in shared memory what `located` returns: for one thread, divisions being slow.

    After a barrier it can be read, and read again, where registers are worth more.
    """
    row, column, slab, from_a, from_b, start, end = located(w, tile, a_at, b_at, sizes)
    kept[0] = row
    kept[1] = column
    kept[2] = slab
    kept[3] = from_a
    kept[4] = from_b
    kept[5] = start
    kept[6] = end
    kept[7] = w


@cuda.jit(device=True)
def unpacked(kept):
    """Return what `assign` kept, as a tuple."""
    return kept[0], kept[1], kept[2], kept[3], kept[4], kept[5], kept[6]


@cuda.jit(device=True)
def rows_left(count, row0, r):
    """Return how many rows there are from row0 + r on, negative where that is past the last."""
    return int32(uint32(count - uint32(row0 + r)))


# ---------------------------------------------------------------- after the product
def plain(v, side):
    """Return an element as it is."""
    return v


def rule_of(kind: str, name: str) -> tuple[Device, bool]:
    """Return what becomes of an element, `rule(v, saved)`, and whether that looks at `saved`.

    kind: "plain", "activation" or "mask"; name: of the activation.
    """
    if kind == "plain":
        return cuda.jit(device=True)(plain), False
    if kind == "mask":
        return getattr(activation, f"{name}_backward"), True
    rule = getattr(activation, name)

    def activated(v, side):
        return rule(v)

    return cuda.jit(device=True)(activated), False


@cache
def element(kind: str, name: str) -> Device:
    """Return the function that finishes one element v of the product and writes it."""
    rule, reads = rule_of(kind, name)

    @cuda.jit(device=True)
    def finish(v, index, column, bias, side, z, c, flags):
        if flags & BIAS:
            v += bias[column]
        if flags & ADD:
            v += c[index]
        if flags & SAVE:
            z[index] = v
        c[index] = rule(v, side[index] if reads else v)

    return finish


@cuda.jit(device=True)
def plus(v, w):
    """Return the sum of two 128-bit vectors."""
    return v[0] + w[0], v[1] + w[1], v[2] + w[2], v[3] + w[3]


@cache
def vector(kind: str, name: str) -> Device:
    """Return the function that does for four float32 what `element` does, 128 bits at once."""
    rule, reads = rule_of(kind, name)

    @cuda.jit(device=True)
    def finish(v, index, column, bias, side, z, c, flags):
        if flags & BIAS:
            v = plus(v, ptx.load128(bias, column))
        if flags & ADD:
            v = plus(v, ptx.load128(c, index))
        if flags & SAVE:
            ptx.store128(z, index, v)
        s = ptx.load128(side, index) if reads else v
        done = (rule(v[0], s[0]), rule(v[1], s[1]), rule(v[2], s[2]), rule(v[3], s[3]))
        ptx.store128(c, index, done)

    return finish


@cache
def writer(kind: str, name: str, rows: int, columns: int, pitch: int, threads: int) -> Device:
    """Return the function that finishes `rows` x `columns` float32 of shared memory.

    So the rule stands in a kernel once and not for each register of a tile, and a warp writes
    whole rows.
    """
    one, four = element(kind, name), vector(kind, name)
    line = columns // 4
    count, step = np.uint32(rows * line), np.uint32(threads)

    @cuda.jit(device=True)
    def write(held, row0, column0, slab, sizes, bias, side, z, c, flags):
        m, n = sizes[0], sizes[1]
        v = uint32(cuda.threadIdx.x)
        while v < count:
            r = uint32(v // uint32(line))
            q = uint32(uint32(v - uint32(r * uint32(line))) * uint32(4))
            row, column = uint32(row0 + r), uint32(column0 + q)
            v = uint32(v + step)
            if row < m and column < n:
                index = uint32(uint32(uint32(uint32(slab * m) + row) * n) + column)
                from_ = uint32(uint32(r * uint32(pitch)) + q)
                if flags & C_VECTORS:
                    four(ptx.load128(held, from_), index, column, bias, side, z, c, flags)
                else:
                    last = min(uint32(n - column), uint32(4))
                    e = uint32(0)
                    while e < last:
                        x = held[uint32(from_ + e)]
                        one(x, uint32(index + e), uint32(column + e), bias, side, z, c, flags)
                        e = uint32(e + uint32(1))

    return write


@cache
def combine(kind: str, name: str) -> Any:
    """Return the kernel that adds the parts of split products in order and finishes the sums."""
    finish = element(kind, name)

    @cuda.jit
    def add_parts(parts, bias, side, z, c, sizes, flags):
        """Compute c = after(sum over splits of parts), an element a thread and step."""
        n, splits = sizes[1], sizes[4]
        total = uint32(c.size)
        step = uint32(cuda.gridDim.x * cuda.blockDim.x)
        i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while i < total:
            v = parts[i]
            index = i
            for _ in range(uint32(1), splits):
                index = uint32(index + total)
                v += parts[index]
            finish(v, i, uint32(i % n), bias, side, z, c, flags)
            i = uint32(i + step)

    return add_parts


@cache
def combine_vectors(kind: str, name: str) -> Any:
    """Return the kernel that does for float32 what `combine` does, 128 bits at once."""
    finish = vector(kind, name)

    @cuda.jit
    def add_parts(parts, bias, side, z, c, sizes, flags):
        """Compute c = after(sum over splits of parts), four elements a thread and step."""
        n, splits = sizes[1], sizes[4]
        total = uint32(c.size)
        step = uint32(uint32(cuda.gridDim.x * cuda.blockDim.x) << uint32(2))
        i = uint32(uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) << uint32(2))
        while i < total:
            v = ptx.load128(parts, i)
            index = i
            for _ in range(uint32(1), splits):
                index = uint32(index + total)
                v = plus(v, ptx.load128(parts, index))
            finish(v, i, uint32(i % n), bias, side, z, c, flags)
            i = uint32(i + step)

    return add_parts
