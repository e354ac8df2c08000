"""Time kernels in short sessions beside a yardstick, for another run to be held against.

A session times one kernel on memory made anew, sample by sample in turns with the yardstick; all
kernels have a session each, then the next round begins, and rounds have pauses between them: what
slows a machine for seconds is in some sessions, not in one run and not in the other.  (A quarter of
as many sessions over the same time told two runs apart as well; as many in a quarter of the time
did not.)
The yardstick is one chain of scalar multiply-adds, each of which waits for the one before: it
follows the clock and who shares the core, and nothing else.  Its time is the same in every process,
where that of vector code, of arrays, and of the interpreter was found to differ by 1 to 5 %.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from minigrad_kernels.compare.conditions import Watch
from minigrad_kernels.compare.verdict import Clock, Maker
from minigrad_kernels.jit.compile import jit

Array = np.ndarray[Any, Any]
SESSIONS = 96  # of a case
FEW = 24  # that are taken, however long they last
SPAN = 40.0  # seconds over which they are spread: what slows a machine may last for some
PAIRS = 40  # samples of a session, each beside one of the yardstick, at most
SESSION = 0.012  # seconds, where the call is short
SAMPLE = 1e-4  # seconds: calls shorter than this are timed several at once
CHAIN = 6_000  # iterations of the yardstick: some 40 us
# In plain mode, which times nothing, there is no version.
STICK = f"a chain of scalar multiply-adds, Numba {getattr(numba, '__version__', None)}"


@dataclass(frozen=True)
class Sessions:
    """The times of one row in short sessions, and those of the yardstick beside them.

    seconds, yard: the middle of each session's samples, in the order they were taken.  stick: what
    the yardstick was.  busy: share of the processor time that others had meanwhile.
    """

    kernel: str
    dtype: str
    size: tuple[int, ...]
    target: str
    seconds: tuple[float, ...]
    yard: tuple[float, ...]
    stick: str = ""
    busy: float = 0.0

    @property
    def case(self) -> tuple[Any, ...]:
        """What two runs must share to be compared."""
        return self.kernel, self.dtype, tuple(self.size), self.target


@dataclass(frozen=True)
class Timed:
    """What is timed in sessions: a case, and what makes its call.

    parts: how many launches a call makes.  clock: see `verdict.clock_of`.
    """

    kernel: str
    dtype: str
    size: tuple[int, ...]
    target: str
    make: Maker
    parts: int = 1
    clock: Clock = time.perf_counter


@jit()
def chain(iterations, start):
    """Return a polynomial of a polynomial of ... a number, each of which waits for the one before.

    It converges from every start in [0, 1].
    """
    value = start
    for _ in range(iterations):
        value = ((0.3 * value + 0.2) * value - 0.1) * value + 0.25
    return value


def yardstick() -> None:
    """Run what takes some 40 us on one thread, and no memory."""
    chain(CHAIN, 0.5)


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
    found: list[list[tuple[float, float]]] = [[] for _ in cases]
    with Watch() as watch:
        begin = now()
        for count in range(SESSIONS):
            early = begin + count * span / SESSIONS - now()
            if early > 0:
                pause(early)
            if count >= FEW and now() >= begin + span:
                break
            for case, times in zip(cases, found, strict=True):
                times.append(session(case))
    seen = watch.conditions
    busy = (seen.stolen or 0.0) + (seen.others or 0.0)
    made = []
    for case, times in zip(cases, found, strict=True):
        seconds, yard = zip(*times, strict=True)
        key = case.kernel, case.dtype, case.size, case.target
        made.append(Sessions(*key, tuple(t / case.parts for t in seconds), yard, STICK, busy))
    return made


def session(case: Timed) -> tuple[float, float]:
    """Return the middle seconds of a call and of the yardstick, taken side by side."""
    call, clock = case.make(), case.clock
    (calls, one), (yards, other) = sample_of(call, clock), sample_of(yardstick, clock)
    found = []
    for _ in range(max(3, min(PAIRS, int(SESSION / (calls * one + yards * other))))):
        start = clock()
        for _ in range(calls):
            call()
        between = clock()
        for _ in range(yards):
            yardstick()
        found.append(((between - start) / calls, (clock() - between) / yards))
    middle: Array = np.median(found, axis=0)
    return float(middle[0]), float(middle[1])


def sample_of(call: Callable[[], Any], clock: Clock) -> tuple[int, float]:
    """Return how many calls make a sample, and the seconds of one; it also warms up."""
    least = math.inf
    for _ in range(3):
        start = clock()
        call()
        least = min(least, clock() - start)
    least = max(least, 1e-9)
    return max(1, int(SAMPLE / least)), least
