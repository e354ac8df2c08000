"""Simulated threads and blocks, and what each thread knows of the others' moments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from minigrad_cudasim.fault import Fault, Index, Party, Site
from minigrad_cudasim.log import Moment, Region

WARP = 32
TOGETHER = (
    "activemask"  # the warp operation that waits for nobody: who comes in one turn takes part
)

Clock = list[int]  # for each thread of a block, the last of its moments that is known of
Known = dict["Block", Clock]


class Dim3(NamedTuple):
    """Three sizes or places: x, y and z."""

    x: int = 1
    y: int = 1
    z: int = 1

    def __str__(self) -> str:
        return f"({self.x}, {self.y}, {self.z})"


@dataclass(slots=True)
class Wait:
    """The reason why a thread waits: a barrier, a warp operation, or just its next turn."""

    kind: str  # "barrier", "warp", "grid", "turn"
    name: str = ""
    site: Site | None = None
    mask: int = 0
    rule: Callable[[dict[int, Any]], dict[int, Any]] | None = None
    value: Any = None
    whole: bool = False  # all 32 lanes must come, ended ones too


RESUMED = Wait("resumed")  # what a thread waited for has come, but its turn has not


class Thread:
    """One CUDA thread: its place, its greenlet, and what it knows of the others' moments."""

    __slots__ = (
        "answer",
        "block",
        "clock",
        "copies",
        "done",
        "fences",
        "foreign",
        "greenlet",
        "heard",
        "index",
        "lane",
        "looked",
        "moment",
        "number",
        "rank",
        "reads",
        "time",
        "wait",
        "warp",
    )

    def __init__(self, block: Block, rank: int, index: Dim3, number: int):
        self.block = block
        self.rank = rank
        self.number = number
        self.index = index
        self.warp = rank // WARP
        self.lane = rank % WARP
        self.time = 0
        self.moment = Moment(self, 0)
        self.clock: Clock = block.start
        self.foreign: Known = {}
        self.fences: dict[str, Known] = {}
        self.heard: dict[Any, Known] = {}  # released at its atomics, and not yet fenced
        self.copies: list[list[Any]] = [[]]  # of cp.async: committed groups, the open one last
        self.wait: Wait | None = None
        self.answer: Any = None
        self.reads = 0
        self.looked: dict[int, bool] = {}  # places read of late, and whether it wrote them too
        self.done = False
        self.greenlet: Any = None

    def saw(self, moment: Moment) -> bool:
        """Tell whether a moment, of any thread, is ordered before now."""
        other = moment.thread
        if other is self:
            return True
        if other.block is self.block:
            return self.clock[other.rank] >= moment.time
        known = self.foreign.get(other.block)
        return known is not None and known[other.rank] >= moment.time

    def advance(self) -> None:
        """Begin a moment of which nobody knows yet."""
        self.time += 1
        self.moment = Moment(self, self.time)

    def fence(self, scope: str) -> None:
        """Hold what an atomic after this fence makes known, and learn what atomics before it heard.

        A relaxed atomic alone orders nothing: who releases fences before it, who acquires after.
        """
        self.hear(everything=scope == "device")
        mine = self.clock.copy()
        mine[self.rank] = self.time
        self.fences[scope] = {**self.foreign, self.block: mine}
        self.advance()

    def hear(self, everything: bool = True) -> None:
        """Count what was released at this thread's atomics as ordered before now.

        everything: False for what this block's threads released alone.
        """
        for known in self.heard.values():
            self.learn(known if everything else {b: c for b, c in known.items() if b is self.block})
        if everything:
            self.heard.clear()

    def learn(self, known: Known) -> None:
        """Count all moments of `known` as ordered before now."""
        for block, clock in known.items():
            if block is self.block:
                self.clock = later(self.clock, clock)
            else:
                held = self.foreign.get(block)
                merged = clock if held is None else later(held, clock)
                self.foreign = {**self.foreign, block: merged}

    def party(self, action: str, site: Site | None = None) -> Party:
        """Return the thread as a Fault names it, with what it did and where."""
        return Party(action, (*self.block.index,), (*self.index,), site, self.warp, self.lane)

    def spins(self, site: Site) -> Fault:
        """Return the Fault of a thread that reads without end."""
        return Fault(
            "deadlock",
            f"a thread has read {self.reads} times without coming to a barrier or an end, of late "
            f"{len(self.looked)} places",
            (self.party("read", site),),
            "waiting for another thread takes an atomic or a barrier, not plain reads",
        )


def later(a: Clock, b: Clock) -> Clock:
    """Return the later time of each thread of two clocks."""
    return a if a is b else list(map(max, a, b))


class Block:
    """One block: its threads, its shared memory."""

    def __init__(self, index: Dim3, shape: Dim3, first: int):
        self.index = index
        count = shape.x * shape.y * shape.z
        self.start: Clock = [-1] * count
        self.regions: list[Region] = []
        self.shared: dict[Any, Any] = {}
        self.static = 0  # bytes of shared memory
        self.threads = [
            Thread(self, rank, Dim3(*place), first + rank)
            for rank, place in enumerate(places(shape))
        ]
        self.warps = [self.threads[i : i + WARP] for i in range(0, count, WARP)]


def places(shape: Dim3) -> Iterator[Index]:
    """Yield the indices of a grid or block, x fastest."""
    for z in range(shape.z):
        for y in range(shape.y):
            for x in range(shape.x):
                yield x, y, z
