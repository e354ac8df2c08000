"""CUDA kernels of cross-entropy: what divides the losses, a loss and a gradient a row, their sum.

The divisor and the sum are one block's, in a fixed order.  A row's maximum and sum of exponentials
come from one pass over it, the gradient, where it is asked for, from a second one, out of the
cache.  The logarithm of the sum is kept in float64, one conversion a row; what is computed an
element is float32 for float32.  A row whose class number is out of range has loss NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, float64, int32, int64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import flat, number, run, scratch
from minigrad_kernels.cuda.rows import HELD, THREADS, WARPS, Rows, added, joining, places, sizes
from minigrad_kernels.math.scalar import like
from minigrad_kernels.softmax.cuda_softmax import peaks


@cuda.jit(device=True)
def is_class(k, c):
    """Tell whether a class number is one of c; any other is judged by cuda_classes.py."""
    return k >= int64(0) and k < int64(c)


# ---------------------------------------------------------------- one block over all rows
def dividing(kind: Any) -> Any:
    """Return the kernel that adds up the weights of classes and rows."""
    whole = joining(added, WARPS)

    @cuda.jit
    def divisor_of(target, weight, ignored, mean, sums, divisor):
        """Write the sum of the classes' weights to sums[0], and the divisor of a mean.

        Without weights the sum is the number of classes; the divisor is the sum of the weights of
        the rows that count, or 1 where no mean is asked for.
        """
        held = cuda.shared.array(HELD, kind)
        t = uint32(cuda.threadIdx.x)
        all_, some = kind(0), kind(0)
        j = t
        while j < uint32(weight.size):
            all_ += weight[j]
            j = uint32(j + uint32(THREADS))
        if mean:
            j = t
            while j < uint32(target.size):
                k = target[j]
                if k != ignored and (not weight.size or is_class(k, uint32(weight.size))):
                    some += weight[k] if weight.size else kind(1)
                j = uint32(j + uint32(THREADS))
        all_, some = whole(all_, some, held)
        if t == 0:
            sums[0] = all_
            divisor[0] = some if mean else kind(1)

    return divisor_of


def totalling(kind: Any) -> Any:
    """Return the kernel that adds up the losses."""
    whole = joining(added, WARPS)

    @cuda.jit
    def total_of(loss, divisor, total):
        """Write the sum of the losses over the divisor."""
        held = cuda.shared.array(HELD, kind)
        t = uint32(cuda.threadIdx.x)
        found = kind(0)
        j = t
        while j < uint32(loss.size):
            found += loss[j]
            j = uint32(j + uint32(THREADS))
        found, _ = whole(found, kind(0), held)
        if t == 0:
            total[0] = found / divisor[0]

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
    """Return the kernel of loss, logsum and gradient in one form: see cuda/rows.py."""
    place, peak, whole = places(warps), peaks(kind, vector, warps), joining(added, warps)
    slopes, zeros = sloping(kind, vector, warps), nothing(kind, vector)

    @cuda.jit
    def cross_entropy_rows(
        x, target, weight, ignored, smooth, sums, divisor, n, c, loss, logsum, dx
    ):
        """Write loss, logsum and, where dx is not empty, the gradient of total of n rows of c."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, threads = place()
        all_ = sums[0] if weight.size else kind(c)
        each = smooth / kind(c)
        scale = kind(1) / divisor[0]
        while row < n:
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
                    own = picked * (log - (x[uint32(first + uint32(k))] - m)) + each * spread
                loss[row] = own
                logsum[row] = float64(m) + float64(log)
            if dx.size:
                if counts:
                    slopes(
                        x, first, c, t, threads, m, log, k, picked, each, all_, weight, scale, dx
                    )
                else:
                    zeros(dx, first, c, t, threads)
            row = uint32(row + step)

    return cross_entropy_rows


def backward_of(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel of the gradient in one form: see cuda/rows.py."""
    place, slopes = places(warps), sloping(kind, vector, warps)
    zeros = nothing(kind, vector)

    @cuda.jit
    def cross_entropy_gradient(scale, x, target, weight, ignored, smooth, sums, logsum, n, c, dx):
        """Write dx of n rows of c elements, each row scaled on its own."""
        row, step, t, threads = place()
        all_ = sums[0] if weight.size else kind(c)
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
TOTALLING = {"float32": totalling(float32), "float64": totalling(float64)}


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
    kind = x.dtype.name
    sums = scratch(1, x.dtype, x)
    ignored = np.int64(ignore_index)
    run(DIVIDING[kind], 1, THREADS, target, weight, ignored, np.int32(mean), sums, divisor)
    if x.size:
        few = target, weight, ignored, number(label_smoothing, x), sums, divisor, *sizes(n, c)
        walked = (x, dx) if dx.size else (x,)
        FORWARD(n, c, walked, flat(x), *few, loss, logsum, flat(dx))
    run(TOTALLING[kind], 1, THREADS, loss, divisor, total)


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
    sums, spare = scratch(1, x.dtype, x), scratch(1, x.dtype, x)
    ignored = np.int64(ignore_index)
    run(DIVIDING[x.dtype.name], 1, THREADS, target, weight, ignored, np.int32(0), sums, spare)
    few = target, weight, ignored, number(label_smoothing, x), sums, logsum, *sizes(n, c)
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
            *(k[::1], int64[::1], k[::1], int64, k, k[::1], k[::1], uint32, uint32),
            *(k[::1], DOUBLES, k[::1]),
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
        check
        for k in (float32, float64)
        for check in (
            Check(
                f"cross_entropy.divisor/{k}",
                DIVIDING[k.name],
                (int64[::1], k[::1], int64, int32, k[::1], k[::1]),
                ("SHFL.BFLY",),
                float64=k == float64,
            ),
            Check(
                f"cross_entropy.total/{k}",
                TOTALLING[k.name],
                (k[::1], k[::1], k[::1]),
                ("SHFL.BFLY",),
                float64=k == float64,
            ),
        )
    ),
)
