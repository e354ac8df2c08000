"""Transforms: what they do to arrays, and random numbers that belong to a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import DataLoader, TensorDataset
from minigrad.data.transforms import Compose, GaussianNoise, Normalize, RandomFlip, RandomShift
from minigrad.train import Trainer

X = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)


def loader(transform: Any, **options: Any) -> DataLoader:
    data = TensorDataset(np.ones((12, 3), np.float32), np.arange(12))
    return DataLoader(data, 4, transform=transform, **options)


def test_what_they_do() -> None:
    rng = np.random.default_rng(0)
    found = Normalize([1.0, 2.0, 3.0], 2.0)(X)
    assert np.array_equal(found[:, 1], (X[:, 1] - 2) / 2) and found.dtype == np.float32
    flipped = RandomFlip(0.5)(np.repeat(X[:1], 50, 0), rng=rng)
    mirrored = [np.array_equal(row, X[0][..., ::-1]) for row in flipped]
    assert 10 < sum(mirrored) < 40
    assert all(m or np.array_equal(row, X[0]) for m, row in zip(mirrored, flipped, strict=True))
    moved = RandomShift(1, fill=-1.0)(np.repeat(X[:1], 60, 0), rng=rng)
    assert len({row.tobytes() for row in moved}) == 9
    padded = np.pad(X[0], [(0, 0), (1, 1), (1, 1)], constant_values=-1.0)
    windows = [padded[:, i : i + 4, j : j + 5].tobytes() for i in range(3) for j in range(3)]
    assert {row.tobytes() for row in moved} == set(windows)
    noise = GaussianNoise(2.0)(np.zeros((1000, 8), np.float32), rng=rng)
    assert abs(noise.std() - 2) < 0.1 and abs(noise.mean()) < 0.1 and noise.dtype == np.float32


def test_random_numbers_are_of_seed_epoch_and_batch_alone() -> None:
    def batches(seed: int, draw: bool = False) -> list[bytes]:
        mg.manual_seed(seed)
        made = loader(GaussianNoise(1.0))
        found = []
        for _ in range(2):
            for x, _ in made:
                found.append(x.array.tobytes())
                if draw:
                    mg.rand(3)
        return found

    first = batches(1)
    assert len(set(first)) == 6
    assert batches(1, draw=True) == first and batches(2) != first


def test_they_change_the_first_field_alone_and_not_the_data() -> None:
    data = TensorDataset(X, np.arange(2))
    before = X.copy()
    for x, y in DataLoader(data, 2, transform=Compose([RandomFlip(1.0), lambda a: -a])):
        assert np.array_equal(x.array, -X[..., ::-1]) and y.tolist() == [0, 1]
    assert np.array_equal(X, before)


def test_predict_transforms_too() -> None:
    model = mg.nn.Linear(3, 1)
    trainer = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1))
    found = trainer.predict(loader(Normalize(1.0, 1.0), shuffle=True))
    assert np.allclose(found.array, model.bias.array)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomFlip(1.5), "p in"),
        (lambda: RandomShift(-1), "at least 0"),
        (lambda: GaussianNoise(-1), "at least 0"),
        (lambda: Normalize(0.0, 0.0), "above 0"),
    ],
)
def test_options_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
