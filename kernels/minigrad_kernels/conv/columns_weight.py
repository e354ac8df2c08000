"""The gradient of a convolution by its weight, as sums over outputs on register tiles.

The parts deal images out and bands of their rows, as tasks of the forward direction do; each has
its own share of dw, and the shares are added in their order.  Where a group has filters enough to
be lanes, dy is packed once and taps are read where they lie (conv/taps.py); where it has fewer, the
taps are lanes, and patches are copied and transposed.

Shapes: dy: (N, G * R, rows, columns), source: (N, G * channels, height, width), offsets: (K,) ->
    partial: (parts, G * R, K), sums: (parts, G * R) or (parts, 0).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import prange
from numba.core import types
from numba.np.numpy_support import from_dtype

from minigrad_kernels.conv.columns import copy_runs, fill, find_runs, scratch_size, unpack
from minigrad_kernels.conv.taps import STRIPS, TAPS, lay_taps
from minigrad_kernels.jit.compile import jit, like
from minigrad_kernels.jit.function_pointers import call_at, code_address
from minigrad_kernels.matmul.packing import STRIP_BYTES, pack_strips
from minigrad_kernels.simd.lanes import width
from minigrad_kernels.simd.memory import line
from minigrad_kernels.simd.registers import VECTOR_BYTES, address, hold, transpose_square

# Outputs, about, whose gradients are packed for all taps: they stay in first-level cache.
AT_ONCE = 128
DEPTH = 256  # outputs summed in one go for the weight's gradient


@jit(fastmath={"reassoc", "nsz"})
def sum_of(row):
    """Return the sum of a row, in any order."""
    total = like(row[0], 0.0)
    for i in range(row.size):
        total += row[i]
    return total


@jit()
def add_by_taps(scratch, jumps, plan, rows, dy, filters, packed, total):
    """Add to total: (taps, filters), both filled up, the sums over `rows` rows of outputs.

    jumps: offsets of the taps, filled up to whole tiles.  dy: the address of the group's gradients.
    packed: the address of the room in which these are packed.
    """
    lanes = width(scratch)
    size = VECTOR_BYTES // lanes
    row_step = plan.step * plan.phases * plan.pitch * size
    ld = plan.rows * plan.columns * size
    strips = (filters * size + STRIP_BYTES - 1) // STRIP_BYTES
    blocks = (rows * plan.columns + AT_ONCE - 1) // AT_ONCE
    deep = max(1, (rows + blocks - 1) // max(1, blocks))
    for first in range(0, rows, deep):
        some = min(deep, rows - first)
        outputs = some * plan.columns
        at = dy + first * plan.columns * size
        pack_strips(scratch.dtype, size, at, ld, True, outputs, filters, packed)
        beside = outputs * STRIP_BYTES
        image = address(scratch) + first * row_step
        for s in range(0, strips, STRIPS):
            for t in range(0, jumps.size, TAPS):
                lay_taps(
                    scratch.dtype,
                    min(STRIPS, strips - s),
                    image,
                    address(jumps) + t * jumps.itemsize,
                    row_step,
                    some,
                    plan.columns,
                    packed + s * beside,
                    beside,
                    address(total) + (t * strips + s) * STRIP_BYTES,
                    strips * STRIP_BYTES,
                )


@jit()
def correlate_weight(lay, dy, source, geometry, offsets, part, group, partial, sums):
    """Compute one part's share of dw and db for one group: the parts deal images x bands out."""
    plan = unpack(geometry)
    lanes = width(dy)
    size = VECTOR_BYTES // lanes
    strip_columns = STRIP_BYTES // size
    parts, filters = partial.shape[0], partial.shape[1] // plan.groups
    k_all = offsets.size
    plane = plan.rows * plan.columns
    most = (min(DEPTH, plan.band * plan.columns) + lanes - 1) // lanes * lanes
    ld = (most + lanes) * size
    scratch = np.empty(scratch_size(plan, lanes), dy.dtype)
    patches = np.empty(strip_columns * (most + lanes) + lanes, dy.dtype)
    panel = np.empty((most + 1) * strip_columns, dy.dtype)
    run_source = np.empty(most, np.int64)
    run_target = np.empty(most, np.int64)
    aligned = (address(panel) + VECTOR_BYTES - 1) // VECTOR_BYTES * VECTOR_BYTES
    by_taps = filters >= strip_columns  # else lanes would be idle
    strips = (filters + strip_columns - 1) // strip_columns
    turned_ld = strips * STRIP_BYTES
    tiles = (k_all + TAPS - 1) // TAPS
    turned = np.zeros((tiles * TAPS if by_taps else 0, strips * strip_columns), dy.dtype)
    packed = np.empty(turned.shape[1] * (AT_ONCE + plan.columns + 1) if by_taps else 0, dy.dtype)
    strips_at = (address(packed) + VECTOR_BYTES - 1) // VECTOR_BYTES * VECTOR_BYTES
    square = np.empty((lanes, lanes), dy.dtype)
    jumps = np.empty(tiles * TAPS, np.int64)
    for i in range(jumps.size):
        jumps[i] = offsets[min(i, k_all - 1)]
    mine = partial[part, group * filters : (group + 1) * filters]
    mine[...] = 0
    if sums.size:
        sums[part, group * filters : (group + 1) * filters] = 0
    units = dy.shape[0] * plan.bands
    for unit in range(units * part // parts, units * (part + 1) // parts):
        image = unit // plan.bands
        top = unit % plan.bands * plan.band
        bottom = min(plan.rows, top + plan.band)
        rows = plan.deep - (plan.band - (bottom - top)) * plan.step
        fill(source, image, group * plan.channels, top * plan.step - plan.top, plan, rows, scratch)
        count = (bottom - top) * plan.columns
        if sums.size:
            for r in range(group * filters, (group + 1) * filters):
                line = dy[image, r].reshape(-1)
                sums[part, r] += sum_of(line[top * plan.columns : top * plan.columns + count])
        dy_at = (image * plan.groups + group) * filters * plane + top * plan.columns
        if by_taps:
            from_dy = address(dy) + dy_at * size
            add_by_taps(scratch, jumps, plan, bottom - top, from_dy, filters, strips_at, turned)
        else:
            for p in range(0, count, DEPTH):
                outputs = min(DEPTH, count - p)
                runs = find_runs(plan, p, outputs, size, run_source, run_target)
                for k in range(0, k_all, strip_columns):
                    taps = min(strip_columns, k_all - k)
                    rough = address(patches)
                    copy_runs(scratch, offsets, k, taps, run_source, run_target, runs, rough, ld)
                    for i in range(0, taps, lanes):
                        for j in range(0, outputs, lanes):
                            transpose_square(
                                dy.dtype,
                                rough + i * ld + j * size,
                                ld,
                                min(lanes, taps - i),
                                outputs - j,
                                aligned + j * STRIP_BYTES + i * size,
                                STRIP_BYTES,
                            )
                    to = address(mine) + k * size
                    call_at(
                        lay,
                        (
                            0,
                            filters,
                            address(dy) + (dy_at + p) * size,
                            plane * size,
                            aligned,
                            STRIP_BYTES,
                            outputs,
                            DEPTH,
                            to,
                            k_all * size,
                            to,
                            k_all * size,
                            taps,
                        ),
                    )
    if by_taps:
        for i in range(0, k_all, lanes):
            for j in range(0, filters, lanes):
                transpose_square(
                    dy.dtype,
                    address(turned) + i * turned_ld + j * size,
                    turned_ld,
                    min(lanes, k_all - i),
                    min(lanes, filters - j),
                    address(square),
                    VECTOR_BYTES,
                )
                for r in range(min(lanes, filters - j)):
                    for k in range(min(lanes, k_all - i)):
                        mine[j + r, i + k] = square[r, k]
    hold(panel)
    hold(packed)


@jit()
def add_parts(partial, total):
    """Add the parts in their order."""
    for r in range(partial.shape[1]):
        row = line(total, r)
        for part in range(partial.shape[0]):
            more = line(partial[part], r)
            for j in range(row.size):
                row[j] = more[j] if part == 0 else row[j] + more[j]


@jit()
def correlate_weight_one(code, lay, dy, source, geometry, offsets, partial, sums):
    """Compute all parts of dw and db on one thread; code: the address of `correlate_weight`."""
    groups = geometry[0]
    for part in range(partial.shape[0]):
        for group in range(groups):
            call_at(code, (lay, dy, source, geometry, offsets, part, group, partial, sums))


@jit(parallel=True)
def correlate_weight_all(code, lay, dy, source, geometry, offsets, partial, sums):
    """Compute the parts of dw and db in parallel, a task for each part and group."""
    groups = geometry[0]
    for task in prange(partial.shape[0] * groups):
        part = task // groups
        group = task % groups
        call_at(code, (lay, dy, source, geometry, offsets, part, group, partial, sums))


@functools.cache
def correlate_weight_address(dtype: np.dtype[Any]) -> int:
    """Return the address of `correlate_weight` of a dtype."""
    images, partial, sums = (types.Array(from_dtype(dtype), n, "C") for n in (4, 3, 2))
    words = types.Array(types.int64, 1, "C")
    where = (types.int64, types.int64)
    given = (types.int64, images, images, words, words, *where, partial, sums)
    return code_address(correlate_weight, given)
