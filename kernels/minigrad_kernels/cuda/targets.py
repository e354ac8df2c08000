"""Devices that CUDA kernels run on: the simulator, in this process, or a GPU.

Both give memory, copy to and from it, and run kernels, in the order of the calls on a stream.
"""

from __future__ import annotations

import collections
import ctypes
import functools
import math
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad_kernels.cuda import dlpack, numba_compiler
from minigrad_kernels.cuda import driver as cuda_driver
from minigrad_kernels.cuda.array import (
    LAID,
    Addressed,
    Array,
    DeviceArray,
    Target,
    flags_of,
    strides_of,
)
from minigrad_kernels.cuda.graph import Graph
from minigrad_kernels.cuda.late_checks import LateChecks
from minigrad_kernels.cuda.memory import Block, DevicePool, Memory, held_by, rounded
from minigrad_kernels.cuda.plan import Recorder, arrays_of, kind_number
from minigrad_kernels.cuda.simulator import Simulator
from minigrad_kernels.cuda.staging import PIECE, RING, Pinned, Ring, is_pinned
from minigrad_kernels.cuda.streams import GpuStreams
from minigrad_kernels.jit.address_table import buffer_of
from minigrad_kernels.math import simulated as simulate_scalar

BLOCKS_A_PROCESSOR = 16  # blocks of a grid-stride launch for each multiprocessor
FUNCTIONS = 16_384  # kernels and signatures that a device keeps loaded
CONSTANTS = 4_096  # small host arrays whose device copies are kept
MOST_CONSTANT = 1 << 22  # bytes of one
ALL_CONSTANTS = 1 << 26  # bytes of all
LAYOUTS = 4_096  # shapes and dtypes of arrays that are known
TABLES = 64  # tables of addresses whose device copies are kept


def upload(target: Target, values: Any, wait: bool = True) -> DeviceArray:
    """Return a device copy of a host array; wait: see `Target.write`."""
    host = np.asarray(values)
    if isinstance(target, Recorder):
        return target.constant(host)
    made = target.empty(host.shape, host.dtype)
    target.write(made, host, wait)
    return made


lay = object.__new__


class Counts:
    """How often the host has waited for a device's numbers, or sent some there.

    reads: copies to the host.  uploads: copies from it; those of constants, made once, are
    `constants`.  launches: of kernels.
    """

    def __init__(self) -> None:
        self.reads = self.uploads = self.constants = 0

    def __repr__(self) -> str:
        return f"Counts(reads={self.reads}, uploads={self.uploads}, constants={self.constants})"


class Mirror:
    """A host array's copy on a device; known: the bytes that it has."""

    def __init__(self, target: Gpu, host: Array) -> None:
        mirrors = target.mirrors
        mine = id(host)
        self.host = weakref.ref(host, lambda gone: mirrors.pop(mine, None))
        self.target = target
        self.there = target.lasting(host)
        self.known = host.tobytes()

    def update(self, host: Array) -> None:
        """Send the host's numbers where they are others than the copy's."""
        now = host.tobytes()
        if now != self.known:
            ready = self.target.ready
            held, ready.graph = ready.graph, None  # sent at once: a graph reads what is there then
            try:
                self.target.write(self.there, host)
            finally:
                ready.graph = held
            self.known = now


