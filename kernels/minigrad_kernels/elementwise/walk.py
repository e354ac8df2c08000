"""One walk for all elementwise kernels: operands of any strides, tile by tile, on all threads.

A rule is compiled once, as a loop over contiguous arrays.  The walk calls that loop through its
address, so that one parallel region, compiled once, serves every rule, layout and dtype.  An
operand that a tile cannot read in order is first packed into a few kilobytes that stay in the L1
cache: all of a tile of short rows, one row after the other of long ones, transposed in vector
registers where its neighbours lie along the columns.  Tiles depend on the sizes alone, and each
element on its own operands.

Operands are seen as (outer, rows, columns), y is C-contiguous; strides are in bytes.  Stores that
go round the cache pay from 64 MB on at most: to fill 16 MB took 426 us with them, 102 without, and
a copy of 64 MB 2.2 ms and 3.1, on two Zen 5 cores (40 GB/s are all that such stores reach).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange
from numba.core import types
from numba.extending import intrinsic

from minigrad_kernels.jit.address_table import device_function
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.function_pointers import call_at
from minigrad_kernels.simd.registers import INDEX, VECTOR_BYTES, address_array, transpose_square

TILE = 2_048  # elements: operands and result of a float64 tile take 64 KB, of a float32 one 32
TILE_BYTES = 8 * TILE
SCRATCH = 3 * TILE_BYTES
SIDE = 64  # rows and columns of a tile of transposed operands
# a plan, int64: COUNT operands, TASKS tiles in all, ROWS and COLUMNS of the shape, those of a tile,
# CALL elements of a row at a time, PERIOD rows to an outer step, ITEM bytes of y's element,
# JOINED if a tile of all columns of the shape is one run of all that it touches; then SLOT numbers
# an operand
COUNT, TASKS, ROWS, COLUMNS, TILE_ROWS, TILE_COLUMNS, CALL, PERIOD, ITEM, JOINED, SLOTS = range(11)
# MODE of reading, EACH element's bytes, strides, and the address of what packs a tile
MODE, EACH, STEP0, STEP1, STEP2, PACKER, SLOT = range(7)
# read in place, row after row; two numbers that are every tile's; packed; or packed row by row, or
# rather, of a row of one element repeated, as much as one call takes
LINES, FIXED, PACK, PACK_LINES = range(4)


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

    They write target[i, j] = source[i, j] for `rows` rows that start `row_step` bytes apart, of
    `columns` elements `column_step` bytes apart (0: repeated).  pitch: bytes from row to row of the
    target, whole vectors where it is transposed, for the last vector of a row may overrun
    `columns`.
    """

    @jit(name=f"tiles.pick{each}")
    def pick(source, row_step, column_step, rows, target, pitch, columns):
        for i in range(rows):
            x = source + i * row_step
            y = address_array(target + i * pitch, columns, word)
            if column_step == 0:
                y[:] = address_array(x, 1, word)[0]
            elif column_step == each:
                y[:] = address_array(x, columns, word)
            else:
                for j in range(columns):
                    y[j] = address_array(x + j * column_step, 1, word)[0]

    @jit(name=f"tiles.transpose{each}")
    def transpose(source, row_step, column_step, rows, target, pitch, columns):
        lanes = VECTOR_BYTES // each
        for j in range(0, columns, lanes):
            for i in range(0, rows, lanes):
                transpose_square(
                    dtype,
                    source + j * column_step + i * each,
                    column_step,
                    min(lanes, columns - j),
                    min(lanes, rows - i),
                    target + i * pitch + j * each,
                    pitch,
                )

    return pick, transpose


PACKERS = {
    1: _packers(np.float32, np.uint8, 1),  # its transposition is never called
    4: _packers(np.float32, np.uint32, 4),
    8: _packers(np.float64, np.uint64, 8),
}


