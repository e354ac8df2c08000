"""What the battery over the table cannot show: integers, an output that is an input, collapsing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.launch import PARALLEL
from minigrad_kernels.table import KERNELS

INTEGERS = ("add", "sub", "mul", "maximum", "minimum", "neg", "abs", "square", "sign", "copy")
SIZES = (7, PARALLEL + 3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8])
@pytest.mark.parametrize("name", INTEGERS)
def test_integers(name: str, dtype: Any, size: int, rng: np.random.Generator) -> None:
    count = 2 if name in INTEGERS[:5] else 1
    inputs = rng.integers(-5, 6, (count, size)).astype(dtype)
    got, want = np.empty((2, size), dtype)
    KERNELS[name].cpu(*inputs, got)
    KERNELS[name].reference(*inputs, want)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum"])
def test_the_output_may_be_an_input(
    name: str, slot: int, size: int, rng: np.random.Generator
) -> None:
    inputs = list(rng.uniform(1, 2, (2, size)).astype(np.float32))
    want = np.empty(size, np.float32)
    KERNELS[name].cpu(*inputs, want)
    KERNELS[name].cpu(*inputs, inputs[slot])
    np.testing.assert_array_equal(inputs[slot], want)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("slot", [1, 2])
def test_where_may_write_to_an_input(slot: int, size: int, rng: np.random.Generator) -> None:
    c = rng.random(size) < 0.5
    inputs = [c, *rng.normal(size=(2, size))]
    want = np.where(*inputs)
    KERNELS["where"].cpu(*inputs, inputs[slot])
    np.testing.assert_array_equal(inputs[slot], want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copy_converts_between_dtypes(dtype: Any) -> None:
    y = np.empty(3, np.int64)
    KERNELS["copy"].cpu(np.array([1.7, -1.7, 0.0], dtype), y)
    assert y.tolist() == [1, -1, 0]
    truth = np.empty(3, bool)
    KERNELS["copy"].cpu(np.array([1.7, np.nan, 0.0], dtype), truth)
    assert truth.tolist() == [True, True, False]


def test_small_and_large_arrays_agree_at_the_threshold(rng: np.random.Generator) -> None:
    x = rng.normal(size=PARALLEL + 1).astype(np.float32)
    for name in ("exp", "tanh", "sigmoid", "gelu", "sqrt", "relu"):
        small, large = np.empty(PARALLEL - 1, np.float32), np.empty_like(x)
        a = np.abs(x) if name == "sqrt" else x
        KERNELS[name].cpu(a[:-2], small)
        KERNELS[name].cpu(a, large)
        np.testing.assert_allclose(small, large[:-2], rtol=1e-6, atol=1e-7)
