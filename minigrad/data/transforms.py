"""Transforms of batches: arrays in, arrays out, random decisions row by row.

A transform is a function of an array `(N, ...)`, and of a NumPy generator `rng` where it draws.  A
DataLoader gives it one whose numbers depend on the seed, the epoch and the batch's number alone: so
they are the same whatever else draws, with batches made ahead, and after a resume in mid-epoch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.engine.random import Generator
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]


class Transforms:
    """Apply a transform to the first field of batches, with the random numbers that are theirs.

    stream: whose seed and number they follow from.
    """

    def __init__(self, transform: Callable[..., Any], stream: Generator) -> None:
        self.transform = transform
        self.stream = stream
        self.draws = draws(transform)

    def __call__(self, epoch: int, number: int, batch: Any) -> Any:
        """Return the batch of an epoch with its first field transformed."""
        fields = batch if isinstance(batch, tuple | list) else (batch,)
        x = fields[0]
        values = x.array if isinstance(x, Tensor) else x
        more = {"rng": self.generator(epoch, number)} if self.draws else {}
        found = self.transform(values, **more)
        found = Tensor(found) if isinstance(found, np.ndarray) else found
        if not isinstance(batch, tuple | list):
            return found
        rest = (found, *fields[1:])
        return type(batch)(*rest) if hasattr(batch, "_fields") else type(batch)(rest)

    def generator(self, epoch: int, number: int) -> np.random.Generator:
        """Return the generator of one batch."""
        key = [self.stream.seed, self.stream.stream]
        philox = np.random.Philox(counter=[0, 0, number, epoch], key=np.array(key, np.uint64))
        return np.random.Generator(philox)


def draws(transform: Callable[..., Any]) -> bool:
    """Return whether a transform takes a generator `rng`.

    >>> draws(RandomFlip()), draws(Normalize(0.0, 1.0)), draws(np.abs)
    (True, False, False)
    """
    try:
        return "rng" in inspect.signature(transform).parameters
    except (TypeError, ValueError):  # of what is not written in Python
        return False


class Compose:
    """Several transforms, one after the other.

    >>> Compose([np.abs, np.sqrt])(np.array([-4.0]))
    array([2.])
    """

    def __init__(self, transforms: list[Callable[..., Any]]) -> None:
        self.transforms = list(transforms)
        self._draws = [draws(transform) for transform in self.transforms]

    def __call__(self, x: Any, rng: np.random.Generator | None = None) -> Any:
        for transform, drawing in zip(self.transforms, self._draws, strict=True):
            x = transform(x, rng=rng) if drawing else transform(x)
        return x

    def __repr__(self) -> str:
        return f"Compose({self.transforms})"


class Normalize:
    """(x - mean) / std, as float32; numbers, or one for each channel.

    Shape: `x: (N, C, ...)`, `mean, std: () or (C,)` -> `(N, C, ...)`.

    >>> Normalize([0.0, 1.0], 2.0)(np.array([[4, 5]])).tolist()
    [[2.0, 2.0]]
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: expected std above 0, but got {std}")

    def __call__(self, x: Array) -> Array:
        shape = (-1, *[1] * (x.ndim - 2))
        mean, std = (v.reshape(shape) if v.ndim else v for v in (self.mean, self.std))
        found: Array = (x.astype(np.float32) - mean) / std
        return found

    def __repr__(self) -> str:
        return f"Normalize({self.mean.tolist()}, {self.std.tolist()})"


class RandomFlip:
    """Mirror each row along its last axis, with probability p.

    Shape: `x: (N, ..., W)`, the same out.

    >>> RandomFlip(p=1.0)(np.array([[1, 2, 3]]), rng=np.random.default_rng(0)).tolist()
    [[3, 2, 1]]
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomFlip: expected p in [0, 1], but got {p!r}")
        self.p = p

    def __call__(self, x: Array, *, rng: np.random.Generator) -> Array:
        flipped = rng.random(len(x)) < self.p
        found = x.copy()
        found[flipped] = x[flipped][..., ::-1]
        return found

    def __repr__(self) -> str:
        return f"RandomFlip(p={self.p})"


class RandomShift:
    """Move each picture by up to `pixels` along both axes; what comes in is `fill`.

    Shape: `x: (N, ..., H, W)`, the same out.  It is what padding and a random crop do.

    >>> x = np.arange(4).reshape(1, 2, 2)
    >>> RandomShift(0)(x, rng=np.random.default_rng(0)).tolist()
    [[[0, 1], [2, 3]]]
    """

    def __init__(self, pixels: int, fill: float = 0.0) -> None:
        if pixels < 0:
            raise ValueError(f"RandomShift: expected pixels of at least 0, but got {pixels!r}")
        self.pixels = pixels
        self.fill = fill

    def __call__(self, x: Array, *, rng: np.random.Generator) -> Array:
        p, (height, width) = self.pixels, x.shape[-2:]
        moved = rng.integers(0, 2 * p + 1, (len(x), 2))
        padding = [(0, 0)] * (x.ndim - 2) + [(p, p)] * 2
        padded = np.pad(x, padding, constant_values=self.fill)
        found = np.empty_like(x)
        for i, (down, right) in enumerate(moved.tolist()):
            found[i] = padded[i, ..., down : down + height, right : right + width]
        return found

    def __repr__(self) -> str:
        return f"RandomShift({self.pixels})"


class GaussianNoise:
    """Add normal noise of standard deviation `std`.

    Shape: `x: (N, ...)` of floats, the same out.

    >>> GaussianNoise(0.0)(np.ones((1, 2), np.float32), rng=np.random.default_rng(0)).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, std: float) -> None:
        if not std >= 0:
            raise ValueError(f"GaussianNoise: expected std of at least 0, but got {std!r}")
        self.std = std

    def __call__(self, x: Array, *, rng: np.random.Generator) -> Array:
        kind = x.dtype.type
        noise: Array = np.asarray(rng.standard_normal(x.shape, np.float32), x.dtype)
        found: Array = x + kind(self.std) * noise
        return found

    def __repr__(self) -> str:
        return f"GaussianNoise({self.std})"
