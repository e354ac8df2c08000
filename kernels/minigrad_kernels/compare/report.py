"""The results of `compare`: rows, break-even sizes, and the report as tables, HTML and JSON."""

from __future__ import annotations

import dataclasses
import datetime
import io
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from minigrad_kernels.compare.against import Judged
from minigrad_kernels.compare.battery import Check
from minigrad_kernels.compare.conditions import Conditions
from minigrad_kernels.compare.gpus import GPUS
from minigrad_kernels.compare.machine import cpu_model
from minigrad_kernels.compare.parts import ON_GPU, Tabled, parts
from minigrad_kernels.compare.phases import Phases
from minigrad_kernels.compare.predict import Prediction
from minigrad_kernels.compare.row import BreakEven, Row, break_even
from minigrad_kernels.compare.sessions import Sessions
from minigrad_kernels.compare.statistics import TARGET
from minigrad_kernels.compare.timing import cores
from minigrad_kernels.compare.words import figure, shown_time
from minigrad_kernels.jit.files import write_whole
from minigrad_kernels.pages.axes import short
from minigrad_kernels.pages.charts import Chart, Series, legend
from minigrad_kernels.pages.page import details, page, table

FORMAT = 2  # of the JSON
WRONG = 2_000.0  # ULP: what is further off is wrong, not rounded


@dataclass(frozen=True)
class Report:
    """All that was compared.  `print(report)` shows it; `ok` tells whether all of ours is right.

    notes: what could not be compared, and why.  statistics: what the CUDA kernels compile to.
    checks: of the battery.  verdicts: which of two is faster.  phases: the parts of a call.
    predictions: for GPUs that are not here.  conditions: what else the machine did meanwhile.
    sessions: times for another run to be held against.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    statistics: tuple[dict[str, Any], ...] = ()
    limits: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    verdicts: tuple[Judged, ...] = ()
    phases: tuple[Phases, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    conditions: Conditions | None = None
    sessions: tuple[Sessions, ...] = ()

    @property
    def break_even(self) -> tuple[BreakEven, ...]:
        """The size from which a GPU wins, of every kernel at two sizes on both sides.

        Measured where there is a GPU, for data that lies there and, with its phases measured, for
        data that travels; else predicted, for each GPU of the predictions.
        """
        found = []
        for kernel, dtype in dict.fromkeys((row.kernel, row.dtype) for row in self.rows):
            mine = [r for r in self.rows if (r.kernel, r.dtype) == (kernel, dtype)]
            cpu, gpu = ([r for r in mine if r.target == t and r.seconds] for t in ("cpu", "cuda"))
            if len(cpu) < 2:
                continue
            if len(gpu) > 1:
                found.append(BreakEven(kernel, dtype, break_even(cpu, gpu)))
                moves = {p.size: p.transfer for p in self.phases if p.target == "cuda"}
                slower = [
                    dataclasses.replace(r, seconds=(r.seconds or 0) + (moves.get(r.size) or 0))
                    for r in gpu
                    if moves.get(r.size) is not None
                ]
                if len(slower) > 1:
                    found.append(BreakEven(kernel, dtype, break_even(cpu, slower), "travels"))
            at = {row.size: row for row in cpu}
            said = [p for p in self.predictions if (p.kernel, p.dtype) == (kernel, dtype)]
            for name in dict.fromkeys(p.gpu for p in said):
                there = [p for p in said if p.gpu == name and p.size in at]
                for data in ("there", "travels"):
                    times = [p.there if data == "there" else p.travelling for p in there]
                    made = [
                        dataclasses.replace(at[p.size], target="cuda", seconds=t)
                        for p, t in zip(there, times)
                    ]
                    if len(made) > 1:
                        found.append(BreakEven(kernel, dtype, break_even(cpu, made), data, name))
        return tuple(found)

    @property
    def wrong(self) -> tuple[Row, ...]:
        """Rows of our own kernels that failed, are far off, or are not repeatable."""
        return tuple(row for row in self.rows if row.target in OURS and is_wrong(row))

    @property
    def ok(self) -> bool:
        """Whether no row and no check shows a fault."""
        return not self.wrong and all(check.ok for check in self.checks)

    def __str__(self) -> str:
        return text_of(self)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data; times in seconds."""
        return {
            "format": FORMAT,
            "machine": self.machine,
            "limits": self.limits,
            "notes": list(self.notes),
            "rows": [cleaned(dataclasses.asdict(row)) for row in self.rows],
            "break_even": [dataclasses.asdict(found) for found in self.break_even],
            "statistics": list(self.statistics),
            "checks": [dataclasses.asdict(check) for check in self.checks],
            "verdicts": [plain_data(judged) for judged in self.verdicts],
            "phases": [plain_data(one) for one in self.phases],
            "predictions": [plain_data(one) for one in self.predictions],
            "conditions": None if self.conditions is None else self.conditions.as_json(),
            "sessions": [plain_data(one) for one in self.sessions],
            "ok": self.ok,
        }

    def to_json(self, path: str | Path) -> Path:
        """Write the report as JSON; return the file."""
        file = Path(path)
        text = json.dumps(self.as_json(), indent=1, allow_nan=False)
        write_whole(file, text + "\n")
        return file

    def to_html(self, path: str | Path) -> Path:
        """Write the report with its charts as one HTML file that needs no other; return it."""
        file = Path(path)
        write_whole(file, html_of(self))
        return file


