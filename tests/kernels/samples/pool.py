"""Arguments for the kernels of pool.py."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]


def sliding(size: int, kernel: int, stride: int, padding: int = 0, last: int = 1) -> Array:
    """Return the table of windows that slide over `size` elements, clipped at its ends."""
    first = np.arange(-padding, size + padding - kernel + 1, stride)
    stop = np.minimum(first + kernel, size)
    return np.stack([np.maximum(first, 0), stop, np.full(len(first), last)], 1)


CASES = (  # planes, H, W, down, across
    (0, 4, 4, sliding(4, 2, 2), sliding(4, 2, 2)),
    (1, 1, 1, sliding(1, 1, 1), sliding(1, 1, 1)),
    (5, 6, 10, sliding(6, 2, 2), sliding(10, 2, 2)),
    (64, 29, 27, sliding(29, 2, 2), sliding(27, 2, 2)),  # above PARALLEL, a row and column unseen
    (3, 9, 9, sliding(9, 3, 2, 1), sliding(9, 3, 2, 1)),
    (3, 1, 33, sliding(1, 1, 1), sliding(33, 5, 3, 2)),
    (33, 30, 31, sliding(30, 3, 1, 1), sliding(31, 7, 7)),
)


def maximum(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for planes, h, w, row_windows, column_windows in CASES:
        x = rng.integers(-9, 9, (planes, h, w)).astype(dtype)  # with ties
        x[rng.random(x.shape) < 0.05] = np.nan
        y = np.empty((planes, len(row_windows), len(column_windows)), dtype)
        found.append((x, row_windows, column_windows, y, np.empty(y.shape, np.int32)))
    x = rng.normal(size=(2, 7, 8)).astype(dtype)
    x[0] = -np.inf
    dilated = (np.array([[0, 5, 2], [1, 6, 2], [2, 7, 2]]), np.array([[1, 8, 3], [4, 8, 3]]))
    y = np.empty((2, 3, 2), dtype)
    found.append((x, *dilated, y, np.empty(y.shape, np.int32)))
    for planes, h, w in ((2, 1, 1), (40, 20, 30)):  # windows without elements, on both ways
        x = rng.normal(size=(planes, h, w)).astype(dtype)
        row_windows, column_windows = (np.array([[0, 0, 2], [0, n, 2], [n, n, 1]]) for n in (h, w))
        y = np.empty((planes, 3, 3), dtype)
        found.append((x, row_windows, column_windows, y, np.empty(y.shape, np.int32)))
    return found


def maximum_backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for planes, h, w, row_windows, column_windows in CASES:
        shape = (planes, len(row_windows), len(column_windows))
        index = rng.integers(-1, h * w, shape).astype(np.int32)  # -1: a window without elements
        found.append((rng.normal(size=shape).astype(dtype), index, np.empty((planes, h, w), dtype)))
    return found


def mean(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for k, (planes, h, w, row_windows, column_windows) in enumerate(CASES):
        x = rng.normal(size=(planes, h, w)).astype(dtype)
        row_windows, column_windows = row_windows.copy(), column_windows.copy()
        row_windows[:, 2] = row_windows[:, 1] - row_windows[:, 0] + k % 2
        column_windows[:, 2] = 3
        found.append(
            (
                x,
                row_windows,
                column_windows,
                np.empty((planes, len(row_windows), len(column_windows)), dtype),
            )
        )
    return found


def mean_backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, row_windows, column_windows, y in mean(rng, dtype):
        found.append(
            (rng.normal(size=y.shape).astype(dtype), row_windows, column_windows, np.empty_like(x))
        )
    return found


SAMPLES = {
    "max_pool": maximum,
    "max_pool_backward": maximum_backward,
    "avg_pool": mean,
    "avg_pool_backward": mean_backward,
}
