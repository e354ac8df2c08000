"""What a launch costs the host, by six routes: the same kernel of three tensors on 1,024 numbers.

Written without a GPU at hand: not yet measured.  A route that a version of numba-cuda or of
cuda.core does not have is reported as failed, with its error.
"""

from __future__ import annotations

import ctypes
import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda, uint32

from minigrad_kernels.cuda.targets import driver

SIZE = 1_024
GRID, BLOCK = 4, 256
WARMUPS = 50
REPEATS = 2_000
IN_GRAPH = 20  # launches of one graph
SIGNATURE = "void(float32[::1], float32[::1], float32[::1], uint32)"
POINTERS = "void(CPointer(float32), CPointer(float32), CPointer(float32), uint32)"

Launch = Callable[[], Any]


def add(a: Any, b: Any, y: Any, n: Any) -> None:
    """Compute y = a + b, a thread an element; each route compiles it."""
    i = uint32(uint32(cuda.blockIdx.x) * uint32(cuda.blockDim.x) + uint32(cuda.threadIdx.x))
    if i < n:
        y[i] = a[i] + b[i]


class Shared:
    """The arrays and the compiled kernel that the routes have in common."""

    def __init__(self) -> None:
        self.cuda = driver()
        ones = np.ones(SIZE, np.float32)
        self.arrays = [self.cuda.to_device(ones), self.cuda.to_device(ones)]
        self.arrays.append(self.cuda.device_array(SIZE, np.float32))
        self.addresses = [int(a.__cuda_array_interface__["data"][0]) for a in self.arrays]
        self.pointers = self.cuda.jit(POINTERS)(add)
        self.n = np.uint32(SIZE)

    def handle(self) -> Any:
        """Return the driver's kernel behind the one of pointers."""
        compiled = next(iter(self.pointers.overloads.values()))
        return compiled._codelibrary.get_cufunc()


# ---------------------------------------------------------------- the routes
def lazy(s: Shared) -> Launch:
    """Dispatch on the types of device arrays, as a plain cuda.jit kernel does."""
    kernel = s.cuda.jit(add)[GRID, BLOCK]
    return lambda: kernel(*s.arrays, s.n)


def signature(s: Shared) -> Launch:
    """Dispatch to the one signature that was compiled ahead."""
    kernel = s.cuda.jit(SIGNATURE)(add)[GRID, BLOCK]
    return lambda: kernel(*s.arrays, s.n)


def pointers(s: Shared) -> Launch:
    """Pass addresses as CPointer arguments."""
    kernel = s.pointers[GRID, BLOCK]
    return lambda: kernel(*s.addresses, s.n)


def cuda_core(s: Shared) -> Launch:
    """Launch through cuda.core with a kept configuration."""
    core = importlib.import_module("cuda.core")
    stream = importlib.import_module("numba.cuda.cudadrv.driver")._to_core_stream(0)
    setup = core.LaunchConfig(grid=(GRID, 1, 1), block=(BLOCK, 1, 1))
    kernel, count = s.handle().kernel, ctypes.c_uint32(SIZE)
    return lambda: core.launch(stream, setup, kernel, *s.addresses, count)


def packed(s: Shared) -> Launch:
    """Call cuLaunchKernel with parameters packed once."""
    bindings = importlib.import_module("cuda.bindings.driver")
    values = [*(ctypes.c_void_p(a) for a in s.addresses), ctypes.c_uint32(SIZE)]
    table = (ctypes.c_void_p * len(values))(*[ctypes.addressof(v) for v in values])
    kernel, where = s.handle().handle, ctypes.addressof(table)

    def launch() -> Any:
        kept = values, table  # they must outlive the call
        bindings.cuLaunchKernel(kernel, GRID, 1, 1, BLOCK, 1, 1, 0, 0, where, 0)
        return kept

    return launch


def graph(s: Shared) -> Launch:
    """Replay a graph of IN_GRAPH launches."""
    device = importlib.import_module("cuda.core").Device()
    device.set_current()
    stream, builder = device.create_stream(), device.create_graph_builder()
    builder.begin_building()
    kernel = s.pointers[GRID, BLOCK, builder]
    for _ in range(IN_GRAPH):
        kernel(*s.addresses, s.n)
    built = builder.end_building().complete()
    return lambda: built.launch(stream)


ROUTES: dict[str, tuple[Callable[[Shared], Launch], int]] = {  # and launches a call
    "lazy dispatch, device arrays": (lazy, 1),
    "signature, device arrays": (signature, 1),
    "signature, pointers": (pointers, 1),
    "cuda.core.launch, pointers": (cuda_core, 1),
    "cuLaunchKernel, packed parameters": (packed, 1),
    f"graph of {IN_GRAPH} launches": (graph, IN_GRAPH),
}


def launch_routes(repeats: int = REPEATS) -> list[dict[str, Any]]:
    """Time every route: microseconds a launch for the host alone, and until all has run."""
    shared = Shared()
    found = []
    for name, (make, parts) in ROUTES.items():
        try:
            host, whole = timed(make(shared), shared.cuda.synchronize, repeats)
        except Exception as error:  # what fails is a finding: private names of other libraries
            found.append({"route": name, "failed": f"{type(error).__name__}: {error}"})
            continue
        figures = {"host_us": 1e6 * host / parts, "whole_us": 1e6 * whole / parts}
        found.append({"route": name, **figures})
    if not (shared.arrays[2].copy_to_host() == 2).all():
        raise AssertionError("gpu_launches: the kernel computes something else than 1 + 1 = 2")
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
