"""What `compare` has measured: rows, the break-even sizes, and the report as JSON and as text."""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from minigrad_kernels.compare.html import html_of
from minigrad_kernels.compare.machine import cpu_model
from minigrad_kernels.compare.table import text_of
from minigrad_kernels.compare.timing import cores
from minigrad_kernels.jit.files import write_whole

FORMAT = 1  # of the JSON
WRONG = 2_000.0  # ULP: what is further off is wrong, not rounded


@dataclass(frozen=True)
class Row:
    """One kernel, dtype and size on one target.

    max_ulp, rms_ulp: errors beside the float64 reference in units of the last place: of the
        element, or, where sums may cancel, at least of the array's root mean square.
    repeats: whether a second run gives the same bits.  any_threads: whether one thread, or a grid
        of one block, does.
    seconds: the median of a call, on the best number of `threads`.  low: the least.
    share: of the machine's limit, by the kernel's cost.  overhead: seconds of a call on next to
        nothing.  failure: what was raised instead.
    """

    kernel: str
    dtype: str
    size: tuple[int, ...]
    elements: int
    target: str
    flops: int = 0
    nbytes: int = 0
    floor: float | None = None
    max_ulp: float | None = None
    rms_ulp: float | None = None
    repeats: bool | None = None
    any_threads: bool | None = None
    threads: int | None = None
    seconds: float | None = None
    low: float | None = None
    gflops: float | None = None
    gbps: float | None = None
    share: float | None = None
    overhead: float | None = None
    failure: str | None = None


@dataclass(frozen=True)
class BreakEven:
    """The number of elements from which the GPU is the faster one; None where it never is."""

    kernel: str
    dtype: str
    elements: float | None


@dataclass(frozen=True)
class Report:
    """All that was compared.  `print(report)` shows it; `ok` tells whether all of ours is right.

    notes: what could not be compared, and why.  statistics: what the CUDA kernels compile to.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    statistics: tuple[dict[str, Any], ...] = ()
    limits: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def break_even(self) -> tuple[BreakEven, ...]:
        """The size from which the GPU wins, of every kernel measured on both at two sizes."""
        found = []
        for kernel, dtype in dict.fromkeys((row.kernel, row.dtype) for row in self.rows):
            mine = [r for r in self.rows if (r.kernel, r.dtype) == (kernel, dtype)]
            cpu, gpu = ([r for r in mine if r.target == t and r.seconds] for t in ("cpu", "cuda"))
            if len(cpu) > 1 and len(gpu) > 1:
                found.append(BreakEven(kernel, dtype, break_even(cpu, gpu)))
        return tuple(found)

    @property
    def wrong(self) -> tuple[Row, ...]:
        """Rows of our own kernels that failed, are far off, or are not repeatable."""
        return tuple(row for row in self.rows if row.target in OURS and is_wrong(row))

    @property
    def ok(self) -> bool:
        return not self.wrong

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
            "ok": self.ok,
        }

    def to_json(self, path: str | Path) -> Path:
        """Write the report as JSON; return the file."""
        file = Path(path)
        text = json.dumps(self.as_json(), indent=1, allow_nan=False)
        write_whole(file, text + "\n")
        return file

    def to_html(self, path: str | Path) -> Path:
        """Write the report with its plots as one HTML file that needs no other; return it.

        Raises: ModuleNotFoundError without matplotlib (`pip install minigrad[plot]`).
        """
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
    found = {}
    for name, value in row.items():
        if isinstance(value, float):
            found[name] = float(f"{value:.6g}") if np.isfinite(value) else str(value)
        elif value is not None:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


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


# ---------------------------------------------------------------- the break-even size
def break_even(cpu: Sequence[Row], gpu: Sequence[Row]) -> float | None:
    """Return from how many elements on the GPU is faster, None if it never is.

    Both times are fitted as a + b work, by the least relative squares, work being what the machine
    takes at least; the size of that work is read off the measured ones.  0.0: always.
    """
    (a, b), (c, d) = (fit([r.floor or 0 for r in rows], seconds(rows)) for rows in (cpu, gpu))
    if d >= b:
        return None if c >= a else 0.0
    work = (c - a) / (b - d)
    if work <= 0 or len({r.floor for r in cpu}) < 2:
        return 0.0
    known = sorted({r.floor: r.elements for r in cpu if r.floor}.items())
    x, y = np.log([[w, n] for w, n in known]).T
    near, next_ = np.argsort(np.abs(x - np.log(work)))[:2]
    slope = (y[next_] - y[near]) / (x[next_] - x[near])
    return float(np.exp(y[near] + slope * (np.log(work) - x[near])))


def seconds(rows: Sequence[Row]) -> list[float]:
    return [float(r.seconds or 0) for r in rows]


def fit(work: Sequence[float], times: Sequence[float]) -> tuple[float, float]:
    """Return a >= 0 and b of times = a + b work with the least relative squared error.

    >>> [round(v, 6) for v in fit([1.0, 2.0, 4.0], [3.0, 5.0, 9.0])]
    [1.0, 2.0]
    """
    w, t = np.asarray(work), np.asarray(times)
    u, v = 1 / t, w / t
    uu, uv, vv, su, sv = (u * u).sum(), (u * v).sum(), (v * v).sum(), u.sum(), v.sum()
    determinant = uu * vv - uv * uv
    if determinant > 0:
        a = (su * vv - sv * uv) / determinant
        if a >= 0:
            return float(a), float((uu * sv - uv * su) / determinant)
    return 0.0, float(sv / vv) if vv else 0.0
