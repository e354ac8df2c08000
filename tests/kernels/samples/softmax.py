"""Arguments for the kernels of softmax.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arguments = list[tuple[Any, ...]]

SHAPES = ((0, 3), (1, 1), (3, 1), (2, 7), (64, 10), (5, 33), (3, 7001))


def logits(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Any:
    return (3 * rng.normal(size=shape)).astype(dtype)


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [(logits(rng, dtype, shape), np.full(shape, np.nan, dtype)) for shape in SHAPES]


def reduce(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [(logits(rng, dtype, shape), np.full(shape[0], np.nan, dtype)) for shape in SHAPES]


def backward(log: bool) -> Callable[[np.random.Generator, np.dtype[Any]], Arguments]:
    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
        found = []
        for shape in SHAPES:
            y = np.exp(logits(rng, np.float64, shape))
            y /= y.sum(axis=1, keepdims=True)
            y = (np.log(y) if log else y).astype(dtype)
            dy = rng.normal(size=shape).astype(dtype)
            found.append((dy, y, np.full(shape, np.nan, dtype)))
        return found

    return sample


SAMPLES = {
    "softmax": forward,
    "log_softmax": forward,
    "logsumexp": reduce,
    "softmax_backward": backward(log=False),
    "log_softmax_backward": backward(log=True),
}
