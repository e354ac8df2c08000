"""Arguments for the kernels of extreme.py: ties, NaN and infinities, both ways of walking."""

from __future__ import annotations

from typing import Any

import numpy as np

Arguments = list[tuple[Any, ...]]

SHAPES = ((2, 1, 3), (1, 5, 1), (3, 4, 2), (0, 4, 2), (7, 3_001, 1), (1, 20_005, 1), (2, 211, 97))


def groups(rng: np.random.Generator, dtype: Any) -> list[Any]:
    found = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
    found.append(np.round(3 * rng.normal(size=(40, 601, 1))).astype(dtype))
    broken = np.round(3 * rng.normal(size=(3, 300, 41))).astype(dtype)
    broken[0, 7, 5], broken[0, 9, 5], broken[1, 299, :4], broken[2, 0, 7] = (np.nan,) * 4
    broken[0, 3, 9], broken[1, 4, 9], broken[2, :, 3] = np.inf, -np.inf, -np.inf
    return [*found, broken, broken.transpose(0, 2, 1).reshape(123, 300, 1).copy()]


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for x in groups(rng, dtype):
        shape = x.shape[0], x.shape[2]
        for sign in (1, -1):
            found.append((x, sign, np.full(shape, -77, dtype), np.full(shape, -77)))
    return found


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found: Arguments = []
    for shape in SHAPES:
        outer, reduced, inner = shape
        dy = rng.normal(size=(outer, inner)).astype(dtype)
        indices = rng.integers(0, reduced, size=(outer, inner))
        found.append((dy, indices, np.full(shape, np.nan, dtype)))
    return found


SAMPLES = {"extreme": forward, "extreme_backward": backward}
