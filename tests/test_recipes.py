"""The recipe: its layers, its optimizer, its fit."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import DataLoader, TensorDataset
from minigrad.nn import functional as F
from minigrad.train import Callback, EarlyStopping, ScheduleLR, StopOnNonFinite, binary_accuracy


def kinds(model: mg.nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in model.children()]


def test_layers() -> None:
    built = mg.recipe(6, 3, hidden=(16, 8, 4), activation="gelu")
    block = ["Linear", "BatchNorm1d", "GELU", "Dropout"]
    assert kinds(built.model) == [*block, *block, *block, "Linear"]
    linears = [layer for layer in built.model.children() if isinstance(layer, mg.nn.Linear)]
    assert [layer.bias is None for layer in linears] == [True, True, True, False]
    assert [layer.weight.shape for layer in linears] == [(16, 6), (8, 16), (4, 8), (3, 4)]
    rates = [layer.p for layer in built.model.children() if isinstance(layer, mg.nn.Dropout)]
    assert rates == [0.2, 0.2, 0.5]
    assert built.parameter_count == 16 * 6 + 8 * 16 + 4 * 8 + 3 * 4 + 3 + 2 * (16 + 8 + 4)


def test_one_and_no_hidden_layer() -> None:
    assert [m.p for m in mg.recipe(4, 2, hidden=(8,)).model if isinstance(m, mg.nn.Dropout)] == [
        0.5
    ]
    assert kinds(mg.recipe(4, 2, hidden=()).model) == ["Linear"]


def test_weights_decay_and_nothing_else() -> None:
    built = mg.recipe(4, 3, hidden=(8,), lr=0.02, weight_decay=0.3)
    decayed, free = built.optimizer.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2}
    assert {p.ndim for p in free["params"]} == {1}
    assert decayed["lr"] == free["lr"] == 0.02
    assert "0.weight" in built.optimizer.state_dict()["param_groups"][0]["params"]


def test_defaults_are_the_recipes() -> None:
    built = mg.recipe(4, 3)
    group = built.optimizer.param_groups[0]
    assert (type(built.optimizer), group["lr"], group["weight_decay"]) == (
        mg.optim.AdamW,
        1e-3,
        0.01,
    )
    assert [type(c) for c in built.callbacks] == [StopOnNonFinite, ScheduleLR, EarlyStopping]
    assert isinstance(built.scheduler, mg.optim.lr_scheduler.ReduceLROnPlateau)


def test_fit_evaluate_predict() -> None:
    mg.manual_seed(0)
    train, validation, test = mg.data.load_wine().split(seed=0)
    built = mg.recipe(13, 3, hidden=(32,), lr=1e-2)
    history = built.fit(train, validation, epochs=15, batch_size=16)
    scores = built.evaluate(test)
    assert scores["accuracy"] > 0.9
    assert history.restored_epoch == history.best_epoch
    logits = built.predict(test)
    assert logits.shape == (len(test), 3)
    expected = float((logits.numpy().argmax(1) == test.arrays[1]).mean())
    assert scores["accuracy"] == pytest.approx(expected)
    np.testing.assert_allclose(built.predict(test.arrays[0]).numpy(), logits.numpy(), rtol=1e-5)


def weights_after_two_epochs() -> list[np.ndarray]:
    """Train wide enough layers, on enough rows, that matrix products run on all threads."""
    mg.manual_seed(4)
    train, validation, _ = mg.data.load_digits().split(seed=4)
    built = mg.recipe(64, 10)
    built.fit(train, validation, epochs=2, batch_size=128)
    return [tensor.array.copy() for tensor in built.model.state_dict().values()]


def test_same_bits_for_any_number_of_threads() -> None:
    threads = mg.get_num_threads()
    if threads == 1:
        pytest.skip("there is one thread only")
    many = weights_after_two_epochs()
    mg.set_num_threads(1)
    try:
        one = weights_after_two_epochs()
    finally:
        mg.set_num_threads(threads)
    assert all(np.array_equal(a, b) for a, b in zip(many, one, strict=True))


def test_a_last_batch_of_one_row_is_left_out() -> None:
    x, y = np.ones((33, 2), np.float32), np.arange(33) % 2
    data = TensorDataset(x, y)
    steps: list[int] = []

    class Count(Callback):
        def on_fit_begin(self, trainer: Any) -> None:
            steps.append(trainer.steps_per_epoch)

    built = mg.recipe(2, 2, hidden=(4,))
    built.fit(data, data, epochs=1, batch_size=32, callbacks=[Count()])
    built.fit(data, data, epochs=1, batch_size=16, callbacks=[Count()])
    built.fit(data, data, epochs=1, batch_size=8, callbacks=[Count()])
    assert steps == [1, 2, 4]
    loader = DataLoader(data, 11)
    built.fit(loader, loader, epochs=1, callbacks=[Count()])
    assert steps[-1] == 3


def test_other_losses() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    data = TensorDataset(x, x.sum(1, keepdims=True))
    built = mg.recipe(3, 1, hidden=(16,), loss=F.mse_loss)
    history = built.fit(data, data, epochs=2)
    assert history.names == ["epoch", "loss", "val_loss", "lr", "seconds"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_in": 0, "n_out": 2}, "whole numbers >= 1, but got n_in=0"),
        ({"n_in": 2, "n_out": 2, "hidden": (8, 0)}, "hidden=\\(8, 0\\)"),
        ({"n_in": 2, "n_out": 2.0}, "n_out=2.0"),
        ({"n_in": 2, "n_out": 2, "activation": "rleu"}, "one of relu, gelu, .* got 'rleu'"),
        ({"n_in": 2, "n_out": 1}, "cross-entropy over one class is always 0; use n_out=2"),
        ({"n_in": 2, "n_out": 2, "dropout": 1.5}, "1.5"),
        ({"n_in": 2, "n_out": 2, "lr": -1.0}, "lr >= 0, got -1.0"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mg.recipe(**arguments)


def test_repr_shows_what_was_built() -> None:
    text = repr(mg.recipe(4, 3, hidden=(8,)))
    assert text.startswith("Recipe(75 parameters, AdamW(lr=0.001, weight_decay=0.01 on weights)")
    assert "ReduceLROnPlateau" in text
    assert "(1): BatchNorm1d(8" in text


LOSSES: dict[str, Any] = {
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": partial(F.huber_loss, delta=0.5),
    "module": mg.nn.SmoothL1Loss(),
    "bce": F.binary_cross_entropy_with_logits,
    "own": lambda o, t: ((o.squeeze(1) - t.reshape(-1)) ** 2).mean(),
}


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_one_output_meets_targets_of_either_shape(name: str, column: bool) -> None:
    mg.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.float32)
    data = TensorDataset(x, y[:, None] if column else y)
    built = mg.recipe(3, 1, hidden=(16,), lr=0.03, loss=LOSSES[name], metrics=[binary_accuracy])
    history = built.fit(data, data, epochs=4, batch_size=16)
    assert history["loss"][-1] < history["loss"][0]
    said = built.predict(data).numpy()
    assert said.shape == (64, 1)
    right = ((said[:, 0] > 0) == (y > 0.5)).mean()
    assert built.evaluate(data)["binary_accuracy"] == pytest.approx(right)