OURS = frozenset({"reference", "cpu", "cuda", "cuda-sim"})


def is_wrong(row: Row) -> bool:
    """Tell whether a row shows a fault."""
    off = row.max_ulp is not None and not row.max_ulp <= WRONG
    return row.failure is not None or off or row.repeats is False or row.any_threads is False


def cleaned(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what is unknown, floats to 6 digits; infinite ones as text."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, float):
            found[name] = float(f"{value:.6g}") if np.isfinite(value) else str(value)
        elif value is not None:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def plain_data(item: Any) -> Any:
    """Return a dataclass as plain data, what is unknown left out, floats to 6 digits."""
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        pairs = ((f.name, getattr(item, f.name)) for f in dataclasses.fields(item))
        return {name: plain_data(value) for name, value in pairs if value is not None}
    if isinstance(item, tuple | list):
        return [plain_data(value) for value in item]
    if isinstance(item, float):
        return float(f"{item:.6g}") if np.isfinite(item) else str(item)
    return item


def machine_of() -> dict[str, Any]:
    """Return what this machine is, and the date."""
    versions = {"python": platform.python_version()}
    for name in ("minigrad", "numpy", "numba", "numba-cuda", "torch", "cupy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    return {"date": date, "cpu": cpu_model(), "cores": cores(), "versions": versions}


# ---------------------------------------------------------------- in the terminal
WIDTH = 120  # of a table that goes to no terminal
COLUMNS = (
    *("kernel", "dtype", "target", "time", "GFLOP/s", "GB/s", "limit", "overhead"),
    *("max ulp", "rms ulp", "bits"),
)
WORDS = 3  # of them are words
STATISTICS = {  # header -> what is counted
    **{"kernel": "kernel", "regs": "registers", "stack": "stack", "shared": "shared"},
    **{"spills": "spills", "f64": "doubles", "instr": "instructions", "load128": "loads_128"},
    **{"store128": "stores_128", "async": "async_copies", "mma": "tensor_ops", "fma": "fma"},
}


def tables(report: Report) -> Iterator[tuple[Table, Sequence[str]]]:
    """Yield the tables of a report, each with what is said below it: what was compared, the
    break-even sizes, the statistics.
    """
    drawn = table_of("kernels beside float64 and the machine's limit", COLUMNS, WORDS)
    before: tuple[Any, ...] = ()
    for row in report.rows:
        group = row.kernel, row.dtype, row.size
        new = group != before
        drawn.add_row(
            *(cells_of_group(row) if new else ("", "")),
            *cells(row),
            style="red" if row in report.wrong else None,
        )
        before = group
    yield drawn, ["bits: they repeat, differ from run to run, or with the number of threads"]
    for part in parts_of(report):
        drawn = table_of(part.title, part.columns, part.words, wrap=True)
        for i, line in enumerate(part.rows):
            drawn.add_row(*line, style="red" if part.marks.get(i) == "wrong" else None)
        yield drawn, part.notes
    if report.statistics:
        drawn = table_of(f"what the CUDA kernels compile to, {TARGET}", tuple(STATISTICS), 1)
        for found_ in report.statistics:
            drawn.add_row(*(str(found_[name]) for name in STATISTICS.values()))
        yield drawn, ()


def parts_of(report: Report) -> list[Tabled]:
    """Return the further tables of a report."""
    return parts(
        report.rows,
        report.verdicts,
        report.checks,
        report.phases,
        report.predictions,
        report.break_even,
    )


def table_of(title: str, columns: tuple[str, ...], words: int, wrap: bool = False) -> Table:
    """Return an empty table whose first columns are words, the others numbers.

    wrap: break words that have no room, where the table cuts them.
    """
    made = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    made.padding, made.pad_edge = (0, 1, 0, 0), False
    for i, name in enumerate(columns):
        header, word = name.replace("_", " "), i < words
        broken = wrap and word and 0 < i
        made.add_column(header, justify="left" if word else "right", no_wrap=not broken)
    return made


def cells_of_group(row: Row) -> tuple[str, str]:
    """Return kernel and sizes, and dtype, of a row."""
    return f"{row.kernel} {'x'.join(map(str, row.size))}", row.dtype


def cells(row: Row) -> tuple[str, ...]:
    """Return what a row shows of its target."""
    if row.failure is not None:
        return (row.target, *[""] * (len(COLUMNS) - 4), "failed")
    return (
        row.target if row.threads is None else f"{row.target} x{row.threads}",
        shown_time(row.seconds),
        figure(row.gflops) if row.flops else "",
        figure(row.gbps),
        "" if row.share is None else f"{100 * row.share:.0f} %",
        shown_time(row.overhead),
        figure(row.max_ulp),
        figure(row.rms_ulp),
        bits(row),
    )


def bits(row: Row) -> str:
    """Return in a word whether the same work gives the same bits."""
    if row.repeats is None:
        return ""
    if not row.repeats:
        return "differ"
    return "threads" if row.any_threads is False else "repeat"


def show(report: Report, console: Console) -> None:
    """Print a report."""
    for drawn, below in tables(report):
        console.print(drawn)
        for note in below:
            console.print(note, style="italic", markup=False)
        if below:
            console.print()
    for note in (*conditions_of(report), *report.notes):
        console.print(note, style="dim", markup=False)
    for row in report.rows:
        if row.failure is not None:
            label = " ".join(cells_of_group(row))
            console.print(f"{label} on {row.target}: {row.failure}", style="dim", markup=False)
    for row in report.wrong:
        console.print(f"WRONG: {' '.join(cells_of_group(row))} on {row.target}", style="red")


def conditions_of(report: Report) -> list[str]:
    """Return what else the machine did, where anything was timed."""
    timed = any(row.seconds for row in report.rows)
    return report.conditions.said if report.conditions is not None and timed else []


def text_of(report: Report) -> str:
    """Return a report as text."""
    held = io.StringIO()
    show(report, Console(file=held, width=WIDTH, highlight=False))
    return held.getvalue()


# ---------------------------------------------------------------- as HTML
LOOKS = ("cpu", "torch", "cuda", "torch-cuda", "cupy", "cuda-sim", "cpu-blas", "reference")
SIZES = (  # of a large drawing, at which windows it is shown
    ("full-only", (1320.0, 520.0)),
    ("wide-only", (820.0, 440.0)),
    ("narrow-only", (360.0, 420.0)),
)
FEW = 3  # sizes that are named one by one
UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))


