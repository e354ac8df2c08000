"""A stand-in for numba.cuda's driver: memory of the host's behind addresses, copies by memmove.

It shows that `Gpu` asks for memory, hands it on and keeps it alive as it should, and in which order
it gives copies, kernels, marks and waits to which stream: all is written to `Driver.log`.  Copies
that are asked for on a stream happen when that is synchronized or waited for, no sooner, so that
whoever does not wait sees old bytes.  It shows nothing of a device: no kernel runs.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np


class Memory:
    """Some bytes, and their address as numba.cuda tells it."""

    def __init__(self, driver: Driver, nbytes: int) -> None:
        self.driver = driver
        self.nbytes = nbytes
        self.held = ctypes.create_string_buffer(nbytes)
        self.device_ctypes_pointer = ctypes.c_void_p(ctypes.addressof(self.held))

    def __del__(self) -> None:
        self.driver.used -= self.nbytes


class Stream:
    """A stream of calls: what was asked for on it, done when it is waited for."""

    def __init__(self, driver: Driver, number: int) -> None:
        self.driver = driver
        self.number = number
        self.todo: list[Callable[[], Any]] = []

    def __int__(self) -> int:
        assert self.number, "numba.cuda's default stream has no number of its own"
        return self.number

    def synchronize(self) -> None:
        self.driver.note("synchronize", self.number)
        self.run(len(self.todo))

    def run(self, count: int) -> None:
        """Do the first `count` calls."""
        now, self.todo = self.todo[:count], self.todo[count:]
        for call in now:
            call()


class Event:
    """A place in a stream."""

    def __init__(self, driver: Driver, timing: bool) -> None:
        self.driver = driver
        self.timing = timing
        self.passed = True
        self.stream: Stream | None = None

    def record(self, stream: Stream) -> None:
        self.driver.note("record", stream.number)
        self.stream, self.passed = stream, False
        stream.todo.append(self.come)

    def come(self) -> None:
        self.passed = True

    def query(self) -> bool:
        assert self.driver.inside
        return self.passed

    def wait(self, stream: Stream) -> None:
        assert self.stream is not None
        self.driver.note("wait", stream.number, self.stream.number)
        stream.todo.append(self.synchronize)

    def synchronize(self) -> None:
        assert self.driver.inside
        while not self.passed:
            assert self.stream is not None
            self.stream.run(1)

    def elapsed_time(self, end: Event) -> float:
        assert self.driver.inside
        assert self.timing and end.timing and self.passed and end.passed
        return 1.5


class Pinned(bytearray):
    """Memory of the host that counts as pinned, as numba.cuda's does, by having this attribute."""

    host_pointer = 0


def move(to: int, source: int, nbytes: int, host: Any) -> None:
    """Copy bytes; `host` is held until then."""
    ctypes.memmove(to, source, nbytes)


class Handle:
    """What `as_cuda_array` returns: copies to and from an address; it keeps the owner alive."""

    def __init__(self, driver: Driver, owner: Any) -> None:
        self.driver = driver
        self.owner = owner
        self.address = owner.__cuda_array_interface__["data"][0]
        self.shape = owner.__cuda_array_interface__["shape"]

    def copy_to_device(self, host: Any, stream: Stream) -> None:
        assert host.shape == self.shape and host.flags.c_contiguous
        self.driver.note("to device", stream.number, host.nbytes)
        stream.todo.append(partial(move, self.address, host.ctypes.data, host.nbytes, host))

    def copy_to_host(self, host: Any, stream: Stream) -> None:
        self.driver.note("to host", stream.number, host.nbytes)
        stream.todo.append(partial(move, host.ctypes.data, self.address, host.nbytes, host))


class Kernel:
    """Something that can be launched; configured: how, each time that it was asked for."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.configured: list[Any] = []

    def __getitem__(self, key: Any) -> Callable[..., None]:
        _, _, stream, _ = key
        self.configured.append(key)
        warnings.warn("Grid size 1 will likely result in GPU under-utilization", stacklevel=2)
        return lambda *args: self.driver.note("kernel", stream.number)


class CudaAPIError(Exception):
    """What the driver answers where it did not succeed."""


class Context:
    """What a call of the driver needs around it."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def __enter__(self) -> None:
        self.driver.inside += 1

    def __exit__(self, *error: object) -> None:
        self.driver.inside -= 1


class Driver:
    """The module numba.cuda as far as `Gpu` asks it; limit: the bytes that it has."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.limit = limit
        self.used = self.calls = 0
        self.gpus = [Context(self), Context(self)]
        self.inside = 0  # contexts that are entered
        self.owners: dict[int, int] = {}  # addresses that do not lie on GPU 0
        self.driver = self  # in numba.cuda.cudadrv.driver, see there
        self.cudadrv = SimpleNamespace(driver=self)
        self.binding = SimpleNamespace(
            CUstream_flags=SimpleNamespace(CU_STREAM_NON_BLOCKING=1),
            CUpointer_attribute=SimpleNamespace(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL=9),
            CUdeviceptr=int,
        )
        self.CudaAPIError = CudaAPIError
        self.log: list[Any] = []
        self.streams = [Stream(self, 0)]

    def note(self, *call: Any) -> None:
        """Write a call to the log; the driver takes none outside a context."""
        assert self.inside, f"{call} outside a context"
        self.log.append(call)

    def get_current_device(self) -> Any:
        return SimpleNamespace(MULTIPROCESSOR_COUNT=4, name=b"fake")

    def current_context(self) -> Driver:
        return self

    def memalloc(self, nbytes: int) -> Memory:
        assert self.inside
        if self.used + nbytes > self.limit:
            raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY")
        self.used += nbytes
        self.calls += 1
        return Memory(self, nbytes)

    def as_cuda_array(self, array: Any, sync: bool = True) -> Handle:
        return Handle(self, array)

    def default_stream(self) -> Stream:
        return self.streams[0]

    def cuStreamCreate(self, flags: int) -> int:
        assert flags == 1
        self.streams.append(Stream(self, 16 * len(self.streams)))
        return self.streams[-1].number

    def cuStreamQuery(self, number: int) -> None:
        assert self.inside
        if self.external_stream(number).todo:
            raise CudaAPIError("Call to cuStreamQuery results in CUDA_ERROR_NOT_READY")

    def cuPointerGetAttribute(self, wanted: int, address: int) -> int:
        assert wanted == 9
        return self.owners.get(address, 0)

    def external_stream(self, number: int) -> Stream:
        return next(s for s in self.streams if s.number == number)

    def event(self, timing: bool = True) -> Event:
        return Event(self, timing)

    def pinned_array(self, shape: Any, dtype: Any) -> Any:
        return np.ndarray(shape, dtype, buffer=Pinned(np.empty(shape, dtype).nbytes))

    def synchronize(self) -> None:
        for stream in self.streams:
            stream.synchronize()


def array(shape: tuple[int, ...]) -> Any:
    """Return an array of another library on the pretended GPU, with what it holds."""
    held = np.arange(float(np.prod(shape)), dtype=np.float32).reshape(shape)
    interface = {**held.__array_interface__, "version": 3, "stream": None}
    return SimpleNamespace(held=held, __cuda_array_interface__=interface)
