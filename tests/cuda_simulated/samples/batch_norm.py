"""Arguments for the CUDA kernels of batch_norm: several chunks, tiles and lanes, of rows and of
planes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.samples.batch_norm import nothing

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]
# N, C, S: narrow rows in two chunks; rows of one vector; planes of whole vectors, in two chunks and
# of two channels; planes without.
SHAPES = ((131, 3, 1), (300, 4, 1), (3, 1, 716), (2, 2, 8), (2, 3, 35))


def rows(lines: int, dtype: Any) -> tuple[int, int]:
    """Return so many rows, two chunks of 16, of two tiles of channels: 128 as vectors, or 32."""
    return 16 + lines, 132 if dtype == np.float32 else 33


def inputs(rng: np.random.Generator, dtype: Any) -> list[tuple[Array, Array, Array]]:
    found = []
    for k, shape in enumerate(((*rows(2, dtype), 1), *SHAPES)):
        x = (rng.normal(size=shape) + 3 * rng.normal(size=(shape[1], 1))).astype(dtype)
        weight, bias = rng.normal(size=(2, 0 if k == 1 else shape[1])).astype(dtype)
        found.append((x, weight, bias))
    return found


def statistics(x: Array) -> tuple[Array, Array]:
    row_lanes = x.astype(np.float64)
    rstd = 1 / np.sqrt(row_lanes.var(axis=(0, 2)) + 1e-5)
    return row_lanes.mean(axis=(0, 2)).astype(x.dtype), rstd.astype(x.dtype)


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias in inputs(rng, dtype):
        outs = [nothing(x.shape[1], dtype) for _ in range(3)]
        found.append((x, weight, bias, 1e-5, *outs, np.full_like(x, np.nan)))
    return found


def evaluate(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias in inputs(rng, dtype)[-3:]:
        mean, rstd = statistics(x)
        found.append((x, weight, bias, mean, rstd, 1e-5, np.full_like(x, np.nan)))
    return found


def gradients(x: Array, weight: Array) -> list[Array]:
    return [np.full_like(x, np.nan), *(nothing(weight.size, x.dtype) for _ in range(2))]


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, _ in inputs(rng, dtype):
        dy = rng.normal(size=x.shape).astype(dtype)
        found.append((dy, x, weight, *statistics(x), *gradients(x, weight)))
    return found


def evaluate_backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, _ in inputs(rng, dtype)[-2:]:
        dy = rng.normal(size=x.shape).astype(dtype)
        found.append((dy, x, weight, *statistics(x), 1e-5, *gradients(x, weight)))
    return found


SAMPLES = {
    "batch_norm_forward": forward,
    "batch_norm_eval": evaluate,
    "batch_norm_backward": backward,
    "batch_norm_eval_backward": evaluate_backward,
}
