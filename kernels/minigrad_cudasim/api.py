"""Run numba.cuda kernels without a GPU, in the ordinary process, and find what a GPU hides.

`launch` runs a `cuda.jit` kernel (or the plain function) thread by thread.  Between two barriers
the threads, warps and blocks take turns in an adversarial order drawn from a seed, and every access
of memory is checked and logged.  What breaks a rule raises a `Fault` with kernel, block, threads
and source lines:

* races in shared and global memory, both lines of each, whatever order was drawn: lanes of a warp
  are not taken to run in step, blocks may run in any order, and only `syncthreads`, `syncwarp` and
  a fence followed by an atomic order anything (shuffles and votes do not);
* barriers and warp operations that not all threads come to, masks that leave out a caller or name a
  lane that never comes, shuffles from lanes that bring nothing;
* indices outside an array or below 0, in views too, 128-bit accesses of misaligned addresses;
* reads of shared, local and `simulate.empty` memory that nothing has written;
* waiting that never ends; float64 values stored into float32 arrays, with `float64=True`.

Needs greenlet: `pip install minigrad[simulate]`; neither a driver nor numba-cuda.  Intrinsics run
by a Python model, see `model`.  Whole programs run under `simulate`.  Not seen: values that weak
memory lets through.  docs/simulator.md has the limits.

>>> import numpy as np
>>> import minigrad_cudasim as simulate
>>> from numba import cuda
>>> @cuda.jit
... def shift(x, y):
...     tile = cuda.shared.array(64, np.float32)
...     t = cuda.threadIdx.x
...     tile[t] = x[t] + cuda.blockIdx.x
...     cuda.syncthreads()
...     y[t] = tile[(t + 1) % 64]
>>> x = np.arange(64, dtype=np.float32)
>>> y = simulate.empty(64, np.float32)
>>> simulate.launch(shift, 1, 64, x, y)
>>> y[:3].tolist(), simulate.unwritten(y)
([1.0, 2.0, 3.0], 0)
>>> simulate.launch(shift, 2, 64, x, y)
Traceback (most recent call last):
    ...
minigrad_cudasim.fault.Fault: race: write and write of global y[...]
...
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Unpack

import numpy as np

from minigrad_cudasim.fault import Fault, Party, Site
from minigrad_cudasim.launching import Options, run
from minigrad_cudasim.machine import ORDERS
from minigrad_cudasim.memory import Array, SimulatedArray, Unwritten, poison
from minigrad_cudasim.models import model
from minigrad_cudasim.report import Report

__all__ = [
    "ORDERS",
    "Fault",
    "Party",
    "Report",
    "SimulatedArray",
    "Site",
    "activate",
    "check",
    "empty",
    "launch",
    "model",
    "simulate",
    "simulated",
    "unwritten",
]


def empty(shape: Any, dtype: Any = np.float32) -> Array:
    """Return an array, full of NaN or of bytes 0xAB, whose elements a kernel must write first.

    >>> y = empty((2, 3))
    >>> y.shape, unwritten(y)
    ((2, 3), 6)
    """
    made = np.ndarray.__new__(Unwritten, shape, dtype)
    poison(made)
    return made


def unwritten(array: Array) -> int:
    """Return how many elements of an array of `empty` no kernel has written."""
    written = getattr(array, "written", None)
    if written is None:
        raise TypeError("unwritten expects an array that simulate.empty made, not a view of one")
    held = np.frombuffer(written, np.uint8).reshape(-1, array.itemsize)
    return int((held == 0).any(axis=1).sum())


def launch(
    kernel: Any,
    grid: int | tuple[int, ...],
    block: int | tuple[int, ...],
    *args: Any,
    **options: Unpack[Options],
) -> None:
    """Run a kernel over a grid of blocks; arrays among the arguments are changed in place.

    kernel: what `cuda.jit` returned, or the function itself.  args: NumPy arrays, numbers, tuples.
    grid, block: sizes as numba.cuda takes them.  shared: bytes of dynamic shared memory.
    seed: draws the order of threads; order: one of `ORDERS` instead of a drawn one.
    lanes: False runs each thread alone; else all run at once where nothing stands against it, and
        again alone, to name what there is, where something may be found.
    races, uninitialised: turn these checks off (an access then costs about half); bounds and
        alignment are always checked.  float64: report doubles stored into float32 arrays.
    negative: False takes negative indices as counted from the end, which Numba does.
    strict: True counts as faults, too, what changes no result: two writes of one value, reads
        whose value is not used.
    reach: returns the allocation that an address, read from a table of them, lies in.

    Raises: Fault, the likely cause first, the others of the run in `others`.
    """
    report = run(kernel, grid, block, args, **options)
    report.raise_faults()


def check(
    kernel: Any,
    grid: int | tuple[int, ...],
    block: int | tuple[int, ...],
    *args: Any,
    **options: Unpack[Options],
) -> Report:
    """Run a kernel as `launch` does, and return what it showed instead of raising.

    options: those of `launch`, and traffic=True, which counts what each access asks of memory.

    >>> from numba import cuda
    >>> def kernel(x, y):
    ...     y[0] += x[cuda.grid(1)]
    >>> report = check(kernel, 1, 2, np.ones(2, np.float32), np.zeros(1, np.float32))
    >>> [fault.kind for fault in report.faults]
    ['race']
    """
    return run(kernel, grid, block, args, **options)


def simulated(kernel: Any, **options: Any) -> Any:
    """Return a kernel that is launched as numba.cuda's are: `k[grid, block, stream, shared](...)`.

    options: those of `launch`.
    """
    return _Simulated(kernel, options)


class _Simulated:
    """A kernel that is launched as numba.cuda's are: see `simulated`."""

    def __init__(self, kernel: Any, options: dict[str, Any]):
        self.kernel = kernel
        self.options = options

    def __getitem__(self, configuration: tuple[Any, ...]) -> Callable[..., None]:
        grid, block, *rest = configuration
        options = dict(self.options)
        if len(rest) > 1:
            options["shared"] = rest[1]

        def run(*args: Any) -> None:
            launch(self.kernel, grid, block, *args, **options)

        return run


def simulate(
    raises: bool = True, cudasim: bool = True, **options: Any
) -> AbstractContextManager[Any]:
    """Run what uses numba.cuda inside without a GPU, each launch checked: `with simulate():`.

    raises: whether a launch with faults raises them; else they are in the session's `report`.
    cudasim: whether `numba.config.ENABLE_CUDASIM` is 1 meanwhile, by which programs leave out what
        takes a compiler or a driver; False runs tests that are marked `skip_on_cudasim`, too.
    options: those of `launch`; seed: of the first launch, each has the next.

    Raises: ImportError without greenlet, or without numba.cuda.

    >>> from numba import cuda
    >>> @cuda.jit
    ... def double(x):
    ...     x[cuda.grid(1)] *= 2
    >>> with simulate() as session:
    ...     x = cuda.to_device(np.arange(4.0))
    ...     double[1, 4](x)
    ...     print(x.copy_to_host(), session.report)
    [0. 2. 4. 6.] no fault found
    """
    return patching().simulate(raises, cudasim, **options)


def activate(**options: Any) -> Any:
    """Simulate from here to the end of the process, and return the session.

    options: those of `simulate`.
    """
    return patching().activate(**options)


def patching() -> Any:
    """Return the module that puts the simulated device in place: it loads all of numba.cuda."""
    return importlib.import_module("minigrad_cudasim.host.patching")
