"""Intrinsics of `ptx` that compute: register tiles, rounding, tensor cores.

Source: PTX ISA 9.0, "mma.m16n8k8" and "mma.m16n8k16" for the layout of fragments, "cvt".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from minigrad_cudasim.memory import Array
from minigrad_cudasim.models import model
from minigrad_cudasim.numbers import UInt32, fma
from minigrad_kernels.cuda.ptx_base import FLOAT, WORD, intrinsic, unpack

FULL = 0xFFFFFFFF


# ---------------------------------------------------------------- register tiles
@intrinsic
def zeros(typing, count):
    """Return a tuple of `count` float32 zeros, a literal: a register tile to accumulate in."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    result = types.UniTuple(types.float32, count.literal_value)

    def generate(context, builder, signature, args):
        return ir.Constant(context.get_value_type(result), None)

    return result(count), generate


@model(zeros)
def _(count: int) -> tuple[Any, ...]:
    return (np.float32(0),) * count


@intrinsic
def outer_fma(typing, tile, p, q):
    """Return tile + p qᵀ by one FMA an element: tile: (n m,), p: (n,), q: (m,), float32 tuples.

    One statement for Numba: tile and operands stay in registers, where an indexed `local.array`
    would be spilled.
    """
    kinds = (tile, p, q)
    if not all(isinstance(k, types.UniTuple) and k.dtype == types.float32 for k in kinds):
        return None
    n, m = p.count, q.count
    if tile.count != n * m:
        return None

    def generate(context, builder, signature, args):
        left, right = unpack(builder, args[1], n), unpack(builder, args[2], m)
        held = args[0]
        for i in range(n * m):
            old = builder.extract_value(args[0], i)
            held = builder.insert_value(held, builder.fma(left[i // m], right[i % m], old), i)
        return held

    return tile(tile, p, q), generate


@model(outer_fma)
def _(tile: tuple[Any, ...], p: tuple[Any, ...], q: tuple[Any, ...]) -> tuple[Any, ...]:
    m = len(q)
    return tuple(fma(p[i // m], q[i % m], old) for i, old in enumerate(tile))


# ---------------------------------------------------------------- bits and rounding
def converter(
    name: str, text: str, result: Any, arguments: tuple[Any, ...], constraints: str
) -> Callable[..., tuple[Any, Any]]:
    """Return what `intrinsic` takes for one instruction over numbers."""
    kinds = {types.float32: FLOAT, types.uint32: WORD}
    shape = ir.FunctionType(kinds[result], [kinds[a] for a in arguments])

    def generate(context, builder, signature, args):
        return builder.asm(shape, text, constraints, args, side_effect=False)

    typed: Callable[..., tuple[Any, Any]]
    if len(arguments) == 1:

        def typed(typing, x):
            return result(*arguments), generate

    else:

        def typed(typing, low, high):
            return result(*arguments), generate

    typed.__name__ = name
    return typed


# The float32's bits as a uint32.
float_bits = intrinsic(
    converter("float_bits", "mov.b32 $0, $1;", types.uint32, (types.float32,), "=r,f")
)
# The float32 of these bits.
bits_float = intrinsic(
    converter("bits_float", "mov.b32 $0, $1;", types.float32, (types.uint32,), "=f,r")
)
# Round to 10 bits of mantissa, ties away from zero; a uint32 for `mma_tf32`.
to_tf32 = intrinsic(
    converter("to_tf32", "cvt.rna.tf32.f32 $0, $1;", types.uint32, (types.float32,), "=r,f")
)
# Round two numbers to bfloat16, ties to even; the first in the low half, for `mma_bf16`.
pack_bf16 = intrinsic(
    converter(
        "pack_bf16",
        "cvt.rn.bf16x2.f32 $0, $2, $1;",
        types.uint32,
        (types.float32, types.float32),
        "=r,f,f",
    )
)


def bits32(x: Any) -> int:
    """Return the bits of a number as a float32's."""
    return int(np.float32(x).view(np.uint32))


def float32_of(bits: int) -> Any:
    """Return the float32 of 32 bits."""
    return np.uint32(bits & FULL).view(np.float32)


def bfloat16_bits(x: Any) -> int:
    """Return the 16 bits of a float32 rounded to bfloat16, ties to even.

    >>> hex(bfloat16_bits(1.0)), hex(bfloat16_bits(1.00390625)), hex(bfloat16_bits(1.01171875))
    ('0x3f80', '0x3f80', '0x3f82')
    """
    if np.isnan(x):
        return 0x7FFF
    bits = bits32(x)
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


@model(float_bits)
def _(x: Any) -> UInt32:
    return UInt32(bits32(x))


@model(bits_float)
def _(bits: Any) -> Any:
    return float32_of(int(bits))


@model(to_tf32)
def _(x: Any) -> UInt32:
    if not np.isfinite(x):
        return UInt32(0x7FFFFFFF if np.isnan(x) else bits32(x))
    return UInt32((bits32(x) + 0x1000) & 0xFFFFE000)


@model(pack_bf16)
def _(low: Any, high: Any) -> UInt32:
    return UInt32(bfloat16_bits(low) | bfloat16_bits(high) << 16)


# ---------------------------------------------------------------- tensor cores
def steps_of(a: int, b: int, c: int) -> int:
    """Return how many products follow each other over fragments of a, b and c of these lengths.

    >>> steps_of(4, 2, 4), steps_of(16, 8, 16)  # 1 x 1 tile in one step, 2 x 2 tiles in two
    (1, 2)
    """
    steps = math.isqrt(a * b // (2 * c)) if c else 0
    rows, columns = a // (4 * steps or 1), b // (2 * steps or 1)
    whole = (4 * rows * steps, 2 * columns * steps, 4 * rows * columns) == (a, b, c)
    return steps if whole else 0


def multiply(name: str, text: str) -> Callable[..., tuple[Any, Any]]:
    """Return what `intrinsic` takes for `mma.sync` over tiles of 16 x 8 float32 accumulators."""
    shape = ir.FunctionType(ir.LiteralStructType([FLOAT] * 4), [WORD] * 6 + [FLOAT] * 4)
    groups = [range(4), range(4, 8), range(8, 10), range(10, 14)]  # of operands: d, a, b, c
    operands = ", ".join("{" + ", ".join(f"${i}" for i in group) + "}" for group in groups)
    constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)

    def typed(typing, a, b, c):
        kinds = (types.uint32, types.uint32, types.float32)
        if [getattr(x, "dtype", None) for x in (a, b, c)] != list(kinds):
            return None
        steps = steps_of(a.count, b.count, c.count)
        if not steps:
            return None

        def generate(context, builder, signature, args):
            left, right, tile = (
                unpack(builder, v, k.count) for v, k in zip(args, (a, b, c), strict=True)
            )
            columns = b.count // (2 * steps)
            for step in range(steps):
                for i in range(c.count // 4):
                    p = (i // columns * steps + step) * 4
                    q = (i % columns * steps + step) * 2
                    items = left[p : p + 4] + right[q : q + 2] + tile[4 * i : 4 * i + 4]
                    held = builder.asm(
                        shape, f"{text} {operands};", constraints, items, side_effect=True
                    )
                    tile[4 * i : 4 * i + 4] = unpack(builder, held, 4)
            return context.make_tuple(builder, c, tile)

        return c(a, b, c), generate

    typed.__name__ = name
    return typed


# d = a b + c over a warp, a: (16, 8), b: (8, 8), c, d: (16, 8); tf32 operands, float32 sums.
# Lane 4 g + t holds a[g, t], a[g + 8, t], a[g, t + 4], a[g + 8, t + 4]; b[t, g], b[t + 4, g];
# c[g, 2 t], c[g, 2 t + 1], c[g + 8, 2 t], c[g + 8, 2 t + 1].
# Longer tuples are tiles of these: a: (n, s, 4), b: (m, s, 2), c: (n, m, 4), for s products after
# each other on each of n x m accumulators.
mma_tf32 = intrinsic(multiply("mma_tf32", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"))
# The same with a: (16, 16), b: (16, 8), two bfloat16 a register, the lower index in the low half:
# a[g, 2 t], a[g + 8, 2 t], a[g, 2 t + 8], a[g + 8, 2 t + 8]; b[2 t, g], b[2 t + 8, g].
mma_bf16 = intrinsic(multiply("mma_bf16", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"))

Fragments = dict[int, tuple[Any, Any, Any]]  # lane -> its registers of a, b and c
G, T = np.arange(32) >> 2, np.arange(32) & 3


def bits_of(words: Any) -> Array:
    """Return the bits of rows of registers, one row a lane, as uint32."""
    return np.array([[int(word) for word in row] for row in words], np.uint32)


def product(lanes: Fragments, depth: int, halves: Callable[[Array], list[Array]]) -> Any:
    """Return each lane's registers of a b + c.

    depth: of one product; halves: the numbers that registers hold, those of lower index first.
    """
    left, right, tiles = ([lanes[lane][i] for lane in range(32)] for i in range(3))
    counts = (len(left[0]), len(right[0]), len(tiles[0]))
    steps = steps_of(*counts)
    parts_a, parts_b = halves(bits_of(left)), halves(bits_of(right))
    each = len(parts_a)
    n, m = counts[0] // (4 * steps), counts[1] // (2 * steps)
    a = np.zeros((n, steps, 16, depth))
    b = np.zeros((m, steps, depth, 8))
    for h in range(each):
        for i, held in enumerate(parts_a[h].T):
            f, s, r = i // (4 * steps), i // 4 % steps, i % 4
            a[f, s, G + 8 * (r & 1), each * T + h + depth // 2 * (r >> 1)] = held
        for i, held in enumerate(parts_b[h].T):
            f, s, r = i // (2 * steps), i // 2 % steps, i % 2
            b[f, s, each * T + h + depth // 2 * r, G] = held
    d = np.array(tiles, np.float32).reshape(32, n, m, 4)
    c = np.zeros((n, m, 16, 8), np.float32)
    where = [(G + 8 * (r >> 1), 2 * T + (r & 1)) for r in range(4)]
    for r, (row, column) in enumerate(where):
        c[:, :, row, column] = d[..., r].transpose(1, 2, 0)
    with np.errstate(all="ignore"):
        for s in range(steps):
            terms = a[:, s][:, None, :, :, None] * b[:, s][None, :, None]
            c = (terms.sum(axis=3) + c).astype(np.float32)
    for r, (row, column) in enumerate(where):
        d[..., r] = c[:, :, row, column].transpose(2, 0, 1)
    return {lane: tuple(d[lane].ravel()) for lane in range(32)}


@model(mma_tf32, collective=True)
def _(lanes: Fragments) -> Any:
    return product(lanes, 8, lambda words: [(words & np.uint32(0xFFFFE000)).view(np.float32)])


@model(mma_bf16, collective=True)
def _(lanes: Fragments) -> Any:
    return product(
        lanes,
        16,
        lambda words: [
            (words << np.uint32(16)).view(np.float32),
            (words & np.uint32(0xFFFF0000)).view(np.float32),
        ],
    )
