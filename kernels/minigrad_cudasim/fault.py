"""Reports of the simulator: a `Fault` names kernel, block, threads and source lines."""

from __future__ import annotations

import dis
import linecache
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

Index = tuple[int, int, int]


class Site(NamedTuple):
    """A place in a kernel, cheap to record at every access; its line is looked up in a report."""

    code: CodeType
    instruction: int

    @property
    def line(self) -> int:
        """The number of its line."""
        for start, end, line in self.code.co_lines():
            if start <= self.instruction < end and line is not None:
                return line
        return self.code.co_firstlineno

    @property
    def source(self) -> str:
        """The text of its line."""
        return linecache.getline(self.code.co_filename, self.line).strip()

    @property
    def expression(self) -> str:
        """The text of the expression that is read or written there, e.g. `s[t - d]`."""
        positions = list(self.code.co_positions())[self.instruction // 2]
        line, end, first, last = positions
        if line is None or first is None or last is None or line != end:
            return self.source
        text = linecache.getline(self.code.co_filename, line).encode()  # columns count bytes
        return text[first:last].decode()

    def as_dict(self) -> dict[str, Any]:
        """Return the place as what JSON can hold."""
        return {
            "file": self.code.co_filename,
            "line": self.line,
            "function": self.code.co_name,
            "source": self.source,
        }

    def __str__(self) -> str:
        name = Path(self.code.co_filename).name
        return f"{name}:{self.line} in {self.code.co_name}: {self.source}"


def site_of(frame: FrameType) -> Site:
    """Return the place at which a frame stands."""
    return site_at(frame.f_code, frame.f_lasti)


@cache
def site_at(code: CodeType, instruction: int) -> Site:
    """Return the instruction of a place: a frame that has run often stands at its cache behind."""
    starts = [i.offset for i in dis.get_instructions(code) if i.offset <= instruction]
    return Site(code, starts[-1] if starts else instruction)


def kernel_frame() -> FrameType:
    """Return the innermost frame that belongs to a kernel."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and "__simulated__" not in frame.f_globals:
        frame = frame.f_back
    return sys._getframe(1) if frame is None else frame


@dataclass(frozen=True)
class Party:
    """One thread's part in a fault: what it did, who it is, where it stood."""

    action: str
    block: Index
    thread: Index
    site: Site | None
    warp: int = 0  # of its block
    lane: int = 0  # of its warp

    def __str__(self) -> str:
        where = f"\n      {self.site}" if self.site is not None else ""
        return f"  {self.action}: block {self.block} thread {self.thread}{where}"


class Fault(RuntimeError):
    """A kernel broke a rule that a GPU does not check.

    kind: "race", "barrier", "warp", "bounds", "uninitialised", "misaligned", "deadlock",
        "float64", "asynchronous", "launch" (the launch is beyond what a GPU takes), "compile"
        (Numba would not compile it) or "error" (the Python code raised; see `__cause__`).
    summary: one sentence.  parties: the threads concerned, each with its line; both sides of a
        race, the later one first.
    others: the further faults of the same launch, each of another kind, place or array.
    times: how often it was met.
    """

    def __init__(self, kind: str, summary: str, parties: tuple[Party, ...] = (), hint: str = ""):
        super().__init__(kind, summary, parties, hint)
        self.kind = kind
        self.summary = summary
        self.parties = parties
        self.hint = hint
        self.launched = ""  # kernel, geometry and seed: filled in by the launch
        self.others: tuple[Fault, ...] = ()
        self.times = 1

    @property
    def lines(self) -> tuple[int, ...]:
        """The source line of each party that has one."""
        return tuple(p.site.line for p in self.parties if p.site is not None)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All faults of the launch, this one first."""
        return (self, *self.others)

    @property
    def text(self) -> str:
        """This fault alone, in words."""
        head = f"{self.kind}: {self.summary}"
        rest = [f"  in {self.launched}"] if self.launched else []
        rest += [str(party) for party in self.parties]
        if self.hint:
            rest.append(f"  {self.hint}")
        if self.times > 1:
            rest.append(f"  met {self.times} times")
        return "\n".join([head, *rest])

    def as_dict(self) -> dict[str, Any]:
        """Return the fault as what JSON can hold."""
        return {
            "kind": self.kind,
            "summary": self.summary,
            "hint": self.hint,
            "launch": self.launched,
            "times": self.times,
            "parties": [
                {
                    "action": p.action,
                    "block": list(p.block),
                    "thread": list(p.thread),
                    "warp": p.warp,
                    "lane": p.lane,
                    **({} if p.site is None else p.site.as_dict()),
                }
                for p in self.parties
            ],
        }

    def __str__(self) -> str:
        more = [f"and {other.text}" for other in self.others[:SHOWN]]
        if len(self.others) > SHOWN:
            more.append(f"and {len(self.others) - SHOWN} more: see .faults")
        return "\n".join([self.text, *more])


SHOWN = 9  # further faults that a traceback lists


class BoundsFault(Fault, IndexError):
    """An index outside an array; also the IndexError that Python would raise."""


class LaunchFault(Fault, ValueError):
    """A launch that a GPU refuses."""


class ArgumentsFault(Fault, TypeError):
    """A launch with other arguments than the kernel has."""


class CompileFault(Fault, TypeError):
    """A kernel that Numba would not compile."""


def raising(error: Exception, summary: str, parties: tuple[Party, ...], hint: str = "") -> Fault:
    """Return the fault of Python code that raised, which is also an error of that type."""
    kind = type(error)
    try:
        made = type("Raised", (Fault, kind), {"__init__": Fault.__init__, "__str__": Fault.__str__})
        return made("error", summary, parties, hint)
    except TypeError:  # a type that does not mix with others
        return Fault("error", summary, parties, hint)


def listed(numbers: Any) -> str:
    """Return numbers as ranges.

    >>> listed([0, 1, 2, 3, 8, 10, 11])
    '0-3, 8, 10-11'
    """
    spans: list[list[int]] = []
    for n in sorted(numbers):
        if spans and n == spans[-1][1] + 1:
            spans[-1][1] = n
        else:
            spans.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
