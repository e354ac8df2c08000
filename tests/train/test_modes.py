"""Modes as the user has set them: kept through a fit, given back after it, set by train()."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.train import Trainer
from tests.train.toys import At, loader, network, rows, snapshot


def deep() -> mg.nn.Sequential:
    """Return a model with parts in parts."""
    inner = mg.nn.Sequential(mg.nn.Linear(8, 8), mg.nn.BatchNorm1d(8), mg.nn.Dropout(0.5))
    body = mg.nn.Sequential(mg.nn.Linear(4, 8), mg.nn.BatchNorm1d(8), inner)
    return mg.nn.Sequential(body, mg.nn.ReLU(), mg.nn.Linear(8, 3))


def modes(model: mg.nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def fitted_for(model: mg.nn.Module, *callbacks: Any) -> Trainer:
    return Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1), callbacks=callbacks)


COUNT = len(modes(deep()))
PATTERNS = [
    pattern for pattern in itertools.product([True, False], repeat=COUNT) if sum(pattern) % 3 == 0
]


def test_any_pattern_of_modes_is_kept_and_comes_back() -> None:
    for pattern in PATTERNS:
        model = deep()
        for module, training in zip(model.modules(), pattern, strict=True):
            module.training = training
        seen: list[Any] = []
        look = At("after_backward", lambda t, seen=seen: seen.append(modes(t.model)))
        fitted = fitted_for(model, look)
        fitted.evaluate(loader(16))
        fitted.predict(rows(16)[0])
        assert modes(model) == list(pattern)
        fitted.fit(loader(16), loader(16, seed=1), epochs=1)
        assert modes(model) == list(pattern)
        # A model that is in eval as a whole is trained as a whole.
        assert seen[0] == (list(pattern) if pattern[0] else [True] * COUNT), pattern


def test_statistics_of_a_frozen_part_stay_bit_for_bit() -> None:
    model = deep()
    model[0].requires_grad_(False)
    model[0].eval()
    before = snapshot(model[0])
    history = fitted_for(model).fit(loader(), loader(seed=1), epochs=3)
    now = snapshot(model[0])
    assert all(np.array_equal(before[name], now[name]) for name in before)
    assert history["loss"][-1] < history["loss"][0]


class Merging(mg.nn.Module):
    """A part that is one thing in training and another in evaluation, as merged adapters are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = mg.nn.Parameter(mg.ones(4))
        self.merged = False
        self.switched: list[bool] = []

    def train(self, mode: bool = True) -> Merging:
        self.switched.append(mode)
        self.merged = not mode
        super().train(mode)
        return self

    def forward(self, x: Any) -> Any:
        assert self.merged is not self.training
        return x * self.weight


@pytest.mark.parametrize("frozen", [False, True])
def test_an_overridden_train_is_called_at_every_switch(frozen: bool) -> None:
    part = Merging()
    model = mg.nn.Sequential(part, mg.nn.Linear(4, 3))
    if frozen:
        part.eval()
    fitted = fitted_for(model)
    fitted.fit(loader(), loader(seed=1), epochs=2)
    fitted.evaluate(loader())
    fitted.predict(rows()[0])
    assert part.switched
    assert (part.training, part.merged) == (not frozen, frozen)


class Frozen(mg.nn.Module):
    """A model that keeps its batch-norm in eval whatever it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = mg.nn.BatchNorm1d(4)
        self.head = mg.nn.Linear(4, 3)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(x))


@pytest.mark.parametrize("within", [False, True])
def test_a_model_may_keep_a_part_in_eval_itself(within: bool) -> None:
    model: mg.nn.Module = Frozen()
    norm = model.norm
    if within:
        model = mg.nn.Sequential(mg.nn.Linear(4, 4), model)
    fitted_for(model).fit(loader(), loader(seed=1), epochs=2)
    assert norm.running_mean.tolist() == [0.0] * 4
    assert norm.num_batches_tracked.item() == 0


def test_a_switch_by_a_callback_stays_for_the_fit() -> None:
    model = network()
    seen: list[bool] = []

    def unfreeze(t: Any) -> None:
        t.model[1].train()

    model[1].eval()
    parts = [At("on_epoch_end", unfreeze)]
    parts += [At("after_backward", lambda t: seen.append(t.model[1].training), epoch=2)]
    fitted_for(model, *parts).fit(loader(), loader(seed=1), epochs=3)
    assert set(seen) == {True}
    assert not model[1].training


def test_a_shared_part_and_one_that_is_replaced() -> None:
    shared = mg.nn.Dropout(0.5)
    model = mg.nn.Sequential(mg.nn.Linear(4, 4), shared, mg.nn.Linear(4, 3), shared)
    shared.eval()
    fitted_for(model).fit(loader(), epochs=1)
    assert not shared.training
    with pytest.raises(ValueError, match="mode must be True or False, got 1"):
        model.train(1)  # type: ignore[arg-type]
