"""The tables of a comparison beside its rows: verdicts, checks, phases, predictions, break-even."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from minigrad_kernels.compare.against import Judged
from minigrad_kernels.compare.battery import CHECKS, Check
from minigrad_kernels.compare.errors import right_bits
from minigrad_kernels.compare.phases import Phases
from minigrad_kernels.compare.predict import ASSUMPTIONS, UNMEASURED, Prediction
from minigrad_kernels.compare.row import BreakEven, Row
from minigrad_kernels.compare.words import figure, shown_time

ON_GPU = frozenset({"cuda", "torch-cuda", "cupy"})


@dataclass(frozen=True)
class Tabled:
    """A table as words: for the terminal and for the page.

    words: how many of its first columns are words.  marks: of rows, "wrong" or "best".
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    notes: tuple[str, ...] = ()
    marks: dict[int, str] = field(default_factory=dict)


def parts(
    rows: Sequence[Row],
    verdicts: Sequence[Judged],
    checks: Sequence[Check],
    phases: Sequence[Phases],
    predictions: Sequence[Prediction],
    break_even: Sequence[BreakEven],
) -> list[Tabled]:
    """Return the tables that have something to say."""
    made = [
        of_limits(rows),
        of_verdicts(verdicts),
        of_checks(checks),
        of_phases(phases),
        of_predictions(predictions),
        of_break_even(break_even),
    ]
    return [without_blanks(part) for part in made if part.rows]


def without_blanks(part: Tabled) -> Tabled:
    """Return a table without the columns that say nothing in any row.

    >>> made = without_blanks(Tabled("t", ("a", "b", "c"), (("1", "", "2"),), 2))
    >>> made.columns, made.rows, made.words
    (('a', 'c'), (('1', '2'),), 1)
    """
    kept = [i for i in range(len(part.columns)) if any(row[i] for row in part.rows)]
    return replace(
        part,
        columns=tuple(part.columns[i] for i in kept),
        rows=tuple(tuple(row[i] for i in kept) for row in part.rows),
        words=sum(i < part.words for i in kept),
    )


def case(kernel: str, size: Sequence[int], dtype: str) -> str:
    """Return a kernel and its sizes, and its dtype where that is not float32.

    >>> case("gemm", (2, 3), "float32"), case("gemm", (), "float64")
    ('gemm 2x3', 'gemm float64')
    """
    sizes = [f" {'x'.join(map(str, size))}"] if size else []
    return "".join([kernel, *sizes, *([f" {dtype}"] if dtype != "float32" else [])])


def of_limits(rows: Sequence[Row]) -> Tabled:
    """Return what limits each timed row, with its right bits, registers and spills."""
    found = [
        (
            case(row.kernel, row.size, row.dtype),
            row.target,
            row.limit,
            shown_time(row.seconds),
            figure(right_bits(row.max_ulp, row.dtype)),
            "" if row.registers is None else str(row.registers),
            "" if row.spills is None else str(row.spills),
        )
        for row in rows
        if (row.limit or row.registers is not None) and row.target != "reference"
    ]
    columns = ("kernel", "target", "limited by", "time", "right bits", "regs", "spills")
    notes = ["right bits: of the significand, of the worst element"]
    if any(row.registers is not None and row.target == "cuda-sim" for row in rows):
        notes.append("regs, spills: of a thread, as compiled for sm_90a; nothing ran there")
    return Tabled("what limits it", columns, tuple(found), 3, tuple(notes))


def of_verdicts(verdicts: Sequence[Judged]) -> Tabled:
    """Return which of two is faster."""
    found = []
    for one in verdicts:
        v = one.verdict
        interval = f"{v.low:.3g} to {v.high:.3g}" if v.high < float("inf") else ""
        label = case(one.kernel, one.size, one.dtype)
        cells = (label, one.new, one.old, v.word, one.note)
        found.append((*cells, f"{v.ratio:.3g}", interval, str(v.pairs)))
    columns = ("kernel", "new", "old", "verdict", "note", "new / old", "interval", "pairs")
    margin = f"{100 * verdicts[0].verdict.margin:g}" if verdicts else ""
    note = (
        "new / old: of the times, with an interval of 99 %, beside another run 95 %; same: the "
        f"whole interval lies within {margin} %; slower, faster: it lies beyond a third of that"
    )
    return Tabled("verdicts", columns, tuple(found), 5, (note,))


