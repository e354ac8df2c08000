"""The formulas of scores, in NumPy and float64, each in one place; edge cases as scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- classes
def confusion(guess: Array, y: Array, count: int) -> Array:
    """Return how often each class (row) was taken for each (column).

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(y * count + guess, minlength=count * count).reshape(count, count)


def counts_of_table(table: Array) -> Array:
    """Return true positives, false positives and false negatives of each class, `(C, 3)`.

    >>> counts_of_table(np.array([[1, 1], [0, 1]])).tolist()
    [[1, 0, 1], [1, 1, 0]]
    """
    hits = table.diagonal()
    return np.stack([hits, table.sum(0) - hits, table.sum(1) - hits], 1)


def counts_of_labels(guess: Array, y: Array) -> Array:
    """Return the same of labels of which a row may have several; `guess, y: (N, L)` bools."""
    hits = (guess & y).sum(0)
    return np.stack([hits, guess.sum(0) - hits, y.sum(0) - hits], 1)


def share(part: Array, whole: Array) -> Array:
    """Return part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole != 0)


def precision(counts: Array) -> Array:
    """Return TP / (TP + FP) of each class, 0 for one that was never guessed.

    >>> precision(np.array([[3, 1, 0], [0, 0, 1]])).tolist()
    [0.75, 0.0]
    """
    return share(counts[:, 0], counts[:, 0] + counts[:, 1])


def recall(counts: Array) -> Array:
    """Return TP / (TP + FN) of each class, 0 for one that has no rows."""
    return share(counts[:, 0], counts[:, 0] + counts[:, 2])


def f1(counts: Array) -> Array:
    """Return 2 TP / (2 TP + FP + FN) of each class, 0 for one that is neither there nor guessed."""
    return share(2 * counts[:, 0], 2 * counts[:, 0] + counts[:, 1] + counts[:, 2])


def averaged(formula: Callable[[Array], Array], counts: Array, average: str, labels: bool) -> float:
    """Return a formula over classes: their mean ("macro"), or of all their counts ("micro").

    labels: rows may have several; otherwise a class that is neither there nor guessed is left out
        of the mean.
    """
    if average == "micro":
        return float(formula(counts.sum(0, keepdims=True))[0])
    kept = counts if labels else counts[counts.sum(1) > 0]
    return float(formula(kept).mean()) if len(kept) else float("nan")


def balanced_accuracy(table: Array) -> float:
    """Return the mean of the recalls of the classes that have rows; NaN where there is none.

    >>> balanced_accuracy(np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]]))
    0.75
    """
    there = table.sum(1) > 0
    if not there.any():
        return float("nan")
    return float((table.diagonal()[there] / table.sum(1)[there]).mean())


def in_top(scores: Array, y: Array, k: int) -> Array:
    """Return whether the class of each row is among the k of highest score; of equal scores the
    later class counts as higher.

    >>> in_top(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), np.array([2, 0]), 1).tolist()
    [False, False]
    """
    own = np.take_along_axis(scores, y[:, None], 1)
    later = np.arange(scores.shape[1]) > y[:, None]
    above = ((scores > own) | ((scores == own) & later)).sum(1)
    found: Array = (above < k) & ~np.isnan(scores).any(1)
    return found


# ---------------------------------------------------------------- rankings
def auroc(score: Array, positive: Array) -> float:
    """Return the probability that a positive row scores above a negative one, ties half; NaN where
    one of both is missing.

    >>> auroc(np.array([0.1, 0.4, 0.4]), np.array([False, False, True]))
    0.75
    """
    n = int(positive.sum())
    if n in (0, len(positive)) or np.isnan(score).any():
        return float("nan")
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = ranks[place][positive].sum() - n * (n + 1) / 2
    return float(above / (n * (len(positive) - n)))


def average_precision(score: Array, positive: Array) -> float:
    """Return the precision at each positive row found, from the highest score on, averaged; 0
    where there is none.

    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.8333333333333333
    """
    if np.isnan(score).any() or not len(score):
        return float("nan")
    if not positive.any():
        return 0.0
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # ties are found together
    hits = np.cumsum(positive[order])[ends]
    found = hits / (ends + 1)
    return float((np.diff(hits, prepend=0) * found).sum() / hits[-1])


def mean_there(values: list[float]) -> float:
    """Return the mean of what is not NaN; NaN where nothing is left.

    >>> mean_there([1.0, float("nan"), 2.0])
    1.5
    """
    kept = [value for value in values if not np.isnan(value)]
    return float(np.mean(kept)) if kept else float("nan")


def softmax(logits: Array) -> Array:
    """Return probabilities, in float64.

    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    powers = np.exp(shifted)
    return powers / powers.sum(1, keepdims=True)


# ---------------------------------------------------------------- amounts
def sums(guess: Array, y: Array) -> Array:
    """Return what the scores of amounts are made of, `guess, y: (N, D)` -> `(6, D)`: rows, summed
    |error|, summed error^2, y of the first row, summed (y - mean)^2, mean of y - that of the first.

    A mean of its own would be rounded by the size of y, not by its spread.
    """
    y = y.astype(np.float64)
    error = guess.astype(np.float64) - y
    apart = y - y[0]
    mean = apart.mean(0)
    rows = np.full(mean.shape, float(len(y)))
    squares = ((apart - mean) ** 2).sum(0)
    return np.stack([rows, np.abs(error).sum(0), (error**2).sum(0), y[0], squares, mean])


def joined(a: Array, b: Array) -> Array:
    """Return the sums of two sets together.

    Source: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
    sample variances", equation 2.1.
    """
    n = a[0] + b[0]
    apart = (b[3] - a[3]) + (b[5] - a[5])
    spread = a[4] + b[4] + apart**2 * a[0] * b[0] / n
    return np.stack([n, a[1] + b[1], a[2] + b[2], a[3], spread, a[5] + apart * b[0] / n])


def mae(sums: Array) -> float:
    """Return the mean absolute error; of several columns the mean."""
    return float((sums[1] / sums[0]).mean())


def rmse(sums: Array) -> float:
    """Return the root of the mean squared error; of several columns the mean of their roots."""
    return float(np.sqrt(sums[2] / sums[0]).mean())


def r2(sums: Array) -> float:
    """Return 1 - summed error^2 / summed (y - mean)^2; of several columns the mean.

    For a constant y it is 1 without an error, else 0; of fewer than two rows NaN.
    """
    if sums[0, 0] < 2:
        return float("nan")
    left, spread = sums[2], sums[4]
    flat = np.where(left == 0, 1.0, np.where(np.isnan(left), left, 0.0))
    found = 1 - np.divide(left, spread, out=np.zeros_like(left), where=spread != 0)
    return float(np.where(spread == 0, flat, found).mean())
