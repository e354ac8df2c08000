"""Gather and scatter against their references, in order and without races."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.indexing.index import KERNELS
from minigrad_kernels.kernel import PARALLEL
from tests.kernels.agreement import check, tolerance
from tests.kernels.samples.index import SAMPLES


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KERNELS)
def test_reference(rng: np.random.Generator, name: str, dtype: Any) -> None:
    check(KERNELS[name], SAMPLES[name](rng, np.dtype(dtype)), *tolerance(dtype, 10))


@pytest.mark.parametrize("size", [3, PARALLEL + 3])
def test_the_last_write_wins(size: int) -> None:
    x = np.zeros(2, np.float32)
    KERNELS["scatter_flat"].cpu(np.arange(size, dtype=np.float32), np.zeros(size, np.int64), x)
    assert x.tolist() == [size - 1, 0]


@pytest.mark.parametrize("size", [100, PARALLEL])
def test_additions_keep_their_order(rng: np.random.Generator, size: int) -> None:
    dy = (1e4 * rng.normal(size=size)).astype(np.float32)
    want = np.float32(0)
    for value in dy:
        want += value
    dx = np.full(1, np.nan, np.float32)
    KERNELS["scatter_add_flat"].cpu(dy, np.zeros(size, np.int64), dx)
    assert dx[0] == want


@pytest.mark.parametrize("columns", [3, 64, 200])
def test_rows_never_asked_for_are_zero(rng: np.random.Generator, columns: int) -> None:
    dy = rng.normal(size=(300, columns)).astype(np.float32)
    dw = np.full((5, columns), np.nan, np.float32)
    KERNELS["scatter_add_rows"].cpu(dy, np.full(300, 3), dw)
    assert (dw[[0, 1, 2, 4]] == 0).all()
    np.testing.assert_allclose(dw[3], dy.sum(axis=0, dtype=np.float64), rtol=1e-4, atol=1e-4)


def test_integers_are_gathered_too() -> None:
    x = np.arange(10)
    y = np.zeros(3, np.int64)
    KERNELS["take_flat"].cpu(x, np.array([9, 0, 9]), y)
    assert y.tolist() == [9, 0, 9]
