"""Datasets and collation: rows one by one and at once, copies, errors."""

from __future__ import annotations

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import Dataset, Subset, TensorDataset, collate


class Pairs(Dataset):
    """A dataset that knows one row at a time only."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.full(2, index, np.float32), index


def test_tensor_dataset_indexes_all_tensors_together() -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    data = TensorDataset(mg.Tensor(x), np.array([3, 2, 1, 0]))
    features, label = data[2]
    assert features.tolist() == [6.0, 7.0, 8.0]
    assert label.item() == 1
    assert label.shape == ()
    features, labels = data.fetch(np.array([3, 0]))
    assert features.tolist() == [[9.0, 10.0, 11.0], [0.0, 1.0, 2.0]]
    assert labels.tolist() == [0, 3]
    assert features.dtype == np.float32
    assert labels.dtype == np.int64


def test_tensor_dataset_shares_the_arrays_and_copies_the_batches() -> None:
    x = np.zeros((3, 2), np.float32)
    data = TensorDataset(x)
    assert data.tensors[0].numpy() is x or np.shares_memory(data.tensors[0].numpy(), x)
    data.fetch(np.array([0, 1, 2]))[0].numpy()[:] = 7.0
    data[1][0].numpy()[:] = 7.0
    assert not x.any()


def test_tensor_dataset_takes_strided_arrays() -> None:
    x = np.arange(12.0).reshape(3, 4).T
    assert TensorDataset(x).fetch(np.array([2]))[0].tolist() == [[2.0, 6.0, 10.0]]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ((), "TensorDataset: expected at least one tensor, but got none"),
        (
            (np.zeros((4, 2)), np.zeros(3)),
            "TensorDataset: expected tensors of equal length, but got lengths [4, 3]",
        ),
        ((np.zeros(2), np.float64(1.0)), "TensorDataset: tensor 1 is 0-d"),
    ],
)
def test_tensor_dataset_refuses(tensors: tuple[np.ndarray, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TensorDataset(*tensors)


def test_subset_of_a_subset_fetches_at_once() -> None:
    inner = Subset(TensorDataset(np.arange(10)), [9, 8, 7, 6])
    outer = Subset(inner, np.array([3, -4]))
    assert outer.fetch(np.array([0, 1]))[0].tolist() == [6, 9]
    assert outer[1][0].item() == 9
    assert len(outer) == 2


def test_subset_of_anything_indexable() -> None:
    words = Subset(["a", "b", "c"], [2, 0])
    assert words.fetch(np.array([0, 1])) == ["c", "a"]


def test_subset_refuses_an_index_out_of_range() -> None:
    with pytest.raises(IndexError, match="Subset: index 4 is out of range for a dataset of 4 rows"):
        Subset(TensorDataset(np.zeros(4)), [0, 4])


def test_empty_subset() -> None:
    assert len(Subset(TensorDataset(np.zeros(4)), [])) == 0


def test_a_plain_dataset_is_collated() -> None:
    x, y = Pairs(5).fetch(np.array([4, 1]))
    assert x.tolist() == [[4.0, 4.0], [1.0, 1.0]]
    assert y.tolist() == [4, 1]


def test_an_unfinished_dataset_names_what_it_lacks() -> None:
    class Empty(Dataset):
        pass

    with pytest.raises(NotImplementedError, match="Empty lacks __len__"):
        len(Empty())
    with pytest.raises(NotImplementedError, match="Empty lacks __getitem__"):
        Empty()[0]


@pytest.mark.parametrize(
    ("samples", "dtype", "values"),
    [
        ([1, 2], np.int64, [1, 2]),
        ([1.0, 2.0], np.float32, [1.0, 2.0]),
        ([1, 2.5], np.float32, [1.0, 2.5]),
        ([True, False], np.bool_, [True, False]),
        ([np.float64(1.0), np.float64(2.0)], np.float64, [1.0, 2.0]),
        ([np.ones(1, np.int32), np.zeros(1, np.int32)], np.int32, [[1], [0]]),
    ],
)
def test_collate_dtypes(samples: list, dtype: type, values: list) -> None:
    batch = collate(samples)
    assert batch.numpy().dtype == dtype
    assert batch.tolist() == values


def test_collate_goes_into_dicts_and_tuples() -> None:
    samples = [{"x": (mg.Tensor(np.ones(2)), 1), "name": n} for n in "ab"]
    batch = collate(samples)
    assert batch["x"][0].shape == (2, 2)
    assert batch["x"][1].tolist() == [1, 1]
    assert batch["name"] == ["a", "b"]


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (
            [np.zeros(3), np.zeros(4)],
            ValueError,
            "collate: expected samples of one shape, but got (3,) and (4,)",
        ),
        ([(1, 2), (1,)], ValueError, "expected samples with one number of fields, but got [1, 2]"),
        ([object()], TypeError, "but got object; give the DataLoader a collate_fn"),
    ],
)
def test_collate_refuses(samples: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        collate(samples)
