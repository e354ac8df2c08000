"""Write scores.json: what scikit-learn says of small and awkward sets.

Run `python tests/golden/make_scores.py` where scikit-learn is installed.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn import metrics

PATH = Path(__file__).with_name("scores.json")
Array = np.ndarray[Any, Any]


def class_cases() -> dict[str, tuple[Array, Array]]:
    """Return logits (N, C) and classes (N,)."""
    rng = np.random.default_rng(0)
    found = {}
    for classes, rows in ((2, 1), (2, 30), (3, 40), (5, 60), (7, 25)):
        logits = rng.normal(size=(rows, classes)).round(2)
        found[f"{classes} classes, {rows} rows"] = logits, rng.integers(0, classes, rows)
    ties = rng.integers(0, 2, (30, 4)).astype(float)
    found["ties"] = ties, rng.integers(0, 4, 30)
    found["all equal"] = np.zeros((6, 3)), np.array([0, 1, 2, 0, 1, 2])
    found["one class there"] = rng.normal(size=(6, 3)).round(2), np.full(6, 1)
    found["one class of two there"] = rng.normal(size=(6, 2)).round(2), np.zeros(6, int)
    found["a class never guessed"] = np.eye(3)[[0, 0, 1, 1]], np.array([0, 2, 1, 2])
    found["perfect"] = 5 * np.eye(3)[[0, 1, 2, 1]], np.array([0, 1, 2, 1])
    found["all wrong"] = 5 * np.eye(3)[[1, 2, 0]], np.array([0, 1, 2])
    return found


def binary_cases() -> dict[str, tuple[Array, Array]]:
    """Return one logit (N,) and 0/1 targets (N,)."""
    rng = np.random.default_rng(1)
    return {
        "random": (rng.normal(size=50).round(2), rng.integers(0, 2, 50)),
        "rare": (rng.normal(size=60).round(1), (rng.uniform(size=60) < 0.1).astype(int)),
        "ties": (rng.integers(-1, 2, 40).astype(float), rng.integers(0, 2, 40)),
        "all equal": (np.ones(6), np.array([0, 1, 0, 1, 1, 0])),
        "no positives": (np.array([0.5, -1.0, 2.0]), np.zeros(3, int)),
        "no negatives": (np.array([0.5, -1.0, 2.0]), np.ones(3, int)),
        "nothing guessed": (np.array([-0.5, -1.0, -2.0]), np.array([0, 1, 1])),
        "nothing there or guessed": (np.array([-0.5, -1.0]), np.array([0, 0])),
        "one row": (np.array([0.3]), np.array([1])),
        "perfect": (np.array([-2.0, 3.0, 1.0]), np.array([0, 1, 1])),
        "reversed": (np.array([2.0, -3.0, -1.0]), np.array([0, 1, 1])),
    }


def label_cases() -> dict[str, tuple[Array, Array]]:
    """Return logits (N, L) and 0/1 targets (N, L)."""
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, (30, 4))
    some = y.copy()
    some[:, 1] = 0
    return {
        "random": (rng.normal(size=(30, 4)).round(1), y),
        "a label never there": (rng.normal(size=(30, 4)).round(1), some),
        "nothing guessed": (-np.ones((4, 2)), np.array([[0, 1], [1, 0], [1, 1], [0, 0]])),
    }


def amount_cases() -> dict[str, tuple[Array, Array]]:
    """Return guesses and amounts, (N,) or (N, D)."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=40).round(2)
    return {
        "random": ((y + rng.normal(size=40)).round(2), y),
        "columns": (rng.normal(size=(20, 3)).round(2), rng.normal(size=(20, 3)).round(2)),
        "far from zero": ((y + 100_000).round(2), (y + 100_000.5).round(2)),
        "constant, right": (np.ones(5), np.ones(5)),
        "constant, wrong": (np.arange(5.0), np.ones(5)),
        "a constant column": (
            np.stack([np.arange(5.0), np.arange(5.0)], 1),
            np.stack([np.ones(5), np.arange(5.0)], 1),
        ),
        "one row": (np.array([1.0]), np.array([2.0])),
        "perfect": (y, y),
    }


