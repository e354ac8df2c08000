"""Fair timing: candidates in turns, in blocks, with pauses, medians over rounds.

Thread pools spin for a while after work, and on few cores one candidate's spinning threads slow
the next one down many times over.  So a candidate runs alone for a block of about 0.1 s after two
warm-up calls, all threads come to rest in a pause of 0.35 s, and the next candidate follows; what
else the machine does meets all candidates alike, round after round.
"""

from __future__ import annotations

import gc
import importlib.util
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

OURS = "minigrad"
SAMPLE = 200e-6  # seconds: calls shorter than this are timed several at once
MIN_CALLS = 3  # in a block, however long a call takes
HOPELESS = 1.5  # a thread count this much slower than another in the first round is left out


@dataclass(frozen=True)
class Candidate:
    """One way to do a case's work.

    make: returns the call to time; it is called before every block, so that each block starts from
        the same state, and sets the library's thread count where that can be set.
    threads: what `make` sets it to; None is the library's own default.  ulp: the largest error of
        its results beside float64 in units of the last place, where that was measured.
    parts: how many of the case's calls one call makes, where a single one cannot be timed.
    """

    library: str
    make: Callable[[], Callable[[], Any]]
    variant: str = ""
    threads: int | None = None
    ulp: float | None = None
    parts: int = 1

    @property
    def name(self) -> str:
        """The library and its variant; candidates that differ in threads alone have one name."""
        return f"{self.library} {self.variant}".strip()


@dataclass(frozen=True)
class Measured:
    """The result of a call that measures itself, in a process of its own."""

    seconds: float
    megabytes: float | None = None


@dataclass(frozen=True)
class Pace:
    """The length of a timing: rounds of blocks of calls, after a warm-up and before a pause."""

    rounds: int = 7
    block: float = 0.1
    warmups: int = 2
    pause: float = 0.35


STANDARD = Pace()
QUICK = Pace(rounds=2, block=0.005, warmups=1, pause=0.0)


@dataclass(frozen=True)
class Case:
    """One row of a benchmark's table.

    label: what is computed, e.g. its sizes.  group: cases that are summarised together.
    parts: how many things one call does, where the time is that of one of them.
    gflop, gbyte: what a call computes and moves, if they are of interest.
    floor: seconds that a call takes at least on this machine.  claimed: the same for all that
        minigrad launches, by its own costs; more than `floor` where it moves more than it must.
    amount: how much there is of what grows from case to case of a group.
    once: each block is one call without warm-up, for what is only slow the first time.
    worth: by how much of its time more threads must be faster than fewer to be taken.
    """

    label: str
    candidates: Sequence[Candidate]
    parts: int = 1
    gflop: float | None = None
    gbyte: float | None = None
    floor: float | None = None
    claimed: float | None = None
    group: str = ""
    amount: float | None = None
    once: bool = False
    worth: float = 0.0


@dataclass(frozen=True)
class Timing:
    """One candidate's time for one case in seconds, over its blocks."""

    case: str
    candidate: str
    library: str
    threads: int | None
    median: float
    low: float
    quartiles: tuple[float, float]
    gflops: float | None = None
    gbps: float | None = None
    share: float | None = None  # of the machine's limit
    busy: float | None = None  # the same for all that minigrad launches, needed or not
    ulp: float | None = None
    megabytes: float | None = None
    amount: float | None = None
    group: str = ""
    blocks: tuple[float, ...] = field(default=(), repr=False)


