"""Metrics that are no mean of the batches' values: F1, AUROC, R2 and the like, over whole sets.

Each takes a model's outputs as they are, logits, and is a `SetMetric`: it is exact however the set
is cut into batches.  Where scikit-learn has a number for an edge case, it is that one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import host_copy
from minigrad.tensors.tensor import Tensor
from minigrad.train import formulas
from minigrad.train.metrics import SetMetric

Array = np.ndarray[Any, Any]
AVERAGES = ("auto", "binary", "macro", "micro")


class Rows(NamedTuple):
    """Scores and targets of rows.

    kind: "classes": `scores: (M, C)`, `y: (M,)` whole numbers; "binary": `scores, y: (M,)`,
        "labels": `scores, y: (M, L)`, both with y bools.
    """

    kind: str
    scores: Array
    y: Array

    @property
    def table(self) -> Array:
        """How often each class (row) was taken for each (column)."""
        if self.kind == "binary":
            return formulas.confusion((self.scores > 0).astype(int), self.y.astype(int), 2)
        return formulas.confusion(self.scores.argmax(1), self.y, self.scores.shape[1])


def rows_of(asker: str, output: Any, target: Any, ignore_index: int) -> Rows:
    """Return logits and targets as rows; those whose target is `ignore_index` are left out.

    Raises: TypeError for what is no tensor, ValueError for shapes that do not go together and for
        classes out of range.
    """
    scores, y = (as_array(asker, values) for values in (output, target))
    if scores.shape == y.shape and scores.ndim:
        if y.size and (bad := y[(y != 0) & (y != 1)]).size:
            raise ValueError(
                f"{asker}: expected targets of 0 and 1 beside one logit each, but got {bad[0]}"
            )
        if scores.ndim == 2 and scores.shape[1] > 1:
            return Rows("labels", scores, y > 0.5)
        return Rows("binary", scores.reshape(-1), y.reshape(-1) > 0.5)
    expected = scores.shape[:1] + scores.shape[2:]
    if scores.ndim < 2 or y.shape != expected or y.dtype.kind not in "iu":
        raise ValueError(
            f"{asker}: expected logits (N, C, ...) and classes (N, ...) as integers, or logits and "
            f"targets of 0 and 1 of one shape, but got {scores.shape} {scores.dtype} and {y.shape} "
            f"{y.dtype}"
        )
    scores = np.moveaxis(scores, 1, -1).reshape(-1, scores.shape[1])
    y = y.reshape(-1).astype(np.int64)
    counts = y != ignore_index
    if not counts.all():
        scores, y = scores[counts], y[counts]
    classes = max(2, scores.shape[1])
    if y.size and not (y.min() >= 0 and y.max() < classes):
        raise ValueError(
            f"{asker}: expected classes from 0 to {classes - 1}, but got {y.min()} to {y.max()}"
        )
    if scores.shape[1] == 1:
        return Rows("binary", scores[:, 0], y == 1)
    return Rows("classes", scores, y)


def as_array(asker: str, values: Any) -> Array:
    """Return a tensor's numbers."""
    if isinstance(values, Tensor):
        return host_copy(values.array)
    if isinstance(values, np.ndarray):
        return values
    raise TypeError(f"{asker}: expected tensors, but got {type(values).__name__}")


class OfClasses(SetMetric):
    """The base of metrics of classes.

    ignore_index: a target that does not count, as in `cross_entropy`.
    """

    def __init__(self, *, ignore_index: int = -100) -> None:
        self.ignore_index = ignore_index

    def rows(self, output: Any, target: Any) -> Rows:
        """Return logits and targets as rows."""
        return rows_of(type(self).__name__, output, target, self.ignore_index)


class TopKAccuracy(OfClasses):
    """The share of rows whose class is among the k of highest logit.

    Shape: `output: (N, C, ...)`, `target: (N, ...) int64`.
    Of equal logits the later class counts as higher, as in scikit-learn.

    Raises: ValueError for a k below 1, or not below the number of classes.

    >>> import minigrad as mg
    >>> TopKAccuracy(2)(mg.tensor([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]]), mg.tensor([2, 2]))
    0.5
    """

    def __init__(self, k: int = 5, *, ignore_index: int = -100) -> None:
        super().__init__(ignore_index=ignore_index)
        self.k = arguments.whole("TopKAccuracy", "k", k, 1)
        self.__name__ = f"top{self.k}_accuracy"

    def part(self, output: Any, target: Any) -> Array:
        rows = self.rows(output, target)
        if rows.kind != "classes" or self.k >= rows.scores.shape[1]:
            raise ValueError(
                f"TopKAccuracy: expected logits of more than k={self.k} classes, but got output "
                f"{tuple(output.shape)}"
            )
        hits = formulas.in_top(rows.scores, rows.y, self.k)
        return np.array([hits.sum(), hits.size])

    def combine(self, parts: list[Any]) -> float:
        hits, count = sum(parts)
        return float(hits / count) if count else float("nan")


