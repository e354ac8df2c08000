"""CUDA kernels of cross-entropy: what divides the losses, a loss and a gradient a row, their sum.

Forward takes two launches: the parts of the divisor, then the rows, whose blocks each add those
parts up, and the last of which adds up the losses, in a fixed order.  A row is read from memory for
its maximum, from the cache for the sum of exponentials and, where it is asked for, the gradient.
The logarithm of the sum is kept in float64, one conversion a row; what is computed an element is
float32 for float32.  A row whose class number is out of range has loss NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, float64, int32, int64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.last_block import is_last
from minigrad_kernels.cuda.launch import blocks, flat, number, run, scratch
from minigrad_kernels.cuda.rows import (
    HELD,
    THREADS,
    WARPS,
    Rows,
    added,
    joining,
    places,
    rows_at_once,
    sizes,
)
from minigrad_kernels.math.scalar import like
from minigrad_kernels.softmax.cuda_softmax import peaks

PART = 1_024  # classes and rows whose weights a block adds up
TASKS = 2_048  # at most, whose losses the last block adds up


@cuda.jit(device=True)
def is_class(k, c):
    """Tell whether a class number is one of c; any other is judged by cuda_classes.py."""
    return k >= int64(0) and k < int64(c)


# ---------------------------------------------------------------- what divides the losses
def dividing(kind: Any) -> Any:
    """Return the kernel that adds up the weights of classes and rows, a block a part of both."""
    whole = joining(added, WARPS)

    @cuda.jit
    def divisor_parts(target, weight, ignored, mean, parts, ticket):
        """Write the sums of PART classes' weights and of PART rows' to each pair of parts.

        Without weights the rows that count have 1; none is looked at where no mean is asked for.
        Sets the ticket of the launch to come to 0.
        """
        held = cuda.shared.array(HELD, kind)
        t = uint32(cuda.threadIdx.x)
        part = uint32(cuda.blockIdx.x)
        if part == 0 and t == 0:
            ticket[0] = uint32(0)
        classes, rows = uint32(weight.size), uint32(target.size if mean else 0)
        while part < uint32(uint32(parts.size) >> uint32(1)):
            first = uint32(part * uint32(PART))
            all_, some = kind(0), kind(0)
            j, end = uint32(first + t), min(classes, uint32(first + uint32(PART)))
            while j < end:
                all_ += weight[j]
                j = uint32(j + uint32(THREADS))
            j, end = uint32(first + t), min(rows, uint32(first + uint32(PART)))
            while j < end:
                k = target[j]
                if k != ignored and (not classes or is_class(k, classes)):
                    some += weight[k] if classes else kind(1)
                j = uint32(j + uint32(THREADS))
            all_, some = whole(all_, some, held)
            if t == 0:
                index = uint32(part << uint32(1))
                parts[index] = all_
                parts[uint32(index + uint32(1))] = some
            part = uint32(part + uint32(cuda.gridDim.x))

    return divisor_parts


def dividing_all(kind: Any) -> Any:
    """Return the device function that adds up what `dividing` wrote, in every block."""
    whole = joining(added, WARPS)

    @cuda.jit(device=True)
    def sums_of(parts, held):
        all_, some = kind(0), kind(0)
        j = uint32(uint32(cuda.threadIdx.x) << uint32(1))
        while j < uint32(parts.size):
            all_ += parts[j]
            some += parts[uint32(j + uint32(1))]
            j = uint32(j + uint32(2 * THREADS))
        return whole(all_, some, held)

    return sums_of


def totalling(kind: Any) -> Any:
    """Return the device function of the last block, which adds up the losses of all tasks."""
    whole = joining(added, WARPS)

    @cuda.jit(device=True)
    def total_of(losses, tasks, by, held, total):
        found = kind(0)
        j = uint32(cuda.threadIdx.x)
        while j < tasks:
            found += losses[j]
            j = uint32(j + uint32(THREADS))
        found, _ = whole(found, kind(0), held)
        if cuda.threadIdx.x == 0:
            total[0] = found / by

    return total_of


# ---------------------------------------------------------------- a row
@cuda.jit(device=True)
def slope(x, high, low, j, target, picked, each, all_, weight, scale):
    """Return dx of element j of a row whose logsumexp is high + low.

    picked: (1 - e) w[target].  each: e / C.  all_: the sum of the weights.
    """
    z = (x - high) - low
    p = math.exp(z)
    one = like(x, 1)
    kept = math.expm1(z) if j == target else p
    rest = p * all_ - (weight[j] if weight.size else one)
    return scale * (picked * kept + each * rest)


def sloping(kind: Any, vector: bool, warps: int) -> Any:
    """Return the device function that writes dx of a row."""

    @cuda.jit(device=True)
    def slopes(x, first, c, t, threads, high, low, target, picked, each, all_, weight, scale, dx):
        if vector:
            j = uint32(t * uint32(4))
            while j < c:
                index = uint32(first + j)
                v = ptx.load128(x, index)
                k, o, m = uint32(j + uint32(1)), uint32(j + uint32(2)), uint32(j + uint32(3))
                made = (
                    slope(v[0], high, low, j, target, picked, each, all_, weight, scale),
                    slope(v[1], high, low, k, target, picked, each, all_, weight, scale),
                    slope(v[2], high, low, o, target, picked, each, all_, weight, scale),
                    slope(v[3], high, low, m, target, picked, each, all_, weight, scale),
                )
                ptx.store128(dx, index, made)
                j = uint32(j + threads * uint32(4))
        else:
            j = t
            while j < c:
                index = uint32(first + j)
                dx[index] = slope(x[index], high, low, j, target, picked, each, all_, weight, scale)
                j = uint32(j + threads)

    return slopes


def nothing(kind: Any, vector: bool) -> Any:
    """Return the device function that writes 0 to a row of dx."""

    @cuda.jit(device=True)
    def zeros(dx, first, c, t, threads):
        zero = kind(0)
        if vector:
            j = uint32(t * uint32(4))
            while j < c:
                ptx.store128(dx, uint32(first + j), (zero, zero, zero, zero))
                j = uint32(j + threads * uint32(4))
        else:
            j = t
            while j < c:
                dx[uint32(first + j)] = zero
                j = uint32(j + threads)

    return zeros


def forward_of(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel of loss, logsum, gradient and total in one form: see cuda/rows.py."""
    place, peak, whole = places(warps), peaks(kind, vector, warps), joining(added, warps)
    slopes, zeros = sloping(kind, vector, warps), nothing(kind, vector)
    sums_of, total_of, block = dividing_all(kind), totalling(kind), joining(added, WARPS)
    at_once = WARPS // warps  # rows of a block

    @cuda.jit
    def cross_entropy_rows(
        x,
        target,
        weight,
        ignored,
        smooth,
        mean,
        parts,
        n,
        c,
        span,
        tasks,
        loss,
        logsum,
        dx,
        divisor,
        losses,
        total,
        ticket,
    ):
        """Write loss, logsum and, where dx is not empty, the gradient of total of n rows of c.

        A task is `span` rows, whose losses a block adds up; the last block adds up the tasks.
        """
        held = cuda.shared.array(HELD, kind)
        last = cuda.shared.array(1, int32)
        _, _, t, threads = place()
        all_, by = sums_of(parts, held)
        all_ = all_ if weight.size else kind(c)
        by = by if mean else kind(1)
        each = smooth / kind(c)
        scale = kind(1) / by
        if cuda.blockIdx.x == 0 and cuda.threadIdx.x == 0:
            divisor[0] = by
        task = uint32(cuda.blockIdx.x)
        while task < tasks:
            row = uint32(task * span)
            end = min(n, uint32(row + span))
            if at_once > 1:
                row = uint32(row + uint32(cuda.threadIdx.x >> uint32(5)))
            sum_ = kind(0)
            while row < end:
                first = uint32(row * c)
                m, s = peak(x, first, c, t, threads, held)
                log = math.log1p(s + (m - m))  # NaN where the maximum is an infinity
                k = target[row]
                counts = k != ignored and is_class(k, c)
                spread = kind(0)
                if smooth > kind(0):
                    j = t
                    while j < c:
                        nll = log - (x[uint32(first + j)] - m)
                        spread += nll * weight[j] if weight.size else nll
                        j = uint32(j + threads)
                    spread, _ = whole(spread, kind(0), held)
                picked = kind(0)
                if counts:
                    picked = (kind(1) - smooth) * (weight[k] if weight.size else kind(1))
                if t == 0:
                    own = kind(0) if k == ignored else kind(math.nan)
                    if counts:
                        nll = log - (x[uint32(first + uint32(k))] - m)
                        own = picked * nll + each * spread
                    loss[row] = own
                    logsum[row] = float64(m) + float64(log)
                    sum_ += own
                if dx.size:
                    if counts:
                        slopes(
                            x,
                            first,
                            c,
                            t,
                            threads,
                            m,
                            log,
                            k,
                            picked,
                            each,
                            all_,
                            weight,
                            scale,
                            dx,
                        )
                    else:
                        zeros(dx, first, c, t, threads)
                row = uint32(row + uint32(at_once))
            sum_, _ = block(sum_, kind(0), held)
            if cuda.threadIdx.x == 0:
                losses[task] = sum_
            task = uint32(task + uint32(cuda.gridDim.x))
        if is_last(ticket, last):
            total_of(losses, tasks, by, held, total)

    return cross_entropy_rows


