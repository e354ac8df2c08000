"""What a table's target is: classes or amounts, and the way there and back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minigrad.tables.columns import labels, number_cells
from minigrad.tables.frame import Column, Frame, canonical, listed
from minigrad.tables.values import MISSING, are_codes, rank, read_numbers

Array = np.ndarray[Any, Any]
NONES = frozenset(("None", "none", "NONE"))  # among words a class: no illness, no fault
MOST_CLASSES = 20  # whole numbers of more values than this are amounts


def centre(values: Array) -> tuple[float, float]:
    """Return mean and deviation; a deviation of 1 where all are alike."""
    if values.min() == values.max():
        return float(values[0]), 1.0
    shift = float(values[0])  # around the first value: a time in seconds keeps its digits
    mean = float((values - shift).mean()) + shift
    deviation = float((values - mean).std())
    return mean, deviation if deviation > 0 and math.isfinite(deviation) else 1.0


@dataclass(frozen=True)
class Classes:
    """A target of classes, numbered in the order of `labels`."""

    task: ClassVar[str] = "classes"
    name: str
    labels: tuple[str, ...]

    @property
    def n_out(self) -> int:
        """Return how many outputs the network has."""
        return len(self.labels)

    def encode(self, values: Sequence[str]) -> Array:
        """Return the numbers of labels, -1 for one that is not known, or missing."""
        numbers = {label: i for i, label in enumerate(self.labels)}
        return np.array([numbers.get(value, -1) for value in values], np.int64)

    def read(self, frame: Frame) -> Array:
        """Return the classes of a table's rows, -1 where they are missing or unknown."""
        return self.encode(_words(frame.column(self.name)))

    def decode(self, numbers: Array) -> Array:
        """Return the labels of numbers: whole numbers where all of them are, else words."""
        whole = all(
            label.lstrip("-").isdigit() and str(int(label)) == label for label in self.labels
        )
        known = [int(label) for label in self.labels] if whole else list(self.labels)
        return np.array(known)[numbers]


@dataclass(frozen=True)
class Amount:
    """A target of amounts, which the network sees with mean 0 and deviation 1."""

    task: ClassVar[str] = "regression"
    name: str
    form: str
    mean: float
    scale: float
    n_out: ClassVar[int] = 1

    def encode(self, values: Array) -> Array:
        """Return amounts as the network sees them: (N,) float32."""
        return ((values - self.mean) / self.scale).astype(np.float32)

    def read(self, frame: Frame) -> Array:
        """Return the amounts of a table's rows, NaN where they are missing."""
        return number_cells(frame, self.name, self.form)

    def decode(self, outputs: Array) -> Array:
        """Return the network's outputs in the target's units, float64."""
        return outputs.astype(np.float64) * self.scale + self.mean


Target = Classes | Amount
TARGETS: dict[str, Any] = {"classes": Classes, "regression": Amount}


def take_target(
    frame: Frame, name: str, task: str | None = None, rows_of_class: int = 3
) -> tuple[Target, Array, list[str]]:
    """Return a column as target, its values, and what is to be said of them.

    task: "classes", "regression", or None to tell by the values: words are classes, fractions
        amounts, whole numbers classes where there are few.
    Shape: values (N,): whole numbers from 0, -1 for rows to be left out; or float64, NaN for those.
    Raises: ValueError for a target with nothing to learn, or that is not of the task.
    """
    column = frame.column(name)
    found = None
    if isinstance(column, np.ndarray):
        values: Array | None = np.where(np.isfinite(column), column, np.nan)
        form = "plain"
    else:
        found = read_numbers(column, frame.delimiter)
        form, values = found if found else ("plain", None)
    if task == "regression" or (task is None and values is not None and _amounts(values)):
        return _amount(frame, name, values, form, said_aloud=task is None)
    target, codes, notes = _classes(frame, name, rows_of_class)
    if task is None and values is not None and len(target.labels) > 2:
        notes.insert(0, "whole numbers taken for classes; if they are amounts: --regression")
    return target, codes, notes


def _amounts(values: Array) -> bool:
    """Say whether numbers are amounts, not the names of classes."""
    there = values[~np.isnan(values)]
    distinct = len(np.unique(there))
    if distinct <= 2:
        return False
    if (there != np.floor(there)).any():
        return True
    return distinct > MOST_CLASSES or distinct * 5 > len(there)


def _amount(
    frame: Frame, name: str, values: Array | None, form: str, said_aloud: bool
) -> tuple[Amount, Array, list[str]]:
    if values is None:
        values = number_cells(frame, name, form)  # says which cell is no number
    there = values[~np.isnan(values)]
    if not len(there) or there.min() == there.max():
        shown = canonical(there[0]) if len(there) else "nothing"
        raise ValueError(
            f"{frame.source}: the target column {name!r} always holds {shown}: nothing to learn"
        )
    mean, scale = centre(there)
    notes = ["numbers taken for amounts; if they name classes: --classes"] * said_aloud
    return Amount(name, form, mean, scale), values, [*notes, *_without(values, np.isnan(values))]


def _classes(frame: Frame, name: str, rows_of_class: int) -> tuple[Classes, Array, list[str]]:
    words = _words(frame.column(name))
    counts = Counter(word for word in words if word)
    rare = sorted((label for label, n in counts.items() if n < rows_of_class), key=rank)
    kept = sorted((label for label, n in counts.items() if n >= rows_of_class), key=rank)
    lost = sum(counts[label] for label in rare)
    if len(kept) < 2 or lost > 0.5 * len(words):
        rarest, rows = min(counts.items(), key=lambda item: item[1]) if counts else ("nothing", 0)
        s = "s" * (len(counts) != 1)
        raise ValueError(
            f"{frame.source}: the target column {name!r} has {len(counts)} distinct value{s} in "
            f"{len(words)} rows, {rarest[:40]!r} in {rows}; expected at least 2 classes of at "
            f"least {rows_of_class} rows each (choose the column with --target, or --regression)"
        )
    target = Classes(name, tuple(kept))
    codes = target.encode(words)
    notes = []
    if rare:
        notes.append(
            f"{lost} rows left out, of classes with less than {rows_of_class}: {listed(rare, 3)}"
        )
    missing = np.array([not word for word in words])
    return target, codes, notes + _without(codes, missing)


def _words(column: Column) -> list[str]:
    """Return a target's cells as labels: codes keep their zeros; none is a label among words."""
    words = labels(column)
    if isinstance(column, np.ndarray):
        return words
    if are_codes(column):
        return ["" if cell in MISSING else cell for cell in column]
    if not NONES & set(column):
        return words
    if not any(word and not _is_number(word) for word in set(words)):
        return words
    return [cell if cell in NONES else word for cell, word in zip(column, words, strict=True)]


def _is_number(word: str) -> bool:
    return not rank(word)[0]


def _without(values: Array, missing: Array) -> list[str]:
    gone = int(missing.sum())
    return [f"{gone} rows left out, whose target is missing"] * bool(gone)
