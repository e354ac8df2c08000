"""Mean and variance in one sweep of segments, where E[x^2] - E[x]^2 would fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.math.moments import SEGMENT, moments


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 2, 33, SEGMENT, SEGMENT + 1, 5 * SEGMENT + 7])
def test_matches_numpy(rng: np.random.Generator, size: int, dtype: Any) -> None:
    x = rng.normal(2, 3, size).astype(dtype)
    mean, square = moments(x)
    wide = x.astype(np.float64)
    rtol = 1e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(mean, wide.mean(), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(square, wide.var() * size, rtol=rtol)


@pytest.mark.parametrize("centre", [1e4, 1e6, -1e6])
def test_a_far_mean_keeps_the_variance(rng: np.random.Generator, centre: float) -> None:
    x = (rng.normal(size=3_000) + centre).astype(np.float32)
    mean, square = moments(x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(), rtol=1e-9)
    np.testing.assert_allclose(square, wide.var() * 3_000, rtol=1e-5)


def test_a_constant_has_no_variance() -> None:
    mean, square = moments(np.full(5_000, 0.1, np.float32))
    assert mean == np.float64(np.float32(0.1))
    assert square == 0
