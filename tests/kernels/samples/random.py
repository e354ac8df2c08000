"""Arguments for the kernels of random.py."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZES = (0, 1, 7, 1_023, 2_049, 70_001)


def floats(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    return [(2**63 + 5, 2, np.array([9]), np.full(n, -1, dtype)) for n in SIZES]


def words(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    return [(2**63 + 5, 2, np.array([9]), np.zeros(n, np.uint32)) for n in SIZES]


SAMPLES = {"uniform": floats, "normal": floats, "random_bits": words}
