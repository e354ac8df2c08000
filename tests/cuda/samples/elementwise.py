"""Arguments for the twins of elementwise.py and activation.py: more than a block has threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.samples.elementwise import Arguments


def binary(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    a, b = rng.normal(size=(2, 4 * 300)).astype(dtype)
    deep = rng.normal(size=(3, 2, 3, 2, 3, 4)).astype(dtype)
    x, row = rng.normal(size=(40, 33)).astype(dtype), rng.normal(size=33).astype(dtype)
    strange = deep[::-1, :, ::2, :, ::2, ::-1]
    return [
        (a, b, np.full_like(a, np.nan)),
        (a[1:], b[:-1], np.full_like(a[1:], np.nan)),
        (x, row, np.full_like(x, np.nan)),
        (strange, deep[:1, :, :1, :, :1], np.full(strange.shape, np.nan, dtype)),
    ]


def bent(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [(a, b, 0.25, 0.0, y) for a, b, y in binary(rng, dtype)[:2]]


def chosen(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [(a > 0, a, b, y) for a, b, y in binary(rng, dtype)[:3]]


def compared(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [(a, b, np.zeros(y.shape, bool)) for a, b, y in binary(rng, dtype)[:1]]


SAMPLES = {
    "add": binary,
    "eq": compared,
    "leaky_relu_backward": bent,
    "remainder": binary,
    "where": chosen,
}
