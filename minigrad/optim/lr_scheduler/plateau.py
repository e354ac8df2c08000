"""The schedule that waits for a metric to stop improving."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.optim.lr_scheduler.base import Array, LRScheduler
from minigrad.optim.optimizer import Optimizer


class _Default(str):
    """A default that can be told from the same string when that was given."""


MIN = _Default("min")
MODES = ("min", "max")
THRESHOLD_MODES = ("rel", "abs", "magnitude")


class ReduceLROnPlateau(LRScheduler):
    """lr = max(lr * factor, min_lr) once a metric has not improved for more than patience epochs.

    An improvement is a metric beyond best by threshold: with "rel" below best (1 - threshold), with
    "abs" below best - threshold, with "magnitude" below best - |best| threshold; in mode "max"
    above, with the signs turned.  The first metric that is not NaN is one, a NaN never is.

    mode: "min" for a loss, "max" for a score.  factor: in [0, 1).  patience: epochs, >= 0.
    threshold: >= 0.  cooldown: epochs after a reduction in which nothing is counted.
    threshold_mode: **ours:** "magnitude", for metrics that may be negative, where "rel" asks for
        the wrong direction; "rel" warns when it meets one.
    min_lr: one, or one a parameter group.  eps: smaller reductions are not made.
    Raises: ValueError for options out of range.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> plateau = ReduceLROnPlateau(opt, factor=0.5, patience=1)
    >>> plateau.preview([3.0, 2.0, 2.0, 2.0, 2.0]).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = MIN,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer = self._optimizer(optimizer)
        self._expect(mode in MODES, f"mode to be one of {MODES}", mode)
        known = threshold_mode in THRESHOLD_MODES
        self._expect(known, f"threshold_mode to be one of {THRESHOLD_MODES}", threshold_mode)
        self.factor = self._number("factor", factor)
        self._expect(0 <= self.factor < 1, "factor in [0, 1)", factor)
        self.threshold = self._number("threshold", threshold)
        self._expect(self.threshold >= 0, "threshold >= 0", threshold)
        self.mode = str(mode)
        self.mode_given = mode is not MIN
        self.patience = self._whole("patience", patience, 0)
        self.threshold_mode = threshold_mode
        self.cooldown = self._whole("cooldown", cooldown, 0)
        floors = self._per_group("min_lr", min_lr)
        self.min_lr = floors if np.ndim(min_lr) else floors[0]
        self.eps = self._number("eps", eps)
        self._remember()
        self.best: float | None = None
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._warned = False
        self._last_lr = self._current()

    _unsaved = ("optimizer", "mode_given")

    def step(  # type: ignore[override]
        self, metrics: Any = None, epoch: float | None = None
    ) -> None:
        """Look at an epoch's metric, and reduce the lr where it is time.

        metrics: a number, or a tensor of one.  epoch: its number, where they are not counted on.
        Raises: TypeError without it, RuntimeError before the optimizer's first step.
        """
        if metrics is None:
            raise TypeError(
                "ReduceLROnPlateau: step() needs the metric that it watches; call"
                " scheduler.step(validation_loss) once an epoch"
            )
        self._refuse_early()
        if epoch is not None:
            self.last_epoch = self._whole("epoch", epoch, 0) - 1
        self._advance(float(metrics))

    def _advance(self, metric: float = math.nan) -> None:
        self.last_epoch += 1
        if self._improves(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._current()

    def _improves(self, metric: float) -> bool:
        if math.isnan(metric):
            return False
        if self.threshold_mode == "rel" and metric < 0 and not self._warned:
            self._warned = True
            warnings.warn(
                f"ReduceLROnPlateau: threshold_mode='rel' met a negative metric, {metric}; there it"
                " takes slightly worse for better: use threshold_mode='magnitude' or 'abs'",
                UserWarning,
                stacklevel=4,
            )
        best = self.best
        if best is None:
            return True
        sign = -1.0 if self.mode == "min" else 1.0
        if self.threshold_mode == "rel":
            bound = best * (1.0 + sign * self.threshold)
        elif self.threshold_mode == "abs":
            bound = best + sign * self.threshold
        else:
            bound = best + sign * abs(best) * self.threshold
        return metric < bound if self.mode == "min" else metric > bound

    def _reduce(self) -> None:
        floors = self._per_group("min_lr", self.min_lr)
        for group, floor in zip(self.optimizer.param_groups, floors, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, floor)
            if old - new > self.eps:
                group["lr"] = group["scheduled_lr"] = new

    def _restart(self) -> None:
        raise NotImplementedError("ReduceLROnPlateau needs a metric and takes no part in others")

    def preview(self, metrics: Iterable[float], group: int = 0) -> Array:  # type: ignore[override]
        """Return the lr with which each epoch would run that ends in these metrics; change nothing.

        Shape: (number of metrics,) float64; entry 0 is the present lr.
        """
        other = self._independent_copy()
        other._warned = True
        rates = []
        for metric in metrics:
            rates.append(other.optimizer.param_groups[group]["lr"])
            other._advance(float(metric))
        return np.array(rates, np.float64)
