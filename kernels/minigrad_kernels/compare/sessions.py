"""Time kernels in short sessions beside a yardstick, for another run to be held against.

A session times one kernel on memory made anew, sample by sample in turns with yardsticks; all
kernels have a session each, then the next round begins, and rounds have pauses between them: what
slows a machine for seconds is in some sessions, not in one run and not in the other.  (A quarter of
as many sessions over the same time told two runs apart as well; as many in a quarter of the time
did not.)
There are two yardsticks.  One is a chain of scalar multiply-adds, each of which waits for the one
before: it follows the clock, and hardly anything else.  The other multiplies and adds arrays that
lie in the second cache: it follows the clock of vector code, which was seen to change by itself,
and who shares the core's ports and caches, of whom a chain sees next to nothing.
Before each sample one call goes untimed: the first after another's takes a microsecond more, of
which each of several has less.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np

from minigrad_kernels.compare.conditions import Watch
from minigrad_kernels.compare.memory import placed
from minigrad_kernels.compare.verdict import Clock, Maker
from minigrad_kernels.jit.compile import jit

Array = np.ndarray[Any, Any]
SESSIONS = 96  # of a case
FEW = 24  # that are taken, however long they last
SPAN = 40.0  # seconds over which they are spread: what slows a machine may last for some
PAIRS = 40  # samples of a session, each beside one of each yardstick, at most
SESSION = 0.015  # seconds, where the call is short
SAMPLE = 1e-4  # seconds: calls shorter than this are timed several at once
LONG = 1e-3  # seconds: of calls longer than this the first is like the others
CHAIN = 6_000  # iterations of the chain: some 30 us
ARRAY = 32_768  # float32 numbers in each of two arrays: 256 KiB together
HALF, QUARTER = np.float32(0.5), np.float32(0.25)
TIMES = 5  # that one is made of the other: some 30 us
VERSION = getattr(numba, "__version__", None)  # none in plain mode, which times nothing
STICK = f"a chain of scalar multiply-adds and arrays of 128 KiB, Numba {VERSION}"


@dataclass(frozen=True)
class Sessions:
    """The times of one row in short sessions, and those of the yardsticks beside them.

    seconds: the middle of each session's samples, in the order they were taken.  yards: the same of
    the yardsticks, a row a session.  stick: what these were.  busy: share of the processor time
    that others had meanwhile.  threads: how many there were, None
    where there is no choice.
    """

    kernel: str
    dtype: str
    size: tuple[int, ...]
    target: str
    seconds: tuple[float, ...]
    yards: tuple[tuple[float, ...], ...]
    stick: str = ""
    busy: float = 0.0
    threads: int | None = None

    @property
    def case(self) -> tuple[Any, ...]:
        """What two runs must share to be compared."""
        return self.kernel, self.dtype, tuple(self.size), self.target, self.threads


@dataclass(frozen=True)
class Timed:
    """What is timed in sessions: a case, and what makes its call.

    parts: how many launches a call makes.  clock: see `verdict.clock_of`.  threads: as in Sessions.
    """

    kernel: str
    dtype: str
    size: tuple[int, ...]
    target: str
    make: Maker
    parts: int = 1
    clock: Clock = time.perf_counter
    threads: int | None = None


@jit()
def chain(iterations, start):
    """Return a polynomial of a polynomial of ... a number, each of which waits for the one before.

    It converges from every start in [0, 1].
    """
    value = start
    for _ in range(iterations):
        value = ((0.3 * value + 0.2) * value - 0.1) * value + 0.25
    return value


@jit()
def halves(times, here, there):
    """Make two arrays, (N,) each, of one another's halves, again and again."""
    for _ in range(times):
        for i in range(len(here)):
            there[i] = here[i] * HALF + QUARTER
        for i in range(len(here)):
            here[i] = there[i] * HALF + QUARTER


def yardsticks() -> tuple[Callable[[], Any], ...]:
    """Return the yardsticks: calls of one thread that take some 30 us each."""
    here, there = (placed(np.zeros(ARRAY, np.float32)) for _ in range(2))
    return partial(chain, CHAIN, 0.5), partial(halves, TIMES, here, there)


def sessions(
    cases: Sequence[Timed],
    span: float = SPAN,
    now: Clock = time.perf_counter,
    pause: Callable[[float], Any] = time.sleep,
) -> list[Sessions]:
    """Time calls in SESSIONS beside the yardstick, spread over `span` seconds.

    They end with the span, even if there are fewer by then, but no fewer than FEW.  now, pause: a
    clock in seconds, and what waits.
    """
    found: list[list[tuple[float, ...]]] = [[] for _ in cases]
    sticks = yardsticks()
    with Watch() as watch:
        begin = now()
        for count in range(SESSIONS):
            early = begin + count * span / SESSIONS - now()
            if early > 0:
                pause(early)
            if count >= FEW and now() >= begin + span:
                break
            for case, times in zip(cases, found, strict=True):
                times.append(session(case, sticks))
    seen = watch.conditions
    busy = (seen.stolen or 0.0) + (seen.others or 0.0)
    made = []
    for case, times in zip(cases, found, strict=True):
        seconds = tuple(t / case.parts for t, *_ in times)
        yards = tuple(tuple(rest) for _, *rest in times)
        key = case.kernel, case.dtype, case.size, case.target
        made.append(Sessions(*key, seconds, yards, STICK, busy, case.threads))
    return made


def session(case: Timed, sticks: Sequence[Callable[[], Any]]) -> tuple[float, ...]:
    """Return the middle seconds of a call and of each yardstick, taken side by side."""
    clock = case.clock
    todo = [(call, *sample_of(call, clock)) for call in (case.make(), *sticks)]
    whole = sum((calls + (one < LONG)) * one for _, calls, one in todo)
    found = []
    for _ in range(max(3, min(PAIRS, int(SESSION / whole)))):
        row = []
        for call, calls, one in todo:
            if one < LONG:
                call()
            start = clock()
            for _ in range(calls):
                call()
            row.append((clock() - start) / calls)
        found.append(row)
    return tuple(np.median(found, axis=0).tolist())


def sample_of(call: Callable[[], Any], clock: Clock) -> tuple[int, float]:
    """Return how many calls make a sample, and the seconds of one; it also warms up."""
    least = math.inf
    for _ in range(3):
        start = clock()
        call()
        least = min(least, clock() - start)
    least = max(least, 1e-9)
    return max(1, int(SAMPLE / least)), least
