"""GradientMonitor: the gradients' norms by layer, every so many steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minigrad.engine import arguments
from minigrad.nn.utils.clip_grad import total_norm
from minigrad.train.callbacks.base import Callback, Fit


class GradientMonitor(Callback):
    """Keep the norm of the gradients of each layer, as they are before clipping.

    steps: the optimizer steps at which they were measured.  norms: by layer, the name of the module
    that has the parameters, one number for each of `steps`.  The history gets a column `grad_norm`:
    the mean over the epoch's measurements of the norm of all gradients together.

    every: measure the first step of each epoch, and then every so many.

    >>> monitor = GradientMonitor(every=100)
    >>> monitor.steps, monitor.norms
    ([], {})
    """

    order = -20  # before clipping, and before StopOnNonFinite raises
    columns = ("grad_norm",)
    reads_norm = True  # it changes none

    def __init__(self, every: int = 20) -> None:
        self.every = arguments.whole("GradientMonitor", "every", every, 1)
        self.steps: list[int] = []
        self.norms: dict[str, list[float]] = {}
        self._seen = 0  # steps of the epoch
        self._totals: list[float] = []  # of the epoch

    def on_fit_begin(self, trainer: Fit) -> None:
        self.steps, self.norms = [], {}
        self._seen, self._totals = 0, []

    def on_epoch_begin(self, trainer: Fit) -> None:
        self._seen, self._totals = 0, []

    def after_backward(self, trainer: Fit) -> None:
        self._seen += 1
        if (self._seen - 1) % self.every:
            return
        self.steps.append(trainer.step)
        layers: dict[str, list[Any]] = {}
        for name, parameter in trainer.model.named_parameters():
            if parameter.grad is not None:
                layers.setdefault(name.rpartition(".")[0], []).append(parameter.grad)
        found = {layer: total_norm(grads, 2.0) for layer, grads in layers.items()}
        for layer in found:
            self.norms.setdefault(layer, [math.nan] * (len(self.steps) - 1))
        for layer, norms in self.norms.items():
            norms.append(found.get(layer, math.nan))
        self._totals.append(math.hypot(*found.values()))

    def on_epoch_end(self, trainer: Fit) -> None:
        mean = sum(self._totals) / len(self._totals) if self._totals else math.nan
        trainer.history.last["grad_norm"] = mean

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what was measured so far."""
        return {
            "steps": list(self.steps),
            "norms": {layer: list(norms) for layer, norms in self.norms.items()},
            "seen": self._seen,
            "totals": list(self._totals),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.steps = list(state["steps"])
        self.norms = {layer: list(norms) for layer, norms in state["norms"].items()}
        self._seen, self._totals = int(state["seen"]), list(state["totals"])

    def __repr__(self) -> str:
        return f"GradientMonitor(every={self.every})"
