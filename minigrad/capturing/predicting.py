"""Predictions for batches of any size, by a few programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.tensors.tensor import Tensor, new

Array = np.ndarray[Any, Any]


class ByRows:
    """A captured function of one tensor whose rows do not depend on each other.

    A batch of at most `rows` rows runs with zeros below it, as one of the next power of two: a few
    programs serve batches of any size.  The first time that a size comes, the results are compared
    with those of the batch as it is; where they differ by more than rounding, rows do depend on
    each other, and batches run as they are from then on.

    >>> import minigrad as mg
    >>> predict = mg.capture(mg.nn.Linear(2, 1).eval(), rows=64)
    >>> with mg.no_grad():
    ...     rows = [len(predict(mg.zeros(n, 2))) for n in (5, 6, 7, 8, 6)]
    >>> rows, len(predict.programs)
    ([5, 6, 7, 8, 6], 1)
    """

    def __init__(self, captured: Any, rows: int) -> None:
        self.captured = captured
        self.rows = rows
        self.sizes: set[Any] = set()  # for which results were compared
        self.depend = False

    def __getattr__(self, name: str) -> Any:
        if name == "captured":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self.captured, name)

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the function on a batch, `(N, ...) -> (N, ...)`."""
        plain_batch = isinstance(x, Tensor) and x.ndim and isinstance(x.array, np.ndarray)
        n = len(x) if plain_batch else 0
        size = 1 << max(0, n - 1).bit_length()
        if args or kwargs or self.depend or not 0 < n < size <= self.rows:
            return self.captured(x, *args, **kwargs)
        padded = np.zeros((size, *x.array.shape[1:]), x.array.dtype)
        padded[:n] = x.array
        found = self.captured(new(padded))
        if not isinstance(found, Tensor) or found.array.shape[:1] != (size,):
            self.depend = True
            return self.captured(x)
        kind = size, x.array.shape[1:], x.array.dtype
        if kind not in self.sizes:
            exact = self.captured.function(x)
            if not close(found.array[:n], exact.array):
                self.depend = True
                return exact
            self.sizes.add(kind)
        return new(found.array[:n])

    def explain(self) -> str:
        """Return how the calls so far ran."""
        said = self.captured.explain()
        return f"{said}\n  rows depend on each other" if self.depend else said

    def __repr__(self) -> str:
        return f"{self.captured!r} of at most {self.rows} rows"


def close(a: Array, b: Array) -> bool:
    """Return whether two results are the same but for rounding."""
    if a.shape != b.shape or a.dtype != b.dtype or a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    loose = 1e-4 if a.dtype.itemsize <= 4 else 1e-10
    largest = float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))
    return bool(np.allclose(a, b, loose, loose * largest, equal_nan=True))
