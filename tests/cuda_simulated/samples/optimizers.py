"""Tables of tensors for the CUDA kernels of the optimizers' steps and of clipping."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.optim.cuda_multi_tensor import CHUNK
from tests.kernels.samples.steps import STEPS
from tests.kernels.tables import Tensors, samples

# Tensors that end inside a chunk and cross one, empty and tiny ones between them; one number.
TABLES = ([0, 7, CHUNK + 6, 0, 33, 2, 0], [1])


def norms(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    tensors = [Tensors(rng, dtype, sizes, 0) for sizes in TABLES]
    return [
        (t.table, order, t.like, np.full(1, np.nan)) for t in tensors for order in (2.0, math.inf)
    ]


def scales(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    tensors = [Tensors(rng, dtype, sizes, 0) for sizes in TABLES]
    return [(t.table, np.array([norm]), 1.0, t.like) for t in tensors for norm in (5.0, 0.5)]


def clamps(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    return [(t.table, 0.5, t.like) for t in (Tensors(rng, dtype, sizes, 0) for sizes in TABLES)]


SAMPLES = {
    **{name: samples(row, TABLES) for name, row in STEPS.items()},
    "grad_norm": norms,
    "grad_scale": scales,
    "grad_clamp": clamps,
}
