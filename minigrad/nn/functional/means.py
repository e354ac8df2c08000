"""Divisors of reduced losses, for whoever averages losses over batches."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Report:
    """A loss or metric over one batch: `weight` is what its mean was divided by, a number or a
    tensor; `total`: it is the sum, not yet divided.
    """

    result: Any
    weight: Any
    total: bool = False


class Watch(threading.local):
    """The reports of this thread, None while nobody watches: a loss looks at it before it says
    anything.
    """

    reports: list[Report] | None = None


watch = Watch()


def watched(function: Any, *args: Any) -> tuple[Any, list[Report]]:
    """Call a function; return what it returns, and what the losses and metrics in it have said.

    >>> import minigrad as mg
    >>> loss, reports = watched(mg.nn.functional.mse_loss, mg.zeros(3, 2), mg.ones(3, 2))
    >>> reports[0].result is loss, reports[0].weight
    (True, 6)
    """
    before = watch.reports
    reports: list[Report] = []
    watch.reports = reports
    try:
        return function(*args), reports
    finally:
        watch.reports = before


def report(result: Any, weight: Any, total: bool = False) -> None:
    """Say what a result was divided by, or for a total is to be."""
    if watch.reports is not None:
        watch.reports.append(Report(result, weight, total))
