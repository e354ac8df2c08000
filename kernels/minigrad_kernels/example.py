"""Make arguments of a wanted size for a kernel: what a size is, and the numbers in it.

>>> example = elementwise(("normal", "positive"))
>>> a, b, y = example.make(np.random.default_rng(0), np.dtype(np.float32), *example.sizes((5,)))
>>> a.shape, b.dtype, bool(b.min() > 0.5), bool(np.isnan(y).all())
((5,), dtype('float32'), True, True)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Rng = np.random.Generator
WIDE = 1_024  # columns at most, where a size is a number of elements


def columns(n: int) -> int:
    """Return how many columns a matrix of n elements has: as many as rows, WIDE at most."""
    return max(1, min(WIDE, math.isqrt(n)))


def images(n: int) -> tuple[int, ...]:
    """Return how many images of what channels and side hold n elements, to as many channels."""
    channels, side = (8, 32) if n >= 65_536 else (8, 8) if n >= 2_048 else (2, 4)
    return max(1, n // (channels * side * side)), channels, side, channels


SPREADS: dict[str, Callable[[int], tuple[int, ...]]] = {
    "N": lambda n: (n,),
    "NxC": lambda n: (n // columns(n), columns(n)),
    "OxRxI": lambda n: (1, n // columns(n), columns(n)),
    "NxCxS": lambda n: (n // columns(n), columns(n), 1),
    "MxKxN": lambda n: (math.isqrt(n),) * 3,
    "BxMxKxN": lambda n: (4, *(max(1, math.isqrt(n // 4)),) * 3),
    "NxCxHxO": images,
    "PxHxW": lambda n: (max(1, n // 1_024), *((32, 32) if n >= 1_024 else (8, 8))),
}


@dataclass(frozen=True)
class Example:
    """The way in which arguments of a kernel are made.

    make: (rng, dtype, *sizes) -> arguments, outputs last, full of NaN; a `Rows` stands for a table.
    shape: what the sizes are, e.g. "MxKxN"; a key of `SPREADS`.
    cancels: its sums may cancel, so that errors count in ULP of the array's root mean square, where
        an element is smaller.  own_dtype: float64 computes other numbers, not more exact ones.
    """

    make: Callable[..., tuple[Any, ...]]
    shape: str = "N"
    cancels: bool = False
    own_dtype: bool = False

    def sizes(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the sizes for a shape, or for the number of elements of the largest array.

        Raises: ValueError where the shape has another number of sizes.
        """
        if len(size) == 1:
            return SPREADS[self.shape](max(1, size[0]))
        if len(size) != self.shape.count("x") + 1:
            raise ValueError(
                f"expected a size as a number of elements or {self.shape}, got "
                f"{'x'.join(map(str, size))}"
            )
        return tuple(size)


# ---------------------------------------------------------------- making arrays
def normal(rng: Rng, dtype: Any, *shape: int) -> Array:
    """Draw normals."""
    return rng.standard_normal(shape, np.float32).astype(dtype, copy=False)


def positive(rng: Rng, dtype: Any, *shape: int) -> Array:
    """Draw numbers between 1/2 and 3/2."""
    return (rng.random(shape, np.float32) + np.float32(0.5)).astype(dtype, copy=False)


def unwritten(dtype: Any, *shape: int) -> Array:
    """Return an output: full of NaN, of True or of -1."""
    kind = np.dtype(dtype).kind
    return np.full(shape, {"f": np.nan, "b": True, "u": 1}.get(kind, -1), dtype)


DRAWS: dict[str, Callable[..., Array]] = {
    "normal": normal,
    "positive": positive,
    "unit": lambda rng, dtype, *shape: rng.random(shape).astype(dtype),
    "bits": lambda rng, dtype, *shape: rng.integers(0, 64, shape),
    "truth": lambda rng, dtype, *shape: rng.random(shape) < 0.5,
}


def elementwise(
    draws: Sequence[str], numbers: Sequence[float] = (), truth: bool = False, cancels: bool = False
) -> Example:
    """Return the example of an elementwise kernel: N elements an operand, numbers, and y.

    draws: what each operand is drawn from, a key of `DRAWS`.  truth: y is bool.
    """

    def make(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
        inputs = [DRAWS[name](rng, dtype, n) for name in draws]
        kind = bool if truth else inputs[0].dtype if "bits" in draws else dtype
        return (*inputs, *numbers, unwritten(kind, n))

    return Example(make, cancels=cancels)
