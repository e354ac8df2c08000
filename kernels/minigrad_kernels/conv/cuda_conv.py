"""CUDA kernels of convolution and its gradients, as conv/conv.py of the CPU says they are.

All three slide taps over a source: forward over x, for dx over dy with the taps of each of the
stride's phases, for dw with dy in the place of the weight.  A table holds for each tap its row and
column, row * width + column, and its step in the weight; `sizes` is as conv/columns.py numbers it.

float32 with enough channels goes by tiles; in "high" and "medium" precision with more of them to
tensor cores, all but dw.  float64, and a few channels a group (depthwise), go by a thread a result.
dw and db are sums over chunks of outputs, cut by the sizes alone and added in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, types, uint32

from minigrad_kernels.conv.cuda_cores import (
    Laid,
    channels_last,
    correlate_cores,
    laid,
    shared_with_places,
    slide_cores,
    weight_packer,
)
from minigrad_kernels.conv.cuda_direct import (
    THREADS,
    add_parts,
    channel_sums,
    channel_sums_4,
    correlate,
    correlate_weight,
)
from minigrad_kernels.conv.cuda_tiles import (
    CHANNELS,
    COLUMNS,
    GROUPS,
    IMAGES,
    RESULTS,
    ROWS,
    TAPS,
    TILE,
    correlate_tiles,
    weight_tiles,
)
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import blocks, flat, run, scratch, vectors
from minigrad_kernels.cuda.precision import get_precision
from minigrad_kernels.matmul.cuda_gemm import LARGE_SHARED, TENSOR

Pair = tuple[int, int]
FEW = 8  # channels of a group below which tiles would be mostly empty
CHUNKS = 64  # the most that the sum over all outputs is cut into
LEAST = 64  # outputs that are worth a chunk
TASKS = 1_024  # blocks that fill a large GPU
MANY = 64  # channels of a group's output from which blocks of 128 are not mostly empty
DEEP = 32  # (channel, tap), the same of a slice
TILES = 128  # blocks of 256 outputs that are enough: else of 128


# ---------------------------------------------------------------- geometry
def word(value: int) -> Any:
    """Return a number, which may be negative, as a uint32 of the same 32 bits."""
    return np.uint32(value & 0xFFFFFFFF)


def table_of(taps: list[tuple[int, int, int]], width: int) -> Array:
    """Return the table of (row, column, step in the weight), in a source of that width."""
    rows = [(r, c, r * width + c, step) for r, c, step in taps] or [(0, 0, 0, 0)]
    return (np.array(rows, np.int64) & 0xFFFFFFFF).astype(np.uint32).reshape(-1)


def sliding(
    x: DeviceArray, weight: DeviceArray, y: DeviceArray, padding: Pair, how: Any
) -> tuple[tuple[Any, ...], Array]:
    """Return sizes and taps of the forward direction; how: stride, dilation, groups."""
    stride, dilation, groups = how
    out, channels, tap_rows, tap_columns = weight.shape
    taps = [
        (a * dilation[0], b * dilation[1], a * tap_columns + b)
        for a in range(tap_rows)
        for b in range(tap_columns)
    ]
    each, step = out // groups, tap_rows * tap_columns
    sizes = (
        *(x.shape[0], groups, channels, each, *x.shape[2:], len(taps), *y.shape[2:], *stride),
        *(-padding[0], -padding[1], *y.shape[2:], 1, 1, 0, 0),
        *(each * channels * step, channels * step, step, y.shape[2] * y.shape[3] % 4 == 0),
    )
    return tuple(map(word, sizes)), table_of(taps, x.shape[3])


def for_cores(source: DeviceArray, sizes: tuple[Any, ...], taps: int) -> Laid | None:
    """Return a source laid out for tensor cores; None where they are not for this one.

    taps: of the weight.
    """
    precision = TENSOR.get(get_precision(), "")
    shared = getattr(source.target, "shared", LARGE_SHARED) >= shared_with_places(128)
    many = int(sizes[RESULTS]) >= MANY and int(sizes[CHANNELS]) * taps >= DEEP
    if not (precision and shared and many and source.dtype == np.float32):
        return None
    return laid(source, sizes, precision)


def slide(
    source: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    taps: Array,
    sizes: tuple[Any, ...],
    y: DeviceArray,
    cores: Laid | None,
) -> None:
    """Slide taps over a source, on tensor cores where it is laid out for them, by tiles for float32
    with many channels, else output by output.
    """
    groups, each = int(sizes[GROUPS]), int(sizes[RESULTS])
    count = int(sizes[IMAGES]) * int(sizes[ROWS]) * int(sizes[COLUMNS])
    if cores is not None:
        wide = groups * blocks(each, 128) * blocks(count, 256) >= TILES
        large = getattr(y.target, "shared", LARGE_SHARED) >= shared_with_places(256)
        slide_cores(cores, weight, bias, taps, sizes, y, 256 if wide and large else 128)
        return
    args = flat(source), flat(weight), bias, taps, sizes, flat(y)
    if source.dtype == np.float32 and each >= FEW:
        run(correlate_tiles, groups * blocks(each, TILE) * blocks(count, TILE), TILE, *args)
    else:
        run(correlate, blocks(groups * each * count, THREADS), THREADS, *args)


# ---------------------------------------------------------------- CUDA kernels
def conv(
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    y: DeviceArray,
) -> None:
    """Compute y: see conv/conv.py for shapes."""
    if y.size:
        sizes, taps = sliding(x, weight, y, padding, (stride, dilation, groups))
        if not vectors(y):
            sizes = (*sizes[:-1], np.uint32(0))
        cores = for_cores(x, sizes, int(sizes[TAPS]))
        slide(x, weight, bias, taps, sizes, y, cores)


def reaching(phase: int, size: int, stride: int, padding: int, dilation: int) -> list[Pair]:
    """Return (tap, dy's position less x's, in strides) of the taps that hit a phase of x."""
    found = [(k, phase + padding - k * dilation) for k in range(size)]
    return [(k, offset // stride) for k, offset in found if offset % stride == 0]


def conv_backward_input(
    dy: DeviceArray,
    weight: DeviceArray,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dx: DeviceArray,
) -> None:
    """Compute dx, one launch for each of the stride's phases: see conv/conv.py for shapes."""
    if not dx.size:
        return
    out, channels, tap_rows, tap_columns = weight.shape
    each, step = out // groups, tap_rows * tap_columns
    steps = each * channels * step, step, channels * step
    whole = stride == (1, 1) and dx.shape[2] * dx.shape[3] % 4 == 0 and vectors(dx)
    none = scratch(0, dy.dtype, dy)
    first = (dy.shape[0], groups, each, channels, *dy.shape[2:])
    cores = for_cores(dy, tuple(map(word, (*first, *[0] * 17))), step)
    for i in range(min(stride[0], dx.shape[2])):
        for j in range(min(stride[1], dx.shape[3])):
            row_taps = reaching(i, tap_rows, stride[0], padding[0], dilation[0])
            column_taps = reaching(j, tap_columns, stride[1], padding[1], dilation[1])
            taps = [(r, c, a * tap_columns + b) for a, r in row_taps for b, c in column_taps]
            grid = [
                len(range(k, n, s)) for k, n, s in zip((i, j), dx.shape[2:], stride, strict=True)
            ]
            sizes = (
                *(*first, len(taps), *grid, 1, 1),
                *(0, 0, *dx.shape[2:], *stride, i, j, *steps, whole),
            )
            table = table_of(taps, dy.shape[3])
            slide(dy, weight, none, table, tuple(map(word, sizes)), dx, cores)


