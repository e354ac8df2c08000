"""Batches that are made ahead are those that are not; positions count what was handed out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import DataLoader, Dataset, IterableDataset, TensorDataset
from minigrad.data.prefetching import ahead
from minigrad.data.transforms import Compose, GaussianNoise, RandomFlip

X = np.arange(40, dtype=np.float32).reshape(20, 2)


class Rows(Dataset):
    def __len__(self) -> int:
        return 20

    def __getitem__(self, i: int) -> Any:
        return X[i], i


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        return iter([(X[i], i) for i in range(20)])


KINDS: dict[str, Any] = {
    "arrays": lambda **o: DataLoader(TensorDataset(X, np.arange(20)), 3, shuffle=True, **o),
    "rows": lambda **o: DataLoader(Rows(), 3, shuffle=True, **o),
    "collated": lambda **o: DataLoader(
        Rows(), 3, shuffle=True, collate_fn=lambda s: (mg.tensor(len(s)), s[0][1]), **o
    ),
    "weighted": lambda **o: DataLoader(
        Rows(), 3, sampler=mg.data.WeightedRandomSampler(np.arange(1.0, 21), 15), **o
    ),
    "single": lambda **o: DataLoader(Rows(), None, sampler=range(7), **o),
    "stream": lambda **o: DataLoader(Stream(), 3, **o),
    "stream, dropped": lambda **o: DataLoader(Stream(), 3, drop_last=True, **o),
    "transformed": lambda **o: DataLoader(
        Rows(), 3, shuffle=True, transform=Compose([RandomFlip(), GaussianNoise(0.1)]), **o
    ),
}


def seen(loader: Any, passes: int = 2) -> list[bytes]:
    found = []
    for _ in range(passes):
        for batch in loader:
            for field in batch:
                values = field.array if isinstance(field, mg.Tensor) else np.asarray(field)
                found.append(values.tobytes())
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 4])
def test_batches_are_those_without_it(kind: str, count: int) -> None:
    both = []
    for prefetch in (0, count):
        mg.manual_seed(4)
        loader = KINDS[kind](prefetch=prefetch)
        both.append((seen(loader), loader.epoch, mg.rand(1).item()))
    assert both[0] == both[1] and both[0][1] == 2


@pytest.mark.parametrize("kind", ["arrays", "rows", "transformed"])
def test_a_position_is_of_what_was_handed_out(kind: str) -> None:
    mg.manual_seed(4)
    whole = seen(KINDS[kind](), 1)
    mg.manual_seed(4)
    loader = KINDS[kind](prefetch=4)
    batches = iter(loader)
    begun = [field.array.tobytes() for _ in range(2) for field in next(batches)]
    time.sleep(0.05)  # more is made by now
    state = loader.state_dict()
    assert state["position"] == 2
    mg.manual_seed(4)
    later = KINDS[kind](prefetch=2)
    later.load_state_dict(state)
    assert begun + seen(later, 1) == whole


def test_rows_are_read_while_the_step_runs() -> None:
    """Four batches of 30 ms beside four steps of 30 ms: well under the 240 ms of one by one."""

    class Slow(Rows):
        def __getitem__(self, i: int) -> Any:
            time.sleep(0.006)
            return super().__getitem__(i)

    started = time.perf_counter()
    for _ in DataLoader(Slow(), 5, prefetch=2):
        time.sleep(0.03)
    assert time.perf_counter() - started < 0.225


def test_an_error_comes_where_its_batch_would_have_come() -> None:
    class Broken(Rows):
        def __getitem__(self, i: int) -> Any:
            if i == 7:
                raise KeyError("row 7")
            return super().__getitem__(i)

    batches = iter(DataLoader(Broken(), 3, prefetch=3))
    assert [len(next(batches)[1]) for _ in range(2)] == [3, 3]
    with pytest.raises(KeyError, match="row 7"):
        next(batches)


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    for _ in DataLoader(Rows(), 1, prefetch=2):
        break
    batches = iter(DataLoader(Rows(), 1, prefetch=2))
    next(batches)
    del batches
    assert list(ahead(iter(()), 1)) == []
    assert threading.active_count() == before


def test_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="prefetch"):
        DataLoader(Rows(), prefetch=-1)
