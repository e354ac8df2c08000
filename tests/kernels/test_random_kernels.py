"""Random draws: the reference's very numbers, independent of length, and distributed as named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.randomness.random import KERNELS
from tests.kernels.agreement import check
from tests.kernels.samples.random import SAMPLES

DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["uniform", "random_bits"])
def test_equal_to_the_reference(rng: np.random.Generator, name: str, dtype: Any) -> None:
    check(KERNELS[name], SAMPLES[name](rng, np.dtype(dtype)), 0, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_is_the_reference_s_to_rounding(rng: np.random.Generator, dtype: Any) -> None:
    # The angle 2 pi v is rounded: an error of 2^-23 times a radius of at most 5.8.
    atol = 4e-6 if dtype == np.float32 else 1e-14
    check(KERNELS["normal"], SAMPLES["normal"](rng, np.dtype(dtype)), 1e-6, atol)


def draw(name: str, size: int, dtype: Any, call: int = 0) -> Any:
    y = np.zeros(size, dtype)
    KERNELS[name].cpu(11, 4, np.array([call]), y)
    return y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_a_longer_draw_begins_with_the_shorter(name: str, dtype: Any) -> None:
    long = draw(name, 70_000, dtype)
    for size in (2, 1_024, 2_050, 5_000):
        np.testing.assert_array_equal(draw(name, size, dtype), long[:size])


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_fills_the_interval(dtype: Any) -> None:
    y = draw("uniform", 200_000, dtype)
    assert y.min() >= 0
    assert y.max() < 1
    counts = np.histogram(y, 20, (0, 1))[0]
    chi = ((counts - 10_000) ** 2 / 10_000).sum()
    assert chi < 44  # 19 degrees of freedom: one seed in a thousand


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_has_its_moments(dtype: Any) -> None:
    y = draw("normal", 200_000, dtype).astype(np.float64)
    assert np.isfinite(y).all()
    assert abs(y.mean()) < 4 / np.sqrt(y.size)
    assert abs(y.var() - 1) < 4 * np.sqrt(2 / y.size)
    assert abs((y**3).mean()) < 4 * np.sqrt(15 / y.size)
    assert abs((y**4).mean() - 3) < 4 * np.sqrt(96 / y.size)
    assert abs((y[0::2] * y[1::2]).mean()) < 4 / np.sqrt(y.size / 2)


def test_calls_differ() -> None:
    assert not (draw("random_bits", 500, np.uint32) == draw("random_bits", 500, np.uint32, 1)).any()
