"""Find a learning rate: how the loss goes while the rate rises, step by step."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.nn.parameter import Uninitialized
from minigrad.train.callbacks.base import Callback
from minigrad.train.callbacks.guards import GradientClipping
from minigrad.train.callbacks.history import figure_of
from minigrad.train.run_state import roots
from minigrad.train.traceless import traceless

KEPT = 0.9  # of the running mean of the losses, a step
FIRST = 0.1  # of the steps: where the loss is lowest among these, it has not fallen


@dataclass
class LRCurve:
    """What `Trainer.find_lr` has seen.

    lrs: the learning rates, rising.  losses: of the batches, each before its step.
    smoothed: their running mean.  suggestion: a tenth of the rate at which that was lowest, None
        where it never fell.

    >>> LRCurve([0.1, 1.0], [2.0, 1.0], [2.0, 1.5], 0.1)
    LRCurve(2 steps, lr 0.1 to 1, suggestion=0.1)
    """

    lrs: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float | None

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Return a matplotlib figure of the losses over the rates; write it to `path` if given.

        Raises: ModuleNotFoundError without matplotlib.
        """
        figure, (panel,) = figure_of(1, "LRCurve.plot")
        panel.plot(self.lrs, self.losses, alpha=0.4, label="loss of a batch")
        panel.plot(self.lrs, self.smoothed, label="running mean")
        if self.suggestion is not None:
            panel.axvline(
                self.suggestion, color="gray", linestyle=":", label=f"lr = {self.suggestion:.2g}"
            )
        panel.set(xscale="log", xlabel="learning rate", ylabel="loss")
        low, high = min(self.smoothed), max(self.smoothed[0], min(self.smoothed))
        panel.set_ylim(low - 0.1 * (high - low) - 1e-12, high + 0.5 * (high - low) + 1e-12)
        panel.grid(alpha=0.3)
        panel.legend()
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure

    def __repr__(self) -> str:
        said = "None" if self.suggestion is None else f"{self.suggestion:.2g}"
        span = f"lr {self.lrs[0]:.3g} to {self.lrs[-1]:.3g}"
        return f"LRCurve({len(self.lrs)} steps, {span}, suggestion={said})"


class Ramp(Callback):
    """Raise the learning rate from step to step, and keep the losses."""

    def __init__(self, lrs: list[float], stop_factor: float) -> None:
        self.lrs = lrs
        self.stop_factor = stop_factor
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self._mean = 0.0

    def on_fit_begin(self, trainer: Any) -> None:
        first = float(trainer.optimizer.param_groups[0]["lr"])
        # Groups keep their proportions.
        self._ratios = [
            float(group["lr"]) / first if first else 1.0 for group in trainer.optimizer.param_groups
        ]
        self._set(trainer)

    def _set(self, trainer: Any) -> None:
        lr = self.lrs[min(len(self.losses), len(self.lrs) - 1)]
        for group, ratio in zip(trainer.optimizer.param_groups, self._ratios, strict=True):
            group["lr"] = lr * ratio

    def on_step_end(self, trainer: Any) -> None:
        loss = trainer.batch_loss.item()
        if not math.isfinite(loss):
            trainer.stop("the loss is not finite")
            return
        self.losses.append(loss)
        self._mean = KEPT * self._mean + (1 - KEPT) * loss
        self.smoothed.append(self._mean / (1 - KEPT ** len(self.losses)))
        low, first = min(self.smoothed), self.smoothed[0]
        # Of losses that may be below 0 the rise is measured by the first.
        if self.smoothed[-1] > low + (self.stop_factor - 1) * max(abs(low), 0.1 * abs(first)):
            trainer.stop("the loss has risen")
        self._set(trainer)


def find_lr(
    trainer: Any, loader: Any, min_lr: float, max_lr: float, steps: int, stop_factor: float
) -> LRCurve:
    """See `Trainer.find_lr`."""
    min_lr, max_lr, stop_factor = (
        arguments.number("find_lr", name, value)
        for name, value in (("min_lr", min_lr), ("max_lr", max_lr), ("stop_factor", stop_factor))
    )
    steps = arguments.whole("find_lr", "steps", steps, 2)
    if not 0 < min_lr < max_lr < math.inf:
        raise ValueError(f"find_lr: expected 0 < min_lr < max_lr, but got {min_lr} and {max_lr}")
    if not stop_factor > 1:
        raise ValueError(f"find_lr: expected stop_factor above 1, but got {stop_factor}")
    if any(isinstance(p, Uninitialized) for p in trainer.model.parameters()):
        raise ValueError(
            "find_lr: the model has lazy layers, which the search would give their shapes; run a "
            "batch through it first"
        )
    if iter(loader) is loader:
        raise TypeError(
            f"find_lr: {type(loader).__name__} can be read only once, and the fit could not begin "
            "at its beginning; pass a DataLoader or a list of batches"
        )
    lrs: list[float] = np.geomspace(min_lr, max_lr, steps).tolist()
    ramp = Ramp(lrs, stop_factor)
    clipping = [copy.copy(c) for c in trainer.callbacks if isinstance(c, GradientClipping)]
    with traceless(
        trainer.model,
        trainer.optimizer,
        trainer.loss,
        {**roots(trainer), "loader": loader},
        loader,
    ):
        search = type(trainer)(
            trainer.model,
            trainer.optimizer,
            trainer.loss,
            callbacks=[ramp, *clipping],
            device=trainer.device,
            accumulate=trainer.accumulate,
            capture=bool(trainer.capture),
            doctor=False,
        )
        search.fit(loader, epochs=steps, max_steps=steps)
    if not ramp.losses:
        raise ValueError(
            f"find_lr: the loss is {search.batch_loss.item()} at the first step; find out why "
            "before a learning rate is looked for"
        )
    count = len(ramp.losses)
    return LRCurve(lrs[:count], ramp.losses, ramp.smoothed, suggested(lrs[:count], ramp.smoothed))


def suggested(lrs: list[float], smoothed: list[float]) -> float | None:
    """Return a tenth of the rate at which the smoothed loss is lowest; None where it never falls.

    Where it falls fastest says less: of few batches' losses that is where the batches differ most.
    Source: the fastai library, `minimum` of its `lr_find`.

    >>> suggested([0.01, 0.1, 1.0, 10.0], [3.0, 2.9, 1.0, 5.0])
    0.1
    >>> suggested([0.01, 0.1], [1.0, 2.0]) is None
    True
    """
    lowest = int(np.argmin(smoothed))
    return lrs[lowest] / 10 if lowest > FIRST * len(smoothed) else None
