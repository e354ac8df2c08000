"""The simulated device: its name, attributes, streams, events and context."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from minigrad_cudasim.host.arrays import DeviceArray, device_array
from minigrad_cudasim.launching import interface

ATTRIBUTES = {
    "MAX_THREADS_PER_BLOCK": 1024,
    "MAX_BLOCK_DIM_X": 1024,
    "MAX_BLOCK_DIM_Y": 1024,
    "MAX_BLOCK_DIM_Z": 64,
    "MAX_GRID_DIM_X": 2**31 - 1,
    "MAX_GRID_DIM_Y": 65535,
    "MAX_GRID_DIM_Z": 65535,
    "MAX_SHARED_MEMORY_PER_BLOCK": 48 * 1024,
    "WARP_SIZE": 32,
    "MULTIPROCESSOR_COUNT": 2,
    "MAX_THREADS_PER_MULTI_PROCESSOR": 2048,
    "CLOCK_RATE": 1_000_000,
    "MEMORY_CLOCK_RATE": 1_000_000,
    "GLOBAL_MEMORY_BUS_WIDTH": 256,
    "MAX_REGISTERS_PER_BLOCK": 65536,
    "TOTAL_CONSTANT_MEMORY": 65536,
    "L2_CACHE_SIZE": 4 * 2**20,
    "CONCURRENT_KERNELS": 1,
    "COOPERATIVE_LAUNCH": 1,
    "MANAGED_MEMORY": 1,
    "UNIFIED_ADDRESSING": 1,
}
CAPABILITY = (9, 0)
MEMORY = 16 * 2**30


class Memory(NamedTuple):
    """The bytes of the device's memory."""

    free: int
    total: int


class Device:
    """The one device there is: that of `cuda.gpus[0]`, its context in one."""

    id = 0
    name = b"simulated"
    uuid = "GPU-00000000-0000-0000-0000-000000000000"
    compute_capability = CAPABILITY
    supports_float16 = True
    supports_bfloat16 = True

    def __getattr__(self, name: str) -> Any:
        if name in ATTRIBUTES:
            return ATTRIBUTES[name]
        raise AttributeError(f"the simulated device has no attribute {name}")

    @property
    def device(self) -> Device:
        """The device of this context: itself."""
        return self

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave its context."""

    def __str__(self) -> str:
        return "<Managed Device 0>"

    def get_primary_context(self) -> Device:
        """Return its context: itself."""
        return self

    def get_memory_info(self) -> Memory:
        """Return its free and total bytes."""
        return Memory(MEMORY, MEMORY)

    def memalloc(self, bytesize: int) -> Any:
        """Return bytes of its memory."""
        return np.ndarray(bytesize, np.uint8)

    def memhostalloc(self, bytesize: int, **options: Any) -> Any:
        """Return bytes of the host's memory."""
        return np.ndarray(bytesize, np.uint8)

    def _nothing(self, *_: Any) -> None:
        """Do nothing: each launch ends before it returns."""

    synchronize = reset = push = pop = _nothing


DEVICE = Device()


class Devices(list[Device]):
    """The devices there are: `cuda.gpus`."""

    @property
    def lst(self) -> list[Device]:
        """The devices as a list."""
        return list(self)

    @property
    def current(self) -> Device:
        """The device in use."""
        return self[0]


GPUS = Devices([DEVICE])


class Stream:
    """A stream: its work ends within each call."""

    handle = 0

    def synchronize(self) -> None:
        """Do nothing."""

    @contextmanager
    def auto_synchronize(self) -> Iterator[Stream]:
        """Synchronise at the end of a block, which is nothing to do."""
        yield self

    def add_callback(self, callback: Any, arg: Any = None) -> None:
        """Call back at once: the work has ended."""
        callback(self, 0, arg)

    def __bool__(self) -> bool:
        return True


class Event:
    """An event, which holds the process's clock; simulated kernels take their own time."""

    def __init__(self, timing: bool = True):
        self.at = time.perf_counter()

    def record(self, stream: Any = 0) -> None:
        """Note the time."""
        self.at = time.perf_counter()

    def query(self) -> bool:
        """Return True: its work has ended."""
        return True

    def wait(self, stream: Any = 0) -> None:
        """Do nothing: its work has ended."""

    def synchronize(self) -> None:
        """Do nothing: its work has ended."""

    def elapsed_time(self, evtend: Event) -> float:
        """Return the milliseconds to another event."""
        return 1e3 * (evtend.at - self.at)


def stream(*_: Any) -> Stream:
    """Return a stream."""
    return Stream()


def event(timing: bool = True) -> Event:
    """Return an event."""
    return Event(timing)


def event_elapsed_time(evtstart: Event, evtend: Event) -> float:
    """Return the milliseconds from one event to another."""
    return evtstart.elapsed_time(evtend)


@contextmanager
def profiling() -> Iterator[None]:
    """Profile a block, which is nothing to do."""
    yield


def from_cuda_array_interface(desc: Any, owner: Any = None, sync: bool = True) -> DeviceArray:
    """Return the device array over memory that another object describes."""
    return DeviceArray(interface(desc))


def as_cuda_array(obj: Any, sync: bool = True) -> DeviceArray:
    """Return the device array over another object's memory.

    Raises: TypeError for one without `__cuda_array_interface__`.
    """
    if not is_cuda_array(obj):
        raise TypeError("*obj* doesn't implement the cuda array interface.")
    made = from_cuda_array_interface(obj.__cuda_array_interface__)
    made.owner = obj  # keeps the memory alive
    return made


def is_cuda_array(obj: Any) -> bool:
    """Tell whether an object describes memory of a device."""
    return hasattr(obj, "__cuda_array_interface__")


def mapped_array_like(ary: Any, stream: Any = 0, **options: Any) -> DeviceArray:
    """Return a device array of another's shape and type."""
    return device_array(ary.shape, ary.dtype)


@contextmanager
def pinned(*arrays: Any) -> Iterator[None]:
    """Pin host memory within a block, which is nothing to do."""
    yield


@contextmanager
def mapped(*arrays: Any, **options: Any) -> Iterator[Any]:
    """Yield device arrays over host arrays."""
    held = [DeviceArray(array) for array in arrays]
    yield held[0] if len(held) == 1 else held


def nothing(*_: Any) -> None:
    """Do nothing: there is nothing to wait for, close or profile."""


API: dict[str, Any] = {
    "as_cuda_array": as_cuda_array,
    "cuda_error": lambda: None,
    "current_context": lambda devnum=0: DEVICE,
    "default_stream": stream,
    "device_array": device_array,
    "event": event,
    "event_elapsed_time": event_elapsed_time,
    "external_stream": stream,
    "from_cuda_array_interface": from_cuda_array_interface,
    "get_current_device": lambda: DEVICE,
    "is_available": lambda: True,
    "is_cuda_array": is_cuda_array,
    "gpus": GPUS,
    "is_supported_version": lambda: True,
    "legacy_default_stream": stream,
    "list_devices": lambda: GPUS,
    "mapped": mapped,
    "mapped_array_like": mapped_array_like,
    "per_thread_default_stream": stream,
    "pinned": pinned,
    "profile_start": nothing,
    "profile_stop": nothing,
    "profiling": profiling,
    "select_device": lambda device_id=0: DEVICE,
    "stream": stream,
    "synchronize": nothing,
}
