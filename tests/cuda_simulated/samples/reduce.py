"""Reductions that cross the runs of the CUDA kernels, over rows, columns and apart axes; whole
numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.reduce.cuda_cumsum import CHUNK, TILE
from minigrad_kernels.reduce.cuda_kernels import ROWS
from tests.kernels.samples.reduce import Arguments, output

CASES = (
    ((2_103,), (0,)),
    ((3, 36), (1,)),
    ((3, ROWS + 6, 4), (1,)),
    ((3, 5, 4), (0, 2)),
    ((2, 3, 7), (1, 2)),
)


def reduction(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for shape, axes in CASES:
        x = (1 + rng.normal(size=shape) / 50).astype(dtype)
        found.append((x, axes, output(x, axes, dtype)))
    return found


def with_integers(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = reduction(rng, dtype)
    whole = rng.integers(-3, 4, (5, 40))
    found.append((whole, (1,), output(whole, (1,), np.int64)))
    return found


def position(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for shape, axis in (((3, 70), 1), ((3, 72), 1), ((70, 3), 0), ((2, 40, 3), 1)):
        x = np.round(rng.normal(size=shape), 1).astype(dtype)
        x.reshape(-1)[5] = np.nan
        found.append((x, axis, output(x, (axis,), np.int64)))
    return found


def cumsum(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    shapes = (
        ((TILE + 2,), 0),  # two tiles, then one of their sums
        ((TILE + 4,), 0),  # by 128 bits
        ((3, 129), 1),
        ((2, 132), 1),
        ((2, CHUNK + 1, 3), 1),
        ((3, 4, 5), 0),
    )
    for k, (shape, axis) in enumerate(shapes):
        for backwards in (False, True):
            x = rng.uniform(0.5, 1.5, shape).astype(dtype)
            if k == 2:
                x[1, 7:9] = np.inf, -np.inf
            found.append((x, axis, backwards, np.full_like(x, np.nan)))
    whole = rng.integers(-9, 9, (2, 150))
    found.append((whole, 1, False, np.full_like(whole, -1)))
    return found


SAMPLES = {
    **dict.fromkeys(("sum", "prod", "max", "min"), with_integers),
    "mean": reduction,
    **dict.fromkeys(("argmax", "argmin"), position),
    "cumsum": cumsum,
}
