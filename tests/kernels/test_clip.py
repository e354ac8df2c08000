"""Norm, scaling and clamping of gradients against their references, NaN and infinity included."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest

from minigrad_kernels.optim.clip import KERNELS
from tests.kernels.samples.clip import ORDERS, norms
from tests.kernels.tables import SIZES, Tensors


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norm_matches_and_ignores_the_thread_count(rng: np.random.Generator, dtype: Any) -> None:
    kernel = KERNELS["grad_norm"]
    for table, order, like, norm in norms(rng, dtype):
        kernel.cpu(table, order, like, norm)
        plain, single = np.zeros(1), np.zeros(1)
        kernel.reference(table, order, like, plain)
        np.testing.assert_allclose(norm, plain, rtol=1e-12)
        threads = numba.get_num_threads()
        numba.set_num_threads(1)
        kernel.cpu(table, order, like, single)
        numba.set_num_threads(threads)
        assert norm[0] == single[0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("sizes", SIZES)
def test_a_nan_gradient_makes_a_nan_norm(
    rng: np.random.Generator, sizes: list[int], order: float
) -> None:
    t = Tensors(rng, np.float32, sizes, 0)
    t.rows[1][1][...] = np.nan
    if t.rows[1][1].size == 0:
        t.rows[0][1][40] = np.nan
    norm = np.zeros(1)
    KERNELS["grad_norm"].cpu(t.table, order, t.like, norm)
    assert math.isnan(norm[0])


def test_norm_of_large_float32_does_not_overflow(rng: np.random.Generator) -> None:
    t = Tensors(rng, np.float32, [2], 0)
    t.rows[0][1][...] = 3e38, 4e38 / 1.25
    norm = np.zeros(1)
    KERNELS["grad_norm"].cpu(t.table, 2.0, t.like, norm)
    np.testing.assert_allclose(norm[0], np.linalg.norm(np.float64(t.rows[0][1])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("norm", [0.0, 0.5, 2.0, 1e9, math.inf, math.nan])
def test_scale_matches(rng: np.random.Generator, norm: float, sizes: list[int], dtype: Any) -> None:
    mine = Tensors(rng, dtype, sizes, 0)
    plain = mine.copy()
    KERNELS["grad_scale"].cpu(mine.table, np.array([norm]), 1.0, mine.like)
    KERNELS["grad_scale"].reference(plain.table, np.array([norm]), 1.0, plain.like)
    for a, b in zip(mine.rows, plain.rows, strict=True):
        np.testing.assert_allclose(a[1], b[1], rtol=1e-6 if dtype == np.float32 else 1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SIZES)
def test_clamp_matches_and_keeps_nan(
    rng: np.random.Generator, sizes: list[int], dtype: Any
) -> None:
    mine = Tensors(rng, dtype, sizes, 0)
    for row in mine.rows:
        row[1][2:6] = [np.nan, np.inf, -np.inf, 0.5][: len(row[1][2:6])]
    plain = mine.copy()
    KERNELS["grad_clamp"].cpu(mine.table, 0.5, mine.like)
    KERNELS["grad_clamp"].reference(plain.table, 0.5, plain.like)
    for a, b in zip(mine.rows, plain.rows, strict=True):
        np.testing.assert_array_equal(a[1], b[1])
