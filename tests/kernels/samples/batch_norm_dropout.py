"""Arguments for the kernels of batch_norm_dropout.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.samples.batch_norm import nothing

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]

# (64, 1030): two blocks of columns, the second narrow; (65, 513): a last task of one row; words are
# drawn for several rows of 1, 7, 64 and 130 columns at a time, and begin inside a block of four.
CASES = (
    ((2, 1), 0.5, 1),
    ((64, 64), 0.2, 1),
    ((33, 7), 0.9, 0),
    ((65, 513), 0.3, 1),
    ((35, 130), 0.4, 1),
)


def cases(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    found = []
    for k, (shape, p, relu) in enumerate((*CASES, ((64, 1030), 0.0, 1))):
        x = (2 * rng.normal(size=shape) + rng.normal(size=shape[1])).astype(dtype)
        weight, bias = rng.normal(size=(2, 0 if k % 3 == 2 else shape[1])).astype(dtype)
        draw = relu, p, 1 / (1 - p), 2**40 + k, 3, np.array([k + 1], np.int64)
        found.append((x, weight, bias, draw))
    return found


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias, draw in cases(rng, dtype):
        statistics = [nothing(x.shape[1], dtype) for _ in range(3)]
        found.append((x, weight, bias, 1e-5, *draw, *statistics, np.full_like(x, np.nan)))
    return found


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias, draw in cases(rng, dtype):
        dy = rng.normal(size=x.shape).astype(dtype)
        mean = x.mean(axis=0, dtype=np.float64).astype(dtype)
        rstd = (1 / np.sqrt(x.var(axis=0, dtype=np.float64) + 1e-5)).astype(dtype)
        out = np.full_like(x, np.nan), *(nothing(weight.size, dtype) for _ in range(2))
        found.append((dy, x, weight, bias, mean, rstd, *draw, *out))
    return found


SAMPLES = {"batch_norm_dropout_forward": forward, "batch_norm_dropout_backward": backward}
