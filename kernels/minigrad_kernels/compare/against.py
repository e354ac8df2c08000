"""Compare with another run: one of yesterday or of another machine, from the JSON that it wrote.

Both runs timed a kernel in sessions beside a yardstick (sessions.py).  In short, by analysis of
covariance (Fisher, 1932): the kernel's time is held to follow the yardstick's to a power that both
runs together tell, and the runs are compared at one time of the yardstick.

* Sessions are taken together in BLOCKS of neighbours, of which the middle counts: what slows the
  machine for a second is one observation, not ten.
* The power is the slope of the logarithms in the blocks, drawn towards FOLLOWS by as much as the
  blocks leave open; the yardstick's own noise, which would flatten it, is taken off.
* The interval joins what the blocks of each run differ by (Wilcoxon's signed ranks), how little the
  slope is known times what the yardstick itself drifted between the runs, and how far runs lie
  apart that measure the same: LEAST, OTHER of what sessions of one differ by, on memory of their
  own each, and BUSY of the processor time that others had, who slow one kernel more than another.

A change of code is seen better still by `--against old.py:pair`, which runs both in turns.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigrad_kernels.compare.sessions import Sessions
from minigrad_kernels.compare.verdict import CONFIDENCE, MARGIN, Verdict, interval, word_of

Array = np.ndarray[Any, Any]
LEVEL = 0.95  # of the interval of two runs
BLOCKS = 12  # of a run
FOLLOWS = 0.8  # the power of the yardstick's time that a kernel's goes by, where nothing else says
OPEN = 0.25  # standard deviation of that power among kernels
LEAST = 0.003  # standard deviation of two runs that measure the same, on a quiet machine
OTHER = 0.2  # of what sessions differ by: a run's standard deviation besides
# What lies nearer is neither slower nor faster by a file: a neighbour on the same core was seen to
# slow kernels that live on its caches by 12 % within minutes, and a chain of additions not at all.
UNSEEN = 0.15
CROWDED = 0.1  # of the processor time, from which on it is said who had it
BUSY = 0.06  # of the share of the processor time that others had: the same


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


def blocks_of(run: Sessions) -> Array:
    """Return the middle of the logarithms of kernel and yardstick in each block, (blocks, 2)."""
    rows = np.log([run.seconds, run.yard]).T
    parts = np.array_split(rows, min(BLOCKS, len(rows)))
    return np.array([np.median(part, axis=0) for part in parts])


def spread(values: Array) -> float:
    """Return half of what the middle 68 % lie apart: the standard deviation, without the tails.

    >>> round(spread(np.linspace(-1, 1, 1001)), 2)
    0.68
    """
    low, high = np.quantile(values, [0.16, 0.84])
    return float(high - low) / 2


def slope_of(runs: Sequence[Sessions]) -> tuple[float, float]:
    """Return the power of the yardstick's time that the kernel's goes by, and its deviation.

    Of the slope in all blocks, each around its run's middle, counts as much as they tell: their
    reliability is the share of the yardstick's variance that its own noise does not explain.
    """
    found = [blocks_of(run) for run in runs]
    y, x = np.concatenate([rows - np.median(rows, axis=0) for rows in found]).T
    noise = 0.0
    for run, rows in zip(runs, found):
        yard = np.log(run.yard)
        own = spread(np.diff(yard)) / math.sqrt(2)  # of one session; neighbours share the rest
        noise += len(rows) * 1.57 * own**2 * len(rows) / len(yard)  # of medians
    slope, deviation = FOLLOWS, OPEN
    for _ in range(4):  # of which blocks lie apart, and by how much, a better slope tells better
        apart = y - slope * x
        keep = np.abs(apart) <= 3 * max(spread(apart), 1e-9)
        scatter = float((x[keep] * x[keep]).sum())
        variance = max(float(np.mean(apart[keep] ** 2)), 1e-12)
        reliable = max(0.0, 1 - noise / scatter) if scatter > 0 else 0.0
        told = reliable * float((x[keep] * y[keep]).sum()) / variance + FOLLOWS / OPEN**2
        known = reliable * scatter / variance + 1 / OPEN**2
        slope, deviation = told / known, math.sqrt(1 / known)
    return slope, deviation


def beside_yardstick(new: Sessions, old: Sessions) -> tuple[float, float, float]:
    """Return log(new / old) at one time of the yardstick, and the ends of its interval."""
    slope, open_ = slope_of((new, old))
    z = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
    ends, others = [], []
    for run in (new, old):
        rows = blocks_of(run)
        ends.append(interval((rows[:, 0] - slope * rows[:, 1]).tolist(), 1 - LEVEL))
        others.append(spread(np.log(run.seconds) - slope * np.log(run.yard)))
    (mine, low, high), (theirs, other_low, other_high) = ends
    drift = float(np.median(blocks_of(new)[:, 1]) - np.median(blocks_of(old)[:, 1]))
    besides = (OTHER * math.hypot(*others), BUSY * math.hypot(new.busy, old.busy))
    wider = z * math.hypot(open_ * drift, LEAST, *besides)
    centre = mine - theirs
    low = centre - math.hypot(mine - low, other_high - theirs, wider)
    high = centre + math.hypot(high - mine, theirs - other_low, wider)
    return centre, low, high


def judged(
    new: Sessions, old: Sessions, same_machine: bool, margin: float = MARGIN, label: str = ""
) -> Judged:
    """Return the verdict of one run beside another."""
    drift = math.log(statistics.median(new.yard) / statistics.median(old.yard))
    if same_machine and new.stick == old.stick:
        centre, low, high = beside_yardstick(new, old)
        notes = []
        if abs(drift) > margin / 2:
            word = "slower" if drift > 0 else "faster"
            percent = f"{100 * abs(math.expm1(drift)):.1f} %"
            notes.append(f"the machine itself was {percent} {word} than then")
        if max(new.busy, old.busy) > CROWDED:
            shares = (
                f"{100 * new.busy:.0f} % of the processor time now, {100 * old.busy:.0f} % then"
            )
            notes.append(f"others had {shares}")
        note = "; ".join(notes)
    else:
        logs = [[math.log(t) for t in s.seconds] for s in (new, old)]
        centre, low, high = shift(logs[0], logs[1], 1 - CONFIDENCE)
        note = "another yardstick" if same_machine else "another machine"
        if same_machine:
            low, high = low - abs(drift) - LEAST, high + abs(drift) + LEAST
    ratio, low, high = map(math.exp, (centre, low, high))
    word = word_of(low, high, margin)
    if (
        word in ("slower", "faster")
        and 1 / (1 + UNSEEN) < (low if ratio > 1 else high) < 1 + UNSEEN
    ):
        word = "undecided"
    found = Verdict(
        word,
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
            f"--against {path}: it has no sessions of times; write it anew, with --json (or "
            "run(..., sessions=True)) and without --quick"
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
            s.get("stick", ""),
            s.get("busy", 0.0),
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
