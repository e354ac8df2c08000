"""Arguments for the kernels of scalar_tape.py: flat tapes of random expressions."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.scalar_program.opcodes import ALIAS, BINARY, LEAF, SIGMOID

Array = np.ndarray[Any, Any]


def tape(rng: np.random.Generator, size: int) -> tuple[Array, Array, Array, Array]:
    """Return the codes, operands and values of `size` nodes, every third one given."""
    codes = rng.integers(ALIAS, SIGMOID + 1, size).astype(np.int8)
    codes[::3] = LEAF
    below = np.maximum(np.arange(size), 1)
    left = rng.integers(0, below).astype(np.int32)
    right = np.where(np.isin(codes, BINARY), rng.integers(0, below), left).astype(np.int32)
    return codes, left, right, rng.uniform(-2, 2, size)


def forward(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    return [tape(rng, size) for size in (1, 2, 50, 1000)]


def backward(rng: np.random.Generator, dtype: Any) -> list[tuple[Any, ...]]:
    samples = []
    for size in (1, 2, 50, 1000):
        arrays = tape(rng, size)
        reached = np.zeros(size, np.uint8)
        grads = np.zeros(size)
        reached[-1:] = 1
        grads[-1:] = 1.0
        samples.append((*arrays, reached, grads))
    return samples


SAMPLES = {"scalar_forward": forward, "scalar_backward": backward}
