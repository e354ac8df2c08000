"""Metrics and their means."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.train import accuracy, binary_accuracy
from minigrad.train.metrics import RowMeans, named_metrics


def test_accuracy_counts_rows(rng: np.random.Generator) -> None:
    output = rng.normal(size=(50, 7)).astype(np.float32)
    target = rng.integers(0, 7, 50)
    expected = (output.argmax(1) == target).mean()
    assert accuracy(mg.Tensor(output), mg.Tensor(target)).item() == pytest.approx(expected)


def test_accuracy_over_positions(rng: np.random.Generator) -> None:
    output = rng.normal(size=(5, 3, 4)).astype(np.float32)
    target = rng.integers(0, 3, (5, 4))
    expected = (output.argmax(1) == target).mean()
    assert accuracy(mg.Tensor(output), mg.Tensor(target)).item() == pytest.approx(expected)


def test_binary_accuracy() -> None:
    output, target = mg.tensor([2.0, -1.0, 0.0, 3.0]), mg.tensor([1.0, 0.0, 1.0, 0.0])
    assert binary_accuracy(output, target).item() == 0.5


def test_what_does_not_go_together() -> None:
    logits = mg.zeros(4, 3)
    with pytest.raises(TypeError, match="expected classes as integers, but the target is minigrad"):
        accuracy(logits, mg.zeros(4))
    with pytest.raises(ValueError, match="got \\(4, 3\\) and \\(5,\\)"):
        accuracy(logits, mg.zeros(5, dtype=mg.int64))
    with pytest.raises(ValueError, match="expected equal shapes, but got \\(4, 1\\) and \\(4,\\)"):
        binary_accuracy(mg.zeros(4, 1), mg.zeros(4))


def test_row_means_sum_in_float64() -> None:
    means = RowMeans()
    for _ in range(1000):
        means.add("loss", mg.tensor(0.1), 3)
    assert means.results() == {"loss": pytest.approx(float(np.float32(0.1)), rel=1e-14)}


def test_names() -> None:
    assert list(named_metrics([accuracy, binary_accuracy])) == ["accuracy", "binary_accuracy"]
    assert list(named_metrics(accuracy)) == ["accuracy"]
    assert named_metrics(None) == {}
    with pytest.raises(TypeError, match="'f1' is 3; write metrics="):
        named_metrics({"f1": 3})
    with pytest.raises(ValueError, match="'val_x' is taken by the history"):
        named_metrics({"val_x": accuracy})
