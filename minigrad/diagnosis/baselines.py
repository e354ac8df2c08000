"""What simple methods know of the same rows: as much a model that has learnt should know, too.

A model of noisy rows cannot know all of them, and is not at fault.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
FEWEST, MOST = 50, 512  # rows that are asked
NEIGHBOURS = 5
SHUFFLES = 20


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
    x, targets = standardised(x[:MOST]), targets[:MOST].astype(np.float64)
    near = score(neighbours(x, targets), targets, classes)
    few = x.shape[1] * 4 > len(x)
    return near, 0.0 if few else score(linear(x, targets), targets, classes)


def standardised(x: Array) -> Array:
    """Return columns of mean 0 and deviation 1, float64; constant ones are 0."""
    x = x.astype(np.float64)
    spread = x.std(0)
    found: Array = (x - x.mean(0)) / np.where(spread > 0, spread, 1.0)
    return found


def dependence(x: Array, targets: Array) -> float:
    """Return by how many deviations targets fit their own rows better than shuffled rows.

    Two measures are held against those of shuffled rows, and the larger figure counts: how well the
    mean target of the nearest neighbours goes with the target, and the squares of the correlations
    of all columns with it.  Around 0 where rows and targets are independent.

    x: (n, features).  targets: (n, k), of classes one-hot.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(300, 4))
    >>> bool(dependence(x, np.abs(x[:, :1])) > 8), dependence(x, rng.normal(size=(300, 1))) < 4
    (True, True)
    """
    x = standardised(x[:MOST])
    y = targets[:MOST] - targets[:MOST].mean(0)
    near = nearest(x)
    rng = np.random.default_rng(0)
    own: list[tuple[float, float]] = []
    shuffled: list[tuple[float, float]] = []
    for turn in range(SHUFFLES + 1):
        t = y if not turn else y[rng.permutation(len(y))]
        figures = float((t[near].mean(1) * t).sum()), float(((x.T @ t) ** 2).sum())
        (shuffled if turn else own).append(figures)
    others = np.array(shuffled)
    spread = np.maximum(others.std(0, ddof=1), 1e-12)
    return float(((np.array(own[0]) - others.mean(0)) / spread).max())


def neighbours(x: Array, targets: Array) -> Array:
    """Return for each row the mean target of the nearest others, (n, k)."""
    found: Array = targets[nearest(x)].mean(1)
    return found


def nearest(x: Array) -> Array:
    """Return for each row the numbers of the nearest others, (n, NEIGHBOURS)."""
    square = (x * x).sum(1)
    distance = square[:, None] + square - 2 * x @ x.T
    np.fill_diagonal(distance, np.inf)
    return np.argpartition(distance, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]


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
