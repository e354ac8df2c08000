"""Vector registers in jitted code, whole and in part, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.simd.lanes import (
    fence,
    first,
    fma,
    kept,
    load,
    splat,
    store,
    total,
    where_positive,
    width,
)
from minigrad_kernels.simd.registers import VECTOR_BYTES, address

DTYPES = (np.float32, np.float64)


@jit()
def lanes_of(x):
    return width(x)


@jit()
def squares_plus_one(x, y, stream):
    one = splat(x.dtype.type(1))
    lanes = width(x)
    for start in range(0, x.size, lanes):
        v = load(x, address(x) + start * x.itemsize, x.size - start)
        store(fma(v, v, one), x, address(y) + start * x.itemsize, x.size - start, stream)
    fence()


@jit()
def total_of(x, count):
    return total(first(load(x, address(x), width(x)) - splat(x.dtype.type(1)), count))


@jit()
def gate(x, words, least, y):
    v = load(x, address(x), width(x))
    v = where_positive(v, v * v)
    store(kept(v, address(words), least), x, address(y), width(x), False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_register_is_filled(dtype: Any) -> None:
    assert lanes_of(np.empty(0, dtype)) * np.dtype(dtype).itemsize == VECTOR_BYTES


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_beyond_the_last_element_is_written(
    rng: np.random.Generator, dtype: Any, stream: bool
) -> None:
    for size in (0, 1, 7, 16, 33, 64):
        x = rng.normal(size=size).astype(dtype)
        room = np.full(256, np.nan, dtype)
        skip = -room.ctypes.data % VECTOR_BYTES // room.itemsize  # a streamed store is aligned
        squares_plus_one(x, room[skip : skip + size], stream)
        np.testing.assert_allclose(room[skip : skip + size], x * x + 1, rtol=1e-6)
        assert np.isnan(np.delete(room, slice(skip, skip + size))).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_lanes_are_added(dtype: Any) -> None:
    x = np.arange(2, 66).astype(dtype)
    lanes = lanes_of(x)
    for count in (-3, 0, 1, lanes - 1, lanes, lanes + 5):
        assert total_of(x, count) == (x[: max(0, min(count, lanes))] - 1).sum()


@pytest.mark.parametrize("dtype", DTYPES)
def test_gates(rng: np.random.Generator, dtype: Any) -> None:
    lanes = lanes_of(np.empty(0, dtype))
    x = rng.normal(size=lanes).astype(dtype)
    x[0], x[1] = np.nan, -np.inf
    words = rng.integers(0, 2**32, lanes, np.uint32)
    words[0], words[1] = 2**31, 2**32 - 1  # at the threshold, and with the sign bit set
    y = np.empty_like(x)
    gate(x, words, np.uint32(2**31), y)
    want = np.where(words >= 2**31, np.where(x <= 0, 0, x * x), 0)
    np.testing.assert_array_equal(y, want)