class BalancedAccuracy(OfClasses):
    """The mean of the classes' recalls: what accuracy is where all classes are of one size.

    Shape: `output: (N, C, ...)`, `target: (N, ...) int64`; or one logit and 0/1 targets alike.

    >>> import minigrad as mg
    >>> BalancedAccuracy()(mg.tensor([2.0, 1.0, -1.0]), mg.tensor([1, 1, 0]))
    1.0
    """

    __name__ = "balanced_accuracy"

    def part(self, output: Any, target: Any) -> Array:
        return _one_label("BalancedAccuracy", self.rows(output, target)).table

    def combine(self, parts: list[Any]) -> float:
        return formulas.balanced_accuracy(sum(parts))


def _one_label(asker: str, rows: Rows) -> Rows:
    if rows.kind == "labels":
        raise ValueError(f"{asker}: expected one class a row, but got labels {rows.y.shape}")
    return rows


class _OfCounts(OfClasses):
    """A formula of true positives, false positives and false negatives."""

    formula: Any
    word = ""

    def __init__(self, average: str = "auto", *, positive: int = 1, ignore_index: int = -100):
        super().__init__(ignore_index=ignore_index)
        kind = type(self).__name__
        if average not in AVERAGES:
            raise ValueError(f"{kind}: expected average to be one of {AVERAGES}, got {average!r}")
        self.average = average
        self.positive = arguments.whole(kind, "positive", positive, 0)
        self.__name__ = self.word if average == "auto" else f"{self.word}_{average}"

    def part(self, output: Any, target: Any) -> tuple[bool, Array]:
        rows = self.rows(output, target)
        if rows.kind == "labels":
            return True, formulas.counts_of_labels(rows.scores > 0, rows.y)
        return False, formulas.counts_of_table(rows.table)

    def combine(self, parts: list[Any]) -> float:
        labels = parts[0][0]
        counts = sum(counts for _, counts in parts)
        average = self.average
        if average == "auto":
            average = "binary" if len(counts) == 2 and not labels else "macro"
        formula = type(self).formula
        if average != "binary":
            return formulas.averaged(formula, counts, average, labels)
        if labels or len(counts) != 2:
            raise ValueError(
                f"{type(self).__name__}: average='binary' is of two classes, but there are "
                f"{len(counts)}; use average='macro' or 'micro'"
            )
        return float(formula(counts)[self.positive])


class Precision(_OfCounts):
    """Of the rows that were given a class, the share that has it: TP / (TP + FP).

    Shape: `output: (N, C, ...)`, `target: (N, ...) int64`; or logits and 0/1 targets alike, `(N,)`
    or `(N, 1)` of one class, `(N, L)` of labels of which a row may have several.

    average: "binary": of class `positive` of two; "macro": the mean over the classes that are there
        or were guessed, over all labels; "micro": of all their counts; "auto": "binary" of two
        classes, else "macro".
    0 where nothing was guessed, as in scikit-learn, which warns of it.

    >>> import minigrad as mg
    >>> Precision()(mg.tensor([1.0, 1.0, -1.0]), mg.tensor([1, 0, 1]))
    0.5
    """

    formula = staticmethod(formulas.precision)
    word = "precision"


class Recall(_OfCounts):
    """Of the rows that have a class, the share that was given it: TP / (TP + FN).

    Shapes and options are those of `Precision`; 0 for a class without rows.

    >>> import minigrad as mg
    >>> Recall("macro")(mg.tensor([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0]]), mg.tensor([0, 1, 1]))
    0.75
    """

    formula = staticmethod(formulas.recall)
    word = "recall"


