"""`python -m benchmarks report`: one page of tables, and plots, from benchmarks/results/*.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, digits
from minigrad_kernels.compare.timing import OURS, installed

Result = dict[str, Any]
KEPT = "<!-- `python -m benchmarks report` makes what follows and keeps what stands above. -->"
HEAD = """## All measurements

Made by `python -m benchmarks report` from the JSON files beside it; times are medians of blocks
taken in turns.  In brackets is how many times as fast minigrad is: the candidate's time over
minigrad's best.  "of limit" is the least time that this machine's multiply-adds and copies allow
(`machine`: a copy counts read, write and write-allocate) over minigrad's; "moved" is the same for
all that its kernels move by their own account; "max ulp" is the largest error beside float64.
"""


def report(folder: Path = RESULTS) -> list[Path]:
    """Write README.md and, where matplotlib is installed, the plots; return what was written."""
    results = {p.stem: json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))}
    written = []
    if installed("matplotlib"):
        from benchmarks.plots import draw

        written = draw(results, folder)
    page = folder / "README.md"
    figures = [p.name for p in sorted(folder.glob("*.svg"))]
    page.write_text(f"{kept(page)}{KEPT}\n\n{markdown(results, figures)}")
    return [page, *written]


def kept(page: Path) -> str:
    """Return what people wrote at the top of the page, at least its title."""
    above, mark, _ = page.read_text().partition(KEPT) if page.exists() else ("", "", "")
    return above if mark else "# Results\n\n"


def markdown(results: dict[str, Result], figures: list[str]) -> str:
    """Return the part of the page that is made."""
    parts = [HEAD]
    parts += [f"![{name.removesuffix('.svg')}]({name})\n" for name in figures]
    for name, result in results.items():
        parts.append(f"## {name}: {result['title']}\n")
        parts.append(f"{conditions(result)}\n")
        groups = dict.fromkeys(row.get("group", "") for row in result["rows"])
        parts += [
            table(group, [row for row in result["rows"] if row.get("group", "") == group])
            for group in groups
        ]
        parts.append(footer(result))
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def conditions(result: Result) -> str:
    """Return where, when and how a result was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    where = f"{result['cpu']}, {result['cores']} cores; {versions}; {result['date']}"
    limits = result.get("limits")
    peaks = limits["peak_gflops"].items() if limits else ()
    peak = "".join(f"; {speed:,.0f} GFLOP/s {dtype}" for dtype, speed in peaks)
    copy = f", copies of {limits['copy_mb_gbps'][-1][1]:.0f} GB/s" if limits else ""
    return f"`{result['command']}`\n\n{where}{peak}{copy}; times in {result['unit']}."


def table(group: str, rows: list[dict[str, Any]]) -> str:
    """Return one line a case, one column a candidate."""
    candidates = list(dict.fromkeys(row["candidate"] for row in rows))
    rates = [r for r in ("share", "busy", "ulp", "megabytes") if any(r in row for row in rows)]
    bare = not any(name.startswith(OURS) for name in candidates)
    if bare:
        rates = [r for r in ("gflops", "gbps") if any(r in row for row in rows)]
    header = [group or "case", *candidates, *(title(rate, rows) for rate in rates)]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for case in dict.fromkeys(row["case"] for row in rows):
        of_case = {row["candidate"]: row for row in rows if row["case"] == case}
        cells = [cell(of_case.get(name)) for name in candidates]
        lines.append([case, *cells, *(rate_cell(rate, of_case) for rate in rates)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cell(row: dict[str, Any] | None) -> str:
    """Return a candidate's time, and how many times as fast minigrad is."""
    if row is None:
        return ""
    ratio = row.get("minigrad_over_this")
    return digits(row["median"]) + (f" ({1 / ratio:.2f})" if ratio else "")


def title(rate: str, rows: list[dict[str, Any]]) -> str:
    """Return the header of a rate: of minigrad alone, or of all candidates that have it."""
    of = {"share": "of limit", "busy": "moved", "ulp": "max ulp", "megabytes": "MB"}
    if rate in ("gflops", "gbps"):
        return {"gflops": "GFLOP/s", "gbps": "GB/s"}[rate]
    names = list(dict.fromkeys(row["candidate"] for row in rows if rate in row))
    return of[rate] if rate in ("share", "busy") else f"{of[rate]}: {' / '.join(names)}"


def rate_cell(rate: str, of_case: dict[str, dict[str, Any]]) -> str:
    """Return minigrad's share, or every candidate's figure."""
    if rate in ("share", "busy"):
        shares = [row[rate] for name, row in of_case.items() if name.startswith(OURS)]
        return f"{max(shares):.0%}" if shares else ""
    return " / ".join(digits(row[rate]) for row in of_case.values() if rate in row)


def footer(result: Result) -> str:
    """Return the means over cases and the exponents of growth."""
    lines = []
    for of in result.get("summary", ()):
        group = f"{of['group']}: " if of["group"] else ""
        lines.append(
            f"* {group}{of['times_faster']:.2f} times as fast as {of['peer']} (geometric mean of"
            f" {of['cases']} cases), at least {of['least']:.2f} ({of['at']})"
        )
    for of in result.get("growth", ()):
        error = "" if of["standard_error"] is None else f" ± {of['standard_error']:.2f}"
        lines.append(
            f"* {of['candidate']}: {of['quantity']} ~ {of['group']}^({of['exponent']:.2f}{error})"
        )
    return "\n".join([*lines, ""]) if lines else ""
