"""The embedded data sets: their values, their papers, their splits."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

import numpy as np
import pytest

from minigrad.data import DATASETS, Standardizer, TabularData, load_digits
from minigrad.data.builtin import load_breast_cancer

# Printed by make_datasets.py: sha256 of x as float32 and y as int64.
CHECKSUMS = {
    "digits": "faf2d98f61250c1cdc0b114323133d3c58da04f5c5d28bb78e4bde3c936a75b1",
    "breast_cancer": "f86286b06e0eb4fbbb699d6ba5df7f1432e65642369ae111d0e47b47d02338bc",
    "iris": "879b81724528964779983358162a724401de00141f8cb9c922d27f908396b8c7",
    "wine": "300d849b9eb766c3058bcebb4f806f42766e213cbcd8402c411d3d592747e011",
}

every_name = pytest.mark.parametrize("name", DATASETS)


@every_name
def test_values_by_checksum(name: str) -> None:
    data = DATASETS[name]()
    assert data.x.dtype == np.float32
    assert data.y.dtype == np.int64
    digest = hashlib.sha256(data.x.tobytes() + data.y.tobytes()).hexdigest()
    assert digest == CHECKSUMS[name]


@every_name
def test_values_are_scikit_learns(name: str) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    ours, theirs = DATASETS[name](), getattr(datasets, f"load_{name}")()
    np.testing.assert_array_equal(ours.x, theirs.data.astype(np.float32))
    np.testing.assert_array_equal(ours.y, theirs.target)
    assert ours.feature_names == tuple(theirs.feature_names)
    assert ours.target_names == tuple(str(name) for name in theirs.target_names)


@every_name
def test_source_licence_and_citation_are_told(name: str) -> None:
    description = DATASETS[name]().description
    for word in ("Source: ", "Licence: ", "Citation: ", "Changes: ", "doi.org/10.24432/"):
        assert word in description, f"{name}.txt lacks {word!r}"


def test_every_file_has_a_loader_and_a_text() -> None:
    folder = resources.files("minigrad.data") / "embedded"
    files = {path.name for path in folder.iterdir()}
    assert files == {f"{name}.{suffix}" for name in DATASETS for suffix in ("npz", "txt")}


@every_name
def test_split_is_stratified_and_repeatable(name: str) -> None:
    data = DATASETS[name]()
    split = data.split(seed=1, standardize=False)
    shares = np.bincount(data.y) / len(data)
    for part, fraction in zip(split, (0.7, 0.15, 0.15), strict=True):
        assert abs(len(part) - fraction * len(data)) < 2
        held = np.bincount(part.arrays[1], minlength=data.n_classes)
        assert np.abs(held - shares * len(part)).max() < 2
    again = data.split(seed=1, standardize=False)
    for part, same in zip(split, again, strict=True):
        np.testing.assert_array_equal(part.arrays[0], same.arrays[0])
    other = data.split(seed=2, standardize=False)
    assert not np.array_equal(split.train.arrays[0], other.train.arrays[0])


def test_split_gives_every_row_once() -> None:
    data = load_digits()
    rows = np.concatenate([part.arrays[0] for part in data.split(standardize=False)])
    order, expected = np.lexsort(rows.T), np.lexsort(data.x.T)
    np.testing.assert_array_equal(rows[order], data.x[expected])


def test_split_standardizes_by_the_training_rows() -> None:
    data = load_breast_cancer()
    raw, scaled = data.split(seed=3, standardize=False), data.split(seed=3)
    assert raw.standardizer is None
    fitted = Standardizer().fit(raw.train.arrays[0])
    for before, after in zip(raw, scaled, strict=True):
        np.testing.assert_array_equal(fitted.transform(before.arrays[0]), after.arrays[0])
    assert scaled.standardizer is not None
    np.testing.assert_array_equal(scaled.standardizer.mean, fitted.mean)


def test_split_takes_three_fractions() -> None:
    with pytest.raises(ValueError, match="expected three fractions .* but got 2"):
        load_digits().split(fractions=(0.8, 0.2))


def test_split_of_a_regression_target() -> None:
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    data = TabularData("line", x, x[:, 0] / 2, ("a", "b"))
    train, validation, test = data.split(fractions=(0.5, 0.25, 0.25))
    assert (len(train), len(validation), len(test)) == (10, 5, 5)
    assert repr(data) == "<line: 20 rows, 2 features, target 0 to 19>"


def test_repr_counts_the_classes() -> None:
    assert repr(load_breast_cancer()) == (
        "<breast_cancer: 569 rows, 30 features, 2 classes (malignant 212, benign 357)>"
    )


@pytest.mark.parametrize(
    ("x", "y", "names", "message"),
    [
        (np.zeros(3), np.zeros(3), (), "x of shape (N, F) and y of shape (N,), but got (3,)"),
        (np.zeros((3, 1)), np.zeros(2), ("a",), "but got (3, 1) and (2,)"),
        (np.zeros((3, 2)), np.zeros(3), ("a",), "2 features have 1 names"),
    ],
)
def test_shapes_must_fit(x: np.ndarray, y: np.ndarray, names: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TabularData("bad", x, y, names)
