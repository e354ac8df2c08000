"""Convolutions as matrix products on register tiles, without a matrix of all patches.

`correlate` slides taps over a source; its gradient is in columns_weight.py, and what both walk is a
`Plan`.  A task copies one group of one image, or a band of its rows, into scratch with its margins
(rows of a stride dealt out by phase, so that neighbouring outputs read neighbouring elements),
packs the patches of one strip of outputs at a time into a panel that stays in first-level cache,
and lays tiles over it; weights that many images see are packed first.  Every output is one chain in
the order of the taps: its bits depend neither on threads nor on how the work is cut.

Shapes: source: (N, G * channels, height, width), weight: (G * R, K), y: (N, G * R, rows, columns),
    offsets: (K,), where in scratch the taps lie.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import prange
from numba.core import types
from numba.np.numpy_support import from_dtype

from minigrad_kernels.conv.patches import FEW, FIELDS, WIDEST, find_pieces, lay_pieces
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.function_pointers import call_at, code_address
from minigrad_kernels.matmul.packing import (
    STRIP_BYTES,
    depth_of,
    pack_panels,
    panel_bytes,
)
from minigrad_kernels.matmul.register_tile import HEIGHT
from minigrad_kernels.simd.lanes import load, store, width
from minigrad_kernels.simd.registers import (
    VECTOR_BYTES,
    address,
    address_array,
    copy_lanes,
    hold,
)

Array = np.ndarray[Any, Any]
WHOLE = 1 << 10  # lanes: more than any register has, known when compiling
# Packed patches are one aligned load a vector and tap, those in place two unaligned ones: worth it
# under few rows of tiles, over an image that stays in first-level cache.
MANY = 16  # filters of a group
IN_PLACE = 24_576  # bytes
REPEATED = 4  # images from which the weights are packed before they are used


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
def copy_line(x, source, count, target, whole):
    """Copy `count` elements, of x's type, and fill up with zeros to `whole` or a little further."""
    lanes = width(x)  # known when compiling, as x.itemsize is not: no division for each line
    size = VECTOR_BYTES // lanes
    for j in range(0, whole, lanes):
        copy_lanes(x.dtype, source + j * size, target + j * size, count - j)


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
    size = VECTOR_BYTES // width(scratch)
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
        copy_line(scratch, came, 0, to, above * whole)
        if plan.phases > 1:
            copy_line(scratch, came, 0, to + above * whole * size, (inside - above) * whole)
            for r in range(above, inside):
                deal_line(source[image, channel + c, row + r], plan, index + r * whole, scratch)
        elif plan.left == 0 and plan.pitch == plan.width:  # rows in one piece
            first = above * whole * size
            count = (inside - above) * whole
            copy_line(scratch, came + first, count, to + first, count)
        else:
            for r in range(above, inside):
                put = to + r * whole * size
                copy_line(scratch, came, 0, put, lead)
                line = came + r * plan.width * size
                copy_line(scratch, line, used, put + lead * size, plan.pitch - lead)
        copy_line(scratch, came, 0, to + inside * whole * size, (rows - inside) * whole)


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
    """Pack `taps` rows of patches, from tap k on, `ld` bytes apart.

    Run by run, each over all rows: what it writes beyond its end, the next run replaces.
    """
    size = VECTOR_BYTES // width(scratch)
    jumps = address_array(address(offsets) + k * offsets.itemsize, taps, offsets.dtype)
    for s in range(runs):
        came = address(scratch) + source[s]
        to = panel + target[s]
        room = (ld - target[s]) // size
        if room * size >= VECTOR_BYTES:
            for i in range(taps):
                copy_lanes(scratch.dtype, came + jumps[i] * size, to, WHOLE)
                to += ld
        else:
            for i in range(taps):
                line = load(scratch, came + jumps[i] * size, room)
                store(line, scratch, to, room, False)
                to += ld


@jit()
def vectors_in_place(filters, image_bytes):
    """Return how many vectors of outputs stand side by side, patches read in place; 0: packed."""
    if filters > MANY or image_bytes > IN_PLACE:
        return 0
    return WIDEST if filters < FEW else 2


@jit()
def panels_bytes(filters, depth, size):
    """Return the bytes of a group's weights as panels, for one block of taps."""
    return (filters + HEIGHT - 1) // HEIGHT * panel_bytes(depth, size)


@jit()
def pack_weight(weight, groups, depth, panels):
    """Pack the weights of all groups, block of taps after block, as matmul/packing.py does."""
    size = VECTOR_BYTES // width(weight)
    filters = weight.shape[0] // groups
    k_all = weight.shape[1]
    for group in range(groups):
        for k in range(0, k_all, depth):
            source = address(weight) + (group * filters * k_all + k) * size
            taps = min(depth, k_all - k)
            pack_panels(weight.dtype, size, source, k_all * size, False, taps, filters, panels)
            panels += panels_bytes(filters, depth, size)


@jit()
def scratch_size(plan, lanes):
    """Return the elements of one task's scratch, with room for the last vector to overrun."""
    return plan.channels * plan.deep * plan.phases * plan.pitch + 4 * lanes


# ---------------------------------------------------------------- y = bias + weight @ patches
@jit()
def correlate(lay, source, weight, bias, geometry, offsets, y, first, last):
    """Compute the tasks from `first` to `last`: images x groups x bands.

    lay: the address of `strip`.
    """
    plan = unpack(geometry)
    lanes = width(y)
    size = VECTOR_BYTES // lanes
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
    block_bytes = panels_bytes(filters, depth, size)
    blocks = (k_all + depth - 1) // depth
    # Packing costs what one image gains, about.
    repeated = vectors == 0 and filters > HEIGHT and last - first >= REPEATED * plan.groups
    packed = np.empty(plan.groups * blocks * block_bytes if repeated else 0, np.uint8)
    if repeated:
        pack_weight(weight, plan.groups, depth, address(packed))
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
                if repeated:
                    at = address(packed) + (group * blocks + k // depth) * block_bytes
                    lda, by_column, step = HEIGHT * size, 1, HEIGHT
                else:
                    at = address(weight) + (group * filters * k_all + k) * size
                    lda, by_column, step = k_all * size, 0, filters
                base, base_ld = address(start), start_ld
                if k > 0:
                    base, base_ld = to, plane * size
                for r in range(0, filters, step):
                    call_at(
                        lay,
                        (
                            by_column,
                            min(step, filters - r),
                            at + r // HEIGHT * panel_bytes(taps, size),
                            lda,
                            aligned,
                            STRIP_BYTES,
                            taps,
                            depth,
                            base + r * base_ld,
                            base_ld,
                            to + r * plane * size,
                            plane * size,
                            columns,
                        ),
                    )
    hold(panel)
    hold(packed)


@jit(parallel=True)
def correlate_all(code, lay, source, weight, bias, geometry, offsets, y, tasks, chunks):
    """Compute all tasks in `chunks` parallel chunks; code: the address of `correlate`."""
    for i in prange(chunks):
        first = tasks * i // chunks
        last = tasks * (i + 1) // chunks
        call_at(code, (lay, source, weight, bias, geometry, offsets, y, first, last))


@functools.cache
def correlate_address(dtype: np.dtype[Any]) -> int:
    """Return the address of `correlate` of a dtype, compiled once for one thread and for more."""
    images, weight, bias = (types.Array(from_dtype(dtype), n, "C") for n in (4, 2, 1))
    words = types.Array(types.int64, 1, "C")
    arrays = (images, weight, bias, words, words, images)
    return code_address(correlate, (types.int64, *arrays, types.int64, types.int64))