def scores_of_classes(logits: Array, y: Array) -> dict[str, float]:
    """Return scikit-learn's scores of classes."""
    classes = logits.shape[1]
    guess = logits.argmax(1)
    found = {"balanced_accuracy": metrics.balanced_accuracy_score(y, guess)}
    for name in ("precision", "recall", "f1"):
        score = getattr(metrics, f"{name}_score")
        for average in ("macro", "micro"):
            found[f"{name}_{average}"] = score(y, guess, average=average)
        if classes == 2:
            found[f"{name}_binary"] = score(y, guess, labels=[0, 1])
    labels = np.arange(classes)
    for k in (1, 2):
        if k < classes and classes > 2:
            found[f"top{k}_accuracy"] = metrics.top_k_accuracy_score(y, logits, k=k, labels=labels)
    if classes == 2:
        apart = logits[:, 1] - logits[:, 0]
        found["auroc"] = metrics.roc_auc_score(y, apart, labels=[0, 1])
        found["average_precision"] = metrics.average_precision_score(y, apart)
    else:
        powers = np.exp(logits - logits.max(1, keepdims=True))
        p = powers / powers.sum(1, keepdims=True)
        onehot = (y[:, None] == labels).astype(int)
        found["average_precision"] = metrics.average_precision_score(onehot, p)
        if len(np.unique(y)) == classes:
            found["auroc"] = metrics.roc_auc_score(y, p, multi_class="ovr")
    return found


def scores_of_two(logits: Array, y: Array) -> dict[str, float]:
    """Return scikit-learn's scores of one class against the other."""
    guess = (logits > 0).astype(int)
    found = {"balanced_accuracy": metrics.balanced_accuracy_score(y, guess)}
    for name in ("precision", "recall", "f1"):
        score = getattr(metrics, f"{name}_score")
        found[f"{name}_binary"] = score(y, guess)
        for average in ("macro", "micro"):
            found[f"{name}_{average}"] = score(y, guess, average=average)
    found["auroc"] = metrics.roc_auc_score(y, logits)
    found["average_precision"] = metrics.average_precision_score(y, logits)
    return found


def scores_of_labels(logits: Array, y: Array) -> dict[str, float]:
    """Return scikit-learn's scores of labels of which a row may have several."""
    guess = (logits > 0).astype(int)
    found = {}
    for name in ("precision", "recall", "f1"):
        for average in ("macro", "micro"):
            found[f"{name}_{average}"] = getattr(metrics, f"{name}_score")(
                y, guess, average=average
            )
    found["average_precision"] = metrics.average_precision_score(y, logits)
    if (y.any(0) & ~y.all(0)).all():
        found["auroc"] = metrics.roc_auc_score(y, logits)
    return found


def scores_of_amounts(guess: Array, y: Array) -> dict[str, float]:
    """Return scikit-learn's scores of amounts."""
    return {
        "r2": metrics.r2_score(y, guess),
        "mae": metrics.mean_absolute_error(y, guess),
        "rmse": metrics.root_mean_squared_error(y, guess),
    }


GROUPS = {
    "classes": (class_cases, scores_of_classes),
    "binary": (binary_cases, scores_of_two),
    "labels": (label_cases, scores_of_labels),
    "amounts": (amount_cases, scores_of_amounts),
}


def main() -> None:
    """Write the file; a number that is none is null."""
    written: dict[str, Any] = {"scikit-learn": sklearn.__version__}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for group, (cases, scores) in GROUPS.items():
            written[group] = {}
            for name, (output, target) in cases().items():
                found = {key: float(value) for key, value in scores(output, target).items()}
                written[group][name] = {
                    "output": output.tolist(),
                    "target": target.tolist(),
                    "scores": {k: None if math.isnan(v) else v for k, v in found.items()},
                }
    PATH.write_text(json.dumps(written, indent=None) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
