"""Samplers: in which order a DataLoader takes the rows of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.data.dataset import Array, as_array
from minigrad.engine import arguments, random
from minigrad.engine.random import Generator
from minigrad.tensors.random_numbers import races, with_replacement

CHUNK = 32  # rows drawn at a time where they are drawn with replacement


class Sampler:
    """An order of rows: inherit and write `__iter__`, which yields row numbers, and `__len__`.

    >>> class Backwards(Sampler):
    ...     def __iter__(self):
    ...         return iter([2, 1, 0])
    >>> list(Backwards())
    [2, 1, 0]
    """

    def __init__(self, data_source: Any = None) -> None:
        """Take PyTorch's argument, which nothing needs."""

    def __class_getitem__(cls, kind: Any) -> Any:
        return cls

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} lacks __iter__(self)")


class SequentialSampler(Sampler):
    """Rows from the first to the last.

    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Rows in random order, or drawn with replacement.

    num_samples: how many, as many as there are by default.  generator: where they are drawn from.
    Raises: ValueError for a number of samples below 1.

    >>> sorted(RandomSampler("abc"))
    [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = bool(replacement)
        self._num_samples = num_samples
        self.generator = generator
        if num_samples is not None:
            arguments.whole("RandomSampler", "num_samples", num_samples, 1)

    @property
    def num_samples(self) -> int:
        """How many rows are drawn in one pass."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        rows, wanted = len(self.data_source), self.num_samples
        source = fresh(self.generator)
        if self.replacement:
            for first in range(0, wanted, CHUNK):
                count = min(CHUNK, wanted - first)
                yield from source.integers(0, rows, (count,)).tolist()
            return
        for _ in range(wanted // rows if rows else 0):
            yield from source.permutation(rows).tolist()
        yield from source.permutation(rows)[: wanted % rows if rows else 0].tolist()

    def __len__(self) -> int:
        return self.num_samples


def fresh(generator: Generator | None) -> Generator:
    """Return a generator, or for None the default one; where that is PyTorch's, one that it seeds,
    as PyTorch has it.
    """
    if generator is not None or not random.default.shared:
        return random.source(generator)
    made: Any = type(random.default)()
    found: Generator = made.manual_seed(random.default.seed64())
    return found


class SubsetRandomSampler(Sampler):
    """Some of the rows, in random order.

    >>> sorted(SubsetRandomSampler([4, 7]))
    [4, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[Any]:
        order = random.source(self.generator).permutation(len(self.indices))
        return (self.indices[i] for i in order.tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Rows drawn with odds in proportion to their weights.

    Raises: ValueError for a number of samples below 1, for weights of several dimensions, negative
        or not finite ones, for none above 0, and without replacement for more samples than rows.

    >>> list(WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self,
        weights: Any,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.num_samples = arguments.whole("WeightedRandomSampler", "num_samples", num_samples, 1)
        self.weights: Array = np.asarray(as_array(weights), np.float64)
        if self.weights.ndim != 1:
            raise ValueError(
                f"WeightedRandomSampler: expected one weight a row, got shape {self.weights.shape}"
            )
        self.replacement = bool(replacement)
        self.generator = generator
        self._check()

    def _check(self) -> None:
        """Refuse what no rows can be drawn by."""
        wrong = np.flatnonzero(~(np.isfinite(self.weights) & (self.weights >= 0)))
        if len(wrong):
            raise ValueError(
                f"WeightedRandomSampler: expected weights of 0 and above, but row {wrong[0]} has "
                f"{self.weights[wrong[0]]}"
            )
        if not self.weights.any():
            raise ValueError("WeightedRandomSampler: expected a weight above 0, but there is none")
        if not self.replacement and self.num_samples > len(self.weights):
            raise ValueError(
                f"WeightedRandomSampler: {self.num_samples} samples cannot be drawn from "
                f"{len(self.weights)} rows without replacement"
            )

    def __iter__(self) -> Iterator[int]:
        draw = with_replacement if self.replacement and self.num_samples > 1 else races
        drawn = draw(self.weights[None], self.num_samples, random.source(self.generator))
        return iter(drawn[0].tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """What another sampler yields, in lists of `batch_size`; the last is shorter unless dropped.

    >>> list(BatchSampler(SequentialSampler("abcde"), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool = False) -> None:
        self.sampler: Any = sampler
        self.batch_size = arguments.whole("BatchSampler", "batch_size", batch_size, 1)
        self.drop_last = bool(drop_last)

    def __iter__(self) -> Iterator[list[Any]]:
        batch: list[Any] = []
        for row in self.sampler:
            batch.append(row)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        rows, size = len(self.sampler), self.batch_size
        return rows // size if self.drop_last else -(-rows // size)


class StratifiedBatchSampler(Sampler):
    """Batches that each hold the classes in the proportions of the whole set, in random order.

    Every row comes once a pass.  The rows of each class, in random order, are spread evenly over
    the pass: a batch has of each class at most about one row more or fewer than its share.

    labels: the class of each row, `(N,)` whole numbers or texts.
    Raises: ValueError for labels of another shape.

    >>> sampler = StratifiedBatchSampler([0, 0, 0, 0, 1, 1], batch_size=3)
    >>> [sum(row >= 4 for row in batch) for batch in sampler]
    [1, 1]
    """

    def __init__(
        self,
        labels: Any,
        batch_size: int,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        self.labels: Array = as_array(labels)
        if self.labels.ndim != 1 or not len(self.labels):
            raise ValueError(
                f"StratifiedBatchSampler: expected one label a row, got shape {self.labels.shape}"
            )
        self.batch_size = arguments.whole("StratifiedBatchSampler", "batch_size", batch_size, 1)
        self.drop_last = bool(drop_last)
        self.generator = generator

    def __iter__(self) -> Iterator[list[int]]:
        source = random.source(self.generator)
        rows = len(self.labels)
        order = source.permutation(rows)
        _, classes = np.unique(self.labels[order], return_inverse=True)
        place = np.empty(rows)
        for c in range(int(classes.max()) + 1):
            own = np.flatnonzero(classes == c)
            # Rows of a class at equal distances, from an offset of its own.
            place[own] = (np.arange(len(own)) + (c + 0.5) / (classes.max() + 1)) / len(own)
        order = order[np.argsort(place, kind="stable")]
        for batch in cut(rows, self.batch_size, self.drop_last):
            yield order[batch].tolist()

    def __len__(self) -> int:
        return len(cut(len(self.labels), self.batch_size, self.drop_last))


class BucketBatchSampler(Sampler):
    """Batches of rows of about one length, so that little is padded; in random order.

    Rows in random order are taken `pool` batches at a time, sorted by length and cut into batches,
    which then come in random order: the larger the pool, the less padding and the less chance.

    lengths: of each row, `(N,)`.
    Raises: ValueError for lengths of another shape.

    >>> sampler = BucketBatchSampler([9, 1, 8, 2], batch_size=2)
    >>> sorted(sorted(batch) for batch in sampler)
    [[0, 2], [1, 3]]
    """

    def __init__(
        self,
        lengths: Any,
        batch_size: int,
        drop_last: bool = False,
        generator: Generator | None = None,
        pool: int = 50,
    ) -> None:
        self.lengths: Array = as_array(lengths)
        if self.lengths.ndim != 1 or not len(self.lengths):
            raise ValueError(
                f"BucketBatchSampler: expected one length a row, got shape {self.lengths.shape}"
            )
        self.batch_size = arguments.whole("BucketBatchSampler", "batch_size", batch_size, 1)
        self.pool = arguments.whole("BucketBatchSampler", "pool", pool, 1)
        self.drop_last = bool(drop_last)
        self.generator = generator

    def __iter__(self) -> Iterator[list[int]]:
        source = random.source(self.generator)
        order = source.permutation(len(self.lengths))
        size = self.pool * self.batch_size
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
            batches = cut(len(rows), self.batch_size, self.drop_last)
            for i in source.permutation(len(batches)).tolist():
                yield rows[batches[i]].tolist()

    def __len__(self) -> int:
        return len(cut(len(self.lengths), self.batch_size, self.drop_last))


def cut(rows: int, size: int, drop_last: bool) -> list[slice]:
    """Return the batches of rows in a line.

    >>> cut(3, 2, False), cut(3, 2, True)
    ([slice(0, 2, None), slice(2, 3, None)], [slice(0, 2, None)])
    """
    end = rows - rows % size if drop_last else rows
    return [slice(first, min(first + size, end)) for first in range(0, end, size)]
