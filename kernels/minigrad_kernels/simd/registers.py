"""Numba intrinsics for the CPU: vector registers, which a jitted loop cannot name.

`address_array` sees memory at an integer address as an array, so that one launch can walk a
table of tensors.

>>> import numpy as np
>>> from minigrad_kernels.jit.compile import jit
>>> @jit()
... def first(addresses):
...     return address_array(addresses[0], 3, np.float32)[0]
>>> x = np.array([5, 6, 7], np.float32)
>>> float(first(np.array([x.ctypes.data])))
5.0
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba.core import config, types
from numba.core.cgutils import create_struct_proxy, get_or_insert_function, pack_array
from numba.core.codegen import get_host_cpu_features
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic

INDEX = ir.IntType(64)
BYTE_POINTER = ir.IntType(8).as_pointer()


def number(value: int) -> Any:
    """Return a constant of the type that counts and addresses have."""
    return ir.Constant(INDEX, value)


@intrinsic
def address_array(typingctx, address, size, dtype):
    """Return memory at an int64 `address` as a C-contiguous 1-D array; nothing is owned or checked.

    size: number of elements.  dtype: `np.float32`, `x.dtype` or the like, known when compiling.
    """
    element = parse_dtype(dtype)
    if element is None or not isinstance(address, types.Integer):
        return None
    array_type = types.Array(element, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        where = context.cast(builder, args[0], signature.args[0], types.uintp)
        count = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = builder.inttoptr(where, context.get_data_type(element).as_pointer())
        size = number(context.get_abi_sizeof(context.get_data_type(element)))
        # Numba's populate_array does this too; importing its module costs 0.1 s.
        array = create_struct_proxy(array_type)(context, builder)
        array.data = pointer
        array.shape = pack_array(builder, [count])
        array.strides = pack_array(builder, [size])
        array.itemsize = size
        array.nitems = count
        array.meminfo = context.get_constant_null(types.MemInfoPointer(types.voidptr))
        array.parent = context.get_constant_null(types.pyobject)
        return array._getvalue()

    return array_type(address, size, dtype), codegen


@intrinsic
def address(typingctx, array):
    """Return an array's address as an int64; the caller keeps the array alive."""
    if not isinstance(array, types.Array):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = create_struct_proxy(array)(context, builder, args[0]).data
        return builder.ptrtoint(data, INDEX)

    return types.int64(array), codegen


@intrinsic
def hold(typingctx, array):
    """Keep an array alive until here: Numba frees it after its last use, and an address is none."""
    if not isinstance(array, types.Array):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array), codegen


# ---------------------------------------------------------------- the host's vector registers
def _features() -> set[str]:
    """Return the CPU features Numba compiles for: NUMBA_CPU_FEATURES if set, else the host's."""
    listed = config.CPU_FEATURES
    if listed is None:
        listed = get_host_cpu_features()
    return {feature[1:] for feature in listed.split(",") if feature.startswith("+")}


def _registers() -> tuple[int, int]:
    """Return (bytes of a vector register, number of them)."""
    have = _features()
    if "avx512f" in have:
        return 64, 32
    if {"avx2", "fma"} <= have:
        return 32, 16
    return 16, 32 if platform.machine() in ("aarch64", "arm64") else 16


VECTOR_BYTES, VECTOR_REGISTERS = _registers()


