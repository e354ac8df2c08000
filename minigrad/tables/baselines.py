"""Baselines: what a model has to be better than.  Small, in NumPy, trained on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.tables.scores import amount_scores, class_scores, softmax

Array = np.ndarray[Any, Any]
MOST_ROWS = 20_000  # rows that a linear model is trained on at most
NEIGHBOUR_ROWS = 10_000
NEIGHBOURS = 10
MOST_LABELS = 64  # of an embedded column, which a linear model has an input for


def baselines(
    x: Array, y: Array, new_x: Array, new_y: Array, n_classes: int, embedded: int = 0
) -> dict[str, dict[str, float]]:
    """Return the scores of simple models on new rows: of classes, or of amounts (n_classes=0).

    embedded: how many of the last columns are the numbers of categories.
    """
    seen = frequent(x, embedded)
    x, new_x = (spread(rows, seen) for rows in (x, new_x))
    guesses: dict[str, Callable[[], Array]] = {}
    if n_classes:
        counts = np.bincount(y, minlength=n_classes)
        guesses["majority"] = lambda: np.tile(counts / counts.sum(), (len(new_x), 1))
        guesses["linear"] = lambda: linear_classes(*some(x, y, MOST_ROWS), new_x, n_classes)
        eye = np.eye(n_classes)
        guesses["neighbours"] = lambda: neighbours(
            *some(x, eye[y], NEIGHBOUR_ROWS), new_x, NEIGHBOURS
        )
        return {name: class_scores(guess(), new_y) for name, guess in guesses.items()}
    guesses["mean"] = lambda: np.full(len(new_x), y.mean())
    guesses["linear"] = lambda: linear_amounts(x, y, new_x)
    guesses["neighbours"] = lambda: neighbours(*some(x, y, NEIGHBOUR_ROWS), new_x, NEIGHBOURS)
    return {name: amount_scores(guess(), new_y) for name, guess in guesses.items()}


def frequent(x: Array, embedded: int) -> list[Array]:
    """Return the categories that come most often, of each of the last columns.

    >>> [labels.tolist() for labels in frequent(np.array([[0.5, 7], [0.1, 3], [0.2, 3]]), 1)]
    [[3.0, 7.0]]
    """
    found = []
    for i in range(x.shape[1] - embedded, x.shape[1]):
        labels, counts = np.unique(x[:, i], return_counts=True)
        found.append(labels[np.argsort(-counts, kind="stable")[:MOST_LABELS]])
    return found


def spread(x: Array, seen: Sequence[Array]) -> Array:
    """Return rows as float64, for each of the last columns one of 0 and 1 for each category.

    >>> spread(np.array([[0.5, 7], [0.1, 3]]), [np.array([3, 7])]).tolist()
    [[0.5, 0.0, 1.0], [0.1, 1.0, 0.0]]
    """
    n_dense = x.shape[1] - len(seen)
    parts = [x[:, :n_dense].astype(np.float64)]
    parts += [x[:, n_dense + i, None] == labels for i, labels in enumerate(seen)]
    return np.concatenate(parts, 1)


def some(x: Array, y: Array, most: int) -> tuple[Array, Array]:
    """Return at most so many rows, spread over all of them, which come in random order.

    >>> some(np.arange(5), np.arange(5), 2)[0].tolist()
    [0, 3]
    """
    step = -(-len(x) // most)
    return x[::step], y[::step]


def linear_amounts(x: Array, y: Array, new_x: Array, decay: float = 1.0) -> Array:
    """Return the predictions of a ridge regression.

    >>> x = np.array([[0.0], [1.0], [2.0]])
    >>> linear_amounts(x, np.array([1.0, 3.0, 5.0]), np.array([[3.0]]), decay=0.0).round(6).tolist()
    [7.0]
    """
    weights, bias = ridge(x, y, decay)
    predictions: Array = new_x @ weights + bias
    return predictions


def ridge(x: Array, y: Array, decay: float = 1.0) -> tuple[Array, float]:
    """Return weights and bias of a ridge regression.

    >>> weights, bias = ridge(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]), 0.0)
    >>> weights.round(6).tolist(), round(bias, 6)
    ([2.0], 1.0)
    """
    mean, middle = x.mean(0, dtype=np.float64), float(y.mean(dtype=np.float64))
    centred = x - mean
    gram = centred.T @ centred
    gram[np.diag_indices_from(gram)] += max(decay, 1e-9)
    weights = np.linalg.solve(gram, centred.T @ (y - middle))
    return weights, middle - float(mean @ weights)


def linear_classes(
    x: Array, y: Array, new_x: Array, n_classes: int, decay: float = 1.0, steps: int = 100
) -> Array:
    """Return the probabilities of a softmax regression.

    >>> x = np.array([[-1.0], [1.0]])
    >>> linear_classes(x, np.array([0, 1]), x, 2).argmax(1).tolist()
    [0, 1]
    """
    weights = softmax_weights(x, y, n_classes, decay, steps)
    return softmax(new_x @ weights[:-1] + weights[-1])


def softmax_weights(
    x: Array,
    y: Array,
    n_classes: int,
    decay: float = 1.0,
    steps: int = 100,
    shares: Array | None = None,
) -> Array:
    """Return the weights of a softmax regression, (F + 1, C), the last row the biases.

    shares: what each row counts.
    Source: Nocedal and Wright, "Numerical optimization", algorithms 7.4 and 7.5.

    >>> softmax_weights(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2)[0].round(2).tolist()
    [-0.52, 0.52]
    """
    rows = np.concatenate([x, np.ones((len(x), 1))], 1)
    onehot = np.eye(n_classes)[y]
    counts = np.ones(len(x)) if shares is None else shares.astype(np.float64)
    kept = np.ones((rows.shape[1], 1)) * decay
    kept[-1] = 0.0  # no decay on the bias

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(rows.shape[1], n_classes)
        probabilities = softmax(rows @ weights)
        true = np.maximum((probabilities * onehot).sum(1), 1e-300)
        value = -counts @ np.log(true) + 0.5 * float((kept * weights**2).sum())
        slope = rows.T @ (counts[:, None] * (probabilities - onehot)) + kept * weights
        return float(value) / len(rows), slope.ravel() / len(rows)

    flat = minimise(loss, np.zeros(rows.shape[1] * n_classes), steps)
    return flat.reshape(rows.shape[1], n_classes)


def minimise(
    function: Callable[[Array], tuple[float, Array]], x: Array, steps: int, memory: int = 10
) -> Array:
    """Return where a smooth function of (value, gradient) is smallest, by L-BFGS.

    >>> minimise(lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3)), np.zeros(2), 20).tolist()
    [3.0, 3.0]
    """
    value, slope = function(x)
    pairs: list[tuple[Array, Array]] = []
    for _ in range(steps):
        if np.abs(slope).max() < 1e-6:
            break
        direction = -_scaled(slope, pairs)
        downhill = float(direction @ slope)
        if downhill >= 0:
            pairs, direction, downhill = [], -slope, -float(slope @ slope)
        length = 1.0 if pairs else min(1.0, 1.0 / float(np.abs(slope).sum()))
        for _ in range(30):
            step = length * direction
            new_value, new_slope = function(x + step)
            if new_value <= value + 1e-4 * length * downhill:
                break
            length *= 0.5
        else:
            break
        turn = new_slope - slope
        if float(turn @ step) > 1e-12:
            pairs = [*pairs[1 - memory :], (step, turn)]
        x, value, slope = x + step, new_value, new_slope
    return x


def _scaled(slope: Array, pairs: list[tuple[Array, Array]]) -> Array:
    """Return the inverse of the curvature, as the last steps tell it, times the slope."""
    result = slope.copy()
    shares = []
    for step, turn in reversed(pairs):
        share = float(step @ result) / float(turn @ step)
        result -= share * turn
        shares.append(share)
    if pairs:
        step, turn = pairs[-1]
        result *= float(step @ turn) / float(turn @ turn)
    for (step, turn), share in zip(pairs, reversed(shares), strict=True):
        result += step * (share - float(turn @ result) / float(turn @ step))
    return result


def neighbours(x: Array, y: Array, new_x: Array, count: int) -> Array:
    """Return the mean target of the nearest rows: probabilities for rows of 0 and 1.

    >>> neighbours(np.array([[0.0], [1.0]]), np.array([5.0, 7.0]), np.array([[0.9]]), 1).tolist()
    [7.0]
    """
    count = min(count, len(x))
    squares = (x**2).sum(1)
    found = []
    for start in range(0, len(new_x), 512):
        part = new_x[start : start + 512]
        distance = squares - 2 * part @ x.T  # but for the square of the new row
        nearest = np.argpartition(distance, count - 1, axis=1)[:, :count]
        found.append(y[nearest].mean(1))
    return np.concatenate(found)
