"""Example arguments of the random numbers and of dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.example import Example, Rng, normal, unwritten

DRAW = 0.2, 1.25, 2**40 + 1, 3  # p, scale, seed, stream


def random(dtype: Any = None) -> Callable[..., tuple[Any, ...]]:
    """Return what makes seed, stream, call and y."""

    def make(rng: Rng, asked: Any, n: int) -> tuple[Any, ...]:
        return *DRAW[2:], np.array([5], np.int64), unwritten(dtype or asked, n)

    return make


def dropout(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return x, p, scale, seed, stream, call and y."""
    return normal(rng, dtype, n), *DRAW, np.array([5], np.int64), unwritten(dtype, n)


EXAMPLES = {
    "uniform": Example(random(), own_dtype=True),
    "normal": Example(random(), cancels=True, own_dtype=True),
    "random_bits": Example(random(np.uint32)),
    "dropout": Example(dropout),
}
