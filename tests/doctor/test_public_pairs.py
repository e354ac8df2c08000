"""Programs that people asked about: a cheap sample; all of them with `--all-trials`."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import DataLoader, TensorDataset
from minigrad.diagnosis import CHECKS, Doctor, Program, watched
from minigrad.diagnosis.doctor import change, mixing
from minigrad.diagnosis.optimizer_checks import adam_lr
from minigrad.engine.grad_mode import mode
from minigrad.nn import functional as F
from tests.doctor.fresh import run
from tests.doctor.public import Pair, judged, pairs

PAIRS = {pair.name: pair for pair in pairs()}
CHEAP = (
    "a plane, targets of another shape",
    "prices by raw features",
    "documents, softmax before the loss",
    "ReLU on the logits of actions",
    "a model made anew after its optimizer",
    "all weights alike",
    "ReLUs that died",
    "XOR as two classes, no backward",
)
# Its answer changes three things, and the advice is right of each.
MORE_THAN_TWO = "a quadratic function of raw numbers"


def test_pairs_ask_for_codes_that_there_are() -> None:
    assert len(PAIRS) >= 40
    assert {code for pair in PAIRS.values() for code in pair.codes} <= CHECKS.keys()
    assert len({pair.source for pair in PAIRS.values()}) == len(PAIRS)
    assert set(CHEAP) <= set(PAIRS)


def sample(request: pytest.FixtureRequest) -> list[Pair]:
    everything = bool(request.config.getoption("--all-trials"))
    return list(PAIRS.values()) if everything else [PAIRS[name] for name in CHEAP]


def test_faults_are_named_and_their_fixes_reach_the_right_score(
    request: pytest.FixtureRequest,
) -> None:
    for pair in sample(request):
        found = judged(pair)
        assert found.named, f"{pair.name}: {found.findings}"
        assert found.fixes or pair.name == MORE_THAN_TWO, f"{pair.name}: {found.scores}"
        assert found.alarms == [], pair.name


def test_a_right_program_that_knows_as_much_as_a_line_is_let_alone() -> None:
    findings, score = run(PAIRS["marks around 92"].right)
    assert score > 0.9
    assert findings == []


# ---------------------------------------------------------------- what they led to
def flat_targets(loader: Any, model: Any, loss: Any) -> None:
    for x, y in loader:
        loss(model(x), y).backward()


def rows(flat: bool) -> DataLoader:
    x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    y = x.sum(1, keepdims=True)
    return DataLoader(TensorDataset(x, y[:, 0] if flat else y), 32)


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.binary_cross_entropy_with_logits])
def test_a_loss_that_refuses_shapes_is_named_in_a_loop(loss: Any) -> None:
    program = Program()
    with watched(program):
        model = nn.Linear(3, 1)
        _ = optim.Adam(model.parameters(), lr=0.01)
        try:
            flat_targets(rows(True), model, loss)
        except ValueError as error:
            program.error = error
    assert "MG110" in program.report()


def test_a_loss_that_refuses_shapes_is_named_beside_a_trainer() -> None:
    model = nn.Linear(3, 1)
    doctor = Doctor("collect")
    trainer = mg.Trainer(model, optim.Adam(model.parameters()), F.mse_loss, doctor=doctor)
    with pytest.raises(ValueError, match="one shape"):
        trainer.fit(rows(True), epochs=1)
    assert "MG110" in doctor.report


def test_a_loop_that_never_calls_backward_is_named() -> None:
    program = Program()
    with watched(program):
        model = nn.Linear(3, 1)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        for _ in range(5):
            for x, y in rows(False):
                _ = F.mse_loss(model(x), y)
                optimizer.zero_grad()
                optimizer.step()
    assert "MG415" in program.report()


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_setup_is_looked_at_before_the_first_step(by_hand: bool) -> None:
    # Biases differ, so one step makes the units' weights differ, too.
    _ = mg.manual_seed(0)
    program = Program()
    with watched(program):
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
        with mg.no_grad():
            model[0].weight.fill_(0.1)
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        if by_hand:
            for x, y in rows(False):
                optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
        else:
            _ = mg.Trainer(model, optimizer, F.mse_loss).fit(rows(False), epochs=1)
    assert "MG308" in program.report()


def test_the_loader_of_a_pytorch_program_is_listened_to() -> None:
    loader = pytest.importorskip("minigrad.torch_programs.loader")
    x = np.random.default_rng(0).normal(size=(96, 3)).astype(np.float32)
    program = Program()
    with watched(program):
        model = nn.Linear(3, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        batches = loader.DataLoader(TensorDataset(x, x[:, :1]), 32, shuffle=True)
        for _ in range(3):
            for rows_, y in batches:
                optimizer.zero_grad()
                F.mse_loss(model(rows_), y).backward()
                optimizer.step()
    case = next(iter(program.loops.values())).case
    assert (case.steps_per_epoch, case.train.rows, case.train.whole) == (3, 96, True)


@pytest.mark.parametrize("in_turns", [False, True])
def test_models_that_train_side_by_side_are_told_apart(in_turns: bool) -> None:
    # Each is asked for its score with gradients on before, too.
    program = Program()
    _ = mg.manual_seed(0)
    with watched(program):
        models = [nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1)) for _ in range(2)]
        optimizers = [optim.Adam(model.parameters(), lr=0.01) for model in models]
        for _ in range(60):
            for x, y in rows(False):
                for model in models:
                    _ = F.mse_loss(model(x), y).item()
                if in_turns:
                    for model, optimizer in zip(models, optimizers, strict=True):
                        loss = F.mse_loss(model(x), y)
                        optimizer.zero_grad()
                        loss.backward()
                        optimizer.step()
                    continue
                losses = [F.mse_loss(model(x), y) for model in models]
                for loss, optimizer in zip(losses, optimizers, strict=True):
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
    assert program.report().codes == []
    assert [loop.steps for loop in program.loops.values()] == [120, 120]
    assert mode.tape is None  # nobody listens any more


def test_a_model_that_draws_numbers_of_its_own_does_not_mix_rows() -> None:
    class Drawing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)
            self.draw = random.Random(0)

        def forward(self, x: Any) -> Any:
            return self.layer(x) * self.draw.choice((1, 2))

    model = Drawing()
    x = mg.randn(20, 3)
    with mg.no_grad():
        alone, together = (np.asarray(model.layer(part).tolist()) for part in (x[:3], 2 * x))
    assert change(alone, together[:3]) > 0.1
    assert mixing(model, x, alone, together) < 1e-6
    softmax = nn.Softmax(0)
    alone, together = (np.asarray(softmax(part).tolist()) for part in (x[:3], x))
    assert mixing(softmax, x, alone, together) > 0.1


def test_a_straight_line_through_few_noisy_rows_is_let_alone() -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(3, 10, size=(15, 1)).astype(np.float32)
    y = (0.25 * x + 0.9 + 0.4 * rng.normal(size=x.shape)).astype(np.float32)
    assert 0.4 < np.corrcoef(x[:, 0], y[:, 0])[0, 1] ** 2 < 0.9
    _ = mg.manual_seed(0)
    program = Program()
    with watched(program):
        model = nn.Linear(1, 1)
        optimizer = optim.SGD(model.parameters(), lr=0.01)
        inputs, targets = mg.tensor(x), mg.tensor(y)
        for _ in range(2000):
            loss = F.mse_loss(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert program.report().codes == []


def test_a_learning_rate_for_adam_falls_with_the_steps() -> None:
    rates = [adam_lr(steps) for steps in (0, 10, 300, 600, 3000, 10**6)]
    assert rates == [0.01, 0.01, 0.01, 0.005, 0.001, 0.001]
