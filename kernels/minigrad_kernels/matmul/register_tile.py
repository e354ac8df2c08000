"""The register tile of the matrix product, written as vector code because LLVM finds none in loops.

A tile is HEIGHTS[i] rows by one or two vectors of c, all of it in registers while k runs.  On
AVX-512 and NEON, 12 rows by 2 vectors take 24 of 32 registers, on AVX2 6 by 2 take 12 of 16;
the smaller heights finish the rows.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic

from minigrad_kernels.simd.registers import (
    BYTE_POINTER,
    VECTOR_REGISTERS,
    Vector,
    ask_for,
    number,
    private_function,
    vector_of,
)

VECTORS = 2  # side by side in a tile
HEIGHTS = (12, 8, 4, 2, 1) if VECTOR_REGISTERS == 32 else (6, 4, 2, 1)
HEIGHT = HEIGHTS[0]

Tile = list[list[Any]]  # registers: rows of vectors


def _hide(builder: Any, pointer: Any) -> Any:
    """Return the same pointer, unrecognisable to the optimiser.

    LLVM otherwise unrolls the loop over k, hoists its loads, and spills a third of the tile
    (193 GFLOP/s instead of 253 for the 12 by 2 tile on one Zen 5 core).
    """
    kind = ir.FunctionType(pointer.type, [pointer.type])
    return builder.call(ir.InlineAsm(kind, "", "=r,0"), [pointer], attrs=("convergent",))


def add_column(
    v: Vector, tile: Tile, a: list[Any], lda: Any, right: list[Any], by_column: bool
) -> Tile:
    """Return the tile plus one column of a times one row of b, the registers `right`."""
    hidden = [_hide(v.builder, pointer) for pointer in a]
    twice = v.builder.shl(lda, number(1))
    after = []
    for r, row in enumerate(tile):
        if by_column:
            where = v.at(hidden[0], r * v.each)
        else:
            where = hidden[r // 3]
            if r % 3:
                where = v.at(where, (lda, twice)[r % 3 - 1])
        left = v.broadcast(where)
        after.append([v.multiply_add(left, x, total) for x, total in zip(right, row)])
    return after


def _finish(v: Vector, tile: Tile, base: Any, base_ld: Any, c: Any, ldc: Any, masks: Any) -> None:
    """Store base + tile, only the lanes of the masks if there are any."""
    for r, row in enumerate(tile):
        from_row = v.at(base, v.builder.mul(base_ld, number(r)))
        to_row = v.at(c, v.builder.mul(ldc, number(r)))
        for j, total in enumerate(row):
            source = v.at(from_row, j * v.bytes)
            target = v.at(to_row, j * v.bytes)
            if masks is None:
                v.store(v.builder.fadd(v.load(source), total), target)
            else:
                start = v.masked_load(source, masks[j])
                v.masked_store(v.builder.fadd(start, total), target, masks[j])


def _tile_function(outer: Vector, rows: int, vectors: int, by_column: bool) -> Any:
    """Return the function of one shape: c[rows, columns] = base + a[rows, kc] @ b[kc, columns].

    Each element is one chain of multiply-adds in the order of k, so that its bits do not depend
    on the tile in which it lies.
    """
    name = f"minigrad_tile_{outer.suffix}_{rows}x{vectors}_{'column' if by_column else 'row'}"
    function, builder = private_function(outer.builder, name, 10)
    if builder is None:
        return function
    v = Vector(builder, outer.element, outer.width)
    a, lda, b, ldb, kc, base, base_ld, c, ldc, columns = function.args
    a, b, base, c = (builder.inttoptr(x, BYTE_POINTER) for x in (a, b, base, c))
    # One pointer for three rows: x86 adds a stride or its double to it, but not its triple.
    groups = [0] if by_column else range(0, rows, 3)
    starts = [v.at(a, builder.mul(lda, number(r))) for r in groups]
    zeros = [[v.zero] * vectors for _ in range(rows)]
    entry = builder.block
    loop = builder.append_basic_block("loop")
    done = builder.append_basic_block("done")
    full = builder.append_basic_block("full")
    partial = builder.append_basic_block("partial")
    for r in range(rows):
        for j in range(vectors):
            line = builder.add(builder.mul(ldc, number(r)), number(j * v.bytes))
            ask_for(builder, v.at(c, line), 1)
    builder.cbranch(builder.icmp_signed(">", kc, number(0)), loop, done)

    builder.position_at_end(loop)
    k = v.phi(number(0), entry)
    row_b = v.phi(b, entry)
    pointers = [v.phi(start, entry) for start in starts]
    tile = [[v.phi(zero, entry) for zero in row] for row in zeros]
    right = [v.load(v.at(row_b, j * v.bytes)) for j in range(vectors)]
    after = add_column(v, tile, pointers, lda, right, by_column)
    following = builder.add(k, number(1))
    k.add_incoming(following, loop)
    row_b.add_incoming(v.at(row_b, ldb), loop)
    for pointer in pointers:
        pointer.add_incoming(v.at(pointer, lda if by_column else v.each), loop)
    for old_row, new_row in zip(tile, after):
        for old, new in zip(old_row, new_row):
            old.add_incoming(new, loop)
    builder.cbranch(builder.icmp_signed("<", following, kc), loop, done)

    builder.position_at_end(done)
    total = [[v.phi(zero, entry) for zero in row] for row in zeros]
    for total_row, new_row in zip(total, after):
        for phi, new in zip(total_row, new_row):
            phi.add_incoming(new, loop)
    builder.cbranch(builder.icmp_signed(">=", columns, number(vectors * v.width)), full, partial)

    builder.position_at_end(full)
    _finish(v, total, base, base_ld, c, ldc, None)
    builder.ret_void()

    builder.position_at_end(partial)
    masks = [v.first_lanes(builder.sub(columns, number(j * v.width))) for j in range(vectors)]
    _finish(v, total, base, base_ld, c, ldc, masks)
    builder.ret_void()
    return function


def _strip_function(outer: Vector) -> Any:
    """Return the function that lays tiles under each other: c[rows, columns] = base + a @ b."""
    function, builder = private_function(outer.builder, f"minigrad_strip_{outer.suffix}", 12)
    if builder is None:
        return function
    v = Vector(builder, outer.element, outer.width)
    by_column, rows, a, lda, b, ldb, kc, base, base_ld, c, ldc, columns = function.args
    columnwise = builder.icmp_signed("!=", by_column, number(0))
    narrow = builder.icmp_signed("<=", columns, number(v.width))
    form = builder.add(
        builder.select(columnwise, number(2), number(0)),
        builder.select(narrow, number(1), number(0)),
    )
    step = builder.select(columnwise, number(v.each), lda)
    state = [rows, a, base, c]
    came_from = builder.block
    heads = [builder.append_basic_block(f"height{height}") for height in HEIGHTS]
    heads.append(builder.append_basic_block("done"))
    builder.branch(heads[0])
    for height, head, next_head in zip(HEIGHTS, heads, heads[1:]):
        builder.position_at_end(head)
        phis = [v.phi(value, came_from) for value in state]
        left, at_a, at_base, at_c = phis
        some = builder.append_basic_block(f"some{height}")
        moved = builder.append_basic_block(f"moved{height}")
        builder.cbranch(builder.icmp_signed(">=", left, number(height)), some, next_head)

        builder.position_at_end(some)
        cases = [builder.append_basic_block(f"case{height}") for _ in range(4)]
        switch = builder.switch(form, cases[3])
        for index, case in enumerate(cases):
            if index < 3:
                switch.add_case(number(index), case)
            builder.position_at_end(case)
            tile = _tile_function(v, height, 1 if index % 2 else VECTORS, index >= 2)
            builder.call(tile, [at_a, lda, b, ldb, kc, at_base, base_ld, at_c, ldc, columns])
            builder.branch(moved)

        builder.position_at_end(moved)
        count = number(height)
        for phi, each in zip(phis, (number(-1), step, base_ld, ldc)):
            phi.add_incoming(builder.add(phi, builder.mul(each, count)), moved)
        builder.branch(head)
        state = phis
        came_from = head
    builder.position_at_end(heads[-1])
    builder.ret_void()
    return function


@intrinsic
def strip(typingctx, dtype, by_column, rows, a, lda, b, ldb, kc, base, base_ld, c, ldc, columns):
    """Compute c[rows, columns] = base + a[rows, kc] @ b[kc, columns], a strip of register tiles.

    Addresses and byte strides are int64.  a: row after row, lda apart; with `by_column` column
    after column.  b: rows of whole vectors, ldb apart.  base_ld: 0 where all rows start from one.
    columns: of c, at most VECTORS vectors wide; further lanes of b are read but not used.
    """
    element = parse_dtype(dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [
            context.cast(builder, value, kind, types.int64)
            for value, kind in zip(args[1:], signature.args[1:])
        ]
        builder.call(_strip_function(vector_of(context, builder, element)), values)
        return context.get_dummy_value()

    kinds = (dtype, by_column, rows, a, lda, b, ldb, kc, base, base_ld, c, ldc, columns)
    return types.void(*kinds), codegen
