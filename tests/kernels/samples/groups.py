"""Arguments for the kernels of groups.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arguments = list[tuple[Any, ...]]
Sampler = Callable[[np.random.Generator, np.dtype[Any]], Arguments]

SHAPES = ((2, 1, 3), (1, 5, 1), (3, 4, 2), (0, 4, 2), (7, 3_001, 1), (1, 20_005, 1), (2, 311, 97))


def empty_of(x: Any) -> Any:
    return np.full((x.shape[0], x.shape[2]), np.nan, x.dtype)


def square_sum(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for shape in (*SHAPES, (3, 0, 2)):
        x = (2 + rng.normal(size=shape)).astype(dtype)
        found.append((x, np.full((shape[0], shape[2]), 2, dtype), empty_of(x)))
    return found


def rounded(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Return small whole numbers, a few of them NaN: many ties."""
    x = np.round(rng.normal(size=shape)).astype(dtype)
    x.reshape(-1)[::7] = np.nan
    return x


def tie_count(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for shape in SHAPES:
        x = rounded(rng, dtype, shape)
        found.append((x, rounded(rng, dtype, (shape[0], shape[2])), empty_of(x)))
    return found


def spread(tied: bool) -> Sampler:
    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
        found: Arguments = []
        for shape in SHAPES:
            few = shape[0], shape[2]
            x = rounded(rng, dtype, shape) if tied else rng.normal(size=shape).astype(dtype)
            m = rounded(rng, dtype, few) if tied else 3 + rng.random(few).astype(dtype)
            m.reshape(-1)[1::5] = 0
            found.append((rng.normal(size=few).astype(dtype), m, x, np.full_like(x, np.nan)))
        return found

    return sample


def prod(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for shape in SHAPES:
        x = (1 + rng.normal(size=shape) / 200).astype(dtype)
        if x.shape[0]:
            x[0, 0, 0] = 0
            x[-1, : min(2, shape[1]), -1] = 0
        y = x.astype(np.float64).prod(axis=1).astype(dtype)
        found.append((rng.normal(size=y.shape).astype(dtype), y, x, np.full_like(x, np.nan)))
    return [case for case in found if case[2].shape[1] < 1_000]


SAMPLES = {
    "square_sum": square_sum,
    "tie_count": tie_count,
    "spread_centred": spread(False),
    "spread_unit": spread(False),
    "spread_exp": spread(False),
    "spread_ties": spread(True),
    "prod_backward": prod,
}
