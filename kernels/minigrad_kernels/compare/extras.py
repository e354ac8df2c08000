"""What is measured of a few kernels beside errors and times: verdicts, checks, phases, predictions.

`Wanted` says which of them; each is a function of one case here.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from minigrad_kernels.compare import against, pairs
from minigrad_kernels.compare.against import Judged
from minigrad_kernels.compare.battery import CHECKS, Check, battery
from minigrad_kernels.compare.gpus import GPUS
from minigrad_kernels.compare.machine import cpu_model
from minigrad_kernels.compare.phases import Phases, compile_times, phases
from minigrad_kernels.compare.predict import Prediction, compiled, launches_of, predict
from minigrad_kernels.compare.row import Row
from minigrad_kernels.compare.sessions import SPAN, Sessions, Timed, sessions
from minigrad_kernels.compare.targets import Entry, Host, Target
from minigrad_kernels.compare.timing import STANDARD
from minigrad_kernels.compare.verdict import Maker, clock_of, decide, pairs_of
from minigrad_kernels.compare.wanted import Wanted
from minigrad_kernels.cuda.compile import CAPABILITIES, missing
from minigrad_kernels.table import KERNELS

BASELINE = "cpu"
REST = STANDARD.pause  # after a block, where the threads of one pool spin beside the other's
SIMULATED_TARGET = "sm_90a"  # what is compiled for where no GPU says
Case = tuple[Entry, tuple[int, ...], np.dtype[Any]]


@dataclass
class Extra:
    """What was found, and the rows with what was compiled for them."""

    rows: list[Row] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    verdicts: list[Judged] = field(default_factory=list)
    phases: list[Phases] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    sessions: list[Sessions] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def extras(
    wanted: Wanted,
    cases: Sequence[Case],
    rows: Sequence[Row],
    here: Sequence[Target],
    say: Callable[[str], None],
) -> Extra:
    """Measure what is wanted of all cases; say: is called with a line before each part."""
    found = Extra(list(rows))
    good = {(r.kernel, r.size, r.dtype, r.target): r for r in rows if r.failure is None}
    if wanted.verdicts or wanted.phases or wanted.checks:
        found.rows = [with_registers(row, cases) for row in rows]
    timed: list[Timed] = []
    for entry, sizes, dtype in cases:
        mine = {
            t.name: (t, good[entry.name, sizes, dtype.name, t.name])
            for t in here
            if (entry.name, sizes, dtype.name, t.name) in good
        }
        label = f"{entry.name} {'x'.join(map(str, sizes))} {dtype}"
        if wanted.verdicts:
            say(f"{label}: which is faster")
            found.verdicts += beside_baseline(entry, sizes, dtype, mine, wanted)
        if wanted.sessions:
            timed += to_time(entry, sizes, dtype, mine)
        if wanted.phases:
            say(f"{label}: parts of a call")
            found.phases += parts_of(entry, sizes, dtype, mine)
        for name in wanted.predict or ():
            say(f"{label}: predicting {name}")
            found.predictions += predicted(entry, sizes, dtype, name, good)
    if timed:
        say("sessions, for another run to be held against")
        found.sessions = sessions(timed, min(SPAN, wanted.limit))
    for entry, dtype in distinct(cases):
        sizes = max((s for e, s, d in cases if e is entry and d is dtype), key=np.prod)
        for target in here:
            if wanted.checks and target.ours and target.name != "reference":
                say(f"{entry.name} {dtype} on {target.name}: checks")
                found.checks += tried(entry, target, sizes, dtype)
    if wanted.phases:
        found.phases = with_compile(found.phases, [entry for entry, _, _ in cases], say)
    if wanted.against is not None:
        held_against(wanted, cases, here, found, good)
    return found


def distinct(cases: Sequence[Case]) -> list[tuple[Entry, Any]]:
    """Return the kernels and dtypes of cases, each once; some rows of the table have no hash."""
    return list({(e.name, d): (e, d) for e, _, d in cases}.values())


def tried(entry: Entry, target: Target, sizes: tuple[int, ...], dtype: Any) -> list[Check]:
    """Return the battery's checks; one that says what it raised."""
    try:
        return battery(entry, target, sizes, dtype)
    except Exception as error:  # what fails is what was asked for
        line = next(iter(str(error).splitlines()), "")
        said = f"it fails: {type(error).__name__}: {line}"
        return [Check(entry.name, dtype.name, target.name, next(iter(CHECKS)), False, said)]


