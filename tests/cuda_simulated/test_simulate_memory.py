"""The simulator finds what lies outside of memory or was never written, and checks launches."""

from __future__ import annotations

import numpy as np
import pytest
from numba import cuda, float32, int32

import minigrad_cudasim as simulate
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.faults import N, clean, fault, sources, x

require_greenlet()

FULL = 0xFFFFFFFF


# ---------------------------------------------------------------- memory
@pytest.mark.parametrize(
    ("index", "shown"),
    [(N, "[64] lies outside shape (64,)"), (-1, "[-1] lies outside"), (np.uint32(99), "[99]")],
)
def test_an_index_outside(index: int, shown: str) -> None:
    def kernel(y, i):
        y[i] = 1

    found = fault(kernel, 1, 1, x(), index)
    assert found.kind == "bounds" and shown in found.summary and "global y" in found.summary


def test_an_index_outside_in_each_rank_and_view() -> None:
    def matrix(a):
        a[1, 4] = 0

    def row(a):
        b = a[1]
        b[4] = 0

    def part(a):
        b = a[1:3, 1]
        b[2] = 0

    def cube(a):
        a.reshape((3, 2, 2))[0, 2, 0] = 0

    def missing_row(a):
        a[3][0] = 0

    for kernel in (matrix, row, part, cube, missing_row):
        assert fault(kernel, 1, 1, np.zeros((3, 4))).kind == "bounds"


def test_views_write_through_and_are_logged() -> None:
    def kernel(a):
        row = a[cuda.threadIdx.x]
        row[1:3] = 7
        row[0] = row[2]

    a = np.zeros((2, 4), np.float32)
    clean(kernel, 1, 2, a)
    assert a.tolist() == [[7, 7, 7, 0]] * 2

    def race(a):
        a[0, 1:3] = 7

    assert fault(race, 1, 2, a).kind == "race"


def test_a_reshape_never_copies() -> None:
    def kernel(a):
        a.T.reshape(8)[0] = 1

    assert "would have to copy" in fault(kernel, 1, 1, np.zeros((2, 4))).summary


def test_shared_memory_begins_unwritten_in_every_block() -> None:
    def kernel(y):
        tile = cuda.shared.array((2, 2), float32)
        if cuda.blockIdx.x == 0:
            tile[1, 1] = 3
        y[cuda.blockIdx.x] = tile[1, 1]

    found = fault(kernel, 2, 1, x())
    assert found.kind == "uninitialised" and "shared tile[1, 1]" in found.summary


def test_local_memory_begins_unwritten_and_is_the_threads_own() -> None:
    def kernel(y, upto):
        own = cuda.local.array(4, float32)
        t = cuda.threadIdx.x
        for i in range(upto):
            own[i] = t
        y[t] = own[3]

    y = simulate.empty(8)
    clean(kernel, 1, 8, y, 4)
    assert y.tolist() == list(range(8))
    assert fault(kernel, 1, 8, y, 3).kind == "uninitialised"


def test_outputs_declared_empty() -> None:
    def accumulate(y):
        y[cuda.grid(1)] += 1

    for order in simulate.ORDERS:
        with pytest.raises(simulate.Fault, match="uninitialised: read of global y.0."):
            simulate.launch(accumulate, 1, 1, simulate.empty(1), order=order)
    clean(accumulate, 1, 1, simulate.empty(1), uninitialised=False)

    def half(y):
        y[2 * cuda.grid(1)] = 1

    y = simulate.empty(8)
    clean(half, 1, 4, y)
    assert simulate.unwritten(y) == 4
    assert np.isnan(y).sum() == 4
    with pytest.raises(TypeError, match="simulate.empty"):
        simulate.unwritten(x())


