"""Which queue of a device a thread works on, and what stands for queues and marks in the simulator.

A queue runs kernels and copies in the order they came, beside those of other queues; a mark is a
place in one, for another queue or the host to wait for.  A GPU's are numba.cuda's streams and
events.  The public names are `minigrad.cuda.Stream` and `Event`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from minigrad_kernels.cuda import dlpack

STREAMS = 32  # queues of a device beside the default one


class Queues:
    """The queues of a device; `default` is the one that is always there."""

    def __init__(self, default: Any) -> None:
        self.default = default
        self.local = threading.local()

    @property
    def queue(self) -> Any:
        """The queue that this thread's launches and copies go to."""
        return getattr(self.local, "queue", self.default)

    @contextmanager
    def using(self, queue: Any) -> Iterator[None]:
        """Let this thread's launches and copies go to a queue."""
        before = self.queue
        self.local.queue = queue
        try:
            yield
        finally:
            self.local.queue = before


class Mark:
    """An event of numba.cuda's; the driver is asked in the context of its GPU."""

    def __init__(self, context: Any, event: Any) -> None:
        self.context = context
        self.event = event

    def record(self, queue: Any) -> None:
        with self.context:
            self.event.record(queue)

    def query(self) -> bool:
        with self.context:
            return bool(self.event.query())

    def wait(self, queue: Any) -> None:
        with self.context:
            self.event.wait(queue)

    def synchronize(self) -> None:
        with self.context:
            self.event.synchronize()

    def elapsed_time(self, end: Mark) -> float:
        with self.context:
            return float(self.event.elapsed_time(end.event))


class Streams(Queues):
    """The queues of a GPU: numba.cuda's streams.

    queues: by the driver's number, one object each, for memory is kept by queue; none is destroyed.
    """

    def __init__(self, cuda: Any, context: Any) -> None:
        self.cuda = cuda
        self.context = context
        with context:
            super().__init__(cuda.default_stream())
        self.queues: dict[int, Any] = {0: self.default}
        self.own: list[Any] = []  # queues that were made here
        self.handed = 0  # how often one was asked for
        self.making = threading.Lock()

    def new_queue(self) -> Any:
        """Return a queue that does not wait for the default one; after STREAMS, one again."""
        with self.context, self.making:
            place = self.handed % STREAMS
            self.handed += 1
            if place == len(self.own):
                low = self.cuda.cudadrv.driver  # numba.cuda's streams wait for the default one
                apart = int(low.binding.CUstream_flags.CU_STREAM_NON_BLOCKING)
                number = int(low.driver.cuStreamCreate(apart))
                self.queues[number] = self.cuda.external_stream(number)
                self.own.append(self.queues[number])
            return self.own[place]

    def new_mark(self, timing: bool = False) -> Mark:
        """Return a mark to set in a queue; timing: whether it tells the time."""
        with self.context:
            return Mark(self.context, self.cuda.event(timing))

    def wait_for(self, queue: Any) -> None:
        """Wait until all work of a queue has ended."""
        with self.context:
            queue.synchronize()

    def stream_number(self, queue: Any) -> int:
        """Return the driver's number of a queue, 0 for the default one."""
        return 0 if queue is self.default else int(queue)

    def ended(self, queue: Any) -> bool:
        """Return whether all work of a queue has ended."""
        module = self.cuda.cudadrv.driver
        with self.context:
            try:
                module.driver.cuStreamQuery(self.stream_number(queue))
            except module.CudaAPIError as error:
                if "NOT_READY" not in str(error):
                    raise
                return False
        return True

    def after(self, queue: Any, others: Iterable[Any]) -> None:
        """Let a queue go on when others have come to where they are now."""
        for other in others:
            mark = self.new_mark()
            mark.record(other)
            mark.wait(queue)

    def external(self, number: int | None) -> Any:
        """Return the queue of a stream by its number in DLPack: 1 or None is the default one."""
        if number == 0:
            raise ValueError("stream 0 does not say which default stream is meant: use 1 or 2")
        if number is None or number == dlpack.LEGACY:
            return self.default
        with self.context, self.making:
            if number not in self.queues:
                self.queues[number] = self.cuda.external_stream(number)
            return self.queues[number]


class Immediate:
    """A queue whose work has ended when the call that asks for it returns."""


class Instant:
    """A mark in such a queue: the moment when it was set."""

    def __init__(self) -> None:
        self.at = 0.0

    def record(self, queue: Any) -> None:
        self.at = time.perf_counter()

    def query(self) -> bool:
        return True

    def wait(self, queue: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: Instant) -> float:
        return 1e3 * (end.at - self.at)
