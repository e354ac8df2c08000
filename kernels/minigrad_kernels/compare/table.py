"""The report of `compare` as tables in the terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from minigrad_kernels.compare.statistics import TARGET

if TYPE_CHECKING:
    from minigrad_kernels.compare.report import BreakEven, Report, Row

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


def tables(report: Report) -> Iterator[Table]:
    """Yield the tables of a report: what was compared, the break-even sizes, the statistics."""
    table = table_of("kernels beside float64 and the machine's limit", COLUMNS, WORDS)
    table.caption = "bits: they repeat, differ from run to run, or with the number of threads"
    table.caption_justify = "left"
    before: tuple[Any, ...] = ()
    for row in report.rows:
        group = row.kernel, row.dtype, row.size
        new = group != before
        table.add_row(
            *(cells_of_group(row) if new else ("", "")),
            *cells(row),
            style="red" if row in report.wrong else None,
        )
        before = group
    yield table
    if report.break_even:
        table = table_of("the GPU wins", ("kernel", "dtype", "from"), 2)
        for found in report.break_even:
            table.add_row(found.kernel, found.dtype, from_size(found))
        yield table
    if report.statistics:
        table = table_of(f"what the CUDA kernels compile to, {TARGET}", tuple(STATISTICS), 1)
        for found_ in report.statistics:
            table.add_row(*(str(found_[name]) for name in STATISTICS.values()))
        yield table


def table_of(title: str, columns: tuple[str, ...], words: int) -> Table:
    """Return an empty table whose first columns are words, the others numbers."""
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    for i, name in enumerate(columns):
        header = name.replace("_", " ")
        table.add_column(header, justify="left" if i < words else "right", no_wrap=True)
    return table


def cells_of_group(row: Row) -> tuple[str, str]:
    return f"{row.kernel} {'x'.join(map(str, row.size))}", row.dtype


def cells(row: Row) -> tuple[str, ...]:
    """Return what a row shows of its target."""
    if row.failure is not None:
        return (row.target, *[""] * (len(COLUMNS) - 4), "failed")
    return (
        row.target if row.threads is None else f"{row.target} x{row.threads}",
        shown_time(row.seconds),
        figure(row.gflops),
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


def figure(value: float | None) -> str:
    """Return a number in three digits.

    >>> figure(0.0), figure(1234.5), figure(0.01234), figure(None)
    ('0', '1,234', '0.0123', '')
    """
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 and value != float("inf") else f"{value:.3g}"


def shown_time(seconds: float | None) -> str:
    """Return a time in the unit that suits it.

    >>> shown_time(1.5e-6), shown_time(0.0123), shown_time(None)
    ('1.5 us', '12.3 ms', '')
    """
    if seconds is None:
        return ""
    unit, scale = ("us", 1e6) if seconds < 1e-3 else ("ms", 1e3) if seconds < 1 else ("s", 1.0)
    return f"{seconds * scale:.3g} {unit}"


def from_size(found: BreakEven) -> str:
    """Return the break-even size in words."""
    if found.elements is None:
        return "no size on"
    return f"{figure(found.elements)} elements on" if found.elements else "every size on"


def show(report: Report, console: Console) -> None:
    """Print a report."""
    for table in tables(report):
        console.print(table)
    for note in report.notes:
        console.print(note, style="dim", markup=False)
    for row in report.rows:
        if row.failure is not None:
            label = " ".join(cells_of_group(row))
            console.print(f"{label} on {row.target}: {row.failure}", style="dim", markup=False)
    for row in report.wrong:
        console.print(f"WRONG: {' '.join(cells_of_group(row))} on {row.target}", style="red")


def text_of(report: Report) -> str:
    """Return a report as text."""
    held = io.StringIO()
    show(report, Console(file=held, width=WIDTH, highlight=False))
    return held.getvalue()
