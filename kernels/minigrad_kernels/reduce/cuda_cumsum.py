"""CUDA kernels of running sums along one axis.

x, seen as (outer, reduced, inner), is cut along its lines: into tiles of TILE neighbours where
inner is 1, which a warp adds up by shuffles, else into chunks of CHUNK rows, which a thread walks,
neighbours in neighbouring columns.  A line of one piece takes one launch.  A longer one takes
three or more: the sum of each piece, the sums before each, which are running sums of those and
found in the same way, and the elements from there on.  So sizes alone fix the order of all
additions; sums of floats are float64.

Source: Merrill and Garland, "Single-pass parallel prefix scan with decoupled look-back" (2016), for
the ways there are: their single pass reads x once where this reads it twice, but adds in an order
that the timing of the blocks decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, float64, int32, int64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, run, scratch, vectors
from minigrad_kernels.cuda.rows import sizes
from minigrad_kernels.cuda.warps import FULL, HALVES, WARP, lane_of, warp_count, warp_of
from minigrad_kernels.elementwise.cuda_copy import contiguous

TILE = 1_024  # neighbours that a warp adds up
CHUNK = 128  # rows that a thread adds up
STEPS = (1, 2, 4, 8, 16)  # lanes apart, by which a warp's running sums grow


# ---------------------------------------------------------------- a warp a tile
@cuda.jit(device=True)
def tile_of(task, reduced, tiles):
    """Return where a tile's line begins, the tile's first element and the one behind its last.

    Elements are counted along the line, in the direction of the sums.
    """
    outer = uint32(task // tiles)
    first = uint32(uint32(task - outer * tiles) * uint32(TILE))
    return uint32(outer * reduced), first, min(reduced, uint32(first + uint32(TILE)))


@cuda.jit(device=True)
def place(start, r, reduced, backwards):
    """Return the index of the r-th element of a line, counted from its end where backwards."""
    return uint32(start + (uint32(reduced - uint32(1) - r) if backwards else r))


@cuda.jit(device=True)
def taken(x, start, r, end, reduced, backwards, zero):
    """Return the r-th element of a line in the type of its sums, 0 from `end` on."""
    return zero + x[place(start, r, reduced, backwards)] if r < end else zero


@cuda.jit(device=True)
def put(y, start, r, end, reduced, backwards, value):
    """Write the r-th of a line's running sums, if there is one."""
    if r < end:
        y[place(start, r, reduced, backwards)] = y.dtype.type(value)


@cuda.jit(device=True)
def four_of(x, start, r, reduced, backwards, zero):
    """Return the elements from the r-th on that 128 bits hold, in the type of their sums."""
    if backwards:
        a, b, c, d = ptx.load128(x, uint32(start + uint32(reduced - uint32(4) - r)))
        return zero + d, zero + c, zero + b, zero + a
    a, b, c, d = ptx.load128(x, uint32(start + r))
    return zero + a, zero + b, zero + c, zero + d


@cuda.jit(device=True)
def lanes_joined(total):
    """Return the sum over a warp, in all lanes."""
    for lanes in HALVES:
        total += cuda.shfl_xor_sync(FULL, total, lanes)
    return total


@cuda.jit(device=True)
def up_to(value, lane):
    """Return the sum of a warp's values up to a lane's own, with it."""
    for step in STEPS:
        other = cuda.shfl_up_sync(FULL, value, step)
        if lane >= step:
            value = value + other
    return value


@cuda.jit(device=True)
def up_to_each(a, b, c, d, lane):
    """Return what `up_to` does of four values, their shuffles one behind the other."""
    for step in STEPS:
        e, f = cuda.shfl_up_sync(FULL, a, step), cuda.shfl_up_sync(FULL, b, step)
        g, h = cuda.shfl_up_sync(FULL, c, step), cuda.shfl_up_sync(FULL, d, step)
        if lane >= step:
            a, b, c, d = a + e, b + f, c + g, d + h
    return a, b, c, d


@cuda.jit(device=True)
def last_of(value):
    """Return the value of a warp's last lane."""
    return cuda.shfl_sync(FULL, value, 31)


