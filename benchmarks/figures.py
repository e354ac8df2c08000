"""What follows from times: ratios to the peers, their means, the exponents of growth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad_kernels.compare.timing import OURS, Timing


def speedups(timings: Sequence[Timing]) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Yield group, peer and for each case the peer's time over minigrad's, above 1 where minigrad
    is faster; the last peer of a group is "best of all", if there are several.
    """
    times: dict[str, dict[str, dict[str, float]]] = {}  # group -> library -> case -> seconds
    for t in timings:
        cases = times.setdefault(t.group, {}).setdefault(t.library, {})
        cases[t.case] = min(t.median, cases.get(t.case, math.inf))
    for group, libraries in times.items():
        mine = libraries.pop(OURS, {})
        if len(libraries) > 1:
            names = dict.fromkeys(case for of_peer in libraries.values() for case in of_peer)
            libraries["best of all"] = {
                case: min(of_peer.get(case, math.inf) for of_peer in libraries.values())
                for case in names
            }
        for peer, of_peer in libraries.items():
            both = {case: of_peer[case] / mine[case] for case in of_peer if case in mine}
            if both:
                yield group, peer, both


def ratio(timing: Timing, timings: Iterable[Timing]) -> float | None:
    """Return minigrad's time over the candidate's, below 1 where minigrad is faster."""
    if timing.library == OURS:
        return None
    ours = [t.median for t in timings if t.case == timing.case and t.library == OURS]
    return min(ours) / timing.median if ours else None


def as_summary(peer: str, ratios: dict[str, float]) -> dict[str, Any]:
    """Return the geometric mean and the least of a peer's times over minigrad's."""
    least = min(ratios, key=ratios.__getitem__)
    return {
        "peer": peer,
        "times_faster": figure(statistics.geometric_mean(ratios.values())),
        "least": figure(ratios[least]),
        "at": least,
        "cases": len(ratios),
    }


def growth(timings: Sequence[Timing]) -> Iterator[dict[str, Any]]:
    """Yield for each group and candidate the exponents of time and memory as the amount grows."""
    for group, candidate in dict.fromkeys((t.group, t.candidate) for t in timings):
        mine = [t for t in timings if (t.group, t.candidate) == (group, candidate)]
        for quantity in ("median", "megabytes"):
            found = [(t.amount, getattr(t, quantity)) for t in mine]
            known = [(n, y) for n, y in found if n and y]
            if len(known) > 1:
                exponent, error = power_law(*zip(*known, strict=True))
                yield {
                    "group": group,
                    "candidate": candidate,
                    "quantity": "time" if quantity == "median" else "memory",
                    "exponent": round(exponent, 3),
                    "standard_error": None if error is None else round(error, 3),
                }


def power_law(amounts: Sequence[float], values: Sequence[float]) -> tuple[float, float | None]:
    """Return e of the power law v = c n^e, by least squares of the logarithms, and its standard
    error; two points leave no error to see.

    >>> exponent, error = power_law([1, 2, 4], [3, 12, 48])
    >>> round(exponent, 6), round(error, 6)
    (2.0, 0.0)
    """
    n, v = np.log(amounts), np.log(values)
    n -= n.mean()
    exponent = float(n @ v / (n @ n))
    rest = v - v.mean() - exponent * n
    if len(n) == 2:
        return exponent, None
    return exponent, float(np.sqrt(rest @ rest / (len(n) - 2) / (n @ n)))


def figure(x: float) -> float:
    """Round to four digits."""
    return float(f"{x:.4g}")
