"""What a benchmark leaves behind: a table for people and JSON for later comparison."""

from __future__ import annotations

import datetime
import json
import platform
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.figures import as_summary, figure, growth, ratio, speedups
from benchmarks.harness import Benchmark
from minigrad_kernels.compare.machine import cpu_model
from minigrad_kernels.compare.timing import OURS, Pace, Timing, cores

SCALE = {"us": 1e6, "ms": 1e3, "s": 1.0}
RATES = {  # what a Timing may have beside its times, and its column's header
    "gflops": "GFLOP/s",
    "gbps": "GB/s",
    "share": "of limit",
    "busy": "moved",
    "ulp": "max ulp",
    "megabytes": "MB",
    "amount": "n",
}
LIBRARIES = ("minigrad", "numpy", "numba", "torch", "jax", "micrograd")
RESULTS = Path(__file__).resolve().parent / "results"


def library_versions() -> dict[str, str]:
    """Return the versions of all libraries of interest; one not installed is left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found["numpy's BLAS"] = f"{blas['name']} {blas['version']}"
    if (torch := sys.modules.get("torch")) is not None:
        # "- Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build ..."
        mkl = re.search(r"Math Kernel Library Version (\S+?)-", torch.__config__.show())
        found |= {"torch's BLAS": f"MKL {mkl[1]}"} if mkl else {}
    return found


def as_json(
    benchmark: Benchmark,
    timings: Sequence[Timing],
    pace: Pace,
    command: str,
    missing: Sequence[str],
    limits: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return all that was measured, and on what, as plain data; times in the benchmark's unit."""
    scale = SCALE[benchmark.unit]
    rows = []
    for t in timings:
        peer = ratio(t, timings)
        rows.append(
            {
                **({"group": t.group} if t.group else {}),
                "case": t.case,
                "candidate": t.candidate,
                "threads": t.threads,
                "median": figure(t.median * scale),
                "min": figure(t.low * scale),
                "quartiles": [figure(q * scale) for q in t.quartiles],
                "blocks": [figure(b * scale) for b in t.blocks],
                **{name: figure(x) for name in RATES if (x := getattr(t, name)) is not None},
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
        **({} if limits is None else {"limits": limits}),
        "summary": [
            {"group": group, **as_summary(peer, ratios)}
            for group, peer, ratios in speedups(timings)
        ],
        **({"growth": grown} if (grown := list(growth(timings))) else {}),
        "rows": rows,
    }


def print_table(
    benchmark: Benchmark, timings: Sequence[Timing], missing: Sequence[str], console: Console
) -> None:
    """Print one line a candidate: its time, its spread, and minigrad's time over its own."""
    unit, scale = benchmark.unit, SCALE[benchmark.unit]
    table = Table(title=benchmark.title, title_justify="left", header_style="bold")
    table.add_column("case", no_wrap=True)
    table.add_column("candidate")
    rates = [name for name in RATES if any(getattr(t, name) is not None for t in timings)]
    spread = ("quartiles", "min") if len(rates) < 3 else ()  # JSON has it in any case
    headers = ("threads", f"median {unit}", *spread, *(RATES[name] for name in rates))
    for header in (*headers, "minigrad / this"):
        table.add_column(header, justify="right")
    before = ""
    for t in timings:
        if before and t.case != before:
            table.add_section()
        peer = ratio(t, timings)
        quartiles = " - ".join(digits(q * scale) for q in t.quartiles)
        table.add_row(
            t.case if t.case != before else "",
            t.candidate,
            "" if t.threads is None else str(t.threads),
            digits(t.median * scale),
            *(quartiles, digits(t.low * scale))[: len(spread)],
            *(optional(getattr(t, name)) for name in rates),
            "" if peer is None else f"{peer:.2f}",
            style="bold" if t.library == OURS else "",
        )
        before = t.case
    console.print(table)
    for group, peer, ratios in speedups(timings):
        of = as_summary(peer, ratios)
        console.print(
            f"{f'{group}: ' if group else ''}{of['times_faster']} times as fast as {peer}"
            f" (geometric mean of {of['cases']}), {of['least']} at least ({of['at']})",
            highlight=False,
        )
    for of in growth(timings):
        error = "" if of["standard_error"] is None else f" +- {of['standard_error']}"
        line = f"{of['candidate']}: {of['quantity']} grows with {of['group']} to the power"
        console.print(f"{line} {of['exponent']}{error}", highlight=False)
    if missing:
        console.print(f"Not installed and left out: {', '.join(missing)}")


def digits(x: float) -> str:
    """Return three digits or more, without an exponent."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def optional(x: float | None) -> str:
    """Return three digits, or nothing."""
    return "" if x is None else digits(x)


def write_json(result: dict[str, Any], path: Path) -> None:
    """Write the result, one row a line, so that two runs can be compared with diff."""
    lines = []
    for key, value in result.items():
        text = json.dumps(value)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n  ".join(json.dumps(row) for row in value)
            text = f"[\n  {rows}\n ]"
        lines.append(f" {json.dumps(key)}: {text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
