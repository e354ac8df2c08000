"""Decide which of two is faster: pairs of blocks in turns, until it is decided or a limit is met.

Two candidates run one after the other, in an order drawn anew for each pair, on memory made anew;
what the machine does meanwhile meets both.  Of a block counts the lower quartile of its samples, of
a pair the logarithm of new / old.  The ratio is the median of all means of two of these (Hodges and
Lehmann, 1963), its interval that of Wilcoxon's signed ranks, which asks for symmetry and for no
other law of the noise.  One looks at the data several times, and so each look has its part of the
risk: the interval holds at all looks together with CONFIDENCE.

>>> verdict([0.05] * 20 + [0.06] * 20, margin=0.03).word
'slower'
>>> verdict([0.001, -0.001] * 20, margin=0.03)
Verdict(same, 1.000 [0.999, 1.001], 40 pairs)
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad_kernels.compare.timing import SAMPLE, Pace, run_block

MARGIN = 0.03  # of the time: what is nearer than that is the same
EDGE = 1 / 3  # of the margin: two compilations of one source may differ by as much
CONFIDENCE = 0.99  # of the interval, at all looks together
LOOKS = (16, 24, 36, 54, 80, 120, 180, 270, 400, 600)  # pairs at which one looks
LIMIT = 60.0  # seconds of measuring, where nothing else is asked for
BLOCK = Pace(rounds=1, block=0.004, warmups=1, pause=0.0)
Maker = Callable[[], Callable[[], Any]]


@dataclass(frozen=True, repr=False)
class Verdict:
    """What the times of two candidates say.

    word: "same": the whole interval lies within the margin; "slower", "faster": the new one is, for
        the whole interval lies beyond a third of the margin; "undecided".
    ratio: time of the new one by that of the old one, with its interval from low to high.
    pairs: of blocks.  seconds: that measuring took.
    """

    word: str
    ratio: float
    low: float
    high: float
    pairs: int
    margin: float = MARGIN
    seconds: float = 0.0

    def __repr__(self) -> str:
        interval = f"{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"
        return f"Verdict({self.word}, {interval}, {self.pairs} pairs)"

    @property
    def said(self) -> str:
        """The verdict in words.

        >>> Verdict("slower", 1.052, 1.031, 1.07, 36).said
        'slower: 1.05 times as long (1.03 to 1.07)'
        """
        if not math.isfinite(self.high):
            return f"undecided: {self.pairs} pairs of blocks are too few"
        times = f"{self.ratio:.3g} times as long ({self.low:.3g} to {self.high:.3g})"
        near = f"; within {100 * self.margin:g} % counts as the same" if self.word == "same" else ""
        return f"{self.word}: {times}{near}"


def word_of(low: float, high: float, margin: float) -> str:
    """Return what an interval of the ratio new / old says.

    >>> [word_of(*i, 0.03) for i in ((0.99, 1.02), (1.02, 1.2), (0.2, 0.9), (1.005, 1.1))]
    ['same', 'slower', 'faster', 'undecided']
    """
    if low >= 1 / (1 + margin) and high <= 1 + margin:
        return "same"
    edge = 1 + EDGE * margin
    if low > edge:
        return "slower"
    return "faster" if high < 1 / edge else "undecided"


def interval(logs: Sequence[float], risk: float) -> tuple[float, float, float]:
    """Return estimate, lower and upper end of the centre of numbers that lie evenly around it.

    The middle of the means of two, and of these those that Wilcoxon's signed ranks leave, by the
    normal law of the rank sum.  Infinite ends where there are too few for the risk.

    >>> interval([1.0, 2.0, 3.0], 0.05)
    (2.0, -inf, inf)
    """
    x = np.asarray(logs, np.float64)
    n = x.size
    first, second = np.triu_indices(n)
    means = np.sort((x[first] + x[second]) / 2)
    centre = float(np.median(means))
    z = statistics.NormalDist().inv_cdf(1 - risk / 2)
    rank = math.floor(n * (n + 1) / 4 - z * math.sqrt(n * (n + 1) * (2 * n + 1) / 24))
    if rank < 1:
        return centre, -math.inf, math.inf
    return centre, float(means[rank - 1]), float(means[-rank])


def verdict(
    logs: Sequence[float], margin: float = MARGIN, looks: int = len(LOOKS), seconds: float = 0.0
) -> Verdict:
    """Return what logarithms of new / old, one a pair, say when one looks `looks` times in all."""
    centre, low, high = map(math.exp, interval(logs, (1 - CONFIDENCE) / looks))
    return Verdict(word_of(low, high, margin), centre, low, high, len(logs), margin, seconds)


def decide(
    pair: Callable[[], float], margin: float = MARGIN, limit: float = LIMIT
) -> tuple[Verdict, list[float]]:
    """Measure pairs until a look decides, LOOKS or the seconds are over; return all logarithms.

    pair: measures once more and returns log(new / old).
    """
    logs: list[float] = []
    spent: list[float] = []
    found = None
    for count in LOOKS:
        # By the middle one: the first pair may compile, and a machine may stand still in another.
        while len(logs) < count and (not spent or statistics.median(spent) * len(spent) < limit):
            start = time.perf_counter()
            logs.append(pair())
            spent.append(time.perf_counter() - start)
        found = verdict(logs, margin, seconds=sum(spent))
        if found.word != "undecided" or len(logs) < count:
            break
    assert found is not None
    return found, logs


def undisturbed(samples: Sequence[float]) -> float:
    """Return the lower quartile of a block's samples: what interrupts some of them is not in it.

    >>> undisturbed([1.0, 1.0, 1.1, 9.0, 9.0])
    1.0
    """
    return float(np.quantile(samples, 0.25))


Clock = Callable[[], float]
PROBES = 12  # looks at what a call does, of which one undisturbed is enough
ALONE = 0.15  # by which processor time and time may differ where one thread works all the while


def clock_of(*makers: Maker) -> Clock:
    """Return the clock of this process's processor time, if one thread does all the work of each.

    It stands still while another process has the processor.  For what waits, or works on several
    threads, it is wrong: then the clock on the wall is returned.
    """
    for make in makers:
        call = make()
        call()
        wall, own = [], []
        for _ in range(PROBES):
            start, before = time.perf_counter(), time.process_time()
            while time.perf_counter() - start < SAMPLE:
                call()
            wall.append(time.perf_counter() - start)
            own.append(time.process_time() - before)
        if all(abs(o - w) > ALONE * w for o, w in zip(own, wall)):
            return time.perf_counter
    return time.process_time


def pairs_of(
    old: Maker,
    new: Maker,
    parts: tuple[int, int] = (1, 1),
    pause: float = 0.0,
    clock: Clock = time.perf_counter,
) -> Callable[[], float]:
    """Return what measures a pair of blocks and returns the logarithm of new / old.

    old, new: make a call to time, on memory made anew.  parts: how many launches such a call makes.
    pause: seconds after each block, for threads of two pools to come to rest.  clock: see
        `clock_of`.
    """
    order = random.Random(0)

    def measured(make: Maker, part: int) -> float:
        found = undisturbed(run_block(make(), BLOCK, clock)) / part
        if pause:
            time.sleep(pause)
        return found

    def pair() -> float:
        if order.random() < 0.5:
            before = measured(old, parts[0])
            return math.log(measured(new, parts[1]) / before)
        after = measured(new, parts[1])
        return math.log(after / measured(old, parts[0]))

    return pair