class Vector:
    """Emit operations on one vector register of `width` elements."""

    def __init__(self, builder: Any, element: Any, width: int) -> None:
        self.builder = builder
        self.element = element
        self.width = width
        self.bytes = VECTOR_BYTES
        self.each = VECTOR_BYTES // width
        self.type = ir.VectorType(element, width)
        self.lanes = ir.VectorType(ir.IntType(32), width)
        self.mask = ir.VectorType(ir.IntType(1), width)
        self.zero = ir.Constant(self.type, [0.0] * width)
        self.suffix = f"v{width}f{8 * self.each}"

    def at(self, pointer: Any, offset: Any) -> Any:
        """Return `pointer` plus a number of bytes."""
        if isinstance(offset, int):
            offset = number(offset)
        return self.builder.gep(pointer, [offset])

    def phi(self, value: Any, block: Any) -> Any:
        """Return a phi that is `value` where control comes from `block`."""
        made = self.builder.phi(value.type)
        made.add_incoming(value, block)
        return made

    def load(self, pointer: Any) -> Any:
        """Return the vector at a pointer, which needs no alignment but its element's."""
        where = self.builder.bitcast(pointer, self.type.as_pointer())
        return self.builder.load(where, align=self.each)

    def store(self, value: Any, pointer: Any) -> None:
        """Store a vector at a pointer, which needs no alignment but its element's."""
        where = self.builder.bitcast(pointer, self.type.as_pointer())
        self.builder.store(value, where, align=self.each)

    def splat(self, value: Any) -> Any:
        """Return a vector with one value in all lanes."""
        vector = ir.VectorType(value.type, self.width)
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(
            first, undefined, ir.Constant(self.lanes, [0] * self.width)
        )

    def broadcast(self, pointer: Any) -> Any:
        """Return a vector with the element at a pointer in all lanes."""
        where = self.builder.bitcast(pointer, self.element.as_pointer())
        return self.splat(self.builder.load(where, align=self.each))

    def first_lanes(self, count: Any) -> Any:
        """Return the mask of the first `count` lanes."""
        lanes = ir.VectorType(INDEX, self.width)
        order = ir.Constant(lanes, list(range(self.width)))
        return self.builder.icmp_signed("<", order, self.splat(count))

    def _intrinsic(self, name: str, result: Any, operands: list[Any]) -> Any:
        """Return an LLVM intrinsic for this kind of vector."""
        kind = ir.FunctionType(result, operands)
        return get_or_insert_function(self.builder.module, kind, f"llvm.{name}.{self.suffix}")

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c, lane by lane."""
        return self.builder.call(self._intrinsic("fmuladd", self.type, [self.type] * 3), [a, b, c])

    def masked_load(self, pointer: Any, mask: Any) -> Any:
        """Return the lanes of a mask from memory, zeros in the others."""
        where = self.builder.bitcast(pointer, self.type.as_pointer())
        kinds = [where.type, ir.IntType(32), self.mask, self.type]
        kind = ir.FunctionType(self.type, kinds)
        name = f"llvm.masked.load.{self.suffix}.p0"
        function = get_or_insert_function(self.builder.module, kind, name)
        align = ir.Constant(ir.IntType(32), self.each)
        return self.builder.call(function, [where, align, mask, self.zero])

    def masked_store(self, value: Any, pointer: Any, mask: Any) -> None:
        """Store the lanes of a mask."""
        where = self.builder.bitcast(pointer, self.type.as_pointer())
        kinds = [self.type, where.type, ir.IntType(32), self.mask]
        kind = ir.FunctionType(ir.VoidType(), kinds)
        name = f"llvm.masked.store.{self.suffix}.p0"
        function = get_or_insert_function(self.builder.module, kind, name)
        align = ir.Constant(ir.IntType(32), self.each)
        self.builder.call(function, [value, where, align, mask])

    def shuffle(self, a: Any, b: Any, lanes: list[int]) -> Any:
        """Return lanes of a and b by their numbers, b's counting on from a's."""
        return self.builder.shuffle_vector(a, b, ir.Constant(self.lanes, lanes))


def vector_of(context: Any, builder: Any, element: Any) -> Vector:
    """Return what emits code for vectors of a Numba float type."""
    kind = context.get_data_type(element)
    return Vector(builder, kind, VECTOR_BYTES // context.get_abi_sizeof(kind))


def ask_for(builder: Any, pointer: Any, write: int) -> None:
    """Emit a prefetch of the cache line at `pointer`, to write (1) or to read (0)."""
    flag = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [BYTE_POINTER, flag, flag, flag])
    function = get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, flag(write), flag(3), flag(1)])


def private_function(builder: Any, name: str, arguments: int) -> tuple[Any, Any]:
    """Return the private function `name(int64, ...)` of this module, and a builder if it is new."""
    known = builder.module.globals.get(name)
    if known is not None:
        return known, None
    kind = ir.FunctionType(ir.VoidType(), [INDEX] * arguments)
    function = ir.Function(builder.module, kind, name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    return function, ir.IRBuilder(function.append_basic_block("entry"))


@intrinsic
def prefetch(typingctx, where, write):
    """Ask for the cache line at an address, to `write` (1) or to read (0); any address will do."""
    if not isinstance(write, types.IntegerLiteral):
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        ask_for(builder, builder.inttoptr(args[0], BYTE_POINTER), write.literal_value)
        return context.get_dummy_value()

    return types.void(where, write), codegen


# ---------------------------------------------------------------- copying and transposing
@intrinsic
def copy_lanes(typingctx, dtype, source, target, count):
    """Copy one vector register, `count` lanes of it from memory and the rest zeros."""
    element = parse_dtype(dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = vector_of(context, builder, element)
        count = context.cast(builder, args[3], signature.args[3], types.int64)
        read = builder.inttoptr(args[1], BYTE_POINTER)
        value = v.masked_load(read, v.first_lanes(count))
        v.store(value, builder.inttoptr(args[2], BYTE_POINTER))
        return context.get_dummy_value()

    return types.void(dtype, source, target, count), codegen


def _alternate(v: Vector, a: Any, b: Any, group: int, block: int) -> tuple[Any, Any]:
    """Return the even groups of a then those of b, and the odd ones, inside each block of lanes."""
    pair: list[Any] = []
    for odd in (0, 1):
        lanes: list[int] = []
        for start in range(0, v.width, block):
            for source in (0, v.width):
                for first in range(start + odd * group, start + block, 2 * group):
                    lanes += range(source + first, source + first + group)
        pair.append(v.shuffle(a, b, lanes))
    return pair[0], pair[1]


def _interleave(v: Vector, a: Any, b: Any, group: int, block: int) -> tuple[Any, Any]:
    """Return the low halves of all blocks of a and b, groups in turn, and the high halves."""
    pair: list[Any] = []
    for high in (0, block // 2):
        lanes: list[int] = []
        for start in range(high, v.width, block):
            for first in range(start, start + block // 2, group):
                for source in (0, v.width):
                    lanes += range(source + first, source + first + group)
        pair.append(v.shuffle(a, b, lanes))
    return pair[0], pair[1]


def _transpose(v: Vector, rows: list[Any]) -> list[Any]:
    """Transpose a square of registers: first inside 128-bit lanes (cheap on x86), then these."""
    lane = 16 // v.each
    columns: list[list[Any]] = [[] for _ in range(lane)]
    for i in range(0, v.width, lane):
        part = rows[i : i + lane]
        if lane == 4:
            low0, high0 = _interleave(v, part[0], part[1], 1, 4)
            low1, high1 = _interleave(v, part[2], part[3], 1, 4)
            part = [*_interleave(v, low0, low1, 2, 4), *_interleave(v, high0, high1, 2, 4)]
        else:
            part = list(_interleave(v, part[0], part[1], 1, 2))
        for column, value in zip(columns, part):
            column.append(value)
    dealt = [_deal_lanes(v, column, lane) for column in columns]
    return [dealt[i % lane][i // lane] for i in range(v.width)]


def _deal_lanes(v: Vector, values: list[Any], lane: int) -> list[Any]:
    """Return the registers whose groups of `lane` lanes are dealt out from several in turn."""
    if len(values) == 1:
        return values
    pairs = [_alternate(v, a, b, lane, v.width) for a, b in zip(values[::2], values[1::2])]
    even, odd = (_deal_lanes(v, list(half), lane) for half in zip(*pairs))
    return [x for both in zip(even, odd) for x in both]


@intrinsic
def transpose_square(typingctx, dtype, source, ld, rows, count, target, target_ld):
    """Store `count` columns of source[rows, :] as rows of the target, whole vectors each.

    rows, count: as many as a vector has lanes, or fewer; nothing beyond them is read.  Lanes of
    the target from `rows` on hold copies of the last row.
    """
    element = parse_dtype(dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = vector_of(context, builder, element)
        values = [
            context.cast(builder, x, t, types.int64) for x, t in zip(args[1:], signature.args[1:])
        ]
        source, ld, rows, count, target, target_ld = values
        last = builder.sub(rows, number(1))
        read = builder.inttoptr(source, BYTE_POINTER)
        write = builder.inttoptr(target, BYTE_POINTER)
        pointers = []
        for r in range(v.width):
            inside = builder.icmp_signed("<", number(r), last)
            pointers.append(v.at(read, builder.mul(ld, builder.select(inside, number(r), last))))
        whole = builder.icmp_signed(">=", count, number(v.width))
        with builder.if_else(whole) as (then, otherwise):
            with then:
                loaded = [v.load(p) for p in pointers]
                from_full = builder.block
            with otherwise:
                mask = v.first_lanes(count)
                part = [v.masked_load(p, mask) for p in pointers]
                from_part = builder.block
        square = []
        for a, b in zip(loaded, part):
            phi = builder.phi(v.type)
            phi.add_incoming(a, from_full)
            phi.add_incoming(b, from_part)
            square.append(phi)
        done = builder.append_basic_block("transposed")
        for q, column in enumerate(_transpose(v, square)):
            v.store(column, v.at(write, builder.mul(target_ld, number(q))))
            more = builder.append_basic_block("more")
            builder.cbranch(builder.icmp_signed(">", count, number(q + 1)), more, done)
            builder.position_at_end(more)
        builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    kinds = (dtype, source, ld, rows, count, target, target_ld)
    return types.void(*kinds), codegen
