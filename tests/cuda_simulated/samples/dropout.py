"""Arguments for the CUDA kernel of dropout: more vectors of four than a block has threads."""

from __future__ import annotations

from typing import Any

import numpy as np


def dropout(rng: np.random.Generator, dtype: np.dtype[Any]) -> list[tuple[Any, ...]]:
    x = rng.normal(size=4 * 257).astype(dtype)
    call = np.array([5], np.int64)
    return [(x, 0.3, 1 / 0.7, 2**35 + 1, 2, call, np.full_like(x, np.nan))]


SAMPLES = {"dropout": dropout}
