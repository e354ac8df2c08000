"""The models of tensor cores: one product, tiles of them, whole warps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import cuda, float32, uint32

import minigrad_cudasim as simulate
from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.ptx_tensor import bfloat16_bits
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

Array = np.ndarray[Any, Any]
EACH = (0, 4, 8, 12)  # where four accumulators go


def matrices(m: int, k: int, n: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(m + k + n)
    return tuple(rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n), (m, n)))


def tf32_kernel(a, b, c):
    t = uint32(cuda.threadIdx.x)
    g, r = t // 4, t % 4
    x = (
        ptx.to_tf32(a[g, r]),
        ptx.to_tf32(a[g + 8, r]),
        ptx.to_tf32(a[g, r + 4]),
        ptx.to_tf32(a[g + 8, r + 4]),
    )
    y = (ptx.to_tf32(b[r, g]), ptx.to_tf32(b[r + 4, g]))
    store(c, ptx.mma_tf32(x, y, load(c)))


def bf16_kernel(a, b, c):
    t = uint32(cuda.threadIdx.x)
    g, r = t // 4, 2 * (t % 4)
    x = (
        ptx.pack_bf16(a[g, r], a[g, r + 1]),
        ptx.pack_bf16(a[g + 8, r], a[g + 8, r + 1]),
        ptx.pack_bf16(a[g, r + 8], a[g, r + 9]),
        ptx.pack_bf16(a[g + 8, r + 8], a[g + 8, r + 9]),
    )
    y = (ptx.pack_bf16(b[r, g], b[r + 1, g]), ptx.pack_bf16(b[r + 8, g], b[r + 9, g]))
    store(c, ptx.mma_bf16(x, y, load(c)))


def load(c):
    t = uint32(cuda.threadIdx.x)
    g, r = t // 4, 2 * (t % 4)
    return (c[g, r], c[g, r + 1], c[g + 8, r], c[g + 8, r + 1])


def store(c, d):
    t = uint32(cuda.threadIdx.x)
    g, r = t // 4, 2 * (t % 4)
    c[g, r] = d[0]
    c[g, r + 1] = d[1]
    c[g + 8, r] = d[2]
    c[g + 8, r + 1] = d[3]


def rounded(x: Array, name: str) -> Array:
    words = x.ravel().view(np.uint32).astype(np.int64)
    if name == "bf16":
        words = np.array([bfloat16_bits(v) << 16 for v in x.ravel()])
    else:
        words = (words + 0x1000) & 0xFFFFE000
    return words.astype(np.uint32).view(np.float32).reshape(x.shape).astype(np.float64)


@pytest.mark.parametrize(("name", "depth"), [("tf32", 8), ("bf16", 16)])
def test_tensor_cores_multiply(name: str, depth: int) -> None:
    kernel = {"tf32": tf32_kernel, "bf16": bf16_kernel}[name]
    a, b, c = matrices(16, depth, 8)
    expected = rounded(a, name) @ rounded(b, name) + c
    simulate.launch(kernel, 1, 32, a, b, c, float64=True)
    np.testing.assert_allclose(c, expected, rtol=1e-6, atol=1e-6)
    with pytest.raises(simulate.Fault, match="warp: only lanes 0-15 of a warp come to mma_"):
        simulate.launch(kernel, 1, 16, a, b, c)


@pytest.mark.parametrize("name", ["tf32", "bf16"])
def test_tensor_cores_multiply_tiles(name: str) -> None:
    """Two by two accumulators, two steps of k, against one product at a time."""
    if name == "tf32":
        multiply, rounded_word = ptx.mma_tf32, ptx.to_tf32
    else:
        multiply, rounded_word = ptx.mma_bf16, twice

    def words(x, i, count):
        return tuple(rounded_word(x[(i * count + j) % x.size]) for j in range(count))

    def whole(a, b, c):
        t = cuda.threadIdx.x
        left, right = words(a, t, 16), words(b, t, 8)
        ptx.store_tile(c, 16 * t, multiply(left, right, ptx.zeros(16)), EACH)

    def single(a, b, c):
        t = cuda.threadIdx.x
        for i in range(4):
            held = ptx.zeros(4)
            for s in range(2):
                left = words(a, 4 * t + (2 * (i >> 1) + s), 4)
                held = multiply(left, words(b, 4 * t + (2 * (i & 1) + s), 2), held)
            ptx.store_tile(c, 16 * t + 4 * i, held, EACH[:1])

    a, b, _ = matrices(32, 16, 8)
    made, expected = simulate.empty(512), simulate.empty(512)
    simulate.launch(whole, 1, 32, a.ravel(), b.ravel(), made)
    simulate.launch(single, 1, 32, a.ravel(), np.resize(b.ravel(), 256), expected)
    assert made.tolist() == expected.tolist() and np.isfinite(made).all()


def twice(x):
    return ptx.pack_bf16(x, x)


def test_tensor_cores_order_no_memory() -> None:
    def kernel(y):
        tile = cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        tile[t] = 1
        word = uint32(0)
        ptx.mma_tf32((word, word, word, word), (word, word), ptx.zeros(4))
        y[t] = tile[31 - t]

    with pytest.raises(simulate.Fault, match="race"):
        simulate.launch(kernel, 1, 32, np.zeros(32, np.float32), order="reverse")
