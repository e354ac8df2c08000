"""Devices that CUDA kernels run on: the simulator, in this process, or a GPU.

Both give memory, copy to and from it, and run kernels, in the order of the calls on a stream.
"""

from __future__ import annotations

import collections
import functools
import importlib
import math
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad_kernels.cuda import dlpack
from minigrad_kernels.cuda.array import Addressed, Array, DeviceArray, Target
from minigrad_kernels.cuda.memory import Block, DevicePool, held_by
from minigrad_kernels.cuda.simulator import Simulator
from minigrad_kernels.cuda.staging import PIECE, RING, Ring, is_pinned
from minigrad_kernels.cuda.streams import GpuStreams
from minigrad_kernels.jit.address_table import buffer_of
from minigrad_kernels.math import simulated as simulate_scalar

BLOCKS_A_PROCESSOR = 16  # blocks of a grid-stride launch for each multiprocessor
LAUNCHERS = 4_096  # kernels with their grids, blocks and streams that a device keeps configured


def upload(target: Target, values: Any, wait: bool = True) -> DeviceArray:
    """Return a device copy of a host array; wait: see `Target.write`."""
    host = np.asarray(values)
    made = target.empty(host.shape, host.dtype)
    target.write(made, host, wait)
    return made


class Gpu(GpuStreams):
    """A CUDA device, through numba.cuda."""

    def __init__(self, number: int = 0) -> None:
        self.name = f"cuda:{number}"
        self.most: int | None = None  # blocks of a grid at most, where tests or compare ask for it
        self.cuda = driver()
        self.context = self.cuda.gpus[number]
        self.number = number
        super().__init__(self.cuda, self.context)
        with self.context:
            chosen = self.cuda.get_current_device()
            self.processors = int(chosen.MULTIPROCESSOR_COUNT)
            name = chosen.name
        self.device_name = name.decode() if isinstance(name, bytes) else str(name)
        self.pool = DevicePool(self.name, self.memory, self.after)
        self.staging = threading.Lock()
        self.ring: Ring | None = None
        self.under_way: collections.deque[tuple[Any, Array]] = collections.deque()
        self.launcher = functools.lru_cache(LAUNCHERS)(configured)

    def memory(self, nbytes: int) -> tuple[Any, int]:
        """Return new device memory, freed when it is let go of, and its address.

        Raises: MemoryError where there is none; what else the driver raises.
        """
        with self.context:
            try:
                made = self.cuda.current_context().memalloc(nbytes)
            except Exception as error:
                if "OUT_OF_MEMORY" not in str(error):
                    raise
                raise MemoryError(str(error)) from error
        return made, int(made.device_ctypes_pointer.value)

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        """Return an array of undefined content, from the pool.

        Raises: MemoryError that says what holds the device's memory.
        """
        sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        nbytes = math.prod(sizes) * np.dtype(dtype).itemsize
        block = self.pool.take(nbytes, sizes, np.dtype(dtype), self.stream)
        return DeviceArray(np.asarray(Addressed(block.address, sizes, dtype, block)), self, True)

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
                owner = buffer_of(array.geometry).base.owner
                if isinstance(owner, Block) and owner.stream is not stream:
                    owner.others.add(stream)
        return stream

    # ------------------------------------------------------------ copies
    def pinned(self, shape: Any, dtype: Any) -> Array:
        """Return memory of the host that the device reaches by itself; of undefined content."""
        with self.context:
            made: Array = self.cuda.pinned_array(shape, dtype)
        return made

    def write(self, array: DeviceArray, values: Any, wait: bool = True) -> None:
        """Copy host values, broadcast to its shape, into a contiguous array: see `Target.write`."""
        if not array.size:
            return
        stream = self.used(array)
        host = np.ascontiguousarray(np.broadcast_to(np.asarray(values, array.dtype), array.shape))
        if not wait and is_pinned(host):
            with self.context:
                self.handle(array).copy_to_device(host.reshape(array.shape), stream)
            self.keep(host, stream)
        else:
            self.staged(array, host.reshape(-1).view(np.uint8), stream)

    def staged(self, array: DeviceArray, source: Array, stream: Any) -> None:
        """Copy bytes through the ring."""
        with self.staging, self.context:
            if self.ring is None:
                self.ring = Ring(self.cuda.pinned_array(RING, np.uint8), self.new_event)
            for start in range(0, source.size, PIECE):
                piece = source[start : start + PIECE]
                held = self.ring.take(piece.size)
                held[:] = piece
                if piece.size == source.size:
                    whole = held.view(array.dtype).reshape(array.shape)
                    self.handle(array).copy_to_device(whole, stream)
                else:
                    at = Addressed(array.address + start, piece.shape, np.uint8, array.geometry)
                    part = DeviceArray(np.asarray(at), self)
                    self.handle(part).copy_to_device(held, stream)
                self.ring.copied(stream)

    def read(self, array: DeviceArray, wait: bool = True) -> Array:
        """Return a host copy of a contiguous array: see `Target.read`."""
        host = np.empty(array.shape, array.dtype) if wait else self.pinned(array.shape, array.dtype)
        if array.size:
            stream = self.used(array)
            with self.context:
                self.handle(array).copy_to_host(host, stream)
                if wait:
                    stream.synchronize()
            if not wait:
                self.keep(host, stream)
        return host

    def keep(self, host: Array, stream: Any) -> None:
        """Hold pinned memory until its copy, the last work of a stream, has been made."""
        while self.under_way and self.under_way[0][0].query():
            self.under_way.popleft()
        event = self.new_event()
        event.record(stream)
        self.under_way.append((event, host))

    def handle(self, array: DeviceArray) -> Any:
        """Return what numba.cuda takes for an array."""
        if array.handle is None:
            array.handle = self.cuda.as_cuda_array(Interface(array), sync=False)
        return array.handle

    def run(
        self,
        kernel: Any,
        grid: Any,
        block: Any,
        args: Sequence[Any],
        shared: int = 0,
    ) -> None:
        """Launch a kernel on this thread's stream; shared: bytes of dynamic shared memory."""
        stream = self.used(*[a for a in args if isinstance(a, DeviceArray)])
        with self.context:
            held = [self.handle(a) if isinstance(a, DeviceArray) else a for a in args]
            self.launcher(kernel, grid, block, stream, shared)(*held)

    def synchronize(self) -> None:
        """Wait until all work of the device has ended."""
        with self.context:
            self.cuda.synchronize()


