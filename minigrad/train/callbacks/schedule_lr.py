"""ScheduleLR: step a learning rate schedule during a fit, per epoch or per step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from minigrad.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau
from minigrad.optim.lr_scheduler.base import start_over
from minigrad.optim.optimizer import Optimizer
from minigrad.train.callbacks.base import Callback, Fit
from minigrad.train.direction import direction

Factory = Callable[[Optimizer, int], LRScheduler]
PER_STEP = (OneCycleLR, CyclicLR)  # their numbers count batches
LENGTHS = ("total_steps", "T_max", "total_iters")  # attributes that say how long a schedule is


class ScheduleLR(Callback):
    """Step a scheduler of `mg.optim.lr_scheduler` after every epoch, or after every step.

    scheduler: a scheduler of the trainer's optimizer, which goes on in a further fit; or a function
        of (optimizer, total_steps) that makes one when the fit begins and so knows how long it is:
        `lambda opt, total_steps: OneCycleLR(opt, 0.1, total_steps=total_steps)`.  Every fit then
        starts over, from the lr and momentum that the optimizer had before any schedule, or from
        those that were set by hand since.
    per: "epoch" or "step"; OneCycleLR and CyclicLR step per "step" unless told otherwise.
        total_steps counts in the same unit.
    monitor: the column of the history that ReduceLROnPlateau watches.

    Raises: ValueError for a plateau per step, for a scheduler of another optimizer, for a fit that
        has no such metric, and for a plateau made without `mode` whose metric should rise or is
        not known to fall.
    Warns: UserWarning for a schedule that is at its end, with an lr of 0 from then on.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=0.1)
    >>> ScheduleLR(ReduceLROnPlateau(optimizer))
    ScheduleLR(ReduceLROnPlateau, per='epoch', monitor='val_loss')
    """

    def __init__(
        self,
        scheduler: LRScheduler | Factory,
        per: str | None = None,
        monitor: str = "val_loss",
    ) -> None:
        if per not in (None, "epoch", "step"):
            raise ValueError(f"ScheduleLR: expected per='epoch' or per='step', but got {per!r}")
        if isinstance(scheduler, type) or not (
            isinstance(scheduler, LRScheduler) or callable(scheduler)
        ):
            raise TypeError(
                "ScheduleLR: expected a scheduler or a function of (optimizer, total_steps), but "
                f"got {scheduler!r}"
            )
        self._factory = None if isinstance(scheduler, LRScheduler) else scheduler
        self.scheduler = scheduler if isinstance(scheduler, LRScheduler) else None
        self.monitor = monitor
        default = "step" if isinstance(scheduler, PER_STEP) else "epoch"
        self.per = default if per is None else per
        self._told = per is not None
        self._steps: int | None = None  # that the function was told
        if per == "step" and isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                "ScheduleLR: ReduceLROnPlateau waits for a metric of the whole epoch; use "
                "per='epoch'"
            )

    def on_fit_begin(self, trainer: Fit) -> None:
        if self._factory is not None:
            self.scheduler = self._made(self._factory, trainer)
        if not isinstance(self.scheduler, LRScheduler):
            raise TypeError(
                "ScheduleLR: the function should return a scheduler of mg.optim.lr_scheduler, but "
                f"it returned {self.scheduler!r}"
            )
        if self.scheduler.optimizer is not trainer.optimizer:
            raise ValueError(
                f"ScheduleLR: {type(self.scheduler).__name__} was made for another optimizer than "
                "the trainer's, so it would change nothing; make it with the trainer's"
            )
        if isinstance(self.scheduler, ReduceLROnPlateau):
            trainer.require_metric(self.monitor, "ScheduleLR")
            self._check_mode(self.scheduler)
        elif self._factory is None:
            _warn_of_end(self.scheduler)

    def _made(self, factory: Factory, trainer: Fit) -> LRScheduler:
        """Return a new schedule, made for the steps of this fit."""
        optimizer = trainer.optimizer
        before = self.scheduler
        if not self._told:
            self.per = "epoch"
        try:
            start_over(optimizer)
            made = factory(optimizer, self._total(trainer))
            by_step = isinstance(made, PER_STEP) and self.per == "epoch" and not self._told
        except ValueError:
            # So few epochs may be too short for a schedule that is to count steps.
            if self._told or trainer.steps_per_epoch is None:
                raise
            by_step = True
        if by_step:
            self.per = "step"  # what it was made with counted epochs
            start_over(optimizer)
            made = factory(optimizer, self._total(trainer))
        self._steps = self._total(trainer)
        if made is before and made is not None:
            raise ValueError(
                f"ScheduleLR: the function returned the {type(made).__name__} of an earlier fit "
                "again; it should make a new one at each call"
            )
        return made

    def _check_mode(self, plateau: ReduceLROnPlateau) -> None:
        if plateau.mode_given:
            return
        way = direction(self.monitor)
        if way == plateau.mode:
            return
        known = "should rise" if way else "is not known to fall"
        raise ValueError(
            f"ScheduleLR monitors {self.monitor!r}, which {known}, but its ReduceLROnPlateau was "
            f"made without a mode, so with mode='min'; give it mode={way or 'max'!r}"
            f"{'' if way else ' or ' + repr('min')}"
        )

    def _total(self, trainer: Fit) -> int:
        """Return how often the scheduler will step in this fit."""
        if self.per == "epoch":
            return trainer.epochs
        if trainer.steps_per_epoch is None:
            raise ValueError(
                "ScheduleLR: the training loader has no len(), so total_steps is unknown; give it "
                "a __len__, or make the scheduler yourself"
            )
        total = trainer.epochs * trainer.steps_per_epoch
        return total if trainer.max_steps is None else min(total, trainer.max_steps)

    def on_step_end(self, trainer: Fit) -> None:
        if self.per == "step" and self.scheduler is not None:
            self.scheduler.step()

    def on_epoch_end(self, trainer: Fit) -> None:
        if self.per == "step":
            return
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(trainer.history.last[self.monitor])
        elif self.scheduler is not None:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state, with what it has written to the optimizer."""
        if self.scheduler is None:
            return {}
        state = {"per": self.per, "scheduler": self.scheduler.state_dict()}
        return {**state, "total_steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the schedule.

        Raises: ValueError for a schedule of another kind or unit, and for one of other steps.
        """
        if not state or self.scheduler is None:
            raise ValueError("ScheduleLR.load_state_dict: there is no schedule to go on with")
        if state["per"] != self.per:
            raise ValueError(
                f"ScheduleLR.load_state_dict: the state is of a schedule per {state['per']}, but "
                f"this one steps per {self.per}"
            )
        saved = dict(state["scheduler"])
        lengths = [("total_steps", state["total_steps"], self._steps)]
        mine = {name: vars(self.scheduler).get(name) for name in LENGTHS}
        lengths += [(name, saved.get(name), value) for name, value in mine.items()]
        for name, before, now in lengths:
            if before != now:
                raise ValueError(
                    f"ScheduleLR.load_state_dict: the {type(self.scheduler).__name__} of the state "
                    f"has {name}={before}, but this one {name}={now}; a schedule that knows how "
                    "long the fit is goes on with the same epochs and the same data alone"
                )
        self.scheduler.load_state_dict(saved)

    def __repr__(self) -> str:
        name = "a function" if self.scheduler is None else type(self.scheduler).__name__
        plateau = isinstance(self.scheduler, ReduceLROnPlateau)
        monitor = f", monitor={self.monitor!r}" if plateau else ""
        return f"ScheduleLR({name}, per={self.per!r}{monitor})"


def _warn_of_end(schedule: LRScheduler) -> None:
    """Say that nothing will be trained where a schedule has come to 0 for good."""
    rates = [float(group["lr"]) for group in schedule.optimizer.param_groups]
    if any(rates) or any(schedule.preview(2, group)[-1] for group in range(len(rates))):
        return
    warnings.warn(
        f"ScheduleLR: {type(schedule).__name__} has brought the learning rate to 0 and keeps it "
        "there, so this fit trains nothing; give a function that makes a new schedule for each fit",
        UserWarning,
        stacklevel=2,
    )
