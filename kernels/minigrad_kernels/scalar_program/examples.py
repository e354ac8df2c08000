"""Example arguments of the tapes of scalars."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.example import Example, Rng
from minigrad_kernels.scalar_program.opcodes import BINARY, LEAF, MUL, TANH


def tape(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return codes, operands and values of N nodes, every third one given: always float64."""
    codes = rng.choice([MUL, TANH], n).astype(np.int8)
    codes[::3] = LEAF
    below = np.maximum(np.arange(n), 1)
    left = rng.integers(0, below).astype(np.int32)
    right = np.where(np.isin(codes, BINARY), rng.integers(0, below), left).astype(np.int32)
    return codes, left, right, rng.uniform(-1, 1, n)


def tape_backward(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return a tape, what the sweep has reached, and the gradients: 1 of the last node."""
    reached, grads = np.zeros(n, np.uint8), np.zeros(n)
    reached[-1], grads[-1] = 1, 1.0
    return *tape(rng, dtype, n), reached, grads


EXAMPLES = {
    "scalar_forward": Example(tape, own_dtype=True),
    "scalar_backward": Example(tape_backward, own_dtype=True),
}
