"""Kernels of batch normalisation: from the chunks' sums to coefficients, and over the elements."""

from __future__ import annotations

import math
from typing import Any

from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.math.scalar import like
from minigrad_kernels.norm.cuda_channel_lanes import (
    affine,
    affine_4,
    load,
    of_channel,
    of_channel_4,
    slopes,
    slopes_4,
    store,
)
from minigrad_kernels.norm.cuda_channels import HELD, all_added, all_merged


# ---------------------------------------------------------------- from sums to coefficients
@cuda.jit(device=True)
def coefficients(k, var, eps, weight, bias, scale, offset):
    """Write the factor and the offset of a channel; return 1 / sqrt(var + eps)."""
    r = like(var, 1) / math.sqrt(var + eps)
    scale[k] = r * weight[k] if weight.size else r
    offset[k] = bias[k] if bias.size else like(var, 0)
    return r


@cuda.jit
def eval_coefficients(var, eps, weight, bias, rstd, scale, offset):
    """Write what a channel's elements are multiplied with and what is added: a thread a channel."""
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(var.size):
        rstd[k] = coefficients(k, var[k], eps, weight, bias, scale, offset)
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


def finish_moments_of(kind: Any) -> Any:
    """Return the kernel that joins the chunks of 32 channels a block, to mean, var and rstd."""

    @cuda.jit
    def finish(parts, total, each, chunks, eps, weight, bias, mean, var, rstd, scale, offset):
        """Write mean, var, rstd and the coefficients of all channels."""
        held = cuda.shared.array(HELD, kind)
        c = uint32(mean.size)
        first = uint32(cuda.blockIdx.x * uint32(32))
        while first < c:
            k = uint32(first + uint32(cuda.threadIdx.x & 31))
            part = all_merged(parts, chunks, each, total, k, c, held)
            if cuda.threadIdx.x < 32 and k < c:
                spread = part[1] / part[2]
                mean[k] = part[0]
                var[k] = spread
                rstd[k] = coefficients(k, spread, eps, weight, bias, scale, offset)
            first = uint32(first + uint32(cuda.gridDim.x * uint32(32)))

    return finish


def finish_products_of(kind: Any) -> Any:
    """Return the kernel that adds the chunks of 32 channels a block, to dw, db and coefficients."""

    @cuda.jit
    def finish(parts, total, each, chunks, inverse, weight, rstd, dw, db, scale, shift, slope):
        """Write dw, db and the coefficients of all channels."""
        held = cuda.shared.array(HELD, kind)
        c = uint32(rstd.size)
        first = uint32(cuda.blockIdx.x * uint32(32))
        while first < c:
            k = uint32(first + uint32(cuda.threadIdx.x & 31))
            part = all_added(parts, chunks, each, total, k, c, held)
            if cuda.threadIdx.x < 32 and k < c:
                r = rstd[k]
                scale[k] = r * weight[k] if weight.size else r
                shift[k] = part[0] * inverse
                slope[k] = part[1] * r * r * inverse
                if weight.size:
                    dw[k] = part[1] * r
                    db[k] = part[0]
            first = uint32(first + uint32(cuda.gridDim.x * uint32(32)))

    return finish


# ---------------------------------------------------------------- over the elements
def applying(lanes: int) -> tuple[Any, Any]:
    """Return the kernels that write y and dx, `lanes` elements a step of a thread."""
    get, put = (ptx.load128, ptx.store128) if lanes == 4 else (load, store)
    coefficient = of_channel_4 if lanes == 4 else of_channel
    make, change = (affine_4, slopes_4) if lanes == 4 else (affine, slopes)

    @cuda.jit
    def normalise(x, c, s, mean, scale, offset, y):
        """Write y = (x - mean) scale + offset."""
        rows = s == uint32(1)
        index = uint32(uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) * uint32(lanes))
        while index < uint32(x.size):
            k = uint32(uint32(index // s) % c)
            m = coefficient(mean, k, rows)
            a = coefficient(scale, k, rows)
            b = coefficient(offset, k, rows)
            put(y, index, make(get(x, index), m, a, b))
            index = uint32(index + uint32(cuda.gridDim.x * cuda.blockDim.x * uint32(lanes)))

    @cuda.jit
    def gradient(dy, x, c, s, mean, scale, shift, slope, dx):
        """Write dx = scale (dy - shift - (x - mean) slope); dx may be dy."""
        rows = s == uint32(1)
        index = uint32(uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) * uint32(lanes))
        while index < uint32(x.size):
            k = uint32(uint32(index // s) % c)
            m = coefficient(mean, k, rows)
            a = coefficient(scale, k, rows)
            b = coefficient(shift, k, rows)
            h = coefficient(slope, k, rows)
            put(dx, index, change(get(dy, index), get(x, index), m, a, b, h))
            index = uint32(index + uint32(cuda.gridDim.x * cuda.blockDim.x * uint32(lanes)))

    return normalise, gradient


@cuda.jit
def move_running(mean, var, momentum, unbias, running_mean, running_var):
    """Move the running statistics towards new ones, the variance unbiased: a thread a channel."""
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(mean.size):
        old = running_mean[k]
        running_mean[k] = cuda.fma(momentum, mean[k] - old, old)
        old = running_var[k]
        running_var[k] = cuda.fma(momentum, var[k] * unbias - old, old)
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


moments_single, moments_double = finish_moments_of(float32), finish_moments_of(float64)
products_single, products_double = finish_products_of(float32), finish_products_of(float64)
FINISH_MOMENTS = {float32: moments_single, float64: moments_double}
FINISH_PRODUCTS = {float32: products_single, float64: products_double}
normalise, gradient = applying(1)
normalise_4, gradient_4 = applying(4)
NORMALISE, GRADIENT = {1: normalise, 4: normalise_4}, {1: gradient, 4: gradient_4}
