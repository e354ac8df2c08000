"""Reductions of whole arrays within a kernel: numba's numbers, and every read is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import cuda, float32, njit

import minigrad_cudasim as simulate
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.faults import clean, fault, sources

require_greenlet()

ARRAYS = {
    "float32": np.random.default_rng(0).standard_normal(37).astype(np.float32),
    "float64": np.random.default_rng(1).standard_normal((3, 5)),
    "int32": np.array([2**31 - 1, -5, 2**31 - 1, 7], np.int32),
    "uint8": np.array([[200, 100], [0, 255]], np.uint8),
    "bool": np.array([True, False, True]),
    "nan": np.array([1.0, np.nan, 3.0, np.nan]),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3) / 7),
}


def loops(x: Any, y: Any) -> None:
    """numba-cuda's reductions, written out: its compiler for the CPU adds in another order."""
    total = np.float32(0)
    for v in np.nditer(x):
        total += v.item()
    y[0] = total


def reduced(x: Any, y: Any) -> None:
    y[0] = x.sum()
    y[1] = np.sum(x)
    y[2] = x.mean()
    y[3] = np.max(x)
    y[4] = x.min()
    y[5] = x.any()
    y[6] = np.all(x)
    y[7] = x.argmax()
    y[8] = np.argmin(x)
    y[9] = x.var()
    y[10] = x.std()


@pytest.mark.parametrize("name", list(ARRAYS))
def test_numbers(name: str) -> None:
    x = ARRAYS[name]
    y, wanted = np.zeros(11), np.zeros(11)
    clean(reduced, 1, 1, x, y)
    reduced(x, wanted)
    np.testing.assert_allclose(y, wanted, rtol=2e-6)


def test_float32_is_added_one_by_one_in_float32() -> None:
    x, y, wanted = ARRAYS["float32"], np.zeros(11), np.zeros(1)
    clean(reduced, 1, 1, x, y)
    njit(loops)(x, wanted)
    assert y[0] == y[1] == wanted[0] != np.sum(x, dtype=np.float64)


def test_a_product_of_integers_wraps() -> None:
    def kernel(x, y):
        y[0] = x.prod()

    x, y = np.full(5, 2**20, np.int32), np.zeros(1, np.int64)
    clean(kernel, 1, 1, x, y)
    assert y[0] == np.prod(x, dtype=np.int64)


def race(x: Any, y: Any) -> None:
    tile = cuda.shared.array(8, float32)
    tile[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    y[cuda.threadIdx.x] = tile.sum()


def unwritten(x: Any, y: Any) -> None:
    own = cuda.local.array(4, float32)
    own[0] = x[0]
    y[0] = own.max()


@pytest.mark.parametrize(("kernel", "kind"), [(race, "race"), (unwritten, "uninitialised")])
def test_reads_are_seen(kernel: Callable[..., None], kind: str) -> None:
    found = fault(kernel, 1, 8, np.ones(8, np.float32), np.zeros(8, np.float32))
    assert kind in {each.kind for each in found.faults}
    assert any("sum()" in line or "max()" in line for line in sources(found))


def test_an_axis_and_no_elements_are_refused() -> None:
    def along(x, y):
        y[0] = x.sum(0)

    def empty(x, y):
        y[0] = x[:0].max()

    for kernel in (along, empty):
        report = simulate.check(kernel, 1, 1, np.ones((2, 2)), np.zeros(1))
        assert [f.kind for f in report.faults] == ["error"]
