"""Register tiles of a correlation that read their patches where they lie, without packing them.

A vector of outputs is at most two pieces, the end of one row and the beginning of the next: what
a tap sees of each is a run of the padded image, loaded unaligned, and a mask joins the two.  Of
12 x 2 and 6 x 4 registers these loads take fewer cycles than the multiply-adds beside them.

Shapes: a: (R, kc), offsets: (kc,), pieces: (vectors, FIELDS) int64: where the first and the second
    piece begin in the image (bytes), lanes of the first, lanes in use, where in c (bytes).
"""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.matmul.register_tile import add_column, hide
from minigrad_kernels.simd.registers import (
    BYTE_POINTER,
    INDEX,
    VECTOR_REGISTERS,
    Vector,
    number,
    private_function,
    vector_of,
)

FIELDS = 5
WIDEST = 4
# Vectors side by side -> heights.  12 and 8 make up every multiple of 4 from 8 on; fewer rows take
# more vectors, since a tile of less than 8 registers waits for its own sums.
FEW = 8 if VECTOR_REGISTERS == 32 else 0  # rows below which WIDEST vectors stand side by side
HEIGHTS = {2: (12, 8, 2, 1), 4: (6, 4, 2, 1)} if VECTOR_REGISTERS == 32 else {2: (6, 4, 2, 1)}


def _tile_function(outer: Vector, rows: int, vectors: int) -> Any:
    """Return the function of one shape, each element one chain in the order of k."""
    name = f"minigrad_pieces_{outer.suffix}_{rows}x{vectors}"
    function, builder = private_function(outer.builder, name, 11)
    if builder is None:
        return function
    v = Vector(builder, outer.element, outer.width)
    a, lda, image, offsets, kc, base, base_ld, follow, c, ldc, pieces = function.args
    a, image, base, c = (builder.inttoptr(x, BYTE_POINTER) for x in (a, image, base, c))
    offsets, pieces = (builder.inttoptr(x, INDEX.as_pointer()) for x in (offsets, pieces))
    element = v.element.as_pointer()

    def field(vector: int, which: int) -> Any:
        """Return a field of a vector's pieces."""
        return builder.load(builder.gep(pieces, [number(vector * FIELDS + which)]))

    runs = [
        [builder.bitcast(v.at(image, field(j, which)), element) for which in (0, 1)]
        for j in range(vectors)
    ]
    in_first = [v.first_lanes(field(j, 2)) for j in range(vectors)]
    starts = [v.at(a, builder.mul(lda, number(r))) for r in range(0, rows, 3)]
    entry = builder.block
    loop = builder.append_basic_block("loop")
    done = builder.append_basic_block("done")
    builder.branch(loop)

    builder.position_at_end(loop)
    k = v.phi(number(0), entry)
    pointers = [v.phi(start, entry) for start in starts]
    tile = [[v.phi(v.zero, entry) for _ in range(vectors)] for _ in range(rows)]
    offset = builder.load(builder.gep(offsets, [k]))
    right = []
    for (first, second), mask in zip(runs, in_first):
        ahead, behind = (v.load(builder.gep(run, [offset])) for run in (first, second))
        right.append(builder.select(mask, ahead, behind))
    after = add_column(v, tile, hide(v, pointers, False, vectors), lda, right, False)
    following = builder.add(k, number(1))
    k.add_incoming(following, loop)
    for pointer in pointers:
        pointer.add_incoming(v.at(pointer, v.each), loop)
    for old_row, new_row in zip(tile, after):
        for old, new in zip(old_row, new_row):
            old.add_incoming(new, loop)
    builder.cbranch(builder.icmp_signed("<", following, kc), loop, done)

    builder.position_at_end(done)
    for j in range(vectors):
        mask = v.first_lanes(field(j, 3))
        position = field(j, 4)
        from_column = v.at(base, builder.mul(position, follow))
        to_column = v.at(c, position)
        for r in range(rows):
            start = v.masked_load(v.at(from_column, builder.mul(base_ld, number(r))), mask)
            to = v.at(to_column, builder.mul(ldc, number(r)))
            v.masked_store(builder.fadd(start, after[r][j]), to, mask)
    builder.ret_void()
    return function


