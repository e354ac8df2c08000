"""Standardizer: statistics of the training rows, constant features, types, errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import Standardizer, load_digits


def test_mean_zero_deviation_one(rng: np.random.Generator) -> None:
    x = (rng.normal(size=(200, 5)) * [1, 10, 1e4, 1e-4, 3] + [0, 1e3, -5, 2, 1]).astype(np.float32)
    y = Standardizer().fit_transform(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(0), 0.0, atol=1e-4)
    np.testing.assert_allclose(y.std(0), 1.0, atol=1e-4)


def test_against_scikit_learn(rng: np.random.Generator) -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = rng.normal(2.0, 3.0, size=(50, 4))
    x[:, 2] = 0.1
    theirs = preprocessing.StandardScaler().fit(x[:30])
    ours = Standardizer().fit(x[:30])
    np.testing.assert_allclose(ours.transform(x), theirs.transform(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8, -3.3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_feature_becomes_zero_with_scale_one(value: float, dtype: type) -> None:
    x = np.full((997, 2), value, dtype)
    x[::2, 1] = 2.0
    fitted = Standardizer().fit(x)
    assert fitted.scale is not None
    assert fitted.scale[0] == 1.0
    assert not fitted.transform(x)[:, 0].any()
    unseen = x[:1] + dtype(1.0)
    expected = float(unseen[0, 0]) - float(x[0, 0])
    np.testing.assert_allclose(fitted.transform(unseen)[0, 0], expected, rtol=1e-6)


def test_digits_keep_their_scale() -> None:
    """Constant pixels of the training rows stay small on the rows that are not constant there."""
    split = load_digits().split(seed=0)
    largest = max(np.abs(part.arrays[0]).max() for part in split)
    assert largest < 1000  # 16 / 1e-6 is sixteen million


def test_tensors_stay_tensors_and_integers_become_float32() -> None:
    x = np.array([[1, 2], [3, 6]])
    fitted = Standardizer().fit(mg.Tensor(x))
    y = fitted.transform(mg.Tensor(x))
    assert isinstance(y, mg.Tensor)
    assert y.dtype == np.float32
    assert y.tolist() == [[-1.0, -1.0], [1.0, 1.0]]
    assert fitted.transform(x).dtype == np.float32


def test_images_are_scaled_pixel_by_pixel(rng: np.random.Generator) -> None:
    x = rng.normal(size=(20, 3, 4, 4))
    y = Standardizer().fit_transform(x)
    assert y.shape == x.shape
    np.testing.assert_allclose(y.std(0), 1.0, rtol=1e-12)


def test_inverse_and_state(rng: np.random.Generator) -> None:
    x = rng.normal(5.0, 2.0, size=(30, 3))
    fitted = Standardizer().fit(x)
    np.testing.assert_allclose(fitted.inverse_transform(fitted.transform(x)), x, rtol=1e-12)
    other = Standardizer()
    other.load_state_dict(fitted.state_dict())
    np.testing.assert_array_equal(other.transform(x), fitted.transform(x))
    assert repr(other) == "Standardizer(3 features)"
    assert repr(Standardizer()) == "Standardizer(not fitted)"


def nan_in(row: int, column: int) -> np.ndarray:
    x = np.ones((4, 3), np.float32)
    x[row, column] = np.nan
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(5), "expected rows of features, shape (N, ...) with N >= 1, but got shape (5,)"),
        (np.zeros((0, 5)), "but got shape (0, 5)"),
        (nan_in(2, 1), "1 values are not finite, the first is nan in row 2, feature 1"),
    ],
)
def test_fit_refuses(x: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Standardizer().fit(x)


@pytest.mark.parametrize(
    ("fitted", "call", "message"),
    [
        (False, lambda s: s.transform(np.zeros((2, 3))), "call fit with the training rows first"),
        (True, lambda s: s.transform(np.zeros((2, 4))), "features of shape (3,), but got rows of"),
        (True, lambda s: s.load_state_dict({"mean": 0}), "['mean', 'scale'], but got ['mean']"),
    ],
)
def test_misuse(fitted: bool, call: Any, message: str) -> None:
    standardizer = Standardizer()
    if fitted:
        standardizer.fit(np.arange(6.0).reshape(2, 3))
    with pytest.raises(ValueError, match=re.escape(message)):
        call(standardizer)
