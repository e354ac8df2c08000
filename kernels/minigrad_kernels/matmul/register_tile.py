"""The register tile of the matrix product, written as vector code because LLVM finds none in loops.

A tile is HEIGHTS[i] rows by one or two vectors of c, all of it in registers while k runs.  On
AVX-512 and NEON, 12 rows by 2 vectors take 24 of 32 registers, on AVX2 6 by 2 take 12 of 16;
the smaller heights finish the rows.  Where a lies in rows, 6 by 4 vectors, two strips of b side by
side, have fewer broadcasts.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic

from minigrad_kernels.simd.registers import (
    BYTE_POINTER,
    VECTOR_BYTES,
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
WIDE_HEIGHT = HEIGHT // 2  # of a tile of twice as many vectors
WIDE = VECTOR_REGISTERS == 32  # whether that has as few loads as it should, for want of registers
STEPS = 4  # k's that the tallest tile sums in one iteration
# Rows of a whose elements are broadcast once for all vectors of a tile; the others are broadcast
# by the multiply-adds themselves, which AVX-512 can: fewer instructions, and with 23 loads for 24
# multiply-adds not more than two units load.
REGISTER_ROWS = 3 if VECTOR_BYTES == 64 else HEIGHT

Tile = list[list[Any]]  # registers: rows of vectors


def hide_value(builder: Any, pointer: Any) -> Any:
    """Return the same pointer or number, unrecognisable to the optimiser.

    LLVM otherwise unrolls the loop over k, hoists its loads, and spills a third of the tile
    (193 GFLOP/s instead of 253 for the 12 by 2 tile on one Zen 5 core).
    """
    kind = ir.FunctionType(pointer.type, [pointer.type])
    return builder.call(ir.InlineAsm(kind, "", "=r,0"), [pointer], attrs=("convergent",))


def hide(v: Vector, pointers: list[Any], by_column: bool, vectors: int) -> list[Any]:
    """Return what `add_column` reads a by: a pointer for three rows, or one for each vector."""
    if by_column and REGISTER_ROWS < HEIGHT:
        pointers = pointers * vectors  # one each, or LLVM would make one broadcast of theirs
    return [hide_value(v.builder, pointer) for pointer in pointers]


def add_column(
    v: Vector, tile: Tile, hidden: list[Any], lda: Any, right: list[Any], by_column: bool
) -> Tile:
    """Return the tile plus one column of a times one row of b, the registers `right`.

    hidden: where the column begins, by `hide`.
    """
    twice = v.builder.shl(lda, number(1))
    after = []
    for r, row in enumerate(tile):
        if by_column:
            wheres = [v.at(pointer, r * v.each) for pointer in hidden]
        elif r % 3:
            wheres = [v.at(hidden[r // 3], (lda, twice)[r % 3 - 1])]
        else:
            wheres = [hidden[r // 3]]
        if r < REGISTER_ROWS or not by_column:
            wheres = wheres[:1]
        lefts = [v.broadcast(where) for where in wheres]
        if len(lefts) < len(row):
            lefts *= len(row)
        after.append([v.multiply_add(x, y, total) for x, y, total in zip(lefts, right, row)])
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


class _Sum:
    """The sum of a tile while k runs: emits its loops.

    beside: bytes from a strip of b to the next, where a tile is as wide as two.
    state: values that a loop changes: where b's row and a's columns begin, the next row of c to
        ask for, k's left to sum, and the tile's registers.
    """

    def __init__(
        self,
        v: Vector,
        shape: tuple[int, int],
        by_column: bool,
        lda: Any,
        ldb: Any,
        ldc: Any,
        beside: Any,
    ) -> None:
        self.v = v
        self.rows, self.vectors = shape
        self.by_column = by_column
        self.lda = lda
        self.ldb = ldb
        self.ldc = ldc
        self.known = by_column and isinstance(lda, ir.Constant)  # when compiling
        self.beside = beside
        # One pointer for three rows: x86 adds a stride or its double to it, but not its triple.
        self.pointers = 1 if by_column else (self.rows + 2) // 3

    def loop(self, state: list[Any], steps: int, last: Any) -> list[Any]:
        """Emit a loop that sums `steps` k's at a time while so many are left; return its state.

        last: the last row of c to ask for; None: no more.
        """
        v, builder = self.v, self.v.builder
        came_from = builder.block
        loop = builder.append_basic_block(f"sum{steps}")
        done = builder.append_basic_block(f"summed{steps}")
        builder.cbranch(builder.icmp_signed(">=", state[2], number(steps)), loop, done)
        builder.position_at_end(loop)
        phis = [v.phi(value, came_from) for value in state]
        row_b, ahead, left, *rest = phis
        starts, sums = rest[: self.pointers], rest[self.pointers :]
        tile = [sums[i : i + self.vectors] for i in range(0, len(sums), self.vectors)]
        hidden = hide(v, starts, self.by_column, self.vectors)
        step = self.lda if self.by_column else number(v.each)
        for _ in range(steps):
            strips = [row_b] if self.vectors <= VECTORS else [row_b, v.at(row_b, self.beside)]
            right = [v.load(v.at(x, j * v.bytes)) for x in strips for j in range(VECTORS)]
            tile = add_column(v, tile, hidden, self.lda, right[: self.vectors], self.by_column)
            row_b = v.at(row_b, self.ldb)
            hidden = [v.at(pointer, step) for pointer in hidden]
            if not self.known:
                # Else loads are hoisted over steps and spill; and an address of two registers
                # costs a multiply-add an instruction of its own.
                hidden = [hide_value(builder, pointer) for pointer in hidden]
        if last is not None:
            for j in range(self.vectors):
                ask_for(builder, v.at(ahead, j * v.bytes), 1)
            there = builder.icmp_unsigned("==", ahead, last)
            ahead = builder.select(there, ahead, v.at(ahead, self.ldc))
        fewer = builder.sub(left, number(steps))
        far = builder.mul(step, number(steps))
        new = [row_b, ahead, fewer, *(v.at(start, far) for start in starts)]
        new += [x for row in tile for x in row]
        for phi, value in zip(phis, new):
            phi.add_incoming(value, builder.block)
        builder.cbranch(builder.icmp_signed(">=", fewer, number(steps)), loop, done)

        builder.position_at_end(done)
        ends = [v.phi(value, came_from) for value in state]
        for phi, value in zip(ends, new):
            phi.add_incoming(value, loop)
        return ends


def _tile_function(outer: Vector, rows: int, vectors: int, layout: str) -> Any:
    """Return the function of one shape: c[rows, columns] = base + a[rows, kc] @ b[kc, columns].

    K is summed in blocks of `depth`, each from zero, and added to c block after block: within a
    block each element is one chain of multiply-adds in the order of k, so that its bits do not
    depend on the tile in which it lies.

    layout: how a lies, by "row", by "column" or "packed", which is by column with both operands as
        matmul/packing.py leaves them: their steps are constants, which spares additions.
    vectors: up to VECTORS, or twice as many: then b's next strip is `beside` bytes further.
    """
    name = f"minigrad_tile_{outer.suffix}_{rows}x{vectors}_{layout}"
    function, builder = private_function(outer.builder, name, 12)
    if builder is None:
        return function
    v = Vector(builder, outer.element, outer.width)
    a, lda, b, beside, ldb, kc, depth, base, base_ld, c, ldc, columns = function.args
    a, b, base, c = (builder.inttoptr(x, BYTE_POINTER) for x in (a, b, base, c))
    if layout == "packed":
        lda, ldb = number(HEIGHT * v.each), number(VECTORS * v.bytes)
    total = _Sum(v, (rows, vectors), layout != "row", lda, ldb, ldc, beside)
    starts = [v.at(a, builder.mul(lda, number(3 * i))) for i in range(total.pointers)]
    tall = layout != "row" and rows == HEIGHT and (vectors == VECTORS or layout == "packed")
    last = v.at(c, builder.mul(ldc, number(rows - 1))) if tall else None
    if not tall:
        for r in range(rows):
            for j in range(vectors):
                line = builder.add(builder.mul(ldc, number(r)), number(j * v.bytes))
                ask_for(builder, v.at(c, line), 1)
    entry = builder.block
    names = ("block", "full", "partial", "next", "done")
    block, full, partial, following, done = map(builder.append_basic_block, names)
    builder.branch(block)

    builder.position_at_end(block)
    outside = [v.phi(x, entry) for x in (kc, base, base_ld, b, *starts)]
    left, from_base, from_ld, *where = outside
    count = builder.select(builder.icmp_signed("<", left, depth), left, depth)
    state = [where[0], c, count, *where[1:], *[v.zero] * (rows * vectors)]
    if tall:
        state = total.loop(state, STEPS, last)
    state = total.loop(state, 1, None)
    ends = [state[0], *state[3 : 3 + total.pointers]]
    sums = state[3 + total.pointers :]
    tile = [sums[i : i + vectors] for i in range(0, len(sums), vectors)]
    builder.cbranch(builder.icmp_signed(">=", columns, number(vectors * v.width)), full, partial)

    builder.position_at_end(full)
    _finish(v, tile, from_base, from_ld, c, ldc, None)
    builder.branch(following)

    builder.position_at_end(partial)
    masks = [v.first_lanes(builder.sub(columns, number(j * v.width))) for j in range(vectors)]
    _finish(v, tile, from_base, from_ld, c, ldc, masks)
    builder.branch(following)

    builder.position_at_end(following)
    rest = builder.sub(left, depth)
    for phi, new in zip(outside, [rest, c, ldc, *ends]):
        phi.add_incoming(new, following)
    builder.cbranch(builder.icmp_signed(">", rest, number(0)), block, done)

    builder.position_at_end(done)
    builder.ret_void()
    return function


def _strip_function(outer: Vector) -> Any:
    """Return the function that lays tiles under each other: c[rows, columns] = base + a @ b."""
    function, builder = private_function(outer.builder, f"minigrad_strip_{outer.suffix}", 13)
    if builder is None:
        return function
    v = Vector(builder, outer.element, outer.width)
    by_column, rows, a, lda, b, ldb, kc, depth, base, base_ld, c, ldc, columns = function.args
    columnwise = builder.icmp_signed("!=", by_column, number(0))
    narrow = builder.icmp_signed("<=", columns, number(v.width))
    form = builder.add(
        builder.select(columnwise, number(2), number(0)),
        builder.select(narrow, number(1), number(0)),
    )
    step = builder.select(columnwise, number(v.each), lda)
    packed = builder.and_(
        builder.icmp_signed("==", lda, number(HEIGHT * v.each)),
        builder.icmp_signed("==", ldb, number(VECTORS * v.bytes)),
    )
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
            layout = "column" if index >= 2 else "row"
            tile = _tile_function(v, height, 1 if index % 2 else VECTORS, layout)
            where = [at_a, lda, b, number(0), ldb, kc, depth, at_base, base_ld, at_c, ldc, columns]
            if height == HEIGHT and index >= 2:
                with builder.if_else(packed) as (then, otherwise):
                    with then:
                        known = _tile_function(v, height, 1 if index % 2 else VECTORS, "packed")
                        builder.call(known, where)
                    with otherwise:
                        builder.call(tile, where)
            else:
                builder.call(tile, where)
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


def _pair_function(outer: Vector) -> Any:
    """Return the function that does as `_strip_function`'s for two strips side by side.

    Rows that are left under the wide tiles are done strip by strip.
    """
    function, builder = private_function(outer.builder, f"minigrad_pair_{outer.suffix}", 13)
    if builder is None:
        return function
    v = Vector(builder, outer.element, outer.width)
    rows, a, lda, b, beside, ldb, kc, depth, base, base_ld, c, ldc, columns = function.args
    came_from = builder.block
    head, some, rest = map(builder.append_basic_block, ("head", "some", "rest"))
    builder.branch(head)
    builder.position_at_end(head)
    phis = [v.phi(value, came_from) for value in (rows, a, base, c)]
    left, at_a, at_base, at_c = phis
    builder.cbranch(builder.icmp_signed(">=", left, number(WIDE_HEIGHT)), some, rest)

    builder.position_at_end(some)
    tile = _tile_function(v, WIDE_HEIGHT, 2 * VECTORS, "row")
    where = [at_a, lda, b, beside, ldb, kc, depth, at_base, base_ld, at_c, ldc, columns]
    builder.call(tile, where)
    for phi, each in zip(phis, (number(-1), lda, base_ld, ldc)):
        phi.add_incoming(builder.add(phi, builder.mul(each, number(WIDE_HEIGHT))), some)
    builder.branch(head)

    builder.position_at_end(rest)
    width = VECTORS * v.width
    for i in range(2):
        at_b = builder.add(b, beside) if i else b
        from_base, to = (builder.add(x, number(i * VECTORS * v.bytes)) for x in (at_base, at_c))
        count = builder.sub(columns, number(i * width))
        values = [number(0), left, at_a, lda, at_b, ldb, kc, depth, from_base, base_ld, to, ldc]
        builder.call(_strip_function(v), [*values, count])
    builder.ret_void()
    return function


@intrinsic
def pair(typingctx, dtype, rows, a, lda, b, beside, ldb, kc, depth, base, base_ld, c, ldc, columns):
    """Compute what `strip` does for two strips side by side, of an a that lies row after row.

    beside: bytes from a strip of b to the next.  columns: of c, more than one strip's.
    """
    element = parse_dtype(dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [
            context.cast(builder, value, kind, types.int64)
            for value, kind in zip(args[1:], signature.args[1:])
        ]
        builder.call(_pair_function(vector_of(context, builder, element)), values)
        return context.get_dummy_value()

    kinds = (dtype, rows, a, lda, b, beside, ldb, kc, depth, base, base_ld, c, ldc, columns)
    return types.void(*kinds), codegen


@intrinsic
def strip(
    typingctx, dtype, by_column, rows, a, lda, b, ldb, kc, depth, base, base_ld, c, ldc, columns
):
    """Compute c[rows, columns] = base + a[rows, kc] @ b[kc, columns], a strip of register tiles.

    Addresses and byte strides are int64.  a: row after row, lda apart; with `by_column` column
    after column.  b: rows of whole vectors, ldb apart.  depth: of the blocks of k that are summed
    by themselves, at least 1.  base_ld: 0 where all rows start from one.
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

    kinds = (dtype, by_column, rows, a, lda, b, ldb, kc, depth, base, base_ld, c, ldc, columns)
    return types.void(*kinds), codegen
