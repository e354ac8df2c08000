"""Scores that a person needs, in NumPy: of classes from probabilities, of amounts from amounts."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def class_scores(probabilities: Array, y: Array) -> dict[str, float]:
    """Return accuracy, balanced accuracy, F1, AUROC, of two classes average precision, log loss.

    F1 is that of the rarer class of two, else the mean over the classes; AUROC of more than two
    classes is the mean of each against the others.  NaN where rows of a class are missing.

    Shape: `probabilities: (N, C)`, `y: (N,)` whole numbers.

    >>> scores = class_scores(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]))
    >>> scores["accuracy"], scores["auroc"]
    (1.0, 1.0)
    """
    count = probabilities.shape[1]
    guess = probabilities.argmax(1)
    table = confusion(guess, y, count)
    there = table.sum(1) > 0
    recall = table.diagonal()[there] / table.sum(1)[there]
    found = {"accuracy": float((guess == y).mean()), "balanced_accuracy": float(recall.mean())}
    f1 = 2 * table.diagonal() / np.maximum(table.sum(0) + table.sum(1), 1)
    rarer = int(table.sum(1).argmin()) if count == 2 else -1
    found["f1"] = float(f1[rarer] if count == 2 else f1[there].mean())
    if count == 2:
        found["auroc"] = auroc(probabilities[:, rarer], y == rarer)
        found["average_precision"] = average_precision(probabilities[:, rarer], y == rarer)
    else:
        each = [auroc(probabilities[:, c], y == c) for c in range(count)]
        each = [value for value in each if not np.isnan(value)]
        found["auroc"] = float(np.mean(each)) if each else float("nan")
    true = np.take_along_axis(probabilities, y[:, None], 1)
    found["log_loss"] = float(-np.log(np.maximum(true, 1e-15)).mean())
    return found


def confusion(guess: Array, y: Array, count: int) -> Array:
    """Return how often each class (row) was taken for each (column).

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(y * count + guess, minlength=count * count).reshape(count, count)


def auroc(score: Array, positive: Array) -> float:
    """Return the probability that a positive row scores above a negative one, ties half.

    >>> auroc(np.array([0.1, 0.4, 0.4]), np.array([False, False, True]))
    0.75
    """
    n = int(positive.sum())
    if n in (0, len(positive)):
        return float("nan")
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = ranks[place][positive].sum() - n * (n + 1) / 2
    return float(above / (n * (len(positive) - n)))


def average_precision(score: Array, positive: Array) -> float:
    """Return the precision at each positive row found, from the highest score on, averaged.

    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.8333333333333333
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # ties are found together
    hits = np.cumsum(positive[order])[ends]
    precision = hits / (ends + 1)
    return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])


def amount_scores(guess: Array, y: Array) -> dict[str, float]:
    """Return MAE, RMSE and R2, in the units of `y`.

    >>> amount_scores(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    {'mae': 0.5, 'rmse': 0.7071067811865476, 'r2': -1.0}
    """
    error = guess.astype(np.float64) - y
    spread = float(((y - y.mean()) ** 2).sum())
    r2 = 1 - float((error**2).sum()) / spread if spread else float("nan")
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": r2,
    }


def softmax(logits: Array) -> Array:
    """Return probabilities, in float64.

    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    powers = np.exp(shifted)
    return powers / powers.sum(1, keepdims=True)
