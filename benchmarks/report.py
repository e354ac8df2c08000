"""What a benchmark leaves behind: a table for people and JSON for later comparison."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness import OURS, Benchmark, Pace, Timing, cores, ratio

SCALE = {"us": 1e6, "ms": 1e3, "s": 1.0}
LIBRARIES = ("minigrad", "numpy", "numba", "torch", "jax")
RESULTS = Path(__file__).resolve().parent / "results"


def cpu_model() -> str:
    """Return the processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def library_versions() -> dict[str, str]:
    """Return the versions of all libraries of interest; one not installed is left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def as_json(
    benchmark: Benchmark,
    timings: Sequence[Timing],
    pace: Pace,
    command: str,
    missing: Sequence[str],
) -> dict[str, Any]:
    """Return all that was measured, and on what, as plain data; times in the benchmark's unit."""
    scale = SCALE[benchmark.unit]
    rows = []
    for t in timings:
        peer = ratio(t, timings)
        rows.append(
            {
                "case": t.case,
                "candidate": t.candidate,
                "threads": t.threads,
                "median": figure(t.median * scale),
                "min": figure(t.low * scale),
                "quartiles": [figure(q * scale) for q in t.quartiles],
                "blocks": [figure(b * scale) for b in t.blocks],
                **({} if t.gflops is None else {"gflops": figure(t.gflops)}),
                **({} if peer is None else {"minigrad_over_this": figure(peer)}),
            }
        )
    return {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "cpu": cpu_model(),
        "cores": cores(),
        "versions": library_versions(),
        "not_installed": list(missing),
        "rounds": pace.rounds,
        "unit": benchmark.unit,
        "rows": rows,
    }


def figure(x: float) -> float:
    """Round to four digits."""
    return float(f"{x:.4g}")


def print_table(
    benchmark: Benchmark, timings: Sequence[Timing], missing: Sequence[str], console: Console
) -> None:
    """Print one line a candidate: its time, its spread, and minigrad's time over its own."""
    unit, scale = benchmark.unit, SCALE[benchmark.unit]
    table = Table(title=benchmark.title, title_justify="left", header_style="bold")
    table.add_column("case")
    table.add_column("candidate")
    gflops = any(t.gflops is not None for t in timings)
    headers = ("threads", f"median {unit}", "quartiles", "min", *(["GFLOP/s"] if gflops else []))
    for header in (*headers, "minigrad / this"):
        table.add_column(header, justify="right")
    before = ""
    for t in timings:
        if before and t.case != before:
            table.add_section()
        peer = ratio(t, timings)
        first, third = t.quartiles
        table.add_row(
            t.case if t.case != before else "",
            t.candidate,
            "" if t.threads is None else str(t.threads),
            digits(t.median * scale),
            f"{digits(first * scale)} - {digits(third * scale)}",
            digits(t.low * scale),
            *([digits(t.gflops or 0)] if gflops else []),
            "" if peer is None else f"{peer:.2f}",
            style="bold" if t.library == OURS else "",
        )
        before = t.case
    console.print(table)
    if missing:
        console.print(f"Not installed and left out: {', '.join(missing)}")


def digits(x: float) -> str:
    """Return three digits or more, without an exponent."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def write_json(result: dict[str, Any], path: Path) -> None:
    """Write the result, one row a line, so that two runs can be compared with diff."""
    rows = result["rows"]
    head = json.dumps({**result, "rows": []}, indent=1).rstrip("}\n").rstrip().removesuffix("[]")
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}[\n  {lines}\n ]\n}}\n")
