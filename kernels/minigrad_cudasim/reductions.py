"""Reductions of arrays within a kernel, `x.sum()` or `np.sum(x)`: one thread reads all elements.

Each read is checked and logged as any other.  The order of additions and the types are those of
numba-cuda 0.30.4's numba/cuda/np/arraymath.py: element after element, float32 in float32, integers
in 64 bits, variances in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad_cudasim.fault import kernel_frame


class Reductions:
    """What an array has of reductions; `_get` reads an element on behalf of a kernel's frame."""

    __slots__ = ()

    _get: Callable[..., Any]
    dtype: Any
    shape: tuple[int, ...]
    size: int

    def _elements(self, what: str, options: tuple[Any, ...]) -> Iterator[Any]:
        """Yield all elements; NumPy's functions hand on the options that they were not given."""
        if any(option is not None for option in options):
            raise TypeError(f"{what} of an array within a kernel takes no further argument here")
        frame = kernel_frame()
        for index in np.ndindex(self.shape):
            yield self._get(index if len(index) > 1 else index[0], frame)

    def _wide(self) -> np.dtype[Any]:
        """The type in which elements are added: 64 bits for integers."""
        kinds = {"b": np.int64, "i": np.int64, "u": np.uint64}
        return np.dtype(kinds.get(self.dtype.kind, self.dtype))

    def _folded(
        self, what: str, fold: Callable[[Any, Any], Any], first: Any, options: tuple[Any, ...]
    ) -> Any:
        """Return all elements folded into one number of the type in which they are added."""
        kind = self._wide().type
        total = kind(first)
        with np.errstate(over="ignore"):
            for value in self._elements(what, options):
                total = fold(total, kind(value))
        return total.item() if self._wide().kind in "iu" else total

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Return the sum of all elements."""
        return self._folded("sum", lambda a, b: a + b, 0, (axis, dtype, out))

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Return the product of all elements."""
        return self._folded("prod", lambda a, b: a * b, 1, (axis, dtype, out))

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Return the mean of all elements, float64 of integers."""
        kind = np.float64 if self.dtype.kind in "biu" else self.dtype.type
        total = kind(0)
        for value in self._elements("mean", (axis, dtype, out)):
            total += kind(value)
        return np.divide(total, self.size)

    def var(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0) -> Any:
        """Return the variance of all elements, of as many degrees of freedom as elements."""
        middle = self.mean()
        total = np.float64(0)
        for value in self._elements("var", (axis, dtype, out, ddof or None)):
            far = value - middle
            total += far * far
        return total / self.size

    def std(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0) -> Any:
        """Return the root of the variance."""
        return self.var(axis, dtype, out, ddof) ** 0.5

    def any(self, axis: Any = None, out: Any = None) -> bool:
        """Return whether an element is not 0; those behind the first are not read."""
        return any(bool(value) for value in self._elements("any", (axis, out)))

    def all(self, axis: Any = None, out: Any = None) -> bool:
        """Return whether no element is 0; those behind the first 0 are not read."""
        return all(bool(value) for value in self._elements("all", (axis, out)))

    def argmax(self, axis: Any = None, out: Any = None) -> int:
        """Return where the first of the largest elements stands, the first NaN before all."""
        return self._extreme("argmax", lambda a, b: a > b, (axis, out))[0]

    def argmin(self, axis: Any = None, out: Any = None) -> int:
        """Return where the first of the smallest elements stands, the first NaN before all."""
        return self._extreme("argmin", lambda a, b: a < b, (axis, out))[0]

    def max(self, axis: Any = None, out: Any = None) -> Any:
        """Return the largest element, NaN where there is one."""
        return self._extreme("max", lambda a, b: a > b, (axis, out))[1]

    def min(self, axis: Any = None, out: Any = None) -> Any:
        """Return the smallest element, NaN where there is one."""
        return self._extreme("min", lambda a, b: a < b, (axis, out))[1]

    def _extreme(
        self, what: str, beats: Callable[[Any, Any], bool], options: tuple[Any, ...]
    ) -> tuple[int, Any]:
        """Return the place and the value of an extreme element."""
        if not self.size:
            raise ValueError(f"attempt to get {what} of an empty sequence")
        best, where = None, 0
        for place, value in enumerate(self._elements(what, options)):
            if best is None or beats(value, best) or value != value:
                best, where = value, place
            if value != value:
                break
        return where, best
