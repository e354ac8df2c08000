"""Copies to a device that do not wait for it: through pinned memory of the host.

A device reads pinned memory by itself, while the program goes on; of other memory its driver makes
a copy first, and waits.  What is written is copied into a ring of pinned memory, from where the
device takes it in the order of its stream: so the source may change as soon as the call returns.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import buffer_of

Array = np.ndarray[Any, Any]

RING = 1 << 24  # bytes
PIECE = 1 << 22  # bytes that one copy takes at most, so that filling and copying overlap
ALIGNED = 256  # bytes
EVENTS = 4_096  # copies under way at most


class Ring:
    """Pinned bytes, handed out round and round; what is still being copied is waited for.

    memory: (size,) uint8.  new_event: makes an event to record in a stream.
    """

    def __init__(self, memory: Array, new_event: Callable[[], Any]) -> None:
        self.memory = memory
        self.new_event = new_event
        self.next = 0  # bytes handed out since the beginning, those left out at an end included
        self.held: collections.deque[tuple[int, Any]] = collections.deque()  # first byte, event
        self.spare: list[Any] = []
        self.start = 0

    def take(self, nbytes: int) -> Array:
        """Return so many bytes, at most the ring's; `copied` is to follow."""
        size = self.memory.size
        room = -(-nbytes // ALIGNED) * ALIGNED
        if self.next % size + room > size:
            self.next += size - self.next % size
        start, self.next = self.next, self.next + room
        while self.held and (self.held[0][0] < self.next - size or len(self.held) >= EVENTS):
            _, event = self.held.popleft()
            event.synchronize()
            self.spare.append(event)
        self.start = start
        return self.memory[start % size : start % size + nbytes]

    def copied(self, stream: Any) -> None:
        """Note that the copy of what was last taken is in a stream."""
        event = self.spare.pop() if self.spare else self.new_event()
        event.record(stream)
        self.held.append((self.start, event))


class Pinned:
    """Pinned memory of a driver, given back when it is let go of; free: what gives it back."""

    def __init__(self, address: int, free: Callable[[int], None]) -> None:
        self.address = address
        self.free = free

    def __del__(self) -> None:
        self.free(self.address)


def is_pinned(host: Array) -> bool:
    """Tell whether an array lies in pinned memory."""
    return isinstance(getattr(buffer_of(host).base, "owner", None), Pinned)
