"""LRScheduler: step a learning rate schedule during a fit, per epoch or per step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from minigrad.optim.lr_scheduler import CyclicLR, OneCycleLR, ReduceLROnPlateau
from minigrad.optim.lr_scheduler import LRScheduler as Schedule
from minigrad.optim.optimizer import Optimizer
from minigrad.train.callback import Callback

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer

PER_STEP = (OneCycleLR, CyclicLR)  # their numbers count batches


class LRScheduler(Callback):
    """Step a scheduler of `mg.optim.lr_scheduler` after every epoch, or after every step.

    scheduler: a scheduler of the trainer's optimizer, or a function of (optimizer, total_steps)
        that makes one when the fit begins and so knows how long it is:
        `lambda opt, total_steps: OneCycleLR(opt, 0.1, total_steps=total_steps)`.
    per: "epoch" or "step"; OneCycleLR and CyclicLR step per "step" unless told otherwise.
        total_steps counts in the same unit.
    monitor: the column of the history that ReduceLROnPlateau watches.

    Raises: ValueError for a plateau per step, for a scheduler of another optimizer, and for a fit
        that has no such metric.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=0.1)
    >>> LRScheduler(ReduceLROnPlateau(optimizer))
    LRScheduler(ReduceLROnPlateau, per='epoch', monitor='val_loss')
    """

    def __init__(
        self,
        scheduler: Schedule | Callable[[Optimizer, int], Schedule],
        per: str | None = None,
        monitor: str = "val_loss",
    ) -> None:
        if per not in (None, "epoch", "step"):
            raise ValueError(f"LRScheduler: expected per='epoch' or per='step', but got {per!r}")
        if isinstance(scheduler, type) or not (
            isinstance(scheduler, Schedule) or callable(scheduler)
        ):
            raise TypeError(
                "LRScheduler: expected a scheduler or a function of (optimizer, total_steps), but "
                f"got {scheduler!r}"
            )
        self._factory = None if isinstance(scheduler, Schedule) else scheduler
        self.scheduler = scheduler if isinstance(scheduler, Schedule) else None
        self.monitor = monitor
        default = "step" if isinstance(scheduler, PER_STEP) else "epoch"
        self.per = default if per is None else per
        self._told = per is not None
        if per == "step" and isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                "LRScheduler: ReduceLROnPlateau waits for a metric of the whole epoch; use "
                "per='epoch'"
            )

    def on_fit_begin(self, trainer: Trainer) -> None:
        if self._factory is not None:
            self.scheduler = self._factory(trainer.optimizer, self._total(trainer))
            if isinstance(self.scheduler, PER_STEP) and self.per == "epoch" and not self._told:
                self.per = "step"  # what it was made with counted epochs
                self.scheduler = self._factory(trainer.optimizer, self._total(trainer))
        if not isinstance(self.scheduler, Schedule):
            raise TypeError(
                "LRScheduler: the function should return a scheduler of mg.optim.lr_scheduler, but "
                f"it returned {self.scheduler!r}"
            )
        if self.scheduler.optimizer is not trainer.optimizer:
            raise ValueError(
                f"LRScheduler: {type(self.scheduler).__name__} was made for another optimizer than "
                "the trainer's, so it would change nothing; make it with the trainer's"
            )
        if isinstance(self.scheduler, ReduceLROnPlateau):
            trainer.require_metric(self.monitor, "LRScheduler")

    def _total(self, trainer: Trainer) -> int:
        """Return how often the scheduler will step in this fit."""
        if self.per == "epoch":
            return trainer.epochs
        if trainer.steps_per_epoch is None:
            raise ValueError(
                "LRScheduler: the training loader has no len(), so total_steps is unknown; give it "
                "a __len__, or make the scheduler yourself"
            )
        return trainer.epochs * trainer.steps_per_epoch

    def on_step_end(self, trainer: Trainer) -> None:
        if self.per == "step" and self.scheduler is not None:
            self.scheduler.step()

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.per == "step":
            return
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(trainer.history.last[self.monitor])
        elif self.scheduler is not None:
            self.scheduler.step()

    def __repr__(self) -> str:
        name = "a function" if self.scheduler is None else type(self.scheduler).__name__
        plateau = isinstance(self.scheduler, ReduceLROnPlateau)
        monitor = f", monitor={self.monitor!r}" if plateau else ""
        return f"LRScheduler({name}, per={self.per!r}{monitor})"
