"""Intrinsics of `ptx` that move memory: 128 bits at once, and copies that go on by themselves.

Source: PTX ISA 9.0, "ld", "st", "cp.async".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.npydecl import parse_dtype

from minigrad_cudasim.fault import site_of
from minigrad_cudasim.machine import reached, running
from minigrad_cudasim.memory import SimulatedArray, kernel_frame
from minigrad_cudasim.models import model
from minigrad_kernels.cuda.ptx_base import (
    GLOBAL,
    LANES,
    LONG,
    SHARED,
    VECTOR_BYTES,
    VOID,
    WORD,
    flat,
    intrinsic,
    pointer,
    unpack,
)


# ---------------------------------------------------------------- 128 bits at once
@intrinsic
def load128(typing, array, index):
    """Return the 16 bytes from `array[index]` on: 4 float32 or (u)int32, or 2 float64.

    array: 1-D, C-contiguous, aligned to 16 bytes; index: a multiple of the count.
    """
    if not flat(array) or not isinstance(index, types.Integer):
        return None
    count = LANES[array.dtype]
    result = types.UniTuple(array.dtype, count)

    def generate(context, builder, signature, args):
        vector = ir.VectorType(context.get_data_type(array.dtype), count)
        place = pointer(context, builder, array, args[0], index, args[1])
        held = builder.load(builder.bitcast(place, vector.as_pointer()), align=VECTOR_BYTES)
        items = [builder.extract_element(held, ir.Constant(WORD, i)) for i in range(count)]
        return context.make_tuple(builder, result, items)

    return result(array, index), generate


@model(load128)
def _(array: SimulatedArray, index: Any) -> tuple[Any, ...]:
    return array.load_vector(index, VECTOR_BYTES // array.itemsize)


@intrinsic
def store128(typing, array, index, values):
    """Write a tuple of 16 bytes to `array[index]` and on; conditions as for `load128`."""
    if not flat(array) or values != types.UniTuple(array.dtype, LANES[array.dtype]):
        return None
    count = LANES[array.dtype]

    def generate(context, builder, signature, args):
        vector = ir.VectorType(context.get_data_type(array.dtype), count)
        place = pointer(context, builder, array, args[0], index, args[1])
        held = ir.Constant(vector, ir.Undefined)
        for i, item in enumerate(unpack(builder, args[2], count)):
            held = builder.insert_element(held, item, ir.Constant(WORD, i))
        builder.store(held, builder.bitcast(place, vector.as_pointer()), align=VECTOR_BYTES)
        return context.get_dummy_value()

    return types.void(array, index, values), generate


@model(store128)
def _(array: SimulatedArray, index: Any, values: tuple[Any, ...]) -> None:
    if len(values) * array.itemsize != VECTOR_BYTES:
        raise TypeError(f"store128 of {len(values)} {array.dtype}: expected {VECTOR_BYTES} bytes")
    array.store_vector(index, values)


@intrinsic
def store_tile(typing, target, index, tile, places):
    """Write a register tile to `target[at + places[i]]`, neighbours of it as one word each.

    places: a constant tuple; len(tile) / len(places), 1, 2 or 4, neighbours go to each, which must
    be aligned to their bytes.
    """
    if not flat(target) or getattr(tile, "dtype", None) != target.dtype:
        return None
    count = tile.count // places.count
    if count * places.count != tile.count or count not in (1, 2, 4):
        return None

    def generate(context, builder, signature, args):
        kind = context.get_data_type(target.dtype)
        vector = ir.VectorType(kind, count)
        first = pointer(context, builder, target, args[0], index, args[1])
        steps = unpack(builder, args[3], places.count)
        items = unpack(builder, args[2], tile.count)
        for i, step in enumerate(steps):
            held = ir.Constant(vector, ir.Undefined)
            for j in range(count):
                held = builder.insert_element(held, items[i * count + j], ir.Constant(WORD, j))
            place = builder.bitcast(builder.gep(first, [step]), vector.as_pointer())
            builder.store(held, place, align=count * target.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(target, index, tile, places), generate


@model(store_tile)
def _(target: SimulatedArray, index: Any, tile: tuple[Any, ...], places: tuple[Any, ...]) -> None:
    count = len(tile) // len(places)
    for i, place in enumerate(places):
        target.store_vector(int(index) + int(place), tile[i * count : (i + 1) * count])


# ---------------------------------------------------------------- memory at an address
@intrinsic
def array_at(typing, address, size, dtype):
    """Return global memory at an int64 address as a C-contiguous 1-D array of `size` elements.

    dtype: `float32`, `x.dtype` or the like.  For tables of addresses: many arrays, one launch.
    """
    element = parse_dtype(dtype)
    if element is None or not isinstance(address, types.Integer):
        return None
    kind = types.Array(element, 1, "C")

    def generate(context, builder, signature, args):
        item = context.get_data_type(element)
        place = builder.inttoptr(args[0], ir.PointerType(item, addrspace=GLOBAL))
        held = context.make_array(kind)(context, builder)
        held.data = builder.addrspacecast(place, ir.PointerType(item))
        count = context.cast(builder, args[1], signature.args[1], types.intp)
        step = context.get_constant(types.intp, element.bitwidth // 8)
        held.shape = cgutils.pack_array(builder, [count])
        held.strides = cgutils.pack_array(builder, [step])
        held.itemsize = step
        held.nitems = count
        held.meminfo = context.get_constant_null(types.MemInfoPointer(types.voidptr))
        held.parent = cgutils.get_null_value(held.parent.type)
        return held._getvalue()

    return kind(address, size, dtype), generate


model(array_at)(reached)


# ---------------------------------------------------------------- asynchronous copies
def copying(builder: Any, context: Any, kinds: Any, args: Any, text: str, count: Any) -> Any:
    """Emit a cp.async from `source[start]` to `target[at]`, of `count` bytes, zeros behind them."""
    places = []
    for which, space, bits in ((0, SHARED, WORD), (2, GLOBAL, LONG)):
        place = pointer(
            context, builder, kinds[which], args[which], kinds[which + 1], args[which + 1]
        )
        item = context.get_data_type(kinds[which].dtype)
        place = builder.addrspacecast(place, ir.PointerType(item, addrspace=space))
        places.append(builder.ptrtoint(place, bits))
    shape = ir.FunctionType(VOID, [WORD, LONG, WORD])
    builder.asm(shape, text, "r,l,r,~{memory}", [*places, count], side_effect=True)
    return context.get_dummy_value()


def begun(
    target: SimulatedArray, index: Any, source: SimulatedArray, start: Any, count: int
) -> None:
    """Model the beginning of a copy of `count` elements; of zeros where `start` is None."""
    if start is None:
        values = (target.dtype.type(0),) * count
    else:
        values = source.load_vector(start, count)
    poison = target.dtype.type(np.nan if target.dtype.kind == "f" else 0)
    target.store_vector(index, (poison,) * count)
    span = target.vector(index, count)
    target.unwrite(span)
    began = site_of(kernel_frame())
    origin = None if start is None else (source, start)
    running().copies[-1].append((target, span, values, origin, began))


@intrinsic
def copy_async(typing, target, index, source, start):
    """Begin to copy 16 bytes from global `source[start]` to shared `target[at]`.

    They have come for this thread after `wait_copies`, for the block after a barrier behind it.
    """
    if not flat(target) or source.dtype != target.dtype or not flat(source):
        return None

    def generate(context, builder, signature, args):
        text = "cp.async.cg.shared.global [$0], [$1], 16, $2;"
        return copying(builder, context, signature.args, args, text, ir.Constant(WORD, 16))

    return types.void(target, index, source, start), generate


@model(copy_async)
def _(target: SimulatedArray, index: Any, source: SimulatedArray, start: Any) -> None:
    begun(target, index, source, start, VECTOR_BYTES // target.itemsize)


def copy_or_zero(name: str, level: str, whole: bool) -> Callable[..., Any]:
    """Return what `intrinsic` takes for a copy that a condition turns into zeros."""

    def typed(typing, target, index, source, start, inside):
        if not flat(target) or source.dtype != target.dtype or not flat(source):
            return None
        size = VECTOR_BYTES if whole else target.dtype.bitwidth // 8

        def generate(context, builder, signature, args):
            wanted = context.cast(builder, args[4], inside, types.boolean)
            count = builder.select(wanted, ir.Constant(WORD, size), ir.Constant(WORD, 0))
            text = f"cp.async.{level}.shared.global [$0], [$1], {size}, $2;"
            return copying(builder, context, signature.args, args, text, count)

        return types.void(target, index, source, start, inside), generate

    typed.__name__ = name
    return typed


# `copy_async` of 16 bytes where `inside`, else of zeros; then `source[start]` is not touched.
copy_async_or_zero = intrinsic(copy_or_zero("copy_async_or_zero", "cg", True))
# The same for one element of 4 or 8 bytes, which needs no other alignment than its own.
copy_element_or_zero = intrinsic(copy_or_zero("copy_element_or_zero", "ca", False))


@model(copy_async_or_zero)
def _(target: SimulatedArray, index: Any, source: SimulatedArray, start: Any, inside: Any) -> None:
    begun(target, index, source, start if inside else None, VECTOR_BYTES // target.itemsize)


@model(copy_element_or_zero)
def _(target: SimulatedArray, index: Any, source: SimulatedArray, start: Any, inside: Any) -> None:
    begun(target, index, source, start if inside else None, 1)


def emit(text: str) -> Callable[..., Any]:
    """Return the generator of an instruction without operands."""

    def generate(context, builder, signature, args):
        builder.asm(ir.FunctionType(VOID, []), text, "~{memory}", [], side_effect=True)
        return context.get_dummy_value()

    return generate


@intrinsic
def commit_copies(typing):
    """Close the group of the copies begun since the last one."""
    return types.void(), emit("cp.async.commit_group;")


@model(commit_copies)
def _() -> None:
    running().copies.append([])


@intrinsic
def wait_copies(typing, groups):
    """Wait until at most the last `groups` groups, a literal, are on their way."""
    if not isinstance(groups, types.IntegerLiteral):
        return None
    return types.void(groups), emit(f"cp.async.wait_group {groups.literal_value};")


@model(wait_copies)
def _(groups: int) -> None:
    copies = running().copies
    while len(copies) - 1 > groups:
        for target, span, values, origin, began in copies.pop(0):
            if origin is not None:
                origin[0].still_holds(origin[1], values, began)
            target.store_vector(span.start, values)
    for target, span, *_ in (copy for group in copies for copy in group):
        target.unwrite(span)  # a later copy to the same place may have come as well, or half
