"""Schedules that fall by steps or in a curve, or that follow a function."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from minigrad.optim.lr_scheduler.base import LRScheduler
from minigrad.optim.optimizer import Optimizer

Factor = Callable[[int], float]


class _ByFunction(LRScheduler):
    """The base of schedulers that take a function of the epoch, or one a parameter group."""

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1
    ) -> None:
        groups = len(self._optimizer(optimizer).param_groups)
        self.lr_lambdas: list[Factor] = (
            list(lr_lambda) if isinstance(lr_lambda, Sequence) else [lr_lambda] * groups
        )
        if len(self.lr_lambdas) != groups:
            raise ValueError(
                f"{self._kind}: expected one lr_lambda or {groups}, one a parameter group, got"
                f" {len(self.lr_lambdas)}"
            )
        for function in self.lr_lambdas:
            self._expect(callable(function), "lr_lambda to be a function of the epoch", function)
        super().__init__(optimizer, last_epoch)

    def _factors(self) -> list[float]:
        epoch = self.last_epoch
        return [self._number("what lr_lambda returns", f(epoch)) for f in self.lr_lambdas]


class LambdaLR(_ByFunction):
    """lr = initial lr * lr_lambda(epoch); overwrites what others set.

    lr_lambda: a function of the epoch, or a list of one a parameter group.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=2.0)
    >>> LambdaLR(opt, lambda epoch: 0.5**epoch).preview(3).tolist()
    [2.0, 1.0, 0.5]
    """

    _overwrites = True

    def get_lr(self) -> list[float]:
        return [base * factor for base, factor in zip(self.base_lrs, self._factors(), strict=True)]


class MultiplicativeLR(_ByFunction):
    """lr = lr * lr_lambda(epoch), from epoch 1 on.

    lr_lambda: a function of the epoch, or a list of one a parameter group.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=2.0)
    >>> MultiplicativeLR(opt, lambda epoch: 0.5).preview(3).tolist()
    [2.0, 1.0, 0.5]
    """

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._current()
        return [lr * factor for lr, factor in zip(self._current(), self._factors(), strict=True)]


class StepLR(LRScheduler):
    """lr = lr * gamma at every step_size-th epoch.

    step_size: epochs between two drops, >= 1.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> StepLR(opt, step_size=2, gamma=0.5).preview(5).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = self._whole("step_size", step_size, 1)
        self.gamma = self._number("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return self._current()
        return [lr * self.gamma for lr in self._current()]

    def closed_form(self) -> list[float]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """lr = lr * gamma at every milestone, as often as it is listed.

    milestones: epochs, in any order.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> MultiStepLR(opt, milestones=[1, 3], gamma=0.5).preview(5).tolist()
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self._expect(
            isinstance(milestones, Iterable), "milestones to be a list of epochs", milestones
        )
        self.milestones = sorted(self._whole("milestones", m, 0) for m in milestones)
        self.gamma = self._number("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = self.milestones.count(self.last_epoch)
        if not times:
            return self._current()
        return [lr * self.gamma**times for lr in self._current()]

    def closed_form(self) -> list[float]:
        times = bisect_right(self.milestones, self.last_epoch)
        return [base * self.gamma**times for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """lr = lr * factor until epoch total_iters, where it is divided by factor again.

    factor: in (0, 1].  total_iters: >= 0; with 0 it is never divided by it, as in PyTorch.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> ConstantLR(opt, factor=0.5, total_iters=2).preview(4).tolist()
    [0.5, 0.5, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.factor = self._number("factor", factor)
        self._expect(0 < self.factor <= 1, "factor in (0, 1]", factor)
        self.total_iters = self._whole("total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._current()]
        if self.last_epoch != self.total_iters:
            return self._current()
        return [lr * (1.0 / self.factor) for lr in self._current()]

    def closed_form(self) -> list[float]:
        factor = 1.0 if self.last_epoch >= self.total_iters else self.factor
        return [base * factor for base in self.base_lrs]


class LinearLR(LRScheduler):
    """lr = initial lr * a factor that goes in a line from start_factor to end_factor.

    start_factor: at epoch 0, in (0, 1].  end_factor: from epoch total_iters on, in [0, 1].
    total_iters: >= 0; with 0 it stays at start_factor, as in PyTorch.
    Steps from the current lr.  For a warm-up before another schedule: `warmup`.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> LinearLR(opt, start_factor=0.5, total_iters=2).preview(4).tolist()
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = self._number("start_factor", start_factor)
        self.end_factor = self._number("end_factor", end_factor)
        self._expect(0 < self.start_factor <= 1, "start_factor in (0, 1]", start_factor)
        self._expect(0 <= self.end_factor <= 1, "end_factor in [0, 1]", end_factor)
        self.total_iters = self._whole("total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._current()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._current()
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        # Rounding may leave -1e-17 where the line ends at 0, and no optimizer takes that.
        return [max(lr * (1.0 + rise / before), 0.0) for lr in self._current()]

    def closed_form(self) -> list[float]:
        rise = self.end_factor - self.start_factor
        done = min(self.total_iters, self.last_epoch)
        factor = self.start_factor + rise * done / max(self.total_iters, 1)
        return [base * factor for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """lr = lr * gamma at every epoch.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> ExponentialLR(opt, gamma=0.5).preview(3).tolist()
    [1.0, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = self._number("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._current()
        return [lr * self.gamma for lr in self._current()]

    def closed_form(self) -> list[float]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """lr = initial lr * (1 - epoch / total_iters)^power, 0 from epoch total_iters on.

    total_iters: >= 0; with 0 the lr stays as it is, as in PyTorch.  power: >= 0, 1 is a line.
    Steps from the current lr.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> PolynomialLR(opt, total_iters=4).preview(6).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = self._whole("total_iters", total_iters, 0)
        self.power = self._number("power", power)
        self._expect(self.power >= 0, "power >= 0", power)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._current()
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return [lr * (now / before) ** self.power for lr in self._current()]

    def closed_form(self) -> list[float]:
        left = 1.0 - min(self.total_iters, self.last_epoch) / max(self.total_iters, 1)
        return [base * left**self.power for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial lr - eta_min)(1 + cos(pi epoch / T_max)) / 2.

    T_max: epochs from the highest lr to the lowest, >= 1; after them it rises again.
    Steps from the current lr.
    Source: Loshchilov and Hutter 2017, eq. 5, without the restarts: `CosineAnnealingWarmRestarts`.

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> CosineAnnealingLR(opt, T_max=4).preview(5).round(3).tolist()
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = self._whole("T_max", T_max, 1)
        self.eta_min = self._number("eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def _spent(self, lr: float, base: float) -> bool:
        return abs(lr - self.eta_min) <= 1e-12 * abs(base - self.eta_min)

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._current()
        low = self.eta_min
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the very bottom up
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            pairs = zip(self._current(), self.base_lrs, strict=True)
            return [lr + (base - low) * rise for lr, base in pairs]
        now = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        before = 1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        return [now / before * (lr - low) + low for lr in self._current()]

    def closed_form(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]
