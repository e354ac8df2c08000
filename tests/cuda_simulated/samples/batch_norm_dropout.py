"""Arguments for the CUDA kernels of batch_norm_dropout: several chunks and tiles of rows, four
lanes or one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.cuda_simulated.samples.batch_norm import gradients, rows, statistics
from tests.kernels.samples.batch_norm import nothing

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]
# Words that begin inside a block of four; four to a row.
CASES = (((33, 7), 0.5, 1), ((40, 4), 0.0, 0))


def inputs(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    found = []
    for k, (shape, p, relu) in enumerate(((rows(1, dtype), 0.3, 1), *CASES)):
        x = (2 * rng.normal(size=shape) + rng.normal(size=shape[1])).astype(dtype)
        weight, bias = rng.normal(size=(2, 0 if k == 1 else shape[1])).astype(dtype)
        draw = relu, p, 1 / (1 - p), 2**40 + k, 3, np.array([k + 1], np.int64)
        found.append((x, weight, bias, draw))
    return found


def forward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias, draw in inputs(rng, dtype):
        outs = [nothing(x.shape[1], dtype) for _ in range(3)]
        found.append((x, weight, bias, 1e-5, *draw, *outs, np.full_like(x, np.nan)))
    return found


def backward(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    found = []
    for x, weight, bias, draw in inputs(rng, dtype):
        dy = rng.normal(size=x.shape).astype(dtype)
        made = statistics(x[:, :, None])
        found.append((dy, x, weight, bias, *made, *draw, *gradients(x, weight)))
    return found


SAMPLES = {"batch_norm_dropout_forward": forward, "batch_norm_dropout_backward": backward}
