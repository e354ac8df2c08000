"""Arguments for the CUDA kernels of matmul that leave the naive kernel: tiles not full, k in two
parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.kernels.samples.matmul import matrix

Arguments = list[tuple[Any, ...]]

# M, K, N: one more than a tile of the tiled kernel, where float64 goes, and of the narrow ones that
# float32 leaves to it, so that it goes to the kernel of registers.
SHAPES = {8: (17, 14, 18), 4: (36, 5, 36)}  # by itemsize
SPLIT = (4, 290, 4)  # narrow, so tiled; k in two parts


def operands(
    rng: np.random.Generator, dtype: np.dtype[Any], shape: tuple[int, int, int] | None = None
) -> tuple[Any, ...]:
    """Return (a, b, garbage), a by rows and b by columns."""
    m, k, n = shape or SHAPES[dtype.itemsize]
    a, b = matrix(rng, (m, k), dtype, "rows"), matrix(rng, (k, n), dtype, "columns")
    return a, b, np.full((m, n), np.nan, dtype)


def gemm(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    m, k, n = SHAPES[dtype.itemsize]
    apart = tuple(matrix(rng, shape, dtype, "strided") for shape in ((m, k), (k, n)))
    return [(*apart, np.full((m, n), np.nan, dtype))]


def gemm_bias(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    a, b, c = operands(rng, dtype)
    return [(a, b, rng.standard_normal(b.shape[1]).astype(dtype), c)]


def gemm_accumulate(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    m, k, n = SHAPES[dtype.itemsize]
    a, b = matrix(rng, (m, k), dtype, "columns"), matrix(rng, (k, n), dtype, "rows")
    return [(a, b, rng.standard_normal((m, n)).astype(dtype))]


def gemm_activation(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    return [(a, b, bias, "gelu", c) for a, b, bias, c in gemm_bias(rng, dtype)]


def gemm_activation_saved(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    a, b, c = operands(rng, dtype, SPLIT)
    return [(a, b, rng.standard_normal(b.shape[1]).astype(dtype), "tanh", c, c.copy())]


def gemm_masked(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    a, b, c = operands(rng, dtype)
    return [(a, b, rng.standard_normal(c.shape).astype(dtype), "silu", c)]


def gemm_sums(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    a, b, c = operands(rng, dtype, SPLIT)
    return [(a, b, c, np.full(len(c), np.nan, dtype))]


def bmm(rng: np.random.Generator, dtype: np.dtype[Any]) -> Arguments:
    m, k, n = SHAPES[dtype.itemsize]
    a, b = matrix(rng, (2, m, k), dtype, "rows"), matrix(rng, (1, k, n), dtype, "columns")
    both = np.broadcast_to(b, (2, k, n))
    return [(a, both, np.full((2, m, n), np.nan, dtype))]


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
