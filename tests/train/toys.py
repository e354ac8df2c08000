"""Small problems that train in milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg
from minigrad.train import Callback, Trainer


def rows(count: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return three classes around three centres in four dimensions."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = rng.normal(size=(count, 4)) + 3 * np.eye(4)[y]
    return x.astype(np.float32), y.astype(np.int64)


def loader(
    count: int = 40, batch_size: int = 8, seed: int = 0, **options: Any
) -> mg.data.DataLoader:
    return mg.data.DataLoader(mg.data.TensorDataset(*rows(count, seed)), batch_size, **options)


def network(*, norm: bool = True, dropout: float = 0.0) -> mg.nn.Sequential:
    middle: list[mg.nn.Module] = [mg.nn.BatchNorm1d(8)] if norm else []
    middle += [mg.nn.ReLU(), mg.nn.Dropout(dropout)]
    return mg.nn.Sequential(mg.nn.Linear(4, 8), *middle, mg.nn.Linear(8, 3))


def trainer(*callbacks: Callback, lr: float = 0.05, **options: Any) -> Trainer:
    model = options.pop("model", None) or network()
    optimizer = mg.optim.SGD(model.named_parameters(), lr=lr)
    return Trainer(model, optimizer, callbacks=callbacks, **options)


def snapshot(model: mg.nn.Module) -> dict[str, np.ndarray]:
    """Return copies of all parameters and buffers."""
    return {name: tensor.array.copy() for name, tensor in model.state_dict().items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


class Scores(Callback):
    """Overwrite a column of the history with given values, one an epoch, and keep snapshots."""

    order = -5

    def __init__(self, *values: float, name: str = "val_loss") -> None:
        self.values = values
        self.name = name
        self.snapshots: dict[int, dict[str, np.ndarray]] = {}

    def on_epoch_end(self, trainer: Trainer) -> None:
        trainer.history.last[self.name] = self.values[trainer.epoch - 1]
        self.snapshots[trainer.epoch] = snapshot(trainer.model)


class At(Callback):
    """Do something at one place of the fit."""

    def __init__(self, hook: str, action: Any, epoch: int = 1) -> None:
        self.hook, self.action, self.epoch = hook, action, epoch

    def _maybe(self, hook: str, trainer: Trainer) -> None:
        if hook == self.hook and trainer.epoch == self.epoch:
            self.action(trainer)

    def on_step_end(self, trainer: Trainer) -> None:
        self._maybe("on_step_end", trainer)

    def after_backward(self, trainer: Trainer) -> None:
        self._maybe("after_backward", trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._maybe("on_epoch_end", trainer)


def interrupt(trainer: Trainer) -> None:
    raise KeyboardInterrupt
