"""Puts the simulated device in numba.cuda's place, for a while or for good."""

from __future__ import annotations

import importlib
import itertools
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba.cuda
import numba.cuda.cudadrv.devicearray
import numba.cuda.random  # before ENABLE_CUDASIM, by which it would leave its CPU side uncompiled
from numba.core import config
from numba.cuda import deviceufunc, dispatcher
from numba.cuda.simulator import api as stand_in
from numba.cuda.simulator.cudadrv import devicearray

from minigrad_cudasim.host import device, kernels
from minigrad_cudasim.host.arrays import DeviceArray, DeviceNDArray, device_array
from minigrad_cudasim.machine import NO_GREENLET, greenlet

HINTS = ("In", "Out", "InOut")  # numba.cuda's own, which need no GPU
DRIVER = ("devicearray", "devices", "driver", "error", "nvvm", "runtime")


def replacements(cudasim: bool = True) -> Iterator[tuple[Any, str, Any]]:
    """Yield module or class, name and what stands there while kernels are simulated.

    cudasim: whether Numba's configuration says that a simulator runs.
    """
    simulator = importlib.import_module("numba.cuda.simulator")
    yield devicearray, "FakeCUDAArray", DeviceArray
    yield devicearray, "device_array", device_array
    yield numba.cuda.cudadrv.devicearray, "DeviceNDArray", DeviceNDArray
    for name in DRIVER:
        real = importlib.import_module(f"numba.cuda.cudadrv.{name}")
        fake = importlib.import_module(f"numba.cuda.simulator.cudadrv.{name}")
        for key, value in public(fake):
            if hasattr(real, key) and value is not None:
                yield real, key, value
    for key, value in [*public(stand_in), *public(simulator), *public(devicearray)]:
        if hasattr(numba.cuda, key) and not isinstance(value, type(sys)) and key not in HINTS:
            yield numba.cuda, key, value
    for key, value in HOST.items():
        yield numba.cuda, key, value
    yield deviceufunc, "exec", with_source
    yield dispatcher.CUDADispatcher, "configure", configure
    yield dispatcher.CUDADispatcher, "call", call
    yield dispatcher.ForAll, "__call__", for_all
    yield config, "ENABLE_CUDASIM", int(cudasim)
    yield config, "CUDA_LOW_OCCUPANCY_WARNINGS", 0


def public(module: Any) -> list[tuple[str, Any]]:
    """Return a module's names that do not begin with an underscore."""
    return [(k, v) for k, v in vars(module).items() if not k.startswith("_")]


def with_source(source: str, space: dict[str, Any]) -> None:
    """Run the source that Numba writes for `vectorize`, and keep it to be read again."""
    name = f"<kernel {next(WRITTEN)} that Numba wrote>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), space)


def configure(
    self: Any, griddim: Any, blockdim: Any, stream: Any = 0, sharedmem: int = 0
) -> kernels.Configured:
    """Return a kernel that was jitted before the simulation began, with its grid and block."""
    kernel: kernels.Configured = kernels.Kernel(self.py_func).configure(
        griddim, blockdim, stream, sharedmem
    )
    return kernel


def call(self: Any, args: Any, *how: Any) -> None:
    """Launch a kernel whose grid and block were given before the simulation began.

    how: grid, block, stream and bytes of shared memory, or one object with all of them.
    """
    if len(how) == 1:
        how = how[0].griddim, how[0].blockdim, how[0].stream, how[0].sharedmem
    kernels.launch(self, how[0], how[1], how[3], args)


def for_all(self: Any, *args: Any) -> None:
    """Launch a kernel over a number of tasks that was jitted before the simulation began."""
    if self.ntasks:
        threads = self.thread_per_block or kernels.FORALL
        grid = (-(-self.ntasks // threads), 1, 1)
        kernels.launch(self.dispatcher, grid, (threads, 1, 1), self.sharedmem, args)


HOST: dict[str, Any] = {
    "jit": kernels.jit,
    "reduce": kernels.Reduce,
    "Reduce": kernels.Reduce,
    **device.API,
}


class Patch:
    """Replaced names, to be put back."""

    def __init__(self) -> None:
        self.kept: list[tuple[Any, str, Any]] = []

    def apply(self, cudasim: bool) -> None:
        """Put the simulated device in place, also where its names were imported before."""
        swapped: dict[int, Any] = {}
        for place, name, value in replacements(cudasim):
            old = place.__dict__.get(name, ABSENT)
            if old is value:
                continue
            self.kept.append((place, name, old))
            if place is numba.cuda and callable(old):
                swapped[id(old)] = value
            setattr(place, name, value)
        for module in imported():
            for name, value in list(vars(module).items()):
                if id(value) in swapped and value is not swapped[id(value)]:
                    self.kept.append((module, name, value))
                    setattr(module, name, swapped[id(value)])

    def undo(self) -> None:
        """Put back what was there, the last first."""
        for place, name, old in reversed(self.kept):
            if old is ABSENT:
                delattr(place, name)
            else:
                setattr(place, name, old)
        self.kept.clear()


ABSENT = object()
WRITTEN = itertools.count(1)


def imported() -> list[Any]:
    """Return the modules of programs, which may have names of numba.cuda of their own."""
    roots = {"numba", "numpy", "minigrad_cudasim", "builtins"}
    return [
        module
        for name, module in list(sys.modules.items())
        if name.split(".")[0] not in roots and isinstance(module, type(sys))
    ]


@contextmanager
def simulate(
    raises: bool = True, cudasim: bool = True, **options: Any
) -> Iterator[kernels.Session]:
    """Simulate inside a with statement: see `minigrad_cudasim.api.simulate`."""
    if greenlet is None:
        raise ImportError(NO_GREENLET)
    patch = Patch()
    held = kernels.Session(raises, **options)
    if not kernels.SESSIONS:
        patch.apply(cudasim)
    try:
        with kernels.session(held):
            yield held
    finally:
        patch.undo()


def activate(cudasim: bool = True, **options: Any) -> kernels.Session:
    """Simulate from here on: see `minigrad_cudasim.api.activate`."""
    if greenlet is None:
        raise ImportError(NO_GREENLET)
    held = kernels.Session(**options)
    if not kernels.SESSIONS:
        Patch().apply(cudasim)
    kernels.SESSIONS.append(held)
    return held
