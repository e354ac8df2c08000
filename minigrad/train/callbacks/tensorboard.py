"""TensorBoard: write a fit's scalars as event files, by the `tensorboard` package."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from minigrad.engine import arguments
from minigrad.train.callbacks.base import Callback, Fit

LEFT_OUT = ("epoch",)


class TensorBoard(Callback):
    """Write the history's columns after each epoch, to be looked at by `tensorboard --logdir`.

    A column and its `val_` counterpart are drawn in one group: `loss/training`, `loss/validation`.
    Points are placed at the optimizer step.  After a resume, points of steps that are done again
    are hidden.

    folder: of the run; TensorBoard shows folders beside each other as runs.
    every_steps: write the batch's loss and the learning rate too, after every so many steps;
        None for never.

    Raises: ModuleNotFoundError where the package is not installed: it is the extra `tensorboard`.

    >>> TensorBoard("runs/first", every_steps=100)
    TensorBoard('runs/first', every_steps=100)
    """

    order = 110  # after what adds columns to the row
    writes_files = True
    first_rank_only = True

    def __init__(self, folder: str | PathLike[str], *, every_steps: int | None = None) -> None:
        self.folder = Path(folder)
        self.every_steps = every_steps
        if every_steps is not None:
            self.every_steps = arguments.whole("TensorBoard", "every_steps", every_steps, 1)
        self._writer: Any = None
        self._step = 0

    def on_fit_begin(self, trainer: Fit) -> None:
        try:
            writing = importlib.import_module("tensorboard.summary.writer.event_file_writer")
            self._events = importlib.import_module("tensorboard.compat.proto.event_pb2")
            self._summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "TensorBoard needs the package: pip install 'minigrad[tensorboard]'",
                name="tensorboard",
            ) from error
        self.folder.mkdir(parents=True, exist_ok=True)
        self._writer = writing.EventFileWriter(str(self.folder))

    def _add(self, step: int, **event: Any) -> None:
        self._writer.add_event(self._events.Event(step=step, wall_time=time.time(), **event))

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write numbers by their tags."""
        summary = self._summaries.Summary()
        for tag, value in values.items():
            summary.value.add(tag=tag, simple_value=float(value))
        self._add(step, summary=summary)
        self._step = step

    def on_step_end(self, trainer: Fit) -> None:
        if self.every_steps is not None and trainer.step % self.every_steps == 0:
            lr = float(trainer.optimizer.param_groups[0]["lr"])
            self._scalars(trainer.step, {"loss/batch": trainer.batch_loss.item(), "lr/step": lr})

    def on_epoch_end(self, trainer: Fit) -> None:
        row = trainer.history.last
        self._scalars(trainer.step, {tag(n): v for n, v in row.items() if n not in LEFT_OUT})
        self._writer.flush()

    def on_fit_end(self, trainer: Fit) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the step of the last point."""
        return {"step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hide the points of later steps, which come again."""
        self._step = int(state["step"])
        if self._writer is not None:
            started = self._events.SessionLog(status=self._events.SessionLog.START)
            self._add(self._step + 1, session_log=started)

    def __repr__(self) -> str:
        often = "" if self.every_steps is None else f", every_steps={self.every_steps}"
        return f"TensorBoard({str(self.folder)!r}{often})"


def tag(column: str) -> str:
    """Return what a column is called in TensorBoard.

    >>> tag("loss"), tag("val_loss"), tag("lr")
    ('loss/training', 'loss/validation', 'lr/epoch')
    """
    if column == "lr" or column.startswith("lr_") or column == "seconds":
        return f"{column}/epoch"
    if column.startswith("val_"):
        return f"{column[4:]}/validation"
    return f"{column}/training"
