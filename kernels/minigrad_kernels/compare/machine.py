"""Measure the limits of this machine: multiply-adds from registers, copies at every working set.

Both are vector code of the host's full width, written as the kernels are (simd/registers.py), with
nothing around it.  A copy of n bytes counts 3 n of traffic: read, write, and the read of the
target's lines that plain stores bring on (write-allocate).  Streaming stores spare that third, so a
kernel that uses them may move more by this count than a copy does.
"""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic

from minigrad_kernels.compare.timing import QUICK, Pace, run_block, thread_counts
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.simd.registers import (
    BYTE_POINTER,
    VECTOR_BYTES,
    VECTOR_REGISTERS,
    address,
    number,
    vector_of,
)

Array = np.ndarray[Any, Any]
CHAINS = VECTOR_REGISTERS - 4  # multiply-adds in flight: 2 units of latency 4 need 8
LINES = 4 * VECTOR_BYTES  # copied in one iteration of the loop
STREAMS = 3  # of a copy: read, write, write-allocate
COPIES = tuple(2**power for power in range(13, 29))  # bytes of the source: 8 KB to 256 MB
QUICK_COPIES = (2**13, 2**20)
LOOK = Pace(rounds=1, block=0.05, warmups=2, pause=0.0)


@intrinsic
def multiply_adds(typingctx, iterations, a, b):
    """Return the sum of CHAINS x lanes sums s, each by s = s a + b in every iteration, from 0."""
    if a not in (types.float32, types.float64) or a != b:
        return None

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = vector_of(context, builder, signature.args[1])
        iterations = context.cast(builder, args[0], signature.args[0], types.int64)
        factor, term = v.splat(args[1]), v.splat(args[2])
        before = builder.block
        loop, done = (builder.append_basic_block(name) for name in ("iteration", "done"))
        builder.branch(loop)
        builder.position_at_end(loop)
        iteration = v.phi(number(0), before)
        sums = [v.phi(v.zero, before) for _ in range(CHAINS)]
        after = [v.multiply_add(s, factor, term) for s in sums]
        for s, following in zip(sums, after, strict=True):
            s.add_incoming(following, loop)
        iteration.add_incoming(builder.add(iteration, number(1)), loop)
        builder.cbranch(builder.icmp_signed("<", iteration, iterations), loop, done)
        builder.position_at_end(done)
        total = functools.reduce(builder.fadd, after)
        lanes = [builder.extract_element(total, ir.IntType(32)(i)) for i in range(v.width)]
        return functools.reduce(builder.fadd, lanes)

    return a(iterations, a, b), codegen