class Gpu(GpuStreams):
    """A CUDA device, through its driver."""

    reshapes = True
    plans = True  # launches are made by plans, see plan.py

    def __init__(self, number: int = 0) -> None:
        self.name = f"cuda:{number}"
        self.most: int | None = None  # blocks of a grid at most, where tests or compare ask for it
        super().__init__(driver(), number)
        if number >= self.driver.devices:
            raise RuntimeError(
                f"no CUDA: there is no GPU {number}, the driver finds {self.driver.devices}"
            )
        self.enter()
        self.processors = self.driver.processors(number)
        self.capability = self.driver.capability(number)
        self.shared = self.driver.most_shared(number)
        self.device_name = self.driver.name(number)
        self.pool = DevicePool(self.name, self.memory, self.after)
        self.staging = threading.Lock()
        self.ring: Ring | None = None
        self.under_way: collections.deque[tuple[Any, Array]] = collections.deque()
        self.function = functools.lru_cache(FUNCTIONS)(self.loaded)
        self.layouts: dict[Any, tuple[Any, ...]] = {}
        self.constants: dict[Any, DeviceArray] = {}
        self.held_bytes = 0  # of constants
        self.immutable: dict[int, tuple[Array, DeviceArray]] = {}  # host arrays by id, with copies
        self.kept_ones: dict[Any, DeviceArray] = {}
        self.kept_nothing: dict[Any, DeviceArray] = {}
        self.tables: dict[Any, DeviceArray] = {}
        self.mirrors: dict[int, Mirror] = {}
        self.late = LateChecks(self)
        self.counts = Counts()

    # ------------------------------------------------------------ memory
    def memory(self, nbytes: int) -> tuple[Any, int]:
        """Return new device memory, freed when it is let go of, and its address.

        Raises: MemoryError where there is none; what else the driver raises.
        """
        self.enter()
        address = self.driver.allocate(nbytes)
        return Memory(address, self.free), address

    def free(self, address: int) -> None:
        """Give device memory back, from any thread."""
        self.enter()
        self.driver.free(address)

    def free_host(self, address: int) -> None:
        """Give pinned memory back, from any thread."""
        self.enter()
        self.driver.free_host(address)

    @property
    def current_pool(self) -> DevicePool:
        """The pool that this thread's arrays come from."""
        return self.ready.pool or self.pool

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        """Return an array of undefined content, from the pool.

        Raises: MemoryError that says what holds the device's memory.
        """
        try:
            known = self.layouts[shape, dtype]
        except (KeyError, TypeError):  # a list has no hash
            known = self.layout(shape, dtype)
        size, (sizes, kind, _), flags, key, across = known
        ready = self.ready
        made = lay(DeviceArray)  # as `DeviceArray.laid` does, with no frame for it
        made.owner = block = (ready.pool or self.pool).block(size, known[1], ready.stream)
        made._address = block.address
        made._geometry = made.root = made.handle = None
        made.target = self
        made.whole = True
        made.shape = sizes
        made.ndim = len(sizes)
        made.dtype = kind
        made.form = LAID
        made.flags = flags
        made.key = key
        made.across = across
        return made

    def layout(self, shape: Any, dtype: Any) -> tuple[Any, ...]:
        """Return what `empty` has to know of a shape and dtype, and keep it: the bytes; both as
        NumPy has them, for a pool's summary; flags; the keys of plan.py, its transpose's too.
        """
        sizes, kind = sizes_of(shape), np.dtype(dtype)
        size = rounded(math.prod(sizes) * kind.itemsize)
        turned = flags_of(sizes[::-1], True)
        strides = None if turned.c_contiguous else strides_of(sizes[::-1], kind.itemsize, True)
        # What the driver gives is aligned.
        key = kind_number((sizes, kind, None, 0))
        across = kind_number((sizes[::-1], kind, strides, 0))
        made = size, (sizes, kind, size), flags_of(sizes), key, across
        if isinstance(shape, int | tuple):
            if len(self.layouts) >= LAYOUTS:
                self.layouts.clear()
            self.layouts[shape, dtype] = made
        return made

    def constant(self, values: Any) -> DeviceArray:
        """Return a device copy of a small host array that nobody writes to; the same next time."""
        lasts = values.base is None and not values.flags.writeable
        if lasts:
            known = self.immutable.get(id(values))
            if known is not None:
                return known[1]
        key = values.dtype, values.shape, values.tobytes()
        found = self.constants.get(key)
        if found is None:
            found = self.lasting(values)
            self.counts.constants += 1
            if len(self.constants) < CONSTANTS and self.room_for(values.nbytes):
                self.constants[key] = found
            else:
                lasts = False
        if lasts and len(self.immutable) < CONSTANTS:
            self.immutable[id(values)] = values, found
        return found

    def room_for(self, nbytes: int) -> bool:
        """Tell whether a constant of so many bytes is to be kept; it counts as kept then."""
        fits = nbytes <= MOST_CONSTANT and self.held_bytes + nbytes <= ALL_CONSTANTS
        if fits:
            self.held_bytes += nbytes
        return fits

    def ones(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        """Return ones that nobody writes to; the same next time."""
        found = self.kept_ones.get((shape, dtype))
        if found is None:
            found = self.constant(np.ones(shape, dtype))
            if len(self.kept_ones) < CONSTANTS and found.nbytes <= MOST_CONSTANT:
                self.kept_ones[shape, dtype] = found
        return found

    def nothing(self, dtype: np.dtype[Any]) -> DeviceArray:
        """Return the array of no elements that stands for one that is not there."""
        found = self.kept_nothing.get(dtype)
        if found is None:
            found = self.kept_nothing[dtype] = self.lasting(np.empty(0, dtype))
        return found

    def lasting(self, values: Any) -> DeviceArray:
        """Return a device copy of a host array that every stream may read, and graphs may name."""
        ready, uploads = self.ready, self.counts.uploads
        held, ready.graph, ready.pool = (ready.graph, ready.pool), None, None
        try:
            made = upload(self, values)
            self.wait_for(self.stream)
        finally:
            ready.graph, ready.pool = held
            self.counts.uploads = uploads
        return made

    def table_of(self, table: Array) -> DeviceArray:
        """Return a device copy of a table of addresses; the same while they are the same."""
        key = table.shape, table.tobytes()
        found = self.tables.pop(key, None)
        if found is None:
            found = self.lasting(table)
            self.counts.uploads += 1
            while len(self.tables) >= TABLES:
                del self.tables[next(iter(self.tables))]
        self.tables[key] = found  # the last used is the last
        if self.ready.graph is not None:
            self.ready.graph.held.append(found)
        return found

    def mirror(self, host: Array) -> DeviceArray:
        """Return the device copy of a host array, which is sent there only where it has changed.

        What kernels write to the copy is to be written to the host's array too, see `mirrored`.
        """
        made = self.mirrors.get(id(host))
        if made is None or made.host() is not host:
            made = self.mirrors[id(host)] = Mirror(self, host)
        made.update(host)
        if self.ready.graph is not None:
            self.ready.graph.mirrors.append((made, host))
        return made.there

    def mirrored(self, host: Array) -> None:
        """Note that the device copy of a host array has been written to as that was."""
        self.mirrors[id(host)].known = host.tobytes()

    def new_graph(self) -> Graph:
        """Return a graph to record launches in."""
        return Graph(self)

    def each_replay(self, effect: Callable[[], Any], host: Array) -> None:
        """Let each replay of a graph write to a mirrored host array as this call does."""
        if self.ready.graph is not None:
            self.ready.graph.effects.append((effect, host))

    @property
    def allocated(self) -> int:
        """The bytes that living arrays hold."""
        with self.pool.lock:
            self.pool.settle()
        return self.pool.allocated

    @property
    def reserved(self) -> int:
        """The bytes held of the device."""
        return self.pool.reserved

    @property
    def peak(self) -> int:
        """The most bytes that living arrays have held."""
        return self.pool.peak

    def reset_peak(self) -> None:
        """Begin a new peak of `allocated`, at what it is now."""
        self.pool.peak = self.allocated

    def empty_cache(self) -> None:
        """Give all memory that no array holds back to the device."""
        self.pool.empty_cache()

    def summary(self) -> str:
        """Return a table of what its memory is held by, the most first."""
        return f"{self.name}: {self.reserved:,} bytes held; {held_by(self.pool.labels())}"

    def used(self, *arrays: DeviceArray) -> Any:
        """Return this thread's stream, and note that it uses arrays."""
        stream = self.stream
        if len(self.streams) > 1:
            for array in arrays:
                owner = array.owner
                if owner is None:
                    root = array if array.root is None else array.root
                    owner = buffer_of(root.geometry).base.owner
                if type(owner) is Block:
                    owner.used_on(stream)
        return stream

    # ------------------------------------------------------------ copies
    def pinned(self, shape: Any, dtype: Any) -> Array:
        """Return memory of the host that the device reaches by itself; of undefined content."""
        sizes, kind = sizes_of(shape), np.dtype(dtype)
        nbytes = math.prod(sizes) * kind.itemsize
        if not nbytes:
            return np.empty(sizes, kind)  # there is no memory of 0 bytes
        self.enter()
        address = self.driver.allocate_host(nbytes)
        return np.asarray(Addressed(address, sizes, kind, Pinned(address, self.free_host)))

    def write(self, array: DeviceArray, values: Any, wait: bool = True) -> None:
        """Copy host values, broadcast to its shape, into a contiguous array: see `Target.write`."""
        if not array.size:
            return
        if self.ready.graph is not None:
            self.ready.graph.abandon(
                f"numbers of the host were copied to an array of {array.shape} {array.dtype}, the "
                "same in every replay: make it before, or pass it as an argument"
            )
        self.counts.uploads += 1
        stream = self.used(array)
        host = np.ascontiguousarray(np.broadcast_to(np.asarray(values, array.dtype), array.shape))
        self.enter()
        if not wait and is_pinned(host):
            self.driver.copy_in(array.address, host.ctypes.data, host.nbytes, stream.number)
            self.keep(host, stream)
        else:
            self.staged(array, host.reshape(-1).view(np.uint8), stream)

    def staged(self, array: DeviceArray, source: Array, stream: Any) -> None:
        """Copy bytes through the ring."""
        with self.staging:
            if self.ring is None:
                self.ring = Ring(self.pinned(RING, np.uint8), self.new_event)
            for start in range(0, source.size, PIECE):
                piece = source[start : start + PIECE]
                held = self.ring.take(piece.size)
                held[:] = piece
                to = array.address + start
                self.driver.copy_in(to, held.ctypes.data, piece.size, stream.number)
                self.ring.copied(stream)

    def copy_same(self, made: DeviceArray, source: DeviceArray) -> None:
        """Copy an array into a contiguous one of the same shape and dtype, on the device."""
        if source.layout() is not None:
            source = source.contiguous()
        if len(self.streams) > 1:
            self.used(made, source)
        driver = self.driver
        if driver.local.device != self.number:
            self.enter()
        driver.copy_within(made.address, source.address, made.nbytes, self.ready.stream.number)

    def read(self, array: DeviceArray, wait: bool = True) -> Array:
        """Return a host copy of a contiguous array: see `Target.read`."""
        host = np.empty(array.shape, array.dtype) if wait else self.pinned(array.shape, array.dtype)
        if array.size:
            if self.ready.graph is not None:
                self.ready.graph.abandon(
                    f"an array of {array.shape} {array.dtype} was read by the host: .item(), "
                    ".cpu() or a condition"
                )
            self.counts.reads += 1
            stream = self.used(array)
            self.enter()
            self.driver.copy_out(host.ctypes.data, array.address, host.nbytes, stream.number)
            if wait:
                found = self.late.asked(stream) if self.late.pending else None
                self.driver.synchronize_stream(stream.number)
                if found is not None:
                    self.late.judge(found)
            else:
                self.keep(host, stream)
        return host

    def keep(self, host: Array, stream: Any) -> None:
        """Hold pinned memory until its copy, the last work of a stream, has been made."""
        while self.under_way and self.under_way[0][0].query():
            self.under_way.popleft()
        event = self.new_event()
        event.record(stream)
        self.under_way.append((event, host))

    # ------------------------------------------------------------ launches
    def loaded(self, kernel: Any, signature: tuple[Any, ...]) -> int:
        """Return the driver's function of a kernel and signature: stored, or compiled now.

        Raises: RuntimeError that says what a compilation lacks.
        """
        code = numba_compiler.compiled(kernel, signature, self.capability)
        self.enter()
        return int(self.driver.function(code.cubin, code.entry, numba_compiler.dynamic(kernel)))

    def prepare(
        self,
        kernel: Any,
        grid: Any,
        block: Any,
        shared: int,
        signature: tuple[Any, ...],
        pointers: Sequence[int],
    ) -> Any:
        """Return a launch whose parameters lie at these addresses of the host."""
        function = self.function(kernel, signature)
        name = kernel.py_func.__name__
        sizes = three(grid), three(block)
        return self.driver.prepare(function, name, *sizes, shared, pointers)

    def run(
        self,
        kernel: Any,
        grid: Any,
        block: Any,
        args: Sequence[Any],
        shared: int = 0,
    ) -> None:
        """Launch a kernel on this thread's stream; shared: bytes of dynamic shared memory.

        What is launched by way of the table has a plan, which is faster; see plan.py.
        """
        if self.ready.graph is not None:
            self.ready.graph.abandon(f"{kernel.py_func.__name__} is launched without a plan")
        stream = self.stream
        recorder = Recorder(self, ())
        recorder.run(kernel, grid, block, args, shared)
        arrays = [a for arg in args for a in arrays_of(arg)]
        self.used(*arrays)
        (launch,) = recorder.launches
        memory = recorder.slots.made()
        start = ctypes.addressof(memory)
        pointers = [start + 8 * slot for slot in launch.slots]
        prepared = self.prepare(*launch[:3], shared, launch.signature, pointers)
        self.enter()
        prepared(stream.number)

    def synchronize(self) -> None:
        """Wait until all work of the device has ended."""
        if self.ready.graph is not None:
            self.ready.graph.abandon("the device was waited for")
        self.enter()
        self.driver.synchronize()


def sizes_of(shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple of ints."""
    if isinstance(shape, int | np.integer):
        return (int(shape),)
    return tuple([int(n) for n in shape])


def three(sizes: Any) -> tuple[int, int, int]:
    """Return a grid or a block in three dimensions.

    >>> three(4), three((2, 3))
    ((4, 1, 1), (2, 3, 1))
    """
    given = (sizes,) if isinstance(sizes, int | np.integer) else tuple(sizes)
    x, y, z = (*map(int, given), 1, 1)[:3]
    return x, y, z


class Interface:
    """A device array as `__cuda_array_interface__` describes it."""

    def __init__(self, array: DeviceArray) -> None:
        self.geometry = array.geometry  # keeps the memory; the array itself would be a cycle
        self.__cuda_array_interface__ = {
            "version": 3,
            "data": (array.address if array.size else 0, False),
            "shape": array.shape,
            "strides": None if array.flags.c_contiguous else array.strides,
            "typestr": array.dtype.str,
            "stream": None,
        }


def shared(interface: dict[str, Any], owner: Any) -> DeviceArray:
    """Return an array over memory that another library owns, which lives as long as the array.

    interface: `__cuda_array_interface__`; this thread's stream waits for the stream it names.

    Raises: ValueError for memory that must not be written to.
    """
    address, read_only = interface["data"]
    if read_only:
        raise ValueError("memory on a GPU that is read-only cannot be shared: copy it first")
    target = gpu(number_of(address))
    at = Addressed(address or 0, interface["shape"], interface["typestr"], owner)
    at.__array_interface__["strides"] = interface.get("strides")
    if interface.get("stream") is not None:
        theirs = target.external(interface["stream"])
        if theirs is not target.stream:
            target.after(target.stream, [theirs])
    return DeviceArray(np.asarray(at), target)


def number_of(address: int | None) -> int:
    """Return which GPU's memory an address lies in; the first one's where there is no address."""
    if not address:
        return 0
    first = gpu(0)
    first.enter()
    return int(first.driver.owner(address))


def exported(array: DeviceArray, stream: int | None, wanted: Any, copy: bool | None) -> Any:
    """Return a DLPack capsule over an array; see `__dlpack__` in the array API standard.

    stream: where the one who asks will use it: not before it is computed, unless that is -1.
    wanted: the device asked for, None for the array's.

    Raises: BufferError where the memory cannot be shared so.
    """
    target = array.target
    if not isinstance(target, Gpu):
        raise BufferError(
            f"memory on {target.name} is no GPU's, and its accesses are watched: share .cpu()"
        )
    if wanted is not None and tuple(wanted) != (dlpack.CUDA, target.number):
        raise BufferError(
            f"the tensor lies on {target.name}, DLPack's device {(dlpack.CUDA, target.number)}, "
            f"and was asked for on {tuple(wanted)}: bring it there first, .cpu() or .to(device)"
        )
    held = array.copy() if copy else array
    ours = target.used(held)
    if stream != dlpack.UNORDERED:
        theirs = target.external(stream)
        if theirs is not ours:
            target.after(theirs, [ours])
    return dlpack.exported(held, target.number)


def imported(source: Any, number: int) -> DeviceArray:
    """Return an array over the memory of GPU `number` that a DLPack producer holds."""
    target = gpu(number)
    ours = target.stream_number(target.stream) or dlpack.LEGACY
    try:
        capsule = source.__dlpack__(stream=ours, max_version=dlpack.NEWEST)
    except TypeError:  # a producer from before DLPack 1.0
        capsule = source.__dlpack__(stream=ours)
    return dlpack.imported(capsule, target)


def driver() -> Any:
    """Return the CUDA driver, where it finds a GPU and kernels can be compiled.

    Raises: RuntimeError that says what is missing.
    """
    found = cuda_driver.driver()
    lacking = numba_compiler.missing()
    if lacking:
        raise RuntimeError(f"no CUDA: {lacking}")
    return found


def gpu(number: int = 0) -> Gpu:
    """Return the device of that number, the same object each time."""
    return _gpu(int(number))


@functools.cache
def _gpu(number: int) -> Gpu:
    return Gpu(number)


simulate_scalar.register()


@functools.cache
def simulator() -> Simulator:
    """Return the simulated device of this process."""
    return Simulator()
