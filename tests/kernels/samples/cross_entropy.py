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
    found: Arguments = []
    for case in cases(rng, dtype):
        n, c = case[0].shape
        for mean in (False, True):
            for rows in (0, n):
                loss, total, divisor = (np.full(k, np.nan, dtype) for k in (n, 1, 1))
                out = (loss, np.full(n, np.nan), total, divisor, np.full((rows, c), np.nan, dtype))
                found.append((*case, mean, *out))
    return found


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for case in cases(rng, dtype):
        x = case[0]
        scale = rng.normal(size=len(x)).astype(dtype)
        logsum = np.log(np.exp(x.astype(np.float64)).sum(axis=1))
        found.append((scale, *case, logsum, np.full_like(x, np.nan)))
    return found


SAMPLES = {"cross_entropy_forward": forward, "cross_entropy_backward": backward}
