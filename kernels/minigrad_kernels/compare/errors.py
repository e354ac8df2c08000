"""Errors in units of the last place (ULP), and how many bits of a result are right."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def ulps(got: Array, exact: Array, dtype: np.dtype[Any], cancels: bool = False) -> Array:
    """Return the error of each element in units of the last place of the kernel's dtype.

    cancels: in those of the array's root mean square, where the element is smaller.

    >>> exact = np.array([1.0, 2.0 + 2.0**-22])
    >>> ulps(np.float32([1.0, 2.0]), exact, np.dtype(np.float32)).tolist()
    [0.0, 1.0]
    """
    with np.errstate(all="ignore"):
        return _ulps(got, exact.reshape(got.shape), dtype, cancels)


def _ulps(got: Array, exact: Array, dtype: np.dtype[Any], cancels: bool) -> Array:
    """Return the error of each element in units in the last place of the exact value."""
    wanted, rounded = exact.astype(np.float64), exact.astype(got.dtype)
    equal = (got == rounded) | ((got != got) & (rounded != rounded))
    if got.dtype.kind != "f":
        return np.where(equal, 0.0, np.inf)
    size = np.abs(wanted)
    if cancels:
        finite = size[np.isfinite(size)]
        size = np.maximum(size, np.sqrt(np.mean(np.square(finite))) if finite.size else 0)
    error = np.abs(got.astype(np.float64) - wanted) / np.spacing(size.astype(dtype))
    exactly = got.astype(np.float64) == wanted
    return np.where(exactly | (equal & ~np.isfinite(error)), 0.0, np.nan_to_num(error, nan=np.inf))


def right_bits(ulp: float | None, dtype: str) -> float | None:
    """Return how many bits of the significand are right at an error of so many ULP.

    >>> right_bits(0.5, "float32"), right_bits(1024.0, "float32"), right_bits(0.0, "float64")
    (24.0, 13.0, 53.0)
    """
    if ulp is None:
        return None
    whole = 24.0 if dtype == "float32" else 53.0
    if not np.isfinite(ulp):
        return 0.0
    return float(np.clip(whole - np.log2(max(2 * ulp, 1.0)), 0.0, whole))