def html_of(report: Report) -> str:
    """Return the whole page."""
    machine = report.machine
    versions = ", ".join(f"{k} {v}" for k, v in machine.get("versions", {}).items())
    lead = (
        f"<p>{escape(str(machine.get('cpu')))}, {machine.get('cores')} cores, "
        f"{escape(str(machine.get('date')))}; {escape(versions)}</p>"
    )
    return page("minigrad compare", sections(report), lead + verdict(report))


def verdict(report: Report) -> str:
    """Return in words whether all of ours is right."""
    lines = [name for name, _ in grouped(report.wrong)]
    said = f'<p class="wrong-note">Wrong: {escape("; ".join(lines))}</p>' if lines else ""
    if not lines and any(row.target in OURS for row in report.rows):
        said = "<p>All results are right: near float64, and the same bits every time.</p>"
    notes = (*conditions_of(report), *report.notes)
    return said + "".join(f'<p class="faint">{escape(note)}</p>' for note in notes)


def grouped(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Return rows of one kernel, dtype, target and failure as one: how it is called, and the first.

    >>> rows = [Row("exp", "float32", (n,), n, "cuda", failure="no") for n in (1, 2, 3, 4)]
    >>> [name for name, _ in grouped(rows[:1])], [name for name, _ in grouped(rows)]
    (['exp 1 float32 on cuda'], ['exp float32 at 4 sizes on cuda'])
    """
    held: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        held.setdefault((row.kernel, row.dtype, row.target, row.failure), []).append(row)
    found = []
    for mine in held.values():
        row = mine[0]
        if len(mine) > FEW:
            found.append((f"{row.kernel} {row.dtype} at {len(mine)} sizes on {row.target}", row))
        elif row.failure is not None and len(mine) > 1:
            sizes_ = ", ".join(cells_of_group(r)[0].partition(" ")[2] for r in mine)
            found.append((f"{row.kernel} {sizes_} {row.dtype} on {row.target}", row))
        else:
            found += [(f"{' '.join(cells_of_group(r))} on {r.target}", r) for r in mine]
    return found


def sections(report: Report) -> list[tuple[str, str]]:
    """Return headings and what stands below each."""
    rows = [(*cells_of_group(row), *cells(row)) for row in report.rows]
    marks = {i: "wrong" for i, row in enumerate(report.rows) if row in report.wrong}
    failed = [r for r in report.rows if r.failure is not None]
    found = [
        *rooflines(report),
        ("Time over size", sizes([row for row in report.rows if row.seconds])),
        (
            "Kernels",
            table(COLUMNS, rows, WORDS, marks, label="kernels")
            + '<p class="faint">max ulp, rms ulp: the error beside float64 in units of the last '
            "place. limit: the share of what this machine can do. bits: they repeat, differ from "
            "run to run, or with the number of threads.</p>"
            + "".join(
                f"<p>{escape(name)}: {escape(str(r.failure))}</p>" for name, r in grouped(failed)
            ),
        ),
    ]
    for part in parts_of(report):
        drawn = table(part.columns, part.rows, part.words, part.marks, label=part.title)
        said = noted(part.notes)
        chart = predicted(report) if part.title.startswith("predicted") else ""
        found.append((part.title[0].upper() + part.title[1:], chart + drawn + said))
    lines = [[str(row[n]) for n in STATISTICS.values()] for row in report.statistics]
    title = f"What the CUDA kernels compile to, {TARGET}"
    found.append((title, table(tuple(STATISTICS), lines, 1) if lines else ""))
    return found


def noted(notes: Sequence[str]) -> str:
    """Return what stands below a table: paragraphs, and a list behind one that ends in a colon.

    >>> noted(["a", "b:", "c", "d"])
    '<p class="faint">a</p><p class="faint">b:</p><ul class="faint"><li>c</li><li>d</li></ul>'
    """
    head = next((i + 1 for i, note in enumerate(notes) if note.endswith(":")), len(notes))
    said = "".join(f'<p class="faint">{escape(note)}</p>' for note in notes[:head])
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes[head:])
    return said + (f'<ul class="faint">{listed}</ul>' if listed else "")


def look_of(target: str) -> int:
    """Return which colour, dash and marker a target has on every chart."""
    if target.removesuffix(", predicted") in GPUS:
        return 1 + list(GPUS).index(target.removesuffix(", predicted"))
    return LOOKS.index(target) if target in LOOKS else len(LOOKS) - 1


# ---------------------------------------------------------------- charts
def rooflines(report: Report) -> list[tuple[str, str]]:
    """Return the roofline of each place and dtype: GFLOP/s over flops per byte, below the peak and
    the copies in cache and memory.
    """
    timed = [row for row in report.rows if row.seconds and row.flops and row.nbytes]
    found = []
    for place, limits in (("CPU", report.limits), ("GPU", report.limits.get("gpu", {}))):
        there = [row for row in timed if (row.target in ON_GPU) == (place == "GPU")]
        for dtype, peak in limits.get("peak_gflops", {}).items():
            mine = largest_of([row for row in there if row.dtype == dtype])
            if mine:
                speeds = [speed for _, speed in limits["copy_mb_gbps"]]
                drawn = roofline(mine, peak, (max(speeds), speeds[-1]))
                found.append((f"Roofline of the {place}, {dtype}", drawn))
    return found


def largest_of(rows: Sequence[Row]) -> list[Row]:
    """Return of each kernel and target the row of its largest size."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        known = found.get((row.kernel, row.target))
        if known is None or row.elements > known.elements:
            found[row.kernel, row.target] = row
    return list(found.values())


def roofline(rows: Sequence[Row], peak: float, speeds: tuple[float, float]) -> str:
    """Return a roofline, in sizes for full screens, wide and narrow windows."""
    intensities = [row.flops / row.nbytes for row in rows]
    low, high = min(intensities) / 2, max(max(intensities), peak / speeds[1]) * 2
    limits = [
        ((low, peak / speed), (low * speed, peak), f"{label} {figure(speed)} GB/s")
        for speed, label in zip(speeds, ("cache", "memory"))
        if low < peak / speed
    ]
    limits.append(((min(low, peak / speeds[0]), high), (peak, peak), f"{figure(peak)} GFLOP/s"))
    targets = sorted(dict.fromkeys(row.target for row in rows), key=look_of)  # named in this order
    series = []
    for target in targets:
        mine = [row for row in rows if row.target == target]
        series.append(
            Series(
                target,
                [row.flops / row.nbytes for row in mine],
                [row.gflops or 0.0 for row in mine],
                look_of(target),
                points=True,
                joined=False,
                names=[row.kernel for row in mine],
                tips=[
                    f"{' '.join(cells_of_group(row))} on {target}: {figure(row.gflops)} GFLOP/s"
                    for row in mine
                ],
            )
        )
    chart = Chart(
        "Each kernel at its largest size, below what the machine can do",
        series,
        limits=limits,
        x_label="flops per byte, by the kernels' costs",
        y_label="GFLOP/s",
        log_x=True,
        log_y=True,
        sizes=SIZES,
        said=f"Roofline: {len(rows)} points of {len({row.kernel for row in rows})} kernels below "
        f"{figure(peak)} GFLOP/s",
    )
    columns = ("kernel", "target", "flops/byte", "GFLOP/s", "limit")
    lines = [
        (
            cells_of_group(row)[0],
            row.target,
            figure(row.flops / row.nbytes),
            figure(row.gflops),
            "" if row.share is None else f"{100 * row.share:.0f} %",
        )
        for row in rows
    ]
    chart.numbers = details("The numbers of this chart", table(columns, lines, 2))
    return f'<div class="charts large">{chart.figure()}</div>'


def predicted(report: Report) -> str:
    """Return the predicted times over elements beside the measured ones of the CPU."""
    known = {(p.kernel, p.dtype) for p in report.predictions}
    rows = [row for row in report.rows if row.target == "cpu" and row.seconds]
    cpu = [row for row in rows if (row.kernel, row.dtype) in known]
    drawn = []
    for title, times in (
        ("data on the GPU", [p.there for p in report.predictions]),
        ("data travels", [p.travelling for p in report.predictions]),
    ):
        made = [
            Row(p.kernel, p.dtype, p.size, p.elements, f"{p.gpu}, predicted", seconds=t)
            for p, t in zip(report.predictions, times)
        ]
        drawn.append(sizes([*cpu, *made], f": {title}"))
    return "\n".join(drawn)


def sizes(rows: Sequence[Row], what: str = "") -> str:
    """Return time over elements, a chart a kernel and dtype; "" for no rows.

    what: of the titles, behind the kernels' names.
    """
    if not rows:
        return ""
    targets = list(dict.fromkeys(row.target for row in rows))
    several = len({row.dtype for row in rows}) > 1
    charts = []
    for kernel, dtype in dict.fromkeys((row.kernel, row.dtype) for row in rows):
        mine = [row for row in rows if (row.kernel, row.dtype) == (kernel, dtype)]
        series = []
        for target in dict.fromkeys(row.target for row in mine):
            points = sorted((r for r in mine if r.target == target), key=elements_of)
            series.append(
                Series(
                    target,
                    [row.elements for row in points],
                    [row.seconds or 0.0 for row in points],
                    look_of(target),
                    points=True,
                    tips=[f"{target}: {shown_time(row.seconds)}" for row in points],
                )
            )
        charts.append(
            Chart(
                (f"{kernel}, {dtype}" if several else kernel) + what,
                series,
                x_label="elements",
                y_label="time of a call",
                log_x=True,
                log_y=True,
                x_text=counts,
                y_text=times_of,
                legend=False,
                said=f"{kernel}, {dtype}: time over elements on {', '.join(targets)}",
            ).figure()
        )
    keys = [(target, look_of(target), True, True) for target in targets]
    drawn = "\n".join(charts)
    return f'{legend(keys)}\n<div class="charts">\n{drawn}\n</div>'


def elements_of(row: Row) -> int:
    """Return the size by which rows are sorted."""
    return row.elements


def counts(values: Sequence[float]) -> list[str]:
    """Return numbers of elements as ticks have them."""
    return [short(value) for value in values]


def times_of(values: Sequence[float]) -> list[str]:
    """Return seconds as ticks have them.

    >>> times_of([1e-7, 1e-5, 2.0])
    ['100 ns', '10 us', '2 s']
    """
    found = []
    for value in values:
        unit, scale = next(((u, s) for u, s in UNITS if value >= s * 0.9995), UNITS[-1])
        found.append(f"{value / scale:.3g} {unit}")
    return found
