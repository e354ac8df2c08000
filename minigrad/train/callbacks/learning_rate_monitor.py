"""LearningRateMonitor: remember the learning rates that the steps were taken with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.train.callbacks.base import Callback, Fit


class LearningRateMonitor(Callback):
    """Keep the learning rate of each group of parameters, at every step or every epoch's end.

    steps: the optimizer steps at which they were read.  rates: by name, `lr` of the first group,
    `lr_1` of the second and so on, one number for each of `steps`.  At an epoch's end those from
    the second group on become columns of the history too, which has the first one's anyway.

    per: "step" or "epoch".

    >>> monitor = LearningRateMonitor(per="epoch")
    >>> monitor.steps, monitor.rates
    ([], {})
    """

    order = -50  # before schedules change them for the next step

    def __init__(self, per: str = "step") -> None:
        if per not in ("step", "epoch"):
            raise ValueError(
                f"LearningRateMonitor: expected per='step' or per='epoch', but got {per!r}"
            )
        self.per = per
        self.steps: list[int] = []
        self.rates: dict[str, list[float]] = {}

    def on_fit_begin(self, trainer: Fit) -> None:
        self.steps, self.rates = [], {}

    def on_step_end(self, trainer: Fit) -> None:
        if self.per == "step":
            self._read(trainer)

    def on_epoch_end(self, trainer: Fit) -> None:
        if self.per == "epoch":
            self._read(trainer)
        for name, rate in list(now(trainer).items())[1:]:
            trainer.history.last[name] = rate

    def _read(self, trainer: Fit) -> None:
        self.steps.append(trainer.step)
        for name, rate in now(trainer).items():
            self.rates.setdefault(name, []).append(rate)

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what was read so far."""
        return {"steps": list(self.steps), "rates": {n: list(r) for n, r in self.rates.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.steps = list(state["steps"])
        self.rates = {name: list(rates) for name, rates in state["rates"].items()}

    def __repr__(self) -> str:
        return f"LearningRateMonitor(per={self.per!r})"


def now(trainer: Fit) -> dict[str, float]:
    """Return the learning rates of the groups by name."""
    groups = trainer.optimizer.param_groups
    return {f"lr_{i}" if i else "lr": float(group["lr"]) for i, group in enumerate(groups)}
