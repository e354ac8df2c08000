"""Stratified and bucketed batches; streams in a DataLoader and in a fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import (
    BucketBatchSampler,
    ChainDataset,
    DataLoader,
    IterableDataset,
    StratifiedBatchSampler,
    TensorDataset,
)
from tests.train.toys import network, rows, trainer


def test_batches_have_the_classes_in_proportion() -> None:
    labels = np.array(["a"] * 60 + ["b"] * 30 + ["c"] * 10)
    sampler = StratifiedBatchSampler(labels, 10)
    passes = [list(sampler) for _ in range(2)]
    assert passes[0] != passes[1] and len(sampler) == 10
    for batches in passes:
        assert sorted([row for batch in batches for row in batch]) == list(range(100))
        for batch in batches:
            counts = [int((labels[batch] == label).sum()) for label in "abc"]
            assert all(abs(n - share) <= 1 for n, share in zip(counts, (6, 3, 1), strict=True))


def test_buckets_pad_little() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 200, 403)

    def padding(batches: Any) -> int:
        return sum(int(lengths[b].max()) * len(b) for b in batches) - int(lengths.sum())

    sampler = BucketBatchSampler(lengths, 8)
    batches = list(sampler)
    assert (
        sorted([row for batch in batches for row in batch]) == list(range(403))
        and len(sampler) == len(batches) == 51
    )
    assert padding(batches) < 0.1 * padding(
        [list(range(i, min(i + 8, 403))) for i in range(0, 403, 8)]
    )
    assert batches != list(sampler)
    whole = BucketBatchSampler(lengths, 8, drop_last=True, pool=10)
    assert {len(batch) for batch in whole} == {8} and len(list(whole)) == len(whole) == 50


@pytest.mark.parametrize(
    "make",
    [
        lambda g: StratifiedBatchSampler(np.arange(40) % 3, 8, generator=g),
        lambda g: BucketBatchSampler(np.arange(40) % 7, 8, generator=g),
    ],
)
def test_orders_follow_the_seed(make: Any) -> None:
    orders = []
    for own in (False, False, True, True):
        mg.manual_seed(3)
        orders.append(list(make(mg.Generator(5) if own else None)))
    assert orders[0] == orders[1] and orders[2] == orders[3]


def test_a_fit_over_stratified_batches() -> None:
    x, y = rows()
    data = DataLoader(TensorDataset(x, y), batch_sampler=StratifiedBatchSampler(y, 8))
    made = trainer()
    assert made.fit(data, epochs=2)["loss"][1] > 0 and made.step == 10


def test_labels_and_lengths_of_another_shape() -> None:
    with pytest.raises(ValueError, match="one label a row"):
        StratifiedBatchSampler(np.zeros((3, 2)), 2)
    with pytest.raises(ValueError, match="one length a row"):
        BucketBatchSampler([], 2)


class Stream(IterableDataset):
    """Rows one by one, of which nobody knows the number."""

    def __init__(self, count: int) -> None:
        self.data = rows(count)

    def __iter__(self) -> Iterator[Any]:
        return iter(zip(*self.data, strict=True))


def test_streams_come_in_batches() -> None:
    sizes = [len(y) for _, y in DataLoader(Stream(20), 8)]
    assert sizes == [8, 8, 4]
    assert [len(y) for _, y in DataLoader(Stream(20), 8, drop_last=True)] == [8, 8]
    assert [x.shape for x, _ in DataLoader(Stream(3), None)] == [(4,)] * 3
    assert sum(len(y) for _, y in DataLoader(ChainDataset([Stream(5), Stream(6)]), 4)) == 11
    with pytest.raises(TypeError, match="is a stream and lacks __len__"):
        len(DataLoader(Stream(20), 8))
    with pytest.raises(ValueError, match="comes in its own order"):
        DataLoader(Stream(20), 8, shuffle=True)


def test_a_fit_over_a_stream() -> None:
    """Batch-norm and a last batch that is not full: the number of rows is not known before."""
    made = trainer(model=network())
    history = made.fit(DataLoader(Stream(20), 8), DataLoader(Stream(20), 8, prefetch=2), epochs=3)
    assert made.steps_per_epoch is None and made.step == 9
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert made.predict(DataLoader(Stream(20), 8)).shape == (20, 3)
