"""A stand-in for the CUDA driver, in Python: memory of the host's behind addresses, memmove.

It shows that `Gpu` asks for memory, hands it on and keeps it alive as it should, and in which order
it gives copies, kernels, marks and waits to which stream: all is written to `Driver.log`.  Copies
that are asked for on a stream happen when that is synchronized or waited for, no sooner, so that
whoever does not wait sees old bytes.  It shows nothing of a device: no kernel runs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import cuda


class Stream:
    """A stream of calls: what was asked for on it, done when it is waited for."""

    def __init__(self, driver: Driver, number: int) -> None:
        self.driver = driver
        self.number = number
        self.todo: list[Callable[[], Any]] = []

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
        assert self.driver.inside is not None
        return self.passed

    def wait(self, stream: Stream) -> None:
        assert self.stream is not None
        self.driver.note("wait", stream.number, self.stream.number)
        stream.todo.append(self.synchronize)

    def synchronize(self) -> None:
        assert self.driver.inside is not None
        while not self.passed:
            assert self.stream is not None
            self.stream.run(1)

    def elapsed_time(self, end: Event) -> float:
        assert self.driver.inside is not None
        assert self.timing and end.timing and self.passed and end.passed
        return 1.5


def move(to: int, source: int, nbytes: int, snapshot: bytes | None = None) -> None:
    """Copy bytes, as they are now or were at a call."""
    ctypes.memmove(to, snapshot or source, nbytes)


class Launch:
    """A launch that can be repeated."""

    def __init__(self, driver: Driver, name: str) -> None:
        self.driver = driver
        self.name = name

    def __call__(self, stream: int) -> None:
        self.driver.note("kernel", stream)


@cuda.jit
def kernel(x):
    """Do nothing: no kernel runs here, and none is compiled."""


class Driver:
    """A `minigrad_kernels.cuda.driver.Driver` as far as `Gpu` asks it; limit: the bytes it has."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.limit = limit
        self.used = self.calls = 0
        self.devices = 2
        self.inside: int | None = None  # the GPU whose context is current
        self.local = SimpleNamespace(device=None)  # what the driver knows of it: enter each time
        self.owners: dict[int, int] = {}  # addresses that do not lie on GPU 0
        self.log: list[Any] = []
        self.streams = [Stream(self, 0)]
        self.events: list[Event | None] = []
        self.held: dict[int, Any] = {}
        self.prepared: list[Any] = []  # launches: (name, grid, block, shared)

    def note(self, *call: Any) -> None:
        """Write a call to the log; the driver takes none outside a context."""
        assert self.inside is not None, f"{call} outside a context"
        self.log.append(call)

    def enter(self, device: int) -> None:
        self.inside = device

    def name(self, device: int) -> str:
        return "fake"

    def processors(self, device: int) -> int:
        return 4

    def capability(self, device: int) -> tuple[int, int]:
        return 9, 0

    def most_shared(self, device: int) -> int:
        return 232_448

    def owner(self, address: int) -> int:
        return self.owners.get(address, 0)

    # ------------------------------------------------------------ memory
    def bytes_of(self, nbytes: int) -> int:
        made = ctypes.create_string_buffer(nbytes)
        self.held[ctypes.addressof(made)] = made
        return ctypes.addressof(made)

    def allocate(self, nbytes: int) -> int:
        assert self.inside is not None
        if self.used + nbytes > self.limit:
            raise MemoryError("CUDA_ERROR_OUT_OF_MEMORY")
        self.used += nbytes
        self.calls += 1
        return self.bytes_of(nbytes)

    def free(self, address: int) -> None:
        self.used -= len(self.held.pop(address))

    def allocate_host(self, nbytes: int) -> int:
        assert nbytes
        return self.bytes_of(nbytes)

    def free_host(self, address: int) -> None:
        del self.held[address]

    def copy_in(self, to: int, source: int, nbytes: int, stream: int) -> None:
        self.note("to device", stream, nbytes)
        self.stream_of(stream).todo.append(partial(move, to, source, nbytes))

    def copy_out(self, to: int, source: int, nbytes: int, stream: int) -> None:
        self.note("to host", stream, nbytes)
        self.stream_of(stream).todo.append(partial(move, to, source, nbytes))

    def copy_within(self, to: int, source: int, nbytes: int, stream: int) -> None:
        self.note("copy", stream, nbytes)
        self.stream_of(stream).todo.append(partial(move, to, source, nbytes))

    # ------------------------------------------------------------ streams and events
    def stream_of(self, number: int) -> Stream:
        """Return the stream of a number; those of other libraries are made when they are named."""
        for stream in self.streams:
            if stream.number == number:
                return stream
        self.streams.append(Stream(self, number))
        return self.streams[-1]

    def create_stream(self) -> int:
        return self.stream_of(16 * len(self.streams)).number

    def synchronize_stream(self, stream: int) -> None:
        self.stream_of(stream).synchronize()

    def stream_ended(self, stream: int) -> bool:
        assert self.inside is not None
        return not self.stream_of(stream).todo

    def create_event(self, timing: bool) -> int:
        self.events.append(Event(self, timing))
        return len(self.events) - 1

    def event_of(self, event: int) -> Event:
        found = self.events[event]
        assert found is not None, "an event that was destroyed"
        return found

    def destroy_event(self, event: int) -> None:
        assert self.inside is not None
        self.events[event] = None

    def record(self, event: int, stream: int) -> None:
        self.event_of(event).record(self.stream_of(stream))

    def wait(self, stream: int, event: int) -> None:
        self.event_of(event).wait(self.stream_of(stream))

    def event_ended(self, event: int) -> bool:
        return self.event_of(event).query()

    def synchronize_event(self, event: int) -> None:
        self.event_of(event).synchronize()

    def elapsed(self, start: int, end: int) -> float:
        return self.event_of(start).elapsed_time(self.event_of(end))

    def synchronize(self) -> None:
        for stream in self.streams:
            stream.synchronize()

    # ------------------------------------------------------------ launches
    def function(self, code: bytes, entry: str, shared: int = 0) -> int:
        return 1

    def prepare(
        self, function: int, name: str, grid: Any, block: Any, shared: int, pointers: Any
    ) -> Launch:
        self.prepared.append((name, grid, block, shared))
        return Launch(self, name)


def array(shape: tuple[int, ...]) -> Any:
    """Return an array of another library on the pretended GPU, with what it holds."""
    held = np.arange(float(np.prod(shape)), dtype=np.float32).reshape(shape)
    interface = {**held.__array_interface__, "version": 3, "stream": None}
    return SimpleNamespace(held=held, __cuda_array_interface__=interface)
