"""What CUDA kernels run on: the simulator, in this process, or a GPU.

Both give memory, copy to and from it, and run kernels, in the order of the calls.
"""

from __future__ import annotations

import functools
import importlib
import math
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from minigrad_kernels import simulate, simulate_scalar
from minigrad_kernels.gpu.array import Addressed, Array, DeviceArray
from minigrad_kernels.gpu.memory import Pool, held_by
from minigrad_kernels.simulate_memory import address_of

BLOCKS_A_PROCESSOR = 16  # blocks of a grid-stride launch for each multiprocessor


class Target(Protocol):
    """A device, as twins and the engine see it.

    name: "cuda-sim", "cuda:0".  processors: multiprocessors, what a grid is sized by.
    """

    name: str
    processors: int

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        """Return an array of undefined content."""

    def write(self, array: DeviceArray, values: Any) -> None:
        """Copy host values, broadcast to its shape, into a contiguous array."""

    def read(self, array: DeviceArray) -> Array:
        """Return a host copy of a contiguous array, when all before it has been computed."""

    def run(
        self,
        kernel: Any,
        grid: Any,
        block: Any,
        args: Sequence[Any],
        shared: int = 0,
    ) -> None:
        """Launch a kernel; shared: bytes of dynamic shared memory."""

    def synchronize(self) -> None:
        """Wait until all that was launched has ended."""


def upload(target: Target, values: Any) -> DeviceArray:
    """Return a device copy of a host array."""
    host = np.asarray(values)
    made = target.empty(host.shape, host.dtype)
    target.write(made, host)
    return made


class Simulator:
    """Device memory in the host's, kernels run by `simulate`, every access checked.

    seed: of the order of threads, another one for each launch.  most: blocks of a grid at most
        (`processors` stands for what a grid-stride launch would take).
    checks: False turns off the logs of races and of unwritten memory, which halves the time.
    """

    def __init__(
        self, seed: int = 0, processors: int = 2, most: int | None = None, checks: bool = True
    ) -> None:
        self.name = "cuda-sim"
        self.device_name = "simulated"
        self.seed = seed
        self.processors = processors
        self.most = most
        self.checks = checks
        self.live: weakref.WeakValueDictionary[int, Array] = weakref.WeakValueDictionary()

    def empty(self, shape: Any, dtype: Any) -> DeviceArray:
        made = simulate.empty(shape, dtype)
        self.live[address_of(made)] = made
        return DeviceArray(made, self, True)

    def reach(self, address: int) -> Array | None:
        """Return the living allocation that holds an address."""
        for start, owner in self.live.items():
            if start <= address < start + max(1, owner.nbytes):
                return owner
        return None

    @property
    def allocated(self) -> int:
        """The bytes that living arrays hold; nothing is held beyond them."""
        return sum(array.nbytes for array in self.live.values())

    reserved = allocated

    def empty_cache(self) -> None:
        pass

    def summary(self) -> str:
        labels = [((a.shape, str(a.dtype)), a.nbytes) for a in self.live.values()]
        return f"{self.name}: {held_by(labels)}"

    def write(self, array: DeviceArray, values: Any) -> None:
        np.copyto(array.geometry, values, casting="no")
        mark_written(array.geometry)

    def read(self, array: DeviceArray) -> Array:
        return np.array(array.geometry, subok=False)

    def run(
        self,
        kernel: Any,
        grid: Any,
        block: Any,
        args: Sequence[Any],
        shared: int = 0,
    ) -> None:
        held = [a.geometry if isinstance(a, DeviceArray) else a for a in args]
        self.seed += 1
        simulate.launch(
            kernel,
            grid,
            block,
            *held,
            shared=shared,
            seed=self.seed,
            races=self.checks,
            uninitialised=self.checks,
            reach=self.reach,
            float64=not any(np.dtype(getattr(a, "dtype", "b")) == np.float64 for a in held),
        )

    def synchronize(self) -> None:
        pass


def mark_written(view: Array) -> None:
    """Count the elements of a simulated array, which lie without gaps, as written."""
    owner: Any = view
    while getattr(owner, "written", None) is None and isinstance(owner.base, np.ndarray):
        owner = owner.base
    written = getattr(owner, "written", None)
    if written is not None and view.size:
        first = address_of(view) - address_of(owner)
        written[first : first + view.nbytes] = b"\1" * view.nbytes


class Gpu:
    """A CUDA device, through numba.cuda."""

    def __init__(self, number: int = 0) -> None:
        self.name = f"cuda:{number}"
        self.most: int | None = None  # blocks of a grid at most, where tests or compare ask for it
        self.cuda = driver()
        self.context = self.cuda.gpus[number]
        self.number = number
        with self.context:
            chosen = self.cuda.get_current_device()
            self.processors = int(chosen.MULTIPROCESSOR_COUNT)
            name = chosen.name
        self.device_name = name.decode() if isinstance(name, bytes) else str(name)
        self.pool = Pool(self.name, self.memory)

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
        sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        block = self.pool.take(math.prod(sizes) * np.dtype(dtype).itemsize, sizes, np.dtype(dtype))
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

    def empty_cache(self) -> None:
        self.pool.empty_cache()

    def summary(self) -> str:
        return f"{self.name}: {self.reserved:,} bytes held; {held_by(self.pool.labels())}"

    def write(self, array: DeviceArray, values: Any) -> None:
        host = np.ascontiguousarray(np.broadcast_to(np.asarray(values, array.dtype), array.shape))
        if array.size:
            with self.context:
                self.handle(array).copy_to_device(host.reshape(array.shape))

    def read(self, array: DeviceArray) -> Array:
        host = np.empty(array.shape, array.dtype)
        if array.size:
            with self.context:
                self.handle(array).copy_to_host(host)
        return host

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
        with self.context:
            held = [self.handle(a) if isinstance(a, DeviceArray) else a for a in args]
            kernel[grid, block, 0, shared](*held)

    def synchronize(self) -> None:
        with self.context:
            self.cuda.synchronize()


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


def shared(target: Target, interface: dict[str, Any], owner: Any) -> DeviceArray:
    """Return an array over memory that another library owns, which lives as long as the array.

    Raises: ValueError for memory that must not be written to.
    """
    address, read_only = interface["data"]
    if read_only:
        raise ValueError("memory on a GPU that is read-only cannot be shared: copy it first")
    at = Addressed(address or 0, interface["shape"], interface["typestr"], owner)
    at.__array_interface__["strides"] = interface.get("strides")
    return DeviceArray(np.asarray(at), target)


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
