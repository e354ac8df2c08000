"""The simulator finds each kind of race and of barrier that cannot be, and names both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import cuda, float32

import minigrad_cudasim as simulate
from minigrad_cudasim.api import Fault
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.faults import N, clean, fault, sources, x

require_greenlet()

FULL = 0xFFFFFFFF


# ---------------------------------------------------------------- races
def test_read_and_write_of_shared_memory() -> None:
    def kernel(x, y):
        tile = cuda.shared.array(N, float32)
        t = cuda.threadIdx.x
        tile[t] = x[t]
        y[t] = tile[N - 1 - t]

    found = fault(kernel, 1, N, x(), x(), uninitialised=False)
    assert found.kind == "race"
    assert set(sources(found)) == {"tile[t] = x[t]", "y[t] = tile[N - 1 - t]"}
    text = str(found)
    assert "of shared tile[" in text
    assert "kernel, grid (1, 1, 1), block (64, 1, 1), seed 0, order random" in text
    assert "cuda.syncthreads() must stand between the two" in text
    assert "test_simulate.py:" in text
    assert len({party.thread for party in found.parties}) == 2


def test_a_barrier_between_them_is_enough() -> None:
    def kernel(x, y):
        tile = cuda.shared.array(N, float32)
        t = cuda.threadIdx.x
        tile[t] = x[t]
        cuda.syncthreads()
        y[t] = tile[N - 1 - t]

    y = simulate.empty(N)
    clean(kernel, 1, N, x(), y)
    assert y.tolist() == x()[::-1].tolist()


def test_an_atomic_is_advised_where_threads_add_to_one_place_and_nowhere_else() -> None:
    def total(x, y):
        y[0] += x[cuda.threadIdx.x]

    def written_out(x, y):
        y[0] = y[0] + x[cuda.threadIdx.x]

    def scan(x, y):
        tile = cuda.shared.array(N, float32)
        t = cuda.threadIdx.x
        tile[t] = x[t]
        cuda.syncthreads()
        if t > 0:
            tile[t] += tile[t - 1]
        y[t] = tile[t]

    for kernel in (total, written_out):
        assert "use cuda.atomic" in fault(kernel, 1, N, x(), np.zeros(1)).hint
    found = fault(scan, 1, N, x(), x())
    assert found.kind == "race" and "tile[t] += tile[t - 1]" in sources(found)
    assert "atomic" not in found.hint and "cuda.syncthreads() must stand between" in found.hint


def test_write_and_write_in_one_block() -> None:
    def kernel(y):
        y[cuda.threadIdx.x // 2] = 1

    found = fault(kernel, 1, N, x())
    assert found.kind == "race" and found.summary.startswith("write and write of global y[")
    assert "the lanes of a warp need not run in step" in found.hint


def test_blocks_race_even_when_one_ends_first() -> None:
    def kernel(y):
        y[cuda.threadIdx.x] = cuda.blockIdx.x

    found = fault(kernel, 2, 1, x())
    assert found.kind == "race" and "blocks of one launch run in any order" in found.hint
    assert {party.block for party in found.parties} == {(0, 0, 0), (1, 0, 0)}


def test_a_race_of_blocks_too_is_not_advised_a_barrier_of_one() -> None:
    def pull(x):
        i = cuda.grid(1)
        total = float32(0)
        for j in range(x.size):
            total += x[j]
        x[i] = total

    found = fault(pull, 2, N // 2, np.ones(N, np.float32))
    assert found.kind == "race" and found.parties[0].block != found.parties[1].block
    assert "second launch" in found.hint and "syncthreads" not in found.hint
    assert found.times > N
    found = fault(pull, 1, N, np.ones(N, np.float32))
    assert "second launch" not in found.hint and "syncthreads" in found.hint


def test_a_large_launch_that_races_everywhere_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad_cudasim.findings.OFTEN", 100)

    def mirrored(y):
        held = cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        held[t] = t
        y[cuda.grid(1)] = held[31 - t]

    y = simulate.empty(32 * 64, np.float32)
    report = simulate.check(mirrored, 64, 32, y)
    assert report.faults[0].kind == "race" and 100 <= report.faults[0].times < 32 * 64
    assert simulate.unwritten(y) == 0  # no launch after it is blamed for what this one left out

    def noted(y):
        y[0] = 1

    report = simulate.check(noted, 64, 32, y)  # what is a note alone does not end a launch
    assert not report.faults and report.notes[0].times == 32 * 64 - 1


def test_overlapping_arguments_share_a_log() -> None:
    def kernel(a, b):
        i = cuda.grid(1)
        b[i] = a[i]

    y = x()
    clean(kernel, 1, 32, y, y)  # in place: each thread its own
    found = fault(kernel, 1, 32, y[:-1], y[1:])
    assert found.kind == "race"


def test_lanes_are_not_taken_to_run_in_step() -> None:
    def kernel(x, y, sync):
        tile = cuda.shared.array(32, float32)
        t = cuda.threadIdx.x
        tile[t] = x[t]
        if sync == 1:
            cuda.syncwarp()
        if sync == 2:
            cuda.ballot_sync(FULL, t)
        y[t] = tile[31 - t]

    clean(kernel, 1, 32, x(), x(), 1)
    for no_order in (0, 2):  # a vote lets lanes meet, and orders no memory
        assert fault(kernel, 1, 32, x(), x(), no_order, uninitialised=False).kind == "race"


def test_syncwarp_orders_one_warp_alone() -> None:
    def kernel(x, y):
        tile = cuda.shared.array(N, float32)
        t = cuda.threadIdx.x
        tile[t] = x[t]
        cuda.syncwarp()
        y[t] = tile[N - 1 - t]

    assert fault(kernel, 1, N, x(), x(), uninitialised=False).kind == "race"


def test_atomics_race_with_plain_accesses_only() -> None:
    def count(y):
        cuda.atomic.add(y, 0, 1)

    def count_and_look(y, z):
        cuda.atomic.add(y, 0, 1)
        z[cuda.grid(1)] = y[0]

    y = np.zeros(1, np.float32)
    clean(count, 2, 32, y)
    assert y[0] == len(simulate.ORDERS) * 64
    found = fault(count_and_look, 1, 2, y, x())
    assert found.kind == "race" and "atomic update" in found.summary


def test_a_fence_and_an_atomic_order_blocks() -> None:
    def kernel(data, flag, y, fence):
        if cuda.blockIdx.x == 0:
            data[0] = 5
            if fence in (1, 3):
                cuda.threadfence()
            if fence == 2:
                cuda.threadfence_block()  # no other block hears of this one
            cuda.atomic.exch(flag, 0, 1)
        else:
            while cuda.atomic.add(flag, 0, 0) == 0:
                pass
            if fence != 3:
                cuda.threadfence()
            y[0] = data[0]

    def arguments() -> tuple[Any, ...]:
        return x(1), np.zeros(1, np.int32), simulate.empty(1)

    for order in simulate.ORDERS:
        data, flag, y = arguments()
        simulate.launch(kernel, 2, 1, data, flag, y, 1, order=order)
        assert y[0] == 5
    for fence in (0, 2, 3):
        with pytest.raises(Fault, match="race: read and write of global data"):
            simulate.launch(kernel, 2, 1, *arguments(), fence)


def test_a_lock_orders_what_it_guards() -> None:
    def kernel(lock, y):
        while cuda.atomic.cas(lock, 0, 0, 1) != 0:
            pass
        cuda.threadfence()
        y[0] += 1
        cuda.threadfence()
        cuda.atomic.exch(lock, 0, 0)

    for order in simulate.ORDERS:
        y = np.zeros(1, np.float32)
        simulate.launch(kernel, 3, 8, np.zeros(1, np.int32), y, order=order)
        assert y[0] == 24


def test_the_log_can_be_turned_off() -> None:
    def kernel(y):
        y[0] = 1

    simulate.launch(kernel, 1, 2, x(), races=False)


# ---------------------------------------------------------------- barriers and warps
def test_a_barrier_in_a_branch() -> None:
    def kernel(y):
        if cuda.threadIdx.x < 40:
            cuda.syncthreads()
        y[cuda.threadIdx.x] = 1

    found = fault(kernel, 1, N, x())
    assert found.kind == "barrier" and "others have ended" in found.summary
    assert "40 of 64 threads of block (0, 0, 0) wait at syncthreads" in found.summary


def test_two_different_barriers() -> None:
    def kernel():
        if cuda.threadIdx.x < 3:
            cuda.syncthreads()
        else:
            cuda.syncthreads()

    found = fault(kernel, 1, 8)
    assert found.kind == "barrier" and "another barrier" in found.summary
    assert len(set(found.lines)) == 2


def test_one_block_ends_and_another_waits_in_vain() -> None:
    def kernel():
        if cuda.blockIdx.x == 1 and cuda.threadIdx.x == 0:
            cuda.syncthreads()

    assert "block (1, 0, 0)" in fault(kernel, 3, 4).summary


def test_a_mask_that_names_lanes_elsewhere() -> None:
    def kernel():
        if cuda.laneid < 16:
            cuda.syncwarp(FULL)
        else:
            cuda.syncthreads()

    found = fault(kernel, 1, 32)
    assert found.kind == "warp"
    assert "lanes 0-15 at syncwarp with mask 0xffffffff" in str(found)
    assert "lanes 16-31 at syncthreads" in str(found)


def test_a_mask_that_leaves_its_caller_out() -> None:
    def kernel():
        cuda.shfl_down_sync(0xFFFF, 1, 1)

    found = fault(kernel, 1, 32)
    assert found.kind == "warp" and "with mask 0x0000ffff, which leaves it out" in found.summary


def test_masks_of_parts_of_a_warp_meet_separately() -> None:
    def kernel(y):
        t = cuda.threadIdx.x
        if t < 8:
            y[t] = cuda.shfl_xor_sync(0xFF, float32(t), 1)
        else:
            y[t] = cuda.shfl_xor_sync(0xFFFFFF00, float32(t), 2)

    y = simulate.empty(32)
    clean(kernel, 1, 32, y)
    assert y[:8].tolist() == [1, 0, 3, 2, 5, 4, 7, 6] and y[8:12].tolist() == [10, 11, 8, 9]


@pytest.mark.parametrize("threads", [20, 40])
def test_shuffles_from_lanes_that_do_not_exist(threads: int) -> None:
    def kernel(y):
        y[cuda.threadIdx.x] = cuda.shfl_down_sync(FULL, float32(1), 4)

    found = fault(kernel, 1, threads, x())
    assert found.kind == "warp" and "its value is undefined" in found.summary


def test_an_ended_lane_is_not_waited_for() -> None:
    def kernel(y):
        t = cuda.threadIdx.x
        if t >= 30:
            return
        y[t] = cuda.ballot_sync(FULL, t % 2)

    y = simulate.empty(30, np.uint32)
    clean(kernel, 1, 32, y)
    assert set(y.tolist()) == {0x2AAAAAAA}


def test_waiting_for_what_never_comes() -> None:
    def on_an_atomic(flag):
        while cuda.atomic.add(flag, 0, 0) == 0:
            pass

    def on_a_plain_read(flag):
        while flag[0] == 0:
            pass

    flag = np.zeros(1, np.int32)
    for kernel in (on_an_atomic, on_a_plain_read):
        with pytest.raises(Fault, match="deadlock") as caught:
            simulate.launch(kernel, 1, 2, flag)
        assert caught.value.lines


def test_a_thread_with_much_to_read_is_not_taken_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad_cudasim.log.READS", 2000)
    monkeypatch.setattr("minigrad_cudasim.memory.QUICK", 100)

    def total_of_all(x, y):
        x[0] = 1  # so that the reads are logged
        for i in range(x.size):
            y[0] += x[i]

    def last_of_rows(x, y):
        x[0] = 1
        for i in range(3000):
            y[0] = y[0] * 0.5 + i

    def waiting(x, y):
        while x[1] > 0:
            y[0] += 1

    x, y = np.ones(7000), np.zeros(1)
    simulate.launch(total_of_all, 1, 1, x, y)
    assert y[0] == 7000
    simulate.launch(last_of_rows, 1, 1, x, y)
    with pytest.raises(simulate.Fault, match="of late 2 places"):
        simulate.launch(waiting, 1, 1, x, y)