@cuda.jit(device=True)
def one_before(value, lane, zero):
    """Return the value of the lane before, 0 in the first."""
    other = cuda.shfl_up_sync(FULL, value, 1)
    return other if lane > 0 else zero


@cuda.jit
def tile_sums(x, reduced, tiles, backwards, parts):
    """Write the sum of each tile: (outer, tiles); four loads of a lane go at once."""
    lane, task = lane_of(), warp_of()
    zero = parts.dtype.type(0)
    while task < uint32(parts.size):
        start, first, end = tile_of(task, reduced, tiles)
        r = uint32(first + lane)
        total = zero
        while r < end:
            k, o, m = uint32(r + uint32(32)), uint32(r + uint32(64)), uint32(r + uint32(96))
            a = taken(x, start, r, end, reduced, backwards, zero)
            b = taken(x, start, k, end, reduced, backwards, zero)
            c = taken(x, start, o, end, reduced, backwards, zero)
            d = taken(x, start, m, end, reduced, backwards, zero)
            total += (a + b) + (c + d)
            r = uint32(r + uint32(4 * WARP))
        total = lanes_joined(total)
        if lane == 0:
            parts[task] = total
        task = uint32(task + warp_count())


@cuda.jit
def tile_sums_vectors(x, reduced, tiles, backwards, parts):
    """Write what `tile_sums` does, a lane four neighbours at once."""
    lane, task = lane_of(), warp_of()
    zero = parts.dtype.type(0)
    while task < uint32(parts.size):
        start, first, end = tile_of(task, reduced, tiles)
        r = uint32(first + lane * uint32(4))
        total = zero
        while r < end:
            a, b, c, d = four_of(x, start, r, reduced, backwards, zero)
            total += (a + b) + (c + d)
            r = uint32(r + uint32(4 * WARP))
        total = lanes_joined(total)
        if lane == 0:
            parts[task] = total
        task = uint32(task + warp_count())


def scanning(exclusive: bool) -> Any:
    """Return the kernel of a tile's running sums; exclusive: without an element's own value."""

    @cuda.jit(device=True)
    def shown(grown, lane, zero):
        return one_before(grown, lane, zero) if exclusive else grown

    @cuda.jit
    def tile_scans(x, before, reduced, tiles, tasks, backwards, y):
        """Write the running sums of each tile from what is before it on.

        before: (outer, tiles), or empty where a line is one tile.
        """
        lane, task = lane_of(), warp_of()
        zero = before.dtype.type(0)
        while task < tasks:
            start, first, end = tile_of(task, reduced, tiles)
            total = before[task] if before.size else zero
            while first < end:
                r = uint32(first + lane)
                k, o, m = uint32(r + uint32(32)), uint32(r + uint32(64)), uint32(r + uint32(96))
                a = taken(x, start, r, end, reduced, backwards, zero)
                b = taken(x, start, k, end, reduced, backwards, zero)
                c = taken(x, start, o, end, reduced, backwards, zero)
                d = taken(x, start, m, end, reduced, backwards, zero)
                a, b, c, d = up_to_each(a, b, c, d, lane)
                second = total + last_of(a)
                third = second + last_of(b)
                fourth = third + last_of(c)
                put(y, start, r, end, reduced, backwards, total + shown(a, lane, zero))
                put(y, start, k, end, reduced, backwards, second + shown(b, lane, zero))
                put(y, start, o, end, reduced, backwards, third + shown(c, lane, zero))
                put(y, start, m, end, reduced, backwards, fourth + shown(d, lane, zero))
                total = fourth + last_of(d)
                first = uint32(first + uint32(4 * WARP))
            task = uint32(task + warp_count())

    return tile_scans


