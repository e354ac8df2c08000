"""Measure the limits of a GPU: multiply-adds from registers, copies of rising size."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda, float32, float64, uint32

from minigrad_kernels.compare.machine import Limits
from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import blocks, run
from minigrad_kernels.cuda.targets import Target

CHAINS = 8  # multiply-adds in flight in a thread: four cycles of latency, and as much again
UNROLLED = 8  # of them in a row, so that counting iterations costs little
TURNS = 1_024
THREADS = 256
BLOCKS = 8  # a multiprocessor, for the multiply-adds
STREAMS = 2  # of a copy: read and write
COPIES = tuple(2**power for power in range(16, 29, 2))  # bytes of the source: 64 KB to 256 MB
LEAST = 0.02  # seconds of launches that one measurement waits for


@cuda.jit
def multiply_adds(iterations, a, b, y):
    """Compute CHAINS sums s = s a + b a thread, `iterations` * UNROLLED times; add them into y."""
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    step = uint32(cuda.gridDim.x * cuda.blockDim.x)
    zero = y.dtype.type(0)
    while i < uint32(y.size):
        c, d, e, f, g, h, p, q = zero, zero, zero, zero, zero, zero, zero, zero
        k = uint32(0)
        while k < iterations:
            for _ in range(UNROLLED):
                c, d, e, f = c * a + b, d * a + b, e * a + b, f * a + b
                g, h, p, q = g * a + b, h * a + b, p * a + b, q * a + b
            k = uint32(k + uint32(1))
        y[i] = ((c + d) + (e + f)) + ((g + h) + (p + q))
        i = uint32(i + step)


@cuda.jit
def copy_vectors(x, y):
    """Copy float32 arrays of a multiple of four, 128 bits at once."""
    n = uint32(uint32(x.size) >> uint32(2))
    step = uint32(cuda.gridDim.x * cuda.blockDim.x)
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < n:
        index = uint32(i << uint32(2))
        ptx.store128(y, index, ptx.load128(x, index))
        i = uint32(i + step)


def seconds_of(call: Callable[[], Any], target: Target, least: float = LEAST) -> float:
    """Return the seconds of a launch among so many that they take `least` seconds in all."""
    call()
    target.synchronize()
    count = 1
    while True:
        start = time.perf_counter()
        for _ in range(count):
            call()
        target.synchronize()
        spent = time.perf_counter() - start
        if spent >= least:
            return spent / count
        count *= 2


def peak(target: Target, dtype: Any, iterations: int = TURNS, least: float = LEAST) -> float:
    """Return GFLOP/s of multiply-adds from registers."""
    y = target.empty(THREADS * BLOCKS * target.processors, dtype)
    kind = y.dtype.type
    args = np.uint32(iterations), kind(0.5), kind(1), y
    work = blocks(y.size, THREADS)
    spent = seconds_of(lambda: run(multiply_adds, work, THREADS, *args), target, least)
    return 2e-9 * iterations * UNROLLED * CHAINS * y.size / spent


def bandwidth(target: Target, nbytes: int, least: float = LEAST) -> float:
    """Return GB/s of a copy of so many bytes, counted as read and written."""
    x, y = (target.empty(nbytes // 4, np.float32) for _ in range(2))
    target.write(x, 1)
    work = blocks(nbytes // 16, THREADS)
    spent = seconds_of(lambda: run(copy_vectors, work, THREADS, x, y), target, least)
    return 1e-9 * STREAMS * nbytes / spent


@functools.cache
def limits(target: Target) -> Limits:
    """Measure a GPU's limits, once a process."""
    peaks = {dtype: peak(target, dtype) for dtype in ("float32", "float64")}
    copies = tuple((float(STREAMS * n), bandwidth(target, n)) for n in COPIES)
    return Limits(peaks, copies)


CUDA_KERNELS: dict[str, CudaKernel] = {}  # no kernel of the table
CHECKS: tuple[Check, ...] = (
    Check(
        "limits.multiply_adds/float32",
        multiply_adds,
        (uint32, float32, float32, float32[::1]),
        ("FFMA",),
        40,
    ),
    Check(
        "limits.multiply_adds/float64",
        multiply_adds,
        (uint32, float64, float64, float64[::1]),
        ("DFMA",),
        64,
        float64=True,
    ),
    Check("limits.copy", copy_vectors, (float32[::1],) * 2, ("LDG.E.128", "STG.E.128"), 40),
)
