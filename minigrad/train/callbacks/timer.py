"""Timer: where the time of a fit goes, and an end to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from minigrad.engine import arguments
from minigrad.train.callbacks.base import Callback, Fit

ENDED = "Timer: max_seconds="
PARTS = ("training", "validation", "hooks")


class Timer(Callback):
    """Measure training, validation and the hooks at epochs' ends, of a run over all its resumes.

    max_seconds: end the run after the first epoch whose end comes after so much time in all; unlike
        `fit(max_seconds=...)`, which counts from the beginning of that fit and may cut an epoch.

    >>> timer = Timer()
    >>> timer.seconds
    {'training': 0.0, 'validation': 0.0, 'hooks': 0.0}
    """

    order = 500  # what it measures of an epoch's hooks are those of all others

    def __init__(self, max_seconds: float | None = None) -> None:
        self.max_seconds = None
        if max_seconds is not None:
            self.max_seconds = arguments.number("Timer", "max_seconds", max_seconds)
            if not self.max_seconds > 0:
                raise ValueError(f"Timer: expected max_seconds above 0, but got {max_seconds}")
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.steps = 0
        self._since = 0.0
        self._running = ""

    @property
    def elapsed(self) -> float:
        """Return the seconds of all parts together."""
        return sum(self.seconds.values())

    @property
    def steps_per_second(self) -> float:
        """Return the optimizer steps for each second of training; NaN before the first."""
        training = self.seconds["training"]
        return self.steps / training if training else float("nan")

    def _switch(self, part: str) -> None:
        """Count the time since the last switch, and begin another part."""
        here = time.perf_counter()
        if self._running:
            self.seconds[self._running] += here - self._since
        self._since, self._running = here, part

    def on_fit_begin(self, trainer: Fit) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.steps = 0
        self._running = ""

    def on_resume(self, trainer: Fit) -> None:
        """Go on with a run that this ended where it has more time now."""
        own = trainer.history.stop_reason.startswith(ENDED)
        over = self.max_seconds is not None and self.elapsed >= self.max_seconds
        if trainer.stopping and own and not over:
            trainer.stopping = False

    def on_epoch_begin(self, trainer: Fit) -> None:
        self._switch("training")

    def on_step_end(self, trainer: Fit) -> None:
        self.steps += 1
        if not self._running:  # of an epoch that was resumed
            self._switch("training")

    def on_train_epoch_end(self, trainer: Fit) -> None:
        self._switch("validation")

    def on_epoch_end(self, trainer: Fit) -> None:
        self._switch("hooks")
        if self.max_seconds is not None and self.elapsed >= self.max_seconds:
            trainer.stop(f"{ENDED}{self.max_seconds:g} are over")

    def on_fit_end(self, trainer: Fit) -> None:
        self._switch("")

    def state_dict(self) -> dict[str, Any]:
        """Return the time so far."""
        self._switch(self._running)
        return {"seconds": dict(self.seconds), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.seconds = {part: float(state["seconds"][part]) for part in PARTS}
        self.steps = int(state["steps"])

    def __repr__(self) -> str:
        return "Timer()" if self.max_seconds is None else f"Timer(max_seconds={self.max_seconds:g})"