def _lay_function(outer: Vector, vectors: int) -> Any:
    """Return the function that lays tiles of so many vectors under each other."""
    name = f"minigrad_lay_pieces_{outer.suffix}_{vectors}"
    function, builder = private_function(outer.builder, name, 12)
    if builder is None:
        return function
    v = Vector(builder, outer.element, outer.width)
    rows, a, lda, image, offsets, kc, base, base_ld, follow, c, ldc, pieces = function.args
    heights = HEIGHTS[vectors]
    state = [rows, a, base, c]
    came_from = builder.block
    heads = [builder.append_basic_block(f"height{height}") for height in heights]
    heads.append(builder.append_basic_block("done"))
    builder.branch(heads[0])
    for height, head, next_head in zip(heights, heads, heads[1:]):
        builder.position_at_end(head)
        phis = [v.phi(value, came_from) for value in state]
        left, at_a, at_base, at_c = phis
        fits = builder.icmp_signed(">=", left, number(height))
        if height == 12:  # 16 to 19 are 8 and 8, not 12 and 4
            fours = builder.ashr(left, number(2))
            fits = builder.and_(fits, builder.icmp_signed("!=", fours, number(4)))
        some = builder.append_basic_block(f"some{height}")
        builder.cbranch(fits, some, next_head)
        builder.position_at_end(some)
        tile = _tile_function(v, height, vectors)
        where = [at_a, lda, image, offsets, kc, at_base, base_ld, follow, at_c, ldc, pieces]
        builder.call(tile, where)
        for phi, each in zip(phis, (number(-1), lda, base_ld, ldc)):
            phi.add_incoming(builder.add(phi, builder.mul(each, number(height))), some)
        builder.branch(head)
        state = phis
        came_from = head
    builder.position_at_end(heads[-1])
    builder.ret_void()
    return function


@intrinsic
def lay_pieces(
    typingctx, dtype, vectors, rows, a, lda, image, offsets, kc, base, base_ld, follow, c, ldc,
    pieces,
):  # fmt: skip
    """Compute c = base + a[rows, kc] @ patches[kc, columns] for `vectors` vectors of outputs.

    Addresses and byte strides are int64.  kc: at least 1.  base_ld: 0 where all rows start from
    one; follow: 1 where base is laid out along a row as c is, 0 where all vectors start from one.
    """
    element = parse_dtype(dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """Emit calls of the functions for each number of vectors."""
        v = vector_of(context, builder, element)
        count, *values = [
            context.cast(builder, value, kind, types.int64)
            for value, kind in zip(args[1:], signature.args[1:])
        ]
        narrow, *more = HEIGHTS
        for many in more:
            with builder.if_else(builder.icmp_signed("==", count, number(many))) as (then, other):
                with then:
                    builder.call(_lay_function(v, many), values)
                with other:
                    builder.call(_lay_function(v, narrow), values)
        if not more:
            builder.call(_lay_function(v, narrow), values)
        return context.get_dummy_value()

    kinds = (
        dtype, vectors, rows, a, lda, image, offsets, kc, base, base_ld, follow, c, ldc, pieces
    )  # fmt: skip
    return types.void(*kinds), codegen


@jit()
def find_pieces(plan, p, count, lanes, size, pieces, vectors):
    """Enter the pieces of the next vectors of outputs, from p on; return where they end."""
    row_step = plan.step * plan.phases * plan.pitch
    length = plan.columns
    if row_step == length:  # rows follow one another without a gap
        length = max(1, plan.rows * plan.columns)
    for v in range(vectors):
        q = p % length
        start = p // length * row_step + q
        before = max(0, min(lanes, length - q, count - p))
        after = max(0, min(lanes - before, length, count - p - before))
        pieces[v, 0] = start * size if before else 0
        pieces[v, 1] = (start - q + row_step - before) * size if after else pieces[v, 0]
        pieces[v, 2] = before
        pieces[v, 3] = before + after
        pieces[v, 4] = p * size
        p += before + after
    return p
