"""Dropout: the mask of its counters, bit for bit, and what it does to infinities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.math.philox import SEGMENT, words_reference
from minigrad_kernels.randomness.dropout import KERNELS, PARALLEL_WORDS
from tests.kernels.agreement import check, tolerance
from tests.kernels.samples.dropout import SAMPLES

DTYPES = (np.float32, np.float64)
CPU = KERNELS["dropout"].cpu


@pytest.mark.parametrize("dtype", DTYPES)
def test_reference(rng: np.random.Generator, dtype: Any) -> None:
    check(KERNELS["dropout"], SAMPLES["dropout"](rng, np.dtype(dtype)), *tolerance(dtype))


def mask(size: int, p: float, seed: int = 1, stream: int = 2, call: int = 3) -> Any:
    y = np.full(size, np.nan, np.float32)
    CPU(np.ones(size, np.float32), p, 1.0, seed, stream, np.array([call]), y)
    assert set(np.unique(y)) <= {0, 1}
    return y


@pytest.mark.parametrize("size", [1, 5, SEGMENT - 1, SEGMENT + 3, PARALLEL_WORDS + 5])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.999])
def test_mask_compares_words_with_the_threshold(size: int, p: float) -> None:
    kept = words_reference(1, 2, np.array([3]), size) >= np.uint32(int(p * 2**32))
    np.testing.assert_array_equal(mask(size, p), kept)


def test_a_longer_mask_begins_with_the_shorter() -> None:
    long = mask(3 * PARALLEL_WORDS, 0.5)
    for size in (1, 100, SEGMENT + 1, PARALLEL_WORDS - 1, PARALLEL_WORDS):
        np.testing.assert_array_equal(mask(size, 0.5), long[:size])


def test_share_of_zeros_is_p() -> None:
    for p in (0.1, 0.5, 0.8):
        share = 1 - mask(200_000, p).mean()
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / 200_000)


def test_seed_stream_and_call_change_the_mask() -> None:
    base = mask(1_000, 0.5)
    for other in ({"seed": 2**40 + 1}, {"stream": 3}, {"call": 4}):
        assert 300 < (mask(1_000, 0.5, **other) != base).sum() < 700


def test_dropped_infinities_and_nan_are_zero() -> None:
    x = np.tile(np.array([np.inf, -np.inf, np.nan, 1], np.float32), 50)
    y = np.empty_like(x)
    CPU(x, 0.5, 2.0, 1, 2, np.array([3]), y)
    dropped = mask(200, 0.5) == 0
    assert (y[dropped] == 0).all()
    np.testing.assert_array_equal(y[~dropped], 2 * x[~dropped])
    CPU(x, 1.0, 0.0, 1, 2, np.array([3]), y)
    assert (y == 0).all()


@pytest.mark.parametrize("first", [1, 4, 6, SEGMENT - 1, 2 * PARALLEL_WORDS + 3])
@pytest.mark.parametrize("size", [1, 7, SEGMENT + 3, PARALLEL_WORDS + 5])
def test_a_part_has_the_mask_of_the_whole_there(size: int, first: int) -> None:
    y = np.full(size, np.nan, np.float32)
    call = np.array([3, first])
    CPU(np.ones(size, np.float32), 0.5, 1.0, 1, 2, call, y)
    np.testing.assert_array_equal(y, mask(first + size, 0.5)[first:])
    KERNELS["dropout"].reference(np.ones(size), 0.5, 1.0, 1, 2, call, y)
    np.testing.assert_array_equal(y, mask(first + size, 0.5)[first:])
