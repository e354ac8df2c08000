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

from minigrad_cudasim.fault import Fault, Party, Site, site_at, site_of
from minigrad_cudasim.source import accumulates, discarded

GRANULE = 4  # an element of more bytes is logged as several words, so that other views meet it
PENDING = 1_000_000  # reads that are put off at most
READS = 1_000_000  # plain reads of one thread between two waits, from which it is looked at
LOOKED = 1000  # reads more, in which a thread that spins reads few places
FEW = 64
ONES = {n: b"\1" * n for n in (1, 2, 4, 8, 16)}


class Accessor(Protocol):
    """A thread as the log uses it: a `thread.Thread`."""

    number: int
    rank: int
    reads: int
    looked: dict[int, bool]
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
    findings: Any
    traffic: Any
    negative: bool


class Described(Protocol):
    """An array as the log uses it: a `memory.SimulatedArray`."""

    name: str

    def describe(self, offset: int) -> str:
        """Return the name of the element at an offset in bytes."""

    def holds(self, index: Any, value: Any) -> bool:
        """Tell whether an element has a value already."""


class Moment:
    """A stretch of one thread's run, between two points where it lets others know of it."""

    __slots__ = ("thread", "time")

    def __init__(self, thread: Accessor, time: int):
        self.thread = thread
        self.time = time


Record = tuple[Moment, Any, int]  # moment, code, instruction


