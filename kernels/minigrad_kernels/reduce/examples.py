"""Example arguments of the reductions: over columns, or over groups (outer, reduced, inner)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.example import Example, Rng, normal, positive, unwritten


def reduction(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x of numbers about 1 (a product of normals would vanish), the axis 1, and y."""
    x = (1 + normal(rng, np.float64, n, c) / 50).astype(dtype)
    return x, (1,), unwritten(dtype, n)


def position(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x, the axis 1, and y of int64."""
    return normal(rng, dtype, n, c), 1, unwritten(np.int64, n)


def cumulated(rng: Rng, dtype: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return x, the axis 1, forwards, and y."""
    return reduction(rng, dtype, n, c)[0], 1, False, unwritten(dtype, n, c)


def group_reduction(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return x, m of each group, and y."""
    return normal(rng, dtype, o, r, i), normal(rng, dtype, o, i), unwritten(dtype, o, i)


def group_norm(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return x and y."""
    return normal(rng, dtype, o, r, i), unwritten(dtype, o, i)


def group_variance(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return x, the divisor, 0 for no root, mean and y."""
    x = normal(rng, dtype, o, r, i)
    return x, float(max(r - 1, 1)), 0, unwritten(np.float64, o, i), unwritten(np.float64, o, i)


def group_expansion(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return c and m of each group, x, and dx."""
    x, few = normal(rng, dtype, o, r, i), normal(rng, np.float64, o, i)
    return few, positive(rng, np.float64, o, i), x, unwritten(dtype, o, r, i)


def prod_backward(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return dy, y = prod(x), x of numbers about 1, and dx."""
    x = (1 + normal(rng, np.float64, o, r, i) / 200).astype(dtype)
    y = x.astype(np.float64).prod(axis=1).astype(dtype)
    return normal(rng, dtype, o, i), y, x, unwritten(dtype, o, r, i)


def extreme(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return x, 1 for the largest, y and its place."""
    x = normal(rng, dtype, o, r, i)
    return x, 1, unwritten(dtype, o, i), unwritten(np.int64, o, i)


def extreme_backward(rng: Rng, dtype: Any, o: int, r: int, i: int) -> tuple[Any, ...]:
    """Return dy, the places, and dx."""
    return normal(rng, dtype, o, i), rng.integers(0, r, (o, i)), unwritten(dtype, o, r, i)


EXAMPLES = {
    **{name: Example(reduction, "NxC") for name in ("sum", "mean", "prod", "max", "min")},
    **{name: Example(position, "NxC") for name in ("argmax", "argmin")},
    "cumsum": Example(cumulated, "NxC"),
    "norm": Example(group_norm, "OxRxI"),
    "variance": Example(group_variance, "OxRxI"),
    "tie_count": Example(group_reduction, "OxRxI"),
    **{
        name: Example(group_expansion, "OxRxI", cancels=True)
        for name in ("expand_centred", "expand_unit", "expand_ties", "expand_exp")
    },
    "prod_backward": Example(prod_backward, "OxRxI", cancels=True),
    "extreme": Example(extreme, "OxRxI"),
    "extreme_backward": Example(extreme_backward, "OxRxI"),
}
