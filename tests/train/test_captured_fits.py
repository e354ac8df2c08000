"""A Trainer captures its steps: the same history and weights to the bit, whatever a fit has."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.optim.lr_scheduler import ExponentialLR, OneCycleLR, ReduceLROnPlateau
from minigrad.optim.swa_utils import AveragedModel
from minigrad.train import (
    Callback,
    EarlyStopping,
    GradientClipping,
    ScheduleLR,
    StopOnNonFinite,
    Trainer,
    accuracy,
    steps,
)
from tests.train.toys import At, rows

EPOCHS = 6
Part = Callable[[Any, Any], Callback]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Capture from the first batch on, however short the fit."""
    monkeypatch.setattr(steps, "PAYS", 0)


class Average(Callback):
    """An average of the weights over the steps."""

    def on_fit_begin(self, trainer: Any) -> None:
        self.average = AveragedModel(trainer.model)

    def on_step_end(self, trainer: Any) -> None:
        self.average.update_parameters(trainer.model)


class Norms(Callback):
    """A look at the gradients, and a change of them, behind the numbers' back."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.seen: list[float] = []

    def after_backward(self, trainer: Any) -> None:
        for p in trainer.model.parameters():
            self.seen.append(float(np.abs(p.grad.numpy()).sum()))
            p.grad.numpy()[...] *= 0.5


def make(seed: int = 0, dropout: float = 0.2) -> Any:
    _ = mg.manual_seed(seed)
    return nn.Sequential(
        *(nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout)),
        *(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)),
    )


def loaders(size: int = 8) -> tuple[Any, Any]:
    """Return batches of 8 with a last one of 5, from an array; and of 13 with a last one of 11."""
    x, y = rows(45)
    train = mg.data.DataLoader(mg.data.TensorDataset(x, y), size, shuffle=True)
    return train, mg.data.DataLoader(mg.data.TensorDataset(*rows(24, 1)), 13)


def fitted(capture: Any, parts: Any = (), loss: Any = F.cross_entropy, **options: Any) -> Any:
    """Return a trainer after its fit, all that the fit has left, and its callbacks."""
    model = options.pop("model", make)()
    optimizer = options.pop("optimizer", partial(mg.optim.AdamW, lr=0.01))(model.parameters())
    callbacks = [part(optimizer) for part in parts]
    trainer = Trainer(model, optimizer, loss, callbacks=callbacks, capture=capture, **options)
    train, validation = loaders()
    history = trainer.fit(train, validation, epochs=EPOCHS)
    left = [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]
    state = optimizer.state_dict()
    bits = [t.array.tobytes() for t in model.state_dict().values()]
    bits += [
        v.array.tobytes() if isinstance(v, mg.Tensor) else repr(v).encode()
        for entry in state["state"].values()
        for v in entry.values()
    ]
    return trainer, (left, bits, repr(state["step_count"]), len(history.rows)), callbacks


PARTS: dict[str, Callable[[Any], Callback]] = {
    "guard": lambda o: StopOnNonFinite(),
    "clip": lambda o: GradientClipping(max_norm=0.05),
    "cycle": lambda o: ScheduleLR(lambda o, total: OneCycleLR(o, 0.05, total), per="step"),
    "decay": lambda o: ScheduleLR(ExponentialLR(o, 0.7)),
    "plateau": lambda o: ScheduleLR(ReduceLROnPlateau(o, patience=0)),
    "stopping": lambda o: EarlyStopping(patience=2),
    "average": lambda o: Average(),
    "values": lambda o: GradientClipping(value=0.01),
    "look first": lambda o: Norms(-20),
    "look last": lambda o: Norms(20),
}
COMBINATIONS = [
    (),
    *[(name,) for name in PARTS],
    ("guard", "plateau", "stopping"),  # the recipe's
    ("guard", "clip", "cycle", "average"),
    ("clip", "look last"),
    ("look first", "guard", "clip"),
]
METRICS = {"accuracy": accuracy, "own": lambda o, t: (o.argmax(1) == t).float().mean() * 2.0}


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_a_fit_has_the_same_bits(names: tuple[str, ...]) -> None:
    parts = [PARTS[name] for name in names]
    _, eager, before = fitted(False, parts, metrics=METRICS)
    trainer, captured, after = fitted(True, parts, metrics=METRICS)
    assert captured == eager
    for a, b in zip(before, after, strict=True):
        assert getattr(a, "seen", None) == getattr(b, "seen", None)
        if isinstance(a, Average):
            averages = [c.average.state_dict().values() for c in (a, b)]
            assert [t.tolist() for t in averages[0]] == [t.tolist() for t in averages[1]]
    said = trainer.explain()
    assert all("replayed" in line and " 0 replayed" not in line for line in said.splitlines()), said


WEIGHT = mg.tensor([0.5, 2.0, 1.0])
LOSSES: dict[str, Any] = {
    "smoothing": partial(F.cross_entropy, label_smoothing=0.1),
    "weights": partial(F.cross_entropy, weight=WEIGHT),
    "weights of a module": nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.05),
    "ignoring": partial(F.cross_entropy, ignore_index=2),
    "ignoring with weights": partial(F.cross_entropy, ignore_index=2, weight=WEIGHT),
    "with a penalty": lambda o, t: F.cross_entropy(o, t) + o.square().mean() * 0.01,
    "a mean and its weight": lambda o, t: (F.cross_entropy(o, t), len(t)),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "nll": lambda o, t: F.nll_loss(F.log_softmax(o, 1), t),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_keep_their_means(name: str) -> None:
    trainer, captured, _ = fitted(True, loss=LOSSES[name])
    assert captured == fitted(False, loss=LOSSES[name])[1]
    assert (" 0 replayed" in trainer.explain()) is (name == "nll")


OPTIMIZERS = {
    "sgd": partial(mg.optim.SGD, lr=0.1, momentum=0.9, nesterov=True),
    "lion": partial(mg.optim.Lion, lr=0.01),
}


@pytest.mark.parametrize("name", ["sgd", "lion"])
def test_optimizers(name: str) -> None:
    eager, captured = (
        fitted(way, (PARTS["guard"], PARTS["clip"]), optimizer=OPTIMIZERS[name])[1]
        for way in (False, True)
    )
    assert captured == eager


def test_float64_and_a_loss_of_numbers() -> None:
    def model() -> Any:
        _ = mg.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).double()

    x, y = rows(45)
    data = x.astype(np.float64), y[:, None].astype(np.float64)
    found = []
    for way in (True, False):
        net = model()
        callbacks = [StopOnNonFinite(), GradientClipping(0.1)]
        optimizer = mg.optim.AdamW(net.parameters(), lr=0.01)
        trainer = Trainer(net, optimizer, F.mse_loss, callbacks=callbacks, capture=way)
        batches = mg.data.DataLoader(mg.data.TensorDataset(*data), 8)
        losses = trainer.fit(batches, epochs=EPOCHS)["loss"]
        found.append((list(losses), [p.tolist() for p in net.parameters()]))
    assert found[0] == found[1]


# ---------------------------------------------------------------- what changes in a fit
def changed(action: Callable[[Trainer], None]) -> Any:
    """Return what fits leave in which something happens after the third epoch."""
    part = lambda o: At("on_epoch_end", action, epoch=3)  # noqa: E731
    _, eager, _ = fitted(False, (part,))
    trainer, captured, _ = fitted(True, (part,))
    assert captured == eager
    return trainer


def test_layers_are_frozen_on_the_way() -> None:
    changed(lambda t: t.model[0].requires_grad_(False) and None)


def test_a_rate_of_dropout_is_changed_on_the_way() -> None:
    changed(lambda t: setattr(t.model[3], "p", 0.5))


def test_another_optimizer_on_the_way() -> None:
    changed(lambda t: setattr(t, "optimizer", mg.optim.SGD(t.model.parameters(), lr=0.01)))


def test_another_loss_on_the_way() -> None:
    smooth = partial(F.cross_entropy, label_smoothing=0.2)
    changed(lambda t: setattr(t, "loss", smooth))


def test_a_part_of_the_model_in_eval_mode() -> None:
    changed(lambda t: t.model[1].eval() and None)


def test_a_hook_on_the_way_is_called() -> None:
    seen: list[int] = []

    def listen(t: Trainer) -> None:
        t.model[0].register_forward_hook(lambda m, i, o: seen.append(len(o)))

    trainer = changed(listen)
    assert len(seen) == 2 * (EPOCHS - 3) * (6 + 2)
    assert "hooks" in trainer.explain()


# ---------------------------------------------------------------- falling back
def test_anomaly_mode_sees_each_op() -> None:
    with mg.detect_anomaly():
        trainer, captured, _ = fitted(True)
        assert captured == fitted(False)[1]
    assert "0 replayed" in trainer.explain()


def test_a_model_that_reads_numbers_runs_as_ever() -> None:
    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            _ = mg.manual_seed(0)
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            return self.layer(x) if x.abs().max().item() > 4 else self.layer(x) * 0.5

    trainer, captured, _ = fitted(True, model=Reading)
    assert captured == fitted(False, model=Reading)[1]
    assert "item()" in trainer.explain() and "test_captured_fits.py" in trainer.explain()


def test_a_model_with_state_in_python_runs_as_ever() -> None:
    class Alternating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            _ = mg.manual_seed(0)
            self.layer = nn.Linear(4, 3)
            self.turns = itertools.cycle([1.0, 0.5])

        def forward(self, x: Any) -> Any:
            return self.layer(x) * next(self.turns)

    trainer, captured, _ = fitted(True, model=Alternating)
    assert captured == fitted(False, model=Alternating)[1]
    assert "an iterator" in trainer.explain()


def test_a_column_against_a_row_is_refused_as_ever() -> None:
    net = nn.Linear(4, 1)
    x, y = rows(8)
    trainer = Trainer(
        net, mg.optim.SGD(net.parameters(), lr=0.1), lambda o, t: ((o - t) ** 2).mean()
    )
    with pytest.raises(ValueError, match="every output with every target"):
        trainer.fit([(x, y.astype(np.float32))], epochs=1)


def test_batches_of_other_things_run_as_ever() -> None:
    class Named:
        def __init__(self, x: Any) -> None:
            self.x = x

    class Taking(nn.Linear):
        def forward(self, named: Any) -> Any:  # type: ignore[override]
            return super().forward(named.x)

    net = Taking(4, 3)
    trainer = Trainer(net, mg.optim.SGD(net.parameters(), lr=0.1))
    batches = [(Named(mg.Tensor(rows(8)[0])), mg.Tensor(rows(8)[1]))] * 5
    trainer.fit(batches, epochs=2)
    assert trainer.explain().startswith("whole_step: 10 eager, 0 recorded")


def test_a_dict_of_tensors_is_captured() -> None:
    class Taking(nn.Linear):
        def forward(self, given: Any) -> Any:  # type: ignore[override]
            return super().forward(given["x"])

    net = Taking(4, 3)
    trainer = Trainer(net, mg.optim.SGD(net.parameters(), lr=0.1), doctor=False)
    x, y = rows(8)
    trainer.fit([({"x": mg.Tensor(x)}, mg.Tensor(y))] * 5, epochs=2)
    assert "7 replayed" in trainer.explain() or "6 replayed" in trainer.explain()


# ---------------------------------------------------------------- where it pays
def test_short_fits_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "PAYS", 20)
    trainer, *_ = fitted(True, doctor=False)  # which has some steps run eagerly
    # Five batches of 8 an epoch over 6 epochs pay from the 4th on; the last ones, of 5, never do.
    assert trainer.explain().splitlines()[0] == "whole_step: 10 eager, 2 recorded, 24 replayed"
    assert "score: 12 eager, 0 recorded, 0 replayed; a kind of batch" in trainer.explain()


def test_what_makes_too_much_runs_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "LIMIT", 1000)
    trainer, captured, _ = fitted(True)
    assert captured == fitted(False)[1]
    assert "too much" in trainer.explain() and " 0 replayed" in trainer.explain()


def test_nothing_is_kept_after_a_fit() -> None:
    trainer, *_ = fitted(True)
    assert trainer._steps is None and "replayed" in trainer.explain()
    assert trainer.evaluate(loaders()[1])["loss"] > 0


def test_capture_is_checked() -> None:
    with pytest.raises(ValueError, match="capture to be one of .*, but got 'yes'"):
        fitted("yes")
    assert "capture=False" in fitted(False)[0].explain()


def test_explaining_says_how_steps_run(capsys: pytest.CaptureFixture[str]) -> None:
    fitted("explain")
    said = capsys.readouterr().err
    assert "capture whole_step, call 1: eager" in said and "replayed" in said


def test_the_recipe_captures() -> None:
    data = mg.data.load_iris()
    histories = []
    for way in (True, False):
        _ = mg.manual_seed(0)
        train, validation, _ = data.split(seed=0)
        built = mg.recipe(4, 3, hidden=(8, 8), capture=way)
        history = built.fit(train, validation, epochs=4, batch_size=16)
        histories.append([{k: v for k, v in r.items() if k != "seconds"} for r in history.rows])
    assert histories[0] == histories[1]


def test_evaluations_and_predictions_outside_of_a_fit_are_captured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    explain = steps.Computation.__call__

    def seen(self: Any, *args: Any) -> Any:
        made.append(self)
        return explain(self, *args)

    monkeypatch.setattr(steps.Computation, "__call__", seen)
    found = []
    for capture in (False, True):
        model = make()
        optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
        trainer = Trainer(model, optimizer, metrics=METRICS, capture=capture)
        train, _ = loaders()
        made.clear()
        found.append([trainer.evaluate(train), trainer.predict(train).array.tobytes()])
        replayed = {call.name: call.captured.calls["replayed"] for call in made if call.captured}
    assert found[0] == found[1]
    # Of 5 batches alike, after one looked at, one eager and two recorded.
    assert replayed == {"score": 1, "output_of": 2}