# ---------------------------------------------------------------- the walk
@device_function()
def read_from(plan, slot, address, row, rows, column, memory):
    """Return (address, bytes between rows) of a tile of an operand, packed where it must be.

    Of one that is packed row by row, these are the first row's and not packed.
    """
    mode = plan[slot + MODE]
    if mode == FIXED:
        return address, 0
    address += column * plan[slot + STEP2]
    pitch = plan[TILE_COLUMNS] * plan[slot + EACH]
    columns = min(plan[TILE_COLUMNS], plan[COLUMNS] - column)
    period = plan[PERIOD]
    done = 0
    while done < rows:
        outer = (row + done) // period
        inner = row + done - outer * period
        source = address + outer * plan[slot + STEP0] + inner * plan[slot + STEP1]
        if mode != PACK:
            return source, plan[slot + STEP1]
        count = min(rows - done, period - inner)
        target = memory + done * pitch
        steps = plan[slot + STEP1], plan[slot + STEP2]
        call_at(plan[slot + PACKER], (source, *steps, count, target, pitch, columns))
        done += count
    return memory, pitch


@device_function()
def compute_tile(plan, function, first, second, third, result, task):
    """Run the loop at the address `function` over one tile of the operands and the result."""
    column_tiles = (plan[COLUMNS] + plan[TILE_COLUMNS] - 1) // plan[TILE_COLUMNS]
    row_tiles = (plan[ROWS] + plan[TILE_ROWS] - 1) // plan[TILE_ROWS]
    band = task // column_tiles
    column = (task - band * column_tiles) * plan[TILE_COLUMNS]
    outer = band // row_tiles
    row = (band - outer * row_tiles) * plan[TILE_ROWS]
    rows = min(plan[TILE_ROWS], plan[ROWS] - row)
    row += outer * plan[ROWS]
    columns = min(plan[TILE_COLUMNS], plan[COLUMNS] - column)
    memory = scratch(SCRATCH)
    addresses = address_array(scratch(VECTOR_BYTES), 3, np.int64)
    pitch = address_array(scratch(VECTOR_BYTES), 3, np.int64)
    source = address_array(scratch(VECTOR_BYTES), 3, np.int64)
    step_of = address_array(scratch(VECTOR_BYTES), 3, np.int64)
    addresses[0], addresses[1], addresses[2] = first, second, third
    count = plan[COUNT]
    for k in range(count):
        place = memory + k * TILE_BYTES
        slot = SLOTS + k * SLOT
        addresses[k], pitch[k] = read_from(plan, slot, addresses[k], row, rows, column, place)
        step_of[k] = 0 if plan[slot + MODE] == FIXED else plan[slot + EACH]
        if plan[slot + MODE] == PACK_LINES:
            source[k] = addresses[k]
            addresses[k], pitch[k], step_of[k] = place, 0, 0
    row_bytes = plan[COLUMNS] * plan[ITEM]
    result += row * row_bytes + column * plan[ITEM]
    if plan[JOINED] and columns == plan[COLUMNS]:
        columns *= rows
        rows = 1
    for i in range(rows):
        for k in range(count):
            slot = SLOTS + k * SLOT
            if plan[slot + MODE] == PACK_LINES and (i == 0 or plan[slot + STEP1] != 0):
                line = source[k] + i * plan[slot + STEP1]
                step = plan[slot + STEP2]
                call_at(
                    plan[slot + PACKER],
                    (line, 0, step, 1, addresses[k], 0, min(columns, plan[CALL])),
                )
        for j in range(0, columns, plan[CALL]):
            n = min(plan[CALL], columns - j)
            a = address_array(addresses[0] + j * step_of[0], n, np.uint8)
            b = address_array(addresses[1] + j * step_of[1], n, np.uint8)
            c = address_array(addresses[2] + j * step_of[2], n, np.uint8)
            y = address_array(result + j * plan[ITEM], n, np.uint8)
            if count == 1:
                call_at(function, (a, y))
            elif count == 2:
                call_at(function, (a, b, y))
            else:
                call_at(function, (a, b, c, y))
        for k in range(count):
            addresses[k] += pitch[k]
        result += row_bytes


@jit(parallel=True)
def walk(plan, function, first, second, third, result):
    """Run the loop at the address `function` over all tiles of three operands and the result."""
    for task in prange(plan[TASKS]):
        compute_tile(plan, function, first, second, third, result, task)
