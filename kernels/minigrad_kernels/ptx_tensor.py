"""Intrinsics of `ptx` that compute: register tiles, rounding, tensor cores.

Source: PTX ISA 9.0, "mma.m16n8k8" and "mma.m16n8k16" for the layout of fragments, "cvt".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from minigrad_kernels.ptx_base import FLOAT, WORD, intrinsic, unpack
from minigrad_kernels.simulate_kernel import model
from minigrad_kernels.simulate_memory import Array
from minigrad_kernels.simulate_numbers import UInt32, fma

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
    return int(np.float32(x).view(np.uint32))


def float32_of(bits: int) -> Any:
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
def multiply(name: str, text: str) -> Callable[..., tuple[Any, Any]]:
    """Return what `intrinsic` takes for one `mma.sync` of 16 x 8 float32 accumulators."""
    a_kind, b_kind = types.UniTuple(types.uint32, 4), types.UniTuple(types.uint32, 2)
    c_kind = types.UniTuple(types.float32, 4)
    shape = ir.FunctionType(ir.LiteralStructType([FLOAT] * 4), [WORD] * 6 + [FLOAT] * 4)
    groups = [range(4), range(4, 8), range(8, 10), range(10, 14)]  # of operands: d, a, b, c
    operands = ", ".join("{" + ", ".join(f"${i}" for i in group) + "}" for group in groups)
    constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)

    def typed(typing, a, b, c):
        if (a, b, c) != (a_kind, b_kind, c_kind):
            return None

        def generate(context, builder, signature, args):
            items = [x for v, n in zip(args, (4, 2, 4)) for x in unpack(builder, v, n)]
            held = builder.asm(shape, f"{text} {operands};", constraints, items, side_effect=True)
            return context.make_tuple(builder, c_kind, unpack(builder, held, 4))

        return c_kind(a, b, c), generate

    typed.__name__ = name
    return typed


# d = a b + c over a warp, a: (16, 8), b: (8, 8), c, d: (16, 8); tf32 operands, float32 sums.
# Lane 4 g + t holds a[g, t], a[g + 8, t], a[g, t + 4], a[g + 8, t + 4]; b[t, g], b[t + 4, g];
# c[g, 2 t], c[g, 2 t + 1], c[g + 8, 2 t], c[g + 8, 2 t + 1].
mma_tf32 = intrinsic(multiply("mma_tf32", "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"))
# The same with a: (16, 16), b: (16, 8), two bfloat16 a register, the lower index in the low half:
# a[g, 2 t], a[g + 8, 2 t], a[g, 2 t + 8], a[g + 8, 2 t + 8]; b[2 t, g], b[2 t + 8, g].
mma_bf16 = intrinsic(multiply("mma_bf16", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"))

Fragments = dict[int, tuple[Any, Any, Any]]  # lane -> its registers of a, b and c


def product(lanes: Fragments, a: Array, b: Array) -> dict[int, tuple[Any, ...]]:
    """Return each lane's registers of a b + c."""
    c = np.zeros((16, 8), np.float64)
    places = {}
    for lane, (_, _, held) in lanes.items():
        g, t = lane >> 2, lane & 3
        places[lane] = ((g, 2 * t), (g, 2 * t + 1), (g + 8, 2 * t), (g + 8, 2 * t + 1))
        for place, value in zip(places[lane], held, strict=True):
            c[place] = value
    d = ((a[:, :, None] * b).sum(axis=1) + c).astype(np.float32)
    return {lane: tuple(d[place] for place in held) for lane, held in places.items()}


@model(mma_tf32, collective=True)
def _(lanes: Fragments) -> dict[int, tuple[Any, ...]]:
    a = np.zeros((16, 8))
    b = np.zeros((8, 8))
    for lane, (left, right, _) in lanes.items():
        g, t = lane >> 2, lane & 3
        for i, bits in enumerate(left):
            a[g + 8 * (i & 1), t + 4 * (i >> 1)] = float32_of(int(bits) & 0xFFFFE000)
        for i, bits in enumerate(right):
            b[t + 4 * i, g] = float32_of(int(bits) & 0xFFFFE000)
    return product(lanes, a, b)


@model(mma_bf16, collective=True)
def _(lanes: Fragments) -> dict[int, tuple[Any, ...]]:
    a = np.zeros((16, 16))
    b = np.zeros((16, 8))
    for lane, (left, right, _) in lanes.items():
        g, t = lane >> 2, lane & 3
        for half in (0, 1):
            for i, bits in enumerate(left):
                value = float32_of(int(bits) >> 16 * half << 16)
                a[g + 8 * (i & 1), 2 * t + half + 8 * (i >> 1)] = value
            for i, bits in enumerate(right):
                b[2 * t + half + 8 * i, g] = float32_of(int(bits) >> 16 * half << 16)
    return product(lanes, a, b)
