"""Convolutions as matrix products on register tiles, without a matrix of all patches.

`correlate` slides taps over a source and `correlate_weight` is its gradient; what both walk is a
`Plan`.  A task copies one group of one image, or a band of its rows, into scratch with its margins
(rows of a stride dealt out by phase, so that neighbouring outputs read neighbouring elements),
packs the patches of one strip of outputs at a time into a panel that stays in first-level cache,
and lays tiles over it.  Every output is one chain in the order of the taps: its bits depend neither
on threads nor on how the work is cut.

Shapes: source: (N, G * channels, height, width), weight: (G * R, K), y: (N, G * R, rows, columns),
    offsets: (K,), where in scratch the taps lie.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import prange

from minigrad_kernels.conv.patches import FEW, FIELDS, WIDEST, find_pieces, lay_pieces
from minigrad_kernels.jit.compile import jit, like
from minigrad_kernels.matmul.packing import STRIP_BYTES, depth_of
from minigrad_kernels.matmul.register_tile import strip
from minigrad_kernels.simd.registers import VECTOR_BYTES, address, copy_lanes, transpose_square

Array = np.ndarray[Any, Any]
WHOLE = 1 << 10  # lanes: more than any register has, known when compiling
# Packed patches are one aligned load a vector and tap, those in place two unaligned ones: worth it
# under few rows of tiles, over an image that stays in first-level cache.
MANY = 16  # filters of a group
IN_PLACE = 24_576  # bytes
DEPTH = 256  # outputs summed in one go for the weight's gradient


class Plan(NamedTuple):
    """The geometry of one correlation, in elements."""

    groups: int
    channels: int  # of the source, a group
    height: int
    width: int
    top: int  # rows of margin before the source; negative: rows of it left out
    left: int
    step: int  # rows of the source from one row of outputs to the next
    phases: int  # columns from one output to the next
    pitch: int  # columns of scratch a phase
    rows: int  # of outputs
    columns: int
    band: int  # rows of outputs a task
    bands: int
    deep: int  # rows of scratch a channel


@jit()
def unpack(p):
    """Return the plan that an int64 array holds: what Python hands over has a type with a name."""
    return Plan(
        p[0],
        p[1],
        p[2],
        p[3],
        p[4],
        p[5],
        p[6],
        p[7],
        p[8],
        p[9],
        p[10],
        p[11],
        p[12],
        p[13],
    )


@jit()
def copy_line(dtype, size, source, count, target, whole):
    """Copy `count` elements and fill up with zeros to `whole` or a little further."""
    lanes = VECTOR_BYTES // size
    for j in range(0, whole, lanes):
        copy_lanes(dtype, source + j * size, target + j * size, count - j)


@jit()
def deal_line(line, plan, index, scratch):
    """Copy a row of the source into its phases; the margins are zeros already."""
    for phase in range(plan.phases):
        start = phase - plan.left
        first = max(0, (plan.phases - 1 - start) // plan.phases)
        last = min(plan.pitch, (plan.width - start + plan.phases - 1) // plan.phases)
        for j in range(first, last):
            scratch[index + phase * plan.pitch + j] = line[start + j * plan.phases]


@jit()
def fill(source, image, channel, row, plan, rows, scratch):
    """Copy `rows` rows of a group's channels, from source row `row` on, with their margins."""
    dtype = scratch.dtype
    size = scratch.itemsize
    lead = max(0, plan.left)
    skip = max(0, -plan.left)
    whole = plan.phases * plan.pitch
    used = min(plan.width - skip, plan.pitch - lead)
    above = min(rows, max(0, -row))
    inside = max(above, min(rows, plan.height - row))
    for c in range(plan.channels):
        index = c * plan.deep * whole
        to = address(scratch) + index * size
        line = ((image * source.shape[1] + channel + c) * plan.height + row) * plan.width
        came = address(source) + (line + skip) * size
        copy_line(dtype, size, came, 0, to, above * whole)
        if plan.phases > 1:
            copy_line(dtype, size, came, 0, to + above * whole * size, (inside - above) * whole)
            for r in range(above, inside):
                deal_line(source[image, channel + c, row + r], plan, index + r * whole, scratch)
        elif plan.left == 0 and plan.pitch == plan.width:  # rows in one piece
            first = above * whole * size
            count = (inside - above) * whole
            copy_line(dtype, size, came + first, count, to + first, count)
        else:
            for r in range(above, inside):
                put = to + r * whole * size
                copy_line(dtype, size, came, 0, put, lead)
                line = came + r * plan.width * size
                copy_line(dtype, size, line, used, put + lead * size, plan.pitch - lead)
        copy_line(dtype, size, came, 0, to + inside * whole * size, (rows - inside) * whole)


