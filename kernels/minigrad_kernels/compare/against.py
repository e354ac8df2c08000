"""Compare with another run: one of yesterday or of another machine, from the JSON that it wrote.

Each run times a kernel in short sessions, on memory made anew, sample by sample in turns with a
yardstick: multiply-adds from registers, NumPy's sum and exponential of arrays in the first cache.
What slows the machine for longer than a sample meets both.  Two estimates tell the ratio to the
yardstick: the middle of the neighbours' ratios, which follows the machine, and that of the least
disturbed sessions of each, which contention spares that meets the one more than the other.  Their
mean is held against the other run's; its interval is that of resampled sessions (Efron's bootstrap,
1979), widened by BETWEEN, for two processes differ by more than the sessions of one, and by a part
of what the yardstick itself differs by: no kernel follows it wholly.

A change of code is seen better still by `--against old.py:pair`, which runs both in turns.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigrad_kernels.compare import machine
from minigrad_kernels.compare.verdict import (
    CONFIDENCE,
    MARGIN,
    Clock,
    Maker,
    Verdict,
    interval,
    undisturbed,
    word_of,
)

Array = np.ndarray[Any, Any]
SESSIONS = 48  # at least
MOST = 400
SECONDS = 10.0  # for the sessions of one case, where nothing else is asked for
RESAMPLED = 1_000  # times
LEAST = 0.1  # the share of sessions that count as the least disturbed
TIGHT = 0.005  # half the interval of the middle ratio, from which on a run is long enough
PAIRS = 20  # samples of a session, each beside one of the yardstick, at most
SESSION = 0.008  # seconds, where the call is short
SAMPLE = 1e-4  # seconds: calls shorter than this are timed several at once
BETWEEN = 0.01  # by which two processes differ that measure the same
FOLLOWS = 0.5  # how much of what slows the yardstick slows a kernel at least
TURNS = 4_000  # iterations of the yardstick's multiply-adds: some 20 us
ELEMENTS = 4_096  # of its arrays
STICK = f"multiply-adds, add and exp of NumPy {np.__version__}"


@dataclass(frozen=True)
class Sessions:
    """The times of one row in many short sessions, and those of the yardstick beside them.

    ratios: the logarithm of a session's middle ratio of the two.  stick: what the yardstick was.
    """

    kernel: str
    dtype: str
    size: tuple[int, ...]
    target: str
    seconds: tuple[float, ...]
    yard: tuple[float, ...]
    ratios: tuple[float, ...] = ()
    stick: str = ""

    @property
    def case(self) -> tuple[Any, ...]:
        """What two runs must share to be compared."""
        return self.kernel, self.dtype, tuple(self.size), self.target


@dataclass(frozen=True)
class Judged:
    """A verdict on a new candidate beside an old one; both are targets, runs or places in files."""

    kernel: str
    dtype: str
    size: tuple[int, ...]
    new: str
    old: str
    verdict: Verdict
    note: str = ""


def yardstick() -> Callable[[], Any]:
    """Return what takes some 50 us on one thread: arithmetic in registers, and on small arrays."""
    call = machine.peak_kernel
    half, one, out = np.float32(0.5), np.float32(1), np.empty(1, np.float32)
    x = np.linspace(-1, 1, ELEMENTS, dtype=np.float32)
    y = np.empty_like(x)

    def run() -> None:
        call(TURNS, half, one, out)
        for _ in range(8):
            np.add(x, x, out=y)
        for _ in range(6):
            np.exp(x, out=y)

    return run


def sessions(
    kernel: str,
    dtype: str,
    size: tuple[int, ...],
    target: str,
    make: Maker,
    parts: int = 1,
    clock: Clock = time.perf_counter,
    limit: float = SECONDS,
) -> Sessions:
    """Time a call in short sessions beside the yardstick, until their middle is known to TIGHT.

    limit: seconds after which it ends, too.
    """
    yard = yardstick()
    times: list[float] = []
    beside: list[float] = []
    ratios: list[float] = []
    end = time.perf_counter() + limit
    while len(ratios) < MOST and (len(ratios) < SESSIONS or time.perf_counter() < end):
        pairs = np.array(session(make(), yard, clock))
        times.append(undisturbed(pairs[:, 0].tolist()) / parts)
        beside.append(undisturbed(pairs[:, 1].tolist()))
        ratios.append(float(np.median(np.log(pairs[:, 0] / pairs[:, 1]))))
        if len(ratios) >= SESSIONS and len(ratios) % 8 == 0:
            _, low, high = interval(ratios, 1 - CONFIDENCE)
            if high - low < 2 * TIGHT:
                break
    return Sessions(kernel, dtype, size, target, tuple(times), tuple(beside), tuple(ratios), STICK)


def session(
    call: Callable[[], Any], yard: Callable[[], Any], clock: Clock
) -> list[tuple[float, float]]:
    """Return the seconds of a call and of the yardstick, PAIRS times side by side."""
    (calls, one), (yards, other) = sample_of(call, clock), sample_of(yard, clock)
    found = []
    for _ in range(max(3, min(PAIRS, int(SESSION / (calls * one + yards * other))))):
        start = clock()
        for _ in range(calls):
            call()
        between = clock()
        for _ in range(yards):
            yard()
        end = clock()
        found.append(((between - start) / calls, (end - between) / yards))
    return found


def sample_of(call: Callable[[], Any], clock: Clock) -> tuple[int, float]:
    """Return how many calls make a sample, and the seconds of one; it also warms up."""
    least = math.inf
    for _ in range(3):
        start = clock()
        call()
        least = min(least, clock() - start)
    least = max(least, 1e-9)
    return max(1, int(SAMPLE / least)), least


# ---------------------------------------------------------------- two runs
def shift(new: Sequence[float], old: Sequence[float], risk: float) -> tuple[float, float, float]:
    """Return by how much numbers lie above others, with the interval of the rank sum.

    >>> shift([2.0] * 10, [1.0] * 10, 0.05)
    (1.0, 1.0, 1.0)
    """
    n, m = len(new), len(old)
    differences = np.sort(np.subtract.outer(np.asarray(new), np.asarray(old)).reshape(-1))
    centre = float(np.median(differences))
    z = statistics.NormalDist().inv_cdf(1 - risk / 2)
    rank = math.floor(n * m / 2 - z * math.sqrt(n * m * (n + m + 1) / 12))
    if rank < 1:
        return centre, -math.inf, math.inf
    return centre, float(differences[rank - 1]), float(differences[-rank])


def to_yardstick(run: Sessions) -> tuple[float, Array]:
    """Return the logarithm of a run's ratio to the yardstick, and those of resampled sessions."""
    rows = np.log([run.seconds, run.yard])
    ratios = np.asarray(run.ratios)
    picked = np.random.default_rng(0).integers(0, ratios.size, (RESAMPLED, ratios.size))

    def of(ratios: Array, rows: Array) -> Array:
        seconds, yard = np.quantile(rows, LEAST, axis=-1)
        return (np.median(ratios, axis=-1) + seconds - yard) / 2

    return float(of(ratios, rows)), of(ratios[picked], rows[:, picked])


