"""What follows a product has the bits of the product, and of the kernel that follows."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad_kernels.matmul.epilogue import ACTIVATIONS
from minigrad_kernels.table import KERNELS
from tests.kernels.samples.matmul import matrix

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
SHAPES = ((1, 1, 1), (5, 3, 70), (64, 30, 64), (130, 40, 257), (250, 700, 300))


def close(activation: str, got: np.ndarray, want: np.ndarray) -> None:
    """Hold relu to the same bits; the others, whose kernel may be a ufunc, to 4 ULP of 1."""
    if activation == "relu":
        np.testing.assert_array_equal(got, want)
    else:
        atol = 4 * np.finfo(got.dtype).eps
        np.testing.assert_allclose(got, want, rtol=atol, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_has_the_bits_of_two_kernels(
    activation: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    for m, k, n in SHAPES:
        a = matrix(rng, (m, k), dtype, "rows")
        b = matrix(rng, (k, n), dtype, "columns")
        bias = rng.standard_normal(n).astype(dtype)
        z, y, got_z, got, got_alone = (np.full((m, n), np.nan, dtype) for _ in range(5))
        KERNELS["gemm_bias"].cpu(a, b, bias, z)
        KERNELS[activation].cpu(z, y)
        KERNELS["gemm_activation_saved"].cpu(a, b, bias, activation, got_z, got)
        KERNELS["gemm_activation"].cpu(a, b, bias, activation, got_alone)
        np.testing.assert_array_equal(got_z, z)
        close(activation, got, y)
        np.testing.assert_array_equal(got_alone, got)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_mask_has_the_bits_of_two_kernels(
    activation: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    for m, k, n in SHAPES:
        g = matrix(rng, (m, k), dtype, "rows")
        weight = matrix(rng, (k, n), dtype, "rows")
        saved = rng.standard_normal((m, n)).astype(dtype)
        product, want, got = (np.full((m, n), np.nan, dtype) for _ in range(3))
        KERNELS["gemm"].cpu(g, weight, product)
        KERNELS[f"{activation}_backward"].cpu(product, saved, want)
        KERNELS["gemm_masked"].cpu(g, weight, saved, activation, got)
        close(activation, got, want)


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_relu_lets_nan_pass_and_gives_a_positive_zero(layout: str) -> None:
    a = np.array([[1.0, 0.0], [np.nan, 0.0], [-1.0, 0.0], [-0.0, -0.0]], np.float32)
    b = np.asarray(np.ones((2, 40), np.float32), order="C" if layout == "rows" else "F")
    y = np.empty((4, 40), np.float32)
    KERNELS["gemm_activation"].cpu(a, b, np.empty(0, np.float32), "relu", y)
    np.testing.assert_array_equal(y[:, 0], np.array([1, np.nan, 0, 0], np.float32))
    assert not np.signbit(y[[0, 2, 3]]).any()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(7, 1000, 5), (300, 900, 40), (40, 900, 300), (9, 0, 4)])
def test_sums_leave_the_product_and_depend_on_nothing_but_a(
    shape: tuple[int, int, int], dtype: np.dtype, rng: np.random.Generator
) -> None:
    m, k, n = shape
    a = matrix(rng, (m, k), dtype, "columns")
    b = matrix(rng, (k, n), dtype, "rows")
    want, c = np.empty((m, n), dtype), np.empty((m, n), dtype)
    sums, others = np.empty(m, dtype), np.empty(m, dtype)
    KERNELS["gemm"].cpu(a, b, want)
    KERNELS["gemm_sums"].cpu(a, b, c, sums)
    np.testing.assert_array_equal(c, want)
    exact = a.astype(np.float64).sum(1)
    np.testing.assert_allclose(sums, exact, rtol=0, atol=np.finfo(dtype).eps * max(k, 1))
    KERNELS["gemm_sums"].cpu(np.ascontiguousarray(a), b[:, :1], c[:, :1].copy(), others)
    np.testing.assert_array_equal(others, sums)
