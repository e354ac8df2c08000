"""What a launch costs the host, by four routes: the same kernel of three tensors on 1,024 numbers.

Each route writes numbers of its own, and what it computes is looked at before it is timed.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda, uint32

from minigrad_kernels.cuda.graph import Graph
from minigrad_kernels.cuda.plan import Planned, Recorder
from minigrad_kernels.cuda.targets import gpu, upload

SIZE = 1_024
GRID, BLOCK = 4, 256
WARMUPS = 50
REPEATS = 2_000
IN_GRAPH = 20  # launches of one graph

Launch = Callable[[], Any]


@cuda.jit
def add(a, b, y):
    """Compute y = a + b, a thread an element."""
    i = uint32(uint32(cuda.blockIdx.x) * uint32(cuda.blockDim.x) + uint32(cuda.threadIdx.x))
    if i < uint32(y.size):
        y[i] = a[i] + b[i]


class Shared:
    """The arrays of a route; number: which one it is, so that results differ."""

    def __init__(self, number: int) -> None:
        self.target = gpu()
        first = upload(self.target, np.full(SIZE, number, np.float32))
        second = upload(self.target, np.ones(SIZE, np.float32))
        self.arrays = [first, second, self.target.empty(SIZE, np.float32)]

    def launch(self, *arrays: Any) -> None:
        """Launch on a device of any kind."""
        arrays[0].target.run(add, GRID, BLOCK, arrays)


# ---------------------------------------------------------------- the routes
def by_hand(s: Shared) -> Launch:
    """Lay the parameters out anew at each launch, as for a kernel that has no plan."""
    return lambda: s.launch(*s.arrays)


def planned(s: Shared) -> Launch:
    """Find the plan by the arguments' kinds, and launch it: what the framework does."""
    kernel = Planned("benchmarks.add", s.launch, s.launch)
    return lambda: kernel(*s.arrays)


def prepared(s: Shared) -> Launch:
    """Repeat one launch whose parameters are in place: the driver's part."""
    recorder = Recorder(s.target, ())
    recorder.run(add, GRID, BLOCK, s.arrays)
    (launch,) = recorder.launches
    memory = recorder.slots.made()
    start = ctypes.addressof(memory)
    pointers = [start + 8 * slot for slot in launch.slots]
    made = s.target.prepare(*launch[:5], pointers)

    def repeat() -> Any:
        made(0)
        return memory  # it must outlive the launch

    return repeat


def graph(s: Shared) -> Launch:
    """Replay a graph of IN_GRAPH launches."""
    kernel = Planned("benchmarks.add", s.launch, s.launch)
    made = Graph(s.target)
    with made.recording():
        for _ in range(IN_GRAPH):
            kernel(*s.arrays)
    return made.replay


ROUTES: dict[str, tuple[Callable[[Shared], Launch], int]] = {  # and launches a call
    "without a plan": (by_hand, 1),
    "by its plan": (planned, 1),
    "the driver's part": (prepared, 1),
    f"graph of {IN_GRAPH} launches": (graph, IN_GRAPH),
}


def time_route(name: str, repeats: int = REPEATS) -> dict[str, Any]:
    """Time a route: microseconds a launch for the host alone, and until all has run."""
    make, parts = ROUTES[name]
    number = [*ROUTES].index(name)
    shared = Shared(number + 1)
    launch = make(shared)
    launch()
    right = bool((shared.target.read(shared.arrays[2]) == number + 2).all())
    host, whole = timed(launch, shared.target.synchronize, repeats)
    figures = {"host_us": 1e6 * host / parts, "whole_us": 1e6 * whole / parts}
    return {**figures, "wrong": not right}


def launch_routes(repeats: int = REPEATS) -> list[dict[str, Any]]:
    """Time every route; what fails is a finding, and the others are run all the same."""
    found: list[dict[str, Any]] = []
    for name in ROUTES:
        try:
            found.append({"route": name, **time_route(name, repeats)})
        except Exception as error:
            found.append({"route": name, "failed": f"{type(error).__name__}: {error}"})
    return found


def timed(launch: Launch, wait: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return the seconds a call that pass until it returns, and until all have run."""
    for _ in range(WARMUPS):
        launch()
    wait()
    start = time.perf_counter()
    for _ in range(repeats):
        launch()
    host = time.perf_counter() - start
    wait()
    return host / repeats, (time.perf_counter() - start) / repeats