def configured(kernel: Any, grid: Any, block: Any, stream: Any, shared: int) -> Any:
    """Return a kernel of numba.cuda's as it is launched.

    numba.cuda warns of small grids; those of small tensors are small.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")
        return kernel[grid, block, stream, shared]


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
    low = first.cuda.cudadrv.driver
    wanted = low.binding.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    with first.context:
        return int(low.driver.cuPointerGetAttribute(wanted, low.binding.CUdeviceptr(address)))


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
    """Return the module numba.cuda, where it finds a GPU.

    Raises: RuntimeError that says what is missing.
    """
    try:
        cuda = importlib.import_module("numba.cuda")
    except ImportError as error:
        raise RuntimeError(
            f"no CUDA: numba.cuda cannot be imported ({error}); pip install minigrad[cuda]"
        ) from error
    if not cuda.is_available():
        raise RuntimeError(
            "no CUDA: numba.cuda finds no NVIDIA driver or no GPU here; use the simulator, "
            "device 'cuda-sim', or a machine with a GPU and pip install minigrad[cuda]"
        )
    return cuda


@functools.cache
def gpu(number: int = 0) -> Gpu:
    """Return the device of that number."""
    return Gpu(number)


simulate_scalar.register()


@functools.cache
def simulator() -> Simulator:
    """Return the simulated device of this process."""
    return Simulator()
