"""exp to its stated error, and a maximum that infinities and NaN do not confuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.math.exponential import exponential, hyperbolic_tangent, largest
from minigrad_kernels.table import KERNELS

INF = np.inf


@jit()
def exp_all(x: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = exponential(x[i])


def exp(x: Any) -> Any:
    y = np.empty_like(x)
    exp_all(x, y)
    return y


@pytest.mark.parametrize(("low", "high"), [(-104, 89), (-1, 1), (-1e-3, 1e-3)])
def test_float32_is_within_its_ulp(low: float, high: float) -> None:
    x = np.linspace(low, high, 300_001).astype(np.float32)
    with np.errstate(over="ignore"):
        want = np.exp(x.astype(np.float64))
        near = np.abs(want).astype(np.float32)
    finite = np.isfinite(near)
    got = exp(x)
    np.testing.assert_array_equal(np.isfinite(got), finite)
    ulp = np.abs(got[finite] - want[finite]) / np.spacing(near[finite]).astype(np.float64)
    assert ulp.max() < 1.1


def test_float64_is_the_library_s() -> None:
    x = np.linspace(-700, 700, 1001)
    np.testing.assert_allclose(exp(x), np.exp(x), rtol=3e-16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(dtype: Any) -> None:
    x = np.array([INF, -INF, np.nan, 0, -0.0, 1e30, -1e30] * 5, dtype)
    want = np.array([INF, 0, np.nan, 1, 1, INF, 0] * 5, dtype)
    np.testing.assert_array_equal(exp(x), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([], -INF),
        ([-INF, -INF], -INF),
        ([1, INF, 2], INF),
        ([-3, -2, -5], -2),
        ([0.0, -1], 0),
        ([1e-30, -1e30], 1e-30),
    ],
)
def test_largest(values: list[float], want: float, dtype: Any) -> None:
    assert largest(np.array(values, dtype)) == dtype(want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_largest_of_many(rng: np.random.Generator, dtype: Any) -> None:
    for n in (1, 15, 16, 17, 1_000):
        x = rng.normal(size=n).astype(dtype)
        assert largest(x) == x.max()
        assert largest(-abs(x)) == (-abs(x)).max()


@jit()
def tanh_all(x: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = hyperbolic_tangent(x[i])


@pytest.mark.parametrize(("low", "high"), [(-12, 12), (-0.7, 0.7), (-1e-30, 1e-30)])
def test_tanh_is_within_three_ulp(low: float, high: float) -> None:
    x = np.linspace(low, high, 300_001).astype(np.float32)
    y = np.empty_like(x)
    tanh_all(x, y)
    want = np.tanh(x.astype(np.float64))
    ulp = np.abs(y - want) / np.spacing(np.abs(want).astype(np.float32)).astype(np.float64)
    assert ulp.max() < 3
    assert (np.abs(y) <= 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_at_the_edges(dtype: Any) -> None:
    x = np.array([0.0, -0.0, INF, -INF, np.nan, 1e30, -1e30], dtype)
    y = np.empty_like(x)
    tanh_all(x, y)
    np.testing.assert_array_equal(y, np.tanh(x))
    assert np.signbit(y[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moderate_blocks_have_the_same_bits(dtype: Any, rng: np.random.Generator) -> None:
    most = 87 if dtype == np.float32 else 708
    for scale in (1, most / 3, most, 3 * most):
        x = (rng.uniform(-1, 1, 30_000) * scale).astype(dtype)
        x[::9_001], x[1::9_001], x[2::9_001] = np.nan, np.inf, -np.inf
        x[5_000:9_000:2], x[5_001:9_000:2] = most, -most
        y = np.empty_like(x)
        KERNELS["exp"].cpu(x, y)
        np.testing.assert_array_equal(y, exp(x))
