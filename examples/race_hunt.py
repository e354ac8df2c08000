"""What a GPU hides and the simulator shows: a kernel for each fault, and the report it gets.

    python examples/race_hunt.py

Every kernel below compiles and most of them give the right numbers most of the time.  No GPU is
needed, only `pip install minigrad[simulate]`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numba import cuda, float32, uint32

import minigrad_cudasim as simulate
from minigrad_kernels.cuda import ptx

N = 64
FULL = 0xFFFFFFFF


def reversed_block(x, y):
    """No barrier: a thread reads what its neighbour may not have written yet."""
    tile = cuda.shared.array(N, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    y[t] = tile[N - 1 - t]


def reused_tile(x, y):
    """One barrier of two: a fast warp overwrites what a slow one still reads."""
    tile = cuda.shared.array(N, float32)
    t = cuda.threadIdx.x
    held = float32(0)
    for turn in range(4):
        tile[t] = x[t] * float32(turn)
        cuda.syncthreads()
        held += tile[N - 1 - t]
    y[t] = held


def sum_of_blocks(x, y):
    """Blocks add to one number without an atomic."""
    held = float32(0)
    if cuda.threadIdx.x == 0:
        for i in range(cuda.blockDim.x):
            held += x[cuda.blockIdx.x * cuda.blockDim.x + i]
        y[0] += held


def warp_in_step(x, y):
    """A reduction that trusts the lanes of a warp to run in step."""
    tile = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    if t < 32:
        tile[t] = x[t] + x[t + 32]
        cuda.syncwarp()
        if t < 16:
            tile[t] += tile[t + 16]
        if t < 8:
            tile[t] += tile[t + 8]
        if t == 0:
            y[0] = tile[0]


def early_return(x, y):
    """Some threads leave before the barrier that the others wait at."""
    tile = cuda.shared.array(N, float32)
    t = cuda.threadIdx.x
    if x[t] < float32(8):
        return
    tile[t] = x[t]
    cuda.syncthreads()
    y[t] = tile[t]


def half_a_warp(x, y):
    """A shuffle whose mask names lanes that are elsewhere."""
    t = cuda.threadIdx.x
    v = x[t]
    if t % 32 < 16:
        v += cuda.shfl_xor_sync(FULL, v, 8)
    cuda.syncthreads()
    y[t] = v


def last_lanes(x, y):
    """A shuffle from lanes beyond a block of 48 threads."""
    t = cuda.threadIdx.x
    y[t] = x[t] + cuda.shfl_down_sync(FULL, x[t], 8)


def smooth(x, y):
    """An average of neighbours: the last thread has none."""
    t = cuda.threadIdx.x
    y[t] = float32(0.5) * (x[t] + x[t + 1])


def first_difference(x, y):
    """Index -1 is the last element to Numba, and nobody meant that."""
    t = cuda.threadIdx.x
    y[t] = x[t] - x[t - 1]


def uncleared(x, y):
    """A histogram in shared memory that nobody cleared."""
    counts = cuda.shared.array(8, float32)
    t = cuda.threadIdx.x
    cuda.atomic.add(counts, int(x[t]) % 8, 1)
    cuda.syncthreads()
    if t < 8:
        y[t] = counts[t]


def misaligned(x, y):
    """A 128-bit load that starts at the second element."""
    t = uint32(cuda.threadIdx.x)
    if t < uint32(8):
        v = ptx.load128(x, t * uint32(4) + uint32(1))
        y[t] = v[0] + v[1] + v[2] + v[3]


def in_flight(x, y):
    """Data of an asynchronous copy, read before it has come."""
    tile = cuda.shared.array(N, float32, alignment=16)
    t = cuda.threadIdx.x
    if t < 16:
        ptx.copy_async(tile, 4 * t, x, 4 * t)
    ptx.commit_copies()
    cuda.syncthreads()
    y[t] = tile[t]


def ticket(x, y):
    """Every thread waits for a flag that only a thread behind it would raise."""
    t = cuda.threadIdx.x
    while t > 0 and cuda.atomic.add(y, 0, float32(0)) == float32(0):
        pass
    cuda.syncthreads()
    cuda.atomic.exch(y, 0, x[t])


def wide_literal(x, y):
    """A bare literal computes in double precision."""
    t = cuda.threadIdx.x
    y[t] = x[t] * 0.1


@dataclass(frozen=True)
class Planted:
    """A kernel, the kind of fault in it, and how it is launched."""

    kernel: Callable[..., None]
    kind: str
    grid: int = 1
    block: int = N
    options: dict[str, Any] = field(default_factory=dict)


PLANTED = (
    Planted(reversed_block, "race", options={"uninitialised": False}),
    Planted(reused_tile, "race"),
    Planted(sum_of_blocks, "race", grid=4, block=16),
    Planted(warp_in_step, "race"),
    Planted(early_return, "barrier"),
    Planted(half_a_warp, "warp"),
    Planted(last_lanes, "warp", block=48),
    Planted(smooth, "bounds"),
    Planted(first_difference, "bounds"),
    Planted(uncleared, "uninitialised"),
    Planted(misaligned, "misaligned"),
    Planted(in_flight, "uninitialised"),
    Planted(ticket, "deadlock"),
    Planted(wide_literal, "float64", options={"float64": True}),
)


def hunt(planted: Planted, seed: int = 0) -> simulate.Fault | None:
    """Return what the simulator finds in a kernel."""
    x = np.arange(N, dtype=np.float32)
    y = np.zeros(N, np.float32)
    try:
        simulate.launch(
            planted.kernel, planted.grid, planted.block, x, y, seed=seed, **planted.options
        )
    except simulate.Fault as fault:
        return fault
    return None


def main(arguments: list[str] | None = None) -> dict[str, simulate.Fault | None]:
    """Hunt in every kernel, show the reports and return them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="the first of all reports in full")
    parser.add_argument("--out", type=Path, help="a folder for race_hunt.txt")
    options = parser.parse_args(arguments)
    found = {planted.kernel.__name__: hunt(planted) for planted in PLANTED}
    lines = []
    for planted in PLANTED:
        name = planted.kernel.__name__
        lines += [f"{name}: {planted.kernel.__doc__}", f"{found[name]}", ""]
    print("\n".join(lines[:3] if options.small else lines))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "race_hunt.txt").write_text("\n".join(lines), encoding="utf-8")
    return found


if __name__ == "__main__":
    main()
