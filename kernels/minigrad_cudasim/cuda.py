"""The module `cuda` as a simulated kernel sees it: the names of numba.cuda, for one launch."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from minigrad_cudasim.fault import Fault, site_of
from minigrad_cudasim.halves import Fp16
from minigrad_cudasim.libdevice import libdevice
from minigrad_cudasim.log import Region
from minigrad_cudasim.machine import Machine
from minigrad_cudasim.memory import SharedMatrix, SimulatedArray, as_dtype, kernel_frame, poisoned
from minigrad_cudasim.numbers import UInt32, brev, clz, ffs, fma, popc
from minigrad_cudasim.thread import TOGETHER, Dim3, Wait
from minigrad_cudasim.vectors import VECTORS
from minigrad_cudasim.warp import RULES

FULL = 0xFFFFFFFF


class Libdevice:
    """`cuda.libdevice`: its functions by their names."""

    def __getattr__(self, name: str) -> Any:
        return libdevice(name)


LIBDEVICE = Libdevice()


def variable(frame: Any, fallback: str) -> str:
    """Return the name that the statement of a frame assigns to."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    found = re.match(r"\s*(\w+)\s*=[^=]", line)
    return found.group(1) if found else fallback


class SharedMemory:
    """`cuda.shared`: one array a call site and block, as the compiler allocates it."""

    def __init__(self, machine: Machine):
        self._machine = machine

    def array(self, shape: Any, dtype: Any, alignment: int | None = None) -> SimulatedArray:
        """Return an array of the block's shared memory, one for each place in the source.

        shape: 0 is all dynamic shared memory.  alignment: in bytes, the element's without it.
        """
        machine = self._machine
        block = machine.thread.block
        frame = kernel_frame()
        kind = as_dtype(dtype)
        dynamic = shape in (0, (0,))
        key = "dynamic" if dynamic else site_of(frame)
        if dynamic and key in block.shared:
            held = block.shared[key]
            return SimulatedArray(held.region, held.data.view(kind), 0, held.name)
        if key in block.shared:
            return block.shared[key]
        name = variable(frame, "array")
        # Without alignment= only that of one element may be relied on.
        misalign = 0 if dynamic or alignment is not None else kind.itemsize
        sizes = machine.dynamic // kind.itemsize if dynamic else shape
        data, written = poisoned(sizes, kind, misalign)
        block.static += 0 if dynamic else data.nbytes
        machine.shared_limit(block.static, site_of(frame))
        address = machine.reserve(data.nbytes) + misalign
        region = Region(machine, "shared", address, written if machine.uninitialised else None)
        block.regions.append(region)
        quick = data.ndim == 2 and data.dtype.name in ("float32", "float64") and not dynamic
        block.shared[key] = (SharedMatrix if quick else SimulatedArray)(region, data, 0, name)
        return block.shared[key]


class LocalMemory:
    """`cuda.local`: an array of the thread's own."""

    def __init__(self, machine: Machine):
        self._machine = machine

    def array(self, shape: Any, dtype: Any, alignment: int | None = None) -> SimulatedArray:
        """Return an array of the thread's own memory, of undefined content."""
        machine = self._machine
        kind = as_dtype(dtype)
        misalign = 0 if alignment is not None else kind.itemsize
        data, written = poisoned(shape, kind, misalign)
        region = Region(machine, "local", misalign, written if machine.uninitialised else None)
        return SimulatedArray(region, data, 0, variable(kernel_frame(), "array"))