@jit()
def find_runs(plan, p, count, size, source, target):
    """Enter the vectors to copy for outputs p to p + count, where each begins; return how many.

    A vector that is longer than its run is overwritten by the next one: they rise in `target`.
    """
    lanes = VECTOR_BYTES // size
    row_step = plan.step * plan.phases * plan.pitch
    length = plan.columns
    if row_step == length:  # rows follow one another without a gap
        length = max(1, plan.rows * plan.columns)
    found = 0
    done = 0
    row = p // length * row_step
    q = p % length
    while done < count:
        run = min(length - q, count - done)
        for i in range(0, run, lanes):
            source[found] = (row + q + i) * size
            target[found] = (done + i) * size
            found += 1
        done += run
        row += row_step
        q = 0
    return found


@jit()
def copy_runs(scratch, offsets, k, taps, source, target, runs, panel, ld):
    """Pack `taps` rows of patches, from tap k on, `ld` bytes apart."""
    base = address(scratch)
    size = scratch.itemsize
    for i in range(
        taps
    ):  # in rising order: what a row writes beyond its end, the next one replaces
        row = base + offsets[k + i] * size
        to = panel + i * ld
        for s in range(runs):
            copy_lanes(scratch.dtype, row + source[s], to + target[s], WHOLE)


@jit()
def vectors_in_place(filters, image_bytes):
    """Return how many vectors of outputs stand side by side, patches read in place; 0: packed."""
    if filters > MANY or image_bytes > IN_PLACE:
        return 0
    return WIDEST if filters < FEW else 2


@jit()
def scratch_size(plan, lanes):
    """Return the elements of one task's scratch, with room for the last vector to overrun."""
    return plan.channels * plan.deep * plan.phases * plan.pitch + 4 * lanes