def test_dynamic_shared_memory_is_one_buffer() -> None:
    def kernel(y):
        floats = cuda.shared.array(0, float32)
        words = cuda.shared.array(0, int32)
        t = cuda.threadIdx.x
        floats[t] = 1
        cuda.syncthreads()
        y[t] = words[t]

    y = simulate.empty(4, np.int32)
    clean(kernel, 1, 4, y, shared=16)
    assert set(y.tolist()) == {0x3F800000}
    assert fault(kernel, 1, 4, y, shared=8).kind == "bounds"


def test_one_shared_array_a_call_site() -> None:
    def part(v):
        held = cuda.shared.array(1, float32)
        if cuda.threadIdx.x == 0:
            held[0] = v
        cuda.syncthreads()
        return held[0]

    def kernel(y, sync):
        first = part(1)
        if sync:
            cuda.syncthreads()
        y[cuda.threadIdx.x] = first + part(2)

    clean(kernel, 1, 4, simulate.empty(4), True)
    assert fault(kernel, 1, 4, simulate.empty(4), False).kind == "race"


def test_float64_in_a_float32_kernel_is_an_option() -> None:
    def kernel(x, y):
        i = cuda.grid(1)
        y[i] = x[i] * 2.0

    found = fault(kernel, 1, 4, x(), x(), float64=True)
    assert found.kind == "float64" and "float32(2), not 2.0" in found.hint
    clean(kernel, 1, 4, x(), simulate.empty(4))
    clean(kernel, 1, 4, x().astype(np.float64), np.zeros(4), float64=True)


# ---------------------------------------------------------------- the launch itself
def test_errors_of_the_python_code_are_placed() -> None:
    def kernel(y):
        y[0] = 1 // cuda.threadIdx.x

    found = fault(kernel, 1, 1, x())
    assert found.kind == "error" and "ZeroDivisionError" in found.summary
    assert sources(found) == ["y[0] = 1 // cuda.threadIdx.x"]
    assert isinstance(found.__cause__, ZeroDivisionError)


def test_launches_are_checked() -> None:
    def kernel():
        pass

    with pytest.raises(ValueError, match="block .* has more than 1024 threads"):
        simulate.launch(kernel, 1, (32, 33))
    with pytest.raises(ValueError, match="grid.x is 0, expected at least 1"):
        simulate.launch(kernel, 0, 1)
    with pytest.raises(ValueError, match="grid is -1, expected one to three sizes"):
        simulate.launch(kernel, -1, 1)
    with pytest.raises(ValueError, match="order is 'up', expected one of random, reverse"):
        simulate.launch(kernel, 1, 1, order="up")


def test_the_same_seed_is_the_same_run() -> None:
    def kernel(order, count):
        order[cuda.atomic.add(count, 0, 1)] = cuda.grid(1)

    runs = []
    for seed in (3, 3, 4):
        taken = simulate.empty(N, np.int32)
        simulate.launch(kernel, 4, 16, taken, np.zeros(1, np.int32), seed=seed, order="random")
        runs.append(taken.tolist())
    assert runs[0] == runs[1] != runs[2]
    assert sorted(runs[2]) == list(range(N))
    assert len({t // 16 for t in runs[0][:8]}) > 1  # blocks come between each other


def test_the_launch_syntax_of_numba() -> None:
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(0, float32)
        i = cuda.grid(1)
        tile[cuda.threadIdx.x] = x[i]
        y[i] = tile[cuda.threadIdx.x]

    y = simulate.empty(8)
    simulate.simulated(kernel, seed=2)[2, 4, None, 16](x(8), y)
    assert y.tolist() == x(8).tolist()


def test_many_blocks_start_as_others_end() -> None:
    def kernel(y):
        tile = cuda.shared.array(1, float32)
        if cuda.threadIdx.x == 0:
            tile[0] = cuda.blockIdx.x
        cuda.syncthreads()
        y[cuda.grid(1)] = tile[0]

    y = simulate.empty(300 * 32)
    simulate.launch(kernel, 300, 32, y, seed=1)
    assert y.reshape(300, 32)[:, 31].tolist() == list(range(300))
