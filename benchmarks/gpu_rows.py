"""The rows of a first contact: kept as they come, so that whatever ends a process costs one row.

A row says what was tried (`IDENTITY`) and what was found: numbers, "wrong", "failed", or "not
measured" where something is not there to measure with, which is no fault.
"""

from __future__ import annotations

import faulthandler
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigrad_kernels.cuda.driver import DriverError

Row = dict[str, Any]
IDENTITY = ("phase", "what", "kernel", "dtype", "size", "shape", "n", "precision", "library")
IDENTITY += ("route",)
SECONDS_A_ROW = 30.0  # after which a row that hangs ends its process


class NotMeasured(Exception):
    """Something is not there to measure with; the message says what."""


class LostContext(Exception):
    """The GPU answers this process no more: what is left is for a new one."""


class Rows:
    """The rows of a run, in a file that each is written to at once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "rows.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, row: Row) -> None:
        """Add a row, in one write: processes share the file, and each may be killed at any time.

        A line that an earlier kill has cut off is ended first.
        """
        line = json.dumps(row).encode() + b"\n"
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            end = os.lseek(file, 0, os.SEEK_END)
            cut = end and os.pread(file, 1, end - 1) != b"\n"
            os.write(file, b"\n" + line if cut else line)
        finally:
            os.close(file)

    def all(self, since: int = 0) -> list[Row]:
        """Return the rows so far, those after a byte alone; a line that was cut off is none."""
        found = []
        if self.path.exists():
            for line in self.path.read_bytes()[since:].splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict):
                    found.append(row)
        return found

    @property
    def log(self) -> Path:
        """The file of what processes print: tracebacks, and what a tool says."""
        return self.path.with_name("logs.txt")

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self.path.stat().st_size if self.path.exists() else 0

    def latest(self) -> list[Row]:
        """Return the rows without those that were tried again later."""
        found: dict[str, Row] = {}
        for row in self.all():
            if row.get("ended") is True:  # what a process of the phase said of itself is over
                found.pop(key_of({"phase": row["phase"]}), None)
            found[key_of(row)] = row
        return [*found.values()]

    def ended(self) -> set[str]:
        """Return the phases whose every process has ended well."""
        last = {row["phase"]: row["ended"] for row in self.all() if "ended" in row}
        return {phase for phase, well in last.items() if well is True}


def key_of(row: Row) -> str:
    """Return what a row is about.

    >>> key_of({"phase": "check", "kernel": "relu", "size": 1, "wrong": False})
    '{"phase": "check", "kernel": "relu", "size": 1, "ended": false}'
    """
    return json.dumps({k: row[k] for k in IDENTITY if k in row} | {"ended": "ended" in row})


def bad(row: Row) -> bool:
    """Tell whether a row is a fault."""
    return bool(row.get("wrong") or row.get("failed"))


class Part:
    """One process's share of a phase.

    number, parts: which share of how many.  since: the byte of the rows' file where this run began:
        what failed before is tried again, what failed since is not.  patience: times the seconds
        that a row may take.
    """

    def __init__(
        self,
        phase: str,
        rows: Rows,
        number: int = 0,
        parts: int = 1,
        since: int = 0,
        patience: float = 1,
    ) -> None:
        self.phase = phase
        self.rows = rows
        self.number = number
        self.parts = parts
        self.seconds = SECONDS_A_ROW * patience
        self.bad = 0
        mine = [row for row in rows.all() if row.get("phase") == phase and not bad(row)]
        mine += [row for row in rows.all(since) if row.get("phase") == phase]
        self.done = {key_of(row) for row in mine}

    @property
    def marker(self) -> Path:
        """The file that says what is being tried."""
        return marker_of(self.rows, self.phase, self.number)

    def say(self, row: Row) -> None:
        """Keep a row."""
        row = {"phase": self.phase, **row}
        self.rows.keep(row)
        self.bad += bad(row)

    def attempt(self, said: Row, find: Callable[[], Row]) -> None:
        """Keep a row of what was found, unless one is kept; an error is one too.

        A row that takes too long ends the process, with the line it hangs in in the log.

        Raises: LostContext after an error that the GPU's context does not recover from.
        """
        if key_of({"phase": self.phase, **said}) in self.done:
            return
        self.marker.parent.mkdir(exist_ok=True)
        self.marker.write_text(json.dumps(said), encoding="utf-8")
        faulthandler.dump_traceback_later(self.seconds, exit=True, file=2)  # the log
        start = time.perf_counter()
        lost = False
        try:
            found = find()
        except NotMeasured as reason:
            found = {"not measured": str(reason)}
        except Exception as error:
            found = {"failed": f"{type(error).__name__}: {error}"[:300]}
            lost = isinstance(error, DriverError) and error.lost
        finally:
            faulthandler.cancel_dump_traceback_later()
        self.say({**said, **found, "seconds": round(time.perf_counter() - start, 3)})
        self.marker.unlink(missing_ok=True)
        if lost:
            raise LostContext(found["failed"])


def marker_of(rows: Rows, phase: str, number: int) -> Path:
    """Return the file that says what a process is trying."""
    return rows.path.with_name("trying") / f"{phase}.{number}"