# ---------------------------------------------------------------- y = bias + weight @ patches
@jit()
def correlate(source, weight, bias, geometry, offsets, y, first, last):
    """Compute the tasks from `first` to `last`: images x groups x bands."""
    plan = unpack(geometry)
    size = y.itemsize
    lanes = VECTOR_BYTES // size
    strip_columns = STRIP_BYTES // size
    filters = y.shape[1] // plan.groups
    k_all = weight.shape[1]
    depth = min(depth_of(k_all), k_all)
    plane = plan.rows * plan.columns
    scratch = np.empty(scratch_size(plan, lanes), y.dtype)
    panel = np.empty(depth * strip_columns + 2 * lanes, y.dtype)
    start = np.zeros((filters if bias.size else 1, strip_columns), y.dtype)
    start_ld = STRIP_BYTES if bias.size else 0
    run_source = np.empty(strip_columns, np.int64)
    run_target = np.empty(strip_columns, np.int64)
    pieces = np.zeros((WIDEST, FIELDS), np.int64)
    vectors = vectors_in_place(filters, scratch.size * size)
    aligned = (address(panel) + VECTOR_BYTES - 1) // VECTOR_BYTES * VECTOR_BYTES
    biased = -1
    for task in range(first, last):
        group = task // plan.bands % plan.groups
        image = task // (plan.bands * plan.groups)
        top = task % plan.bands * plan.band
        bottom = min(plan.rows, top + plan.band)
        rows = plan.deep - (plan.band - (bottom - top)) * plan.step
        fill(source, image, group * plan.channels, top * plan.step - plan.top, plan, rows, scratch)
        if bias.size and group != biased:
            biased = group
            for r in range(filters):
                for j in range(strip_columns):
                    start[r, j] = bias[group * filters + r]
        count = (bottom - top) * plan.columns
        to_group = address(y) + ((image * plan.groups + group) * filters * plane) * size
        to = to_group + top * plan.columns * size
        done = 0
        while vectors > 0 and done < count:
            done = find_pieces(plan, done, count, lanes, size, pieces, vectors)
            for k in range(0, k_all, depth):
                lay_pieces(
                    y.dtype,
                    vectors,
                    filters,
                    address(weight) + (group * filters * k_all + k) * size,
                    k_all * size,
                    address(scratch),
                    address(offsets) + k * offsets.itemsize,
                    min(depth, k_all - k),
                    address(start) if k == 0 else to,
                    start_ld if k == 0 else plane * size,
                    k > 0,
                    to,
                    plane * size,
                    address(pieces),
                )
        for j in range(done, count, strip_columns):
            columns = min(strip_columns, count - j)
            runs = find_runs(plan, j, columns, size, run_source, run_target)
            to = to_group + (top * plan.columns + j) * size
            for k in range(0, k_all, depth):
                taps = min(depth, k_all - k)
                copy_runs(
                    scratch, offsets, k, taps, run_source, run_target, runs, aligned, STRIP_BYTES
                )
                strip(
                    y.dtype,
                    False,
                    filters,
                    address(weight) + (group * filters * k_all + k) * size,
                    k_all * size,
                    aligned,
                    STRIP_BYTES,
                    taps,
                    address(start) if k == 0 else to,
                    start_ld if k == 0 else plane * size,
                    to,
                    plane * size,
                    columns,
                )


@jit(parallel=True)
def correlate_all(source, weight, bias, geometry, offsets, y, tasks, chunks):
    """Compute all tasks in `chunks` parallel chunks."""
    for i in prange(chunks):
        first = tasks * i // chunks
        last = tasks * (i + 1) // chunks
        correlate(source, weight, bias, geometry, offsets, y, first, last)


# ---------------------------------------------------------------- dw = dy @ patches^T
@jit(fastmath={"reassoc", "nsz"})
def sum_of(row):
    """Return the sum of a row, in any order."""
    total = like(row[0], 0.0)
    for i in range(row.size):
        total += row[i]
    return total


@jit()
def correlate_weight(dy, source, geometry, offsets, part, group, partial, sums):
    """Compute one part's share of dw and db for one group: the parts deal images x bands out."""
    plan = unpack(geometry)
    size = dy.itemsize
    lanes = VECTOR_BYTES // size
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
                strip(
                    dy.dtype,
                    False,
                    filters,
                    address(dy) + (dy_at + p) * size,
                    plane * size,
                    aligned,
                    STRIP_BYTES,
                    outputs,
                    to,
                    k_all * size,
                    to,
                    k_all * size,
                    taps,
                )


@jit()
def add_parts(partial, total):
    """Add the parts in their order."""
    for r in range(partial.shape[1]):
        for j in range(partial.shape[2]):
            value = partial[0, r, j]
            for part in range(1, partial.shape[0]):
                value += partial[part, r, j]
            total[r, j] = value


@jit()
def correlate_weight_one(dy, source, geometry, offsets, partial, sums):
    """Compute all parts of dw and db on one thread."""
    groups = geometry[0]
    for part in range(partial.shape[0]):
        for group in range(groups):
            correlate_weight(dy, source, geometry, offsets, part, group, partial, sums)


@jit(parallel=True)
def correlate_weight_all(dy, source, geometry, offsets, partial, sums):
    """Compute the parts of dw and db in parallel, a task for each part and group."""
    groups = geometry[0]
    for task in prange(partial.shape[0] * groups):
        part = task // groups
        group = task % groups
        correlate_weight(dy, source, geometry, offsets, part, group, partial, sums)
