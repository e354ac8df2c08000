"""Callback: what may happen during a fit, and when."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MethodType
from typing import Any, Protocol

from minigrad.nn.module import Module
from minigrad.optim.optimizer import Optimizer

HOOKS = (
    "on_fit_begin",
    "on_resume",
    "on_epoch_begin",
    "after_backward",
    "on_step_end",
    "on_train_epoch_end",
    "on_epoch_end",
    "on_fit_end",
)
PREFIXES = ("on_", "after_", "before_")


class Fit(Protocol):
    """A `Trainer` during a fit, as callbacks see it."""

    model: Module
    optimizer: Optimizer
    epoch: int
    epochs: int
    step: int
    steps_per_epoch: int | None
    max_steps: int | None
    train_loader: Any
    val_loader: Any
    stopping: bool
    limit_reached: str
    batch_loss: Any
    history: Any

    @property
    def batch(self) -> tuple[Any, Any]: ...
    def gradient_norms(self) -> list[float]: ...
    def clip_in_step(self, callback: Callback, max_norm: float) -> bool: ...
    def stop(self, reason: str) -> None: ...
    def require_metric(self, name: str, asker: str) -> None: ...


class Callback:
    """The base of callbacks: inherit and write the hooks you need.

    Every hook gets the Trainer, whose attributes say where the fit stands: `epoch` (from 1),
    `epochs`, `step` (of all steps, from 1), `batch_loss`, `model`, `optimizer` and `history`, whose
    last row is the finished epoch in `on_epoch_end`.  `trainer.stop(reason)` ends the fit.

    order: callbacks run by rising order, equal ones as they were given.
    columns: those that its `on_epoch_end` adds to the history's last row: others may monitor them,
        and of callbacks of one order those with columns come first.
    A callback that remembers what a later step, epoch or the fit's end depends on has `state_dict`
    and `load_state_dict` too: a checkpoint of the run holds that, and a resume brings it back after
    `on_fit_begin`, so that the fit goes on as if it had never been interrupted.

    reads_norm: whether `after_backward` asks for `trainer.gradient_norms()`, and changes gradients
        by `trainer.clip_in_step` alone: the norms are then computed with the gradients.
    first_rank_only: whether it prints or writes for all, so that of several processes only the
        first one calls it; others must do the same on all.
    writes_files: whether it leaves files behind; `fit(fast_dev_run=...)` leaves such ones out.

    Raises: TypeError when a subclass has a method that looks like a hook but is none, so that a
        misspelled hook fails at once instead of never being called.

    >>> class Count(Callback):
    ...     def on_step_ended(self, trainer):
    ...         pass
    Traceback (most recent call last):
    ...
    TypeError: Count.on_step_ended is no hook; did you mean one of on_fit_begin, ... A method ...
    """

    order: int = 0
    columns: tuple[str, ...] = ()
    reads_norm: bool = False
    writes_files: bool = False
    first_rank_only: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        unknown = [n for n in vars(cls) if n.startswith(PREFIXES) and n not in HOOKS]
        # An option such as `on_nan` is no method; a method of such a name is a misspelled hook.
        for name in unknown:
            if callable(getattr(cls, name)):
                raise TypeError(
                    f"{cls.__name__}.{name} is no hook; did you mean one of {', '.join(HOOKS)}? "
                    f"A method that is none must not begin with {', '.join(PREFIXES)}"
                )

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what the rest of a fit depends on, of what `mg.save` takes; by default
        nothing.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; during a fit, after `on_fit_begin`.

        Raises: NotImplementedError where only `state_dict` was written.
        """
        if state:
            raise NotImplementedError(
                f"{type(self).__name__}: its state_dict() returns a state, but it has no "
                "load_state_dict(self, state) to take it over"
            )

    def on_fit_begin(self, trainer: Any) -> None:
        """Before the first epoch; may refuse the fit by raising."""

    def on_resume(self, trainer: Any) -> None:
        """After `on_fit_begin` of a fit that goes on from a checkpoint: all is as it was there."""

    def on_epoch_begin(self, trainer: Any) -> None:
        """Before the first step of an epoch."""

    def after_backward(self, trainer: Any) -> None:
        """Between backward() and the optimizer's step: gradients may be looked at and changed."""

    def on_step_end(self, trainer: Any) -> None:
        """After the optimizer's step; the gradients are gone."""

    def on_train_epoch_end(self, trainer: Any) -> None:
        """After the last step of an epoch, before its validation; not where a hook has stopped the
        fit in its middle.
        """

    def on_epoch_end(self, trainer: Any) -> None:
        """After the epoch's validation; `trainer.history.last` is its row."""

    def on_fit_end(self, trainer: Any) -> None:
        """Once, however the fit ended: all epochs done, stopped, interrupted, or by an error; for
        every callback whose `on_fit_begin` was called, even if that raised.
        """


def ordered(callbacks: list[Callback]) -> list[Callback]:
    """Return callbacks in the order in which they run."""
    return sorted(callbacks, key=lambda callback: (callback.order, not callback.columns))


def hooks_of(callbacks: list[Callback], name: str) -> list[Any]:
    """Return the bound hooks that are overridden, in the order in which they run.

    >>> hooks_of([Callback()], "on_step_end")
    []
    """
    found = []
    for callback in ordered(callbacks):
        own = vars(callback).get(name)  # `callback.on_epoch_end = function`, of the trainer alone
        if own is not None:
            found.append(MethodType(partial(_without_self, own), callback))
        elif getattr(type(callback), name) is not getattr(Callback, name):
            found.append(getattr(callback, name))
    return found


def _without_self(function: Any, _: Callback, trainer: Any) -> None:
    """Call a hook that is an attribute of its callback, not a method."""
    function(trainer)
