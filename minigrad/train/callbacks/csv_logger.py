"""CSVLogger: append a line an epoch to a file, as the epochs end."""

from __future__ import annotations

import csv
import io
import os
import zlib
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from minigrad.train.callbacks.base import Callback, Fit


class CSVLogger(Callback):
    """Append each row of the history to a CSV file, under a header with its columns.

    Each line is written whole and reaches the disk before the fit goes on; what a crash has left of
    a line is cut off.  A resumed fit cuts off the lines of epochs that it does again.  A further
    fit appends its lines, whose epochs begin at 1 again.

    path: the file; folders on the way are made.
    append: False begins the file anew with the first epoch of each fit.

    Raises: ValueError for a file with other columns, before anything is written to it.

    >>> CSVLogger("runs/first.csv")
    CSVLogger('runs/first.csv')
    """

    order = 110  # after what adds columns to the row
    writes_files = True
    first_rank_only = True

    def __init__(self, path: str | PathLike[str], *, append: bool = True) -> None:
        self.path = Path(path)
        self.append = bool(append)
        self._begun = False

    def on_fit_begin(self, trainer: Fit) -> None:
        self._begun = False
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, trainer: Fit) -> None:
        row = trainer.history.last
        kept = self._whole_lines() if self.append or self._begun else b""
        if kept:
            header = next(csv.reader(io.StringIO(kept.split(b"\n", 1)[0].decode())))
            if header != list(row):
                raise ValueError(
                    f"CSVLogger: {self.path} has the columns {', '.join(header)}, but this fit has "
                    f"{', '.join(row)}; give it another file, or begin this one anew with "
                    "append=False"
                )
        added = line(row.values()) if kept else line(row) + line(row.values())
        self._write(kept, added)
        self._begun = True

    def _whole_lines(self) -> bytes:
        """Return what the file holds, without a last line that was not written whole."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return b""
        return content[: content.rfind(b"\n") + 1]

    def _write(self, kept: bytes, added: bytes) -> None:
        """Make the file what is kept of it and one more line."""
        with self.path.open("r+b" if kept else "wb") as file:
            file.truncate(len(kept))
            file.seek(len(kept))
            file.write(added)
            file.flush()
            os.fsync(file.fileno())

    def state_dict(self) -> dict[str, Any]:
        """Return how long the file is, and a checksum of it."""
        if not self._begun:
            return {}
        content = self._whole_lines()
        return {"length": len(content), "checksum": zlib.crc32(content)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Cut off what was written after the checkpoint.

        Raises: ValueError where the file does not begin with what had been written.
        """
        if not state:
            return
        kept = self._whole_lines()[: state["length"]]
        if zlib.crc32(kept) != state["checksum"]:
            raise ValueError(
                f"CSVLogger: {self.path} is not the file that this run has written; put that back, "
                "or give another callback list to the resumed fit"
            )
        self._write(kept, b"")
        self._begun = True

    def __repr__(self) -> str:
        return f"CSVLogger({str(self.path)!r}{'' if self.append else ', append=False'})"


def line(values: Any) -> bytes:
    """Return values as a line of CSV, numbers in full precision.

    >>> line(["loss", 0.1, 1.0])
    b'loss,0.1,1.0\\n'
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