class Atomic:
    """`cuda.atomic`: read-modify-write, each a point at which other threads may come between."""

    def __init__(self, machine: Machine):
        self._machine = machine

    def _apply(self, array: SimulatedArray, index: Any, rule: Callable[[Any], Any]) -> Any:
        """Replace an element by rule(element) at once, and return the old one."""
        machine = self._machine
        frame = kernel_frame()
        machine.suspend(Wait("turn", "atomic", site_of(frame)))
        machine.publish(array.region.address + array._whole(index))
        return array.update(index, rule)

    def add(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Add a value; return the old one, as all atomics do."""
        return self._apply(array, index, lambda old: old + value)

    def sub(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Subtract a value."""
        return self._apply(array, index, lambda old: old - value)

    def and_(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Keep the bits that a value has too."""
        return self._apply(array, index, lambda old: int(old) & int(value))

    def or_(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Set the bits of a value."""
        return self._apply(array, index, lambda old: int(old) | int(value))

    def xor(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Flip the bits of a value."""
        return self._apply(array, index, lambda old: int(old) ^ int(value))

    def exch(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Replace the element."""
        return self._apply(array, index, lambda old: value)

    def inc(self, array: SimulatedArray, index: Any, limit: Any) -> Any:
        """Count up to a limit, then from 0 again."""
        return self._apply(array, index, lambda old: 0 if old >= limit else old + 1)

    def dec(self, array: SimulatedArray, index: Any, limit: Any) -> Any:
        """Count down to 0, then from a limit again."""
        return self._apply(array, index, lambda old: limit if old == 0 or old > limit else old - 1)

    def max(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Keep the larger one; a NaN stays, and a value that is NaN changes nothing."""
        return self._apply(array, index, lambda old: value if value > old else old)

    def min(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Keep the smaller one; a NaN stays, and a value that is NaN changes nothing."""
        return self._apply(array, index, lambda old: value if value < old else old)

    def nanmax(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Keep the larger one, a number before NaN."""
        return self._apply(array, index, lambda old: value if value > old or old != old else old)

    def nanmin(self, array: SimulatedArray, index: Any, value: Any) -> Any:
        """Keep the smaller one, a number before NaN."""
        return self._apply(array, index, lambda old: value if value < old or old != old else old)

    def cas(self, array: SimulatedArray, index: Any, old: Any, value: Any) -> Any:
        """Replace the element where it equals `old`."""
        return self._apply(array, index, lambda held: value if held == old else held)

    def compare_and_swap(self, array: SimulatedArray, old: Any, value: Any) -> Any:
        """Replace the first element where it equals `old`."""
        return self.cas(array, (0,) * array.ndim if array.ndim != 1 else 0, old, value)


class Place:
    """`threadIdx` or `blockIdx`: another one for each thread that asks."""

    def __init__(self, where: Callable[[], Dim3]):
        self._where = where

    x = property(lambda self: self._where()[0])
    y = property(lambda self: self._where()[1])
    z = property(lambda self: self._where()[2])

    def __str__(self) -> str:
        return str(self._where())


class GridGroup:
    """`cuda.cg.this_grid()`: all threads of all blocks."""

    def __init__(self, machine: Machine):
        self._machine = machine

    def sync(self) -> None:
        """Wait for all threads of the grid."""
        self._machine.suspend(Wait("grid", "grid.sync", site_of(kernel_frame())))


class Groups:
    """`cuda.cg`: cooperative groups."""

    def __init__(self, machine: Machine):
        self._machine = machine

    def this_grid(self) -> GridGroup:
        """Return the group of all threads."""
        return GridGroup(self._machine)


class Cuda:
    """The module `cuda` as the kernel of one launch sees it."""

    warpsize = 32
    fma = staticmethod(fma)
    popc = staticmethod(popc)
    clz = staticmethod(clz)
    ffs = staticmethod(ffs)
    brev = staticmethod(brev)
    cbrt = staticmethod(np.cbrt)

    def __init__(self, machine: Machine):
        self._machine = machine
        self.blockDim = machine.block
        self.gridDim = machine.grid
        self.threadIdx = Place(lambda: machine.thread.index)
        self.blockIdx = Place(lambda: machine.thread.block.index)
        self.shared = SharedMemory(machine)
        self.local = LocalMemory(machine)
        self.atomic = Atomic(machine)
        self.const = SimpleNamespace(array_like=lambda array: array)
        self.cg = Groups(machine)
        self.fp16 = Fp16()
        # What has the modules within numba.cuda, such as `cuda.random`; None for other names.
        self._module: Callable[[str], Any] = lambda name: None

    def __getattr__(self, name: str) -> Any:
        if name in VECTORS:
            return VECTORS[name]
        if name == "libdevice":
            return LIBDEVICE
        found = self._module(name)
        if found is not None:
            return found
        raise AttributeError(
            f"minigrad_cudasim has no model of cuda.{name}; wrap it in a function of yours and "
            "register one: @minigrad_cudasim.model(function)"
        )

    # ------------------------------------------------------------ places
    @property
    def laneid(self) -> int:
        """The number of the thread in its warp."""
        return self._machine.thread.lane

    def grid(self, ndim: int) -> Any:
        """Return the thread's place in the grid: a number for one dimension, else a tuple."""
        thread = self._machine.thread
        place = [
            b * d + t
            for b, d, t in zip(thread.block.index, self.blockDim, thread.index, strict=True)
        ]
        return place[0] if ndim == 1 else tuple(place[:ndim])

    def gridsize(self, ndim: int) -> Any:
        """Return the threads of the grid: a number for one dimension, else a tuple."""
        size = [g * b for g, b in zip(self.gridDim, self.blockDim, strict=True)]
        return size[0] if ndim == 1 else tuple(size[:ndim])

    # ------------------------------------------------------------ barriers and fences
    def _barrier(self, name: str, value: Any = None) -> Any:
        """Wait for all threads of the block, and return what they come to together."""
        return self._machine.suspend(Wait("barrier", name, site_of(kernel_frame()), value=value))

    def syncthreads(self) -> None:
        """Wait for all threads of the block."""
        self._barrier("syncthreads")

    def syncthreads_count(self, predicate: Any) -> Any:
        """Wait for all threads of the block; return how many gave a true predicate."""
        return self._barrier("syncthreads_count", predicate)

    def syncthreads_and(self, predicate: Any) -> Any:
        """Wait for all threads of the block; return whether all gave a true predicate."""
        return self._barrier("syncthreads_and", predicate)

    def syncthreads_or(self, predicate: Any) -> Any:
        """Wait for all threads of the block; return whether one gave a true predicate."""
        return self._barrier("syncthreads_or", predicate)

    def threadfence(self) -> None:
        """Order the thread's writes for all threads of the device."""
        self._machine.thread.fence("device")

    def threadfence_block(self) -> None:
        """Order the thread's writes for all threads of its block."""
        self._machine.thread.fence("block")

    threadfence_system = threadfence

    def nanosleep(self, nanoseconds: Any) -> None:
        """Let other threads run."""
        self._machine.suspend(Wait("turn", "nanosleep", site_of(kernel_frame())))

    # ------------------------------------------------------------ warp operations
    def _warp(self, name: str, mask: Any, value: Any = None) -> Any:
        """Do a warp operation together with the lanes of a mask, and return this lane's result.

        Raises: Fault where the mask leaves this lane out.
        """
        machine = self._machine
        bits = int(mask) & FULL
        thread = machine.thread
        site = site_of(kernel_frame())
        if not bits >> thread.lane & 1:
            raise Fault(
                "warp",
                f"lane {thread.lane} calls {name} with mask {bits:#010x}, which leaves it out",
                (thread.party(name, site),),
                "a lane may only call with a mask that names it",
            )
        return machine.suspend(Wait("warp", name, site, bits, RULES.get(name), value))

    def collective(self, name: str, rule: Any, value: Any) -> Any:
        """Run a rule {lane: value} -> {lane: answer} once the whole warp has come."""
        site = site_of(kernel_frame())
        return self._machine.suspend(Wait("warp", name, site, FULL, rule, value, whole=True))

    def syncwarp(self, mask: Any = FULL) -> None:
        """Wait for the lanes of a mask."""
        self._warp("syncwarp", mask)

    def shfl_sync(self, mask: Any, value: Any, source: Any) -> Any:
        """Return the value of lane `source`."""
        return self._warp("shfl_sync", mask, (value, source))

    def shfl_up_sync(self, mask: Any, value: Any, delta: Any) -> Any:
        """Return the value of the lane `delta` before."""
        return self._warp("shfl_up_sync", mask, (value, delta))

    def shfl_down_sync(self, mask: Any, value: Any, delta: Any) -> Any:
        """Return the value of the lane `delta` after."""
        return self._warp("shfl_down_sync", mask, (value, delta))

    def shfl_xor_sync(self, mask: Any, value: Any, lanes: Any) -> Any:
        """Return the value of the lane whose number differs by the bits `lanes`."""
        return self._warp("shfl_xor_sync", mask, (value, lanes))

    def ballot_sync(self, mask: Any, predicate: Any) -> Any:
        """Return the bits of the lanes whose predicate is true."""
        return self._warp("ballot_sync", mask, predicate)

    def any_sync(self, mask: Any, predicate: Any) -> Any:
        """Return whether a lane's predicate is true."""
        return self._warp("any_sync", mask, predicate)

    def all_sync(self, mask: Any, predicate: Any) -> Any:
        """Return whether all lanes' predicates are true."""
        return self._warp("all_sync", mask, predicate)

    def eq_sync(self, mask: Any, predicate: Any) -> Any:
        """Return whether all lanes' predicates are equal."""
        return self._warp("eq_sync", mask, predicate)

    def match_any_sync(self, mask: Any, value: Any) -> Any:
        """Return the bits of the lanes with this lane's value."""
        return self._warp("match_any_sync", mask, value)

    def match_all_sync(self, mask: Any, value: Any) -> Any:
        """Return the bits of all lanes and True where their values are equal, else 0, False."""
        return self._warp("match_all_sync", mask, value)

    def activemask(self) -> Any:
        """Return the bits of the lanes that come to this place together with the caller.

        In step are those that wait equally often on their way here, which no GPU promises: where
        notes count as faults it is the caller alone, and who counts on more is found.
        """
        machine = self._machine
        if machine.findings.strict:
            return UInt32(1 << machine.thread.lane)
        site = site_of(kernel_frame())
        return machine.suspend(Wait("warp", TOGETHER, site, FULL, RULES[TOGETHER]))

    def lanemask_lt(self) -> UInt32:
        """Return the bits of the lanes before this one."""
        return UInt32((1 << self._machine.thread.lane) - 1)

    # ------------------------------------------------------------ one thread's own
    def selp(self, condition: Any, a: Any, b: Any) -> Any:
        """Return a where the condition is true, else b."""
        return a if condition else b

    def ldcg(self, array: SimulatedArray, index: Any) -> Any:
        """Load with a cache hint, which changes no value."""
        return array.load(index)

    ldca = ldcs = ldcv = ldlu = ldcg

    def stcg(self, array: SimulatedArray, index: Any, value: Any) -> None:
        """Store with a cache hint, which changes no value."""
        array.store(index, value)

    stcs = stwb = stwt = stcg
