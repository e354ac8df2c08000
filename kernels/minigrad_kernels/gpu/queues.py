"""Which queue of a device a thread works on, and what stands for queues and marks in the simulator.

A queue runs kernels and copies in the order they came, beside those of other queues; a mark is a
place in one, for another queue or the host to wait for.  A GPU's are numba.cuda's streams and
events.  The public names are `minigrad.cuda.Stream` and `Event`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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


class Immediate:
    """A queue whose work has ended when the call that asks for it returns."""

    def synchronize(self) -> None:
        pass


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
