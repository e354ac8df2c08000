"""Arguments for the kernels of index.py."""

from __future__ import annotations

from typing import Any

import numpy as np

Arguments = list[tuple[Any, ...]]

ROWS = ((4, 3, 0), (1, 1, 1), (5, 7, 3), (50, 64, 200), (30, 130, 333))  # V, D, n
FLAT = ((4, 0), (1, 1), (5, 33), (1_000, 30_001))  # V, n


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


def take_flat(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for v, n in FLAT:
        x = rng.normal(size=v).astype(dtype)
        found.append((x, rng.integers(0, v, n), np.full(n, np.nan, dtype)))
    return found


def scatter_flat(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for v, n in FLAT:
        src = rng.normal(size=n).astype(dtype)
        found.append((src, rng.integers(0, v, n), rng.normal(size=v).astype(dtype)))
    return found


SAMPLES = {
    "take_rows": take_rows,
    "scatter_add_rows": scatter_add_rows,
    "take_flat": take_flat,
    "scatter_add_flat": scatter_flat,
    "scatter_flat": scatter_flat,
}
