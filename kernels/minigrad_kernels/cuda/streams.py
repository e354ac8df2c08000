"""Choose the stream that a thread works on, on a GPU and in the simulator.

A stream runs kernels and copies in the order they came, beside those of other streams; an event
is a point in one, for another stream or the host to wait for.  A GPU's are numba.cuda's streams
and events; the simulator runs everything at once.  The public names are
`minigrad.cuda.Stream` and `Event`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from minigrad_kernels.cuda import dlpack

STREAMS = 32  # streams of a device beside the default one


class Streams:
    """The current stream of each thread on a device; `default` is the one that always exists."""

    def __init__(self, default: Any) -> None:
        self.default = default
        self.local = threading.local()

    @property
    def stream(self) -> Any:
        """The stream that this thread's launches and copies go to."""
        return getattr(self.local, "stream", self.default)

    @contextmanager
    def using(self, stream: Any) -> Iterator[None]:
        """Let this thread's launches and copies go to a stream."""
        before = self.stream
        self.local.stream = stream
        try:
            yield
        finally:
            self.local.stream = before


class Event:
    """An event of numba.cuda; each call to the driver runs in the context of its GPU."""

    def __init__(self, context: Any, event: Any) -> None:
        self.context = context
        self.event = event

    def record(self, stream: Any) -> None:
        """Set the event behind the work that a stream has been given so far."""
        with self.context:
            self.event.record(stream)

    def query(self) -> bool:
        """Return whether all work before the event has ended."""
        with self.context:
            return bool(self.event.query())

    def wait(self, stream: Any) -> None:
        """Let a stream run nothing more until the event has been reached."""
        with self.context:
            self.event.wait(stream)

    def synchronize(self) -> None:
        """Wait on the host until the event has been reached."""
        with self.context:
            self.event.synchronize()

    def elapsed_time(self, end: Event) -> float:
        """Return the milliseconds from this event to a later one."""
        with self.context:
            return float(self.event.elapsed_time(end.event))


class GpuStreams(Streams):
    """The streams of a GPU, which are numba.cuda's.

    streams: number of the driver -> stream, one object each, for free memory is kept by stream;
        none is destroyed.
    """

    def __init__(self, cuda: Any, context: Any) -> None:
        self.cuda = cuda
        self.context = context
        with context:
            super().__init__(cuda.default_stream())
        self.streams: dict[int, Any] = {0: self.default}
        self.own: list[Any] = []  # streams that were made here
        self.handed = 0  # how often one was asked for
        self.making = threading.Lock()

    def new_stream(self) -> Any:
        """Return a stream that does not wait for the default one; at most STREAMS are made."""
        with self.context, self.making:
            place = self.handed % STREAMS
            self.handed += 1
            if place == len(self.own):
                low = self.cuda.cudadrv.driver  # numba.cuda's streams wait for the default one
                apart = int(low.binding.CUstream_flags.CU_STREAM_NON_BLOCKING)
                number = int(low.driver.cuStreamCreate(apart))
                self.streams[number] = self.cuda.external_stream(number)
                self.own.append(self.streams[number])
            return self.own[place]

    def new_event(self, timing: bool = False) -> Event:
        """Return an event to record in a stream; timing: whether `elapsed_time` may be asked."""
        with self.context:
            return Event(self.context, self.cuda.event(timing))

    def wait_for(self, stream: Any) -> None:
        """Wait until all work of a stream has ended."""
        with self.context:
            stream.synchronize()

    def stream_number(self, stream: Any) -> int:
        """Return the driver's number of a stream, 0 for the default one."""
        return 0 if stream is self.default else int(stream)

    def ended(self, stream: Any) -> bool:
        """Return whether all work of a stream has ended."""
        module = self.cuda.cudadrv.driver
        with self.context:
            try:
                module.driver.cuStreamQuery(self.stream_number(stream))
            except module.CudaAPIError as error:
                if "NOT_READY" not in str(error):
                    raise
                return False
        return True

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
        with self.context, self.making:
            if number not in self.streams:
                self.streams[number] = self.cuda.external_stream(number)
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
