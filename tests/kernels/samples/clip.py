"""Arguments for the kernels of clip.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.kernels.tables import SIZES, Tensors

ORDERS = (2.0, math.inf, 1.0, 3.5)


def norms(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    """Return grad_norm's arguments for all sizes and orders, none at all included."""
    found = []
    for sizes in (*SIZES, [], [0]):
        t = Tensors(rng, dtype, sizes, 0)
        found.extend((t.table, order, t.like, np.full(1, np.nan)) for order in ORDERS)
    return found


def scales(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    tensors = [Tensors(rng, dtype, sizes, 0) for sizes in SIZES]
    return [(t.table, np.array([5.0]), 1.0, t.like) for t in tensors]


def clamps(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    tensors = [Tensors(rng, dtype, sizes, 0) for sizes in SIZES]
    return [(t.table, 0.5, t.like) for t in tensors]


SAMPLES = {"grad_norm": norms, "grad_scale": scales, "grad_clamp": clamps}
