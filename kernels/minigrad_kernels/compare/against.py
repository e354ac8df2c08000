"""Compare with another run: one of yesterday or of another machine, from the JSON that it wrote.

Both runs timed a kernel in sessions beside two yardsticks (sessions.py).  In short, by analysis of
covariance (Fisher, 1932): the kernel's time is held to follow a power of the chain's time and a
power of what the arrays' took beyond it, which both runs together tell, and the runs are compared
at one time of the yardsticks.

* Sessions are taken together in BLOCKS of neighbours, of which the middle counts: what slows the
  machine for a second is one observation, not ten.
* The powers are the slopes of the logarithms in the blocks, drawn towards FOLLOWS by as much as the
  blocks leave open; the yardsticks' own noise, which would flatten them, is taken off.
* The interval joins what the blocks of each run differ by (Wilcoxon's signed ranks), how little the
  slopes are known times what the yardsticks themselves drifted between the runs, and how far runs
  lie apart that measure the same: LEAST or CREW, OTHER of what sessions of one differ by, and BUSY
  of the processor time that others had, who slow one kernel more than another.

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
# The powers of the chain's time, and of what the arrays' takes beyond it, that a kernel's time goes
# by where nothing else says; and the standard deviations of these powers among kernels.
FOLLOWS = (1.0, 0.8)
OPEN = (0.15, 0.25)
LEAST = 0.008  # standard deviation of two runs that measure the same, on a quiet machine
CREW = 0.012  # the same of several threads, one of which waits for the slowest
OTHER = 0.2  # of what sessions differ by: a run's standard deviation besides
UNSEEN = 0.05  # what lies nearer is neither slower nor faster by a file
ALONE = 1.0  # the same without yardsticks: a machine that others use has been 1.8 times as slow
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


def logarithms(run: Sessions) -> Array:
    """Return the logarithms of kernel, chain, and arrays beyond the chain, (sessions, 3)."""
    chain, arrays = np.log(run.yards).T
    return np.stack([np.log(run.seconds), chain, arrays - chain], axis=1)


def blocks_of(run: Sessions) -> Array:
    """Return the middle of these logarithms in each block, (blocks, 3)."""
    rows = logarithms(run)
    parts = np.array_split(rows, min(BLOCKS, len(rows)))
    return np.array([np.median(part, axis=0) for part in parts])


def spread(values: Array) -> float:
    """Return half of what the middle 68 % lie apart: the standard deviation, without the tails.

    >>> round(spread(np.linspace(-1, 1, 1001)), 2)
    0.68
    """
    low, high = np.quantile(values, [0.16, 0.84])
    return float(high - low) / 2


def inverse(matrix: Array) -> Array:
    """Return the inverse of a positive matrix, (2, 2).

    >>> inverse(np.array([[2.0, 1.0], [1.0, 1.0]])).tolist()
    [[1.0, -1.0], [-1.0, 2.0]]
    """
    (a, b), (_, d) = matrix
    found: Array = np.array([[d, -b], [-b, a]]) / (a * d - b * b)
    return found


def times(matrix: Array, vector: Array) -> Array:
    """Return a matrix times a vector."""
    found: Array = (matrix * vector).sum(axis=1)
    return found


def products(rows: Array) -> Array:
    """Return the sums of the products of columns, (2, 2) for (N, 2)."""
    found: Array = (rows[:, :, None] * rows[:, None, :]).sum(axis=0)
    return found


def powers_of(runs: Sequence[Sessions]) -> tuple[Array, Array]:
    """Return the powers of the yardsticks that the kernel's time goes by, and their covariance.

    Of the slopes in all blocks, each around its run's middle, counts as much as they tell: what
    they scatter by, less what the yardsticks' own noise explains of it.
    """
    found = [blocks_of(run) for run in runs]
    rows = np.concatenate([blocks - np.median(blocks, axis=0) for blocks in found])
    y, x = rows[:, 0], rows[:, 1:]
    noise = np.zeros((2, 2))
    for run, blocks in zip(runs, found):
        own = np.diff(np.log(run.yards), axis=0) / math.sqrt(2)  # neighbours share the rest
        share = 1.57 * len(blocks) / len(own)  # of the variance of one is that of a middle
        chain, arrays = (share * spread(one) ** 2 for one in own.T)
        noise += len(blocks) * np.array([[chain, -chain], [-chain, chain + arrays]])
    prior, loose = np.array(FOLLOWS), np.diag(np.array(OPEN) ** -2.0)
    powers, known = prior, loose
    for _ in range(6):  # of which blocks lie apart, and by how much, better powers tell better
        apart = y - times(x, powers)
        keep = np.abs(apart) <= 3 * max(spread(apart), 1e-9)
        variance = max(float(np.mean(apart[keep] ** 2)), 1e-12)
        scatter = products(x[keep])
        least = times(inverse(scatter + 1e-12 * np.eye(2)), (x[keep] * y[keep, None]).sum(axis=0))
        told = scatter - noise
        told[0, 0], told[1, 1] = max(told[0, 0], 0.0), max(told[1, 1], 0.0)
        most = math.sqrt(told[0, 0] * told[1, 1])
        told[0, 1] = told[1, 0] = min(max(told[0, 1], -most), most)
        known = told / variance + loose
        powers = times(inverse(known), times(told, least) / variance + times(loose, prior))
    return powers, inverse(known)


def beside_yardsticks(new: Sessions, old: Sessions) -> tuple[float, float, float]:
    """Return log(new / old) at one time of the yardsticks, and the ends of its interval."""
    powers, unknown = powers_of((new, old))
    z = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
    ends, others, middles = [], [], []
    for run in (new, old):
        rows = blocks_of(run)
        ends.append(interval((rows[:, 0] - times(rows[:, 1:], powers)).tolist(), 1 - LEVEL))
        rest = logarithms(run)
        others.append(spread(rest[:, 0] - times(rest[:, 1:], powers)))
        middles.append(np.median(rows[:, 1:], axis=0))
    (mine, low, high), (theirs, other_low, other_high) = ends
    drift = middles[0] - middles[1]
    open_ = math.sqrt(float((drift * times(unknown, drift)).sum()))
    besides = (OTHER * math.hypot(*others), BUSY * math.hypot(new.busy, old.busy))
    least = LEAST if new.threads in (None, 1) else CREW
    wider = z * math.hypot(open_, least, *besides)
    centre = mine - theirs
    low = centre - math.hypot(mine - low, other_high - theirs, wider)
    high = centre + math.hypot(high - mine, theirs - other_low, wider)
    return centre, low, high


def judged(
    new: Sessions, old: Sessions, same_machine: bool, margin: float = MARGIN, label: str = ""
) -> Judged:
    """Return the verdict of one run beside another."""
    unseen = UNSEEN
    if same_machine and new.stick == old.stick:
        centre, low, high = beside_yardsticks(new, old)
        notes = []
        drifts = np.median(np.log(new.yards), axis=0) - np.median(np.log(old.yards), axis=0)
        drift = max(drifts.tolist(), key=abs)
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
        note = "other yardsticks" if same_machine else "another machine"
        unseen = ALONE if same_machine else UNSEEN
    ratio, low, high = map(math.exp, (centre, low, high))
    word = word_of(low, high, margin)
    nearest = low if ratio > 1 else high
    if word in ("slower", "faster") and 1 / (1 + unseen) < nearest < 1 + unseen:
        word = "undecided"
    found = Verdict(
        word,
        ratio,
        low,
        high,
        min(len(new.seconds), len(old.seconds)),
        margin,
    )
    where = new.target if new.threads is None else f"{new.target} x{new.threads}"
    return Judged(new.kernel, new.dtype, new.size, f"{where} now", label, found, note)


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
    if any("yards" not in one for one in found["sessions"]):
        raise ValueError(
            f"--against {path}: its sessions lie beside one yardstick, as earlier versions wrote "
            "them; write it anew, with --json"
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
            tuple(map(tuple, s["yards"])),
            s["stick"],
            s["busy"],
            s["threads"],
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