class F1(_OfCounts):
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    Shapes and options are those of `Precision`; 0 for a class that is neither there nor guessed.

    >>> import minigrad as mg
    >>> F1()(mg.tensor([1.0, 1.0, -1.0]), mg.tensor([1, 0, 0]))
    0.6666666666666666
    """

    formula = staticmethod(formulas.f1)
    word = "f1"


class _OfRanks(OfClasses):
    """A formula of scores and who is positive; of several classes or labels the mean."""

    def part(self, output: Any, target: Any) -> tuple[str, Array, Array]:
        kind, scores, y = self.rows(output, target)
        return kind, scores, y

    def combine(self, parts: list[Any]) -> float:
        kind = parts[0][0]
        scores = np.concatenate([part[1] for part in parts])
        y = np.concatenate([part[2] for part in parts])
        if kind == "binary":
            return self.of_two(scores, y)
        if kind == "classes":
            if scores.shape[1] == 2:
                return self.of_two(scores[:, 1].astype(np.float64) - scores[:, 0], y == 1)
            scores, y = formulas.softmax(scores), y[:, None] == np.arange(scores.shape[1])
        return self.mean([self.of_two(*pair) for pair in zip(scores.T, y.T, strict=True)])

    def of_two(self, score: Array, positive: Array) -> float:
        """Return the score of one class against the rest."""
        raise NotImplementedError

    def mean(self, values: list[float]) -> float:
        """Return the mean over classes."""
        return formulas.mean_there(values)


class AUROC(_OfRanks):
    """The area under the ROC curve: how often a positive row is above a negative one, ties half.

    Shapes are those of `Precision`.  Of more than two classes it is the mean of each against the
    rest, by their probabilities; of labels the mean over them.  NaN where all rows are of one
    class; a class or label of which that is so is left out of the mean, where scikit-learn raises
    or gives NaN.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve".

    >>> import minigrad as mg
    >>> AUROC()(mg.tensor([0.1, 0.4, 0.4]), mg.tensor([0, 0, 1]))
    0.75
    """

    __name__ = "auroc"

    def of_two(self, score: Array, positive: Array) -> float:
        return formulas.auroc(score, positive)


class AveragePrecision(_OfRanks):
    """The mean of the precisions at each positive row, from the highest score on.

    Shapes are those of `Precision`; of several classes or labels the mean of each against the rest.
    0 where there is no positive row, as in scikit-learn, which warns of it.

    >>> import minigrad as mg
    >>> AveragePrecision()(mg.tensor([0.9, 0.8, 0.1]), mg.tensor([1, 0, 1]))
    0.8333333333333333
    """

    __name__ = "average_precision"

    def of_two(self, score: Array, positive: Array) -> float:
        return formulas.average_precision(score, positive)

    def mean(self, values: list[float]) -> float:
        return float(np.mean(values))


def confusion_matrix(output: Any, target: Any, *, ignore_index: int = -100) -> Array:
    """Return how often each class (row) was taken for each (column).

    Shape: `output: (N, C, ...)`, `target: (N, ...) int64`, or one logit and 0/1 targets alike
    -> `(C, C) int64`, an array.

    >>> import minigrad as mg
    >>> confusion_matrix(mg.tensor([1.0, -1.0, 1.0]), mg.tensor([1, 0, 0])).tolist()
    [[1, 1], [0, 1]]
    """
    return _one_label(
        "confusion_matrix", rows_of("confusion_matrix", output, target, ignore_index)
    ).table


class _OfAmounts(SetMetric):
    """A formula of amounts and guesses of them."""

    formula: Any

    def part(self, output: Any, target: Any) -> Array:
        kind = type(self).__name__
        guess, y = (as_array(kind, values) for values in (output, target))
        if guess.shape != y.shape or not guess.ndim:
            raise ValueError(
                f"{kind}: expected output and target of one shape (N, ...), but got {guess.shape} "
                f"and {y.shape}"
            )
        if not len(y):
            raise ValueError(f"{kind}: expected at least one row, but got shape {y.shape}")
        return formulas.sums(guess.reshape(len(y), -1), y.reshape(len(y), -1))

    def combine(self, parts: list[Any]) -> float:
        whole = parts[0]
        for part in parts[1:]:
            whole = formulas.joined(whole, part)
        return float(type(self).formula(whole))


class R2(_OfAmounts):
    """The share of the targets' variance that is explained: 1 - sum error^2 / sum (y - mean)^2.

    Shape: `output, target: (N, ...)` alike; of several columns the mean.
    For constant targets 1 without an error and 0 with one; NaN of one row; as in scikit-learn.

    >>> import minigrad as mg
    >>> R2()(mg.tensor([1.0, 2.0, 4.0]), mg.tensor([1.0, 2.0, 3.0]))
    0.5
    """

    __name__ = "r2"
    formula = staticmethod(formulas.r2)


class MAE(_OfAmounts):
    """The mean absolute error.  Shape: `output, target: (N, ...)` alike.

    >>> import minigrad as mg
    >>> MAE()(mg.tensor([1.0, 3.0]), mg.tensor([1.0, 2.0]))
    0.5
    """

    __name__ = "mae"
    formula = staticmethod(formulas.mae)


class RMSE(_OfAmounts):
    """The root of the mean squared error; of several columns the mean of their roots.

    Shape: `output, target: (N, ...)` alike.

    >>> import minigrad as mg
    >>> RMSE()(mg.tensor([1.0, 3.0]), mg.tensor([3.0, 1.0]))
    2.0
    """

    __name__ = "rmse"
    formula = staticmethod(formulas.rmse)
