"""CUDA kernels of batch normalisation: sums of chunks, their sum, one pass over the elements.

The sums are those of channels.py: a block a chunk, then a block for 32 channels, in order.  The
last pass takes four float32 at once where no four straddle a row or a plane.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, float64, uint32

from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import blocks, counter, flat, number, run, scratch, vectors
from minigrad_kernels.norm.cuda_batch_norm_passes import (
    FINISH_MOMENTS,
    FINISH_PRODUCTS,
    GRADIENT,
    NORMALISE,
    eval_coefficients,
    move_running,
)
from minigrad_kernels.norm.cuda_channels import MOMENTS, PRODUCTS, THREADS, Tasks, tasks_of


def kind_of(x: DeviceArray) -> Any:
    """Return the Numba type of an array's elements."""
    return float32 if x.dtype == np.float32 else float64


def lanes_of(*arrays: DeviceArray) -> int:
    """Return 4 where 128-bit accesses cover every row or plane of all arrays, else 1."""
    _, c, s = arrays[0].shape
    return 4 if vectors(*arrays) and not (c if s == 1 else s) % 4 else 1


def sizes(*values: int) -> tuple[Any, ...]:
    """Return sizes as kernels take them."""
    return tuple(map(np.uint32, values))


def columns(count: int, x: DeviceArray) -> list[DeviceArray]:
    """Return `count` arrays of a number a channel; x: (N, C, S)."""
    return [scratch(x.shape[1], x.dtype, x) for _ in range(count)]


def moments(
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    eps: float,
    mean: DeviceArray,
    var: DeviceArray,
    rstd: DeviceArray,
) -> tuple[DeviceArray, DeviceArray]:
    """Write the statistics and return the factor and offset of each channel."""
    kind, lanes = kind_of(x), lanes_of(x)
    cut = tasks_of(x, lanes)
    parts = scratch(2 * cut.chunks * cut.channels, x.dtype, x)
    made = columns(2, x)
    run(MOMENTS[kind, lanes], cut.chunks * cut.tiles, THREADS, flat(x), *sizes(*cut), parts)
    run(
        FINISH_MOMENTS[kind],
        blocks(cut.channels, 32),
        THREADS,
        parts,
        *sizes(cut.total, cut.each, cut.chunks),
        number(eps, x),
        weight,
        bias,
        mean,
        var,
        rstd,
        *made,
    )
    return made[0], made[1]


def elements(kernel: Any, lanes: int, x: DeviceArray, before: Any, after: Any) -> None:
    """Run a kernel over the elements of x: (N, C, S), `lanes` a thread."""
    work = blocks(blocks(x.size, lanes), THREADS)
    run(kernel, work, THREADS, *map(flat, before), *sizes(*x.shape[1:]), *after)


def batch_norm_forward(
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    eps: float,
    mean: DeviceArray,
    var: DeviceArray,
    rstd: DeviceArray,
    y: DeviceArray,
) -> None:
    """Compute mean, biased var, rstd and y: see norm/batch_norm.py for shapes."""
    if x.size:
        scale, offset = moments(x, weight, bias, eps, mean, var, rstd)
        lanes = lanes_of(x, y)
        elements(NORMALISE[lanes], lanes, x, (x,), (mean, scale, offset, flat(y)))


def batch_norm_running(
    mean: DeviceArray,
    var: DeviceArray,
    count: int,
    momentum: Array,
    running_mean: DeviceArray,
    running_var: DeviceArray,
) -> None:
    """Move the running statistics towards those of a batch of `count` elements a channel."""
    if mean.size:
        numbers = counter(momentum, mean.dtype.type), number(count / (count - 1), mean)
        work = blocks(mean.size, THREADS)
        run(move_running, work, THREADS, mean, var, *numbers, running_mean, running_var)


def batch_norm_eval(
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    running_mean: DeviceArray,
    running_var: DeviceArray,
    eps: float,
    y: DeviceArray,
) -> None:
    """Compute y from the running statistics."""
    if x.size:
        _, scale, offset = constants(x, weight, bias, running_var, eps)
        lanes = lanes_of(x, y)
        elements(NORMALISE[lanes], lanes, x, (x,), (running_mean, scale, offset, flat(y)))


def constants(
    x: DeviceArray, weight: DeviceArray, bias: DeviceArray, var: DeviceArray, eps: float
) -> list[DeviceArray]:
    """Return 1 / sqrt(var + eps), and the factor and offset of each channel."""
    made = columns(3, x)
    work = blocks(var.size, THREADS)
    run(eval_coefficients, work, THREADS, var, number(eps, var), weight, bias, *made)
    return made


