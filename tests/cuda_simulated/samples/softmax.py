"""Rows of all forms for the CUDA kernels of softmax: of warps and blocks, vectors, infinities."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.cuda.rows import LONG
from tests.kernels.samples import softmax

SHAPES = ((7, 12), (5, 36), (2, LONG), (2, LONG + 3), (1, 130), (1, 300))
WALKED = (1, 4_104)  # more float32 than registers hold


def shapes(dtype: Any) -> tuple[tuple[int, int], ...]:
    return (*SHAPES, WALKED) if dtype == np.float32 else SHAPES


def edges(dtype: Any) -> Any:
    x = np.linspace(-3, 3, 8 * 40).reshape(8, 40).astype(dtype)
    x[0, [2, 3, 17, 38]] = 3  # equal maxima, of one lane and of several
    x[1, 5] = -np.inf
    x[2, :] = -np.inf
    x[3, 7] = np.inf
    x[4, 39] = np.nan
    x[5, 20:] = -1e4
    x[6, [3, 39]] = np.inf, np.nan
    x[7, :] = -np.inf
    x[7, 33] = np.nan
    return x


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> softmax.Arguments:
    rows = [*(softmax.logits(rng, dtype, shape) for shape in shapes(dtype)), edges(dtype)]
    return [(x, np.full_like(x, np.nan)) for x in rows]


def reduce(rng: np.random.Generator, dtype: np.dtype[Any]) -> softmax.Arguments:
    return [(x, np.full(len(x), np.nan, dtype)) for x, _ in forward(rng, dtype)]


def backward(log: bool) -> Any:
    def sample(rng: np.random.Generator, dtype: np.dtype[Any]) -> softmax.Arguments:
        found = []
        for shape in shapes(dtype):
            y = np.exp(softmax.logits(rng, np.float64, shape))
            y /= y.sum(axis=1, keepdims=True)
            y = (np.log(y) if log else y).astype(dtype)
            found.append((rng.normal(size=shape).astype(dtype), y, np.full(shape, np.nan, dtype)))
        return found

    return sample


SAMPLES = {
    "softmax": forward,
    "log_softmax": forward,
    "logsumexp": reduce,
    "softmax_backward": backward(log=False),
    "log_softmax_backward": backward(log=True),
}
