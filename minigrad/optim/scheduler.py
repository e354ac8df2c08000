"""The base of all learning rate schedulers: what they write, save and preview."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minigrad.optim.optimizer import Optimizer

Array = np.ndarray[Any, Any]


class LRScheduler:
    """What every scheduler is; a subclass says in `get_lr` what follows from `last_epoch`.

    Making one counts as its step 0 and may write the optimizer's lr.  From then on: train, call
    optimizer.step(), call scheduler.step(); per epoch or per batch, as its numbers are meant.

    optimizer: whose `param_groups[i]["lr"]` is read and written; that is where the truth is, and a
        schedule that steps from the current lr keeps a change made there by hand.
    last_epoch: -1 for a new schedule; to go on with an old one, load its state_dict.
    Raises: TypeError where optimizer is none, KeyError where last_epoch is given for one that was
        never scheduled.
    """

    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = self._optimizer(optimizer)
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
        self.last_epoch = last_epoch
        self._begin()

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

    def _per_group(self, name: str, value: Any) -> list[float]:
        """Return a value for each parameter group, from one number or a list of them."""
        groups = len(self.optimizer.param_groups)
        if not isinstance(value, (list, tuple)):
            return [float(value)] * groups
        if len(value) != groups:
            raise ValueError(
                f"{self._kind}: expected one {name} or {groups}, one a parameter group, got"
                f" {len(value)}"
            )
        return [float(v) for v in value]

    # ------------------------------------------------------------ the schedule
    def get_lr(self) -> list[float]:
        """Return the groups' lr at `last_epoch`, from their present lr or in closed form."""
        raise NotImplementedError(f"{self._kind} has no get_lr")

    def closed_form(self) -> list[float] | None:
        """Return the groups' lr at `last_epoch` from base_lrs alone, None where `get_lr` does."""
        return None

    def step(self) -> None:
        """Move on by one and write the optimizer's lr.

        Raises: RuntimeError before the optimizer's first step.
        """
        self._refuse_early()
        self._advance()

    def _refuse_early(self) -> None:
        if self.optimizer._step_count == 0:
            raise RuntimeError(
                f"{self._kind}: step() was called before the optimizer's first step(), which would"
                " skip the first lr of the schedule; call optimizer.step(), then scheduler.step()"
            )

    def _advance(self) -> None:
        self.last_epoch += 1
        self._write(self.get_lr())

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
            group["lr"] = lr
        self._last_lr = self._current()

    def get_last_lr(self) -> list[float]:
        """Return the lr of every group as the last step left them."""
        return list(self._last_lr)

    # ------------------------------------------------------------ looking ahead
    def _twin(self) -> Any:
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
        self._expect(isinstance(n, int) and n >= 0, "a number of steps n >= 0", n)
        twin = self._twin()
        rates = []
        for k in range(n):
            if k:
                twin._advance()
            rates.append(twin.optimizer.param_groups[group]["lr"])
        return np.array(rates, np.float64)

    # ------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the state: numbers and lists; of a function object its attributes."""
        kept = {k: encode(v) for k, v in vars(self).items() if k != "optimizer"}
        return {"scheduler": self._kind, **kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state; the lr itself comes back with the optimizer's state.

        Raises: ValueError where the state is of another kind, or has other entries.
        """
        if state.get("scheduler") != self._kind:
            raise ValueError(
                f"{self._kind}: expected a state of {self._kind}, got one of"
                f" {state.get('scheduler')!r}; make that scheduler instead"
            )
        mine = vars(self).keys() - {"optimizer"}
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
        return value.state_dict()
    if isinstance(value, list):
        return [encode(v) for v in value]
    if callable(value):
        return copy.deepcopy(getattr(value, "__dict__", {})) or None
    return copy.deepcopy(value)


def decode(held: Any, saved: Any) -> Any:
    """Return the attribute that `saved` stands for; held schedulers and functions stay."""
    if isinstance(held, LRScheduler):
        held.load_state_dict(saved)
        return held
    if isinstance(held, list) and any(isinstance(v, LRScheduler) or callable(v) for v in held):
        return [decode(h, s) for h, s in zip(held, saved, strict=True)]
    if callable(held):
        if saved:
            vars(held).update(copy.deepcopy(saved))
        return held
    return copy.deepcopy(saved)
