from __future__ import annotations

import numba
import numpy as np
import pytest

from minigrad_kernels.matmul import gemm as matmul
from minigrad_kernels.matmul.gemm import KERNELS
from minigrad_kernels.matmul.packing import MC
from minigrad_kernels.matmul.register_tile import HEIGHT
from minigrad_kernels.matmul.task import NOTHING, PLAIN, arenas, task_address
from tests.kernels.samples.matmul import SAMPLES, matrix

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def tolerance(k: int, dtype: np.dtype) -> float:
    """Return eight times the standard deviation of rounding when k normal products are summed."""
    return 8 * float(np.finfo(dtype).eps) * (k / 8**0.5 + 1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["gemm", "gemm_bias", "gemm_accumulate", "bmm"])
def test_samples_agree_with_the_reference(
    name: str, dtype: np.dtype, rng: np.random.Generator
) -> None:
    for args in SAMPLES[name](rng, dtype):
        want = args[-1].astype(np.float64)
        KERNELS[name].reference(*args[:-1], want)
        inputs = [x.copy() for x in args[:-1]]
        KERNELS[name].cpu(*args)
        atol = tolerance(args[0].shape[-1], dtype)
        message = f"{name} {[x.shape for x in args]} {[x.strides for x in args]}"
        np.testing.assert_allclose(args[-1], want, rtol=0, atol=atol, err_msg=message)
        for x, before in zip(args, inputs, strict=False):
            np.testing.assert_array_equal(x, before, err_msg=message)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(260, 300, 130), (1100, 70, 10), (10, 500, 900), (1, 2000, 700)])