@cuda.jit
def tile_scans_vectors(x, before, reduced, tiles, tasks, backwards, y):
    """Write what `tile_scans` does, a lane four neighbours at once."""
    lane, task = lane_of(), warp_of()
    zero = before.dtype.type(0)
    kind = y.dtype.type
    while task < tasks:
        start, first, end = tile_of(task, reduced, tiles)
        total = before[task] if before.size else zero
        while first < end:
            r = uint32(first + lane * uint32(4))
            a, b, c, d = zero, zero, zero, zero
            if r < end:
                a, b, c, d = four_of(x, start, r, reduced, backwards, zero)
            b = a + b
            c = b + c
            d = c + d
            grown = up_to(d, lane)
            low = total + one_before(grown, lane, zero)
            total += last_of(grown)
            p, q, s, t = kind(low + a), kind(low + b), kind(low + c), kind(low + d)
            if r < end:
                if backwards:
                    index = uint32(start + uint32(reduced - uint32(4) - r))
                    ptx.store128(y, index, (t, s, q, p))
                else:
                    ptx.store128(y, uint32(start + r), (p, q, s, t))
            first = uint32(first + uint32(4 * WARP))
        task = uint32(task + warp_count())


# ---------------------------------------------------------------- a thread a chunk of a column
@cuda.jit(device=True)
def walked(task, reduced, inner, chunks, backwards):
    """Return where a chunk's elements begin, the step between them, and how many they are."""
    line = uint32(task // inner)
    column = uint32(task - line * inner)
    outer = uint32(line // chunks)
    first = uint32(uint32(line - outer * chunks) * uint32(CHUNK))
    count = min(uint32(CHUNK), uint32(reduced - first))
    step = uint32(uint32(0) - inner) if backwards else inner
    start = uint32(outer * reduced)
    return uint32(place(start, first, reduced, backwards) * inner + column), step, count


@cuda.jit
def chunk_sums(x, reduced, inner, chunks, backwards, parts):
    """Write the sum of each chunk: (outer, chunks, inner)."""
    task = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while task < uint32(parts.size):
        index, step, count = walked(task, reduced, inner, chunks, backwards)
        total = parts.dtype.type(0)
        k = uint32(0)
        while uint32(k + uint32(3)) < count:
            second = uint32(index + step)
            third = uint32(second + step)
            fourth = uint32(third + step)
            a, b, c, d = x[index], x[second], x[third], x[fourth]
            total += a
            total += b
            total += c
            total += d
            index = uint32(fourth + step)
            k = uint32(k + uint32(4))
        while k < count:
            total += x[index]
            index = uint32(index + step)
            k = uint32(k + uint32(1))
        parts[task] = total
        task = uint32(task + uint32(cuda.gridDim.x * cuda.blockDim.x))


def walking(exclusive: bool) -> Any:
    """Return the kernel of a chunk's running sums; exclusive: without an element's own value."""

    @cuda.jit
    def chunk_scans(x, before, reduced, inner, chunks, tasks, backwards, y):
        """Write the running sums of each chunk from what is before it on.

        before: (outer, chunks, inner), or empty where a line is one chunk.  Four loads go ahead of
        the writes, which the compiler would not move them over.
        """
        task = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        kind = y.dtype.type
        while task < tasks:
            index, step, count = walked(task, reduced, inner, chunks, backwards)
            total = before[task] if before.size else before.dtype.type(0)
            k = uint32(0)
            while uint32(k + uint32(3)) < count:
                second = uint32(index + step)
                third = uint32(second + step)
                fourth = uint32(third + step)
                a, b, c, d = x[index], x[second], x[third], x[fourth]
                p = total + a
                q = p + b
                s = q + c
                t = s + d
                y[index] = kind(total if exclusive else p)
                y[second] = kind(p if exclusive else q)
                y[third] = kind(q if exclusive else s)
                y[fourth] = kind(s if exclusive else t)
                total = t
                index = uint32(fourth + step)
                k = uint32(k + uint32(4))
            while k < count:
                after = total + x[index]
                y[index] = kind(total if exclusive else after)
                total = after
                index = uint32(index + step)
                k = uint32(k + uint32(1))
            task = uint32(task + uint32(cuda.gridDim.x * cuda.blockDim.x))

    return chunk_scans


TILE_SCANS = {exclusive: scanning(exclusive) for exclusive in (False, True)}
CHUNK_SCANS = {exclusive: walking(exclusive) for exclusive in (False, True)}


def scan(
    x: DeviceArray,
    shape: tuple[int, int, int],
    kind: Any,
    backwards: bool,
    exclusive: bool,
    y: DeviceArray,
) -> None:
    """Write the running sums of x along the middle of a shape, both lines, added up in `kind`.

    exclusive: without an element's own value.
    """
    outer, reduced, inner = shape
    tiled = inner == 1
    pieces = blocks(reduced, TILE if tiled else CHUNK)
    tasks = outer * pieces * inner
    few = sizes(reduced, pieces) if tiled else sizes(reduced, inner, pieces)
    work = blocks(tasks * (WARP if tiled else 1), THREADS)
    wide = tiled and not exclusive and not reduced % 4 and vectors(x, y)
    way = np.int32(backwards)
    before = scratch(0 if pieces == 1 else tasks, kind, y)
    if pieces > 1:
        parts = scratch(tasks, kind, y)
        sums = tile_sums_vectors if wide else tile_sums if tiled else chunk_sums
        run(sums, work, THREADS, x, *few, way, parts)
        scan(parts, (outer, pieces, inner), kind, False, True, before)
    scans = tile_scans_vectors if wide else (TILE_SCANS if tiled else CHUNK_SCANS)[exclusive]
    run(scans, work, THREADS, x, before, *few, *sizes(tasks), way, y)


def cumsum(x: DeviceArray, axis: int, backwards: bool, y: DeviceArray) -> None:
    """Compute y = the running sums of x along an axis: see reduce/sums.py."""
    if not x.size:
        return
    line = contiguous(x if x.dtype == y.dtype else x.astype(y.dtype))
    outer, inner = int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis + 1 :]))
    kind = np.float64 if y.dtype.kind == "f" else y.dtype
    made = y if y.flags.c_contiguous else scratch(y.shape, y.dtype, y)
    scan(flat(line), (outer, x.shape[axis], inner), kind, backwards, False, flat(made))
    if made is not y:
        y[...] = made