class Rewritten(Exception):
    """Memory is written of which reads were not logged: the launch begins again, logging them."""

    def __init__(self, region: Region):
        super().__init__()
        self.region = region


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
        self.traffic = machine.traffic if space in ("global", "shared") else None
        self.quick: list[Any] = []  # arrays whose reads are not logged before its first write
        self.forget()

    def forget(self) -> None:
        """Drop the log: a barrier has ordered all of it."""
        self.writes: dict[int, Record] = {}
        self.reads: dict[int, dict[int, Record]] = {}
        self.atomics: dict[int, dict[int, Record]] = {}
        self.pending: list[tuple[int, int, int, Record]] = []  # reads that no write has met yet
        # Whether reads need no check before the next write, only to be put off.
        self.settled = (
            self.logged
            and self.traffic is None
            and (self.written is None or self.written.find(0) < 0)
        )
        self.narrow = False  # whether bytes of words are logged, under the keys -1 - offset

    def read(self, offset: int, itemsize: int, frame: FrameType, array: Described) -> None:
        """Check and log a thread's read.

        offset, itemsize: in bytes.  frame, array: for the report.

        Raises: Fault for a thread that reads without end.
        """
        thread = self.machine.thread
        if self.traffic is not None:
            self.count(offset, itemsize, "read", frame)
        thread.reads += 1
        if thread.reads > READS:
            self.look(thread, offset, frame)
        written = self.written
        if written is not None and written.find(0, offset, offset + itemsize) >= 0:
            self._unwritten(offset, itemsize, frame, array)
        if not self.logged:
            return
        record = (thread.moment, frame.f_code, frame.f_lasti)
        if itemsize < GRANULE or self.narrow:
            self._meet_bytes("read", record, offset, itemsize, array, False)
            if itemsize < GRANULE:
                for key in range(-offset - itemsize, -offset):
                    self.reads.setdefault(key, {})[thread.number] = record
                return
        if self.writes or self.atomics:
            for word in range(offset, offset + itemsize, GRANULE):
                last = self.writes.get(word)
                if last is not None and not thread.saw(last[0]):
                    self._race("read", record, "write", last, word, array)
                if self.atomics:
                    self._against(self.atomics, "read", record, "atomic update", word, array)
        self.pending.append((offset, itemsize, thread.number, record))
        if len(self.pending) > PENDING:
            self.settle()

    def look(self, thread: Accessor, offset: int, frame: FrameType) -> None:
        """Tell a thread that waits for another from one that has much to read.

        Raises: Fault for one that reads a few places over and over that it does not write.
        """
        if self.space not in ("global", "shared"):
            return  # nobody else writes it
        if thread.reads == READS + 1:
            thread.looked.clear()
        thread.looked.setdefault(self.address + offset, False)
        if thread.reads <= READS + LOOKED:
            return
        if len(thread.looked) <= FEW and not all(thread.looked.values()):
            raise thread.spins(site_of(frame))
        thread.reads = 0

    def settle(self) -> None:
        """Enter the reads that were put off: a write is to be held against them."""
        for offset, itemsize, number, record in self.pending:
            for word in range(offset, offset + itemsize, GRANULE):
                held = self.reads.get(word)
                if held is None:
                    self.reads[word] = {number: record}
                else:
                    held[number] = record
        self.pending.clear()

    def first_write(self) -> None:
        """Log the reads of a region that is written after all.

        Raises: Rewritten where some were made, which are not in the log.
        """
        arrays, self.quick = self.quick, []
        unlogged = [array.end_quick() for array in arrays]
        if any(unlogged):
            raise Rewritten(self)

    def write(
        self,
        offset: int,
        itemsize: int,
        frame: FrameType,
        array: Described,
        index: Any = None,
        value: Any = None,
    ) -> None:
        """Check and log a thread's write of a value to the element at an index."""
        if self.quick:
            self.first_write()
        if self.pending:
            self.settle()
        if self.traffic is not None:
            self.count(offset, itemsize, "write", frame)
        if self.written is not None:
            self.written[offset : offset + itemsize] = ONES.get(itemsize) or b"\1" * itemsize
        if not self.logged:
            return
        thread = self.machine.thread
        if thread.reads > READS:
            thread.looked[self.address + offset] = True
        record = (thread.moment, frame.f_code, frame.f_lasti)
        if itemsize < GRANULE or self.narrow:
            same = index is not None and array.holds(index, value)
            self._meet_bytes("write", record, offset, itemsize, array, same)
            if itemsize < GRANULE:
                for key in range(-offset - itemsize, -offset):
                    self.writes[key] = record
                    self.reads.pop(key, None)
                return
        while True:
            last = self.writes.get(offset)
            if last is not None and not thread.saw(last[0]):
                same = index is not None and array.holds(index, value)
                self._race("write", record, "write", last, offset, array, same)
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
        if self.quick:
            self.first_write()
        if self.pending:
            self.settle()
        if self.written is not None and self.written.find(0, offset, offset + itemsize) >= 0:
            self._unwritten(offset, itemsize, frame, array)
            self.written[offset : offset + itemsize] = ONES.get(itemsize) or b"\1" * itemsize
        if not self.logged:
            return
        thread = self.machine.thread
        record = (thread.moment, frame.f_code, frame.f_lasti)
        for word in range(offset, offset + itemsize, GRANULE):
            last = self.writes.get(word)
            if last is not None and not thread.saw(last[0]):
                self._race("atomic update", record, "write", last, word, array)
            self._against(self.reads, "atomic update", record, "read", word, array)
            self.atomics.setdefault(word, {})[thread.number] = record

    def count(self, offset: int, itemsize: int, action: str, frame: FrameType) -> None:
        """Count an access for the report of what memory is asked for."""
        address = self.address + offset
        assert self.traffic is not None
        self.traffic.note(self.space, address, itemsize, action, site_of(frame))

    def _meet_bytes(
        self,
        action: str,
        record: Record,
        offset: int,
        itemsize: int,
        array: Described,
        same: bool,
    ) -> None:
        """Report races of bytes with their like and with words, or of words with their bytes."""
        thread = record[0].thread
        keys = [-1 - byte for byte in range(offset, offset + itemsize)]
        if itemsize < GRANULE:
            self.narrow = True
            keys.append(offset - offset % GRANULE)
        for key in keys:
            last = self.writes.get(key)
            place = key if key >= 0 else -1 - key
            if last is not None and not thread.saw(last[0]):
                self._race(action, record, "write", last, place, array, same)
            for other in self.atomics.get(key, {}).values():
                if not thread.saw(other[0]):
                    self._race(action, record, "atomic update", other, place, array)
            for other in self.reads.get(key, {}).values() if action == "write" else ():
                if not thread.saw(other[0]):
                    self._race(action, record, "read", other, place, array)

    def _against(
        self,
        log: dict[int, dict[int, Record]],
        action: str,
        record: Record,
        earlier: str,
        offset: int,
        array: Described,
    ) -> None:
        """Report the races with earlier accesses of a log, where there are some."""
        thread = record[0].thread
        for other in log.get(offset, {}).values():
            if not thread.saw(other[0]):
                self._race(action, record, earlier, other, offset, array)

    def _race(
        self,
        action: str,
        record: Record,
        earlier: str,
        other: Record,
        offset: int,
        array: Described,
        same: bool = False,
    ) -> None:
        """Report two accesses that nothing orders.

        same: the later one writes what is there already.
        """
        findings = self.machine.findings
        mine, theirs = site_at(*record[1:]), site_at(*other[1:])
        early = (offset, other[0].thread) in findings.early if action == "write" else False
        key = ("race", action, earlier, mine, theirs, self.space, same, early)
        if early:
            findings.withdraw(theirs)
        apart = distance(record[0].thread, other[0].thread)
        farther = findings.farther(key, apart)
        if findings.repeated(key) and not farther:
            return
        name = array.describe(offset)
        a = record[0].thread.party(action, mine)
        b = other[0].thread.party(earlier, theirs)
        summary = f"{action} and {earlier} of {name}"
        hint = ORDERED[apart]
        if early:
            summary = f"{name} is read before it is written: a barrier is missing"
        # Of `s[t] += s[t - d]` an atomic addition would not make `s[t - d]` what it should be.
        if (
            mine.line == theirs.line
            and mine.expression == theirs.expression
            and accumulates(mine.source)
        ):
            hint = f"threads add to one place: use cuda.atomic, as in cuda.atomic.add; {hint}"
        note = ""
        if same:
            note = "both write the same value"
        elif any(
            what == "read" and discarded(site) for what, site in ((action, mine), (earlier, theirs))
        ):
            note = "what is read is not used"
        fault = Fault("race", summary, (a, b), f"{note}: {hint}" if note else hint)
        findings.add(key, fault, note=bool(note))

    def _unwritten(self, offset: int, itemsize: int, frame: FrameType, array: Described) -> None:
        """Report a read of unwritten memory."""
        findings = self.machine.findings
        thread = self.machine.thread
        site = site_of(frame)
        if self.logged:
            for word in range(offset - offset % GRANULE, offset + itemsize, GRANULE):
                findings.early.add((word, thread))
        key = ("uninitialised", site)
        if findings.repeated(key):
            return
        summary = f"read of {array.describe(offset)}, which nothing has written"
        findings.add(key, Fault("uninitialised", summary, (thread.party("read", site),)))


def distance(mine: Accessor, theirs: Accessor) -> int:
    """Return whether two threads are of one warp (0), of one block (1) or of two (2)."""
    if mine.block is not theirs.block:
        return 2
    return int(mine.warp != theirs.warp)


ORDERED = (  # what would order the accesses of two threads, by how far they are from each other
    "the lanes of a warp need not run in step: cuda.syncthreads() must stand between the two, or "
    "cuda.syncwarp() where no other warp comes to that place",
    "cuda.syncthreads() must stand between the two",
    "blocks of one launch run in any order, or at once: write to places of their own, "
    "use cuda.atomic, or a second launch",
)
