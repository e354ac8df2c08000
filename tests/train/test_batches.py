"""Loaders and batches that cannot be trained on: each refused with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.train import Trainer
from tests.train.toys import loader, network, rows, same, snapshot, trainer


def planted(value: float, where: str) -> mg.data.DataLoader:
    x, y = rows()
    target: Any = y.astype(np.float32)
    {"x": x, "target": target[:, None]}[where][21, 0] = value
    data = (x, y) if where == "x" else (x, target)
    return mg.data.DataLoader(mg.data.TensorDataset(*data), 8)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_in_the_data_is_named(value: float) -> None:
    message = (
        f"batch 3 of the training loader: x holds 1 values .* the first is {value} at \\[5, 0\\]"
    )
    with pytest.raises(ValueError, match=message):
        trainer().fit(planted(value, "x"), epochs=1)
    with pytest.raises(ValueError, match="batch 3 of the validation loader: x holds"):
        trainer().fit(loader(), planted(value, "x"), epochs=1)
    with pytest.raises(ValueError, match="batch 3 of the evaluation loader: x holds"):
        trainer().evaluate(planted(value, "x"))


def test_nan_in_a_target_is_named() -> None:
    fitted = trainer(loss=lambda output, target: F.mse_loss(output[:, 0], target))
    with pytest.raises(ValueError, match="batch 3 of the training loader: target holds 1 values"):
        fitted.fit(planted(np.nan, "target"), epochs=1)


def test_loaders_without_a_batch() -> None:
    with pytest.raises(
        ValueError, match="the training loader gave no batch; expected at least one"
    ):
        trainer().fit([], epochs=1)
    with pytest.raises(ValueError, match="the validation loader gave no batch"):
        trainer().fit(loader(), iter(()), epochs=1)
    with pytest.raises(ValueError, match="the evaluation loader gave no batch"):
        trainer().evaluate([])


def test_an_iterator_lasts_one_epoch() -> None:
    assert len(trainer().fit(iter(list(loader())), epochs=1)) == 1
    with pytest.raises(TypeError, match="can be read only once, but there are 2 epochs"):
        trainer().fit(iter(list(loader())), epochs=2)
    with pytest.raises(ValueError, match="the validation loader gave no batch.* read only once"):
        trainer().fit(loader(), iter(list(loader())), epochs=2)


def test_a_last_batch_of_one_row_is_refused_before_training() -> None:
    fitted = trainer()
    before = snapshot(fitted.model)
    message = (
        "last batch has 1 row \\(41 rows = 5 x 8 \\+ 1\\), but batch-norm \\(1\\) needs at least "
        "2 .*"
        "drop_last=True"
    )
    with pytest.raises(ValueError, match=message):
        fitted.fit(loader(41), epochs=1)
    assert same(before, snapshot(fitted.model))
    assert len(trainer().fit(loader(41, drop_last=True), epochs=1)) == 1
    assert len(trainer(model=network(norm=False)).fit(loader(41), epochs=1)) == 1


def test_a_batch_of_one_under_batch_norm() -> None:
    with pytest.raises(ValueError, match="drop_last=True") as caught:
        trainer().fit(loader(batch_size=1), epochs=1)
    (note,) = caught.value.__notes__
    assert note == (
        "(epoch 1, step 1, batch 1 of the training loader: x (1, 4) float32, target (1,) int64)"
    )


def test_a_wrong_target_dtype_is_explained() -> None:
    x, y = rows()
    wrong = mg.data.DataLoader(mg.data.TensorDataset(x, y.astype(np.float32)), 8)
    with pytest.raises((TypeError, ValueError), match="float32") as caught:
        trainer().fit(wrong, epochs=1)
    assert "target (8,) float32" in caught.value.__notes__[0]


def test_a_target_out_of_range_is_named() -> None:
    x, y = rows()
    y[3] = 7
    with pytest.raises((IndexError, ValueError), match="7"):
        trainer().fit(mg.data.DataLoader(mg.data.TensorDataset(x, y), 8), epochs=1)


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True])
def test_epochs_must_be_a_count(epochs: Any) -> None:
    with pytest.raises(ValueError, match="expected epochs as a whole number >= 1, but got"):
        trainer().fit(loader(), epochs=epochs)


def test_batches_must_be_pairs() -> None:
    one = mg.data.DataLoader(mg.data.TensorDataset(rows()[0]), 8)
    with pytest.raises(
        TypeError, match="should give batches \\(x, target\\), but gave a tuple of 1"
    ):
        trainer().fit(one, epochs=1)
    with pytest.raises(TypeError, match="expected a loader .* but got one ndarray"):
        trainer().fit(rows()[0], epochs=1)


# ---------------------------------------------------------------- a column against a row


class Column(mg.nn.Module):
    """A model of one output a row, as a column or flat."""

    def __init__(self, flat: bool) -> None:
        super().__init__()
        self.layer = mg.nn.Linear(4, 1)
        self.flat = flat

    def forward(self, x: Any) -> Any:
        return self.layer(x).squeeze(1) if self.flat else self.layer(x)


BROADCASTING: dict[str, Any] = {
    "squares": lambda o, t: ((o - t) ** 2).mean(),
    "absolute": lambda o, t: (t - o).abs().mean(),
    "products": lambda o, t: -(o * t).mean(),
    "maximum": lambda o, t: mg.maximum(o, t).mean(),
    "log-cosh": lambda o, t: ((o - t).exp() + (t - o).exp()).log().mean(),
}


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", BROADCASTING)
def test_a_loss_that_pairs_every_output_with_every_target_is_refused(name: str, flat: bool) -> None:
    x, y = rows(16)
    target = y.astype(np.float32)[:, None] if flat else y.astype(np.float32)
    data = mg.data.DataLoader(mg.data.TensorDataset(x, target), 8)
    model = Column(flat)
    before = snapshot(model)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    fitted = Trainer(model, optimizer, BROADCASTING[name])
    message = r"outputs of shape \(8.* against targets of shape \(8.* to \(8, 8\), every output"
    for call in (lambda: fitted.fit(data, epochs=1), lambda: fitted.evaluate(data)):
        with pytest.raises(ValueError, match=message):
            call()
    assert same(snapshot(model), before)
    with pytest.raises(ValueError, match="one shape|equal shapes"):  # the library's refuse at once
        Trainer(model, optimizer, F.mse_loss).evaluate(data)
    other = Trainer(model, optimizer, lambda o, t: ((o.reshape(-1) - t.reshape(-1)) ** 2).mean())
    other.metrics = {"m": BROADCASTING[name]}
    with pytest.raises(ValueError, match=message):
        other.evaluate(data)


def test_what_pairs_on_purpose_or_not_at_all_is_left_alone() -> None:
    x, y = rows(16)
    data = mg.data.DataLoader(mg.data.TensorDataset(x, y.astype(np.float32)), 8)
    model = Column(False)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.01)
    for loss in (
        lambda o, t: ((o.squeeze(1) - t) ** 2).mean(),
        lambda o, t: ((o - t.unsqueeze(1)) ** 2).mean(),
        lambda o, t: ((o - t.unsqueeze(0)) ** 2).mean(),  # (N, 1) and (1, N): as it is written
    ):
        assert len(Trainer(model, optimizer, loss).fit(data, epochs=1)) == 1
