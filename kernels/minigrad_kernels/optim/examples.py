"""Example arguments of the optimizers and of what clips gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad_kernels.example import Example, Rng, normal, unwritten
from minigrad_kernels.jit.arguments import Rows

TENSORS = 8  # that N elements are spread over
ADAM = 1e-3, 0.9, 0.999, 1e-8, 0.01, 1.0, 0.0  # lr, betas, eps, decay, decoupled, maximize
RMSPROP = 1e-2, 0.0, 0.0, 0.0, 1e-8, 0.99  # lr, decay, decoupled, maximize, eps, alpha
MOMENTS = 2e-3, 0.0, 0.0, 0.0, 1e-8, 0.9, 0.999, 4e-3
SGD = 1e-2, 0.9, 0.0, 0.0, 0.0, 0.0


def stepped(hyper: Sequence[float], states: int, product: bool = False) -> Example:
    """Return the example of an optimizer: a table of tensors, hyperparameters, like, steps.

    product: a last state of one float64 (NAdam's running product).
    """

    def make(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
        rows = tensors(rng, dtype, n, states, product)
        return rows, np.array([hyper]), np.empty(0, dtype), np.zeros(len(rows.arrays), np.int64)

    return Example(make, cancels=True)


def tensors(rng: Rng, dtype: Any, n: int, states: int, product: bool = False) -> Rows:
    """Return parameters, gradients and zeros for states, N elements in all."""
    rows = []
    for part in np.array_split(np.arange(n), TENSORS):
        zeros = [np.zeros(part.size, dtype) for _ in range(states)]
        last = [np.ones(1)] if product else []
        rows.append([*normal(rng, dtype, 2, part.size), *zeros, *last])
    return Rows(rows)


def clipping(*more: Any) -> Callable[..., tuple[Any, ...]]:
    """Return what makes a table, `more`, and like; "norm" and "out" are arrays of one element."""

    def make(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
        like = np.empty(0, dtype)
        made = {"like": like, "norm": np.array([5.0]), "out": unwritten(np.float64, 1)}
        return tensors(rng, dtype, n, 0), *(made.get(m, m) for m in more)

    return make


EXAMPLES = {
    "adam_step": stepped(ADAM, 2),
    "amsgrad_step": stepped(ADAM, 3),
    "rmsprop_step": stepped((*RMSPROP, 0.0, 0.0), 1),
    "rmsprop_momentum_step": stepped((*RMSPROP, 0.9, 0.0), 2),
    "rmsprop_centered_step": stepped((*RMSPROP, 0.0, 1.0), 2),
    "rmsprop_centered_momentum_step": stepped((*RMSPROP, 0.9, 1.0), 3),
    "adagrad_step": stepped((1e-2, 0.0, 0.0, 0.0, 1e-10, 0.0, 0.0, 0.0), 1),
    "nadam_step": stepped(MOMENTS, 2, product=True),
    "radam_step": stepped(MOMENTS, 2),
    "sgd_step": stepped(SGD, 0),
    "sgd_momentum_step": stepped(SGD, 1),
    "grad_norm": Example(clipping(2.0, "like", "out"), cancels=True),
    "grad_scale": Example(clipping("norm", 1.0, "like"), cancels=True),
    "grad_clamp": Example(clipping(0.5, "like"), cancels=True),
}
