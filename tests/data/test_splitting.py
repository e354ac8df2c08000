"""random_split: sizes as PyTorch's, no overlap, classes in proportion."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import TensorDataset, random_split
from minigrad.data.splitting import part_sizes
from minigrad.engine.random import Generator


def data(count: int) -> TensorDataset:
    return TensorDataset(np.arange(count))


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([70, 15, 15], [70, 15, 15]),
        ([100, 0], [100, 0]),
        ([0.7, 0.15, 0.15], [70, 15, 15]),
        ([1 / 3, 1 / 3, 1 / 3], [34, 33, 33]),
        ([1.0], [100]),
        ([1, 0.0], [100, 0]),
        (np.array([60, 40]), [60, 40]),
    ],
)
def test_sizes(lengths: Sequence[float], sizes: list[int]) -> None:
    parts = random_split(data(100), list(lengths))
    assert [len(part) for part in parts] == sizes
    assert sorted(np.concatenate([part.indices for part in parts])) == list(range(100))


@given(st.integers(3, 500), st.lists(st.integers(1, 20), min_size=1, max_size=3))
def test_fractions_leave_no_row_out(count: int, weights: list[int]) -> None:
    fractions = [weight / sum(weights) for weight in weights]
    if min(fractions) * count < 1:
        return
    sizes = part_sizes(count, fractions)
    assert sum(sizes) == count
    assert all(abs(size - count * f) < 2 for size, f in zip(sizes, fractions, strict=True))


def test_sizes_are_pytorchs() -> None:
    torch_data = pytest.importorskip("torch.utils.data")
    for count in (10, 11, 97, 569, 1797):
        for lengths in ([0.7, 0.15, 0.15], [0.6, 0.4], [0.1] * 10, [0.25, 0.5, 0.25]):
            theirs = torch_data.random_split(range(count), lengths)
            assert part_sizes(count, lengths) == [len(part) for part in theirs], (count, lengths)


def test_the_same_seed_gives_the_same_parts_in_random_order() -> None:
    def indices(seed: int) -> list[int]:
        return random_split(data(60), [40, 20], Generator(seed))[0].indices.tolist()

    assert indices(1) == indices(1)
    assert indices(1) != indices(2)
    assert indices(1) != sorted(indices(1))


def test_without_a_generator_the_default_one_is_used() -> None:
    first = [random_split(data(60), [40, 20])[0].indices.tolist() for _ in range(2)]
    mg.manual_seed(0)
    again = [random_split(data(60), [40, 20])[0].indices.tolist() for _ in range(2)]
    assert first == again
    assert first[0] != first[1]


@given(
    st.lists(st.integers(3, 60), min_size=1, max_size=8),
    st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.5), (0.8, 0.1, 0.1), (1.0,)]),
    st.integers(0, 5),
)
def test_stratified_parts_hold_classes_in_proportion(
    counts: list[int], fractions: tuple[float, ...], seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)) * 3 - 1, counts)
    total = len(labels)
    if min(fractions) * total < 1:
        return
    parts = random_split(data(total), fractions, Generator(seed), stratify=labels)
    assert [len(part) for part in parts] == part_sizes(total, fractions)
    assert sorted(np.concatenate([part.indices for part in parts])) == list(range(total))
    for part, fraction in zip(parts, fractions, strict=True):
        for label, count in zip(np.unique(labels), counts, strict=True):
            held = (labels[part.indices] == label).sum()
            assert abs(held - count * len(part) / total) < 2, (label, held, count, fraction)


def test_stratified_rows_come_in_random_order() -> None:
    labels = np.repeat([0, 1], 50)
    train, _ = random_split(data(100), [80, 20], Generator(0), stratify=mg.Tensor(labels))
    held = labels[train.indices]
    assert held.sum() == 40
    assert 10 < np.abs(np.diff(held)).sum() < 70


@pytest.mark.parametrize(
    ("lengths", "stratify", "message"),
    [
        ([50, 60], None, "lengths must sum to the dataset's 100 rows, but [50, 60] sum to 110"),
        ([1, 0], None, "sum to 1; fractions are written as floats"),
        ([0.5, 0.4], None, "fractions must sum to 1, but [0.5, 0.4] sum to 0.9"),
        ([1.2, -0.2], None, "expected lengths of 0 and above, but got [1.2, -0.2]"),
        ([], None, "expected lengths of 0 and above, but got []"),
        ([0.999, 0.001], None, "part 1 gets no row, since 0.001 of 100 rows is less than one"),
        ([50, 50], np.zeros(99), "stratify needs one label for each of 100 rows, shape (100,)"),
        ([50, 50], np.zeros((100, 1)), "but has shape (100, 1)"),
        ([50, 50], np.arange(100) == 0, "a class has 1 rows, fewer than the 2 parts"),
    ],
)
def test_refusals(lengths: list[float], stratify: np.ndarray | None, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        random_split(data(100), lengths, stratify=stratify)
