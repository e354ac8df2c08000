"""Watch what else a machine does while it is measured: clocks, stolen time, other processes.

>>> before = reading_of("cpu  100 0 0 900 0 0 0 0 0 0", own=0.5, clock=2_000.0)
>>> after = reading_of("cpu  300 0 0 1100 0 0 0 100 0 0", own=1.5, clock=1_800.0)
>>> print(*between(before, after, ticks=100).said, sep="\\n")
20 % of the processor time was stolen by the host of this virtual machine
other processes took 20 % of the processor time
the clock was 1,800 to 2,000 MHz
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STOLEN = 0.02  # shares of the processor time from which they are worth a line
OTHERS = 0.10
DRIFT = 0.03  # of the clock
GPU_QUERY = ("clocks.sm", "clocks.mem", "temperature.gpu", "utilization.gpu")


@dataclass(frozen=True)
class Reading:
    """The counters of a machine at one moment; what a system does not tell is None.

    busy, idle, stolen: ticks of all processors so far.  own: this process's seconds.  clock: MHz.
    gpu: what nvidia-smi says, by name.
    """

    busy: float | None = None
    idle: float | None = None
    stolen: float | None = None
    own: float = 0.0
    clock: float | None = None
    gpu: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Conditions:
    """What a machine did between two readings.

    stolen: share of the processor time that the host of a virtual machine kept for itself.
    others: share that other processes took.  clock: MHz, least and most, as far as read.
    load: tasks that ran or waited, over the last minute.
    """

    stolen: float | None = None
    others: float | None = None
    clock: tuple[float, float] | None = None
    load: float | None = None
    gpu: tuple[tuple[str, float, float], ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether nothing was seen that changes times."""
        low, high = self.clock or (1.0, 1.0)
        return (
            (self.stolen or 0) < STOLEN
            and (self.others or 0) < OTHERS
            and high <= low * (1 + DRIFT)
        )

    @property
    def said(self) -> list[str]:
        """Lines of what was seen; one that says that nothing was where the machine was quiet."""
        lines = []
        if self.stolen is not None and self.stolen >= STOLEN:
            lines.append(
                f"{100 * self.stolen:.0f} % of the processor time was stolen by the host of this "
                "virtual machine"
            )
        if self.others is not None and self.others >= OTHERS:
            lines.append(f"other processes took {100 * self.others:.0f} % of the processor time")
        if self.clock is not None and self.clock[1] > self.clock[0] * (1 + DRIFT):
            lines.append(f"the clock was {self.clock[0]:,.0f} to {self.clock[1]:,.0f} MHz")
        for name, before, after in self.gpu:
            if name.startswith("clocks") and abs(after - before) > DRIFT * max(before, after):
                lines.append(f"the GPU's {name} went from {before:,.0f} to {after:,.0f} MHz")
        if lines:
            return lines
        if self.stolen is None:
            return ["this system does not tell what else it did meanwhile"]
        return ["the machine was quiet: no stolen time, no other process, a steady clock"]

    def as_json(self) -> dict[str, Any]:
        """Return the conditions as plain data."""
        return {
            "stolen": rounded(self.stolen),
            "others": rounded(self.others),
            "clock_mhz": None if self.clock is None else [round(c) for c in self.clock],
            "load": rounded(self.load),
            "gpu": {name: [before, after] for name, before, after in self.gpu},
            "quiet": self.quiet,
        }


def rounded(value: float | None) -> float | None:
    """Return a number in four digits."""
    return None if value is None else float(f"{value:.4g}")


def reading_of(stat: str, own: float, clock: float | None) -> Reading:
    """Return a reading from the first line of /proc/stat.

    Source: proc(5): user nice system idle iowait irq softirq steal, in ticks; a guest's are in
    user.
    """
    fields = [float(f) for f in stat.split()[1:9]]
    user, nice, system, idle, wait, irq, soft, steal = fields + [0.0] * (8 - len(fields))
    return Reading(user + nice + system + irq + soft, idle + wait, steal, own, clock)


def read(gpu: bool = False) -> Reading:
    """Read the counters now.  gpu: ask nvidia-smi too, which takes some 50 ms."""
    own = sum(os.times()[:4])  # with children, which compile for us
    stat = Path("/proc/stat")
    found = smi() if gpu else ()
    if not stat.exists():
        return Reading(own=own, gpu=found)
    with stat.open() as lines:
        made = reading_of(lines.readline(), own, clock())
    return Reading(made.busy, made.idle, made.stolen, own, made.clock, found)


def clock() -> float | None:
    """Return the mean clock of the processors in MHz, None where no system file tells it."""
    files = list(Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    try:
        if files:
            return sum(float(f.read_text()) for f in files) / len(files) / 1e3
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except (OSError, ValueError):
        return None
    found = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return sum(found) / len(found) if found else None


def smi() -> tuple[tuple[str, float], ...]:
    """Return the clocks, temperature and use of the first GPU, nothing where they are not told."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, f"--query-gpu={','.join(GPU_QUERY)}", "--format=csv,noheader,nounits", "-i", "0"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return numbers_of(said)


def numbers_of(said: str) -> tuple[tuple[str, float], ...]:
    """Read a line of nvidia-smi; what is no number is left out.

    >>> numbers_of("1980, 2619, 31, [N/A]")
    (('clocks.sm', 1980.0), ('clocks.mem', 2619.0), ('temperature.gpu', 31.0))
    """
    found = []
    for name, text in zip(GPU_QUERY, said.split(",")):
        try:
            found.append((name, float(text)))
        except ValueError:
            continue
    return tuple(found)


def between(before: Reading, after: Reading, ticks: float | None = None) -> Conditions:
    """Return what happened between two readings."""
    clocks = [c for c in (before.clock, after.clock) if c is not None]
    span = (min(clocks), max(clocks)) if clocks else None
    later = dict(after.gpu)
    gpu = tuple((name, value, later[name]) for name, value in before.gpu if name in later)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if before.busy is None or after.busy is None:
        return Conditions(None, None, span, load, gpu)
    busy = after.busy - before.busy
    idle = (after.idle or 0) - (before.idle or 0)
    stolen = (after.stolen or 0) - (before.stolen or 0)
    total = max(busy + idle + stolen, 1e-9)
    own = (after.own - before.own) * (ticks or os.sysconf("SC_CLK_TCK"))
    return Conditions(stolen / total, max(0.0, busy - own) / total, span, load, gpu)


class Watch:
    """Watches from `with` to its end: `conditions` says what happened."""

    def __init__(self, gpu: bool = False) -> None:
        self.gpu = gpu
        self.conditions = Conditions()

    def __enter__(self) -> Watch:
        self.start = time.perf_counter()
        self.before = read(self.gpu)
        return self

    def __exit__(self, *error: object) -> None:
        self.conditions = between(self.before, read(self.gpu))
