"""Predictions: every row once and in its order, from whatever rows come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import DataLoader, Dataset, Subset, TensorDataset
from minigrad.train import Trainer
from tests.train.toys import network, rows

X, Y = rows(41)


def trained() -> Trainer:
    mg.manual_seed(0)
    model = network(dropout=0.5)
    return Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))


WANTED = trained().predict(X).numpy()


class Rows(Dataset):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> Any:
        return X[index], int(Y[index])


DATA = TensorDataset(X, Y)
FORMS: dict[str, Any] = {
    "array": X,
    "tensor": mg.Tensor(X),
    "float64 array": X.astype(np.float64),
    "lists": X.tolist(),
    "tuple of tuples": tuple(map(tuple, X.tolist())),
    "lists of NumPy numbers": [list(row) for row in X],
    "strided": np.repeat(X, 2, 0)[::2],
    "dataset": DATA,
    "dataset without targets": TensorDataset(X),
    "subset": Subset(DATA, np.arange(41)),
    "dataset in Python": Rows(),
    "loader": DataLoader(DATA, 8),
    "shuffling": DataLoader(DATA, 8, shuffle=True),
    "dropping": DataLoader(DATA, 8, drop_last=True),
    "shuffling and dropping": DataLoader(DATA, 8, shuffle=True, drop_last=True),
    "loader of rows in Python": DataLoader(Rows(), 8, shuffle=True),
    "loader in its middle": DataLoader(DATA, 8, shuffle=True),
    "batches": [(X[i : i + 7], Y[i : i + 7]) for i in range(0, 41, 7)],
    "batches of x": [mg.Tensor(X[i : i + 7]) for i in range(0, 41, 7)],
    "generator": None,
}


@pytest.mark.parametrize("size", [1, 7, np.int64(8), np.uint8(41), 1000])
@pytest.mark.parametrize("form", FORMS)
def test_rows_come_once_and_in_order(form: str, size: Any) -> None:
    data = FORMS[form]
    if form == "generator":
        data = (X[i : i + 7] for i in range(0, 41, 7))
    if form == "loader in its middle":
        next(iter(data))
    state = data.state_dict() if isinstance(data, DataLoader) else None
    found = trained().predict(data, size).numpy()
    np.testing.assert_allclose(found, WANTED, rtol=1e-5, atol=1e-6)
    if state is not None:
        assert data.state_dict() == state  # a prediction takes nothing from a loader


def test_integers_where_the_model_takes_floats_and_where_it_takes_integers() -> None:
    whole = np.arange(8).reshape(2, 4)
    fitted = trained()
    wanted = fitted.predict(whole.astype(np.float32)).numpy()
    for data in (whole, whole.tolist(), whole.astype(np.uint8), whole.astype(np.int32)):
        np.testing.assert_array_equal(fitted.predict(data).numpy(), wanted)
    model = mg.nn.Sequential(mg.nn.Embedding(9, 3), mg.nn.Flatten(), mg.nn.Linear(12, 2))
    fitted = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
    assert fitted.predict(whole).shape == fitted.predict(whole.tolist()).shape == (2, 2)


def test_a_double_model_gets_doubles() -> None:
    model = network().double()
    fitted = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
    assert fitted.predict(X).dtype == mg.float64
    assert fitted.predict(X.tolist()).dtype == mg.float64


def test_one_row() -> None:
    fitted = trained()
    assert fitted.predict(X[:1]).shape == (1, 3)
    assert fitted.predict([X[0].tolist()]).shape == (1, 3)
    for single in (X[0], mg.Tensor(X[0]), X[0].tolist()):
        with pytest.raises((ValueError, RuntimeError, TypeError)):
            fitted.predict(single)
    model = mg.nn.Linear(4, 3)
    with pytest.raises(ValueError, match=r"one output a row, but .* a single row is given as x\["):
        Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1)).predict(X[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named(value: float) -> None:
    spoilt = X.copy()
    spoilt[20, 2] = value
    fitted = trained()
    message = rf"x holds 1 values .* first is {value} at \[4, 2\] of the rows 16 to 23"
    with pytest.raises(ValueError, match=message):
        fitted.predict(spoilt, 8)
    for data in (spoilt.tolist(), mg.Tensor(spoilt)):
        with pytest.raises(ValueError, match=r"\[20, 2\]"):
            fitted.predict(data)
    for loader in (DataLoader(TensorDataset(spoilt, Y), 8, shuffle=True), [(spoilt, Y)]):
        with pytest.raises(ValueError, match="predict: x of batch [13] holds 1 values"):
            fitted.predict(loader)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X[:0], r"at least one row, but got shape \(0, 4\)"),
        (mg.Tensor(X[:0]), r"at least one row, but got shape \(0, 4\)"),
        ([], "gave no batch"),
        (iter(()), "gave no batch"),
        (TensorDataset(X[:0]), "gave no batch|at least one"),
        (np.float32(1.0) + np.zeros((), np.float32), "single number|iterable"),
        ([[1.0, 2.0], [1.0]], "all of one length"),
        ([[1.0, "a"]], "rows of numbers"),
    ],
)
def test_no_rows(data: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        trained().predict(data)


@pytest.mark.parametrize("size", [0, -1, 2.5, "8", None, True, np.float32(2)])
def test_a_batch_size_that_is_none(size: Any) -> None:
    with pytest.raises(ValueError, match="predict: expected batch_size as a whole number >= 1"):
        trained().predict(X, size)


def test_outputs_that_are_not_one_a_row() -> None:
    class Odd(mg.nn.Module):
        def __init__(self, what: Any) -> None:
            super().__init__()
            self.what = what
            self.w = mg.nn.Parameter(mg.zeros(1))

        def forward(self, x: Any) -> Any:
            return self.what(x)

    for what, message in (
        (lambda x: x.mean(), "expected one output a row"),
        (lambda x: x[:2], "expected one output a row"),
        (lambda x: (x, x), "to return a Tensor, but it returned a tuple"),
    ):
        model = Odd(what)
        fitted = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
        with pytest.raises((ValueError, TypeError), match=message):
            fitted.predict(X)
        assert model.training
