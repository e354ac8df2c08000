"""CUDA kernel of dropout: a thread masks four elements with a Philox block's four words."""

from __future__ import annotations

import numpy as np
from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import (
    THREADS,
    blocks,
    counter,
    flat,
    number,
    run,
    vectors,
    word,
)
from minigrad_kernels.math.philox import halves, philox4x32


@cuda.jit
def drop(x, least, factor, low, high, stream, call, y):
    """Compute y = x factor where the word of the element >= least, else 0: four a step.

    The bits are those of any other number of threads, and of the CPU's.
    """
    n = uint32(x.size)
    step = uint32(cuda.gridDim.x * cuda.blockDim.x)
    block = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    zero = x.dtype.type(0)
    while uint32(block << uint32(2)) < n:
        w = philox4x32(block, uint32(0), call, stream, low, high)
        i = uint32(block << uint32(2))
        for k in range(4):
            index = uint32(i + uint32(k))
            if index < n:
                y[index] = x[index] * factor if w[k] >= least else zero
        block = uint32(block + step)


@cuda.jit
def drop_vectors(x, least, factor, low, high, stream, call, y):
    """Compute what `drop` does for float32 arrays of a multiple of four, 128 bits at once."""
    n = uint32(uint32(x.size) >> uint32(2))
    step = uint32(cuda.gridDim.x * cuda.blockDim.x)
    block = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    zero = float32(0)
    while block < n:
        a, b, c, d = philox4x32(block, uint32(0), call, stream, low, high)
        index = uint32(block << uint32(2))
        v = ptx.load128(x, index)
        kept = (
            v[0] * factor if a >= least else zero,
            v[1] * factor if b >= least else zero,
            v[2] * factor if c >= least else zero,
            v[3] * factor if d >= least else zero,
        )
        ptx.store128(y, index, kept)
        block = uint32(block + step)


def dropout(
    x: DeviceArray,
    p: float,
    scale: float,
    seed: int,
    stream: int,
    call: Array,
    y: DeviceArray,
) -> None:
    """Write y = x * scale where word(i) >= p * 2^32, else 0: see randomness/dropout.py."""
    if not x.size:
        return
    least = int(p * 2**32)
    if least >= 2**32:
        y.target.write(y, 0)
        return
    low, high = halves(seed)
    words = [*map(word, (low, high, stream)), counter(call, word)]
    kernel = drop_vectors if vectors(x, y) else drop
    work = blocks(blocks(x.size, 4))
    run(kernel, work, THREADS, flat(x), np.uint32(least), number(scale, x), *words, flat(y))


CUDA_KERNELS: dict[str, CudaKernel] = {"dropout": dropout}

WORDS = (uint32,) * 4
CHECKS: tuple[Check, ...] = (
    Check(
        "dropout.vectors",
        drop_vectors,
        (float32[::1], uint32, float32, *WORDS, float32[::1]),
        ("LDG.E.128", "STG.E.128"),
        40,
    ),
    Check("dropout/float32", drop, (float32[::1], uint32, float32, *WORDS, float32[::1])),
    Check(
        "dropout/float64", drop, (float64[::1], uint32, float64, *WORDS, float64[::1]), float64=True
    ),
)
