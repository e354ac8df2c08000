"""Arguments for the kernels of reduce.py: every set of axes, small and large, any strides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.kernel import CHUNK

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]

CASES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (  # shape, axes
    ((1,), (0,)),
    ((7,), (0,)),
    ((3, 1), (1,)),
    ((5, 4), (0, 1)),
    ((2, 3, 4), (1,)),
    ((2, 3, 4), (0, 2)),
    ((5 * CHUNK + 3,), (0,)),
    ((7, 3_001), (0,)),
    ((7, 3_001), (1,)),
    ((3_001, 7), (0,)),
    ((5, 41, 130), (1,)),
    ((5, 41, 130), (0, 1)),
    ((5, 41, 130), (0, 2)),
    ((4, 3, 5, 7, 61), (1, 2, 3)),
)
EMPTY = (((0,), (0,)), ((0, 3), (0,)), ((3, 0), (0,)))  # sums of nothing, and nothing to reduce


def output(x: Array, axes: tuple[int, ...], dtype: Any) -> Array:
    shape = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    return np.full(shape, -77, dtype)


def layouts(x: Array) -> list[Array]:
    """Return `x` contiguous, in Fortran order and with gaps: the same values and shape."""
    gaps = np.repeat(x, 2, axis=-1)[..., ::-2][..., ::-1]
    return [x, np.asfortranarray(x), gaps]


def reduction(empty: bool) -> Callable[[np.random.Generator, np.dtype[Any]], Arguments]:
    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
        found = []
        for shape, axes in CASES + (EMPTY if empty else ()):
            x = (1 + rng.normal(size=shape) / 50).astype(dtype)
            found += [(v, axes, output(v, axes, dtype)) for v in layouts(x)]
        x = rng.normal(size=(4, 9)).astype(dtype)
        x[0, 3], x[1, 4], x[2, 5:7] = np.nan, np.inf, (np.inf, -np.inf)
        found.append((x, (1,), output(x, (1,), dtype)))
        wide = np.repeat(x, 3_000, axis=1)
        found.append((wide, (1,), output(wide, (1,), dtype)))
        found.append((wide.T.copy(), (0,), output(wide.T, (0,), dtype)))
        return found

    return sample


def position(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    """Return ties, NaN, and every axis of a small and a large array."""
    found: Arguments = []
    tied = np.array([[1, 3, 3], [2, 2, 0]], dtype)
    broken = np.array([[1, np.nan, np.nan], [np.inf, 2, np.inf]], dtype)
    for x in (tied, broken, rng.normal(size=(3, 4, 5)), rng.normal(size=(40, 601))):
        x = x.astype(dtype)
        for axis in range(x.ndim):
            found.append((x, axis, output(x, (axis,), np.int64)))
    return found


def cumsum(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for shape in ((0,), (1,), (2, 3, 4), (40, 601)):
        x = (1 + rng.normal(size=shape) / 50).astype(dtype)
        for axis in range(x.ndim):
            for backwards in (False, True):
                y = np.full(shape, -77, dtype)
                found += [(v, axis, backwards, y) for v in layouts(x)]
    return found


SAMPLES = {
    "sum": reduction(empty=True),
    "mean": reduction(empty=True),
    "prod": reduction(empty=True),
    "max": reduction(empty=False),
    "min": reduction(empty=False),
    "cumsum": cumsum,
    "argmax": position,
    "argmin": position,
}
