"""The DataLoader: order by seed and epoch, resume in mid-epoch, shapes, errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import DataLoader, Dataset, Subset, TensorDataset, load_digits
from minigrad.engine.random import Generator


def numbers(count: int) -> TensorDataset:
    return TensorDataset(np.arange(count))


def rows(loader: Any) -> list[list[int]]:
    """Return the rows of each batch of one pass."""
    return [x.tolist() for (x,) in loader]


def test_batches_are_tuples_of_tensors_in_order() -> None:
    data = TensorDataset(np.eye(5, dtype=np.float32), np.arange(5))
    batches = list(DataLoader(data, batch_size=2))
    assert [y.tolist() for _, y in batches] == [[0, 1], [2, 3], [4]]
    assert all(isinstance(part, mg.Tensor) for batch in batches for part in batch)
    assert batches[0][0].shape == (2, 5)
    assert batches[0][0].dtype == np.float32
    assert isinstance(batches[0], tuple)


@given(st.integers(1, 40), st.integers(1, 15), st.booleans(), st.booleans())
def test_every_row_comes_once(count: int, size: int, shuffle: bool, drop_last: bool) -> None:
    if drop_last and count < size:
        return
    loader = DataLoader(numbers(count), size, shuffle, drop_last=drop_last)
    batches = rows(loader)
    assert len(batches) == len(loader)
    assert all(len(batch) == size for batch in batches[:-1])
    seen = [row for batch in batches for row in batch]
    assert len(set(seen)) == len(seen) == (count // size * size if drop_last else count)
    if not shuffle:
        assert seen == list(range(len(seen)))


def test_shuffle_changes_from_epoch_to_epoch_and_repeats_with_the_seed() -> None:
    def epochs(seed: int) -> list[list[list[int]]]:
        loader = DataLoader(numbers(50), 8, shuffle=True, generator=Generator(seed))
        return [rows(loader) for _ in range(3)]

    first = epochs(1)
    assert first == epochs(1)
    assert first != epochs(2)
    assert first[0] != first[1] != first[2]


def test_manual_seed_alone_fixes_the_order() -> None:
    loader = DataLoader(numbers(50), 8, shuffle=True)
    mg.manual_seed(3)
    first = [rows(loader), rows(loader)]
    mg.manual_seed(3)
    assert [rows(loader), rows(loader)] == first
    mg.manual_seed(4)
    assert [rows(loader), rows(loader)] != first


def test_the_order_depends_on_the_epoch_alone() -> None:
    """Neither other random draws nor a pass that was left early move the following orders."""
    calm = DataLoader(numbers(30), 4, shuffle=True, generator=Generator(5))
    expected = [rows(calm) for _ in range(3)]
    loader = DataLoader(numbers(30), 4, shuffle=True, generator=Generator(5))
    next(iter(loader))
    mg.random.default.permutation(10)
    assert rows(loader) == expected[1]
    assert loader.epoch == 2
    assert rows(loader) == expected[2]


def test_two_loaders_draw_from_streams_of_their_own() -> None:
    one, two = (DataLoader(numbers(50), 50, shuffle=True) for _ in range(2))
    assert rows(one) != rows(two)


@pytest.mark.parametrize("stop", [0, 1, 3, 6, 7, 10, 14, 20])
def test_resume_goes_on_with_the_next_batch(stop: int) -> None:
    def build(seed: int) -> DataLoader:
        return DataLoader(numbers(27), 4, shuffle=True, generator=Generator(seed))

    whole = build(1)
    expected = [batch for _ in range(3) for batch in rows(whole)]
    loader = build(1)
    seen: list[list[int]] = []
    while len(seen) < stop:
        for (x,) in loader:
            seen.append(x.tolist())
            if len(seen) == stop:
                break
    state = loader.state_dict()
    fresh = build(99)
    fresh.load_state_dict(state)
    assert fresh.epoch == stop // len(whole)
    while len(seen) < len(expected):
        seen += rows(fresh)
    assert seen == expected


def test_a_resumed_loader_counts_on() -> None:
    loader = DataLoader(numbers(10), 3, shuffle=True)
    rows(loader)
    batches = iter(loader)
    next(batches)
    assert loader.epoch == 1
    other = DataLoader(numbers(10), 3, shuffle=True)
    other.load_state_dict(loader.state_dict())
    assert rows(other) == rows(batches)
    assert loader.epoch == other.epoch == 2
    assert rows(other) == rows(loader)


def test_a_resume_needs_no_manual_seed() -> None:
    mg.manual_seed(1)
    loader = DataLoader(numbers(20), 3, shuffle=True)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    expected = [rows(batches), rows(loader)]
    mg.manual_seed(2)
    fresh = DataLoader(numbers(20), 3, shuffle=True)
    fresh.load_state_dict(state)
    assert [rows(fresh), rows(fresh)] == expected


def test_state_is_plain_data() -> None:
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        return value is None or isinstance(value, bool | int | float | str)

    assert plain(DataLoader(numbers(3)).state_dict())


def test_arrays_are_batched_without_a_loop_over_rows() -> None:
    class Counting(TensorDataset):
        def __getitem__(self, index: int) -> Any:
            raise AssertionError("a row was fetched alone")

    data = Counting(np.zeros((100, 3)), np.arange(100))
    loader = DataLoader(Subset(data, np.arange(50)), 10, shuffle=True)
    assert sum(len(y) for _, y in loader) == 50


def test_writing_to_a_batch_leaves_the_data_alone() -> None:
    x = np.zeros((6, 2), np.float32)
    for shuffle in (False, True):
        for (batch,) in DataLoader(TensorDataset(x), 6, shuffle):
            batch.numpy()[:] = 1.0
    assert not x.any()


def test_generic_datasets_and_lists_are_collated() -> None:
    class Squares(Dataset):
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> dict[str, Any]:
            return {"x": np.float32(index), "y": index * index}

    batches = list(DataLoader(Squares(), 3))
    assert batches[1]["y"].tolist() == [9, 16]
    assert batches[1]["x"].dtype == np.float32
    assert [b.tolist() for b in DataLoader([3, 1, 4], 2)] == [[3, 1], [4]]


def test_collate_fn_gets_the_samples() -> None:
    loader = DataLoader(numbers(5), 2, collate_fn=lambda samples: [x.item() for (x,) in samples])
    assert list(loader) == [[0, 1], [2, 3], [4]]


def test_tabular_data_can_be_loaded_directly() -> None:
    x, y = next(iter(DataLoader(load_digits(), 32)))
    assert x.shape == (32, 64)
    assert y.tolist()[:4] == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "8"])
def test_bad_batch_size(size: Any) -> None:
    message = f"batch_size must be a whole number of at least 1, but got {size!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        DataLoader(numbers(3), size)


def test_numpy_integers_are_batch_sizes() -> None:
    assert len(DataLoader(numbers(10), np.int64(4))) == 3


def test_empty_dataset() -> None:
    with pytest.raises(ValueError, match=r"the dataset is empty \(0 rows\)"):
        DataLoader(numbers(0))


def test_drop_last_that_leaves_nothing() -> None:
    message = "drop_last leaves no batch, since 10 rows do not fill one of batch_size=64"
    with pytest.raises(ValueError, match=message):
        DataLoader(numbers(10), 64, drop_last=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 9}, "saved with rows=9, but this loader has rows=10"),
        ({"batch_size": 5}, "saved with batch_size=5, but this loader has batch_size=4"),
        ({"shuffle": True}, "saved with shuffle=True, but this loader has shuffle=False"),
        ({"drop_last": True}, "saved with drop_last=True, but this loader has drop_last=False"),
        ({"position": 3}, "position 3 is outside an epoch of 3 batches"),
        ({"novel": 1}, "expected the keys ['batch_size', 'drop_last'"),
    ],
)
def test_a_state_of_another_loader_is_refused(change: dict[str, Any], message: str) -> None:
    loader = DataLoader(numbers(10), 4)
    with pytest.raises(ValueError, match=re.escape(message)):
        loader.load_state_dict(loader.state_dict() | change)


def test_repr() -> None:
    assert repr(DataLoader(numbers(10), 4, shuffle=True)) == (
        "DataLoader(TensorDataset((10,)), batch_size=4, shuffle=True, drop_last=False)"
    )
