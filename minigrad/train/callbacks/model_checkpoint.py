"""ModelCheckpoint: write the whole run to a folder, so that it can be gone on with."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from minigrad.engine import arguments
from minigrad.train.callbacks.base import Callback
from minigrad.train.checkpoint_files import About, Folder
from minigrad.train.direction import mode_for
from minigrad.train.run_state import run_state


class ModelCheckpoint(Callback):
    """Write checkpoints of the whole run; `fit(..., resume="auto")` goes on from the newest.

    A checkpoint holds all that the rest of the fit depends on, so that a run that was killed ends
    in the bytes of one that was not: see docs/resume.md.  `mg.load(path)["model"]` is the model's
    state_dict.  Each file is written whole or not at all, is on the disk before an older one is
    removed, and carries a checksum of all its bytes.

    folder: made where it is not there.  Checkpoints of an earlier run that are found there when a
        fit begins anew are moved to a folder of their own in it, `earlier-1` say.
    every_epochs, every_steps: write after so many of them; None for never.  The last epoch is
        always written.
    keep_last: how many of the newest stay; None for all.  Two, so that there is an older one where
        the newest comes to be damaged.
    monitor: a column of the history; the `keep_best` checkpoints in which it was best stay too, and
        are written whether an epoch is due or not.
    mode: "min" or "max"; by default what the metric's name tells.
    min_seconds: do not write within so many seconds of the last checkpoint, nor of the beginning.
    configuration: settings of your own that must be the same in a resume: names with numbers,
        texts, or lists and dicts of such.

    A disk that is full does not end the fit: the older checkpoints stay, a UserWarning says what
    happened, and the next one is tried.

    Raises: ValueError for numbers below 1, for a metric of unknown direction without `mode`, and
        when the fit has no such metric; OSError for a folder that cannot be made or written to;
        RuntimeError for one that another fit is writing to.

    >>> ModelCheckpoint("runs/first", monitor="val_loss")
    ModelCheckpoint('runs/first', every_epochs=1, keep_last=2, monitor='val_loss', keep_best=1)
    """

    order = 1_000_000  # after all others, so that their states are those after this step or epoch
    writes_files = True

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        every_steps: int | None = None,
        every_epochs: int | None = 1,
        keep_last: int | None = 2,
        monitor: str | None = None,
        mode: str | None = None,
        keep_best: int = 1,
        min_seconds: float = 0.0,
        configuration: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.every_steps = _count("every_steps", every_steps)
        self.every_epochs = _count("every_epochs", every_epochs)
        self.keep_last = _count("keep_last", keep_last)
        keep_best = arguments.whole("ModelCheckpoint", "keep_best", keep_best, 0)
        self.keep_best = 0 if monitor is None else keep_best
        self.monitor = monitor
        self.mode = "min" if monitor is None else mode_for("ModelCheckpoint", monitor, mode)
        self.min_seconds = arguments.number("ModelCheckpoint", "min_seconds", min_seconds)
        self.configuration = dict(configuration or {})
        self.moved: Path | None = None
        self._files = Folder(self.folder, self.keep_last, self.keep_best, self.mode)
        self._run = ""
        self._written = 0.0

    @property
    def last_path(self) -> Path | None:
        """Return the newest checkpoint of the run; None before the first."""
        kept = self._files.kept
        return self.folder / kept[-1].name if kept else None

    @property
    def best_path(self) -> Path | None:
        """Return the checkpoint with the best value of `monitor`; None where there is none."""
        best = self._files.best()
        return self.folder / best[0].name if best else None

    @property
    def best_value(self) -> float | None:
        """Return the best value of `monitor` among the checkpoints."""
        best = self._files.best()
        return best[0].value if best else None

    def on_fit_begin(self, trainer: Any) -> None:
        if self.monitor is not None:
            trainer.require_metric(self.monitor, "ModelCheckpoint")
        if trainer.is_first:
            self._files.claim()
        self._written = time.monotonic()

    def begin_run(self, run: str, place: tuple[int, int]) -> None:
        """Make the folder ready for a run, where it stands now: at (0, 0), or at a checkpoint.

        Warns: UserWarning where files were moved aside.
        """
        self._run = run
        self.moved = self._files.begin(run, place)
        if self.moved is not None:
            hint = (
                "" if place > (0, 0) else "; fit(..., resume='auto') would have gone on with them"
            )
            warnings.warn(
                f"ModelCheckpoint: {self.folder} held checkpoints that do not belong to this run; "
                f"they are in {self.moved.name} now{hint}",
                UserWarning,
                stacklevel=5,
            )

    def on_step_end(self, trainer: Any) -> None:
        due = self.every_steps and trainer.step % self.every_steps == 0
        due = due and trainer.decided(self._is_time())
        # What a limit cuts short is gone on with here, not after the epoch that was cut.
        if due or trainer.limit_reached:
            self._write(trainer, About(self._run, trainer.step, None))

    def on_epoch_end(self, trainer: Any) -> None:
        if trainer.limit_reached:
            return
        value = None
        if self.monitor is not None:
            value = float(trainer.history.last[self.monitor])
        due = bool(self.every_epochs) and trainer.epoch % self.every_epochs == 0
        due = due and self._is_time()
        last = trainer.stopping or trainer.ending or trainer.epoch == trainer.epochs
        due = due or last or (value is not None and self._files.would_be_best(value))
        if trainer.decided(due):
            about = About(self._run, trainer.step, trainer.epoch, self.monitor, value)
            self._write(trainer, about)

    def on_fit_end(self, trainer: Any) -> None:
        self._files.release()

    def remove(self) -> None:
        """Remove the run's checkpoints, where nobody is to go on with them any more."""
        while self._files.kept:
            path = self.folder / self._files.kept[-1].name
            path.unlink(missing_ok=True)
            self._files.kept.pop()
        with contextlib.suppress(OSError):
            self.folder.rmdir()  # where there is nothing else in it

    def _is_time(self) -> bool:
        return time.monotonic() - self._written >= self.min_seconds

    def _write(self, trainer: Any, about: About) -> None:
        """Write a checkpoint; warn where the disk does not take it.

        Of several processes all collect the state, and the first one writes it.
        """
        state = run_state(trainer)
        if not trainer.is_first:
            return
        try:
            self._files.write(about, state)
        except OSError as error:
            warnings.warn(
                f"ModelCheckpoint: {about.name} could not be written ({error}); the older "
                "checkpoints are there still, and the fit goes on without this one",
                UserWarning,
                stacklevel=4,
            )
        self._written = time.monotonic()

    def __repr__(self) -> str:
        options = f"every_epochs={self.every_epochs}, keep_last={self.keep_last}"
        if self.every_steps is not None:
            options = f"every_steps={self.every_steps}, {options}"
        if self.monitor is not None:
            options += f", monitor={self.monitor!r}, keep_best={self.keep_best}"
        return f"ModelCheckpoint({str(self.folder)!r}, {options})"


def _count(name: str, value: int | None) -> int | None:
    """Return a number from 1 on, or None.

    Raises: ValueError for another.
    """
    return None if value is None else arguments.whole("ModelCheckpoint", name, value, 1)