CUDA_KERNELS: dict[str, CudaKernel] = {"cumsum": cumsum}


def checks(kind: Any) -> tuple[Check, ...]:
    """Return the checks of the kernels for one type of elements."""
    held = kind if kind == int64 else float64
    tile, chunk = (uint32, uint32), (uint32, uint32, uint32)
    parts = kind[::1], held[::1]
    found: list[tuple[str, Any, tuple[Any, ...], tuple[str, ...]]] = [
        ("tile_sums", tile_sums, (kind[::1], *tile, int32, held[::1]), ("SHFL.BFLY",)),
        ("chunk_sums", chunk_sums, (kind[::1], *chunk, int32, held[::1]), ()),
    ]
    forms = [(False, kind, "")]
    if kind != float32:  # of float64 and int64 alone are there sums of sums
        forms.append((True, held, "_before"))
    for exclusive, out, last in forms:
        tiles = *parts, *tile, uint32, int32, out[::1]
        chunks = *parts, *chunk, uint32, int32, out[::1]
        found.append((f"tile_scans{last}", TILE_SCANS[exclusive], tiles, ("SHFL.UP", "SHFL.IDX")))
        found.append((f"chunk_scans{last}", CHUNK_SCANS[exclusive], chunks, ()))
    return tuple(
        Check(f"cumsum.{name}/{kind}", kernel, signature, opcodes, float64=kind != int64)
        for name, kernel, signature, opcodes in found
    )


CHECKS: tuple[Check, ...] = (
    *(check for kind in (float32, float64, int64) for check in checks(kind)),
    Check(
        "cumsum.tile_sums.vectors",
        tile_sums_vectors,
        (float32[::1], uint32, uint32, int32, float64[::1]),
        ("LDG.E.128", "SHFL.BFLY"),
        float64=True,
    ),
    Check(
        "cumsum.tile_scans.vectors",
        tile_scans_vectors,
        (float32[::1], float64[::1], uint32, uint32, uint32, int32, float32[::1]),
        ("LDG.E.128", "STG.E.128", "SHFL.UP"),
        float64=True,
    ),
)