def judged(
    new: Sessions, old: Sessions, same_machine: bool, margin: float = MARGIN, label: str = ""
) -> Judged:
    """Return the verdict of one run beside another."""
    drift = math.log(statistics.median(new.yard) / statistics.median(old.yard))
    if same_machine and new.ratios and new.stick == old.stick:
        (mine, drawn), (theirs, others) = to_yardstick(new), to_yardstick(old)
        centre = mine - theirs
        risk = (1 - CONFIDENCE) / 2
        low, high = np.quantile(drawn - others, [risk, 1 - risk])
        wider = math.hypot(BETWEEN, (1 - FOLLOWS) * drift)
        low = centre - math.hypot(max(0.0, centre - low), wider)
        high = centre + math.hypot(max(0.0, high - centre), wider)
        note = ""
        if abs(drift) > margin / 2:
            word = "slower" if drift > 0 else "faster"
            note = f"the machine itself was {100 * abs(math.expm1(drift)):.1f} % {word} than then"
    else:
        logs = [[math.log(t) for t in s.seconds] for s in (new, old)]
        centre, low, high = shift(logs[0], logs[1], 1 - CONFIDENCE)
        note = "another yardstick" if same_machine else "another machine"
        if same_machine:
            low, high = low - abs(drift) - BETWEEN, high + abs(drift) + BETWEEN
    ratio, low, high = map(math.exp, (centre, low, high))
    found = Verdict(
        word_of(low, high, margin),
        ratio,
        low,
        high,
        min(len(new.seconds), len(old.seconds)),
        margin,
    )
    return Judged(new.kernel, new.dtype, new.size, f"{new.target} now", label, found, note)


def read(path: Path) -> dict[str, Any]:
    """Return a report that `--json` wrote.

    Raises: ValueError for what is none, or has no sessions.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"--against {path}: expected what --json wrote, got: {error}") from None
    if not isinstance(found, dict) or "rows" not in found:
        raise ValueError(f"--against {path}: expected what --json wrote, got other JSON")
    if not found.get("sessions"):
        raise ValueError(
            f"--against {path}: it has no sessions of times; write it anew, with --json and "
            "without --quick"
        )
    return found


def sessions_of(report: dict[str, Any]) -> dict[tuple[Any, ...], Sessions]:
    """Return the sessions of a report by their cases."""
    made = [
        Sessions(
            s["kernel"],
            s["dtype"],
            tuple(s["size"]),
            s["target"],
            tuple(s["seconds"]),
            tuple(s["yard"]),
            tuple(s.get("ratios", ())),
            s.get("stick", ""),
        )
        for s in report["sessions"]
    ]
    return {one.case: one for one in made}


def against(
    new: Sequence[Sessions],
    report: dict[str, Any],
    cpu: str,
    margin: float = MARGIN,
    label: str = "then",
) -> tuple[list[Judged], list[str]]:
    """Return the verdicts of all cases that both runs have, and a line on those of one alone."""
    known = sessions_of(report)
    then = report.get("machine", {})
    same = then.get("cpu") == cpu
    found = [
        judged(one, known[one.case], same, margin, f"{label} ({then.get('date', '')})")
        for one in new
        if one.case in known
    ]
    missing = sum(one.case not in known for one in new)
    notes = [f"{label}: {missing} cases of this run are not in it"] if missing else []
    if not same:
        notes.append(f"{label}: on another processor, {then.get('cpu')}: no yardstick corrects it")
    return found, notes