def backward_of(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel of the gradient in one form: see cuda/rows.py."""
    place, slopes = places(warps), sloping(kind, vector, warps)
    zeros, sums_of = nothing(kind, vector), dividing_all(kind)

    @cuda.jit
    def cross_entropy_gradient(scale, x, target, weight, ignored, smooth, parts, logsum, n, c, dx):
        """Write dx of n rows of c elements, each row scaled on its own."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, threads = place()
        all_ = kind(c)
        if weight.size:
            all_, _ = sums_of(parts, held)
        each = smooth / kind(c)
        while row < n:
            first = uint32(row * c)
            k = target[row]
            if k != ignored and is_class(k, c):
                high = kind(logsum[row])
                low = kind(logsum[row] - float64(high))
                own = (kind(1) - smooth) * (weight[k] if weight.size else kind(1))
                by = scale[row]
                slopes(x, first, c, t, threads, high, low, k, own, each, all_, weight, by, dx)
            else:
                zeros(dx, first, c, t, threads)
            row = uint32(row + step)

    return cross_entropy_gradient


FORWARD, BACKWARD = Rows(forward_of), Rows(backward_of)
DIVIDING = {"float32": dividing(float32), "float64": dividing(float64)}


def parts_of(
    target: DeviceArray, weight: DeviceArray, ignored: Any, mean: bool, ticket: DeviceArray
) -> DeviceArray:
    """Return the sums of the classes' weights and, for a mean, of the rows', a pair a part."""
    count = max(1, blocks(max(weight.size, target.size if mean else 0), PART))
    parts = scratch(2 * count, weight.dtype, target)
    few = target, weight, ignored, np.int32(mean), parts, ticket
    run(DIVIDING[weight.dtype.name], count, THREADS, *few)
    return parts


def cross_entropy_forward(
    x: DeviceArray,
    target: DeviceArray,
    weight: DeviceArray,
    ignore_index: int,
    label_smoothing: float,
    mean: bool,
    loss: DeviceArray,
    logsum: DeviceArray,
    total: DeviceArray,
    divisor: DeviceArray,
    dx: DeviceArray,
) -> None:
    """Compute loss, logsum, total, divisor and, where it is not empty, dx."""
    n, c = x.shape
    ignored, smooth = np.int64(ignore_index), number(label_smoothing, x)
    ticket = scratch(1, np.uint32, x)
    parts = parts_of(target, weight, ignored, mean, ticket)
    at_once = rows_at_once(c)
    span = at_once * max(1, blocks(n, at_once * TASKS))
    tasks = blocks(n, span) if x.size else 0
    losses = scratch(max(1, tasks), x.dtype, x)
    few = target, weight, ignored, smooth, np.int32(mean), parts, *sizes(n, c, span, tasks)
    walked = (x, dx) if dx.size else (x,)
    made = loss, logsum, flat(dx), divisor, losses, total, ticket
    FORWARD(tasks * at_once, c, walked, flat(x), *few, *made)


def cross_entropy_backward(
    scale: DeviceArray,
    x: DeviceArray,
    target: DeviceArray,
    weight: DeviceArray,
    ignore_index: int,
    label_smoothing: float,
    logsum: DeviceArray,
    dx: DeviceArray,
) -> None:
    """Compute dx: (N, C); scale: (N,), one factor a row."""
    n, c = x.shape
    if not x.size:
        return
    ignored = np.int64(ignore_index)
    parts = scratch(0, x.dtype, x)
    if weight.size:
        parts = parts_of(target, weight, ignored, False, scratch(1, np.uint32, x))
    few = target, weight, ignored, number(label_smoothing, x), parts, logsum, *sizes(n, c)
    BACKWARD(n, c, (x, dx), scale, flat(x), *few, flat(dx))


CUDA_KERNELS: dict[str, CudaKernel] = {
    "cross_entropy_forward": cross_entropy_forward,
    "cross_entropy_backward": cross_entropy_backward,
}
DOUBLES = float64[::1]
CHECKS: tuple[Check, ...] = (
    *FORWARD.checks(
        "cross_entropy_forward",
        lambda k: (
            *(k[::1], int64[::1], k[::1], int64, k, int32, k[::1], *[uint32] * 4),
            *(k[::1], DOUBLES, *[k[::1]] * 4, uint32[::1]),
        ),
        float64=True,
    ),
    *BACKWARD.checks(
        "cross_entropy_backward",
        lambda k: (
            *(k[::1], k[::1], int64[::1], k[::1], int64, k, k[::1], DOUBLES, uint32, uint32),
            k[::1],
        ),
        float64=True,
        always=(),
    ),
    *(
        Check(
            f"cross_entropy.divisor/{k}",
            DIVIDING[k.name],
            (int64[::1], k[::1], int64, int32, k[::1], uint32[::1]),
            ("SHFL.BFLY",),
            float64=k == float64,
        )
        for k in (float32, float64)
    ),
)
