"""Compare with another run: one of yesterday or of another machine, from the JSON that it wrote.

Each run times a kernel in many short sessions, on memory made anew, and in turns with a yardstick:
multiply-adds from registers, which tell how fast the machine itself was.  The ratio of two runs is
the middle of all ratios of their sessions (Hodges and Lehmann), its interval that of the rank sum
(Mann and Whitney).  On the same processor the interval also covers what the ratio of the yardsticks
would make of it, and BETWEEN more, for two processes differ by more than the sessions of one.

A change of code is seen much better by `--against old.py:pair`, which runs both in turns.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minigrad_kernels.compare import machine
from minigrad_kernels.compare.timing import run_block
from minigrad_kernels.compare.verdict import (
    BLOCK,
    CONFIDENCE,
    MARGIN,
    Clock,
    Maker,
    Verdict,
    undisturbed,
    word_of,
)

SESSIONS = 24
BETWEEN = 0.01  # by which two processes differ that measure the same
TURNS = 4_000  # iterations of the yardstick: some 100 us


@dataclass(frozen=True)
class Sessions:
    """The times of one row in many short sessions, and those of the yardstick beside them."""

    kernel: str
    dtype: str
    size: tuple[int, ...]
    target: str
    seconds: tuple[float, ...]
    yard: tuple[float, ...]

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
    """Return multiply-adds on one thread."""
    call = machine.peak_kernel
    half, one, out = np.float32(0.5), np.float32(1), np.empty(1, np.float32)
    return partial(call, TURNS, half, one, out)


def sessions(
    kernel: str,
    dtype: str,
    size: tuple[int, ...],
    target: str,
    make: Maker,
    parts: int = 1,
    clock: Clock = time.perf_counter,
) -> Sessions:
    """Time a call in SESSIONS short sessions, in turns with the yardstick."""
    yard = yardstick()
    times, beside = [], []
    for _ in range(SESSIONS):
        times.append(undisturbed(run_block(make(), BLOCK, clock)) / parts)
        beside.append(undisturbed(run_block(yard, BLOCK, clock)))
    return Sessions(kernel, dtype, size, target, tuple(times), tuple(beside))


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


def judged(
    new: Sessions, old: Sessions, same_machine: bool, margin: float = MARGIN, label: str = ""
) -> Judged:
    """Return the verdict of one run beside another."""
    logs = [[math.log(t) for t in s.seconds] for s in (new, old)]
    centre, low, high = shift(logs[0], logs[1], 1 - CONFIDENCE)
    note = "another machine"
    if same_machine:
        drift = math.log(statistics.median(new.yard) / statistics.median(old.yard))
        centre -= drift / 2
        low, high = low - max(drift, 0.0) - BETWEEN, high - min(drift, 0.0) + BETWEEN
        note = ""
        if abs(drift) > margin / 2:
            word = "slower" if drift > 0 else "faster"
            note = f"the machine itself was {100 * abs(math.expm1(drift)):.1f} % {word} than then"
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
