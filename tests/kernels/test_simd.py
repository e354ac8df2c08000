from __future__ import annotations

import numpy as np
import pytest

from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.simd import registers as simd
from minigrad_kernels.simd.registers import (
    VECTOR_BYTES,
    address,
    address_array,
    copy_lanes,
    transpose_square,
)
from minigrad_kernels.simd.wide import full_width

FLOATS = [np.float32, np.float64]


@jit()
def square_all(addresses: np.ndarray, sizes: np.ndarray, like: np.ndarray) -> None:
    for i in range(addresses.size):
        x = address_array(addresses[i], sizes[i], like.dtype)
        for j in range(x.size):
            x[j] *= x[j]


@jit()
def third(address: int, size: int) -> float:
    return address_array(address, size, np.float64)[2]


@jit()
def where(x: np.ndarray) -> int:
    return address(x)


@jit()
def copied(x: np.ndarray, count: int, y: np.ndarray) -> None:
    copy_lanes(x.dtype, address(x), address(y), count)


@jit()
def transposed(x: np.ndarray, rows: int, count: int, y: np.ndarray) -> None:
    size = x.itemsize
    ld = x.shape[1] * size
    transpose_square(x.dtype, address(x), ld, rows, count, address(y), y.shape[1] * size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_address_array_reads_and_writes_every_array_of_a_table(dtype: type) -> None:
    arrays = [np.arange(n).astype(dtype) for n in (0, 1, 2, 37)]
    want = [a * a for a in arrays]
    addresses = np.array([a.ctypes.data for a in arrays], np.int64)
    sizes = np.array([a.size for a in arrays], np.int64)
    square_all(addresses, sizes, np.empty(0, dtype))
    for got, expected in zip(arrays, want, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_address_array_takes_a_dtype_by_name() -> None:
    x = np.array([1.0, 2.0, 3.5])
    assert third(x.ctypes.data, x.size) == 3.5


def test_address_is_that_of_the_first_element() -> None:
    x = np.arange(10.0)
    assert where(x) == x.ctypes.data
    assert where(x[3:]) == x.ctypes.data + 24


@pytest.mark.parametrize("dtype", FLOATS)
def test_copy_lanes_fills_up_with_zeros(dtype: type) -> None:
    width = VECTOR_BYTES // np.dtype(dtype).itemsize
    for count in (1, width - 1, width, width + 5):
        x = np.arange(1, count + 1).astype(dtype)
        y = np.full(width + 2, -1, dtype)
        copied(x, count, y)
        want = np.zeros(width, dtype)
        want[:count] = x[:width]
        np.testing.assert_array_equal(y[:width], want)
        np.testing.assert_array_equal(y[width:], -1)


@pytest.mark.parametrize("dtype", FLOATS)
def test_transpose_square_writes_the_columns_there_are(dtype: type) -> None:
    width = VECTOR_BYTES // np.dtype(dtype).itemsize
    for rows in (1, width - 1, width):
        for count in (1, width - 1, width):
            x = np.arange(rows * count).reshape(rows, count).astype(dtype)
            y = np.full((width + 1, 2 * width), -1, dtype)
            transposed(x, rows, count, y)
            np.testing.assert_array_equal(y[:count, :rows], x.T)
            np.testing.assert_array_equal(
                y[:count, rows:width], x.T[:, -1:].repeat(width - rows, 1)
            )
            np.testing.assert_array_equal(y[count:], -1)
            np.testing.assert_array_equal(y[:, width:], -1)


@pytest.mark.parametrize(
    ("listed", "want"),
    [
        ("+avx512f,+avx2,+fma", (64, 32)),
        ("-avx512f,+avx2,+fma", (32, 16)),
        ("+avx2,-fma", (16, 16)),
        ("+sse2", (16, 16)),
    ],
)
def test_registers_follow_the_features_numba_compiles_for(
    listed: str, want: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simd.config, "CPU_FEATURES", listed)
    monkeypatch.setattr(simd.platform, "machine", lambda: "x86_64")
    assert simd._registers() == want


@jit()
def doubled(x: np.ndarray, y: np.ndarray) -> None:
    full_width()
    p, q = address(x), address(y)
    for i in range(x.size):
        store_at(q, i, load_at(p, i, x, 0) + load_at(p, i, x, 0), 1)


@pytest.mark.parametrize("dtype", FLOATS)
def test_loops_use_whole_registers_where_they_are_asked_to(dtype: type) -> None:
    x = np.arange(1003, dtype=dtype)
    y = np.full(1003, np.nan, dtype)
    doubled(x, y)
    np.testing.assert_array_equal(y, 2 * x)
    (signature,) = [s for s in doubled.signatures if s[0].dtype.bitwidth == 8 * x.itemsize]
    assert f'"prefer-vector-width"="{8 * VECTOR_BYTES}"' in doubled.inspect_llvm(signature)
    if VECTOR_BYTES == 64:
        assert "zmm" in doubled.inspect_asm(signature)
