"""Report: one HTML page about a fit, that needs nothing beside it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.lazy import lazy
from minigrad.tensors.tensor import Tensor
from minigrad.train import checks as batches
from minigrad.train.callbacks.base import Callback

pages = lazy("minigrad.train.pages")
probing = lazy("minigrad.train.probing")
profiling = lazy("minigrad.engine.profiling")
outcomes = lazy("minigrad.train.outcomes")

Array = np.ndarray[Any, Any]
KINDS = ("weights", "gradients", "activations")
MOST_PROBES = 200  # of a longer fit not every epoch is looked into
PROFILED = 5  # steps
WARM = 3  # steps of the only epoch before those: the first ones compile and record
SECONDS = 30.0  # between two writings of the page during the fit


class Report(Callback):
    """Write a page about the fit: curves, learning rate, gradients, weights and activations of each
    layer over the epochs, confusion matrix or residuals, what the doctor has found, time by kernel,
    configuration.

    One HTML file without scripts, which loads nothing.  It is written at the end of the fit,
    however that ends, and every half minute before.  `minigrad train` writes one.

    Gradients and activations are those of one batch, the first that the fit has seen, in train
    mode, after each epoch: a step more an epoch, which leaves no trace in weights, statistics or
    random numbers.  Five steps of the second epoch (or of the only one) are timed kernel by kernel.
    The confusion matrix and the residuals are of the validation loader, with the weights that the
    fit ends with.

    path: of the file.
    class_names: of the classes, by their number.
    title: of the page.
    details: what is to stand under "Configuration" too, by name.
    findings: further ones, as `mg.doctor` gives them; those of the fit's own doctor come by
        themselves.

    Raises: OSError where the file cannot be written, before the first epoch.
    Warns: UserWarning where a batch cannot be run a second time, for the page then lacks gradients
        and activations; and where the page cannot be written in the end.

    >>> Report("report.html")
    Report('report.html')
    """

    order = 95  # after the best weights have come back
    writes_files = True
    first_rank_only = True

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        class_names: Sequence[str] | None = None,
        title: str = "minigrad report",
        details: Mapping[str, Any] | None = None,
        findings: Iterable[Any] = (),
    ) -> None:
        self.path = Path(path)
        self.class_names = None if class_names is None else [str(n) for n in class_names]
        self.title = str(title)
        self.details = dict(details or {})
        self.findings = list(findings)
        self._reset()

    def _reset(self) -> None:
        # By kind and name: a row an epoch, of the epoch and the numbers of its `Spread`.
        self.seen: dict[str, dict[str, Array]] = {kind: {} for kind in KINDS}
        self.notes: list[str] = []
        self.profile: Any = None
        self._batch: tuple[Any, Any] | None = None
        self._open = False  # whether steps are being timed
        self._ended = False
        self._steps = 0
        self._failed = False

    # ------------------------------------------------------------ during the fit
    def on_fit_begin(self, trainer: Any) -> None:
        self._reset()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8"):  # to fail now, not after hours
            pass
        self._every = -(-trainer.epochs // MOST_PROBES)
        self._written = time.monotonic()
        self._started = time.strftime("%Y-%m-%d %H:%M")
        self._first_epoch: int | None = None

    def on_step_end(self, trainer: Any) -> None:
        if self._batch is None:
            x, target = trainer.batch
            self._batch = copied(x), copied(target)
            self._first_epoch = trainer.epoch
        if self._open:
            self._steps += 1
            if self._steps >= PROFILED:
                self._end_profile()
        elif self.profile is None:
            later = trainer.epoch != self._first_epoch
            if later or (trainer.epoch == trainer.epochs and trainer.step > WARM):
                self.profile = profiling.profile()
                self.profile.__enter__()
                self._open = True

    def _end_profile(self) -> None:
        if self._open:
            self._open = False
            self.profile.__exit__(None, None, None)

    def on_train_epoch_end(self, trainer: Any) -> None:
        self._end_profile()
        if self._failed or trainer.epoch % self._every or self._batch is None:
            return
        x, target = (batches.to_device(part, trainer.device) for part in self._batch)
        try:
            found = probing.probe(trainer.model, trainer.loss, x, target)
        except Exception as error:  # the fit goes on: it needs no report
            self._failed = True
            self._note(f"gradients and activations: {type(error).__name__}: {error}")
            return
        for kind in KINDS:
            for name, spread in getattr(found, kind).items():
                row = np.array([[trainer.epoch, *spread[:3], *spread.quantiles]])
                rows = self.seen[kind].get(name)
                self.seen[kind][name] = row if rows is None else np.concatenate([rows, row])

    def _note(self, text: str) -> None:
        self.notes.append(text)
        warnings.warn(f"Report: {text}", UserWarning, stacklevel=3)

    def on_epoch_end(self, trainer: Any) -> None:
        if time.monotonic() - self._written > SECONDS:
            self._write(trainer, None)

    def on_fit_end(self, trainer: Any) -> None:
        self._end_profile()
        self._ended = True
        outcome = None
        if trainer.history.stop_reason and trainer.val_loader is not None:
            try:
                outcome = outcomes.outcome_of(trainer)
            except Exception as error:
                self._note(f"confusion matrix, residuals: {type(error).__name__}: {error}")
        self._write(trainer, outcome)
        self._batch = None

    def _write(self, trainer: Any, outcome: Any) -> None:
        """Write the page; where that fails, on a full disk say, the fit is not lost for it."""
        self._written = time.monotonic()
        try:
            pages.write(self, trainer, outcome)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            warnings.warn(f"Report: {self.path}: {what}", UserWarning, stacklevel=3)

    # ------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """Return what has been seen, and the batch that is looked at, for a checkpoint."""
        return {
            "seen": [
                [kind, name, rows.copy()]
                for kind in KINDS
                for name, rows in self.seen[kind].items()
            ],
            "batch": None if self._batch is None else list(self._batch),
            "notes": list(self.notes),
            "failed": self._failed,
            "started": self._started,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.seen = {kind: {} for kind in KINDS}
        for kind, name, rows in state["seen"]:
            self.seen[kind][name] = np.array(rows)
        batch = state["batch"]
        self._batch = None if batch is None else (batch[0], batch[1])
        self.notes = list(state["notes"])
        self._failed = bool(state["failed"])
        self._started = state["started"]

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"


def copied(values: Any) -> Any:
    """Return a copy of a Tensor, for a loader may use its memory again; anything else itself."""
    return values.detach().clone() if isinstance(values, Tensor) else values
