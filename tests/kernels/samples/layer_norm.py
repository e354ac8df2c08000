"""Arguments for the kernels of layer_norm.py."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]

SHAPES = ((0, 4), (1, 2), (64, 64), (33, 7), (65, 513), (3, 20_001))


def affine(rng: np.random.Generator, dtype: Any) -> list[tuple[Array, Array, Array]]:
    """Return x, weight and bias for all shapes; a third have no bias, a third neither."""
    found = []
    for k, (n, d) in enumerate(SHAPES):
        x = (2 * rng.normal(size=(n, d)) + rng.normal(size=(n, 1))).astype(dtype)
        weight = rng.normal(size=0 if k % 3 == 2 else d).astype(dtype)
        bias = rng.normal(size=0 if k % 3 else d).astype(dtype)
        found.append((x, weight, bias))
    return found


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias in affine(rng, dtype):
        mean, rstd = np.full((2, len(x)), np.nan, dtype)
        found.append((x, weight, bias, 1e-5, mean, rstd, np.full_like(x, np.nan)))
    return found


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, _ in affine(rng, dtype):
        dy = rng.normal(size=x.shape).astype(dtype)
        mean = x.mean(axis=1, dtype=np.float64).astype(dtype)
        rstd = (1 / np.sqrt(x.var(axis=1, dtype=np.float64) + 1e-5)).astype(dtype)
        dw, db = np.full((2, weight.size), np.nan, dtype)
        found.append((dy, x, weight, mean, rstd, np.full_like(x, np.nan), dw, db))
    return found


SAMPLES = {"layer_norm_forward": forward, "layer_norm_backward": backward}
