"""Two-dimensional convolution (cross-correlation), its gradients; one dimension is height 1.

y[n, o, i, j] = bias[o] + sum_{c, a, b} weight[o, c, a, b] * x[n, c, i*s + a*d - p, j*s + b*d - p],
x zero outside, c over the channels of o's group.  y's shape says how far the padding after reaches.

The gradient by x is a correlation of dy with the weight's taps in falling order: one for each of
the stride's phases, since the rows of x that are a stride apart see the same taps.

Shapes: x: (N, C, H, W), weight: (O, C / groups, A, B), bias: (O,) or empty -> y: (N, O, H', W');
    stride, padding (before), dilation: pairs (rows, columns).  All arrays C-contiguous.
Source: Chetlur et al., "cuDNN: efficient primitives for deep learning" (2014), for products over
patches that are formed on the way; Dumoulin and Visin, "A guide to convolution arithmetic" (2016).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigrad_kernels.conv.columns import Plan, correlate, correlate_address, correlate_all
from minigrad_kernels.conv.columns_weight import (
    add_parts,
    correlate_weight_address,
    correlate_weight_all,
    correlate_weight_one,
)
from minigrad_kernels.jit.compile import get_num_threads
from minigrad_kernels.jit.heard import move
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.matmul.task import strip_address

Array = np.ndarray[Any, Any]
Pair = tuple[int, int]
SMALL = 2**19  # multiply-adds from which two threads share the work
SCRATCH = 2**16  # elements of one task's copy of the source, a half of second-level cache at most
PARTS = 8  # shares of the weight's gradient that are summed apart, then added in order


# ---------------------------------------------------------------- references
def windows(x: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, y: Array) -> Any:
    """Return float64 x with its margins, and for every tap (a, b) the slice of it that y sees."""
    (s, t), (p, q), (d, e) = stride, padding, dilation
    height = max(x.shape[2] + p, (y.shape[2] - 1) * s + (weight.shape[2] - 1) * d + 1)
    width = max(x.shape[3] + q, (y.shape[3] - 1) * t + (weight.shape[3] - 1) * e + 1)
    padded = np.zeros((*x.shape[:2], height, width))
    padded[:, :, p : p + x.shape[2], q : q + x.shape[3]] = x
    taps = [
        (
            (slice(None), slice(None), slice(None), a, b),
            (
                slice(None),
                slice(None),
                slice(a * d, a * d + (y.shape[2] - 1) * s + 1, s),
                slice(b * e, b * e + (y.shape[3] - 1) * t + 1, t),
            ),
        )
        for a in range(weight.shape[2])
        for b in range(weight.shape[3])
    ]
    return padded, taps


def grouped(a: Array, axis: int, groups: int) -> Array:
    """Return float64 `a` with its channels, at `axis`, as (groups, channels of a group)."""
    shape = (*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])
    return a.astype(np.float64).reshape(shape)


def conv_reference(
    x: Array,
    weight: Array,
    bias: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    y: Array,
) -> None:
    """Compute y in float64, tap by tap: see the module for shapes."""
    padded, taps = windows(x, weight, stride, padding, dilation, y)
    w = grouped(weight, 0, groups)
    total = np.zeros((y.shape[0], groups, y.shape[1] // groups, *y.shape[2:]))
    for tap, seen in taps:
        total += np.einsum("goc,ngchw->ngohw", w[tap], grouped(padded[seen], 1, groups))
    y[...] = total.reshape(y.shape) + (bias[:, None, None] if bias.size else 0)


def conv_backward_input_reference(
    dy: Array,
    weight: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dx: Array,
) -> None:
    """Compute dx in float64, tap by tap.

    dy: (N, O, H', W'), weight: (O, C / groups, A, B) -> dx: (N, C, H, W).
    """
    total, taps = windows(np.zeros(dx.shape), weight, stride, padding, dilation, dy)
    w, g = grouped(weight, 0, groups), grouped(dy, 1, groups)
    for tap, seen in taps:
        total[seen] += np.einsum("goc,ngohw->ngchw", w[tap], g).reshape(total[seen].shape)
    p, q = padding
    dx[...] = total[:, :, p : p + dx.shape[2], q : q + dx.shape[3]]


def conv_backward_weight_reference(
    dy: Array,
    x: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dw: Array,
    db: Array,
) -> None:
    """Compute dw, and db where it is not empty, in float64.

    dy: (N, O, H', W'), x: (N, C, H, W) -> dw: (O, C / groups, A, B), db: (O,) or (0,).
    """
    padded, taps = windows(x, dw, stride, padding, dilation, dy)
    g = grouped(dy, 1, groups)
    for (*_, a, b), seen in taps:
        part = np.einsum("ngohw,ngchw->goc", g, grouped(padded[seen], 1, groups))
        dw[:, :, a, b] = part.reshape(dw.shape[:2])
    if db.size:
        db[...] = dy.astype(np.float64).sum((0, 2, 3))


# ---------------------------------------------------------------- plans
def plan_of(
    groups: int,
    source: tuple[int, ...],
    margin: Pair,
    step: Pair,
    grid: Pair,
    taps: list[Pair],
) -> tuple[Plan, Array]:
    """Return the plan of a correlation and its offsets.

    taps: where each reads, in rows and columns of the source from an output's first one on.
    """
    channels = source[1] // groups
    rows = max(a for a, _ in taps) + 1
    columns = max(b for _, b in taps) // step[1] + grid[1]
    line = channels * step[1] * columns
    band = max(1, min(grid[0], (SCRATCH // max(1, line) - rows) // step[0] + 1))
    if source[0] * groups < 4:
        band = min(band, -(-grid[0] // 4))  # few images: let more than one thread in
    bands = -(-grid[0] // band)
    deep = (band - 1) * step[0] + rows
    plan = Plan(
        groups,
        channels,
        source[2],
        source[3],
        *margin,
        *step,
        columns,
        *grid,
        band,
        bands,
        deep,
    )
    in_plane = [(a * step[1] + b % step[1]) * columns + b // step[1] for a, b in taps]
    jumps = np.arange(channels)[:, None] * (deep * step[1] * columns)
    return plan, (jumps + np.array(in_plane)).reshape(-1).astype(np.int64)


@functools.lru_cache(256)
def forward_plan(
    x: tuple[int, ...],
    weight: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    grid: Pair,
) -> tuple[Plan, Array]:
    """Return the plan and the offsets of the forward direction.

    x, weight: shapes.  grid: y's (rows, columns).
    """
    taps = [(a * dilation[0], b * dilation[1]) for a in range(weight[2]) for b in range(weight[3])]
    return plan_of(groups, x, padding, stride, grid, taps)


def run_of(taps: list[int]) -> slice:
    """Return evenly spaced taps as a slice: those of a phase are.

    >>> run_of([1, 3]), run_of([2])
    (slice(1, 4, 2), slice(2, 3, 1))
    """
    return slice(taps[0], taps[-1] + 1, taps[1] - taps[0] if len(taps) > 1 else 1)


@functools.lru_cache(256)
def backward_plans(
    dy: tuple[int, ...],
    weight: tuple[int, ...],
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    size: Pair,
) -> list[tuple[Pair, tuple[slice, slice], Plan, Array]]:
    """Return for each phase with taps: the phase, which taps those are, plan and offsets."""

    def seen(axis: int, phase: int) -> list[tuple[int, int]]:
        """Return (tap, dy's position less x's, in strides) of the taps that hit the phase."""
        reach = [phase + padding[axis] - k * dilation[axis] for k in range(weight[2 + axis])]
        s = stride[axis]
        return [(k, offset // s) for k, offset in enumerate(reach) if offset % s == 0]

    plans = []
    for i in range(min(stride[0], size[0])):
        for j in range(min(stride[1], size[1])):
            row_taps, column_taps = seen(0, i), seen(1, j)
            if not row_taps or not column_taps:
                continue
            top, left = (
                min(offset for _, offset in row_taps),
                min(offset for _, offset in column_taps),
            )
            taps = [(a - top, b - left) for _, a in row_taps for _, b in column_taps]
            which = run_of([a for a, _ in row_taps]), run_of([b for b, _ in column_taps])
            grid = (len(range(i, size[0], stride[0])), len(range(j, size[1], stride[1])))
            plan, offsets = plan_of(groups, dy, (-top, -left), (1, 1), grid, taps)
            plans.append(((i, j), which, plan, offsets))
    return plans


# ---------------------------------------------------------------- CPU
def slide(source: Array, weight: Array, bias: Array, plan: Plan, offsets: Array, y: Array) -> None:
    """Correlate a source with a weight: (O, K) on the CPU, with threads where they pay.

    source: (N, G * channels, height, width), bias: (O,) or (0,), offsets: (K,) -> y: (N, O, rows,
        columns).
    """
    tasks = y.shape[0] * plan.groups * plan.bands
    geometry = np.array(plan)
    lay = strip_address(y.dtype)
    if y.size * weight.shape[1] < SMALL:
        correlate(lay, source, weight, bias, geometry, offsets, y, 0, tasks)
    else:
        chunks = min(tasks, get_num_threads())
        code = correlate_address(y.dtype)
        correlate_all(code, lay, source, weight, bias, geometry, offsets, y, tasks, chunks)


def conv_cpu(
    x: Array,
    weight: Array,
    bias: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    y: Array,
) -> None:
    """Compute y on the CPU: see the module for shapes."""
    plan, offsets = forward_plan(
        x.shape, weight.shape, stride, padding, dilation, groups, y.shape[2:]
    )
    slide(x, weight.reshape(len(weight), -1), bias, plan, offsets, y)


def conv_backward_input_cpu(
    dy: Array,
    weight: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dx: Array,
) -> None:
    """Compute dx on the CPU, one correlation for each of the stride's phases."""
    o, c, a, b = weight.shape
    plans = backward_plans(dy.shape, weight.shape, stride, padding, dilation, groups, dx.shape[2:])
    transposed = weight.reshape(groups, o // groups, c, a, b).swapaxes(1, 2)
    none = np.empty(0, dy.dtype)
    if len(plans) < stride[0] * stride[1]:
        move(np.zeros((), dx.dtype), dx)
    for (i, j), which, plan, offsets in plans:
        chosen = transposed[..., which[0], which[1]]
        taps = np.empty((groups * c, chosen.size // (groups * c)), dx.dtype)
        move(chosen, taps.reshape(chosen.shape))
        if stride == (1, 1):
            slide(dy, taps, none, plan, offsets, dx)
            continue
        part = np.empty((*dx.shape[:2], plan.rows, plan.columns), dx.dtype)
        slide(dy, taps, none, plan, offsets, part)
        move(part, dx[:, :, i :: stride[0], j :: stride[1]])


def conv_backward_weight_cpu(
    dy: Array,
    x: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dw: Array,
    db: Array,
) -> None:
    """Compute dw, and db where it is not empty, on the CPU: parts of the batch, added in order."""
    plan, offsets = forward_plan(x.shape, dw.shape, stride, padding, dilation, groups, dy.shape[2:])
    most = max(2, min(PARTS, 2**22 // dw.size))
    parts = max(1, min(most, dy.shape[0] * plan.bands))
    partial = np.empty((parts, len(dw), offsets.size), dw.dtype)
    sums = np.empty((parts, db.size), dw.dtype)
    small = dy.size * offsets.size < SMALL
    run = correlate_weight_one if small else correlate_weight_all
    code = correlate_weight_address(dw.dtype)
    run(code, strip_address(dw.dtype), dy, x, np.array(plan), offsets, partial, sums)
    add_parts(partial, dw.reshape(len(dw), -1))
    if db.size:
        add_parts(sums[:, None], db[None])


# ---------------------------------------------------------------- cost and rows
def product_cost(outputs: Array, weight: Array, *others: Array) -> tuple[int, int]:
    """Return the flops of a multiply-add a tap and output, and the bytes of all arrays."""
    flops = 2 * outputs.size * (weight.size // len(weight))
    return flops, outputs.nbytes + weight.nbytes + sum(a.nbytes for a in others)


def conv_cost(
    x: Array,
    weight: Array,
    bias: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    y: Array,
) -> tuple[int, int]:
    """Return the flops and the bytes of `conv`."""
    flops, traffic = product_cost(y, weight, x, bias)
    return flops + (y.size if bias.size else 0), traffic


def conv_backward_input_cost(
    dy: Array,
    weight: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dx: Array,
) -> tuple[int, int]:
    """Return the flops and the bytes of `conv_backward_input`."""
    return product_cost(dy, weight, dx)


def conv_backward_weight_cost(
    dy: Array,
    x: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    dw: Array,
    db: Array,
) -> tuple[int, int]:
    """Return the flops and the bytes of `conv_backward_weight`."""
    flops, traffic = product_cost(dy, dw, x, db)
    return flops + (dy.size if db.size else 0), traffic


KERNELS = {
    "conv": Kernel(conv_reference, conv_cpu, conv_cost),
    "conv_backward_input": Kernel(
        conv_backward_input_reference,
        conv_backward_input_cpu,
        conv_backward_input_cost,
        out=("dx",),
    ),
    "conv_backward_weight": Kernel(
        conv_backward_weight_reference,
        conv_backward_weight_cpu,
        conv_backward_weight_cost,
        out=("dw", "db"),
    ),
}
