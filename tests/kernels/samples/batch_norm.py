"""Arguments for the kernels of batch_norm.py."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]

SHAPES = (  # N, C, S
    (2, 1, 1),
    (64, 64, 1),
    (33, 7, 1),
    (65, 513, 1),  # above the threshold, a last chunk of one row
    (3, 2, 1025),
    (2, 5, 9),
    (7, 3, 1600),
)


def nothing(size: int, dtype: Any) -> Array:
    return np.full(size, np.nan, dtype)


def affine(rng: np.random.Generator, dtype: Any) -> list[tuple[Array, Array, Array]]:
    """Return x, weight and bias for all shapes, every third without weight and bias."""
    found = []
    for k, (n, c, s) in enumerate(SHAPES):
        x = (2 * rng.normal(size=(n, c, s)) + rng.normal(size=(c, 1))).astype(dtype)
        weight, bias = rng.normal(size=(2, 0 if k % 3 == 2 else c)).astype(dtype)
        found.append((x, weight, bias))
    return found


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias in affine(rng, dtype):
        statistics = [nothing(x.shape[1], dtype) for _ in range(3)]
        found.append((x, weight, bias, 1e-5, *statistics, np.full_like(x, np.nan)))
    return found


def running(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for c in (0, 1, 17, 600):
        mean, running_mean = rng.normal(size=(2, c)).astype(dtype)
        var, running_var = rng.uniform(0.5, 2, (2, c)).astype(dtype)
        for momentum in (0.1, 1.0):
            found.append((mean, var, 32, np.array([momentum]), running_mean, running_var))
    return found


def evaluate(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias in (*affine(rng, dtype), empty(dtype)):
        mean = rng.normal(size=x.shape[1]).astype(dtype)
        var = rng.uniform(0.5, 2, x.shape[1]).astype(dtype)
        found.append((x, weight, bias, mean, var, 1e-5, np.full_like(x, np.nan)))
    return found


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, _ in affine(rng, dtype):
        dy = rng.normal(size=x.shape).astype(dtype)
        mean = x.mean(axis=(0, 2), dtype=np.float64).astype(dtype)
        rstd = (1 / np.sqrt(x.var(axis=(0, 2), dtype=np.float64) + 1e-5)).astype(dtype)
        gradients = [np.full_like(x, np.nan), *(nothing(weight.size, dtype) for _ in range(2))]
        found.append((dy, x, weight, mean, rstd, *gradients))
    return found


def evaluate_backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, _ in (*affine(rng, dtype), empty(dtype)):
        dy = rng.normal(size=x.shape).astype(dtype)
        mean = rng.normal(size=x.shape[1]).astype(dtype)
        var = rng.uniform(0.5, 2, x.shape[1]).astype(dtype)
        gradients = [np.full_like(x, np.nan), *(nothing(weight.size, dtype) for _ in range(2))]
        found.append((dy, x, weight, mean, var, 1e-5, *gradients))
    return found


def empty(dtype: Any) -> tuple[Array, Array, Array]:
    return np.empty((0, 4, 1), dtype), np.ones(4, dtype), np.zeros(4, dtype)


SAMPLES = {
    "batch_norm_forward": forward,
    "batch_norm_running": running,
    "batch_norm_eval": evaluate,
    "batch_norm_backward": backward,
    "batch_norm_eval_backward": evaluate_backward,
}
