"""Vector registers as values of jitted code: what a loop over arrays that may overlap needs.

LLVM leaves a loop over six arrays scalar, because they might overlap, or asks at run time, row by
row, whether they do.  Here a kernel says it itself: `load` takes a whole register from an address,
`+ - *` and `fma` work on registers, `store` writes one.  Each takes a `count`: fewer lanes than a
register has are loaded as zeros and left alone in memory, so that the last columns of a row are
written as the others are, and where `count` is a constant the test is gone.

>>> import numpy as np
>>> from minigrad_kernels.jit.compile import jit
>>> from minigrad_kernels.simd.registers import address
>>> @jit()
... def double(x):
...     v = load(x, address(x), x.size)
...     store(v + v, x, address(x), x.size, False)
...     return total(v)
>>> x = np.array([1, 2, 3], np.float32)
>>> double(x), x
(6.0, array([2., 4., 6.], dtype=float32))
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.core.extending import lower_builtin, register_model
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from minigrad_kernels.simd.registers import (
    BYTE_POINTER,
    INDEX,
    VECTOR_BYTES,
    Vector,
    number,
    vector_of,
)

BIT = ir.IntType(1)


class Lanes(types.Type):
    """A vector register of float32 or float64 elements."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.width = VECTOR_BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"lanes({dtype}, {self.width})")


@register_model(Lanes)
class _Model(models.PrimitiveModel):
    """The LLVM vector that holds a vector register in compiled code."""

    def __init__(self, dmm: Any, kind: Lanes) -> None:
        element = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
        super().__init__(dmm, kind, ir.VectorType(element, kind.width))


def _arithmetic(function: Any, emit: str) -> None:
    """Give vector registers an operator, by the builder's method `emit`."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    infer_global(function)(Template)

    @lower_builtin(function, Lanes, Lanes)
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, emit)(*args)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")


def _vector(context: Any, builder: Any, kind: Any) -> Vector:
    """Return what emits code for a kind of vector register."""
    return vector_of(context, builder, kind.dtype)


def _count(context: Any, builder: Any, signature: Any, args: Any, index: int) -> Any:
    """Return an argument that counts lanes as int64."""
    return context.cast(builder, args[index], signature.args[index], types.int64)


@intrinsic
def width(typingctx, x):
    """Return how many elements of x's type a register has."""
    lanes = VECTOR_BYTES * 8 // x.dtype.bitwidth

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return number(lanes)

    return types.int64(x), codegen


# ---------------------------------------------------------------- memory
@intrinsic
def load(typingctx, x, at, count):
    """Return the first `count` elements at an address, as x's; the lanes beyond are zeros."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _vector(context, builder, signature.args[0])
        pointer = builder.inttoptr(args[1], BYTE_POINTER)
        count = _count(context, builder, signature, args, 2)
        whole = builder.icmp_signed(">=", count, number(v.width))
        with builder.if_else(whole) as (then, otherwise):
            with then:
                full = v.load(pointer)
                from_full = builder.block
            with otherwise:
                part = v.masked_load(pointer, v.first_lanes(count))
                from_part = builder.block
        value = builder.phi(v.type)
        value.add_incoming(full, from_full)
        value.add_incoming(part, from_part)
        return value

    return Lanes(x.dtype)(x, at, count), codegen


@intrinsic
def store(typingctx, value, x, at, count, stream):
    """Write the first `count` lanes to an address.

    stream: a whole register goes round the cache; the address is then a multiple of its size.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _vector(context, builder, signature.args[1])
        pointer = builder.inttoptr(args[2], BYTE_POINTER)
        count = _count(context, builder, signature, args, 3)
        whole = builder.icmp_signed(">=", count, number(v.width))
        with builder.if_else(whole) as (then, otherwise):
            with then, builder.if_else(args[4]) as (around, through):
                with around:
                    where = builder.bitcast(pointer, v.type.as_pointer())
                    written = builder.store(args[0], where, align=VECTOR_BYTES)
                    once = builder.module.add_metadata([ir.IntType(32)(1)])
                    written.set_metadata("nontemporal", once)
                with through:
                    v.store(args[0], pointer)
            with otherwise:
                v.masked_store(args[0], pointer, v.first_lanes(count))
        return context.get_dummy_value()

    return types.void(value, x, at, count, stream), codegen


@intrinsic
def fence(typingctx):
    """Let all that was written, round the cache too, be seen before what follows."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def kept(typingctx, value, words, least):
    """Return the lanes whose uint32 word is at least `least`, and 0 for the others.

    words: the address of the words.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _vector(context, builder, signature.args[0])
        pointer = builder.inttoptr(args[1], v.lanes.as_pointer())
        drawn = builder.load(pointer, align=4)
        stays = builder.icmp_unsigned(">=", drawn, v.splat(args[2]))
        return builder.select(stays, args[0], v.zero)

    if not isinstance(value, Lanes) or least != types.uint32:
        return None
    return value(value, words, least), codegen


# ---------------------------------------------------------------- registers
@intrinsic
def splat(typingctx, value):
    """Return a register of one number, of its type."""
    if not isinstance(value, types.Float):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return vector_of(context, builder, signature.args[0]).splat(args[0])

    return Lanes(value)(value), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """Return a * b + c, rounded once where the host can."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _vector(context, builder, signature.args[0]).multiply_add(*args)

    return a(a, b, c), codegen


@intrinsic
def first(typingctx, value, count):
    """Return the first `count` lanes, and zeros."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _vector(context, builder, signature.args[0])
        inside = v.first_lanes(_count(context, builder, signature, args, 1))
        return builder.select(inside, args[0], v.zero)

    return value(value, count), codegen


@intrinsic
def where_positive(typingctx, test, value):
    """Return the lanes of `value` where `test` is above 0 or NaN, and 0 for the others."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _vector(context, builder, signature.args[0])
        return builder.select(builder.fcmp_ordered("<=", args[0], v.zero), v.zero, args[1])

    return value(test, value), codegen


@intrinsic
def total(typingctx, value):
    """Return the sum of all lanes, halves added to halves."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = _vector(context, builder, signature.args[0])
        result = args[0]
        half = v.width // 2
        while half:
            upper = [(lane + half) % v.width for lane in range(v.width)]
            result = builder.fadd(result, v.shuffle(result, result, upper))
            half //= 2
        return builder.extract_element(result, INDEX(0))

    return value.dtype(value), codegen
