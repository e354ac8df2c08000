"""The report of `compare` as one HTML file: tables, the roofline, time over size; no other file."""

from __future__ import annotations

import base64
import importlib
import io
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from minigrad_kernels.compare.statistics import TARGET
from minigrad_kernels.compare.table import (
    COLUMNS,
    STATISTICS,
    WORDS,
    cells,
    cells_of_group,
    from_size,
)

if TYPE_CHECKING:
    from minigrad_kernels.compare.report import Report, Row

COLOURS = {
    "cpu": "#c1440e",
    "reference": "#999999",
    "cpu-blas": "#666666",
    "torch": "#4477aa",
    "cuda": "#228833",
    "torch-cuda": "#66ccee",
    "cupy": "#aa3377",
}
ON_GPU = frozenset({"cuda", "torch-cuda", "cupy"})
ACROSS = 4  # panels of sizes in a line
STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .15rem .6rem; text-align: right; font-variant-numeric: tabular-nums }
th { border-bottom: 2px solid #888 } td { border-bottom: 1px solid #ddd }
td.word, th.word { text-align: left } tr.wrong { color: #b00 }
img { max-width: 100% } .scroll { overflow-x: auto } p.note { color: #666 }
"""


def html_of(report: Report) -> str:
    """Return the whole page.

    Raises: ModuleNotFoundError without matplotlib.
    """
    machine = report.machine
    versions = ", ".join(f"{k} {v}" for k, v in machine.get("versions", {}).items())
    rows = [(*cells_of_group(row), *cells(row)) for row in report.rows]
    wrong = {i for i, row in enumerate(report.rows) if row in report.wrong}
    parts = [
        "<h1>minigrad compare</h1>",
        f"<p>{escape(str(machine.get('cpu')))}, {machine.get('cores')} cores, "
        f"{escape(str(machine.get('date')))}; {escape(versions)}</p>",
        *(f'<p class="note">{escape(note)}</p>' for note in report.notes),
        *(f"<h2>{title}</h2>{image}" for title, image in plots(report)),
        "<h2>Kernels</h2>",
        table(COLUMNS, rows, WORDS, wrong),
    ]
    if report.break_even:
        found = [(b.kernel, b.dtype, from_size(b)) for b in report.break_even]
        parts += ["<h2>The GPU wins</h2>", table(("kernel", "dtype", "from"), found, 2)]
    if report.statistics:
        lines = [[str(row[n]) for n in STATISTICS.values()] for row in report.statistics]
        title = f"<h2>What the CUDA kernels compile to, {TARGET}</h2>"
        parts += [title, table(tuple(STATISTICS), lines, 1)]
    head = f'<meta charset="utf-8"><title>minigrad compare</title><style>{STYLE}</style>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    words: int,
    wrong: set[int] | None = None,
) -> str:
    """Return an HTML table whose first columns are words."""

    def cell(tag: str, i: int, text: str) -> str:
        kind = ' class="word"' if i < words else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    lines = ["".join(cell("th", i, name.replace("_", " ")) for i, name in enumerate(columns))]
    lines += ["".join(cell("td", i, text) for i, text in enumerate(row)) for row in rows]
    marked = {i + 1 for i in wrong or ()}
    body = "\n".join(
        f'<tr class="wrong">{line}</tr>' if i in marked else f"<tr>{line}</tr>"
        for i, line in enumerate(lines)
    )
    return f'<div class="scroll"><table>\n{body}\n</table></div>'


# ---------------------------------------------------------------- plots
def plots(report: Report) -> list[tuple[str, str]]:
    """Return titles and images: the roofline of each dtype, and time over size."""
    timed = [row for row in report.rows if row.seconds]
    found = []
    for place, limits in (("CPU", report.limits), ("GPU", report.limits.get("gpu", {}))):
        there = [row for row in timed if (row.target in ON_GPU) == (place == "GPU")]
        for dtype, peak in limits.get("peak_gflops", {}).items():
            mine = [row for row in there if row.dtype == dtype and row.flops and row.nbytes]
            if mine:
                speeds = [speed for _, speed in limits["copy_mb_gbps"]]
                figure = roofline(mine, peak, (max(speeds), speeds[-1]))
                found.append((f"Roofline of the {place}, {dtype}", image(figure)))
    if timed:
        found.append(("Time over size", image(sizes(timed))))
    return found


def figure_of(width: float, height: float) -> Any:
    """Return an empty figure.

    Raises: ModuleNotFoundError that says what to install.
    """
    try:
        module = importlib.import_module("matplotlib.figure")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the HTML report's plots need matplotlib ({error}): pip install minigrad[plot]"
        ) from error
    return module.Figure(figsize=(width, height), layout="constrained")


def image(figure: Any) -> str:
    """Return a figure as an image in the page itself."""
    held = io.BytesIO()
    figure.savefig(held, format="svg", metadata={"Date": None})
    data = base64.b64encode(held.getvalue()).decode("ascii")
    return f'<img alt="plot" src="data:image/svg+xml;base64,{data}">'


def roofline(rows: Sequence[Row], peak: float, speeds: tuple[float, float]) -> Any:
    """Draw GFLOP/s over flops per byte, below the peak and the copies in cache and memory."""
    figure = figure_of(8, 4.5)
    axes = figure.add_subplot(xscale="log", yscale="log")
    intensities = [row.flops / row.nbytes for row in rows]
    low, high = min(intensities) / 2, max(max(intensities), peak / speeds[1]) * 2
    for speed, label in zip(speeds, ("cache", "memory"), strict=True):
        x = [low, peak / speed, high]
        axes.plot(x, [low * speed, peak, peak], color="black", linewidth=1)
        axes.text(low, low * speed, f"{label} {speed:,.0f} GB/s", va="bottom", fontsize=8)
    for target in dict.fromkeys(row.target for row in rows):
        mine = [row for row in rows if row.target == target]
        axes.plot(
            [row.flops / row.nbytes for row in mine],
            [row.gflops for row in mine],
            "o",
            color=COLOURS.get(target, "black"),
            markersize=4,
            alpha=0.8,
            label=target,
        )
    axes.set(xlabel="flops per byte, by the kernels' costs", ylabel="GFLOP/s")
    axes.legend()
    return figure


def sizes(rows: Sequence[Row]) -> Any:
    """Draw time over elements, one panel a kernel and dtype."""
    groups = list(dict.fromkeys((row.kernel, row.dtype) for row in rows))
    lines = math.ceil(len(groups) / ACROSS)
    figure = figure_of(12, 2.8 * lines)
    panels = figure.subplots(lines, ACROSS, squeeze=False).ravel()
    for axes, (kernel, dtype) in zip(panels, groups, strict=False):
        mine = [row for row in rows if (row.kernel, row.dtype) == (kernel, dtype)]
        for target in dict.fromkeys(row.target for row in mine):
            of_target = sorted((r.elements, r.seconds) for r in mine if r.target == target)
            x, y = zip(*of_target, strict=True)
            axes.loglog(x, y, "o-", markersize=3, color=COLOURS.get(target, "black"), label=target)
        axes.set_title(f"{kernel}, {dtype}", fontsize=9)
        axes.legend(fontsize=6)
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    figure.supxlabel("elements")
    figure.supylabel("seconds")
    return figure
