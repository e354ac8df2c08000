"""Schedules made of schedules: one after another, several at once, and a warm-up before any."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from minigrad.optim.lr_scheduler.base import LRScheduler
from minigrad.optim.lr_scheduler.decay import LinearLR
from minigrad.optim.lr_scheduler.plateau import ReduceLROnPlateau
from minigrad.optim.optimizer import Optimizer


class _Composed(LRScheduler):
    """The base of schedulers that are made of schedulers."""

    _schedulers: list[LRScheduler]

    def _accept(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        """Keep the parts, after checking that all of them write to one optimizer."""
        self.optimizer = self._optimizer(optimizer)
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(
                    f"{self._kind}: expected schedulers, got {type(scheduler).__name__} at place"
                    f" {i}"
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{self._kind}: ReduceLROnPlateau at place {i} needs a metric at each step and"
                    " cannot take part; step it by itself, it goes on from whatever lr it finds"
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{self._kind}: {scheduler._kind} at place {i} belongs to another optimizer;"
                    " make all of them for the same one"
                )
        self._schedulers = list(schedulers)

    def _expect_list(self, name: str, value: Any) -> None:
        self._expect(isinstance(value, Sequence), f"{name} as a list", value)

    def _undo(self) -> None:
        for scheduler in self._schedulers:
            scheduler._undo()

    def _to_initial(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"]

    def _written_names(self) -> tuple[str, ...]:
        return tuple({n: None for part in self._schedulers for n in part._written_names()})

    def _go_to(self, epoch: float) -> None:
        raise TypeError(f"{self._kind}: step() takes no epoch; call it once an epoch")


class SequentialLR(_Composed):
    """One scheduler after another: the next takes over, from its epoch 0, at each milestone.

    schedulers: made for `optimizer`, in order.
    milestones: epochs, rising, one fewer than schedulers.
    last_epoch: where to go on; **ours:** the schedulers, made anew, are stepped there, where
        PyTorch's sequence would start with the first one's lr.
    Raises: ValueError for schedulers of several optimizers, a plateau, or other milestones.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> parts = [mg.optim.lr_scheduler.ConstantLR(opt, 0.5, total_iters=9)]
    >>> parts.append(mg.optim.lr_scheduler.ExponentialLR(opt, gamma=0.5))
    >>> SequentialLR(opt, parts, milestones=[2]).preview(5).tolist()
    [0.5, 0.5, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        self._expect_list("schedulers", schedulers)
        self._expect_list("milestones", milestones)
        self._expect(len(schedulers) >= 1, "at least one scheduler", list(schedulers))
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected {len(schedulers) - 1} milestones for {len(schedulers)}"
                f" schedulers, one fewer, got {len(milestones)}"
            )
        self._milestones = [self._whole("milestones", m, 0) for m in milestones]
        rising = all(a < b for a, b in pairwise(self._milestones))
        self._expect(rising, "milestones that rise", list(milestones))
        self._accept(optimizer, schedulers)
        self.last_epoch = 0
        self._to_initial()
        self._undo()
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()
        for _ in range(self._whole("last_epoch", last_epoch, -1) + 1):
            self._advance()

    def _advance(self) -> None:
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            scheduler._restart()
        else:
            scheduler._advance()
        self._last_lr = scheduler.get_last_lr()

    def _restart(self) -> None:
        self._to_initial()
        self.last_epoch = 0
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._restart()
        self._last_lr = first.get_last_lr()


class ChainedScheduler(_Composed):
    """Several schedulers at once: each steps from the lr that the one before it left.

    schedulers: made for one optimizer, in the order of their effects.
    Raises: ValueError for schedulers of several optimizers, or a plateau.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> parts = [mg.optim.lr_scheduler.ConstantLR(opt, 0.5, total_iters=2)]
    >>> parts.append(mg.optim.lr_scheduler.ExponentialLR(opt, gamma=0.5))
    >>> ChainedScheduler(parts).preview(4).tolist()
    [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._expect_list("schedulers", schedulers)
        self._expect(len(schedulers) >= 1, "at least one scheduler", list(schedulers))
        chosen: Any = optimizer or getattr(schedulers[0], "optimizer", None)
        self._accept(chosen, schedulers)
        self.last_epoch = max(scheduler.last_epoch for scheduler in schedulers)
        self._last_lr = self._current()

    def _advance(self) -> None:
        self.last_epoch += 1
        for scheduler in self._schedulers:
            scheduler._advance()
        self._last_lr = self._current()

    def _restart(self) -> None:
        self._to_initial()
        self.last_epoch = 0
        for scheduler in self._schedulers:
            scheduler.last_epoch = -1
            scheduler._begin()
        self._last_lr = self._current()


def warmup(
    target: Optimizer | LRScheduler, steps: int, start_factor: float = 0.01
) -> LinearLR | SequentialLR:
    """Return a schedule that rises in a line for `steps` steps, then is `target`, or stays.

    target: an optimizer, whose lr is reached and kept; or a scheduler, which begins after the rise.
    steps: >= 1, epochs or batches as step() is called.
    start_factor: of the lr at step 0, in (0, 1].
    Raises: ValueError for options out of range, and for a plateau.
    Source: Goyal et al. 2017, section 2.2, gradual warm-up.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> cosine = mg.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=2)
    >>> warmup(cosine, steps=2, start_factor=0.5).preview(5).round(3).tolist()
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """
    if isinstance(target, Optimizer):
        return LinearLR(target, start_factor, total_iters=steps)
    if not isinstance(target, LRScheduler):
        raise TypeError(
            f"warmup: expected an optimizer or a scheduler, got {type(target).__name__}"
        )
    if isinstance(target, ReduceLROnPlateau):
        raise ValueError(
            "warmup: ReduceLROnPlateau needs a metric at each step; use warmup(optimizer, steps)"
            " and step both, the plateau goes on from whatever lr it finds"
        )
    rise = LinearLR(target.optimizer, start_factor, total_iters=steps)
    return SequentialLR(target.optimizer, [rise, target], [steps])
