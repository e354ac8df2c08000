"""Refusals are caught as what they are in Python, and as the RuntimeError that PyTorch raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import minigrad as mg
import minigrad.nn.functional as F

X = mg.ones(2, 3)
SHAPES: dict[str, Callable[[], Any]] = {
    "matmul": lambda: X @ X,
    "broadcast": lambda: X + mg.ones(4),
    "reshape": lambda: X.reshape(4),
    "cat": lambda: mg.cat([X, mg.ones(2)]),
    "cat of a number": lambda: mg.cat([mg.tensor(1.0)]),
    "conv2d": lambda: F.conv2d(mg.ones(1, 1, 2, 2), mg.ones(1, 1, 3, 3)),
    "cross_entropy": lambda: F.cross_entropy(X, mg.tensor([0, 5])),
    "pool of no channels": lambda: F.max_pool1d(mg.zeros(0, 10), 1),
    "a layer": lambda: mg.nn.Linear(4, 2)(X),
    "item": lambda: X.item(),
    "flip": lambda: X.flip(0, 0),
    "linspace": lambda: mg.linspace(mg.zeros(2), 1, 3),
    "view": lambda: mg.ones(3).view(mg.float64),
    "pad": lambda: F.pad(mg.ones(1, 5), (0, -5), mode="reflect"),
}
DTYPES: dict[str, Callable[[], Any]] = {
    "matmul": lambda: X @ mg.ones(3, 3, dtype=mg.float64),
    "neg": lambda: -(X > 0),
    "embedding": lambda: F.embedding(X, X),
    "cat": lambda: mg.cat([X, None]),
}
PLACES: dict[str, Callable[[], Any]] = {
    "dim": lambda: X.sum(2),
    "gather": lambda: mg.gather(X, 1, mg.tensor([[3], [0]])),
    "an extreme of nothing": lambda: mg.zeros(0, 2).amax(0),
    "irfft": lambda: mg.fft.irfft(mg.tensor(1.0)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_values(name: str) -> None:
    for kind in (ValueError, RuntimeError):
        with pytest.raises(kind):
            SHAPES[name]()


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes(name: str) -> None:
    for kind in (TypeError, RuntimeError):
        with pytest.raises(kind):
            DTYPES[name]()


@pytest.mark.parametrize("name", PLACES)
def test_places(name: str) -> None:
    for kind in (IndexError, RuntimeError):
        with pytest.raises(kind):
            PLACES[name]()


def test_iteration_still_ends() -> None:
    assert [row.shape for row in X] == [(3,), (3,)]
    assert 7 not in X
    with pytest.raises(TypeError, match="0-d tensor"):
        iter(mg.tensor(1.0))


def test_arguments_by_name_and_bits() -> None:
    x = mg.arange(6.0).reshape(shape=(2, 3))
    assert x.flip(dims=(0,)).tolist() == x.flip(0).tolist()
    assert x.permute(dims=(1, 0)).tolist() == x.T.tolist()
    assert mg.ones(1, 3).expand(size=(2, 3)).shape == (2, 3)
    bits = mg.tensor([1.0]).view(mg.int32)
    assert bits.tolist() == [0x3F800000] and not bits.requires_grad
    assert x.view(dtype=mg.uint8).shape == (2, 12)
    bits.fill_(0)
    assert mg.std_mean(x, axis=1, keepdims=True)[0].shape == (2, 1)


def test_bits_share_memory() -> None:
    x = mg.tensor([1.0])
    x.view(mg.int32).fill_(0)
    assert x.tolist() == [0.0]


def test_integers_are_counted_from_whole_ends() -> None:
    assert mg.arange(3.1, dtype=mg.int64).tolist() == [0, 1, 2]
    assert mg.arange(0.1, -7.9, -4.0, dtype=mg.int64).tolist() == [0, -4]
    with pytest.raises(ValueError, match="is 0 in int64"):
        mg.arange(0, 3.0, 0.5, dtype=mg.int64)


def test_a_norm_of_no_examples() -> None:
    layer = mg.nn.BatchNorm1d(3)
    x = mg.zeros(0, 3, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == (0, 3) and x.grad is not None and x.grad.shape == (0, 3)
    assert layer.running_mean.tolist() == [0.0, 0.0, 0.0]
    assert layer.weight.grad.tolist() == [0.0, 0.0, 0.0]


def test_sums_of_bools_to_a_number_are_counts() -> None:
    assert mg.tensor(True).sum_to_size(()).dtype == mg.int64


def test_one_whole_number_is_drawn() -> None:
    assert mg.randint(1, 5, ()).shape == () and mg.randint_like(mg.tensor(3), 5).shape == ()
    assert mg.randint(2, 3, ()).item() == 2
