"""Choose the stream that a thread works on, on a GPU and in the simulator.

A stream runs kernels and copies in the order they came, beside those of other streams; an event
is a point in one, for another stream or the host to wait for.  The simulator runs everything at
once.  The public names are `minigrad.cuda.Stream` and `Event`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from minigrad_kernels.cuda import dlpack

STREAMS = 32  # streams of a device beside the default one


class Ready(threading.local):
    """What a thread works on, on a device; None while it records nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.graph: Any = None  # what launches are added to instead of being made
        self.pool: Any = None  # where arrays come from instead of the device's pool


class Streams:
    """The current stream of each thread on a device; `default` is the one that always exists."""

    def __init__(self, default: Any) -> None:
        self.default = default
        self.ready = Ready(default)

    @property
    def stream(self) -> Any:
        """The stream that this thread's launches and copies go to."""
        return self.ready.stream

    @contextmanager
    def using(self, stream: Any) -> Iterator[None]:
        """Let this thread's launches and copies go to a stream."""
        before = self.stream
        self.ready.stream = stream
        try:
            yield
        finally:
            self.ready.stream = before


class GpuStream:
    """A stream of a GPU; number: the driver's, 0 for the legacy default one."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number

    def __int__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        return f"<stream {self.number} of a GPU>"


class Event:
    """An event of a GPU's driver, given back when it is let go of."""

    def __init__(self, driver: Any, device: int, timing: bool) -> None:
        self.driver = driver
        self.device = device
        driver.enter(device)
        self.handle: int = driver.create_event(timing)

    def record(self, stream: GpuStream) -> None:
        """Set the event behind the work that a stream has been given so far."""
        self.driver.enter(self.device)
        self.driver.record(self.handle, stream.number)

    def query(self) -> bool:
        """Return whether all work before the event has ended."""
        self.driver.enter(self.device)
        return bool(self.driver.event_ended(self.handle))

    def wait(self, stream: GpuStream) -> None:
        """Let a stream run nothing more until the event has been reached."""
        self.driver.enter(self.device)
        self.driver.wait(stream.number, self.handle)

    def synchronize(self) -> None:
        """Wait on the host until the event has been reached."""
        self.driver.enter(self.device)
        self.driver.synchronize_event(self.handle)

    def elapsed_time(self, end: Event) -> float:
        """Return the milliseconds from this event to a later one."""
        self.driver.enter(self.device)
        return float(self.driver.elapsed(self.handle, end.handle))

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            self.driver.enter(self.device)
            self.driver.destroy_event(self.handle)


class GpuStreams(Streams):
    """The streams of a GPU.

    streams: number of the driver -> stream, one object each, for free memory is kept by stream;
        none is destroyed.
    """

    def __init__(self, driver: Any, number: int) -> None:
        self.driver = driver
        self.number = number
        super().__init__(GpuStream(0))
        self.streams: dict[int, Any] = {0: self.default}
        self.own: list[Any] = []  # streams that were made here
        self.handed = 0  # how often one was asked for
        self.making = threading.Lock()

    def enter(self) -> None:
        """Make this GPU's context current in this thread: the driver's calls go there."""
        self.driver.enter(self.number)

    def new_stream(self) -> Any:
        """Return a stream that does not wait for the default one; at most STREAMS are made."""
        self.enter()
        with self.making:
            place = self.handed % STREAMS
            self.handed += 1
            if place == len(self.own):
                number = self.driver.create_stream()
                self.streams[number] = GpuStream(number)
                self.own.append(self.streams[number])
            return self.own[place]

    def new_event(self, timing: bool = False) -> Event:
        """Return an event to record in a stream; timing: whether `elapsed_time` may be asked."""
        return Event(self.driver, self.number, timing)

    def wait_for(self, stream: Any) -> None:
        """Wait until all work of a stream has ended."""
        self.enter()
        self.driver.synchronize_stream(stream.number)

    def stream_number(self, stream: Any) -> int:
        """Return the driver's number of a stream, 0 for the default one."""
        return int(stream.number)

    def ended(self, stream: Any) -> bool:
        """Return whether all work of a stream has ended."""
        self.enter()
        return bool(self.driver.stream_ended(stream.number))

    def after(self, stream: Any, others: Iterable[Any]) -> None:
        """Let a stream wait for the work that other streams have been given so far."""
        for other in others:
            event = self.new_event()
            event.record(other)
            event.wait(stream)

    def external(self, number: int | None) -> Any:
        """Return the stream of a DLPack number, of which 1 and None are the default one.

        Raises: ValueError for 0, which DLPack leaves open.
        """
        if number == 0:
            raise ValueError("stream 0 does not say which default stream is meant: use 1 or 2")
        if number is None or number == dlpack.LEGACY:
            return self.default
        with self.making:
            if number not in self.streams:
                self.streams[number] = GpuStream(number)
            return self.streams[number]


class ImmediateStream:
    """A stream whose work has ended when the call that asks for it returns."""


class ImmediateEvent:
    """An event of such a stream: the time at which it was recorded."""

    def __init__(self) -> None:
        self.time = 0.0

    def record(self, stream: Any) -> None:
        """Store the time."""
        self.time = time.perf_counter()

    def query(self) -> bool:
        """Return True: the work before it has ended."""
        return True

    def wait(self, stream: Any) -> None:
        """Do nothing: there is no work to wait for."""

    def synchronize(self) -> None:
        """Do nothing: there is no work to wait for."""

    def elapsed_time(self, end: ImmediateEvent) -> float:
        """Return the milliseconds from this event to a later one."""
        return 1e3 * (end.time - self.time)
