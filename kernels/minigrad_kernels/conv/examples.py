"""Example arguments of the convolutions and pools."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.example import Array, Example, Rng, normal, unwritten

HOW = (1, 1), (1, 1), (1, 1), 1  # stride, padding, dilation, groups of a convolution of 3 x 3


def conv(rng: Rng, dtype: Any, n: int, c: int, h: int, o: int) -> tuple[Any, ...]:
    """Return x (N, C, H, H), weight (O, C, 3, 3), bias, how it slides, and y."""
    x, weight, bias = (
        normal(rng, dtype, n, c, h, h),
        filters(rng, dtype, o, c),
        normal(rng, dtype, o),
    )
    return x, weight, bias, *HOW, unwritten(dtype, n, o, h, h)


def filters(rng: Rng, dtype: Any, o: int, c: int) -> Array:
    """Draw a weight that keeps the size of what it convolves."""
    return (normal(rng, np.float64, o, c, 3, 3) / (9 * c) ** 0.5).astype(dtype)


def conv_backward_input(rng: Rng, dtype: Any, n: int, c: int, h: int, o: int) -> tuple[Any, ...]:
    """Return dy, weight, how it slides, and dx."""
    dy, weight = normal(rng, dtype, n, o, h, h), filters(rng, dtype, o, c)
    return dy, weight, *HOW, unwritten(dtype, n, c, h, h)


def conv_backward_weight(rng: Rng, dtype: Any, n: int, c: int, h: int, o: int) -> tuple[Any, ...]:
    """Return dy, x, how it slides, dw and db."""
    dy, x = normal(rng, dtype, n, o, h, h), normal(rng, dtype, n, c, h, h)
    return dy, x, *HOW, unwritten(dtype, o, c, 3, 3), unwritten(dtype, o)


def pairs(size: int) -> Array:
    """Return the windows of 2 that step by 2 over `size` elements; one where there is one alone."""
    first = np.arange(0, max(1, size - 1), 2)
    stop = np.minimum(first + 2, size)
    return np.stack([first, stop, stop - first], 1)


def max_pool(rng: Rng, dtype: Any, p: int, h: int, w: int) -> tuple[Any, ...]:
    """Return x (P, H, W), its windows, which step by one element, y and index."""
    x, row_windows, column_windows = normal(rng, dtype, p, h, w), pairs(h), pairs(w)
    row_windows[:, 2] = column_windows[:, 2] = 1
    shape = p, len(row_windows), len(column_windows)
    return x, row_windows, column_windows, unwritten(dtype, *shape), unwritten(np.int32, *shape)


def max_pool_backward(rng: Rng, dtype: Any, p: int, h: int, w: int) -> tuple[Any, ...]:
    """Return dy, the index of each of its elements, and dx."""
    shape = p, len(pairs(h)), len(pairs(w))
    index = rng.integers(0, h * w, shape).astype(np.int32)
    return normal(rng, dtype, *shape), index, unwritten(dtype, p, h, w)


def avg_pool(rng: Rng, dtype: Any, p: int, h: int, w: int) -> tuple[Any, ...]:
    """Return x (P, H, W), its windows with their divisors, and y."""
    row_windows, column_windows = pairs(h), pairs(w)
    y = unwritten(dtype, p, len(row_windows), len(column_windows))
    return normal(rng, dtype, p, h, w), row_windows, column_windows, y


def avg_pool_backward(rng: Rng, dtype: Any, p: int, h: int, w: int) -> tuple[Any, ...]:
    """Return dy, the windows, and dx."""
    row_windows, column_windows = pairs(h), pairs(w)
    dy = normal(rng, dtype, p, len(row_windows), len(column_windows))
    return dy, row_windows, column_windows, unwritten(dtype, p, h, w)


EXAMPLES = {
    "conv": Example(conv, "NxCxHxO", cancels=True),
    "conv_backward_input": Example(conv_backward_input, "NxCxHxO", cancels=True),
    "conv_backward_weight": Example(conv_backward_weight, "NxCxHxO", cancels=True),
    "max_pool": Example(max_pool, "PxHxW"),
    "max_pool_backward": Example(max_pool_backward, "PxHxW", cancels=True),
    "avg_pool": Example(avg_pool, "PxHxW", cancels=True),
    "avg_pool_backward": Example(avg_pool_backward, "PxHxW", cancels=True),
}
