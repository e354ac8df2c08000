"""Each intrinsic's model computes what the instruction does, and finds what misuses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import cuda, float32

import minigrad_cudasim as simulate
from minigrad_cudasim.models import MODELS
from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.targets import Simulator, upload
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

Array = np.ndarray[Any, Any]


def test_every_intrinsic_has_a_model() -> None:
    assert [name for name in ptx.__all__ if id(getattr(ptx, name)) not in MODELS] == []


# ---------------------------------------------------------------- 128 bits at once
@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint32, np.float64])
def test_vectors_are_16_bytes(dtype: Any) -> None:
    count = 16 // np.dtype(dtype).itemsize

    def kernel(x, y):
        t = cuda.threadIdx.x
        ptx.store128(y, (3 - t) * count, ptx.load128(x, t * count))

    x = np.arange(4 * count).astype(dtype)
    y = simulate.empty(4 * count, dtype)
    simulate.launch(kernel, 1, 4, x, y)
    assert y.tolist() == x.reshape(4, count)[::-1].ravel().tolist()


def test_vectors_must_be_aligned_inside_and_alone() -> None:
    def load(x, y, at):
        y[0] = ptx.load128(x, at)[0]

    def store(x, y, at):
        v = x[0]
        ptx.store128(y, at, (v, v, v, v))

    def finding(kernel: Callable[..., None], x: Array, at: int, threads: int = 1) -> str:
        with pytest.raises(simulate.Fault) as caught:
            simulate.launch(kernel, 1, threads, x, np.zeros(12, np.float32), at, strict=True)
        return caught.value.kind

    x = np.zeros(12, np.float32)
    assert finding(load, x, 1) == finding(store, x, 2) == finding(load, x[1:], 0) == "misaligned"
    assert finding(load, x, 12) == finding(store, x, -4) == finding(load, x[:10], 8) == "bounds"
    assert finding(store, x, 0, 2) == "race"
    simulate.launch(load, 1, 1, x[4:], x, 0)


def test_shared_vectors_need_an_alignment() -> None:
    def kernel(y):
        loose = cuda.shared.array(8, float32)
        tight = cuda.shared.array(8, float32, alignment=16)
        for i in range(8):
            loose[i] = i
            tight[i] = i
        ptx.store128(y, 0, ptx.load128(tight, 4))
        ptx.load128(loose, 4)

    y = np.zeros(4, np.float32)
    with pytest.raises(simulate.Fault, match="128-bit access of shared loose.4., ") as caught:
        simulate.launch(kernel, 1, 1, y)
    assert "alignment=16" in str(caught.value) and y.tolist() == [4, 5, 6, 7]


# ---------------------------------------------------------------- register tiles and bits
def test_outer_products() -> None:
    def kernel(p, q, y):
        tile = ptx.zeros(6)
        for _ in range(2):
            tile = ptx.outer_fma(tile, (p[0], p[1]), (q[0], q[1], q[2]))
        for i in range(6):
            y[i] = tile[i]

    p, q = np.array([0.5, -3], np.float32), np.array([7, 0.1, -2], np.float32)
    y = simulate.empty(6)
    simulate.launch(kernel, 1, 1, p, q, y, float64=True)
    np.testing.assert_allclose(y, 2 * np.outer(p, q).ravel(), rtol=1e-6)


def through(function: Callable[..., Any], *columns: Any) -> list[int]:
    """Return the words that a kernel gets from an intrinsic, one thread a row."""

    def one(x, y):
        t = cuda.threadIdx.x
        y[t] = function(x[t])

    def two(x, z, y):
        t = cuda.threadIdx.x
        y[t] = function(x[t], z[t])

    held = [np.array(c, np.float32) for c in columns]
    y = simulate.empty(len(held[0]), np.uint32)
    simulate.launch(one if len(held) == 1 else two, 1, len(held[0]), *held, y)
    return y.tolist()


def test_bits_of_floats() -> None:
    def back(x):
        return ptx.float_bits(ptx.bits_float(ptx.float_bits(x)))

    cuda_back = cuda.jit(device=True)(back)
    assert through(ptx.float_bits, [1.0, -2.0]) == [0x3F800000, 0xC0000000]
    assert through(cuda_back, [1.0, -2.0]) == [0x3F800000, 0xC0000000]


def test_tf32_rounds_ties_away() -> None:
    up, tie, down = 1 + 3 * 2**-11, 1 + 2**-11, 1 + 2**-12
    assert through(ptx.to_tf32, [1, up, tie, down, -tie, np.inf]) == [
        0x3F800000,
        0x3F804000,
        0x3F802000,
        0x3F800000,
        0xBF802000,
        0x7F800000,
    ]


def test_bfloat16_rounds_ties_to_even() -> None:
    low = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-16, -np.inf, np.nan, 3.4e38]
    high = [1, 2, 3, 4, 5, 6]
    words = through(ptx.pack_bf16, low, high)
    assert [w & 0xFFFF for w in words] == [0x3F80, 0x3F82, 0x3F81, 0xFF80, 0x7FFF, 0x7F80]
    assert [w >> 16 for w in words] == [0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0, 0x40C0]


@pytest.mark.parametrize(
    ("places", "stored"), [((4, 0), [3, 4, 9, 9, 1, 2]), ((5, 0, 3, 1), [2, 4, 9, 3, 9, 1])]
)
def test_a_tile_is_stored_where_it_is_told(places: tuple[int, ...], stored: list[int]) -> None:
    def kernel(y, at):
        held = (float32(1), float32(2), float32(3), float32(4))
        ptx.store_tile(y, at, held, places)

    y = np.full(8, 9, np.float32)
    simulate.launch(kernel, 1, 1, y[:6], 0)
    assert y.tolist() == [*stored, 9, 9]
    with pytest.raises(simulate.Fault, match="bounds" if len(places) == 4 else "misaligned"):
        simulate.launch(kernel, 1, 1, y[:6] if len(places) == 4 else y, 1)


# ---------------------------------------------------------------- asynchronous copies
def copying(x, y, wait, barrier):
    tile = cuda.shared.array(16, float32, alignment=16)
    t = cuda.threadIdx.x
    ptx.copy_async(tile, 4 * t, x, 4 * t)
    ptx.commit_copies()
    if wait:
        ptx.wait_copies(0)
    if barrier:
        cuda.syncthreads()
    for i in range(4):
        y[4 * t + i] = tile[15 - 4 * t - i]


def test_copies_come_after_a_wait_and_a_barrier() -> None:
    x, y = np.arange(16, dtype=np.float32), simulate.empty(16)
    for order in simulate.ORDERS:
        simulate.launch(copying, 1, 4, x, y, True, True, order=order)
        assert y.tolist() == x[::-1].tolist()
        for wait, barrier in ((False, True), (True, False)):
            with pytest.raises(simulate.Fault) as caught:
                simulate.launch(copying, 1, 4, x, y, wait, barrier, order=order)
            assert caught.value.kind in ("uninitialised", "race")


def test_groups_of_copies_come_in_order() -> None:
    def kernel(x, y, pending):
        tile = cuda.shared.array(8, float32, alignment=16)
        ptx.copy_async(tile, 0, x, 0)
        ptx.commit_copies()
        ptx.copy_async(tile, 4, x, 4)
        ptx.commit_copies()
        ptx.wait_copies(pending)
        y[0] = tile[0]
        if pending == 0:
            y[1] = tile[4]

    def early(x, y):
        tile = cuda.shared.array(8, float32, alignment=16)
        ptx.copy_async(tile, 0, x, 0)
        ptx.wait_copies(0)  # waits for groups, and this copy is in none
        y[0] = tile[0]

    x, y = np.arange(8, dtype=np.float32), simulate.empty(2)
    simulate.launch(kernel, 1, 1, x, y, 1)
    simulate.launch(kernel, 1, 1, x, y, 0)
    assert y.tolist() == [0, 4]
    with pytest.raises(simulate.Fault, match="uninitialised"):
        simulate.launch(early, 1, 1, x, y)


def test_copies_are_16_aligned_bytes() -> None:
    def kernel(x, at, start):
        tile = cuda.shared.array(8, float32, alignment=16)
        ptx.copy_async(tile, at, x, start)

    x = np.zeros(8, np.float32)
    for at, start in ((1, 0), (0, 1)):
        with pytest.raises(simulate.Fault, match="misaligned"):
            simulate.launch(kernel, 1, 1, x, at, start)
    with pytest.raises(simulate.Fault, match="bounds"):
        simulate.launch(kernel, 1, 1, x, 0, 8)


def test_copies_outside_are_zeros() -> None:
    def kernel(x, y, inside):
        tile = cuda.shared.array(12, float32, alignment=16)
        ptx.copy_async_or_zero(tile, 0, x, 0, inside)
        ptx.copy_async_or_zero(tile, 4, x, 1000, False)
        for i in range(4):
            ptx.copy_element_or_zero(tile, 8 + i, x, 3 - i if i else 1000, i > 0)
        ptx.commit_copies()
        ptx.wait_copies(0)
        for i in range(12):
            y[i] = tile[i]

    x, y = np.arange(1, 5, dtype=np.float32), simulate.empty(12)
    simulate.launch(kernel, 1, 1, x, y, True)
    assert y.tolist() == [1, 2, 3, 4, 0, 0, 0, 0, 0, 3, 2, 1]
    with pytest.raises(simulate.Fault, match="misaligned"):
        simulate.launch(kernel, 1, 1, np.arange(5, dtype=np.float32)[1:], y, True)


def test_calling_an_intrinsic_outside_a_kernel_raises() -> None:
    with pytest.raises(NotImplementedError):
        ptx.load128(np.zeros(4, np.float32), 0)


# ---------------------------------------------------------------- memory at an address
def test_arrays_at_an_address_are_the_memory_there() -> None:
    def kernel(table, like, y):
        t = cuda.threadIdx.x
        x = ptx.array_at(table[t, 0], table[t, 1], like.dtype)
        held = float32(0)
        for i in range(x.size):
            held += x[i]
        y[t] = held
        x[0] = float32(7)

    device = Simulator()
    rows = [upload(device, np.arange(n, dtype=np.float32)) for n in (4, 7)]
    table = np.array([[a.address, a.size] for a in rows])
    y = device.empty(2, np.float32)
    device.run(kernel, 1, 2, (upload(device, table), device.empty(0, np.float32), y))
    assert device.read(y).tolist() == [6.0, 21.0]
    assert [device.read(a)[0] for a in rows] == [7.0, 7.0]


@pytest.mark.parametrize(
    ("change", "kind"),
    [("none", ""), ("beyond", "bounds"), ("wild", "bounds"), ("unwritten", "uninitialised")],
)
def test_what_lies_at_no_address_is_found(change: str, kind: str) -> None:
    def kernel(table, like, y):
        y[0] = ptx.array_at(table[0], table[1], like.dtype)[1]

    device = Simulator()
    x = device.empty(4, np.float32)
    if change != "unwritten":
        device.write(x, 1)
    table = np.array([64 if change == "wild" else x.address, 5 if change == "beyond" else 4])
    args = (upload(device, table), device.empty(0, np.float32), device.empty(1, np.float32))
    if not kind:
        device.run(kernel, 1, 1, args)
        return
    with pytest.raises(simulate.Fault) as caught:
        device.run(kernel, 1, 1, args)
    assert caught.value.kind == kind


def test_races_on_memory_at_an_address_are_found() -> None:
    def kernel(table, y):
        ptx.array_at(table[0], 4, y.dtype)[0] = float32(cuda.threadIdx.x)

    device = Simulator()
    x = upload(device, np.zeros(4, np.float32))
    table = upload(device, np.array([x.address]))
    with pytest.raises(simulate.Fault, match="race: write and write of global memory"):
        device.run(kernel, 1, 2, (table, x))
