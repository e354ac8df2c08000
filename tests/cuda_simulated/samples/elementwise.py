"""Arguments for the CUDA kernels of elementwise.py and activation.py: more than a block has
threads.
"""

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


def whole(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    """Return integers, and shifts beyond their bits."""
    a = np.array([0, 1, -1, 3, -5, 2**62, -(2**63), 2**63 - 1])
    p, q = np.meshgrid(a, np.array([0, 1, 31, 63, 64, 70, -1]))
    narrow = rng.integers(-128, 128, (4, 6)).astype(np.int8)
    small = rng.integers(0, 256, (4, 6)).astype(np.uint8)
    pairs = [(p, q), (narrow, narrow[0]), (small, small[::-1])]
    return [(x, y, np.full(x.shape, 1, x.dtype)) for x, y in pairs]


BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift")
SAMPLES = {
    **dict.fromkeys(BITWISE, whole),
    "add": binary,
    "eq": compared,
    "leaky_relu_backward": bent,
    "remainder": binary,
    "where": chosen,
}
