"""Schedules that rise and fall: warm restarts, one cycle, many cycles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minigrad.optim.lr_scheduler.base import LRScheduler
from minigrad.optim.optimizer import Optimizer


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine from the initial lr to eta_min, then at once up again; overwrites what others set.

    lr = eta_min + (initial lr - eta_min)(1 + cos(pi T_cur / T_i)) / 2

    T_0: length of the first period, an int >= 1.
    T_mult: how many times longer each period is than the one before, an int >= 1.
    `step(epoch + i / len(loader))` after batch i follows the curve within an epoch.
    Source: Loshchilov and Hutter 2017, eq. 5.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> CosineAnnealingWarmRestarts(opt, T_0=2).preview(5).round(3).tolist()
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = self._optimizer(optimizer)
        self.T_0 = self._whole("T_0", T_0, 1)
        self.T_mult = self._whole("T_mult", T_mult, 1)
        self.eta_min = self._number("eta_min", eta_min)
        self._place(max(self._whole("last_epoch", last_epoch, -1), 0))
        super().__init__(optimizer, last_epoch)

    _overwrites = True

    def get_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def _place(self, epoch: float) -> None:
        """Find the period of an epoch; by subtraction, where PyTorch's logarithm rounds."""
        self.T_cur, self.T_i = epoch, self.T_0
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult

    def _go_to(self, epoch: float) -> None:
        self._place(epoch)
        self.last_epoch = math.floor(epoch)
        self._write(self.get_lr())

    def _restart(self) -> None:
        self._place(0)
        super()._restart()

    def _advance(self) -> None:
        if self.last_epoch >= 0 and not self._is_initial:
            self.T_cur += 1  # from wherever step(epoch) has left it, with its fraction
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        else:
            self._place(self.last_epoch + 1)
        super()._advance()


