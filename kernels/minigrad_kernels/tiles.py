"""One walk for all elementwise kernels: operands of any strides, tile by tile, on all threads.

A rule is compiled once, as a loop over contiguous arrays.  The walk calls that loop through its
address, so that one parallel region, compiled once, serves every rule, layout and dtype.  An
operand that a tile cannot read in order is first packed into a few kilobytes that stay in the L1
cache, transposed in vector registers where it runs down the columns.  Tiles depend on the sizes
alone, and each element on its own operands.

Operands are seen as (outer, rows, columns), y is C-contiguous; strides are in bytes.  Stores that
go round the cache do not pay: a copy of (16384, 4096) float32 took 13.9 ms with them, 8.3 without,
on two Zen 5 cores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange
from numba.core import types
from numba.extending import intrinsic

from minigrad_kernels.address_table import callee
from minigrad_kernels.launch import jit
from minigrad_kernels.pointers import call_at
from minigrad_kernels.simd import (
    INDEX,
    VECTOR_BYTES,
    address_array,
    transpose_square,
)

TILE = 2_048  # elements: operands and result of a float64 tile take 64 KB, of a float32 one 32
TILE_BYTES = 8 * TILE
SCRATCH = 3 * TILE_BYTES
SIDE = 64  # rows and columns of a tile of transposed operands
# a plan, int64: COUNT operands, TASKS tiles in all, ROWS and COLUMNS of the shape, HIGH and WIDE of
# a tile, PERIOD rows to an outer step, ITEM bytes of y's elements; then SLOT numbers an operand
COUNT, TASKS, ROWS, COLUMNS, HIGH, WIDE, PERIOD, ITEM, SLOTS = range(9)
# MODE of reading, EACH element's bytes, strides, and the address of what packs a tile
MODE, EACH, STEP0, STEP1, STEP2, PACKER, SLOT = range(7)
# read in place with y's own strides; along one row; as one element that is every tile's; packed
DENSE, ROW, FIXED, PACK = range(4)


# ---------------------------------------------------------------- intrinsics
@intrinsic(prefer_literal=True)
def scratch(typingctx, size):
    """Return the address of `size` (a literal) bytes of the stack, aligned to a vector."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    kind = ir.ArrayType(ir.IntType(8), size.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        with builder.goto_entry_block():  # cgutils.alloca_once would write zeros, byte by byte
            memory = builder.alloca(kind)
            memory.align = VECTOR_BYTES
        return builder.ptrtoint(memory, INDEX)

    return types.int64(size), codegen


# ---------------------------------------------------------------- what the walk calls by address
def _packers(dtype: Any, word: Any, each: int) -> tuple[Any, Any]:
    """Return what packs a tile of elements of `each` bytes: one by one, and by transposition.

    They write target[i, j] = source[i, j] for `high` rows that start `down` bytes apart, of `wide`
    elements `step` bytes apart (0: repeated).  pitch: bytes from row to row of the target, whole
    vectors where it is transposed, for the last vector of a row may overrun `wide`.
    """

    @jit(name=f"tiles.pick{each}")
    def pick(source, down, step, high, target, pitch, wide):
        for i in range(high):
            x = source + i * down
            y = address_array(target + i * pitch, wide, word)
            if step == 0:
                y[:] = address_array(x, 1, word)[0]
            elif step == each:
                y[:] = address_array(x, wide, word)
            else:
                for j in range(wide):
                    y[j] = address_array(x + j * step, 1, word)[0]

    @jit(name=f"tiles.turn{each}")
    def turn(source, down, step, high, target, pitch, wide):
        lanes = VECTOR_BYTES // each
        for j in range(0, wide, lanes):
            for i in range(0, high, lanes):
                transpose_square(
                    dtype,
                    source + j * step + i * each,
                    step,
                    min(lanes, wide - j),
                    min(lanes, high - i),
                    target + i * pitch + j * each,
                    pitch,
                )

    return pick, turn


PACKERS = {
    1: _packers(np.float32, np.uint8, 1),  # its transposition is never called
    4: _packers(np.float32, np.uint32, 4),
    8: _packers(np.float64, np.uint64, 8),
}


# ---------------------------------------------------------------- the walk
@callee()
def read_from(plan, slot, address, row, high, column, memory):
    """Return (address, bytes between rows) of a tile of an operand, packed where it must be."""
    mode = plan[slot + MODE]
    each = plan[slot + EACH]
    if mode == FIXED:
        return address, 0
    if mode == DENSE:
        pitch = plan[COLUMNS] * each
        return address + row * pitch + column * each, pitch
    address += column * plan[slot + STEP2]
    pitch = plan[WIDE] * each
    wide = min(plan[WIDE], plan[COLUMNS] - column)
    period = plan[PERIOD]
    done = 0
    while done < high:
        outer = (row + done) // period
        inner = row + done - outer * period
        source = address + outer * plan[slot + STEP0] + inner * plan[slot + STEP1]
        if mode == ROW:
            return source, 0
        count = min(high - done, period - inner)
        target = memory + done * pitch
        steps = plan[slot + STEP1], plan[slot + STEP2]
        call_at(plan[slot + PACKER], (source, *steps, count, target, pitch, wide))
        done += count
    return memory, pitch


@callee()
def compute_tile(plan, function, first, second, third, result, task):
    across = (plan[COLUMNS] + plan[WIDE] - 1) // plan[WIDE]
    down = (plan[ROWS] + plan[HIGH] - 1) // plan[HIGH]
    band = task // across
    column = (task - band * across) * plan[WIDE]
    outer = band // down
    row = (band - outer * down) * plan[HIGH]
    high = min(plan[HIGH], plan[ROWS] - row)
    row += outer * plan[ROWS]
    wide = min(plan[WIDE], plan[COLUMNS] - column)
    memory = scratch(SCRATCH)
    at = address_array(scratch(VECTOR_BYTES), 3, np.int64)
    pitch = address_array(scratch(VECTOR_BYTES), 3, np.int64)
    at[0], at[1], at[2] = first, second, third
    count = plan[COUNT]
    for k in range(count):
        place = memory + k * TILE_BYTES
        at[k], pitch[k] = read_from(plan, SLOTS + k * SLOT, at[k], row, high, column, place)
    across = plan[COLUMNS] * plan[ITEM]
    result += row * across + column * plan[ITEM]
    if wide == plan[COLUMNS] and wide == plan[WIDE]:  # one piece of y and of all that was packed
        wide *= high
        high = 1
    for _ in range(high):
        a = address_array(at[0], wide, np.uint8)
        b = address_array(at[1], wide, np.uint8)
        c = address_array(at[2], wide, np.uint8)
        y = address_array(result, wide, np.uint8)
        if count == 1:
            call_at(function, (a, y))
        elif count == 2:
            call_at(function, (a, b, y))
        else:
            call_at(function, (a, b, c, y))
        for k in range(count):
            at[k] += pitch[k]
        result += across


@jit(parallel=True)
def walk(plan, function, first, second, third, result):
    """Run the loop at the address `function` over all tiles of three operands and the result."""
    for task in prange(plan[TASKS]):
        compute_tile(plan, function, first, second, third, result, task)
