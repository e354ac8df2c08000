"""The machine that a simulated kernel runs on: threads, warps, blocks, and the order they run in.

Every thread is a greenlet that runs until it waits: at a barrier, at a warp operation, or after an
atomic (so that others may come between).  A `Schedule` then picks, from a seed, who goes on.
"""

from __future__ import annotations

import contextvars
import gc
import random
import threading
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

import numpy as np

from minigrad_cudasim.fault import Fault, LaunchFault, listed
from minigrad_cudasim.findings import Enough, Findings
from minigrad_cudasim.memory import as_dtype
from minigrad_cudasim.thread import (
    RESUMED,
    TOGETHER,
    WARP,
    Block,
    Dim3,
    Known,
    Thread,
    Wait,
    later,
    places,
)

try:
    import greenlet
except ImportError:
    greenlet = None

NO_GREENLET = (
    "the simulator runs each CUDA thread as a greenlet: pip install greenlet, which comes with the "
    "extra: pip install minigrad[simulate]"
)
MAX_STATIC = 48 * 1024  # bytes of static shared memory
MAX_SHARED = 227 * 1024  # of compute capability 9.0, static and dynamic together
RESIDENT = 1024  # threads alive at once: further blocks start as others end
LATE = 100_000  # threads that begin after a fault was found, at most
PATIENCE = 2_000  # turns a thread, after which waiting on atomics alone is a deadlock
ORDERS = ("random", "reverse", "ahead", "drift")


class Running(threading.local):
    """The machine that runs in this thread of the process, for models that are handed no array."""

    machine: Machine | None = None


RUNNING = Running()


