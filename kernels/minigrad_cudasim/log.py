"""The log of a simulated kernel's accesses, which finds unwritten elements and races.

Two accesses of one element race when one of them writes, not both are atomic, and nothing orders
them: no barrier, no `syncwarp`, no fence and atomic.  Each access is logged with the moment of its
thread, and each thread knows up to which moment of every other it has been ordered (a vector
clock), so that a race is found whatever order the threads happened to run in.
Source: Flanagan and Freund, "FastTrack: efficient and precise dynamic race detection" (PLDI 2009).
"""

from __future__ import annotations

from types import FrameType
from typing import Any, Protocol

from minigrad_cudasim.fault import Fault, Party, Site, site_of

GRANULE = 4  # an element of more bytes is logged as several words, so that other views meet it
READS = 1_000_000  # plain reads of one thread between two waits, from which it is called a spin
ONES = {n: b"\1" * n for n in (1, 2, 4, 8, 16)}


class Accessor(Protocol):
    """A thread as the log uses it: a `thread.Thread`."""

    number: int
    rank: int
    reads: int
    moment: Moment
    block: Any
    warp: int

    def saw(self, moment: Moment) -> bool:
        """Tell whether a moment, of any thread, is ordered before now."""

    def party(self, action: str, site: Site | None = None) -> Party:
        """Return the thread as a Fault names it, with what it did and where."""

    def spins(self, site: Site) -> Fault:
        """Return the Fault of a thread that reads without end."""


class Running(Protocol):
    """A machine as the log uses it: a `machine.Machine`."""

    races: bool
    float64: bool
    thread: Any


class Described(Protocol):
    """An array as the log uses it: a `memory.SimulatedArray`."""

    def describe(self, offset: int) -> str:
        """Return the name of the element at an offset in bytes."""


class Moment:
    """A stretch of one thread's run, between two points where it lets others know of it."""

    __slots__ = ("thread", "time")

    def __init__(self, thread: Accessor, time: int):
        self.thread = thread
        self.time = time


Record = tuple[Moment, Any, int]  # moment, code, instruction


class Region:
    """One allocation: its simulated address, what has been written, who accessed what and when.

    space: "global", "shared", "local" or "const"; only the first two are shared between threads.
    written: one byte for each byte of memory, or None where all counts as written.
    """

    def __init__(
        self,
        machine: Running,
        space: str,
        address: int,
        written: bytearray | None,
    ):
        self.machine = machine
        self.space = space
        self.address = address
        self.written = written
        self.logged = machine.races and space in ("global", "shared")
        self.forget()

    def forget(self) -> None:
        """Drop the log: a barrier has ordered all of it."""
        self.writes: dict[int, Record] = {}
        self.reads: dict[int, dict[int, Record]] = {}
        self.atomics: dict[int, dict[int, Record]] = {}

    def read(self, offset: int, itemsize: int, frame: FrameType, array: Described) -> None:
        """Check and log a thread's read.

        offset, itemsize: in bytes.  frame, array: for the error.

        Raises: Fault for unwritten memory, for a race and for a thread that reads without end.
        """
        thread = self.machine.thread
        thread.reads += 1
        if thread.reads > READS:
            raise thread.spins(site_of(frame))
        written = self.written
        if written is not None and written.find(0, offset, offset + itemsize) >= 0:
            raise self._unwritten(offset, frame, array)
        if not self.logged:
            return
        record = (thread.moment, frame.f_code, frame.f_lasti)
        while True:
            last = self.writes.get(offset)
            if last is not None and not thread.saw(last[0]):
                raise self._race("read", record, "write", last, offset, array)
            if self.atomics:
                self._against(self.atomics, "read", record, "atomic update", offset, array)
            held = self.reads.get(offset)
            if held is None:
                self.reads[offset] = {thread.number: record}
            else:
                held[thread.number] = record
            itemsize -= GRANULE
            if itemsize <= 0:
                return
            offset += GRANULE

    def write(self, offset: int, itemsize: int, frame: FrameType, array: Described) -> None:
        """Check and log a thread's write.

        Raises: Fault for a race.
        """
        if self.written is not None:
            self.written[offset : offset + itemsize] = ONES[itemsize]
        if not self.logged:
            return
        thread = self.machine.thread
        record = (thread.moment, frame.f_code, frame.f_lasti)
        while True:
            last = self.writes.get(offset)
            if last is not None and not thread.saw(last[0]):
                raise self._race("write", record, "write", last, offset, array)
            if offset in self.reads:
                self._against(self.reads, "write", record, "read", offset, array)
                del self.reads[offset]  # ordered before this write: who sees it has seen them
            if offset in self.atomics:
                self._against(self.atomics, "write", record, "atomic update", offset, array)
                del self.atomics[offset]
            self.writes[offset] = record
            itemsize -= GRANULE
            if itemsize <= 0:
                return
            offset += GRANULE

    def update(self, offset: int, itemsize: int, frame: FrameType, array: Described) -> None:
        """Log an atomic read-modify-write: it races with plain accesses, never with its like."""
        if self.written is not None and self.written.find(0, offset, offset + itemsize) >= 0:
            raise self._unwritten(offset, frame, array)
        if not self.logged:
            return
        thread = self.machine.thread
        record = (thread.moment, frame.f_code, frame.f_lasti)
        for word in range(offset, offset + itemsize, GRANULE):
            last = self.writes.get(word)
            if last is not None and not thread.saw(last[0]):
                raise self._race("atomic update", record, "write", last, word, array)
            self._against(self.reads, "atomic update", record, "read", word, array)
            self.atomics.setdefault(word, {})[thread.number] = record

    def _against(
        self,
        log: dict[int, dict[int, Record]],
        action: str,
        record: Record,
        earlier: str,
        offset: int,
        array: Described,
    ) -> None:
        """Raise the Fault of a race with an earlier access of a log, where there is one."""
        thread = record[0].thread
        for other in log.get(offset, {}).values():
            if not thread.saw(other[0]):
                raise self._race(action, record, earlier, other, offset, array)

    def _race(
        self,
        action: str,
        record: Record,
        earlier: str,
        other: Record,
        offset: int,
        array: Described,
    ) -> Fault:
        """Return the Fault of two accesses that nothing orders."""
        mine = record[0].thread
        theirs = other[0].thread
        if mine.block is not theirs.block:
            order = (
                "blocks of one launch run in any order, or at once: write to places of their own, "
                "use cuda.atomic, or a second launch"
            )
        elif mine.warp == theirs.warp:
            order = (
                "the lanes of a warp need not run in step: cuda.syncwarp() or cuda.syncthreads() "
                "must stand between the two"
            )
        else:
            order = "cuda.syncthreads() must stand between the two"
        parties = (
            mine.party(action, Site(*record[1:])),
            theirs.party(earlier, Site(*other[1:])),
        )
        return Fault("race", f"{action} and {earlier} of {array.describe(offset)}", parties, order)

    def _unwritten(self, offset: int, frame: FrameType, array: Described) -> Fault:
        """Return the Fault of a read of unwritten memory."""
        party = self.machine.thread.party("read", site_of(frame))
        summary = f"read of {array.describe(offset)}, which nothing has written"
        return Fault("uninitialised", summary, (party,))
