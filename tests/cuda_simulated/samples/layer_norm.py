"""Rows of all forms for the CUDA kernels of layer norm, and float64 ones too wide for sums of
columns in shared memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.cuda.rows import LONG
from minigrad_kernels.norm.cuda_layer_norm import CHUNK
from tests.kernels.samples.layer_norm import Arguments

SHAPES = ((5, 12, 2), (3, 37, 0), (2, LONG, 2), (1, LONG + 3, 1), (CHUNK + 5, 6, 2), (2, 644, 2))


def drawn(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    """Return x, weight and bias; the last number of a shape says how many of these there are."""
    found = []
    for n, d, given in SHAPES:
        x = (2 * rng.normal(size=(n, d)) + 50).astype(dtype)
        weight = rng.normal(size=d if given else 0).astype(dtype)
        found.append((x, weight, rng.normal(size=d if given == 2 else 0).astype(dtype)))
    found[0][0][...] /= 10_000  # so small that eps counts
    return found


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias in drawn(rng, dtype):
        mean, rstd = np.full((2, len(x)), np.nan, dtype)
        found.append((x, weight, bias, 1e-5, mean, rstd, np.full_like(x, np.nan)))
    return found


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, _ in drawn(rng, dtype):
        dy = rng.normal(size=x.shape).astype(dtype)
        mean = x.mean(axis=1, dtype=np.float64).astype(dtype)
        rstd = (1 / np.sqrt(x.var(axis=1, dtype=np.float64) + 1e-5)).astype(dtype)
        dw, db = np.full((2, weight.size), np.nan, dtype)
        found.append((dy, x, weight, mean, rstd, np.full_like(x, np.nan), dw, db))
    return found


SAMPLES = {"layer_norm_forward": forward, "layer_norm_backward": backward}
