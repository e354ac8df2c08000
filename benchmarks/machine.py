"""The machine's limits beside NumPy's and PyTorch's copies.

See `minigrad_kernels.compare.machine`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.harness import Array, Benchmark, agree, with_torch
from minigrad_kernels.compare.machine import (
    CHAINS,
    COPIES,
    QUICK_COPIES,
    STREAMS,
    VECTOR_BYTES,
    aligned,
    copy_call,
    peak_call,
    peak_flops,
    repeats,
)
from minigrad_kernels.compare.timing import Candidate, Case, Pace, on_threads, thread_counts


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Yield the multiply-adds of both dtypes, then copies beside NumPy's and PyTorch's."""
    for dtype in ("float32", "float64"):
        lanes = VECTOR_BYTES // np.dtype(dtype).itemsize
        candidates = []
        for threads in thread_counts():
            make = partial(peak_call, np.dtype(dtype), threads)
            candidates += bare(make, threads)
        for candidate in candidates:
            expected = np.full(candidate.threads or 1, 2.0 * CHAINS * lanes)
            agree(f"{candidate.name}, {dtype}", candidate.make()(), expected, rtol=1e-6)
        yield from (
            Case(f"multiply-adds {dtype}", [c], gflop=1e-9 * peak_flops(dtype)(c.threads or 1))
            for c in candidates
        )
    for size in QUICK_COPIES if quick else COPIES[1::2]:
        yield copies(size, peers)


def bare(make: Callable[[], Callable[[], Any]], threads: int) -> list[Candidate]:
    """Return the vector code above as a candidate of its own name for this thread count."""
    name = f"{threads} thread" + ("s" if threads > 1 else "")
    return on_threads("bare", mg.set_num_threads, make, name, (threads,))


def copies(size: int, peers: Sequence[str]) -> Case:
    """Return the copies of one size, checked."""
    times = repeats(size)
    rng = np.random.default_rng(0)
    x = aligned(size)
    x[:] = rng.integers(0, 256, size, np.uint8)
    candidates: list[Candidate] = []
    for threads in thread_counts():
        make = partial(copy_call, x, aligned(size), size, times, threads)
        candidates += bare(make, threads)
    if "numpy" in peers:
        candidates.append(Candidate("numpy", partial(numpy_copy, x, aligned(size), times)))
    if "torch" in peers:
        candidates += with_torch(partial(torch_copy, x, aligned(size), times))
    for candidate in candidates:
        agree(f"{candidate.name}, copy", candidate.make()()[::997], x[::997], rtol=0)
    return Case(
        f"copy of {size / 1024:,.0f} KB",
        candidates,
        parts=times,
        gbyte=1e-9 * STREAMS * size * times,
    )


def numpy_copy(x: Array, y: Array, times: int) -> Callable[[], Array]:
    """Return NumPy's copy, `times` over."""

    def call() -> Array:
        for _ in range(times):
            np.copyto(y, x)
        return y

    return call


def torch_copy(x: Array, y: Array, times: int) -> Callable[[], Array]:
    """Return PyTorch's copy, `times` over."""
    import torch

    source, target = torch.from_numpy(x), torch.from_numpy(y)

    def call() -> Array:
        for _ in range(times):
            target.copy_(source)
        return y

    return call


BENCHMARK = Benchmark(
    "machine",
    f"The machine's limits: vector code from registers, and copies, {STREAMS} streams each",
    ("numpy", "torch"),
    cases,
    pace=Pace(rounds=3),
    limited=True,
)
