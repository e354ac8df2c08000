"""Arguments for the CUDA kernels of the random draws: more blocks of words than a block has
threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIZES = (8, 4 * 130 + 3)


def floats(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    return [(2**40 + 7, 1, np.array([3]), np.full(n, np.nan, dtype)) for n in SIZES]


def words(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    return [(2**40 + 7, 1, np.array([3]), np.zeros(n, np.uint32)) for n in SIZES]


SAMPLES = {"uniform": floats, "normal": floats, "random_bits": words}
