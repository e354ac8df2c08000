"""The base of all learning rate schedulers: what they write, save and preview."""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import USED
from minigrad.engine.recording import each_call
from minigrad.optim.optimizer import Optimizer
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
NOT_OURS = ("groups", "optimizer")  # entries of a state that are the optimizer's
LEFT_BY_SCHEDULES = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")


class LRScheduler:
    """The base of the schedulers; a subclass says in `get_lr` what follows from `last_epoch`.

    Making one counts as its step 0 and may write the optimizer's lr.  From then on: train, call
    optimizer.step(), call scheduler.step(); per epoch or per batch, as its numbers are meant.

    optimizer: whose `param_groups[i]["lr"]` is read and written; that is where the truth is, and a
        schedule that steps from the current lr keeps a change made there by hand.
    last_epoch: -1 for a new schedule.  To go on with an old one, load its state_dict, before or
        after the optimizer's; or load the optimizer's alone and give the number of the last
        finished epoch, counted from 0.
    Raises: TypeError where optimizer is none, KeyError where last_epoch is given for one that was
        never scheduled.

    **Ours:** a state brings the optimizer's lr back too, so that the order in which the two are
    made and loaded does not matter; making one of PyTorch's schedulers spoils the lr of an
    optimizer that was loaded before.  And a schedule that is made for a used optimizer, whose lr an
    earlier schedule has brought to its end (0 or eta_min), starts over from the initial lr, where
    PyTorch's stay at the end for ever.
    """

    _is_initial = False
    _unsaved: tuple[str, ...] = ("optimizer",)  # attributes that are no part of the state
    _overwrites = False  # get_lr does without the present lr
    _written: tuple[str, ...] = ("lr", "initial_lr", "own_lr", "scheduled_lr")

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = self._optimizer(optimizer)
        self._remember()
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{self._kind}: last_epoch = {last_epoch} needs 'initial_lr' in"
                    f" param_groups[{i}];"
                    " load the optimizer's state_dict first, or start with last_epoch = -1"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = self._whole("last_epoch", last_epoch, -1)
        if last_epoch == -1 and optimizer._step_count:
            self._revive()
        if last_epoch == -1 or self._overwrites:
            self._begin()
        else:
            self.last_epoch += 1
            self._write(self._current())  # what the optimizer's state has brought back

    def _remember(self) -> None:
        """Keep the lr that the groups had before any schedule, for `start_over`."""
        for group in self.optimizer.param_groups:
            if "own_lr" not in group:
                group["own_lr"] = group["scheduled_lr"] = float(group["lr"])

    def _revive(self) -> None:
        """Go back to the initial lr where an earlier schedule has left nothing to scale."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            lr = float(group["lr"])
            if lr == group["scheduled_lr"] and base > 0 and self._spent(lr, base):
                group["lr"] = base

    def _spent(self, lr: float, base: float) -> bool:
        """Return whether a schedule that scales this lr would never leave it."""
        return lr <= 1e-12 * base  # a cosine ends at 0 but for rounding

    @property
    def _kind(self) -> str:
        return type(self).__name__

    def _optimizer(self, optimizer: Any) -> Optimizer:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{self._kind}: expected an optimizer of minigrad.optim, got"
                f" {type(optimizer).__name__}"
            )
        return optimizer

    def _expect(self, good: bool, what: str, value: Any) -> None:
        """Raise a ValueError that says what was expected, unless good."""
        if not good:
            raise ValueError(f"{self._kind}: expected {what}, got {value!r}")

    def _whole(self, name: str, value: Any, least: int) -> int:
        """Return a whole number of whatever type; 3.0 is one too."""
        is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
        try:
            return arguments.whole(self._kind, name, int(value) if is_whole else value, least)
        except (TypeError, ValueError):
            raise ValueError(
                f"{self._kind}: expected {name} to be an int >= {least}, got {value!r}"
            ) from None

    def _number(self, name: str, value: Any) -> float:
        """Return a real number of whatever type as a float."""
        return arguments.number(self._kind, name, value)

    def _per_group(self, name: str, value: Any) -> list[float]:
        """Return a value for each parameter group, from one number or a list of them."""
        groups = len(self.optimizer.param_groups)
        if isinstance(value, np.ndarray | Tensor) and value.ndim:
            value = value.tolist()
        if not isinstance(value, (list, tuple)):
            return [self._number(name, value)] * groups
        if len(value) != groups:
            raise ValueError(
                f"{self._kind}: expected one {name} or {groups}, one a parameter group, got"
                f" {len(value)}"
            )
        return [self._number(name, v) for v in value]

    # ------------------------------------------------------------ the schedule
    def get_lr(self) -> list[float]:
        """Return the groups' lr at `last_epoch`, from their present lr or in closed form."""
        raise NotImplementedError(f"{self._kind} has no get_lr")

    def closed_form(self) -> list[float] | None:
        """Return the groups' lr at `last_epoch` from base_lrs alone, None where `get_lr` does."""
        return None

    def step(self, epoch: float | None = None) -> None:
        """Move on by one, or to an epoch, and write the optimizer's lr.

        epoch: >= 0; the lr there follows from the initial one, whatever was done to it between.
            With a fraction, say `epoch + i / len(loader)` after batch i, where the schedule is a
            curve.
        Raises: RuntimeError before the optimizer's first step, TypeError for an epoch where the
            schedule cannot be entered in its middle.
        """
        self._refuse_early()
        if USED:
            each_call(partial(self.step, epoch))
        if epoch is None:
            self._advance()
            return
        value = arguments.number(self._kind, "epoch", epoch)
        self._expect(0 <= value < math.inf, "epoch to be a number >= 0", epoch)
        self._go_to(int(value) if value.is_integer() else value)

    def _refuse_early(self) -> None:
        if self.optimizer._step_count == 0:
            raise RuntimeError(
                f"{self._kind}: step() was called before the optimizer's first step(), which would"
                " skip the first lr of the schedule; call optimizer.step(), then scheduler.step()"
            )

    def _advance(self) -> None:
        self.last_epoch += 1
        self._write(self.get_lr())

    def _go_to(self, epoch: float) -> None:
        """Write the lr of an epoch, from the initial lr alone."""
        before = self.last_epoch
        self.last_epoch = epoch  # type: ignore[assignment]
        rates = self.closed_form()
        if rates is None and not self._overwrites:
            self.last_epoch = before
            raise TypeError(
                f"{self._kind}: step() takes no epoch, since each lr follows from the"
                " one before; call step() once an epoch"
            )
        self._write(self.get_lr() if rates is None else rates)

    def _begin(self) -> None:
        """Take step 0, which many schedules leave without effect."""
        self._is_initial = True
        try:
            self._advance()
        finally:
            del self._is_initial

    def _restart(self) -> None:
        """Go to epoch 0: what a SequentialLR does when this scheduler's turn comes."""
        self.last_epoch = 0
        rates = self.closed_form()
        self._write(self.get_lr() if rates is None else rates)

    def _undo(self) -> None:
        """Take back step 0."""
        self.last_epoch -= 1

    def _current(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _write(self, rates: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = group["scheduled_lr"] = float(lr)
        self._last_lr = self._current()

    def get_last_lr(self) -> list[float]:
        """Return the lr of every group as the last step left them."""
        return list(self._last_lr)

    # ------------------------------------------------------------ looking ahead
    def _independent_copy(self) -> Any:
        """Return a copy of the scheduler that writes to a copy of the optimizer's options."""
        stand_in = copy.copy(self.optimizer)
        stand_in.param_groups = [
            {key: value for key, value in group.items() if key != "params"}
            for group in self.optimizer.param_groups
        ]
        return copy.deepcopy(self, {id(self.optimizer): stand_in})

    def preview(self, n: int, group: int = 0) -> Array:
        """Return the lr of this step and the next n - 1, of one parameter group; change nothing.

        Shape: (n,) float64; entry k is the lr after k calls of step().
        """
        n = self._whole("n, a number of steps,", n, 0)
        other = self._independent_copy()
        rates = []
        for k in range(n):
            if k:
                other._advance()
            rates.append(other.optimizer.param_groups[group]["lr"])
        return np.array(rates, np.float64)

    # ------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state: numbers and lists; of a function object its attributes.

        "groups" holds what the schedule has written to the optimizer: lr, initial_lr, ...
        """
        names = self._written_names()
        groups = [
            {key: encode(group[key]) for key in names if key in group}
            for group in self.optimizer.param_groups
        ]
        return {**self._state(), "groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state, and give the optimizer the lr that it had when that was saved.

        Of what `minigrad.save(scheduler)` wrote, the optimizer's own part is left to the optimizer.

        Raises: ValueError where the state is of another kind, or has other entries.
        """
        groups = state.get("groups")
        held = self.optimizer.param_groups
        if groups is not None and len(groups) != len(held):
            raise ValueError(
                f"{self._kind}: this state is of an optimizer with {len(groups)} parameter groups,"
                f" the optimizer here has {len(held)}"
            )
        self._load({key: value for key, value in state.items() if key not in NOT_OURS})
        for group, saved in zip(held, groups or [], strict=False):
            for key, value in saved.items():
                group[key] = tuple(value) if isinstance(value, list) else value

    def _written_names(self) -> tuple[str, ...]:
        return self._written

    def _state(self) -> dict[str, Any]:
        kept = {k: encode(v) for k, v in vars(self).items() if k not in self._unsaved}
        return {"scheduler": self._kind, **kept}

    def _load(self, state: dict[str, Any]) -> None:
        if state.get("scheduler") != self._kind:
            raise ValueError(
                f"{self._kind}: expected a state of {self._kind}, got one of"
                f" {state.get('scheduler')!r}; make that scheduler instead"
            )
        mine = vars(self).keys() - set(self._unsaved)
        theirs = state.keys() - {"scheduler"}
        if mine != theirs:
            raise ValueError(
                f"{self._kind}: this state does not fit: missing {sorted(mine - theirs)},"
                f" not known {sorted(theirs - mine)}"
            )
        for key in sorted(mine):
            setattr(self, key, decode(getattr(self, key), state[key]))

    def __repr__(self) -> str:
        return f"{self._kind}(last_epoch={self.last_epoch}, lr={self._last_lr})"


def encode(value: Any) -> Any:
    """Return an attribute as it is saved."""
    if isinstance(value, LRScheduler):
        return value._state()
    if isinstance(value, list | tuple):
        return [encode(v) for v in value]
    if callable(value):
        return copy.deepcopy(getattr(value, "__dict__", {})) or None
    return copy.deepcopy(value)


def decode(held: Any, saved: Any) -> Any:
    """Return the attribute that `saved` stands for; held schedulers and functions stay."""
    if isinstance(held, LRScheduler):
        held._load(saved)
        return held
    if isinstance(held, list) and any(isinstance(v, LRScheduler) or callable(v) for v in held):
        return [decode(h, s) for h, s in zip(held, saved, strict=True)]
    if callable(held):
        if saved:
            vars(held).update(copy.deepcopy(saved))
        return held
    return copy.deepcopy(saved)


def start_over(optimizer: Optimizer) -> None:
    """Undo what schedules have done to an optimizer's options, so that a new one starts afresh.

    lr, momentum and betas become what they were before the first schedule; one that was changed by
    hand since stays as it is now.

    >>> import minigrad as mg
    >>> from minigrad.optim.lr_scheduler import OneCycleLR
    >>> optimizer = mg.optim.SGD([mg.zeros(1)], lr=0.5, momentum=0.9)
    >>> schedule = OneCycleLR(optimizer, max_lr=2.0, total_steps=9)
    >>> start_over(optimizer)
    >>> optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]
    (0.5, 0.9)
    """
    for group in optimizer.param_groups:
        for name in ("lr", "momentum", "betas"):
            own, scheduled = group.pop(f"own_{name}", None), group.pop(f"scheduled_{name}", None)
            if own is not None and group[name] == scheduled:
                group[name] = own
        for name in LEFT_BY_SCHEDULES:
            group.pop(name, None)
