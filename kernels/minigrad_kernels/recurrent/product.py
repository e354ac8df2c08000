"""The product of a recurrent layer's step: of ever new rows with one matrix, which is packed once.

    c = base + a @ b

`pack` lays b out in strips, as matmul/task.py does for each product anew; `product` lays register
tiles over them.  Each element is summed in the order of k, block after block: its bits are those of
`gemm`, and depend neither on threads nor on the number of rows.

Shapes: a: (rows, K), b: (K, N), base, c: (rows, N); steps from row to row in bytes.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigrad_kernels.jit.compile import get_num_threads, jit
from minigrad_kernels.jit.function_pointers import call_at, entry
from minigrad_kernels.matmul.packing import STRIP_BYTES, depth_of, pack_strips
from minigrad_kernels.matmul.register_tile import strip
from minigrad_kernels.simd.registers import VECTOR_BYTES, address

SMALL = 2**21  # multiply-adds of all steps from which two threads pay for their fork and join
ROWS = 96  # of a task: what they keep of a step stays in second-level cache


def functions_of(dtype: Any) -> tuple[Any, Any]:
    """Return the jitted `pack` and `product` of a dtype; all their arguments are int64."""
    size = np.dtype(dtype).itemsize

    @jit(name=f"recurrent.pack.{np.dtype(dtype)}")
    def pack(b, ldb, transposed, k_all, n, target):
        """Pack b: (K, N), or the rows of its transpose."""
        depth = depth_of(k_all)
        width = (n * size + STRIP_BYTES - 1) // STRIP_BYTES * STRIP_BYTES
        for p in range(0, k_all, depth):
            source = b + p * size if transposed else b + p * ldb
            kc = min(depth, k_all - p)
            pack_strips(dtype, size, source, ldb, transposed, kc, n, target + p * width)

    @jit(name=f"recurrent.product.{np.dtype(dtype)}")
    def product(a, lda, packed, k_all, n, rows, base, base_ld, c, ldc):
        """Compute c = base + a @ b; base_ld: 0 where all rows start from one, which may be c's."""
        nr = STRIP_BYTES // size
        depth = depth_of(k_all)
        at_b = packed
        for p in range(0, k_all, depth):
            kc = min(depth, k_all - p)
            for j in range(0, n, nr):
                to = c + j * size
                start, start_ld = (to, ldc) if p else (base + j * size, base_ld)
                strip(
                    dtype, 0, rows, a + p * size, lda,
                    at_b, STRIP_BYTES, kc, depth, start, start_ld, to, ldc, n - j,
                )  # fmt: skip
                at_b += kc * STRIP_BYTES

    return pack, product


FUNCTIONS = {np.dtype(dtype): functions_of(dtype) for dtype in (np.float32, np.float64)}


@functools.cache
def addresses(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the addresses of `pack` and `product`, compiled at the first use."""
    pack, product = FUNCTIONS[dtype]
    return entry(pack, 6), entry(product, 10)


@jit()
def packed_bytes(k_all, n, size):
    """Return the bytes that a packed matrix takes, and those by which it is aligned."""
    return k_all * ((n * size + STRIP_BYTES - 1) // STRIP_BYTES) * STRIP_BYTES + VECTOR_BYTES


@jit()
def aligned(memory):
    """Return the first address in an array that is a multiple of a vector register's size."""
    return (address(memory) + VECTOR_BYTES - 1) // VECTOR_BYTES * VECTOR_BYTES


@jit()
def pack_into(pack, b, transposed, k_all, n, memory):
    """Pack the rows of a C-contiguous b: (K, N), or (N, K) if it is transposed."""
    ldb = (k_all if transposed else n) * b.itemsize
    call_at(pack, (address(b), ldb, transposed, k_all, n, aligned(memory)))


def tasks_of(steps: int, batch: int, work: int) -> int:
    """Return into how many tasks a batch is split, each of which goes through all steps.

    work: multiply-adds of a row's step.  No bit depends on it.
    """
    threads = get_num_threads() if steps * batch * work >= SMALL else 1
    return max(1, min(batch, max(threads, -(-batch // ROWS))))