# ---------------------------------------------------------------- verdicts
def to_time(
    entry: Entry, sizes: tuple[int, ...], dtype: Any, mine: dict[str, tuple[Target, Row]]
) -> list[Timed]:
    """Return what is timed in sessions: a case on all its targets but the reference.

    On one thread and on all: the count that was best here may be another one in the other run.
    """
    found = []
    for target, row in mine.values():
        if target.name != "reference" and row.seconds:
            counts = target.threads()
            for threads in dict.fromkeys((counts[0], counts[-1])) if counts else (None,):
                made = maker(target, entry, sizes, dtype, threads)
                clock = clock_of(made) if alone(target, threads) else time.perf_counter
                case = entry.name, dtype.name, sizes, target.name
                found.append(Timed(*case, made, target.parts, clock, threads))
    return found


def maker(
    target: Target, entry: Entry, sizes: tuple[int, ...], dtype: Any, threads: int | None
) -> Maker:
    """Return what makes a call to time, on memory of its own."""
    args = entry.example.make(np.random.default_rng(0), dtype, *sizes)

    def make() -> Callable[[], Any]:
        if threads is not None:
            target.set_threads(threads)
        prepared = target.prepare(entry, args)
        assert prepared is not None
        return prepared.many

    return make


def alone(target: Target, threads: int | None) -> bool:
    """Tell whether one thread of the host does the work."""
    return isinstance(target, Host) and threads in (None, 1)


def rest(one: Target, other: Target, threads: Sequence[int | None]) -> float:
    """Return how long all threads must rest after a block: those of one pool need not."""
    return REST if type(one) is not type(other) and any(t != 1 for t in threads) else 0.0


def beside_baseline(
    entry: Entry,
    sizes: tuple[int, ...],
    dtype: Any,
    mine: dict[str, tuple[Target, Row]],
    wanted: Wanted,
) -> list[Judged]:
    """Return the verdict of each target beside the CPU's kernel."""
    if BASELINE not in mine or not mine[BASELINE][1].seconds:
        return []
    base, held = mine[BASELINE]
    found = []
    for name, (target, row) in mine.items():
        if name in (BASELINE, "reference") or not row.seconds:
            continue
        old = maker(base, entry, sizes, dtype, held.threads)
        new = maker(target, entry, sizes, dtype, row.threads)
        pause = rest(base, target, (held.threads, row.threads))
        pair = pairs_of(old, new, (base.parts, target.parts), pause)
        verdict, _ = decide(pair, wanted.margin, wanted.limit)
        found.append(Judged(entry.name, dtype.name, sizes, name, BASELINE, verdict))
    return found


def held_against(
    wanted: Wanted,
    cases: Sequence[Case],
    here: Sequence[Target],
    found: Extra,
    good: dict[Any, Row],
) -> None:
    """Add the verdicts beside another run, or beside another pair, measured in turns."""
    assert wanted.against is not None
    if not pairs.is_place(wanted.against):
        report = against.read(Path(wanted.against))
        label = Path(wanted.against).name
        if not found.sessions:
            found.notes.append(f"{label}: no sessions were measured; leave out --quick")
        verdicts, notes = against.against(found.sessions, report, cpu_model(), wanted.margin, label)
        found.verdicts += verdicts
        found.notes += notes
        return
    others = {entry.name: entry for entry in pairs.load(wanted.against)}
    for entry, sizes, dtype in cases:
        other = others.get(entry.name)
        if other is None and len(others) == 1:
            (other,) = others.values()
        if other is None:
            found.notes.append(f"{wanted.against}: it has no pair {entry.name}")
            continue
        for target in here:
            row = good.get((entry.name, sizes, dtype.name, target.name))
            if row is None or not row.seconds or not target.ours or target.name == "reference":
                continue
            if target.name != "cpu" and other.cuda is None:
                continue
            old = maker(target, other, sizes, dtype, row.threads)
            new = maker(target, entry, sizes, dtype, row.threads)
            clock = clock_of(old, new) if alone(target, row.threads) else time.perf_counter
            pair = pairs_of(old, new, (target.parts, target.parts), clock=clock)
            verdict, _ = decide(pair, wanted.margin, wanted.limit)
            found.verdicts.append(
                Judged(entry.name, dtype.name, sizes, target.name, wanted.against, verdict)
            )


