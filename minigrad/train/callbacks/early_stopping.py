"""EarlyStopping: end the fit when a metric stops improving, with the best weights and buffers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.overwrite import check_writable
from minigrad.nn.state import named_tensors
from minigrad.train.callbacks.base import Callback, Fit
from minigrad.train.callbacks.history import Best, counted
from minigrad.train.direction import mode_for

Array = np.ndarray[Any, Any]
UNIMPROVED = "has not improved for"
ON_NAN = ("ignore", "stop", "raise")


class EarlyStopping(Callback):
    """Stop after `patience` epochs without improvement; restore the weights of the best epoch.

    An epoch improves when it is better than the best by more than `min_delta`.  Parameters and
    buffers (running statistics too) of the best epoch are copied, and restored however the fit
    ends: stopped, all epochs done, Ctrl-C, an error.  `trainer.history.restored_epoch` says which.

    monitor: a column of the history.  patience: epochs, at least 1; a resume with more goes on
        with a run that was stopped.
    mode: "min" or "max"; by default what the metric's name tells: "max" for accuracy, auc, f1, r2
        and the like, "min" for losses and errors.
    restore_best: False leaves the weights of the last step.
    on_nan: what a NaN does.  It is never best; "ignore" counts it as an epoch without improvement,
        "stop" ends the fit, "raise" raises FloatingPointError.

    Raises: ValueError for options out of range, for a metric of unknown direction without `mode`,
        and when the fit has no such metric.

    Source: Prechelt 1998, "Early stopping, but when?", section 2.3, its third class of criteria.

    >>> EarlyStopping(patience=5)
    EarlyStopping(monitor='val_loss', patience=5, min_delta=0.0, mode='min')
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str | None = None,
        *,
        restore_best: bool = True,
        on_nan: str = "ignore",
    ) -> None:
        patience = arguments.whole("EarlyStopping", "patience", patience, 1)
        if on_nan not in ON_NAN:
            raise ValueError(
                f"EarlyStopping: expected on_nan to be one of {ON_NAN}, but got {on_nan!r}"
            )
        self.patience = patience
        self.restore_best = restore_best
        self.on_nan = on_nan
        mode = mode_for("EarlyStopping", monitor, mode)
        self._best = Best(monitor, mode, arguments.number("EarlyStopping", "min_delta", min_delta))
        self._kept: tuple[int, dict[str, Array]] | None = None
        self._resumed = False
        self.wait = 0

    @property
    def monitor(self) -> str:
        """Return the metric that decides."""
        return self._best.monitor

    @property
    def best_value(self) -> float | None:
        """Return the best value so far."""
        return self._best.value

    @property
    def best_epoch(self) -> int | None:
        """Return the epoch of the best value."""
        return self._best.epoch

    def on_fit_begin(self, trainer: Fit) -> None:
        trainer.require_metric(self.monitor, "EarlyStopping")
        if not self._resumed:
            self._best.value = self._best.epoch = self._kept = None
            self.wait = 0
        self._resumed = False

    def on_resume(self, trainer: Fit) -> None:
        """Go on with a run that this stopped where it has more patience now."""
        own = trainer.history.stop_reason.startswith(f"{self.monitor} {UNIMPROVED}")
        if trainer.stopping and own and self.wait < self.patience:
            trainer.stopping = False

    def on_epoch_end(self, trainer: Fit) -> None:
        value = trainer.history.last[self.monitor]
        best = replace(self._best)
        if best.update(value, trainer.epoch):
            kept = (trainer.epoch, _copies(trainer.model)) if self.restore_best else None
            # At once, so that Ctrl-C finds the old best epoch with its copy, or the new one.
            self._best, self._kept, self.wait = best, kept, 0
        else:
            self.wait += 1
        trainer.history.best_epoch = self._best.epoch
        if math.isnan(value) and self.on_nan != "ignore":
            reason = f"{self.monitor} is NaN in epoch {trainer.epoch}"
            if self.on_nan == "raise":
                raise FloatingPointError(
                    f"EarlyStopping: {reason}; lower the learning rate, clip the gradients, or add "
                    "StopOnNonFinite to learn where it begins"
                )
            trainer.stop(reason)
        elif self.wait >= self.patience:
            trainer.stop(f"{self.monitor} {UNIMPROVED} {counted(self.wait, 'epoch')}")

    def on_fit_end(self, trainer: Fit) -> None:
        self._resumed = False
        if self._kept is None:
            return
        epoch, arrays = self._kept
        try:
            _restore(trainer.model, arrays)
        except KeyboardInterrupt:
            _restore(trainer.model, arrays)  # from the start: no mixture of two epochs
            trainer.history.restored_epoch = epoch
            raise
        trainer.history.restored_epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what a later fit needs to go on: best value, wait, best weights."""
        kept = None
        if self._kept is not None:
            kept = {name: array.copy() for name, array in self._kept[1].items()}
        return {
            "monitor": self.monitor,
            "mode": self._best.mode,
            "best_value": self._best.value,
            "best_epoch": self._best.epoch,
            "wait": self.wait,
            "best_weights": kept,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the next fit neither forgets the best value nor starts to wait anew.

        Raises: ValueError for other keys, or another metric or mode.
        """
        own = self.state_dict()
        if set(state) != set(own):
            raise ValueError(
                f"EarlyStopping.load_state_dict: expected the keys {sorted(own)}, "
                f"but got {sorted(state)}"
            )
        for key in ("monitor", "mode"):
            if state[key] != own[key]:
                raise ValueError(
                    f"EarlyStopping.load_state_dict: the state was saved with {key}={state[key]!r},"
                    f" but this one has {key}={own[key]!r}"
                )
        self._best.value = state["best_value"]
        self._best.epoch = state["best_epoch"]
        self.wait = int(state["wait"])
        weights = state["best_weights"]
        self._kept = None
        if weights is not None:
            self._kept = (state["best_epoch"], {k: np.array(v) for k, v in weights.items()})
        self._resumed = True

    def __repr__(self) -> str:
        return (
            f"EarlyStopping(monitor={self.monitor!r}, patience={self.patience}, "
            f"min_delta={self._best.min_delta}, mode={self._best.mode!r})"
        )


def _copies(model: Any) -> dict[str, Array]:
    """Return copies of a model's parameters and buffers by name."""
    return {name: tensor.array.copy() for name, tensor in named_tensors(model).items()}


def _restore(model: Any, arrays: dict[str, Array]) -> None:
    """Write copies back into a model's parameters and buffers.

    Raises: ValueError where the model has others by now.
    """
    tensors = named_tensors(model)
    if set(tensors) != set(arrays):
        changed = sorted(set(tensors) ^ set(arrays))
        raise ValueError(
            f"EarlyStopping: the model's parameters and buffers changed during the fit ({changed}),"
            " so the best weights do not fit it any more"
        )
    for name, tensor in tensors.items():
        check_writable(tensor.array, f"EarlyStopping: {name}")
    for name, tensor in tensors.items():
        tensor.array[...] = arrays[name]
        tensor.bump_version("by EarlyStopping")
