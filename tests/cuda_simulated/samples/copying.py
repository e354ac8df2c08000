"""Arguments for the CUDA kernel of copy: tiles cut off, columns for rows, many dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.samples.elementwise import Arguments


def layouts(rng: np.random.Generator, dtype: Any) -> list[Any]:
    """Return arrays whose neighbours stand in other dimensions than the last, and deep ones."""
    tall = rng.normal(size=(20, 35)).astype(dtype)
    batch = rng.normal(size=(2, 3, 16, 17)).astype(dtype)
    deep = rng.normal(size=(3, 2, 3, 2, 3, 4)).astype(dtype)
    return [
        tall.T,
        tall[::-1].T,
        tall[:, ::2].T,
        batch.transpose(0, 1, 3, 2),
        batch.transpose(3, 0, 1, 2),
        batch.transpose(3, 1, 2, 0),
        deep[::-1, :, ::2, :, ::2, ::-1],
        np.broadcast_to(deep[0, 0, :, :1, 0, 0][..., None], (3, 2, 4)),
    ]


def copy(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [(a, np.full(a.shape, np.nan, dtype)) for a in layouts(rng, dtype)]


SAMPLES = {"copy": copy}