def cut(total: int, tasks: int) -> tuple[int, int]:
    """Return the chunks of a sum, and the elements of each: a multiple of 32.

    tasks: blocks that one chunk of all sums takes.
    """
    most = max(1, min(CHUNKS, TASKS // max(1, tasks)))
    each = 32 * max(1, blocks(max(LEAST, blocks(total, most)), 32))
    return max(1, blocks(total, each)), each


def conv_backward_weight(
    dy: DeviceArray,
    x: DeviceArray,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dw: DeviceArray,
    db: DeviceArray,
) -> None:
    """Compute dw, and db where it is not empty: see conv/conv.py for shapes."""
    sizes, taps = sliding(x, dw, dy, padding, (stride, dilation, groups))
    total = dy.size // len(dw)
    width, results = dw.size // len(dw), len(dw) // groups
    tiled = dy.dtype == np.float32 and results >= FEW
    tiles = groups * blocks(results, TILE) * blocks(width, TILE)
    tasks = tiles if tiled else blocks(dw.size, THREADS)
    chunks, each = cut(total, tasks)
    parts = scratch(chunks * dw.size, dw.dtype, dw) if chunks > 1 else flat(dw)
    counts = np.uint32(each), np.uint32(chunks)
    if tiled:
        none = scratch(0, dy.dtype, dy)
        run(
            weight_tiles, tiles * chunks, TILE, flat(dy), flat(x), none, taps, sizes, *counts, parts
        )
    else:
        work = blocks(chunks * dw.size, THREADS)
        run(correlate_weight, work, THREADS, flat(dy), flat(x), taps, sizes, *counts, parts)
    if chunks > 1:
        run(add_parts, blocks(dw.size, THREADS), THREADS, parts, np.uint32(chunks), flat(dw))
    if db.size:
        chunks, each = cut(total, blocks(db.size, 4))
        parts = scratch(chunks * db.size, db.dtype, db)
        plane = max(1, dy.shape[2] * dy.shape[3])
        channel = tuple(map(np.uint32, (db.size, plane, total, each, chunks)))
        sums = channel_sums_4 if vectors(dy) and not plane % 4 else channel_sums
        run(sums, blocks(chunks * db.size, 4), THREADS, flat(dy), *channel, parts)
        run(add_parts, blocks(db.size, THREADS), THREADS, parts, np.uint32(chunks), db)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "conv": conv,
    "conv_backward_input": conv_backward_input,
    "conv_backward_weight": conv_backward_weight,
}


def checks() -> list[Check]:
    """Return the checks of the kernels of this file and of those that it launches."""
    sizes, words, word = types.UniTuple(uint32, 23), uint32[::1], uint32
    line = float32[::1]
    slid = (line, line, line, words, sizes, line)
    tiled = (line, line, line, words, sizes, word, word, line)
    summed = (line, *(word,) * 5, line)
    found = [
        Check("conv.tiles", correlate_tiles, slid, ("LDS.128", "STG.E.128"), 168),
        Check("conv.weight_tiles", weight_tiles, tiled, ("LDS.128",), 168),
        Check("conv.sums.vectors", channel_sums_4, summed, ("LDG.E.128", "SHFL.DOWN"), 48),
    ]
    cores = (words, words, line, words, sizes, word, word, line)
    found += [
        Check(
            f"conv.cores.{precision}.{columns}",
            correlate_cores(precision, columns),
            cores,
            ("HMMA", "LDS.128", "LDGSTS.E.BYPASS.128"),
            255,
        )
        for precision, columns in (("tf32", 256), ("bf16", 128))
    ]
    found += [
        Check("conv.channels_last", channels_last("tf32"), (line, sizes, word, words), (), 40),
        Check(
            "conv.pack_weight",
            weight_packer("bf16"),
            (line, words, sizes, word, word, word, words),
            ("STG.E.128",),
            40,
        ),
    ]
    for kind in (float32, float64):
        line = kind[::1]
        cases = (
            ("correlate", correlate, (line, line, line, words, sizes, line), ()),
            (
                "correlate_weight",
                correlate_weight,
                (line, line, words, sizes, word, word, line),
                (),
            ),
            ("channel_sums", channel_sums, (line, *(word,) * 5, line), ("SHFL.DOWN",)),
            ("add_parts", add_parts, (line, word, line), ()),
        )
        found += [
            Check(f"conv.{name}/{kind}", kernel, signature, opcodes, 64, kind == float64)
            for name, kernel, signature, opcodes in cases
        ]
    return found


CHECKS: tuple[Check, ...] = tuple(checks())
