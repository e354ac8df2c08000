"""What simple methods know of the same rows: as much a model that has learnt should know, too.

A model of noisy rows cannot know all of them, and is not at fault.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
FEWEST, MOST = 50, 512  # rows that are asked
NEIGHBOURS = 5


def scores(x: Array, targets: Array, classes: bool) -> tuple[float, float]:
    """Return the scores of two simple methods: 0 for a constant, 1 for all.

    The nearest neighbours without the row itself, and a linear fit with a penalty, which knows its
    own rows and is left out (0) where it has few for its columns; columns are standardised.

    x: (n, features).  targets: (n, k), of classes one-hot.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 3))
    >>> [round(score, 1) for score in scores(x, x[:, :1], False)]
    [0.9, 1.0]
    """
    x, targets = x[:MOST].astype(np.float64), targets[:MOST].astype(np.float64)
    spread = x.std(0)
    x = (x - x.mean(0)) / np.where(spread > 0, spread, 1.0)
    near = score(neighbours(x, targets), targets, classes)
    few = x.shape[1] * 4 > len(x)
    return near, 0.0 if few else score(linear(x, targets), targets, classes)


def neighbours(x: Array, targets: Array) -> Array:
    """Return for each row the mean target of the nearest others, (n, k)."""
    square = (x * x).sum(1)
    distance = square[:, None] + square - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    near = np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    found: Array = targets[near].mean(1)
    return found


def linear(x: Array, targets: Array) -> Array:
    """Return what a ridge regression gives, (n, k)."""
    mean = targets.mean(0)
    gram = x.T @ x + 0.01 * len(x) * np.eye(x.shape[1])
    found: Array = x @ np.linalg.solve(gram, x.T @ (targets - mean)) + mean
    return found


def score(output: Array, targets: Array, classes: bool) -> float:
    """Return how much of the targets an output knows."""
    if not classes:
        rest = float(((targets - output) ** 2).mean())
        spread = float(((targets - targets.mean(0)) ** 2).mean())
        return 1 - rest / spread if spread else 0.0
    right = float((output.argmax(1) == targets.argmax(1)).mean())
    base = float(targets.mean(0).max())
    return (right - base) / (1 - base) if base < 1 else 0.0
