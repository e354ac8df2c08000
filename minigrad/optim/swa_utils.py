"""Averages of a model's weights: of all (SWA), or exponentially fading (EMA)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minigrad.engine.grad_mode import no_grad
from minigrad.nn.layers.norm import BatchNorm
from minigrad.nn.module import Module
from minigrad.optim.lr_scheduler.base import LRScheduler
from minigrad.optim.optimizer import Optimizer
from minigrad.tensors.tensor import Tensor, new

Array = np.ndarray[Any, Any]
Average = Callable[[Tensor, Tensor, Any], Tensor]
Averages = Callable[[list[Tensor], list[Tensor], Any], None]


def check_decay(decay: float) -> None:
    """Refuse a decay outside of [0, 1]."""
    if not 0 <= decay <= 1:
        raise ValueError(f"expected decay in [0, 1], got {decay!r}")


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Return the function decay * average + (1 - decay) * value.

    >>> import minigrad as mg
    >>> get_ema_avg_fn(0.5)(mg.zeros(1), mg.ones(1), 7)
    tensor([0.5000])
    """
    check_decay(decay)
    return lambda average, value, count: decay * average + (1 - decay) * value


def get_swa_avg_fn() -> Average:
    """Return the function that makes the mean of count values the mean of one more.

    >>> import minigrad as mg
    >>> get_swa_avg_fn()(mg.zeros(1), mg.ones(1), 3)
    tensor([0.2500])
    """
    return lambda average, value, count: average + (value - average) / (int(count) + 1)


def for_all(function: Average) -> Averages:
    """Return a function of lists that writes each average in place."""

    def update(averages: list[Tensor], values: list[Tensor], count: Any) -> None:
        with no_grad():
            for average, value in zip(averages, values, strict=True):
                average.copy_(function(average, value, count))

    return update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """Return `get_ema_avg_fn` for lists of tensors, in place."""
    return for_all(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Averages:
    """Return `get_swa_avg_fn` for lists of tensors, in place."""
    return for_all(get_swa_avg_fn())


def fade(average: Array, value: Array, decay: float) -> None:
    """Make an average decay * average + (1 - decay) * value, in place: the bits of
    `get_ema_avg_fn`, in a fifth of its time for the weights of a small network.

    >>> average = np.zeros(1, np.float32)
    >>> fade(average, np.ones(1, np.float32), 0.75)
    >>> average.tolist()
    [0.25]
    """
    kind = average.dtype.type
    average *= kind(decay)
    average += kind(1 - decay) * value


class AveragedModel(Module):
    """A copy of a model whose weights are the average of those that were given to
    `update_parameters`.

    avg_fn(average, value, count): what an average becomes; multi_avg_fn: the same for lists, in
        place; the mean of all if neither is given.  use_buffers: average the buffers too.
    Source: Izmailov et al., "Averaging weights leads to wider optima" (UAI 2018).

    >>> import minigrad as mg
    >>> model = mg.nn.Linear(1, 1)
    >>> averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    >>> averaged.update_parameters(model)
    >>> averaged.n_averaged
    tensor(1)
    """

    n_averaged: Tensor
    module: Any

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("AveragedModel: expected avg_fn or multi_avg_fn, got both")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", new(np.zeros((), np.int64)))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take a model's weights into the average; the first ones are copied."""
        own, other = self._values(self.module), self._values(model)
        values = [t.detach().to(s.device) for s, t in zip(own, other, strict=True)]
        if not int(self.n_averaged.item()):
            for_all(lambda _, value, count: value)(own, values, 0)
        else:
            single = for_all(self.avg_fn or get_swa_avg_fn())
            floating = [i for i, t in enumerate(own) if t.is_floating_point()]
            whole = [i for i, t in enumerate(own) if not t.is_floating_point()]
            for_all(lambda _, value, count: value)(
                [own[i] for i in whole], [values[i] for i in whole], 0
            )
            update = self.multi_avg_fn or single
            update([own[i] for i in floating], [values[i] for i in floating], self.n_averaged)
        if not self.use_buffers:
            pairs = zip(self.module.buffers(), model.buffers(), strict=True)
            for mine, theirs in pairs:
                mine.copy_(theirs.detach().to(mine.device))
        self.n_averaged.add_(1)

    def _values(self, model: Module) -> list[Tensor]:
        found: list[Tensor] = [p.detach() for p in model.parameters()]
        return found + [b.detach() for b in model.buffers()] if self.use_buffers else found


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of a model's batch normalisations anew, over a loader.

    Of batches that are lists or tuples the first element is the input.
    """
    norms = [m for m in model.modules() if isinstance(m, BatchNorm)]
    if not norms:
        return
    was = model.training
    model.train()
    inputs = (batch[0] if isinstance(batch, list | tuple) else batch for batch in loader)
    refresh_statistics(norms, model, (x if device is None else x.to(device) for x in inputs))
    model.train(was)


def refresh_statistics(norms: list[BatchNorm], model: Module, inputs: Iterable[Any]) -> None:
    """Make the running statistics of batch normalisations those of inputs, as they come through a
    model in the mode that it is in.
    """
    kept = [(m, m.momentum) for m in norms]
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
    try:
        with no_grad():
            for x in inputs:
                model(x)
    finally:
        for m, momentum in kept:
            m.momentum = momentum


class SWALR(LRScheduler):
    """lr goes from what it is to `swa_lr` over `anneal_epochs`, and stays there.

    anneal_strategy: "cos" or "linear".

    >>> import minigrad as mg
    >>> opt = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    >>> schedule = SWALR(opt, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> schedule.preview(4).tolist()
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = self._optimizer(optimizer)
        self._expect(anneal_strategy in ("cos", "linear"), "'cos' or 'linear'", anneal_strategy)
        self.swa_lrs = self._per_group("swa_lr", swa_lr)
        self.anneal_epochs = self._whole("anneal_epochs", anneal_epochs, 0)
        self.anneal_strategy = anneal_strategy
        for group, lr in zip(optimizer.param_groups, self.swa_lrs, strict=True):
            group["swa_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def _share(self, epoch: float) -> float:
        """Return how much of the way is gone at an epoch."""
        t = max(0.0, min(1.0, epoch / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self.anneal_strategy == "cos" else t

    def get_lr(self) -> list[float]:
        """Return the groups' lr at `last_epoch`, from their present lr."""
        epoch = max(1, self.last_epoch) if self.anneal_epochs == 0 else self.last_epoch
        before, now = self._share(epoch - 1), self._share(epoch)
        found = []
        for lr, goal in zip(self._current(), self.swa_lrs, strict=True):
            first = goal if before == 1 else (lr - before * goal) / (1 - before)
            found.append(goal * now + first * (1 - now))
        return found
