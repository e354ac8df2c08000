"""Arguments for the CUDA kernels of groups.py and extreme.py: groups of more than one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.kernels.samples.groups import Arguments, empty_of, rounded

# Runs of rows are 2,048 elements long, 128 a turn of a warp, 256 by 128 bits where rows begin at a
# multiple of four; runs of columns 64.
SHAPES = (
    *((1, 2 * 2_048 + 100, 1), (1, 283, 1), (3, 140, 1), (3, 131, 1), (9, 5, 1)),
    *((2, 130, 3), (1, 66, 40)),
)
Sampler = Callable[[np.random.Generator, np.dtype[Any]], Arguments]


def folded(tied: bool) -> Sampler:
    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
        found: Arguments = []
        for shape in SHAPES:
            few = shape[0], shape[2]
            x = rounded(rng, dtype, shape) if tied else (2 + rng.normal(size=shape)).astype(dtype)
            m = rounded(rng, dtype, few) if tied else np.full(few, 2, dtype)
            found.append((x, m, empty_of(x)))
        return found

    return sample


def extreme(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for shape in SHAPES:
        x = np.round(3 * rng.normal(size=shape)).astype(dtype)
        if shape[1] == 130:
            x[0, 100, 0] = x[0, 3, 0] = x[1, 129, 2] = np.nan
            x[1, :, 1] = -np.inf
        for sign in (1, -1):
            found.append((x, sign, empty_of(x), np.full((shape[0], shape[2]), -77)))
    return found


def norm(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [(x, y) for x, _, y in folded(False)(rng, dtype)]


def variance(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for x, _, y in folded(False)(rng, dtype):
        out = y.astype(np.float64)
        found.append((x, float(x.shape[1] - 1), len(found) % 2, out, out.copy()))
    return found


def products(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for shape in SHAPES:
        x, z = (2 + rng.normal(size=(2, *shape))).astype(dtype)
        found.append((x, z, empty_of(x)))
    return found


SAMPLES = {
    "norm": norm,
    "variance": variance,
    "tie_count": folded(True),
    "extreme": extreme,
    "sum_products": products,
}
