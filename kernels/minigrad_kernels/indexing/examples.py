"""Example arguments of the kernels that take and scatter."""

from __future__ import annotations

from typing import Any

from minigrad_kernels.example import Example, Rng, normal, unwritten


def take_rows(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return weight (N, C), N numbers of rows, and y."""
    return normal(rng, dtype, n, c), rng.integers(0, n, n), unwritten(dtype, n, c)


def picked(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return x, N numbers of its elements, and y."""
    return normal(rng, dtype, n), rng.integers(0, n, n), unwritten(dtype, n)


def scattered(rng: Rng, dtype: Any, n: int) -> tuple[Any, ...]:
    """Return what is scattered, its places, each of them once, and what is written over."""
    return normal(rng, dtype, n), rng.permutation(n), normal(rng, dtype, n)


EXAMPLES = {
    **{name: Example(take_rows, "NxC", cancels=True) for name in ("take_rows", "scatter_add_rows")},
    "take_flat": Example(picked),
    "scatter_add_flat": Example(picked, cancels=True),
    "scatter_flat": Example(scattered),
}
