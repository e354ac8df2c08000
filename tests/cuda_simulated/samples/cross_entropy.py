"""Rows of all forms for the CUDA kernels of cross-entropy, some ignored, with and without a
gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.cuda.rows import LONG
from tests.kernels.samples.cross_entropy import IGNORED, Arguments

SHAPES = ((6, 12), (5, 33), (1, LONG), (2, LONG + 1), (130, 2))


def cases(rng: np.random.Generator, dtype: Any) -> Arguments:
    found = []
    for k, (n, c) in enumerate(SHAPES):
        # float32 rounds a logsumexp of 10,000 to 5e-4 of p; float64's reference does as badly.
        far = 10_000 if k == 1 and dtype == np.float32 else 20
        x = (3 * rng.normal(size=(n, c)) + far).astype(dtype)
        target = rng.integers(0, c, n)
        target[1::4] = IGNORED
        weight = rng.uniform(0.5, 2, c if k % 2 else 0).astype(dtype)
        found.append((x, target, weight, IGNORED, 0.1 if k % 4 else 0.0))
    return found


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for k, case in enumerate(cases(rng, dtype)):
        n, c = case[0].shape
        loss, total, divisor = (np.full(size, np.nan, dtype) for size in (n, 1, 1))
        dx = np.full((n if k != 3 else 0, c), np.nan, dtype)
        found.append((*case, k != 1, loss, np.full(n, np.nan), total, divisor, dx))
    return found


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for case in cases(rng, dtype):
        x = case[0]
        scale = rng.normal(size=len(x)).astype(dtype)
        logsum = np.logaddexp.reduce(x.astype(np.float64), axis=1)
        found.append((scale, *case, logsum, np.full_like(x, np.nan)))
    return found


SAMPLES = {"cross_entropy_forward": forward, "cross_entropy_backward": backward}
