"""Rows by number, by mask and by part, in whatever type they come."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import DataLoader, Subset, TensorDataset, random_split

DATA = TensorDataset(np.arange(6) * 10)
MASK = [False, True, False, True, True, False]


def rows(indices: Any) -> list[int]:
    subset = Subset(DATA, indices)
    found = subset.fetch(np.arange(len(subset)))[0].tolist()
    assert found == [int(subset[i][0].item()) for i in range(len(subset))]
    return found


WHOLE: dict[str, Any] = {
    "list": [1, 3, 4],
    "tuple": (1, 3, 4),
    "range": range(1, 5, 2),
    "int64": np.array([1, 3, 4]),
    "uint8": np.array([1, 3, 4], np.uint8),
    "uint64": np.array([1, 3, 4], np.uint64),
    "int16": np.array([1, 3, 4], np.int16),
    "NumPy numbers": [np.int32(1), np.uint8(3), 4],
    "tensor": mg.tensor([1, 3, 4]),
    "0-d tensors": [mg.tensor(1), mg.tensor(3), mg.tensor(4)],
    "negative": [-5, -3, -2],
    "generator": None,
    "dict keys": {1: "a", 3: "b", 4: "c"},
    "strided": np.arange(6)[1::2],
}


@pytest.mark.parametrize("form", WHOLE)
def test_whole_numbers_of_any_type(form: str) -> None:
    indices = (i for i in (1, 3, 4)) if form == "generator" else WHOLE[form]
    expected = {"range": [10, 30], "strided": [10, 30, 50]}.get(form, [10, 30, 40])
    assert rows(indices) == expected


@pytest.mark.parametrize(
    "mask", [MASK, tuple(MASK), np.array(MASK), mg.tensor(MASK), list(np.array(MASK))], ids=type
)
def test_a_mask_keeps_its_true_rows(mask: Any) -> None:
    assert rows(mask) == [10, 30, 40]
    assert rows(np.zeros(6, bool)) == []
    assert rows(np.array(DATA.arrays[0]) > 25) == [30, 40, 50]


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        (MASK[:4], ValueError, "expected one bool for each of 6 rows, but got 4"),
        (np.ones(7, bool), ValueError, "one bool for each of 6 rows, but got 7"),
        ([0.9, 2.7], TypeError, "row numbers as whole numbers, but got np.float64(0.9) of float64"),
        (np.array([1.0, 2.0]), TypeError, "whole numbers"),
        (mg.tensor([1.0]), TypeError, "whole numbers"),
        ([True, 2, 0], TypeError, "row numbers or bools, but got both in one list"),
        (["1"], TypeError, "whole numbers"),
        ([None], TypeError, "whole numbers"),
        ([6], IndexError, "index 6 is out of range for a dataset of 6 rows"),
        ([0, -7], IndexError, "index -7 is out of range"),
        (np.array([2**64 - 1], np.uint64), IndexError, "18446744073709551615 is out of range"),
        ([[0, 1], [2, 3]], ValueError, "shape (n,), but got shape (2, 2)"),
        (3, ValueError, "shape (n,), but got shape ()"),
        (np.ones((6, 1), bool), ValueError, "but got shape (6, 1)"),
    ],
    ids=str,
)
def test_what_is_no_row_number(indices: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        Subset(DATA, indices)


def test_none_of_the_rows_and_a_subset_of_a_subset() -> None:
    assert rows([]) == rows(np.array([])) == rows(()) == []
    inner = Subset(DATA, np.array(MASK))
    assert Subset(inner, [True, False, True]).fetch(np.arange(2))[0].tolist() == [10, 40]
    assert Subset(inner, [-1])[0][0].item() == 40
    with pytest.raises(TypeError):
        inner[0.5]  # type: ignore[index]


@pytest.mark.parametrize(
    "lengths",
    [
        [4, 2],
        (np.int64(4), np.uint8(2)),
        np.array([4, 2]),
        [mg.tensor(4), 2],
        [np.float32(2 / 3), np.float64(1 / 3)],
        np.array([2 / 3, 1 / 3]),
    ],
    ids=str,
)
def test_lengths_of_a_split_in_any_type(lengths: Any) -> None:
    parts = random_split(DATA, lengths, mg.Generator(0))
    assert [len(part) for part in parts] == [4, 2]
    assert sorted(np.concatenate([part.indices for part in parts])) == list(range(6))


@pytest.mark.parametrize("lengths", [[True, 5], [None, 6], ["3", 3], [float("nan"), 1.0], [[3], 3]])
def test_lengths_that_are_none(lengths: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="random_split: expected"):
        random_split(DATA, lengths)


@pytest.mark.parametrize("size", [4, np.int8(4), np.uint64(4), np.array(4), mg.tensor(4)], ids=type)
def test_a_batch_size_in_any_type(size: Any) -> None:
    loader = DataLoader(DATA, size)
    assert (len(loader), loader.batch_size, type(loader.batch_size)) == (2, 4, int)
    loader.load_state_dict(DataLoader(DATA, 4).state_dict())


@pytest.mark.parametrize("size", [0, -1, 2.0, np.float32(2), "4", True, np.bool_(True), [4]])
def test_a_batch_size_that_is_none(size: Any) -> None:
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
        DataLoader(DATA, size)
