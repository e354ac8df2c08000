"""Arguments for the kernels of matmul.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.matmul.epilogue import ACTIVATIONS

Array = np.ndarray[Any, Any]
Arguments = list[tuple[Any, ...]]

SHAPES = (  # M, K, N
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (1, 1, 1),
    (1, 17, 1),
    (2, 3, 5),
    (13, 15, 33),
    (64, 30, 64),
    (64, 64, 2),
    (37, 385, 71),
    (300, 64, 10),
    (10, 300, 200),
    (130, 257, 129),
)
LAYOUTS = ("rows", "columns", "strided")


def matrix(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, layout: str) -> Array:
    """Return normal numbers whose last two dimensions lie by rows, by columns, or apart."""
    *batch, m, n = shape
    if layout == "columns":
        return rng.standard_normal((*batch, n, m)).astype(dtype).swapaxes(-1, -2)
    if layout == "strided":
        return rng.standard_normal((*batch, 2 * m, 3 * n)).astype(dtype)[..., ::2, ::-3]
    return rng.standard_normal(shape).astype(dtype)


def operands(rng: np.random.Generator, dtype: np.dtype) -> list[tuple[Array, Array, Array]]:
    """Return (a, b, garbage to be overwritten) for all shapes and pairs of layouts."""
    return [
        (
            matrix(rng, (m, k), dtype, layout_a),
            matrix(rng, (k, n), dtype, layout_b),
            np.full((m, n), np.nan, dtype),
        )
        for m, k, n in SHAPES
        for layout_a in LAYOUTS
        for layout_b in LAYOUTS
    ]


def gemm(rng: np.random.Generator, dtype: np.dtype) -> Arguments:
    return list(operands(rng, dtype))


def gemm_bias(rng: np.random.Generator, dtype: np.dtype) -> Arguments:
    return [
        (a, b, rng.standard_normal(b.shape[1]).astype(dtype), c) for a, b, c in operands(rng, dtype)
    ]


def gemm_accumulate(rng: np.random.Generator, dtype: np.dtype) -> Arguments:
    return [(a, b, rng.standard_normal(c.shape).astype(dtype)) for a, b, c in operands(rng, dtype)]


def bmm(rng: np.random.Generator, dtype: np.dtype) -> Arguments:
    found: Arguments = []
    for batch, m, k, n in (
        (0, 2, 3, 4),
        (1, 5, 0, 3),
        (3, 5, 7, 2),
        (1, 130, 70, 140),
        (9, 65, 65, 65),
    ):
        for layout in LAYOUTS:
            c = np.full((batch, m, n), np.nan, dtype)
            a = matrix(rng, (batch, m, k), dtype, layout)
            b = matrix(rng, (batch, k, n), dtype, layout)
            found.append((a, b, c))
            one_a = matrix(rng, (m, k), dtype, layout)
            one_b = matrix(rng, (k, n), dtype, layout)
            found.append((np.broadcast_to(one_a, a.shape), b, c.copy()))
            found.append((a, np.broadcast_to(one_b, b.shape), c.copy()))
    return found


WITH_MORE = ((0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (13, 15, 33), (130, 257, 129))


def biased(rng: np.random.Generator, dtype: np.dtype) -> list[tuple[Any, ...]]:
    """Return (a, b, bias, activation) for all activations, with a bias and without."""
    return [
        (
            matrix(rng, (m, k), dtype, "rows"),
            matrix(rng, (k, n), dtype, "columns"),
            rng.standard_normal(n if with_bias else 0).astype(dtype),
            activation,
        )
        for activation in ACTIVATIONS
        for with_bias in (True, False)
        for m, k, n in WITH_MORE
    ]


def gemm_activation(rng: np.random.Generator, dtype: np.dtype) -> Arguments:
    return [
        (*inputs, np.full((len(inputs[0]), inputs[1].shape[1]), np.nan, dtype))
        for inputs in biased(rng, dtype)
    ]


def gemm_activation_saved(rng: np.random.Generator, dtype: np.dtype) -> Arguments:
    return [(*args, args[-1].copy()) for args in gemm_activation(rng, dtype)]


def gemm_masked(rng: np.random.Generator, dtype: np.dtype) -> Arguments:
    return [
        (a, b, rng.standard_normal(c.shape).astype(dtype), activation, c)
        for a, b, _, activation, c in gemm_activation(rng, dtype)
    ]


def gemm_sums(rng: np.random.Generator, dtype: np.dtype) -> Arguments:
    return [(a, b, c, np.full(len(c), np.nan, dtype)) for a, b, c in operands(rng, dtype)]


SAMPLES = {
    "gemm": gemm,
    "gemm_bias": gemm_bias,
    "gemm_accumulate": gemm_accumulate,
    "gemm_activation": gemm_activation,
    "gemm_activation_saved": gemm_activation_saved,
    "gemm_masked": gemm_masked,
    "gemm_sums": gemm_sums,
    "bmm": bmm,
}
