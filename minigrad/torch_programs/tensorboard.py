"""`torch.utils.tensorboard`: scalars go to a CSV file, pictures and graphs nowhere."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from minigrad.torch_programs.top import note_once


class SummaryWriter:
    """Write scalars to `scalars.csv` in a folder: tag, step, value.

    What else TensorBoard shows (histograms, images, graphs) is left out, with one note.
    """

    def __init__(self, log_dir: Any = None, comment: str = "", **_: Any) -> None:
        self.log_dir = str(log_dir or f"runs/minigrad{comment}")
        self._file: Any = None

    def add_scalar(self, tag: str, scalar_value: Any, global_step: Any = None, *_: Any) -> None:
        """Write a line."""
        if self._file is None:
            folder = Path(self.log_dir)
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / "scalars.csv").open("a", newline="", encoding="utf-8")
        csv.writer(self._file).writerow([tag, global_step, float(scalar_value)])

    def add_scalars(self, main_tag: str, tag_scalar_dict: Any, global_step: Any = None) -> None:
        """Write a line for each."""
        for tag, value in tag_scalar_dict.items():
            self.add_scalar(f"{main_tag}/{tag}", value, global_step)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("add_"):
            raise AttributeError(name)
        note_once(f"SummaryWriter.{name}", "is left out: only scalars are written")
        return lambda *_, **__: None

    def flush(self) -> None:
        """Write out what is held back."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
