from __future__ import annotations

import numpy as np
import pytest

from minigrad_kernels.launch import jit
from minigrad_kernels.simd import address_array


@jit(parallel=False)
def scale_all(addresses: np.ndarray, sizes: np.ndarray, like: np.ndarray) -> None:
    for i in range(addresses.size):
        x = address_array(addresses[i], sizes[i], like.dtype)
        for j in range(x.size):
            x[j] *= x[j]


@jit()
def third(address: int, size: int) -> float:
    return address_array(address, size, np.float64)[2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_address_array_reads_and_writes_every_array_of_a_table(dtype: type) -> None:
    arrays = [np.arange(n).astype(dtype) for n in (0, 1, 2, 37)]
    want = [a * a for a in arrays]
    addresses = np.array([a.ctypes.data for a in arrays], np.int64)
    sizes = np.array([a.size for a in arrays], np.int64)
    scale_all(addresses, sizes, np.empty(0, dtype))
    for got, expected in zip(arrays, want, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_address_array_takes_a_dtype_by_name() -> None:
    x = np.array([1.0, 2.0, 3.5])
    assert third(x.ctypes.data, x.size) == 3.5
