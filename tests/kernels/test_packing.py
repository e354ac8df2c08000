from __future__ import annotations

import numpy as np
import pytest

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.function_pointers import entry
from minigrad_kernels.matmul.gemm import gemm_one
from minigrad_kernels.matmul.packing import (
    KC,
    STRIP_BYTES,
    depth_of,
    pack_panels,
    pack_strips,
    panel_bytes,
    together_of,
)
from minigrad_kernels.matmul.register_tile import HEIGHT
from minigrad_kernels.matmul.task import ARGUMENTS, LEVEL1, NOTHING, PLAIN, TASKS, task_of
from minigrad_kernels.simd.registers import VECTOR_BYTES, address

FLOATS = [np.float32, np.float64]
ODD = (1, 2, 7, 16, 33)


@jit()
def strips_of(b, transposed, kc, columns, target):
    ld = b.shape[1] * b.itemsize
    pack_strips(b.dtype, b.itemsize, address(b), ld, transposed, kc, columns, address(target))


@jit()
def panels_of(a, transposed, kc, rows, target):
    ld = a.shape[1] * a.itemsize
    pack_panels(a.dtype, a.itemsize, address(a), ld, transposed, kc, rows, address(target))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transposed", [False, True])
def test_strips_hold_b(transposed: bool, dtype: type, rng: np.random.Generator) -> None:
    width = STRIP_BYTES // np.dtype(dtype).itemsize
    for kc in ODD:
        for columns in (*ODD, 5 * width + 1):
            b = rng.standard_normal((kc, columns)).astype(dtype)
            strips = -(-columns // width)
            target = np.full(strips * kc * width + 1, -7, dtype)
            strips_of(
                np.ascontiguousarray(b.T) if transposed else b, transposed, kc, columns, target
            )
            got = target[:-1].reshape(strips, kc, width).swapaxes(0, 1).reshape(kc, -1)
            np.testing.assert_array_equal(got[:, :columns], b)
            assert target[-1] == -7


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("transposed", [False, True])
def test_panels_hold_a(transposed: bool, dtype: type, rng: np.random.Generator) -> None:
    size = np.dtype(dtype).itemsize
    for kc in ODD:
        step = panel_bytes(kc, size) // size
        for rows in (1, HEIGHT - 1, HEIGHT, 3 * HEIGHT + 1):
            a = rng.standard_normal((rows, kc)).astype(dtype)
            panels = -(-rows // HEIGHT)
            target = np.full(panels * step + 1, -7, dtype)
            panels_of(np.ascontiguousarray(a.T) if transposed else a, transposed, kc, rows, target)
            lines = target[:-1].reshape(panels, step)[:, : kc * HEIGHT].reshape(panels, kc, HEIGHT)
            got = lines.swapaxes(1, 2).reshape(-1, kc)
            np.testing.assert_array_equal(got[:rows], a)
            assert target[-1] == -7


def test_panels_keep_apart_what_whole_vectors_spoil() -> None:
    for size in (4, 8):
        assert panel_bytes(10, size) - 10 * HEIGHT * size >= VECTOR_BYTES - size


def test_blocks_of_k_are_even_and_whole_vectors() -> None:
    for k in (0, 1, 15, 100, KC, KC + 1, 3 * KC // 2, 5 * KC + 7):
        depth = depth_of(k)
        assert depth % 16 == 0
        assert depth <= 3 * KC // 2 + 15
        blocks = max(1, -(-k // depth)) if depth else 1
        assert blocks * depth - k < 16 * max(1, blocks) + 1


def test_blocks_go_together_while_their_strip_stays_in_the_cache() -> None:
    strip_bytes = 128 * STRIP_BYTES
    assert together_of(128, strip_bytes) == 1  # one at least
    assert together_of(128, 4 * strip_bytes - 4) == 2
    assert together_of(128, 4 * strip_bytes) == 3
    assert together_of(4096, 1 << 15) == 1
    assert together_of(0, 1 << 15) > 0


def test_bits_do_not_depend_on_the_cache_size(rng: np.random.Generator) -> None:
    a = rng.standard_normal((61, 900)).astype(np.float32)
    b = rng.standard_normal((900, 150)).astype(np.float32)
    other = 1 << 10 if together_of(depth_of(900), LEVEL1) > 1 else 1 << 16
    assert together_of(depth_of(900), other) != together_of(depth_of(900), LEVEL1)
    memory = np.empty(4 << 20, np.uint8)
    results = []
    for task in (TASKS[np.dtype(np.float32)], task_of(np.float32, "gemm_task.tests", other)):
        c = np.empty((61, 150), np.float32)
        address_of = memory.ctypes.data
        gemm_one(entry(task, ARGUMENTS), address_of, a, False, b, False, c, PLAIN, c, NOTHING, c)
        results.append(c)
    np.testing.assert_array_equal(*results)
