"""What `compare` finds of one kernel on one target, and from which size a GPU wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """One kernel, dtype and size on one target.

    max_ulp, rms_ulp: errors beside the float64 reference in units of the last place: of the
        element, or, where sums may cancel, at least of the array's root mean square.
    repeats: whether a second run gives the same bits.  any_threads: whether one thread, or a grid
        of one block, does.
    seconds: the median of a call, on the best number of `threads`.  low: the least.
    share: of the machine's limit, by the kernel's cost.  overhead: seconds of a call on next to
        nothing.  limit: what takes the time, in words.  failure: what was raised instead.
    registers, spills: of a thread of its CUDA kernels, the most; None where nothing was compiled.
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
    limit: str = ""
    registers: int | None = None
    spills: int | None = None
    failure: str | None = None


@dataclass(frozen=True)
class BreakEven:
    """The number of elements from which the GPU is the faster one; None where it never is.

    data: "there", on the GPU already, or "travels", inputs and outputs.  gpu: "" where it was
    measured, else the name of the GPU for which it is predicted.
    """

    kernel: str
    dtype: str
    elements: float | None
    data: str = "there"
    gpu: str = ""


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
    """Return the seconds of rows, 0 where there are none."""
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
