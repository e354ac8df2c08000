"""CUDA kernels that lay an operand out as tensor cores take it, rounded once to TF32 or bfloat16.

An operand is lines, rows of a or columns of b, of k numbers; any strides.  A word is one number in
TF32 or two in bfloat16, the lower k in the low half.  16 lines by 16 words are a group of 256
words, in the order in which the lanes of a warp read them, 128 bits each: lane 4 g + r of a has
words 4 r and 4 r + 1 of lines g and g + 8, then words 4 r + 2 and 4 r + 3 of them; of b it has
words 4 r .. 4 r + 3 of line g, then of line g + 8.  So a 128-bit load is what `mma.sync` takes, for
two steps of k; which number of k it calls which is free, as long as a and b agree.
Groups of 16 lines lie after each other in k; lines and words that do not exist are zeros.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import cuda, float32, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.launch import blocks, run, scratch
from minigrad_kernels.matmul.cuda_parts import Device

GROUP = 16  # lines of a group, and words of each
WORDS = np.uint32(GROUP * GROUP)
THREADS = 128  # of a block: four warps, a group each
EACH = {"tf32": 1, "bf16": 2}  # numbers of a word
Place = tuple[Any, ...]


# ---------------------------------------------------------------- four numbers of a line
@cuda.jit(device=True)
def vector(x, from_, step, d, k, inside):
    """Return numbers d .. d + 3 of a line at `from_`, 128 bits at once; zeros where none are."""
    if inside and d < k:
        return ptx.load128(x, from_)
    return float32(0), float32(0), float32(0), float32(0)


@cuda.jit(device=True)
def element(x, from_, step, d, k, inside):
    """Return number d of a line at `from_`, or zero."""
    return x[from_] if inside and d < k else float32(0)


@cuda.jit(device=True)
def elements(x, from_, step, d, k, inside):
    """Return numbers d .. d + 3 of a line at `from_`, `step` apart; zeros where none are."""
    one, two, three = uint32(1), uint32(2), uint32(3)
    return (
        element(x, from_, step, d, k, inside),
        element(x, uint32(from_ + step), step, uint32(d + one), k, inside),
        element(x, uint32(from_ + uint32(two * step)), step, uint32(d + two), k, inside),
        element(x, uint32(from_ + uint32(three * step)), step, uint32(d + three), k, inside),
    )


# ---------------------------------------------------------------- four words of a line
@cache
def words(precision: str, along: bool) -> Device:
    """Return the function of four words of a line at `from_`, of which d is the first number.

    along: whether numbers of k lie side by side, and may be read 128 bits at once.
    """
    get = vector if along else elements

    @cuda.jit(device=True)
    def tf32(x, from_, step, d, k, inside):
        v = get(x, from_, step, d, k, inside)
        return ptx.to_tf32(v[0]), ptx.to_tf32(v[1]), ptx.to_tf32(v[2]), ptx.to_tf32(v[3])

    @cuda.jit(device=True)
    def bf16(x, from_, step, d, k, inside):
        v = get(x, from_, step, d, k, inside)
        four = uint32(4)
        w = get(x, uint32(from_ + uint32(four * step)), step, uint32(d + four), k, inside)
        return (
            ptx.pack_bf16(v[0], v[1]),
            ptx.pack_bf16(v[2], v[3]),
            ptx.pack_bf16(w[0], w[1]),
            ptx.pack_bf16(w[2], w[3]),
        )

    return tf32 if precision == "tf32" else bf16


@cuda.jit(device=True)
def put_left(out, to, v, w):
    """Write a lane's words of lines g and g + 8 as two fragments of a."""
    ptx.store128(out, to, (v[0], w[0], v[1], w[1]))
    ptx.store128(out, uint32(to + uint32(WORDS >> np.uint32(1))), (v[2], w[2], v[3], w[3]))


@cuda.jit(device=True)
def put_right(out, to, v, w):
    """Write them as fragments of b, each for two steps."""
    ptx.store128(out, to, v)
    ptx.store128(out, uint32(to + uint32(WORDS >> np.uint32(1))), w)


@cache
def packer(precision: str, side: str, along: bool) -> Any:
    """Return the kernel that packs an operand.

    precision: "tf32" or "bf16".  side: "left", a, or "right", b.  along: see `words`.
    """
    get = words(precision, along)
    put = put_left if side == "left" else put_right
    each = np.uint32(4 * EACH[precision])

    @cuda.jit
    def pack(x, at, sizes, out):
        """Pack x, a warp a group: 2 KiB read at most and 1 KiB written, whole sectors of both.

        at: uint32 (first, line, number, image) of x.  sizes: uint32 (lines, numbers, groups of
        lines, groups of k, groups in all).
        """
        count, k, line_groups, k_groups, work = sizes
        t = uint32(cuda.threadIdx.x)
        lane = uint32(t & uint32(31))
        g, r = uint32(lane >> uint32(2)), uint32(lane & uint32(3))
        w = uint32(uint32(cuda.blockIdx.x * uint32(THREADS // 32)) + uint32(t >> uint32(5)))
        while w < work:
            rest = uint32(w // k_groups)
            image = uint32(rest // line_groups)
            line = uint32(uint32(rest - uint32(image * line_groups)) * uint32(GROUP) + g)
            group = uint32(w - uint32(rest * k_groups))
            d = uint32(uint32(uint32(group * uint32(4)) + r) * each)
            from_ = uint32(at[0] + uint32(image * at[3]))
            from_ = uint32(from_ + uint32(line * at[1]) + uint32(d * at[2]))
            below = uint32(from_ + uint32(at[1] << uint32(3)))
            first = get(x, from_, at[2], d, k, line < count)
            second = get(x, below, at[2], d, k, uint32(line + uint32(8)) < count)
            put(out, uint32(uint32(w * WORDS) + uint32(lane << uint32(2))), first, second)
            w = uint32(w + uint32(cuda.gridDim.x * uint32(THREADS // 32)))

    return pack


def packed(
    x: DeviceArray,
    at: Place,
    count: int,
    k: int,
    images: int,
    precision: str,
    side: str,
    along: bool,
    lines: int,
    words: int,
) -> tuple[DeviceArray, Place]:
    """Pack an operand; return its memory and its (first, group of lines, 0, image), in words.

    at: (first, line, number, image) of x, `images` of them.  lines, words: multiples of GROUP that
    each image is filled up to with zeros.
    """
    line_groups, k_groups = lines // GROUP, words // GROUP
    work = images * line_groups * k_groups
    out = scratch(work * int(WORDS), np.uint32, x)
    numbers = (count, k, line_groups, k_groups, work)
    sizes = tuple(np.uint32(n) for n in numbers)
    run(packer(precision, side, along), blocks(work, THREADS // 32), THREADS, x, at, sizes, out)
    group = k_groups * int(WORDS)
    image = line_groups * group if images > 1 else 0
    return out, tuple(np.uint32(n) for n in (0, group, 0, image))
