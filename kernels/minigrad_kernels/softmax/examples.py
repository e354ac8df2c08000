"""Example arguments of softmax, its logarithm and cross-entropy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad_kernels.example import Example, Rng, normal, unwritten


def rows_to(few: bool) -> Callable[..., tuple[Any, ...]]:
    """Return what makes x (N, C) and y: (N, C), or (N,) of a reduction."""

    def make(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
        return normal(rng, dtype, n, c), unwritten(dtype, *((n,) if few else (n, c)))

    return make


def softmax_backward(log: bool) -> Callable[..., tuple[Any, ...]]:
    """Return what makes dy, y = softmax(x) or its logarithm, and dx."""

    def make(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
        y = np.exp(normal(rng, np.float64, n, c))
        y /= y.sum(axis=1, keepdims=True)
        kept = (np.log(y) if log else y).astype(dtype)
        return normal(rng, dtype, n, c), kept, unwritten(dtype, n, c)

    return make


def cross_entropy(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x, classes, no weights, ignore_index, no smoothing, mean, and the outputs."""
    x, target = normal(rng, dtype, n, c), rng.integers(0, c, n)
    few = [unwritten(dtype, k) for k in (n, 1, 1)]
    out = few[0], unwritten(np.float64, n), *few[1:], unwritten(dtype, n, c)
    return x, target, np.empty(0, dtype), -100, 0.0, True, *out


def cross_entropy_backward(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return scale, x, classes, no weights, ignore_index, no smoothing, logsum and dx."""
    scale, x, target = normal(rng, dtype, n), normal(rng, dtype, n, c), rng.integers(0, c, n)
    logsum = np.log(np.exp(x.astype(np.float64)).sum(axis=1))
    return scale, x, target, np.empty(0, dtype), -100, 0.0, logsum, unwritten(dtype, n, c)


EXAMPLES = {
    **{name: Example(rows_to(False), "NxC") for name in ("softmax", "log_softmax")},
    "logsumexp": Example(rows_to(True), "NxC"),
    "softmax_backward": Example(softmax_backward(False), "NxC", cancels=True),
    "log_softmax_backward": Example(softmax_backward(True), "NxC", cancels=True),
    "cross_entropy_forward": Example(cross_entropy, "NxC", cancels=True),
    "cross_entropy_backward": Example(cross_entropy_backward, "NxC", cancels=True),
}
