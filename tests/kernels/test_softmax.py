"""Softmax, log-softmax and logsumexp against their references, at the extremes too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.softmax.softmax import KERNELS
from tests.kernels.agreement import check, tolerance
from tests.kernels.samples.softmax import SAMPLES

INF = np.inf
DTYPES = (np.float32, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KERNELS)
def test_reference(rng: np.random.Generator, name: str, dtype: Any) -> None:
    check(KERNELS[name], SAMPLES[name](rng, np.dtype(dtype)), *tolerance(dtype, 4))


def call(name: str, rows: list[list[float]], dtype: Any) -> Any:
    x = np.array(rows, dtype)
    y = np.full(len(x) if name == "logsumexp" else x.shape, 7, dtype)
    with np.errstate(all="ignore"):
        KERNELS[name].cpu(x, y)
    return y


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_logits_are_stable(dtype: Any) -> None:
    rows = [[1e4, 1e4 - 1], [-1e4, -1e4 - 1], [1e4, -1e4]]
    p = 1 / (1 + np.exp(-1))
    want = np.array([[p, 1 - p], [p, 1 - p], [1, 0]])
    np.testing.assert_allclose(call("softmax", rows, dtype), want, rtol=1e-6)
    logs = np.array([[np.log(p), np.log(p) - 1], [np.log(p), np.log(p) - 1], [0, -2e4]])
    np.testing.assert_allclose(call("log_softmax", rows, dtype), logs, rtol=1e-6)
    sums = np.array([1e4 - np.log(p), -1e4 - np.log(p), 1e4])
    np.testing.assert_allclose(call("logsumexp", rows, dtype), sums, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinite_and_nan_rows(dtype: Any) -> None:
    rows = [[-INF, -INF], [INF, 0], [np.nan, 0], [-np.nan, 0], [-INF, 0], [INF, np.nan]]
    soft = call("softmax", rows, dtype)
    assert np.isnan(soft[[0, 2, 3, 5]]).all()
    assert np.isnan(soft[1, 0])
    np.testing.assert_array_equal(soft[4], [0, 1])
    logs = call("log_softmax", rows, dtype)
    assert np.isnan(logs[[0, 2, 3, 5]]).all()
    np.testing.assert_array_equal(logs[4], [-INF, 0])
    sums = call("logsumexp", rows, dtype)
    np.testing.assert_array_equal(sums, [-INF, INF, np.nan, np.nan, 0, np.nan])


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_a_softmax_sum_to_one(rng: np.random.Generator, dtype: Any) -> None:
    x = (5 * rng.normal(size=(40, 1_003))).astype(dtype)
    y = np.empty_like(x)
    KERNELS["softmax"].cpu(x, y)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_agrees(rng: np.random.Generator, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    x = (3 * rng.normal(size=(50, 37))).astype(dtype)
    x[0] = -INF
    x[1, 3] = np.nan
    x[2, 3] = INF
    x[3, ::2] = -INF
    t = torch.tensor(x)
    rtol, atol = tolerance(dtype, 2)
    for name in ("softmax", "log_softmax", "logsumexp"):
        want = getattr(torch, name)(t, 1).numpy()
        got = call(name, x.tolist(), dtype)
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol, err_msg=name)
