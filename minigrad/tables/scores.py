"""Scores that a person needs, in NumPy: of classes from probabilities, of amounts from amounts."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.train import formulas
from minigrad.train.formulas import auroc, average_precision, confusion
from minigrad.train.formulas import softmax as softmax

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
    found = {
        "accuracy": float((guess == y).mean()),
        "balanced_accuracy": formulas.balanced_accuracy(table),
    }
    f1 = formulas.f1(formulas.counts_of_table(table))
    rarer = int(table.sum(1).argmin()) if count == 2 else -1
    found["f1"] = float(f1[rarer] if count == 2 else f1[there].mean())
    if count == 2:
        found["auroc"] = auroc(probabilities[:, rarer], y == rarer)
        found["average_precision"] = average_precision(probabilities[:, rarer], y == rarer)
    else:
        each = [auroc(probabilities[:, c], y == c) for c in range(count)]
        found["auroc"] = formulas.mean_there(each)
    true = np.take_along_axis(probabilities, y[:, None], 1)
    found["log_loss"] = float(-np.log(np.maximum(true, 1e-15)).mean())
    return found


def amount_scores(guess: Array, y: Array) -> dict[str, float]:
    """Return MAE, RMSE and R2, in the units of `y`.

    >>> amount_scores(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    {'mae': 0.5, 'rmse': 0.7071067811865476, 'r2': -1.0}
    """
    sums = formulas.sums(guess.reshape(-1, 1), y.reshape(-1, 1))
    return {"mae": formulas.mae(sums), "rmse": formulas.rmse(sums), "r2": formulas.r2(sums)}