# ---------------------------------------------------------------- timing
def run_block(
    call: Callable[[], Any], pace: Pace, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return the seconds a call of each sample of one block; short calls share a sample.

    A call longer than the block warms up once.  clock: what tells the seconds.
    """
    once = 0.0
    for _ in range(pace.warmups + 1):
        if pace.warmups and once > pace.block:
            break
        start = clock()
        call()
        once = clock() - start
    together = max(1, int(SAMPLE / max(once, 1e-9)))
    samples: list[float] = []
    end = clock() + pace.block
    while len(samples) < MIN_CALLS or clock() < end:
        start = clock()
        for _ in range(together):
            call()
        samples.append((clock() - start) / together)
    return samples


def run_once(call: Callable[[], Any]) -> Measured:
    """Return the seconds of one call, its first, or what one that measures itself returns."""
    start = time.perf_counter()
    measured = call()
    elapsed = time.perf_counter() - start
    if isinstance(measured, Measured):
        return measured
    return Measured(measured if isinstance(measured, float) else elapsed)


def time_case(case: Case, pace: Pace) -> list[Timing]:
    """Time all candidates of a case in turns; of each name, keep the best thread count."""
    blocks: dict[Candidate, list[float]] = {candidate: [] for candidate in case.candidates}
    lows = dict.fromkeys(blocks, math.inf)
    megabytes: dict[Candidate, float | None] = {}
    for turn in range(pace.rounds):
        for candidate in hopeful(blocks) if turn == 1 else list(blocks):
            call = candidate.make()
            gc.collect()
            if case.once:
                measured = run_once(call)
                samples = [measured.seconds]
                megabytes[candidate] = least(measured.megabytes, megabytes.get(candidate))
            else:
                samples = run_block(call, pace)
            parts = case.parts * candidate.parts
            blocks[candidate].append(statistics.median(samples) / parts)
            lows[candidate] = min(lows[candidate], min(samples) / parts)
            del call
            if candidate.threads != 1:  # one thread leaves none behind that spins
                time.sleep(pace.pause)
    best: dict[str, Timing] = {}
    for candidate, times in blocks.items():
        timing = summary(case, candidate, times, lows[candidate])
        timing = replace(timing, megabytes=megabytes.get(candidate))
        held = best.get(timing.candidate)
        if held is None or timing.median < (1 - case.worth) * held.median:
            best[timing.candidate] = timing
    return list(best.values())


def least(one: float | None, other: float | None) -> float | None:
    """Return the smaller of what is known."""
    return one if other is None else other if one is None else min(one, other)


def hopeful(blocks: dict[Candidate, list[float]]) -> list[Candidate]:
    """Drop the thread counts that the first round shows to be far from their name's best."""
    best: dict[str, float] = {}
    for candidate, times in blocks.items():
        best[candidate.name] = min(times[0], best.get(candidate.name, math.inf))
    for candidate, times in list(blocks.items()):
        if times[0] > HOPELESS * best[candidate.name]:
            del blocks[candidate]
    return list(blocks)


def summary(case: Case, candidate: Candidate, blocks: list[float], low: float) -> Timing:
    """Return the median, the least and the quartiles of a candidate's blocks, and its rates."""
    median = statistics.median(blocks)
    first, third = np.percentile(blocks, [25, 75])
    call = median * case.parts
    return Timing(
        case=case.label,
        candidate=candidate.name,
        library=candidate.library,
        threads=candidate.threads,
        median=median,
        low=low,
        quartiles=(float(first), float(third)),
        gflops=None if case.gflop is None else case.gflop / call,
        gbps=None if case.gbyte is None else case.gbyte / call,
        share=None if case.floor is None else case.floor / call,
        busy=case.claimed / call if case.claimed and candidate.library == OURS else None,
        ulp=candidate.ulp,
        amount=case.amount,
        group=case.group,
        blocks=tuple(blocks),
    )


# ---------------------------------------------------------------- candidates
def installed(library: str) -> bool:
    """Return whether a peer can be imported, without importing it."""
    return importlib.util.find_spec(library) is not None


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_counts() -> list[int]:
    """Return the thread counts to try: 1, 2, 4 ... and all cores."""
    powers = [2**i for i in range(cores().bit_length()) if 2**i < cores()]
    return [*powers, cores()]


def on_threads(
    library: str,
    set_threads: Callable[[int], Any],
    make: Callable[[], Callable[[], Any]],
    variant: str,
    threads: Sequence[int],
) -> list[Candidate]:
    """Return one candidate for each thread count, all of them if none is given."""

    def starter(count: int) -> Callable[[], Callable[[], Any]]:
        def start() -> Callable[[], Any]:
            set_threads(count)
            return make()

        return start

    counts = threads or thread_counts()
    return [Candidate(library, starter(count), variant, count) for count in counts]
