"""Loaders that deal the rows of each batch to several processes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, TensorDataset
from minigrad.engine.sharding import Shard, now

ROWS = 23


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(range(ROWS))


def rows(size: int, **options: Any) -> list[list[list[int]]]:
    """Return the rows of each batch, of each process."""
    found = []
    for rank in range(size):
        mg.manual_seed(0)
        data: Any = TensorDataset(np.arange(ROWS))
        made = dict(options)
        if made.pop("stream", False):
            data = Stream()
        if made.pop("sampled", False):
            made["batch_sampler"] = BatchSampler(RandomSampler(data), 4, False)
        shard = (rank, size) if size > 1 else False
        batches = DataLoader(data, shard=shard, **made)
        found.append([(b[0] if isinstance(b, tuple | list) else b).tolist() for b in batches])
    return found


def together(parts: list[list[list[int]]], batches: int) -> list[list[int]]:
    """Return each batch's rows, process after process."""
    return [[row for part in parts for row in part[k]] for k in range(batches)]


OPTIONS = (
    {"batch_size": 4, "shuffle": True},
    {"batch_size": 4, "shuffle": True, "drop_last": True},
    {"batch_size": 5, "shuffle": True, "prefetch": 2},
    {"batch_size": 4, "shuffle": True, "transform": lambda x, rng: x + rng.integers(0, 2, x.shape)},
    {"batch_size": 4, "stream": True},
    {"sampled": True},
)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("size", [2, 3, 7])
def test_processes_together_have_the_batches_of_one(size: int, options: dict[str, Any]) -> None:
    (whole,) = rows(1, **options)
    parts = rows(size, **options)
    assert together(parts, len(whole)) == whole
    for k in range(len(whole)):
        sizes = [len(part[k]) for part in parts]
        assert max(sizes) - min(sizes) <= 1 and sizes == sorted(sizes, reverse=True)


def test_a_position_is_that_of_any_number_of_processes() -> None:
    data = TensorDataset(np.arange(ROWS))
    mg.manual_seed(0)
    whole = DataLoader(data, 4, shuffle=True)
    batches = iter(whole)
    next(batches), next(batches)
    state, rest = whole.state_dict(), [b[0].tolist() for b in batches]
    parts = []
    for rank in range(3):
        loader = DataLoader(data, 4, shuffle=True, shard=(rank, 3))
        loader.load_state_dict(state)
        parts.append([b[0].tolist() for b in loader])
    assert together(parts, len(rest)) == rest


def test_what_was_dealt_is_known() -> None:
    loader = DataLoader(TensorDataset(np.arange(5)), 5, shard=(1, 2))
    next(iter(loader))
    assert now.dealt == Shard(3, 2, 5)
    now.dealt = None
    alone = DataLoader(TensorDataset(np.arange(5)), 5, shard=True)
    assert [b[0].tolist() for b in alone] == [[0, 1, 2, 3, 4]]


def test_a_shard_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="expected shard to be True, False or .rank, size."):
        DataLoader(TensorDataset(np.arange(5)), 5, shard=(2, 2))
