"""CUDA kernels of batch normalisation, an activation and dropout, as one pass after the statistics.

The mask is the CPU's bit by bit: element i takes word i % 4 of Philox block i // 4, so that a
thread which reads four elements at once draws one block for them.  Where rows are no multiple of
four, each element draws its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import blocks, counter, flat, number, run, scratch, word
from minigrad_kernels.math.philox import halves, philox4x32
from minigrad_kernels.math.scalar import like
from minigrad_kernels.norm.cuda_batch_norm import (
    elements,
    finish_backward,
    kind_of,
    lanes_of,
    moments,
    sizes,
)
from minigrad_kernels.norm.cuda_batch_norm_passes import GRADIENT
from minigrad_kernels.norm.cuda_channel_lanes import (
    affine,
    affine_4,
    load,
    nothing,
    nothing_4,
    of_channel,
    of_channel_4,
    product,
    product_4,
    store,
)
from minigrad_kernels.norm.cuda_channels import HELD, THREADS, added, block_added, leaving, tasks_of


# ---------------------------------------------------------------- the mask
@cuda.jit(device=True)
def masked(g, z, relu, factor, word, least):
    """Return g factor where the word keeps it, and z is above 0 or NaN or there is no relu."""
    return like(g, 0) if word < least or (relu and z <= like(z, 0)) else g * factor


@cuda.jit(device=True)
def masks(index, g, z, relu, factor, least, low, high, stream, call):
    """Return g behind the mask for the one element at index `index`."""
    w = philox4x32(uint32(index >> uint32(2)), uint32(0), call, stream, low, high)
    k = uint32(index & uint32(3))
    word = w[0] if k == 0 else (w[1] if k == 1 else (w[2] if k == 2 else w[3]))
    return (masked(g[0], z[0], relu, factor, word, least),)


@cuda.jit(device=True)
def masks_4(index, g, z, relu, factor, least, low, high, stream, call):
    """Return g behind the mask for the four elements from index `index` on, a multiple of four."""
    w = philox4x32(uint32(index >> uint32(2)), uint32(0), call, stream, low, high)
    return (
        masked(g[0], z[0], relu, factor, w[0], least),
        masked(g[1], z[1], relu, factor, w[1], least),
        masked(g[2], z[2], relu, factor, w[2], least),
        masked(g[3], z[3], relu, factor, w[3], least),
    )


# ---------------------------------------------------------------- kernels
def forward_of(lanes: int) -> Any:
    """Return the kernel that writes y, `lanes` elements at a time."""
    get, put = (ptx.load128, ptx.store128) if lanes == 4 else (load, store)
    coefficient = of_channel_4 if lanes == 4 else of_channel
    make, mask = (affine_4, masks_4) if lanes == 4 else (affine, masks)

    @cuda.jit
    def forward(x, c, mean, scale, offset, relu, factor, least, low, high, stream, call, y):
        """Write y, `lanes` elements a step of a thread."""
        index = uint32(uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) * uint32(lanes))
        while index < uint32(x.size):
            k = uint32(index % c)
            m = coefficient(mean, k, True)
            a = coefficient(scale, k, True)
            z = make(get(x, index), m, a, coefficient(offset, k, True))
            put(y, index, mask(index, z, z, relu, factor, least, low, high, stream, call))
            index = uint32(index + uint32(cuda.gridDim.x * cuda.blockDim.x * uint32(lanes)))

    return forward


def sums_of(kind: Any, lanes: int) -> Any:
    """Return the kernel that writes g and leaves each chunk's sums of g and of g (x - mean)."""
    get, put = (ptx.load128, ptx.store128) if lanes == 4 else (load, store)
    none, one = (nothing_4, product_4) if lanes == 4 else (nothing, product)
    coefficient = of_channel_4 if lanes == 4 else of_channel
    make, mask = (affine_4, masks_4) if lanes == 4 else (affine, masks)
    done = leaving(added, block_added, lanes)

    @cuda.jit
    def masked_products(
        dy, x, c, total, row_lanes, each, chunks, tiles, mean, scale, offset,
        relu, factor, least, low, high, stream, call, dx, parts,
    ):  # fmt: skip
        """Write g, dy behind the mask, to dx; leave its sum and that of g (x - mean) of a chunk."""
        held = cuda.shared.array(HELD, kind)
        t = uint32(cuda.threadIdx.x)
        lane = uint32(t % row_lanes)
        step = uint32(uint32(THREADS) // row_lanes)
        task = uint32(cuda.blockIdx.x)
        while task < uint32(chunks * tiles):
            chunk = uint32(task // tiles)
            channel = uint32(
                uint32(uint32(uint32(task % tiles) * row_lanes) + lane) * uint32(lanes)
            )
            begin = uint32(chunk * each)
            end = min(total, uint32(begin + each))
            row = uint32(begin + uint32(t // row_lanes))
            state = none(kind(0))
            if channel < c:
                m = coefficient(mean, channel, True)
                a = coefficient(scale, channel, True)
                b = coefficient(offset, channel, True)
                while row < end:
                    index = uint32(uint32(row * c) + channel)
                    v = get(x, index)
                    z = make(v, m, a, b)
                    g = mask(index, get(dy, index), z, relu, factor, least, low, high, stream, call)
                    put(dx, index, g)
                    state = one(state, g, v, m)
                    row = uint32(row + step)
            done(state, kind(0), row_lanes, held, parts, chunk, channel, c, True)
            task = uint32(task + cuda.gridDim.x)

    return masked_products


@cuda.jit
def factors(rstd, weight, bias, scale, offset):
    """Write what a channel's elements are multiplied with and what is added: a thread a channel."""
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(rstd.size):
        scale[k] = rstd[k] * weight[k] if weight.size else rstd[k]
        offset[k] = bias[k] if bias.size else like(rstd[k], 0)
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


forward, forward_4 = forward_of(1), forward_of(4)
sums_4, sums_single, sums_double = sums_of(float32, 4), sums_of(float32, 1), sums_of(float64, 1)
FORWARD = {1: forward, 4: forward_4}
SUMS = {(float32, 4): sums_4, (float32, 1): sums_single, (float64, 1): sums_double}


# ---------------------------------------------------------------- CUDA kernels
def mask_of(
    relu: int, p: float, scale: float, seed: int, stream: int, call: Array, x: DeviceArray
) -> tuple[Any, ...]:
    """Return what the kernels take for the activation and the draw."""
    least = int(p * 2**32)
    words = (*map(word, (*halves(seed), stream)), counter(call, word))
    return np.uint32(relu), number(scale, x), np.uint32(least), *words


def batch_norm_dropout_forward(
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    eps: float,
    relu: int,
    p: float,
    scale: float,
    seed: int,
    stream: int,
    call: Array,
    mean: DeviceArray,
    var: DeviceArray,
    rstd: DeviceArray,
    y: DeviceArray,
) -> None:
    """Compute mean, biased var, rstd and y: see norm/batch_norm_dropout.py for shapes."""
    if not x.size:
        return
    column = x.reshape(*x.shape, 1)
    slope, offset = moments(column, weight, bias, eps, mean, var, rstd)
    lanes = lanes_of(column, y.reshape(column.shape))
    mask = mask_of(relu, p, scale, seed, stream, call, x)
    work = blocks(blocks(x.size, lanes), THREADS)
    width = np.uint32(x.shape[1])
    run(FORWARD[lanes], work, THREADS, flat(x), width, mean, slope, offset, *mask, flat(y))


def batch_norm_dropout_backward(
    dy: DeviceArray,
    x: DeviceArray,
    weight: DeviceArray,
    bias: DeviceArray,
    mean: DeviceArray,
    rstd: DeviceArray,
    relu: int,
    p: float,
    scale: float,
    seed: int,
    stream: int,
    call: Array,
    dx: DeviceArray,
    dw: DeviceArray,
    db: DeviceArray,
) -> None:
    """Compute dx, and dw and db where there is a weight."""
    column, out = x.reshape(*x.shape, 1), dx.reshape(*x.shape, 1)
    lanes = lanes_of(column, dy.reshape(column.shape), out)
    cut = tasks_of(column, lanes)
    parts = scratch(2 * cut.chunks * cut.channels, x.dtype, x)
    if x.size:
        slope, offset = (scratch(rstd.size, x.dtype, x) for _ in range(2))
        run(factors, blocks(rstd.size, THREADS), THREADS, rstd, weight, bias, slope, offset)
        run(
            SUMS[kind_of(x), lanes],
            cut.chunks * cut.tiles,
            THREADS,
            flat(dy),
            flat(x),
            *sizes(cut.channels, cut.total, cut.row_lanes, cut.each, cut.chunks, cut.tiles),
            mean,
            slope,
            offset,
            *mask_of(relu, p, scale, seed, stream, call, x),
            flat(dx),
            parts,
        )
    made = finish_backward(parts, cut, len(x), weight, rstd, dw, db)
    if x.size:
        elements(GRADIENT[lanes], lanes, column, (dx, x), (mean, *made, flat(dx)))


CUDA_KERNELS: dict[str, CudaKernel] = {
    "batch_norm_dropout_forward": batch_norm_dropout_forward,
    "batch_norm_dropout_backward": batch_norm_dropout_backward,
}


def checks() -> list[Check]:
    """Return the checks of all forms of these kernels."""
    found = []
    for kind, lanes in SUMS:
        line, double = kind[::1], kind == float64
        mask = uint32, kind, *(uint32,) * 5
        tag = f"{kind}.vectors" if lanes == 4 else str(kind)
        opcodes = ("LDG.E.128", "STG.E.128") if lanes == 4 else ()
        passed = line, uint32, line, line, line, *mask, line
        sums = line, line, *(uint32,) * 6, line, line, line, *mask, line, line
        found += [
            Check(f"batch_norm_dropout.forward/{tag}", FORWARD[lanes], passed, opcodes, 64, double),
            Check(f"batch_norm_dropout.sums/{tag}", SUMS[kind, lanes], sums, opcodes, 96, double),
        ]
        if lanes == 1:
            found.append(
                Check(f"batch_norm_dropout.factors/{tag}", factors, (line,) * 5, (), 32, double)
            )
    return found


CHECKS: tuple[Check, ...] = tuple(checks())