@intrinsic
def copy_lines(typingctx, dtype, source, target):
    """Copy LINES bytes between addresses, by plain vector loads and stores."""
    element = parse_dtype(dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        v = vector_of(context, builder, element)
        read, write = (builder.inttoptr(where, BYTE_POINTER) for where in args[1:])
        values = [v.load(v.at(read, offset)) for offset in range(0, LINES, v.bytes)]
        for value, offset in zip(values, range(0, LINES, v.bytes), strict=True):
            v.store(value, v.at(write, offset))
        return context.get_dummy_value()

    return types.void(dtype, source, target), codegen


@jit(parallel=True)
def peak_kernel(iterations, a, b, out):
    """Run the multiply-adds on every thread."""
    for i in numba.prange(out.size):
        out[i] = multiply_adds(iterations, a, b)


@jit(parallel=True)
def copy_kernel(x, y, size, times, threads):
    """Copy the first `size` bytes several times over, each thread its own part."""
    source, target = address(x), address(y)
    part = size // threads // LINES * LINES
    for i in numba.prange(threads):
        first = i * part
        last = size // LINES * LINES if i == threads - 1 else first + part
        for _ in range(times):
            for offset in range(first, last, LINES):
                copy_lines(np.float32, source + offset, target + offset)


# ---------------------------------------------------------------- the limits in use
@dataclass(frozen=True)
class Limits:
    """The most this machine ever did, on as many threads as did it best.

    peak: dtype -> GFLOP/s.  copies: (bytes of traffic, GB/s) of copies of rising size.
    """

    peak: dict[str, float]
    copies: tuple[tuple[float, float], ...]

    def bandwidth(self, traffic: float) -> float:
        """Return the GB/s of a copy with that traffic, from the nearest two measured."""
        sizes, speeds = zip(*self.copies, strict=True)
        return float(np.interp(np.log(max(traffic, 1.0)), np.log(sizes), speeds))

    def floor(self, flops: float, traffic: float, dtype: str = "float32") -> float:
        """Return the seconds that a computation takes at least: the roofline."""
        return max(flops / self.peak[dtype], traffic / self.bandwidth(traffic)) * 1e-9

    def as_json(self) -> dict[str, Any]:
        """Return the limits as plain data, the copies' sizes in MB."""
        copies = [[float(f"{size * 1e-6:.4g}"), round(speed, 1)] for size, speed in self.copies]
        peak = {dtype: round(speed, 1) for dtype, speed in self.peak.items()}
        return {"peak_gflops": peak, "copy_mb_gbps": copies}


@functools.cache
def limits(quick: bool = False) -> Limits:
    """Measure the limits, some 4 s; once a process."""
    pace = QUICK if quick else LOOK
    before = numba.get_num_threads()
    peak: dict[str, float] = {}
    copies: list[tuple[float, float]] = []
    for dtype in ("float32", "float64"):
        peak[dtype] = best(pace, partial(peak_call, np.dtype(dtype)), peak_flops(dtype))
    for size in QUICK_COPIES if quick else COPIES:
        x, y = aligned(size), aligned(size)
        times = repeats(size)
        call = partial(copy_call, x, y, size, times)
        copies.append((STREAMS * size, best(pace, call, copied_bytes(size * times))))
    numba.set_num_threads(before)
    return Limits(peak, tuple(copies))


def best(
    pace: Pace, make: Callable[[int], Callable[[], Any]], amount: Callable[[int], float]
) -> float:
    """Return the best over thread counts of 1e-9 amount(threads) a second."""
    speeds = []
    for threads in thread_counts():
        numba.set_num_threads(threads)
        speeds.append(1e-9 * amount(threads) / min(run_block(make(threads), pace)))
        time.sleep(pace.pause)
    return max(speeds)


TURNS = 50_000


def peak_flops(dtype: str) -> Callable[[int], float]:
    """Return flops of a peak call for a number of threads."""
    lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
    return lambda threads: 2.0 * TURNS * CHAINS * lanes * threads


def peak_call(dtype: np.dtype[Any], threads: int) -> Callable[[], Array]:
    """Return the multiply-adds on `threads` threads; each gives 2 a chain, the limit of s/2 + 1."""
    half, one, out = dtype.type(0.5), dtype.type(1), np.empty(threads, dtype)

    def call() -> Array:
        peak_kernel(TURNS, half, one, out)
        return out

    return call


def copied_bytes(size: int) -> Callable[[int], float]:
    """Return the traffic in bytes of a copy of `size` bytes, the same on any number of threads."""
    return lambda threads: float(STREAMS * size)


def copy_call(x: Array, y: Array, size: int, times: int, threads: int) -> Callable[[], Array]:
    """Return the copy of `size` bytes, `times` over."""

    def call() -> Array:
        copy_kernel(x, y, size, times, threads)
        return y

    return call


def repeats(size: int) -> int:
    """Return how many copies of `size` bytes one call makes: some 16 MB, so that a call is free."""
    return max(1, 2**24 // size)


def aligned(size: int) -> Array:
    """Return bytes that start at a cache line, every page of them mapped."""
    base = np.ones(size + 64, np.uint8)
    start = -base.ctypes.data % 64
    return base[start : start + size]


def cpu_model() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
