"""A table of rows with a target, and its split into training, validation and test rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.data.dataset import Array, Dataset, TensorDataset
from minigrad.data.splitting import random_split
from minigrad.data.standardizer import Standardizer
from minigrad.engine.random import Generator
from minigrad.tensors.tensor import Tensor

# Splits draw from a random stream of their own, so that no Generator(seed) repeats their numbers.
STREAM = 0x8000_0001


@dataclass(frozen=True)
class Split:
    """Training, validation and test rows; unpacks into the three.

    standardizer: fitted on the training rows, and applied to all three; None when left raw.
    """

    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    standardizer: Standardizer | None = None

    def __iter__(self) -> Iterator[TensorDataset]:
        return iter((self.train, self.validation, self.test))

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{name} {len(part)}"
            for name, part in zip(("train", "validation", "test"), self, strict=True)
        )
        return f"Split({sizes}{', standardized' if self.standardizer else ''})"


@dataclass(frozen=True, eq=False)
class TabularData(Dataset):
    """Features and a target, with their names.

    Shape: `x: (N, F) float32`, `y: (N,)` int64 classes, or float32 values without `target_names`;
    None for rows without a target.

    Raises: ValueError when the shapes do not fit together.
    """

    name: str
    x: Array
    y: Any
    feature_names: tuple[str, ...] = field(repr=False)
    target_names: tuple[str, ...] = field(default=(), repr=False)
    description: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        targets = self.x.shape[:1] if self.y is None else self.y.shape
        if self.x.ndim != 2 or targets != self.x.shape[:1]:
            raise ValueError(
                f"TabularData: expected x of shape (N, F) and y of shape (N,), but got "
                f"{self.x.shape} and {targets}"
            )
        if len(self.feature_names) != self.x.shape[1]:
            raise ValueError(
                f"TabularData: {self.x.shape[1]} features have {len(self.feature_names)} names"
            )

    @property
    def n_features(self) -> int:
        """Return the number of columns of x."""
        return int(self.x.shape[1])

    @property
    def n_classes(self) -> int:
        """Return the number of classes, 0 for a regression target."""
        return len(self.target_names)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        if self.y is None:
            return (Tensor(np.array(self.x[index])),)
        return Tensor(np.array(self.x[index])), Tensor(np.array(self.y[index]))

    def fetch(self, indices: Array) -> tuple[Tensor, ...]:
        """Return the rows `indices` as Tensors; a copy."""
        if self.y is None:
            return (Tensor(self.x[indices]),)
        return Tensor(self.x[indices]), Tensor(self.y[indices])

    def __repr__(self) -> str:
        shape = f"{self.name}: {len(self)} rows, {self.n_features} features"
        if self.y is None:
            return f"<{shape}, no target>"
        if not self.n_classes:
            return f"<{shape}, target {self.y.min():g} to {self.y.max():g}>"
        counts = np.bincount(self.y, minlength=self.n_classes)
        classes = ", ".join(
            f"{name} {n}" for name, n in zip(self.target_names, counts, strict=True)
        )
        return f"<{shape}, {self.n_classes} classes ({classes})>"

    def split(
        self,
        seed: int = 0,
        fractions: Sequence[float] = (0.7, 0.15, 0.15),
        standardize: bool = True,
    ) -> Split:
        """Return training, validation and test rows; each class in proportion.

        seed: the same seed gives the same rows, always.
        fractions: of training, validation and test rows, summing to 1.
        standardize: scale all three by the mean and deviation of the training rows.

        >>> from minigrad.data import load_digits
        >>> load_digits().split(seed=0)
        Split(train 1258, validation 270, test 269, standardized)
        """
        if len(fractions) != 3:
            raise ValueError(
                "split: expected three fractions (train, validation, test), but got "
                f"{len(fractions)}"
            )
        if self.y is None:
            raise ValueError(f"split: {self.name} has no target; name its column in load_csv")
        labels = self.y if self.n_classes else None
        generator = Generator(seed, stream=STREAM)
        subsets = random_split(self, fractions, generator, stratify=labels)
        standardizer = Standardizer().fit(self.x[subsets[0].indices]) if standardize else None

        def part(indices: Array) -> TensorDataset:
            x = self.x[indices]
            return TensorDataset(standardizer.transform(x) if standardizer else x, self.y[indices])

        train, validation, test = (part(subset.indices) for subset in subsets)
        return Split(train, validation, test, standardizer)
