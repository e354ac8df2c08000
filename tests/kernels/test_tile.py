from __future__ import annotations

import numpy as np
import pytest

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.matmul.register_tile import HEIGHT, HEIGHTS, VECTORS, strip
from minigrad_kernels.simd.registers import VECTOR_BYTES, address


@jit()
def one_strip(a: np.ndarray, by_column: bool, b: np.ndarray, c: np.ndarray) -> None:
    size = a.itemsize
    ldc = c.shape[1] * size
    lda = a.shape[1] * size
    at = address(c)
    strip(
        a.dtype, by_column, c.shape[0], address(a), lda, address(b), b.shape[1] * size,
        b.shape[0], at, ldc, at, ldc, c.shape[1],
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
                one_strip(np.ascontiguousarray(a.T) if by_column else a, by_column, b, c)
                np.testing.assert_array_equal(c, want)
