"""Arguments for the kernel of dropout.py."""

from __future__ import annotations

from typing import Any

import numpy as np

SHAPES = ((0,), (1,), (7,), (64, 64), (2_049,), (3, 5, 1_601))


def dropout(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    found = []
    for shape in SHAPES:
        for p in (0.2, 0.5, 1.0):
            x = rng.normal(size=shape).astype(dtype)
            scale = 1 / (1 - p) if p < 1 else 0.0
            call = np.array([3])
            found.append((x, p, scale, 2**63 + 5, 7, call, np.full_like(x, np.nan)))
    return found


SAMPLES = {"dropout": dropout}
