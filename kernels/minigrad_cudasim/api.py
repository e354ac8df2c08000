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
by a Python model, see `model`.  Not seen: two accesses that overlap in part, of 1- or 2-byte and of
wider elements; values that weak memory lets through; whole-array expressions are not run.

>>> import numpy as np
>>> import minigrad_cudasim as simulate
>>> from numba import cuda
>>> @cuda.jit
... def shift(x, y):
...     tile = cuda.shared.array(64, np.float32)
...     t = cuda.threadIdx.x
...     tile[t] = x[t]
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

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_cudasim.fault import Fault, Party, Site, site_of
from minigrad_cudasim.kernel import Builder, model
from minigrad_cudasim.log import Region
from minigrad_cudasim.machine import ORDERS, Machine
from minigrad_cudasim.memory import Array, SimulatedArray, address_of, kernel_frame
from minigrad_cudasim.numbers import cast_to
from minigrad_cudasim.thread import Dim3

__all__ = [
    "ORDERS",
    "Fault",
    "Party",
    "SimulatedArray",
    "Site",
    "empty",
    "launch",
    "model",
    "simulated",
    "unwritten",
]

MAX_THREADS = 1024


class Unwritten(np.ndarray):
    """An array that knows which of its bytes a simulated kernel has written."""

    written: bytearray | None = None


def empty(shape: Any, dtype: Any = np.float32) -> Array:
    """Return an array, full of NaN or of bytes 0xAB, whose elements a kernel must write first.

    >>> y = empty((2, 3))
    >>> y.shape, unwritten(y)
    ((2, 3), 6)
    """
    made = np.ndarray.__new__(Unwritten, shape, dtype)
    made.reshape(-1).view(np.uint8)[...] = 0xAB
    if made.dtype.kind in "fc":
        made.fill(np.nan)
    made.written = bytearray(made.nbytes)
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
    shared: int = 0,
    seed: int = 0,
    order: str | None = None,
    races: bool = True,
    uninitialised: bool = True,
    float64: bool = False,
    reach: Callable[[int], Array | None] | None = None,
) -> None:
    """Run a kernel over a grid of blocks; arrays among the arguments are changed in place.

    kernel: what `cuda.jit` returned, or the function itself.  args: NumPy arrays, numbers, tuples.
    grid, block: sizes as numba.cuda takes them.  shared: bytes of dynamic shared memory.
    seed: draws the order of threads; order: one of `ORDERS` instead of a drawn one.
    races, uninitialised: turn these checks off (an access then costs about half); bounds and
        alignment are always checked.  float64: report doubles stored into float32 arrays.
    reach: returns the allocation that an address, read from a table of them, lies in.

    Raises: Fault, at the first rule that is broken.
    """
    sizes, shape = dim3(grid, "grid"), dim3(block, "block")
    if shape.x * shape.y * shape.z > MAX_THREADS:
        raise ValueError(f"block {tuple(shape)} has more than {MAX_THREADS} threads")
    machine = Machine(sizes, shape, shared, seed, order, races, uninitialised, float64)
    builder = Builder(machine)
    function = builder.rebuild(getattr(kernel, "py_func", kernel))
    names = function.__code__.co_varnames
    regions: dict[int, Region] = {}
    if reach is not None:
        machine.array_at = Reach(machine, reach, regions)
    held = tuple(
        argument(machine, value, names[i] if i < len(names) else "args", regions)
        for i, value in enumerate(args)
    )
    try:
        machine.run(function, held)
    except Fault as fault:
        fault.launched = described(function.__name__, machine, seed)
        raise
    except Exception as error:
        found = raised(machine, error)
        found.launched = described(function.__name__, machine, seed)
        raise found from error


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


def dim3(size: int | tuple[int, ...], what: str) -> Dim3:
    """Return one to three sizes as a Dim3.

    Raises: ValueError for other numbers of them, or sizes below 1.
    """
    sizes = tuple(int(n) for n in (size if isinstance(size, tuple | list) else (size,)))
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise ValueError(f"{what} is {size!r}, expected one to three positive sizes")
    return Dim3(*sizes)


def argument(machine: Machine, value: Any, name: str, regions: dict[int, Region]) -> Any:
    """Return an argument as the kernel sees it; arrays over the same memory share its log."""
    if isinstance(value, tuple):
        return tuple(argument(machine, item, name, regions) for item in value)
    if isinstance(value, np.ndarray):
        owner = value
        written = getattr(owner, "written", None)
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
            written = getattr(owner, "written", None) if written is None else written
        start = address_of(owner)
        if start not in regions:
            checked = written if machine.uninitialised else None
            regions[start] = Region(machine, "global", machine.reserve(owner.nbytes), checked)
        return SimulatedArray(
            regions[start], value.view(np.ndarray), address_of(value) - start, name
        )
    if isinstance(value, np.generic):
        return (cast_to(value.dtype.name) or type(value))(value)
    return np.float64(value) if type(value) is float else value


class Reach:
    """Memory that a kernel finds by its address, as arrays over the logs of one launch."""

    def __init__(
        self,
        machine: Machine,
        owner_of: Callable[[int], Array | None],
        regions: dict[int, Region],
    ) -> None:
        self.machine = machine
        self.owner_of = owner_of
        self.regions = regions
        self.found: dict[tuple[int, int, Any], SimulatedArray] = {}

    def __call__(self, address: int, size: int, dtype: np.dtype[Any]) -> SimulatedArray:
        """Return the array over `size` elements of a dtype at an address.

        Raises: Fault where no allocation holds them.
        """
        key = (address, size, dtype)
        if key not in self.found:
            owner = self.owner_of(address)
            bytes_ = np.empty(0, np.uint8) if owner is None else owner.reshape(-1).view(np.uint8)
            start = 0 if owner is None else address - address_of(owner)
            stop = start + size * dtype.itemsize
            if owner is None or stop > bytes_.size:
                party = self.machine.thread.party("access", site_of(kernel_frame()))
                summary = f"{size} {dtype} at address {address:#x} lie in no allocation"
                hint = "a table of addresses holds those of arrays that live"
                raise Fault("bounds", summary, (party,), hint)
            data = bytes_[start:stop].view(dtype)
            self.found[key] = argument(self.machine, data, "memory", self.regions)
        return self.found[key]


def raised(machine: Machine, error: Exception) -> Fault:
    """Return the fault of a kernel whose Python code raised."""
    site = None
    trace = error.__traceback__
    while trace is not None:
        if "__simulated__" in trace.tb_frame.f_globals:
            site = Site(trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    party = machine.thread.party("raise", site)
    return Fault("error", f"{type(error).__name__}: {error}", (party,))


def described(name: str, machine: Machine, seed: int) -> str:
    """Return a launch as faults show it."""
    grid, block = tuple(machine.grid), tuple(machine.block)
    return f"{name}, grid {grid}, block {block}, seed {seed}, order {machine.order}"