def of_checks(checks: Sequence[Check]) -> Tabled:
    """Return a row for each kernel and target: ok, or each check that is not."""
    found: list[tuple[str, ...]] = []
    marks = {}
    for key in dict.fromkeys((c.kernel, c.dtype, c.target) for c in checks):
        mine = [c for c in checks if (c.kernel, c.dtype, c.target) == key]
        bad = [c for c in mine if not c.ok]
        label, target = case(key[0], (), key[1]), key[2]
        for check in bad:
            marks[len(found)] = "wrong"
            found.append((label, target, f"{check.name}: {check.said}"))
        if not bad:
            found.append((label, target, f"ok: all {len(mine)} checks"))
    notes = (f"checks: it {'; it '.join(CHECKS.values())}",)
    return Tabled("checks", ("kernel", "target", "found"), tuple(found), 3, notes, marks)


def of_phases(phases: Sequence[Phases]) -> Tabled:
    """Return the parts of calls."""
    found = [
        (
            case(p.kernel, p.size, p.dtype),
            p.target,
            *map(
                shown_time,
                (p.compile_cold, p.compile_warm, p.launch, p.to_device, p.to_host),
            ),
            shown_time(p.kernel_warm),
            shown_time(p.kernel_cold),
        )
        for p in phases
    ]
    columns = (
        *("kernel", "target", "compile", "from disk", "launch", "to GPU", "back"),
        *("kernel, warm", "cold"),
    )
    notes = (
        "compile, from disk: processor time of a process's first call, without and with machine "
        "code on disk, of which numba.njit keeps none unless told cache=True; launch: a call on "
        "next to nothing; kernel: the rest of a call, its arrays in the caches or not",
    )
    return Tabled("parts of a call", columns, tuple(found), 2, notes)


def of_predictions(predictions: Sequence[Prediction]) -> Tabled:
    """Return what is predicted for GPUs that are not here."""
    found = [
        (
            case(p.kernel, p.size, p.dtype),
            p.gpu,
            p.limit,
            shown_time(p.there),
            shown_time(p.launch),
            shown_time(p.kernels),
            shown_time(p.transfer),
            shown_time(p.travelling),
            f"{100 * p.occupancy:.0f} %",
            "" if p.registers is None else str(p.registers),
            "" if p.spills is None else str(p.spills),
        )
        for p in predictions
    ]
    columns = (
        *("kernel", "GPU", "limited by", "a call", "launch", "kernels", "transfer"),
        *("with transfer", "occupancy", "regs", "spills"),
    )
    notes = [f"PREDICTED, not measured; {UNMEASURED}. Assumed:", *ASSUMPTIONS]
    for note in dict.fromkeys(p.note for p in predictions if p.note):
        where = dict.fromkeys(f"{p.kernel} on {p.gpu}" for p in predictions if p.note == note)
        notes.append(f"{', '.join(where)}: {note}")
    return Tabled("predicted for GPUs that are not here", columns, tuple(found), 3, tuple(notes))


def of_break_even(break_even: Sequence[BreakEven]) -> Tabled:
    """Return from which sizes a GPU wins."""
    found = [
        (
            case(b.kernel, (), b.dtype),
            b.gpu or "this GPU",
            data(b),
            from_size(b),
            "predicted" if b.gpu else "measured",
        )
        for b in break_even
    ]
    columns = ("kernel", "GPU", "data", "faster than the CPU from", "how")
    return Tabled("the GPU wins", columns, tuple(found), 5)


def data(found: BreakEven) -> str:
    """Return in words where the data lie."""
    return "lies on the GPU" if found.data == "there" else "travels there and back"


def from_size(found: BreakEven) -> str:
    """Return the break-even size in words."""
    if found.elements is None:
        return "no size on"
    return f"{figure(math.ceil(found.elements))} elements on" if found.elements else "every size on"
