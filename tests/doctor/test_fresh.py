"""A sample of the programs that the doctor's thresholds were not set on; once false alarms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.diagnosis import baselines
from minigrad.nn import functional as F
from tests.doctor.fresh import faults, judged, rights, run

PLANTED = {name: (bad, right, codes) for name, bad, right, codes in faults()}


@pytest.mark.parametrize("name", ["waves", "houses"])
def test_a_right_program_is_let_alone(name: str) -> None:
    findings, score = run(rights()[name])
    assert findings == []
    assert score > 0.85


@pytest.mark.parametrize(
    "name",
    [
        "relu before cross_entropy, bars",
        "learning rate too low, houses",
        "optimizer of another model, waves",
    ],
)
def test_a_fix_reaches_the_right_score(name: str) -> None:
    verdict = judged(name, *PLANTED[name])
    assert verdict.named
    assert verdict.mended


def fitted(model: nn.Module, x: Any, y: Any, loss: Any, epochs: int, lr: float = 5e-3) -> list[str]:
    optimizer = optim.AdamW(model.parameters(), lr=lr)
    trainer = mg.Trainer(model, optimizer, loss, doctor="collect")
    loader = mg.data.DataLoader(mg.data.TensorDataset(x, y), 32, shuffle=True)
    trainer.fit(loader, epochs=epochs)
    codes: list[str] = trainer.doctor.report.codes
    return codes


def test_rows_known_by_heart_are_no_overfitting_where_new_ones_are_known_too() -> None:
    digits = mg.data.load_digits().split(seed=6)
    _ = mg.manual_seed(5)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    trainer = mg.Trainer(model, optim.Adam(model.parameters(), 1e-2), doctor="collect")
    sets = digits.train, digits.validation
    train, validation = (mg.data.DataLoader(part, 32, shuffle=True) for part in sets)
    last = trainer.fit(train, validation, epochs=9).last
    assert last["val_loss"] > 10 * last["loss"]
    assert trainer.doctor.report.codes == []


def test_counts_are_no_classes() -> None:
    rng = np.random.default_rng(5)
    _ = mg.manual_seed(0)
    x = rng.normal(size=(420, 6)).astype(np.float32)
    y = rng.poisson(np.exp(0.5 * x[:, :1])).clip(0, 8).astype(np.float32)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
    assert fitted(model, x, y, F.mse_loss, 30) == []


def test_last_weights_of_zero_do_not_explode() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(320, 6)).astype(np.float32)
    _ = mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    with mg.no_grad():
        model[2].weight.zero_()
    assert fitted(model, x, x[:, :3].argmax(1), F.cross_entropy, 20, lr=0.02) == []


@pytest.mark.parametrize("seed", range(3))
def test_weak_dependence_is_told_from_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(512, 20))
    rare = (x[:, :1] + x[:, 1:2] + 3 * rng.normal(size=(512, 1)) > 3).astype(float)
    classes = np.concatenate([1 - rare, rare], 1)
    assert baselines.dependence(x, classes) > 3.5
    assert baselines.dependence(x, rng.permutation(classes)) < 3.5
