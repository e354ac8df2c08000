"""Splitting a dataset at random, with each class in proportion when asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.data.dataset import Array, Subset, as_array
from minigrad.engine import arguments, random


def random_split(
    dataset: Any,
    lengths: Sequence[int] | Sequence[float],
    generator: random.Generator | None = None,
    stratify: Any = None,
) -> list[Subset]:
    """Split a dataset into parts that do not overlap, in random order.

    lengths: whole numbers of rows that sum to `len(dataset)`, or fractions that sum to 1 (each
        rounded down, the rows left over dealt out one by one from the first part on).
    generator: where the order comes from; without one, minigrad's default generator.
    stratify: one class label a row (Tensor or array); every part then holds each class in
        proportion.

    Raises: ValueError when lengths do not sum up, a part of positive fraction gets no row, or a
        class has fewer rows than there are parts.

    Source: PyTorch's `torch.utils.data.random_split`; `stratify` is an addition.

    >>> labels = np.array([0] * 80 + [1] * 20)
    >>> generator = random.Generator(0)
    >>> train, test = random_split(labels, [0.75, 0.25], generator, stratify=labels)
    >>> [int(labels[part.indices].sum()) for part in (train, test)]
    [15, 5]
    """
    count = len(dataset)
    sizes = part_sizes(count, lengths)
    order = random.source(generator).permutation(count)
    if stratify is None:
        part = np.repeat(np.arange(len(sizes)), sizes)
    else:
        part = _stratified(_labels(stratify, count)[order], sizes)
    return [Subset(dataset, order[part == i]) for i in range(len(sizes))]


def part_sizes(count: int, lengths: Sequence[int] | Sequence[float]) -> list[int]:
    """Return how many of `count` rows each part gets; see `random_split`.

    >>> part_sizes(10, [0.5, 0.25, 0.25])
    [6, 2, 2]
    """
    lengths = [_plain(length) for length in lengths]
    if not lengths or not all(length >= 0 for length in lengths):
        raise ValueError(f"random_split: expected lengths of 0 and above, but got {lengths}")
    if all(isinstance(length, int) for length in lengths):
        if sum(lengths) != count:
            raise ValueError(
                f"random_split: lengths must sum to the dataset's {count} rows, but "
                f"{list(lengths)} sum to {sum(lengths)}; fractions are written as floats"
            )
        return [int(length) for length in lengths]
    if not math.isclose(sum(lengths), 1.0, rel_tol=1e-6):
        raise ValueError(
            f"random_split: fractions must sum to 1, but {list(lengths)} sum to {sum(lengths):g}"
        )
    sizes = [math.floor(count * fraction + 1e-9) for fraction in lengths]
    left = count - sum(sizes)
    for i in range(left):
        sizes[i % len(sizes)] += 1
    for i, (size, fraction) in enumerate(zip(sizes, lengths, strict=True)):
        if size == 0 and fraction > 0:
            raise ValueError(
                f"random_split: part {i} gets no row, since {fraction:g} of {count} rows is less "
                "than one; use fewer parts or more data"
            )
    return sizes


def _plain(length: Any) -> int | float:
    """Return a length as an int or a float, whatever type it came in."""
    try:
        return arguments.whole("random_split", "a length", length)
    except ValueError:
        return arguments.number("random_split", "a length", length)


def _labels(stratify: Any, count: int) -> Array:
    """Return the classes as 0, 1, ...; refuse what cannot be stratified."""
    labels = as_array(stratify)
    if labels.shape != (count,):
        raise ValueError(
            f"random_split: stratify needs one label for each of {count} rows, shape ({count},), "
            f"but has shape {labels.shape}"
        )
    return np.unique(labels, return_inverse=True)[1]


def _stratified(labels: Array, sizes: list[int]) -> Array:
    """Return the part of each row: part sizes exact, each class's share exact but for rounding.

    Part after part takes its share of the rows still left of each class, rounded down, and the rows
    missing from its size go to the classes with the largest remainders.
    """
    left = np.bincount(labels)
    parts = sum(size > 0 for size in sizes)
    if left.size and left.min() < parts:
        raise ValueError(
            f"random_split: a class has {left.min()} rows, fewer than the {parts} parts that "
            "should each hold one; drop stratify, use fewer parts, or leave that class out"
        )
    by_class = np.argsort(labels, kind="stable")  # rows of one class stay in their random order
    first = np.concatenate([[0], np.cumsum(left)[:-1]])
    part = np.empty(len(labels), np.int64)
    for i, size in enumerate(sizes):
        share = left * (size / max(left.sum(), 1))
        take = np.minimum(np.floor(share + 1e-9).astype(np.int64), left)
        remainder = np.where(take < left, share - take, -1.0)
        take[np.argsort(-remainder, kind="stable")[: size - take.sum()]] += 1
        for start, number in zip(first, take, strict=True):
            part[by_class[start : start + number]] = i
        first += take
        left -= take
    return part
