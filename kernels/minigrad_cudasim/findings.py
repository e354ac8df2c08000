"""What one launch has shown: each fault once, however often it is met, in the order of causes."""

from __future__ import annotations

from typing import Any

from minigrad_cudasim.fault import Fault, Site

MOST = 50  # different faults, after which a launch is stopped
OFTEN = 20_000  # times that races and wrong indices are met, after which it is stopped, too
# A race leaves values of which an index outside an array may come, not the other way round.
CAUSES = (
    "compile",
    "launch",
    "race",
    "asynchronous",
    "uninitialised",
    "misaligned",
    "bounds",
    "warp",
    "barrier",
    "deadlock",
    "float64",
    "error",
)


class Enough(Exception):
    """A launch has shown as many faults as anyone reads, or the same very often."""


class Findings:
    """The faults and notes of one launch."""

    strict = False  # whether notes count as faults

    def __init__(self) -> None:
        self.held: dict[Any, Fault] = {}
        self.notes: dict[Any, Fault] = {}
        self.apart: dict[Any, int] = {}  # how far from each other the threads of a race are
        self.met = 0
        self.early: set[Any] = set()  # (offset, thread) of reads before any write
        self.withdrawn: set[Any] = set()

    def repeated(self, key: Any) -> bool:
        """Count what was met before, and tell whether it was.

        Raises: Enough, where faults are met very often: a large launch would go on for long.
        """
        fault = self.held.get(key)
        if fault is not None:
            fault.times += 1
            self.met += fault.kind in ("race", "bounds")
            if self.met >= OFTEN:
                raise Enough
            return True
        note = self.notes.get(key)
        if note is not None:
            note.times += 1
        return note is not None or key in self.withdrawn

    def farther(self, key: Any, apart: int) -> bool:
        """Tell whether the threads of a race are farther from each other than any before."""
        if apart <= self.apart.get(key, -1):
            return False
        self.apart[key] = apart
        return key not in self.withdrawn

    def add(self, key: Any, fault: Fault, note: bool = False) -> None:
        """Hold a fault that was not met before, or not as plainly.

        Raises: Enough, where there are many.
        """
        held = self.notes if note and not self.strict else self.held
        if key in held:
            fault.times = held[key].times
        held[key] = fault
        if len(self.held) >= MOST:
            raise Enough

    def withdraw(self, site: Site) -> None:
        """Take back that a place reads what nothing writes: the write comes too late."""
        key = ("uninitialised", site)
        self.withdrawn.add(key)
        self.held.pop(key, None)

    def faults(self) -> list[Fault]:
        """Return the faults, causes first."""
        return sorted(self.held.values(), key=lambda f: CAUSES.index(f.kind))
