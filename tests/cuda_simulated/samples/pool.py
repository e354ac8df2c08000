"""Arguments for the CUDA kernels of pooling: pairs four to a thread, places that many outputs
share.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.samples.pool import sliding

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]
PAIRS = (2, 4, 16, sliding(4, 2, 2), sliding(16, 2, 2))
NESTED = np.array([[0, 5, 1], [3, 4, 1], [2, 7, 1]])  # 4 is in the first and in the last
OVERLAPPING = (2, 9, 11, sliding(9, 4, 1, 1), sliding(11, 5, 2, 2))


def maximum(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for planes, h, w, row_windows, column_windows in (PAIRS, OVERLAPPING):
        x = rng.integers(-9, 9, (planes, h, w)).astype(dtype)  # with ties
        x[rng.random(x.shape) < 0.05] = np.nan
        y = np.empty((planes, len(row_windows), len(column_windows)), dtype)
        found.append((x, row_windows, column_windows, y, np.empty(y.shape, np.int32)))
    return found


def maximum_backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for planes, outputs, places in ((3, 70, 5), (5, 33, 100)):
        index = rng.integers(0, places, (planes, 1, outputs)).astype(np.int32)
        dy = rng.normal(size=index.shape).astype(dtype)
        found.append((dy, index, np.empty((planes, 10, 10), dtype)))
    return found


def mean(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for planes, h, w, row_windows, column_windows in (
        PAIRS,
        OVERLAPPING,
        (1, 7, 7, NESTED, NESTED),
    ):
        x = rng.normal(size=(planes, h, w)).astype(dtype)
        row_windows, column_windows = row_windows.copy(), column_windows.copy()
        row_windows[:, 2], column_windows[:, 2] = 2, 3
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
    return [
        (rng.normal(size=y.shape).astype(dtype), row_windows, column_windows, np.empty_like(x))
        for x, row_windows, column_windows, y in mean(rng, dtype)
    ]


SAMPLES = {
    "max_pool": maximum,
    "max_pool_backward": maximum_backward,
    "avg_pool": mean,
    "avg_pool_backward": mean_backward,
}
