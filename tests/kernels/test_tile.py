from __future__ import annotations

import numpy as np
import pytest

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.matmul.register_tile import HEIGHT, HEIGHTS, VECTORS, WIDE, pair, strip
from minigrad_kernels.simd.registers import VECTOR_BYTES, address


@jit()
def one_strip(a: np.ndarray, by_column: bool, b: np.ndarray, c: np.ndarray, depth: int) -> None:
    size = a.itemsize
    ldc = c.shape[1] * size
    lda = a.shape[1] * size
    at = address(c)
    strip(
        a.dtype, by_column, c.shape[0], address(a), lda, address(b), b.shape[1] * size,
        b.shape[0], depth, at, ldc, at, ldc, c.shape[1],
    )  # fmt: skip


def test_heights_fall_to_one() -> None:
    assert list(HEIGHTS) == sorted(set(HEIGHTS), reverse=True)
    assert HEIGHTS[-1] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("by_column", [False, True])
def test_a_strip_adds_the_product_to_c(
    by_column: bool, dtype: type, rng: np.random.Generator
) -> None:
    width = VECTORS * VECTOR_BYTES // np.dtype(dtype).itemsize
    for rows in range(2 * HEIGHT + 1):
        for columns in (1, width // 2, width // 2 + 1, width):
            for kc in (0, 1, 2, 9):
                # Small integers: every sum is exact, whatever its order.
                a = rng.integers(-8, 8, (rows, kc)).astype(dtype)
                b = rng.integers(-8, 8, (kc, width)).astype(dtype)
                c = rng.integers(-8, 8, (rows, columns)).astype(dtype)
                want = c + a @ b[:, :columns]
                for depth in (1, 4, 9):
                    got = c.copy()
                    turned = np.ascontiguousarray(a.T) if by_column else a
                    one_strip(turned, by_column, b, got, depth)
                    np.testing.assert_array_equal(got, want)


@jit()
def one_pair(a: np.ndarray, b: np.ndarray, c: np.ndarray, depth: int) -> None:
    """b: two strips, one after the other: (2, kc, width)."""
    size = a.itemsize
    ldc = c.shape[1] * size
    at = address(c)
    beside = b.shape[1] * b.shape[2] * size
    pair(
        a.dtype, c.shape[0], address(a), a.shape[1] * size, address(b), beside, b.shape[2] * size,
        b.shape[1], depth, at, ldc, at, ldc, c.shape[1],
    )  # fmt: skip


@pytest.mark.skipif(not WIDE, reason="needs 32 vector registers")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_pair_of_strips_adds_the_product_to_c(dtype: type, rng: np.random.Generator) -> None:
    width = VECTORS * VECTOR_BYTES // np.dtype(dtype).itemsize
    for rows in range(HEIGHT + 3):
        for columns in (width + 1, 2 * width - 1, 2 * width):
            for kc, depth in ((0, 1), (1, 1), (9, 4), (9, 9)):
                a = rng.integers(-8, 8, (rows, kc)).astype(dtype)
                b = rng.integers(-8, 8, (2, kc, width)).astype(dtype)
                c = rng.integers(-8, 8, (rows, columns)).astype(dtype)
                want = c + a @ np.concatenate([b[0], b[1]], axis=1)[:, :columns]
                one_pair(a, b, c, depth)
                np.testing.assert_array_equal(c, want)
