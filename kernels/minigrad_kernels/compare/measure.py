"""Measure a kernel on its targets for `compare`: errors, repeatability, then times in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad_kernels.compare.errors import ulps
from minigrad_kernels.compare.machine import Limits
from minigrad_kernels.compare.parts import ON_GPU
from minigrad_kernels.compare.row import Row
from minigrad_kernels.compare.targets import Entry, Host, Prepared, Target
from minigrad_kernels.compare.timing import QUICK, Candidate, Case, Pace, Timing, time_case
from minigrad_kernels.compare.words import what_limits
from minigrad_kernels.jit.arguments import bind

Array = np.ndarray[Any, Any]
NOTHING = 16  # elements of the calls that show the overhead
PACE = Pace(rounds=3, block=0.05, pause=0.15)
GLANCE = Pace(rounds=1, block=0.01, pause=0.0)
WORTH = 0.05  # faster must more threads be: else a function of one thread is said to take two
SLOW = 0.3  # seconds: what takes longer is timed by its first call alone


def compared(
    entry: Entry,
    sizes: tuple[int, ...],
    dtype: np.dtype[Any],
    targets: Sequence[Target],
    limits: Limits | None,
    gpu: Limits | None,
    quick: bool,
) -> list[Row]:
    """Return one row a target that has the kernel: its errors first, then all times in turns."""
    args = entry.example.make(np.random.default_rng(0), dtype, *sizes)
    exact = bind(entry.kernel, args, np.copy, wide=not entry.example.own_dtype)
    flops, nbytes = map(int, entry.kernel.cost(*exact.args))
    nbytes = nbytes * dtype.itemsize // 8 if exact.tensors else nbytes
    entry.kernel.reference(*exact.args)
    largest = max((a.size for a in exact.args if isinstance(a, np.ndarray)), default=0)
    largest = max(largest, sum(row[0].size for row in exact.tensors))
    floor = None if limits is None else limits.floor(flops, nbytes, dtype.name)
    blank = Row(entry.name, dtype.name, sizes, largest, "", flops, nbytes, floor)
    rows: dict[str, Row] = {}
    for target in targets:
        try:
            row = checked(target, entry, args, exact.written, replace(blank, target=target.name))
        except Exception as error:  # a report of what fails is what was asked for
            row = replace(blank, target=target.name, failure=f"{type(error).__name__}: {error}")
        if row is not None:
            rows[target.name] = row
    alive = [t for t in targets if t.timed and t.name in rows and not rows[t.name].failure]
    timings = times(entry, args, alive, QUICK if quick else PACE)
    few = entry.example.make(np.random.default_rng(0), dtype, *entry.example.sizes((NOTHING,)))
    overheads = times(entry, few, alive, GLANCE)
    for name, timing in timings.items():
        mine = gpu if name in ON_GPU else limits
        rows[name] = timed_row(rows[name], timing, overheads[name], mine, entry.counted)
    return list(rows.values())


def timed_row(
    row: Row, timing: Timing, overhead: Timing, limits: Limits | None, counted: bool = True
) -> Row:
    """Return a row with its times, its rates and its share of the limits of where it ran."""
    least = None if limits is None else limits.floor(row.flops, row.nbytes, row.dtype)
    said = ""
    if limits is not None:
        said = what_limits(
            timing.median,
            floor_flops=limits.floor(row.flops, 0, row.dtype),
            floor_bytes=limits.floor(0, row.nbytes, row.dtype),
            launch=overhead.median,
            counted=counted,
        )
    return replace(
        row,
        threads=timing.threads,
        seconds=timing.median,
        low=timing.low,
        gflops=1e-9 * row.flops / timing.median,
        gbps=1e-9 * row.nbytes / timing.median,
        share=None if least is None else least / timing.median,
        overhead=overhead.median,
        limit=said,
    )


def checked(
    target: Target, entry: Entry, args: Sequence[Any], exact: Sequence[Array], row: Row
) -> Row | None:
    """Return the row with errors and repeatability, None where the target lacks the kernel."""
    first = results(target, target.prepare(entry, args), most(target))
    if first is None:
        return None
    again = results(target, target.prepare(entry, args), most(target))
    other = results(target, target.prepare(entry, args, other=True), 1)
    assert again is not None and other is not None
    several = bool(target.threads()) or not isinstance(target, Host)
    errors = [
        ulps(a, b, np.dtype(row.dtype), entry.example.cancels).reshape(-1)
        for a, b in zip(first, exact, strict=True)
        if a is not None and a.size
    ]
    joined = np.concatenate(errors) if errors else None
    return replace(
        row,
        max_ulp=None if joined is None else float(joined.max()),
        rms_ulp=None if joined is None else float(np.sqrt(np.mean(np.square(joined)))),
        repeats=None if joined is None else same(first, again),
        any_threads=same(first, other) if several and joined is not None else None,
    )


def results(target: Target, prepared: Prepared | None, threads: int) -> list[Array | None] | None:
    """Run once and return what was written, None where there is nothing to run."""
    if prepared is None:
        return None
    target.set_threads(threads)
    prepared.call()
    return prepared.read()


def most(target: Target) -> int:
    """Return the most threads that a target runs on."""
    return max(target.threads(), default=1)


def same(one: Sequence[Array | None], other: Sequence[Array | None]) -> bool:
    """Tell whether two results have the same bits."""
    pairs = zip(one, other, strict=True)
    return all(a is None or b is None or a.tobytes() == b.tobytes() for a, b in pairs)


def times(
    entry: Entry, args: Sequence[Any], targets: Sequence[Target], pace: Pace
) -> dict[str, Timing]:
    """Time a kernel on all targets in turns; each on its best thread count."""
    found: dict[str, Timing] = {}
    slow: list[Timing] = []
    candidates: list[Candidate] = []
    label = entry.name
    for target in targets:
        counts: Sequence[int | None] = target.threads() or (None,)
        made = [candidate(target, entry, args, count) for count in counts]
        if target.name == "reference":
            glance = time_case(Case(label, made), replace(GLANCE, warmups=0, block=0.0))
            if glance[0].median > SLOW:
                slow += glance
                continue
        candidates += made
    if candidates:
        slow += time_case(Case(label, candidates, worth=WORTH), pace)
    for timing in slow:
        found[timing.candidate] = timing
    return found


def candidate(target: Target, entry: Entry, args: Sequence[Any], threads: int | None) -> Candidate:
    """Return what is timed: a launch on arguments that stay, so that they are made once."""
    prepared = target.prepare(entry, args)
    assert prepared is not None

    def make() -> Callable[[], Any]:
        if threads is not None:
            target.set_threads(threads)
        return prepared.many

    return Candidate(target.name, make, threads=threads, parts=target.parts)