def test_bits_depend_neither_on_threads_nor_on_the_other_rows(
    shape: tuple[int, int, int], dtype: np.dtype, rng: np.random.Generator
) -> None:
    m, k, n = shape
    a = matrix(rng, (m, k), dtype, "rows")
    b = matrix(rng, (k, n), dtype, "columns")
    most = numba.get_num_threads()
    results = []
    try:
        for threads in (1, most):
            numba.set_num_threads(threads)
            c = np.full((m, n), np.nan, dtype)
            KERNELS["gemm"].cpu(a, b, c)
            results.append(c)
    finally:
        numba.set_num_threads(most)
    np.testing.assert_array_equal(results[0], results[1])
    some = np.empty((m // 2, n - 3), dtype)
    KERNELS["gemm"].cpu(a[m // 2 : m // 2 * 2], b[:, 3:], some)
    np.testing.assert_array_equal(some, results[0][m // 2 : m // 2 * 2, 3:])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("b_transposed", [False, True])
@pytest.mark.parametrize("a_transposed", [False, True])
@pytest.mark.parametrize(("k", "n"), [(520, 544), (300, 70), (40, 1088)])
def test_few_rows_and_uneven_blocks_have_the_bits_of_many(
    k: int,
    n: int,
    a_transposed: bool,
    b_transposed: bool,
    dtype: np.dtype,
    rng: np.random.Generator,
) -> None:
    """Rows of b are read in place up to HEIGHT rows, packed strip by strip up to twice as many, and
    rows of a are split evenly, from MC on.
    """
    a = rng.standard_normal((2 * MC + 1, k)).astype(dtype)
    b = rng.standard_normal((k, n)).astype(dtype)
    b = np.ascontiguousarray(b.T).T if b_transposed else b
    whole = np.empty((len(a), n), dtype)
    KERNELS["gemm"].cpu(a, b, whole)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_allclose(whole, exact, rtol=0, atol=tolerance(k, dtype))
    for m in {1, 2, *(x + d for x in (HEIGHT, 2 * HEIGHT, MC) for d in (-1, 0, 1)), 2 * MC}:
        rows = np.asfortranarray(a[:m]) if a_transposed else a[:m]
        memory = np.full((m + 1, n), -7, dtype)
        KERNELS["gemm"].cpu(rows, b, memory[:m])
        np.testing.assert_array_equal(memory[:m], whole[:m], err_msg=f"{m} rows")
        assert (memory[m] == -7).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_follows_a_product_follows_that_of_few_rows_too(
    dtype: np.dtype, rng: np.random.Generator
) -> None:
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((2 * MC, 530), (530, 544)))
    bias = rng.standard_normal(544).astype(dtype)
    results = {}
    for m in (2 * MC, HEIGHT, HEIGHT + 1, 1):
        z, y, masked, c = (np.empty((m, 544), dtype) for _ in range(4))
        sums = np.empty(m, dtype)
        KERNELS["gemm_activation_saved"].cpu(a[:m], b, bias, "gelu", z, y)
        KERNELS["gemm_masked"].cpu(a[:m], b, z, "gelu", masked)
        KERNELS["gemm_sums"].cpu(a[:m], b, c, sums)
        results[m] = z, y, masked, c, sums
    for m, found in results.items():
        for one, all_rows in zip(found, results[2 * MC], strict=True):
            np.testing.assert_array_equal(one, all_rows[:m], err_msg=f"{m} rows")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_grid_of_tasks_covers_c(dtype: np.dtype, rng: np.random.Generator) -> None:
    a = matrix(rng, (61, 20), dtype, "rows")
    b = matrix(rng, (20, 150), dtype, "rows")
    want = np.empty((61, 150), dtype)
    known = (task_address(dtype), arenas(), a, False, b, False)
    matmul.gemm_one(*known, want, PLAIN, want, NOTHING, want)
    for row_blocks, column_blocks in ((1, 1), (1, 7), (9, 1), (3, 4), (40, 40)):
        c = np.full((61, 150), np.nan, dtype)
        matmul.gemm_all(*known, c, PLAIN, c, NOTHING, c, row_blocks, column_blocks)
        np.testing.assert_array_equal(c, want)


@pytest.mark.parametrize("m", [1, 5, 60])
@pytest.mark.parametrize("n", [1, 31, 64])
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_stay_in_their_row_and_column(
    m: int, n: int, layout: str, bad: float, rng: np.random.Generator
) -> None:
    for where in ("a", "b"):
        a = np.abs(matrix(rng, (m, 19), np.dtype(np.float32), layout)) + 1
        b = np.abs(matrix(rng, (19, n), np.dtype(np.float32), layout)) + 1
        if where == "a":
            a[m // 2, 18] = bad
        else:
            b[18, n // 2] = bad
        c = np.empty((m, n), np.float32)
        KERNELS["gemm"].cpu(a, b, c)
        hit = np.zeros((m, n), bool)
        hit[m // 2 if where == "a" else slice(None), slice(None) if where == "a" else n // 2] = True
        assert np.isfinite(c[~hit]).all()
        np.testing.assert_array_equal(c[hit], np.full(hit.sum(), bad, np.float32))


def test_nothing_is_written_outside_c(rng: np.random.Generator) -> None:
    for m, k, n in ((5, 3, 7), (13, 40, 33), (200, 100, 97)):
        memory = np.full(m * n + 64, -7, np.float32)
        c = memory[32 : 32 + m * n].reshape(m, n)
        a = matrix(rng, (m, k), np.dtype(np.float32), "rows")
        b = matrix(rng, (k, n), np.dtype(np.float32), "columns")
        KERNELS["gemm"].cpu(a, b, c)
        assert (memory[:32] == -7).all()
        assert (memory[32 + m * n :] == -7).all()


def test_grid_splits_what_is_long() -> None:
    assert matmul.grid(4096, 10, 4) == (4, 1)
    assert matmul.grid(10, 4096, 4) == (1, 4)
    assert matmul.grid(4096, 4096, 4) == (2, 2)
    assert matmul.grid(1, 1, 1) == (1, 1)


def test_cost_counts_multiply_adds() -> None:
    a = np.empty((3, 4), np.float32)
    b = np.empty((4, 5), np.float32)
    c = np.empty((3, 5), np.float32)
    assert KERNELS["gemm"].cost(a, b, c) == (120, 4 * (12 + 20 + 15))
    assert KERNELS["gemm_bias"].cost(a, b, c[0], c) == (135, 4 * (12 + 20 + 15 + 5))
    assert KERNELS["gemm_accumulate"].cost(a, b, c) == (135, 4 * (12 + 20 + 15 + 15))


@pytest.mark.parametrize(("k", "factor"), [(64, 1.2), (784, 1.0), (2048, 1.0)])
def test_the_error_is_near_that_of_a_blas(k: int, factor: float, rng: np.random.Generator) -> None:
    a = matrix(rng, (128, k), np.dtype(np.float32), "rows")
    b = matrix(rng, (k, 128), np.dtype(np.float32), "rows")
    c = np.empty((128, 128), np.float32)
    KERNELS["gemm"].cpu(a, b, c)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    ours, theirs = (float(np.sqrt(np.mean((x - exact) ** 2))) for x in (c, a @ b))
    assert ours <= factor * theirs


@pytest.mark.parametrize("m", [1, 5, 300])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_column_has_the_bits_that_it_has_among_others(
    m: int, dtype: np.dtype, rng: np.random.Generator
) -> None:
    a, b = rng.normal(size=(m, 211)).astype(dtype), rng.normal(size=(211, 18)).astype(dtype)
    whole, alone = np.empty((m, 18), dtype), np.empty((m, 1), dtype)
    KERNELS["gemm"].cpu(a, b, whole)
    for left in (a, np.asfortranarray(a), np.repeat(a, 2, 1)[:, ::2]):
        for right in (b[:, 3:4], b[:, 3:4].copy()):
            KERNELS["gemm"].cpu(left, right, alone)
            np.testing.assert_array_equal(alone, whole[:, 3:4])
    batch = np.empty((2, m, 1), dtype)
    KERNELS["bmm"].cpu(np.stack([a, a]), np.broadcast_to(b[:, 3:4], (2, 211, 1)), batch)
    np.testing.assert_array_equal(batch, [whole[:, 3:4]] * 2)
