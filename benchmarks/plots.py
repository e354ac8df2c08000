"""The plots of `python -m benchmarks report`: small SVG files, equal bytes from equal JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minigrad_kernels.compare.timing import OURS

Result = dict[str, Any]
COLOURS = {OURS: "#c1440e", "torch": "#4477aa", "jax": "#228833", "numpy": "#999999"}
MARKS = "osD^vPX*"
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "minigrad", "font.size": 9}


def draw(results: dict[str, Result], folder: Path) -> list[Path]:
    """Draw what the results allow; return the files."""
    drawings: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Result]], Figure]]] = {
        "roofline": (("kernels",), roofline),
        "speedup": (("kernels",), speedup),
        "bandwidth": (("machine",), bandwidth),
        "growth": (("growth",), growth),
    }
    written = []
    for name, (needs, make) in drawings.items():
        if all(need in results for need in needs):
            path = folder / f"{name}.svg"
            with rc_context(STYLE):
                make(results).savefig(path, bbox_inches="tight", metadata={"Date": None})
            written.append(path)
    return written


def colour(candidate: str) -> str:
    """Return the colour of a candidate's library."""
    return COLOURS.get(candidate.split()[0], "black")


def ours(result: Result) -> list[dict[str, Any]]:
    """Return minigrad's rows."""
    return [row for row in result["rows"] if row["candidate"].split()[0] == OURS]


def roofline(results: dict[str, Result]) -> Figure:
    """Draw minigrad's GFLOP/s over flops per byte, below the machine's limits."""
    limits = results["kernels"]["limits"]
    peak = limits["peak_gflops"]["float32"]
    speeds = [speed for _, speed in limits["copy_mb_gbps"]]
    figure = Figure(figsize=(7, 4.5))
    axes = figure.add_subplot(xscale="log", yscale="log")
    intensity = np.geomspace(0.02, 1000, 200)
    for speed, label in ((max(speeds), "cache"), (speeds[-1], "memory")):
        axes.plot(intensity, np.minimum(peak, intensity * speed), color="black", linewidth=1)
        axes.text(0.025, 0.022 * speed, f"{label} {speed:,.0f} GB/s", va="top")
    axes.annotate(f"{peak:,.0f} GFLOP/s float32", (intensity[-1], peak), ha="right", va="bottom")
    rows = [row for name in ("kernels", "gemm") if name in results for row in ours(results[name])]
    rows = [row for row in rows if row.get("gflops") and row.get("gbps")]
    for mark, group in zip(MARKS, dict.fromkeys(row["group"] for row in rows), strict=False):
        of_group = [row for row in rows if row["group"] == group]
        x = [row["gflops"] / row["gbps"] for row in of_group]
        y = [row["gflops"] for row in of_group]
        axes.plot(x, y, mark, markersize=4, label=group, alpha=0.8)
    axes.set(xlabel="flops per byte", ylabel="GFLOP/s", title="minigrad below the machine's limits")
    axes.legend(loc="lower right")
    return figure


def speedup(results: dict[str, Result]) -> Figure:
    """Draw PyTorch's time over minigrad's for every op and size, or the first other peer's."""
    all_rows = results["kernels"]["rows"]
    candidates = {row["candidate"] for row in all_rows}
    peer = next((p for p in ("torch", "jax jit", "numpy") if p in candidates), OURS)
    rows = [row for row in all_rows if row["candidate"] == peer]
    names = list(dict.fromkeys(row["case"].partition(",")[0] for row in rows))
    figure = Figure(figsize=(6, 0.6 + 0.2 * len(names)))
    axes = figure.add_subplot(xscale="log")
    for mark, group in zip(MARKS, dict.fromkeys(row["group"] for row in rows), strict=False):
        of_group = [row for row in rows if row["group"] == group]
        x = [1 / row.get("minigrad_over_this", 1) for row in of_group]
        y = [names.index(row["case"].partition(",")[0]) for row in of_group]
        axes.plot(x, y, mark, markersize=4, label=group, alpha=0.8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel=f"times as fast as {peer}, forward plus backward")
    axes.legend(loc="lower right")
    return figure


def bandwidth(results: dict[str, Result]) -> Figure:
    """Draw the GB/s of copies over their size."""
    rows = [row for row in results["machine"]["rows"] if "gbps" in row]
    figure = Figure(figsize=(6, 3.5))
    axes = figure.add_subplot(xscale="log", yscale="log")
    for name in dict.fromkeys(row["candidate"] for row in rows):
        mine = [row for row in rows if row["candidate"] == name]
        size = [float(row["case"].split()[2].replace(",", "")) for row in mine]
        axes.plot(size, [row["gbps"] for row in mine], "o-", markersize=3, label=name)
    axes.set(xlabel="KB copied", ylabel="GB/s, read + write + write-allocate")
    axes.legend()
    return figure


def growth(results: dict[str, Result]) -> Figure:
    """Draw time and memory over what grows, with the fitted exponents in the legend."""
    result = results["growth"]
    groups = list(dict.fromkeys(row["group"] for row in result["rows"]))
    figure = Figure(figsize=(2.6 * len(groups), 5), layout="constrained")
    panels = figure.subplots(2, len(groups), squeeze=False)
    for column, group in enumerate(groups):
        for line, (quantity, key) in enumerate((("time", "median"), ("memory", "megabytes"))):
            axes = panels[line][column]
            panel(axes, result, group, quantity, key)
            axes.set(xlabel=group if line else "")
    panels[0][0].set(ylabel=f"{result['unit']} a step")
    panels[1][0].set(ylabel="MB")
    return figure


def panel(axes: Axes, result: Result, group: str, quantity: str, key: str) -> None:
    """Draw one quantity of one series for every candidate."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    exponents = {
        of["candidate"]: of["exponent"]
        for of in result.get("growth", ())
        if (of["group"], of["quantity"]) == (group, quantity)
    }
    rows = [row for row in result["rows"] if row["group"] == group and row.get(key)]
    for name in dict.fromkeys(row["candidate"] for row in rows):
        mine = [row for row in rows if row["candidate"] == name]
        label = f"{name}: n^{exponents[name]:.2f}" if name in exponents else name
        x, y = [row["amount"] for row in mine], [row[key] for row in mine]
        axes.plot(x, y, "o-", markersize=3, color=colour(name), label=label)
    axes.minorticks_off()
    if rows:
        axes.legend(fontsize=7)