class _CyclesMomentum(LRScheduler):
    """The base of one cycle and many cycles: momentum, or beta1, moves against lr."""

    cycle_momentum: bool
    use_beta1: bool
    _overwrites = True

    def _written_names(self) -> tuple[str, ...]:
        kept = (*self._written, "max_lr", "min_lr")
        if not self.cycle_momentum:
            return kept
        name = "betas" if self.use_beta1 else "momentum"
        return (*kept, "max_momentum", "base_momentum", name, f"own_{name}", f"scheduled_{name}")

    def _prepare_momentum(self, base_momentum: Any, max_momentum: Any, last_epoch: int) -> None:
        self.use_beta1 = "betas" in self.optimizer.defaults
        if not self.cycle_momentum:
            return
        if not self.use_beta1 and "momentum" not in self.optimizer.defaults:
            raise ValueError(
                f"{self._kind}: cycle_momentum needs an optimizer with momentum or betas, and"
                f" {type(self.optimizer).__name__} has neither; pass cycle_momentum=False"
            )
        low = self._per_group("base_momentum", base_momentum)
        high = self._per_group("max_momentum", max_momentum)
        if last_epoch == -1:
            for group, base, top in zip(self.optimizer.param_groups, low, high, strict=True):
                name = "betas" if self.use_beta1 else "momentum"
                group.setdefault(f"own_{name}", group[name])
                self._set_momentum(group, top)
                group["max_momentum"] = top
                group["base_momentum"] = base

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = group["scheduled_betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = group["scheduled_momentum"] = momentum


def cosine(start: float, end: float, share: float) -> float:
    """Return what lies `share` of the way from start to end along half a cosine.

    >>> cosine(1.0, 0.0, 0.5)
    0.5
    """
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def linear(start: float, end: float, share: float) -> float:
    """Return what lies `share` of the way from start to end along a line.

    >>> linear(1.0, 0.0, 0.25)
    0.75
    """
    return (end - start) * share + start


ANNEALING = {"cos": cosine, "linear": linear}


class OneCycleLR(_CyclesMomentum):
    """One rise from max_lr / div_factor to max_lr and one long fall to almost nothing, per batch.

    initial = max_lr / div_factor;  min = initial / final_div_factor.  Phases end at pct_start T - 1
    and T - 1; with three_phase at pct_start T - 1, 2 pct_start T - 2 (initial again) and T - 1.
    Momentum, or beta1, goes from max_momentum to base_momentum and back.  Overwrites what others
    set.  **Ours:** the T-th call of step(), after the last batch, stays at min; PyTorch's rises
    again there.

    max_lr: one, or one a parameter group.
    total_steps: T, the batches of the whole training; or epochs and steps_per_epoch.
    pct_start: the share of T that rises, in [0, 1].  anneal_strategy: "cos" or "linear".
    Raises: ValueError for options out of range, and at call T + 1 of step().
    Source: Smith and Topin 2018; two phases as in fastai and PyTorch.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> schedule = OneCycleLR(opt, max_lr=1.0, total_steps=4, pct_start=0.5, div_factor=4.0)
    >>> schedule.preview(4).round(3).tolist()
    [0.25, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = self._optimizer(optimizer)
        pct_start = self._number("pct_start", pct_start)
        self._expect(0 <= pct_start <= 1, "pct_start in [0, 1]", pct_start)
        div_factor = self._number("div_factor", div_factor)
        final_div_factor = self._number("final_div_factor", final_div_factor)
        self._expect(div_factor > 0, "div_factor > 0", div_factor)
        self._expect(final_div_factor > 0, "final_div_factor > 0", final_div_factor)
        self._expect(
            anneal_strategy in ANNEALING, "anneal_strategy 'cos' or 'linear'", anneal_strategy
        )
        self.total_steps = self._total(total_steps, epochs, steps_per_epoch)
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.three_phase = three_phase
        self.cycle_momentum = cycle_momentum
        if pct_start * self.total_steps == 1:
            raise ValueError(
                f"OneCycleLR: pct_start * total_steps = {pct_start} * {self.total_steps} = 1 leaves"
                " no step to rise in; raise pct_start, or set it to 0 to begin at max_lr"
            )
        max_lrs = self._per_group("max_lr", max_lr)
        self._remember()
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self._prepare_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _total(self, total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
        if total_steps is not None:
            return self._whole("total_steps", total_steps, 1)
        if epochs is None or steps_per_epoch is None:
            raise ValueError(
                "OneCycleLR: expected total_steps, or epochs and steps_per_epoch (the length of the"
                " training loader), got neither"
            )
        per_epoch = self._whole("steps_per_epoch", steps_per_epoch, 1)
        return self._whole("epochs", epochs, 1) * per_epoch

    def _phases(self) -> list[tuple[float, str, str, str, str]]:
        """Return the phases: last step, lr from and to, momentum from and to."""
        first = self.pct_start * self.total_steps - 1
        up = (first, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        last = self.total_steps - 1
        if not self.three_phase:
            return [up, (last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        second = 2 * self.pct_start * self.total_steps - 2
        down = (second, "max_lr", "initial_lr", "base_momentum", "max_momentum")
        return [up, down, (last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]

    def get_lr(self) -> list[float]:
        step: float = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step() was called {step} times, but the schedule has total_steps ="
                f" {self.total_steps}; total_steps is epochs * len(loader) when step() is called"
                " after every batch"
            )
        step = min(step, self.total_steps - 1)
        phases = self._phases()
        start = 0.0
        for phase in phases:
            if step <= phase[0] or phase is phases[-1]:
                break
            start = phase[0]
        end, from_lr, to_lr, from_momentum, to_momentum = phase
        share = (step - start) / (end - start) if end != start else 1.0
        anneal = ANNEALING[self.anneal_strategy]
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(anneal(group[from_lr], group[to_lr], share))
            if self.cycle_momentum:
                momentum = anneal(group[from_momentum], group[to_momentum], share)
                self._set_momentum(group, momentum)
        return rates


class CyclicLR(_CyclesMomentum):
    """lr between base_lr and max_lr, up and down in a line, for ever; overwrites what others set.

    base_lr, max_lr: one, or one a parameter group.
    step_size_up, step_size_down: steps of a rise and of a fall (None: the same).
    mode: "triangular", "triangular2" (half the height each cycle), "exp_range" (gamma^step).
    scale_fn: a height of your own in [0, 1], of the cycle's number from 1 on or, with scale_mode
        "iterations", of the step; mode is then not used.
    cycle_momentum: momentum, or beta1, goes from max_momentum to base_momentum as lr rises.
    Raises: ValueError for options out of range.
    Source: Smith 2017, section 3.1.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> CyclicLR(opt, base_lr=1.0, max_lr=2.0, step_size_up=2).preview(5).tolist()
    [1.0, 1.5, 2.0, 1.5, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = self._optimizer(optimizer)
        known = ("triangular", "triangular2", "exp_range")
        self._expect(scale_fn is not None or mode in known, f"mode to be one of {known}", mode)
        modes = ("cycle", "iterations")
        self._expect(scale_mode in modes, f"scale_mode to be one of {modes}", scale_mode)
        self._expect(scale_fn is None or callable(scale_fn), "scale_fn to be a function", scale_fn)
        up = self._number("step_size_up", step_size_up)
        down = up if step_size_down is None else self._number("step_size_down", step_size_down)
        self._expect(up > 0 and down > 0, "step sizes > 0", (step_size_up, step_size_down))
        base_lrs = self._per_group("base_lr", base_lr)
        self.max_lrs = self._per_group("max_lr", max_lr)
        self._remember()
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = lr
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = self._number("gamma", gamma)
        self.scale_fn = scale_fn
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        self.base_momentums = self._per_group("base_momentum", base_momentum)
        self.max_momentums = self._per_group("max_momentum", max_momentum)
        self._prepare_momentum(base_momentum, max_momentum, last_epoch)
        self.cycle_base_lrs = base_lrs
        super().__init__(optimizer, last_epoch)

    def _height(self, cycle: int) -> float:
        """Return the share of the full height that this cycle, or this step, reaches."""
        if self.scale_fn is not None:
            return float(self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch))
        if self.mode == "triangular2":
            return float(1 / 2.0 ** (cycle - 1))
        return float(self.gamma**self.last_epoch) if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        rising = x <= self.step_ratio
        share = x / self.step_ratio if rising else (x - 1) / (self.step_ratio - 1)
        height = self._height(cycle)
        if self.cycle_momentum:
            ranges = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, ranges, strict=True):
                self._set_momentum(group, high - (high - low) * share * height)
        pairs = zip(self.cycle_base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * share * height for low, high in pairs]