# ---------------------------------------------------------------- parts of a call, predictions
def parts_of(
    entry: Entry, sizes: tuple[int, ...], dtype: Any, mine: dict[str, tuple[Target, Row]]
) -> list[Phases]:
    """Return the parts of a call on the CPU and on a GPU that is here."""
    found = []
    for name, (target, row) in mine.items():
        if name in ("cpu", "cuda") and row.seconds:
            if row.threads is not None:
                target.set_threads(row.threads)
            made = phases(entry, target, sizes, dtype, row.elements)
            found += [made] if made is not None else []
    return found


def with_compile(
    made: Sequence[Phases], entries: Sequence[Entry], say: Callable[[str], None]
) -> list[Phases]:
    """Return phases with the seconds of compiling, measured once a kernel, dtype and target.

    Another process finds a kernel in the table, or in a file; one of `add` it cannot.
    """
    places = {e.name: e.name for e in entries if e.name in KERNELS}
    places |= {e.name: e.place for e in entries if e.place}
    known: dict[tuple[str, str, str], tuple[float | None, float | None]] = {}
    found = []
    for one in made:
        key = one.kernel, one.dtype, one.target
        if key not in known:
            say(f"{one.kernel} {one.dtype} on {one.target}: compiling in a process of its own")
            place = places.get(one.kernel)
            given = one.target, one.size, one.dtype
            known[key] = compile_times(place, *given) if place is not None else (None, None)
        cold, warm = known[key]
        found.append(replace(one, compile_cold=cold, compile_warm=warm))
    return found


def predicted(
    entry: Entry, sizes: tuple[int, ...], dtype: Any, name: str, good: dict[Any, Row]
) -> list[Prediction]:
    """Return the prediction of a case for a GPU, none where it has no CUDA kernel."""
    args = entry.example.make(np.random.default_rng(0), dtype, *sizes)
    row = next((r for k, r in good.items() if k[:3] == (entry.name, sizes, dtype.name)), None)
    flops, nbytes = map(int, entry.kernel.cost(*args)) if row is None else (row.flops, row.nbytes)
    arrays = [a.size for a in args if isinstance(a, np.ndarray)]
    elements = max(arrays, default=0) if row is None else row.elements
    case = {"dtype": dtype.name, "size": sizes, "elements": elements}
    made = predict(entry, args, GPUS[name], flops=flops, nbytes=nbytes, **case)
    return [] if made is None else [made]


def with_registers(row: Row, cases: Sequence[Case]) -> Row:
    """Return a row of a GPU or of the simulator with the registers and spills of its kernels."""
    if row.target not in ("cuda", "cuda-sim") or missing():
        return row
    entry = next(e for e, _, _ in cases if e.name == row.kernel)
    args = entry.example.make(np.random.default_rng(0), np.dtype(row.dtype), *row.size)
    made = [
        compiled(launch.kernel, launch.signature, architecture(row.target))
        for launch in launches_of(entry, args, 132)
    ]
    found = [m for m in made if m is not None and not isinstance(m, str)]
    if not found:
        return row
    return replace(
        row, registers=max(m.registers for m in found), spills=sum(m.spills for m in found)
    )


def architecture(target: str) -> str:
    """Return what is compiled for: the GPU that is here, if it is one that is known."""
    if target == "cuda":
        cuda = importlib.import_module("numba.cuda")
        here = tuple(cuda.get_current_device().compute_capability)
        for name, capability in CAPABILITIES.items():
            if capability == here:
                return name
    return SIMULATED_TARGET
