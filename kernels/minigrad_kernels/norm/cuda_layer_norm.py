"""CUDA kernels of layer normalisation.

A row's moments take two passes over it, the second from the cache; a thread adds up
a column of dw and db over CHUNK rows at a time, and the chunks are added in order, compensated.
"""

from __future__ import annotations

import math
from typing import Any

from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, number, run, scratch
from minigrad_kernels.cuda.rows import HELD, Rows, added, joining, places, sizes

CHUNK = 64  # rows whose sums one thread adds up


@cuda.jit(device=True)
def affine(v, weight, bias, j):
    """Return v weight[j] + bias[j], without what is not there."""
    if weight.size:
        v = v * weight[j]
    if bias.size:
        v = v + bias[j]
    return v


def forward_of(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel of the forward direction in one form: see cuda/rows.py."""
    place, whole = places(warps), joining(added, warps)

    @cuda.jit
    def layer_norm_rows(x, weight, bias, eps, n, c, mean, rstd, y):
        """Write mean, 1 / sqrt(var + eps) and the normalised elements of n rows of c."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, threads = place()
        share = kind(1) / kind(c)
        while row < n:
            first = uint32(row * c)
            total = kind(0)
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    v = ptx.load128(x, uint32(first + j))
                    total += (v[0] + v[1]) + (v[2] + v[3])
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    total += x[uint32(first + j)]
                    j = uint32(j + threads)
            total, _ = whole(total, kind(0), held)
            centre = total * share
            square, rest = kind(0), kind(0)
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    v = ptx.load128(x, uint32(first + j))
                    p, q, r, o = v[0] - centre, v[1] - centre, v[2] - centre, v[3] - centre
                    square += (p * p + q * q) + (r * r + o * o)
                    rest += (p + q) + (r + o)
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    p = x[uint32(first + j)] - centre
                    square += p * p
                    rest += p
                    j = uint32(j + threads)
            square, rest = whole(square, rest, held)
            rest = rest * share  # what rounding took from the mean
            centre = centre + rest
            variance = square * share - rest * rest
            if variance < kind(0):  # by rounding; a NaN stays one
                variance = kind(0)
            scale = kind(1) / math.sqrt(variance + eps)
            if t == 0:
                mean[row] = centre
                rstd[row] = scale
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    v = ptx.load128(x, uint32(first + j))
                    made = (
                        affine((v[0] - centre) * scale, weight, bias, j),
                        affine((v[1] - centre) * scale, weight, bias, uint32(j + uint32(1))),
                        affine((v[2] - centre) * scale, weight, bias, uint32(j + uint32(2))),
                        affine((v[3] - centre) * scale, weight, bias, uint32(j + uint32(3))),
                    )
                    ptx.store128(y, uint32(first + j), made)
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    index = uint32(first + j)
                    y[index] = affine((x[index] - centre) * scale, weight, bias, j)
                    j = uint32(j + threads)
            row = uint32(row + step)

    return layer_norm_rows


@cuda.jit(device=True)
def weighed(g, weight, j):
    """Return g weight[j], or g where there is no weight."""
    return g * weight[j] if weight.size else g


def backward_of(kind: Any, vector: bool, warps: int) -> Any:
    """Return the kernel that writes dx in one form: see cuda/rows.py."""
    place, whole = places(warps), joining(added, warps)

    @cuda.jit
    def layer_norm_gradient(dy, x, weight, mean, rstd, n, c, dx):
        """Write dx of n rows of c elements."""
        held = cuda.shared.array(HELD, kind)
        row, step, t, threads = place()
        share = kind(1) / kind(c)
        while row < n:
            first = uint32(row * c)
            centre, scale = mean[row], rstd[row]
            total, product = kind(0), kind(0)
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    d, v = ptx.load128(dy, uint32(first + j)), ptx.load128(x, uint32(first + j))
                    p = weighed(d[0], weight, j)
                    q = weighed(d[1], weight, uint32(j + uint32(1)))
                    r = weighed(d[2], weight, uint32(j + uint32(2)))
                    o = weighed(d[3], weight, uint32(j + uint32(3)))
                    total += (p + q) + (r + o)
                    left = p * (v[0] - centre) + q * (v[1] - centre)
                    product += left + (r * (v[2] - centre) + o * (v[3] - centre))
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    p = weighed(dy[uint32(first + j)], weight, j)
                    total += p
                    product += p * (x[uint32(first + j)] - centre)
                    j = uint32(j + threads)
            total, product = whole(total, product, held)
            total = total * share
            product = product * share * scale * scale
            if vector:
                j = uint32(t * uint32(4))
                while j < c:
                    d, v = ptx.load128(dy, uint32(first + j)), ptx.load128(x, uint32(first + j))
                    p = weighed(d[0], weight, j)
                    q = weighed(d[1], weight, uint32(j + uint32(1)))
                    r = weighed(d[2], weight, uint32(j + uint32(2)))
                    o = weighed(d[3], weight, uint32(j + uint32(3)))
                    made = (
                        scale * (p - total - (v[0] - centre) * product),
                        scale * (q - total - (v[1] - centre) * product),
                        scale * (r - total - (v[2] - centre) * product),
                        scale * (o - total - (v[3] - centre) * product),
                    )
                    ptx.store128(dx, uint32(first + j), made)
                    j = uint32(j + threads * uint32(4))
            else:
                j = t
                while j < c:
                    index = uint32(first + j)
                    p = weighed(dy[index], weight, j)
                    dx[index] = scale * (p - total - (x[index] - centre) * product)
                    j = uint32(j + threads)
            row = uint32(row + step)

    return layer_norm_gradient


# ---------------------------------------------------------------- sums over the rows
@cuda.jit
def column_parts(dy, x, mean, rstd, n, c, parts):
    """Write the sums of dy xhat and of dy over chunks of rows: (chunks, 2, c).

    A thread adds up a column of a chunk.
    """
    tasks = uint32(uint32(parts.size) >> uint32(1))
    task = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while task < tasks:
        chunk = uint32(task // c)
        column = uint32(task - chunk * c)
        row = uint32(chunk * uint32(CHUNK))
        end = min(n, uint32(row + uint32(CHUNK)))
        product, total = dy.dtype.type(0), dy.dtype.type(0)
        while row < end:
            index = uint32(row * c + column)
            product += dy[index] * ((x[index] - mean[row]) * rstd[row])
            total += dy[index]
            row = uint32(row + uint32(1))
        index = uint32(uint32(chunk * uint32(2)) * c + column)
        parts[index] = product
        parts[uint32(index + c)] = total
        task = uint32(task + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def joined_parts(parts, chunks, c, dw, db):
    """Add up the chunks in order, with what rounding lost: a thread a column.

    Source: Kahan, "Further remarks on reducing truncation errors" (1965).
    """
    column = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while column < c:
        zero = parts.dtype.type(0)
        product, total, lost, missed = zero, zero, zero, zero
        k = uint32(0)
        while k < chunks:
            index = uint32(uint32(k * uint32(2)) * c + column)
            v = parts[index] - lost
            after = product + v
            lost = (after - product) - v
            product = after
            v = parts[uint32(index + c)] - missed
            after = total + v
            missed = (after - total) - v
            total = after
            k = uint32(k + uint32(1))
        dw[column] = product
        db[column] = total
        column = uint32(column + uint32(cuda.gridDim.x * cuda.blockDim.x))


FORWARD, BACKWARD = Rows(forward_of), Rows(backward_of)


def layer_norm_forward(
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    eps: float,
    mean: DeviceArray,
    rstd: DeviceArray,
    y: DeviceArray,
) -> None:
    """Compute mean, rstd and y: see norm/layer_norm.py for shapes."""
    n, c = x.shape
    if x.size:
        few = weight, bias, number(eps, x), *sizes(n, c), mean, rstd
        FORWARD(n, c, (x, y), flat(x), *few, flat(y))


def layer_norm_backward(
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
    n, c = x.shape
    if x.size:
        few = weight, mean, rstd, *sizes(n, c)
        BACKWARD(n, c, (dy, x, dx), flat(dy), flat(x), *few, flat(dx))
    if dw.size:
        chunks = blocks(n, CHUNK)
        parts = scratch(max(1, 2 * chunks * c), x.dtype, x)
        if chunks:
            few = mean, rstd, *sizes(n, c), parts
            run(column_parts, blocks(chunks * c), THREADS, flat(dy), flat(x), *few)
        run(joined_parts, blocks(c), THREADS, parts, *sizes(chunks, c), dw, db)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "layer_norm_forward": layer_norm_forward,
    "layer_norm_backward": layer_norm_backward,
}
CHECKS: tuple[Check, ...] = (
    *FORWARD.checks(
        "layer_norm_forward",
        lambda k: (k[::1], k[::1], k[::1], k, uint32, uint32, k[::1], k[::1], k[::1]),
    ),
    *BACKWARD.checks("layer_norm_backward", lambda k: (*[k[::1]] * 5, uint32, uint32, k[::1])),
    *(
        check
        for k in (float32, float64)
        for check in (
            Check(
                f"layer_norm_backward.columns/{k}",
                column_parts,
                (*[k[::1]] * 4, uint32, uint32, k[::1]),
                float64=k == float64,
            ),
            Check(
                f"layer_norm_backward.joined/{k}",
                joined_parts,
                (k[::1], uint32, uint32, k[::1], k[::1]),
                float64=k == float64,
            ),
        )
    ),
)