class Machine:
    """One launch: runs every thread to its end, or raises the first `Fault`."""

    def __init__(
        self,
        grid: Dim3,
        block: Dim3,
        dynamic: int,
        seed: int,
        order: str | None,
        races: bool,
        uninitialised: bool,
        float64: bool,
        negative: bool = True,
        cooperative: bool = False,
        debug: bool = False,
    ):
        if greenlet is None:
            raise ImportError(NO_GREENLET)
        self.findings = Findings()
        self.negative = negative
        self.cooperative = cooperative
        self.debug = debug
        self.regions: list[Any] = []  # of global memory
        self.traffic: Any = None
        self.grid = grid
        self.block = block
        self.races = races
        self.uninitialised = uninitialised
        self.float64 = float64
        self.random = random.Random(seed)
        self.order = order or self.random.choice(ORDERS)
        if self.order not in ORDERS:
            raise ValueError(f"order is {order!r}, expected one of {', '.join(ORDERS)}")
        self.dynamic = dynamic
        self.first: range | None = None  # blocks that are known to hold a fault: they run first
        self.releases: dict[tuple[int, Any], Known] = {}
        self.thread: Thread  # the one that runs
        self.hub = greenlet.getcurrent()
        self.free = 0x10000
        self.idle = 0  # turns since anything but an atomic happened
        # (address, size, dtype) -> the array of the process's memory that lies there, or a Fault.
        self.array_at: Callable[..., Any] = refused

    def reserve(self, nbytes: int) -> int:
        """Return the simulated address of a new allocation, a multiple of 256."""
        address = self.free
        self.free += -(-max(nbytes, 1) // 256) * 256 + 256
        return address

    def shared_limit(self, static: int, site: Any) -> None:
        """Report a block with more shared memory than any has.

        static: bytes of arrays that the kernel declares.
        """
        over = static > MAX_STATIC
        if not over and static + self.dynamic <= MAX_SHARED:
            return
        if self.findings.repeated(("launch", over)):
            return
        most = MAX_STATIC if over else MAX_SHARED
        text = f"{static} bytes of static shared memory"
        if not over:
            text += f" and {self.dynamic} of dynamic"
        hint = "more than 48 KiB is dynamic shared memory alone: cuda.shared.array(0, dtype)" * over
        party = self.thread.party("allocate", site)
        fault = LaunchFault("launch", f"{text}, expected at most {most}", (party,), hint)
        self.findings.add(("launch", over), fault)

    # ------------------------------------------------------------ called by a running thread
    def suspend(self, wait: Wait) -> Any:
        """Stop the running thread until what it waits for has come; return the answer."""
        thread = self.thread
        thread.wait = wait
        thread.reads = 0
        self.hub.switch()
        return thread.answer

    def publish(self, address: int) -> None:
        """Order an atomic: hear what was released at this address, release what was fenced.

        What was heard counts from the next fence or barrier of the thread on.
        """
        thread = self.thread
        for scope in (None, thread.block):
            known = self.releases.get((address, scope))
            if known is not None:
                thread.heard[address, scope] = known
        for name, known in thread.fences.items():
            key = (address, None if name == "device" else thread.block)
            held = self.releases.get(key, {})
            merged = {b: later(c, held[b]) if b in held else c for b, c in known.items()}
            self.releases[key] = {**held, **merged}

    # ------------------------------------------------------------ the schedule
    def run(self, function: FunctionType, args: tuple[Any, ...]) -> None:
        """Run all threads; not from within a kernel."""
        # The log is many small tuples without cycles: to search them for some took a third of the
        # time of a 48 x 48 tiled matmul (0.65 s against 0.44).
        collects = gc.isenabled()
        gc.disable()
        RUNNING.machine = self
        try:
            self.turns(function, args)
        finally:
            RUNNING.machine = None
            if collects:
                gc.enable()

    def turns(self, function: FunctionType, args: tuple[Any, ...]) -> None:
        """Run the threads of all blocks in turns until they have ended.

        Raises: Enough, where many have begun since a fault was found.
        """
        with np.errstate(all="ignore", divide="raise" if self.debug else "ignore"):
            context = contextvars.copy_context()
        waiting = list(enumerate(places(self.grid)))
        self.random.shuffle(waiting)
        if self.first is not None:  # stable: a launch that these are all of is as before
            first = self.first
            waiting.sort(key=lambda block: block[0] in first)
        late = 0
        ready: list[Thread] = []
        alive: set[Block] = set()
        size = self.block.x * self.block.y * self.block.z
        while True:
            while waiting and (
                self.cooperative or len(alive) < 2 or (len(alive) + 1) * size <= RESIDENT
            ):
                number, place = waiting.pop()
                late += size if self.findings.held else 0
                if late > LATE:
                    raise Enough
                block = Block(Dim3(*place), self.block, number * size)
                alive.add(block)
                for thread in block.threads:
                    thread.greenlet = greenlet.greenlet(function)
                    thread.greenlet.gr_context = context.copy()
                    thread.answer = args
                ready += block.threads
            if not alive:
                return
            if not ready:
                raise self.stuck(alive)
            turn, ready = self.pick(ready)
            touched: dict[Block, set[int]] = {}
            for thread in turn:
                self.step(thread)
                if thread.wait is not None and thread.wait.kind == "turn":
                    ready.append(thread)
                else:
                    self.idle = 0
                    touched.setdefault(thread.block, set()).add(thread.warp)
            if self.idle > PATIENCE * len(ready):
                raise self.starved(ready)
            for block, warps in touched.items():
                if all(thread.done for thread in block.threads):
                    alive.discard(block)
                    continue
                for warp in sorted(warps):
                    ready += self.meet_in_warp(block.warps[warp])
                ready += self.meet_in_block(block)
            if self.cooperative and not ready:
                ready += self.meet_in_grid(alive)

    def step(self, thread: Thread) -> None:
        """Run one thread until it waits or ends."""
        self.thread = thread
        answer = thread.answer if thread.wait is None else ()
        thread.wait = None
        self.idle += 1
        thread.greenlet.switch(*answer)
        if thread.greenlet.dead:
            thread.done = True

    def pick(self, ready: list[Thread]) -> tuple[list[Thread], list[Thread]]:
        """Split the threads that can run into those that do now, in order, and the rest."""
        if self.order == "reverse":
            return sorted(ready, key=lambda t: -t.number), []
        if self.order == "random":
            self.random.shuffle(ready)
            return ready, []
        warps: dict[tuple[int, int], list[Thread]] = {}
        for thread in ready:
            warps.setdefault((id(thread.block), thread.warp), []).append(thread)
        keys = sorted(warps, key=lambda k: warps[k][0].number)
        if self.order == "ahead":  # one warp runs as far as it can, but for spinning, before others
            chosen = keys[:1] if self.random.random() < 0.9 else [self.random.choice(keys)]
        else:  # "drift": some warps, of any blocks, move and the others do not
            chosen = [k for k in keys if self.random.random() < 0.3] or keys[-1:]
        turn = [t for k in chosen for t in warps[k]]
        self.random.shuffle(turn)
        rest = [t for k in keys if k not in chosen for t in warps[k]]
        return turn, rest

    # ------------------------------------------------------------ meeting points
    def meet_in_warp(self, lanes: list[Thread]) -> list[Thread]:
        """Complete each warp operation at which all lanes of its mask have come."""
        released: list[Thread] = []
        groups: dict[tuple[str, int, Any], list[Thread]] = {}
        for thread in lanes:
            if thread.wait is not None and thread.wait.kind == "warp" and not thread.done:
                # What is .aligned must be one instruction for the whole warp.
                one = thread.wait.whole or thread.wait.name == TOGETHER
                place = thread.wait.site if one else None
                groups.setdefault((thread.wait.name, thread.wait.mask, place), []).append(thread)
        for (name, mask, _), group in groups.items():
            expected = {t.lane for t in lanes if mask >> t.lane & 1 and not t.done}
            if name != TOGETHER and expected != {t.lane for t in group}:
                continue
            waits = {t.lane: t.wait for t in group if t.wait is not None}
            if waits[group[0].lane].whole and len(group) < WARP:
                raise self.incomplete(group, name)
            rule = waits[group[0].lane].rule
            if rule is None:  # syncwarp, which orders memory as no other warp operation does
                self.order_memory(group)
            else:
                answers = self.ask(rule, waits, group, name)
                for thread in group:
                    thread.answer = answers.get(thread.lane)
            for thread in group:
                thread.wait = RESUMED
            released += group
        return released

    def ask(
        self,
        rule: Callable[[dict[int, Any]], dict[int, Any]],
        waits: dict[int, Wait],
        group: list[Thread],
        name: str,
    ) -> dict[int, Any]:
        """Return each lane's result of a warp operation; a lane's error is raised with its site."""
        try:
            return rule({lane: wait.value for lane, wait in waits.items()})
        except LaneError as error:
            thread = next(t for t in group if t.lane == error.lane)
            party = thread.party(name, waits[error.lane].site)
            raise Fault("warp", str(error), (party,)) from None

    def order_memory(self, group: Iterable[Thread]) -> None:
        """Let each thread of a group know all that the others have done."""
        threads = list(group)
        for thread in threads:
            thread.hear()
        clock = threads[0].clock
        for thread in threads[1:]:
            clock = later(clock, thread.clock)
        clock = clock.copy()
        foreign: Known = {}
        for thread in threads:
            clock[thread.rank] = thread.time
            for block, known in thread.foreign.items():
                foreign[block] = later(known, foreign[block]) if block in foreign else known
        for thread in threads:
            thread.clock = clock
            thread.foreign = foreign
            thread.advance()

    def meet_in_block(self, block: Block) -> list[Thread]:
        """Open the block's barrier once every thread has come to it."""
        waits = [t.wait for t in block.threads if not t.done]
        if not all(wait is not None and wait.kind == "barrier" for wait in waits):
            return []
        present = [wait for wait in waits if wait is not None]
        if len(present) < len(block.threads):
            raise self.divergent(block, "have ended")
        if len({(wait.name, wait.site) for wait in present}) > 1:
            raise self.divergent(block, "wait at another barrier")
        self.order_memory(block.threads)
        for region in block.regions:
            region.forget()
        votes = [bool(wait.value) for wait in present]
        answers = {
            "syncthreads": None,
            "syncthreads_count": sum(votes),
            "syncthreads_and": int(all(votes)),
            "syncthreads_or": int(any(votes)),
        }
        for thread in block.threads:
            thread.answer = answers[present[0].name]
            thread.wait = RESUMED
        return list(block.threads)

    def meet_in_grid(self, alive: set[Block]) -> list[Thread]:
        """Open the grid's barrier once every thread of every block has come to it."""
        threads = [t for block in alive for t in block.threads if not t.done]
        if not all(t.wait is not None and t.wait.kind == "grid" for t in threads):
            return []
        for region in [*self.regions, *(r for block in alive for r in block.regions)]:
            region.forget()
        for block in alive:
            self.order_memory([t for t in block.threads if not t.done])
        for thread in threads:
            thread.answer = None
            thread.wait = RESUMED
        return threads

    # ------------------------------------------------------------ reports
    def incomplete(self, group: list[Thread], name: str) -> Fault:
        """Return the Fault of a warp operation that some lanes do not reach."""
        site = group[0].wait.site if group[0].wait is not None else None
        return Fault(
            "warp",
            f"only lanes {listed(t.lane for t in group)} of a warp come to {name}",
            (group[0].party(name, site),),
            "all 32 lanes must take part: no lane may have ended, no block may end within a warp",
        )

    def divergent(self, block: Block, others: str) -> Fault:
        """Return the Fault of a barrier that some threads of a block do not reach."""
        places: dict[Any, list[Thread]] = {}
        for thread in block.threads:
            wait = thread.wait
            key = (wait.name, wait.site) if wait is not None and not thread.done else None
            places.setdefault(key, []).append(thread)
        shown = sorted((k for k in places if k is not None), key=lambda k: len(places[k]))
        first = places[shown[0]]
        parties = [
            places[key][0].party(f"{len(places[key])} threads at {key[0]}", key[1]) for key in shown
        ]
        if None in places:
            parties.append(places[None][0].party(f"{len(places[None])} threads ended", None))
        summary = (
            f"{len(first)} of {len(block.threads)} threads of block {tuple(block.index)} wait at "
            f"{shown[0][0]} while the others {others}"
        )
        hint = "every thread of a block must come to the same barrier: move it out of the branch"
        return Fault("barrier", summary, tuple(parties), hint)

    def stuck(self, alive: set[Block]) -> Fault:
        """Say why no thread can run: lanes that wait for lanes that are elsewhere."""
        block = min(alive, key=lambda b: b.threads[0].number)
        for lanes in block.warps:
            places: dict[tuple[Any, ...], list[Thread]] = {}
            for t in lanes:
                if t.wait is not None and not t.done:
                    places.setdefault((t.wait.name, t.wait.mask, t.wait.site), []).append(t)
            if any(mask for _, mask, _ in places):
                parties = tuple(
                    group[0].party(
                        f"lanes {listed(t.lane for t in group)} at {name}"
                        + f" with mask {mask:#010x}" * bool(mask),
                        site,
                    )
                    for (name, mask, site), group in places.items()
                )
                warp = lanes[0].warp
                summary = (
                    f"the lanes of warp {warp} of block {tuple(block.index)} wait for each other"
                )
                hint = "all lanes that a mask names must come to the same operation with that mask"
                return Fault("warp", summary, parties, hint)
        return self.divergent(block, "are elsewhere")

    def starved(self, ready: list[Thread]) -> Fault:
        """Return the Fault of threads that wait on atomics for ever."""
        thread = ready[0]
        site = thread.wait.site if thread.wait is not None else None
        return Fault(
            "deadlock",
            f"{len(ready)} threads have taken {PATIENCE} turns each on atomics alone, and nobody "
            "else can run",
            (thread.party("atomic", site),),
            "who should release them waits for them, or for a block that has not started",
        )


def running() -> Thread:
    """Return the simulated thread that runs now: for the models of intrinsics."""
    if RUNNING.machine is None:
        raise RuntimeError("no kernel is being simulated: this is the model of an intrinsic")
    return RUNNING.machine.thread


def reached(address: int, size: int, dtype: Any) -> Any:
    """Return the array at an address, for the running kernel: for the models of intrinsics."""
    running()
    assert RUNNING.machine is not None
    return RUNNING.machine.array_at(int(address), int(size), as_dtype(dtype))


def refused(address: int, size: int, dtype: Any) -> Any:
    """Raise the TypeError of an address that the launch cannot follow."""
    raise TypeError("launch was given no reach= that knows what lies at an address")


class LaneError(ValueError):
    """A warp operation that a lane asked for what there is not."""

    def __init__(self, lane: int, message: str):
        super().__init__(message)
        self.lane = lane
