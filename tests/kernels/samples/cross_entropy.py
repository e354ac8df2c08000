"""Arguments for the kernels of cross_entropy.py."""

from __future__ import annotations

from typing import Any

import numpy as np

Arguments = list[tuple[Any, ...]]

SHAPES = ((0, 3), (1, 1), (64, 10), (5, 33), (3, 7001))
IGNORED = -100


def cases(rng: np.random.Generator, dtype: Any) -> Arguments:
    """Return (x, target, weight, ignore_index, label_smoothing) for all shapes and options."""
    found = []
    for n, c in SHAPES:
        for weighted in (False, True):
            for smoothing in (0.0, 0.1):
                x = (3 * rng.normal(size=(n, c))).astype(dtype)
                target = rng.integers(0, c, n)
                target[1::4] = IGNORED
                weight = rng.uniform(0.5, 2, c if weighted else 0).astype(dtype)
                found.append((x, target, weight, IGNORED, smoothing))
    return found


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [
        (*case, np.full(len(case[0]), np.nan, dtype), np.full(len(case[0]), np.nan))
        for case in cases(rng, dtype)
    ]


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for case in cases(rng, dtype):
        x = case[0]
        scale = rng.normal(size=len(x)).astype(dtype)
        logsum = np.log(np.exp(x.astype(np.float64)).sum(axis=1))
        found.append((scale, *case, logsum, np.full_like(x, np.nan)))
    return found


SAMPLES = {"cross_entropy_forward": forward, "cross_entropy_backward": backward}
