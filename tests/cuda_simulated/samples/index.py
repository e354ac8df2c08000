"""Arguments for the CUDA kernels of index.py: more keys than tiles, digits beyond the first, long
runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.samples.index import Arguments

ROWS = ((5, 8, 140), (200, 1, 150), (40, 3, 3))  # V, D, n


def take_rows(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for v, d, n in ROWS:
        weight = rng.normal(size=(v, d)).astype(dtype)
        found.append((weight, rng.integers(0, v, n), np.full((n, d), np.nan, dtype)))
    return found


def scatter_add_rows(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for v, d, n in ROWS:
        dy = rng.normal(size=(n, d)).astype(dtype)
        found.append((dy, rng.integers(0, v, n), np.full((v, d), np.nan, dtype)))
    return found


def scatter_flat(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    src = rng.normal(size=300).astype(dtype)
    return [(src, rng.integers(0, 20, 300), rng.normal(size=280).astype(dtype))]


SAMPLES = {
    "take_rows": take_rows,
    "scatter_add_rows": scatter_add_rows,
    "scatter_flat": scatter_flat,
}