def finish_backward(
    parts: DeviceArray,
    cut: Tasks,
    count: float,
    weight: DeviceArray,
    rstd: DeviceArray,
    dw: DeviceArray,
    db: DeviceArray,
) -> list[DeviceArray]:
    """Write dw and db and return the coefficients of `gradient`."""
    made = [scratch(rstd.size, rstd.dtype, rstd) for _ in range(3)]
    run(
        FINISH_PRODUCTS[kind_of(rstd)],
        blocks(cut.channels, 32),
        THREADS,
        parts,
        *sizes(cut.total, cut.each, cut.chunks),
        number(1 / count if count else 0, rstd),
        weight,
        rstd,
        dw,
        db,
        *made,
    )
    return made


def run_backward(
    dy: DeviceArray,
    x: DeviceArray,
    count: float,
    weight: DeviceArray,
    mean: DeviceArray,
    rstd: DeviceArray,
    dx: DeviceArray,
    dw: DeviceArray,
    db: DeviceArray,
) -> None:
    """Launch the sums of the gradient, then the pass that writes dx.

    count: the elements that a channel's statistics were taken over, inf for constant statistics.
    """
    lanes = lanes_of(x, dy)
    cut = tasks_of(x, lanes)
    parts = scratch(2 * cut.chunks * cut.channels, x.dtype, x)
    if x.size:
        kernel = PRODUCTS[kind_of(x), lanes]
        work = cut.chunks * cut.tiles
        run(kernel, work, THREADS, flat(dy), flat(x), mean, *sizes(*cut), parts)
    made = finish_backward(parts, cut, count, weight, rstd, dw, db)
    if x.size:
        lanes = lanes_of(x, dy, dx)
        elements(GRADIENT[lanes], lanes, x, (dy, x), (mean, *made, flat(dx)))


def batch_norm_backward(
    dy: DeviceArray,
    x: DeviceArray,
    weight: DeviceArray,
    mean: DeviceArray,
    rstd: DeviceArray,
    dx: DeviceArray,
    dw: DeviceArray,
    db: DeviceArray,
) -> None:
    """Compute dx, and dw and db where there is a weight."""
    run_backward(dy, x, x.size / max(1, mean.size), weight, mean, rstd, dx, dw, db)


def batch_norm_eval_backward(
    dy: DeviceArray,
    x: DeviceArray,
    weight: DeviceArray,
    running_mean: DeviceArray,
    running_var: DeviceArray,
    eps: float,
    dx: DeviceArray,
    dw: DeviceArray,
    db: DeviceArray,
) -> None:
    """Compute the gradients with the statistics taken for constants."""
    rstd = constants(x, weight, weight, running_var, eps)[0]
    # Constant statistics are those of infinitely many values: this batch's share in them is 0.
    run_backward(dy, x, math.inf, weight, running_mean, rstd, dx, dw, db)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "batch_norm_forward": batch_norm_forward,
    "batch_norm_running": batch_norm_running,
    "batch_norm_eval": batch_norm_eval,
    "batch_norm_backward": batch_norm_backward,
    "batch_norm_eval_backward": batch_norm_eval_backward,
}


def checks() -> list[Check]:
    """Return the checks of all forms of these kernels."""
    found = []
    for kind, name in ((float32, "float32"), (float64, "float64")):
        line, double = kind[::1], kind == float64
        cut = (uint32,) * 7
        for lanes in (1, 4)[: 1 if double else 2]:
            tag = f"{name}.vectors" if lanes == 4 else name
            loads = ("LDG.E.128",) if lanes == 4 else ()
            both = (*loads, "STG.E.128") if lanes == 4 else ()
            pair = uint32, uint32
            cases = (
                ("moments", MOMENTS[kind, lanes], (line, *cut, line), (*loads, "SHFL.DOWN"), 96),
                ("products", PRODUCTS[kind, lanes], (*(line,) * 3, *cut, line), loads, 96),
                ("normalise", NORMALISE[lanes], (line, *pair, *(line,) * 4), both, 48),
                ("gradient", GRADIENT[lanes], (line, line, *pair, *(line,) * 5), both, 56),
            )
            found += [
                Check(f"batch_norm.{label}/{tag}", kernel, signature, opcodes, most, double)
                for label, kernel, signature, opcodes, most in cases
            ]
        counts = (uint32,) * 3
        ends = (
            ("finish_moments", FINISH_MOMENTS[kind], (line, *counts, kind, *(line,) * 7)),
            ("finish_products", FINISH_PRODUCTS[kind], (line, *counts, kind, *(line,) * 7)),
            ("eval_coefficients", eval_coefficients, (line, kind, *(line,) * 5)),
            ("move_running", move_running, (line, line, kind, kind, line, line)),
        )
        found += [
            Check(f"batch_norm.{label}/{name}", kernel, signature, (), 64, double)
            for label, kernel, signature in ends
        ]
    return found


CHECKS: tuple[Check, ...] = tuple(checks())
