"""Example arguments of the optimizers and of what clips gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad_kernels.example import Example, Rng, normal, unwritten
from minigrad_kernels.jit.arguments import Rows

TENSORS = 8  # that N elements are spread over


def stepped(hyper: Sequence[float], states: int, scalars: Sequence[float]) -> Example:
    """Return the example of an optimizer: a table of tensors, hyperparameters, like, steps.

    states: how many arrays are kept for a tensor.  scalars: single numbers that are.
    """

    def make(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
        rows = tensors(rng, dtype, n, states, scalars)
        return rows, np.array([hyper]), np.empty(0, dtype), np.zeros(len(rows.arrays), np.int64)

    return Example(make, cancels=True)


def tensors(rng: Rng, dtype: Any, n: int, states: int = 0, scalars: Sequence[float] = ()) -> Rows:
    """Return parameters, gradients, zeros for states and single numbers, N elements in all."""
    rows = []
    for part in np.array_split(np.arange(n), TENSORS):
        zeros = [np.zeros(part.size, dtype) for _ in range(states)]
        singles = [np.array([value]) for value in scalars]
        rows.append([*normal(rng, dtype, 2, part.size), *zeros, *singles])
    return Rows(rows)


def clipping(*more: Any) -> Callable[..., tuple[Any, ...]]:
    """Return what makes a table, `more`, and like; "norm" and "out" are arrays of one element."""

    def make(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
        like = np.empty(0, dtype)
        made = {"like": like, "norm": np.array([5.0]), "out": unwritten(np.float64, 1)}
        return tensors(rng, dtype, n), *(made.get(m, m) for m in more)

    return make


EXAMPLES = {
    "grad_norm": Example(clipping(2.0, "like", "out"), cancels=True),
    "grad_scale": Example(clipping("norm", 1.0, "like"), cancels=True),
    "grad_clamp": Example(clipping(0.5, "like"), cancels=True),
}
