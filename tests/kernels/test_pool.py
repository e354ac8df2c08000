"""Loops of a table on threads that stay awake: the same bits, whatever else happens."""

from __future__ import annotations

import os
import platform
import sys
import textwrap

import pytest

from minigrad_kernels.jit.pool import PAUSE
from tests.kernels.test_parallel import forks, run

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or platform.machine() not in PAUSE or (os.cpu_count() or 1) < 2,
    reason="threads of our own are for POSIX systems with several cores",
)

WORK = """
import os, sys, threading, time
import numpy as np
from minigrad_kernels.jit.call_table import CallTable, listen
from minigrad_kernels.jit.pool import POOL
from minigrad_kernels.table import KERNELS

x = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
held = []


def made(seed):
    '''Return a table of parallel loops, what it writes, and what that is to be.'''
    outs = [np.empty_like(x) for _ in range(3)]
    mine = x + np.float32(seed)

    def launches():
        for _ in range(3):
            KERNELS["gemm"].cpu(mine, x, outs[0])
            KERNELS["softmax"].cpu(outs[0], outs[1])
            KERNELS["exp"].cpu(outs[1], outs[2])

    launches()
    with listen() as calls:
        launches()
    want = [y.copy() for y in outs]
    held.append(mine)
    return CallTable(calls), outs, want


def right(table, outs, want):
    for y in outs:
        y[...] = 0
    table()
    return all(np.array_equal(y, w) for y, w in zip(outs, want))


first = made(1)
assert right(*first) and POOL.running, POOL.running
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_any_layer(layer: str) -> None:
    if layer == "omp" and not sys.platform.startswith("linux"):
        pytest.skip("OpenMP comes with Numba on Linux alone")
    code = WORK + "print(all(right(*first) for _ in range(200)))"
    assert run(code, NUMBA_THREADING_LAYER=layer).split() == ["True"]


def test_threads_that_replay_and_launch_at_once() -> None:
    code = WORK + textwrap.dedent(
        """
        sys.setswitchinterval(1e-5)
        tables = [made(k) for k in range(3)]
        wrong = []

        def replay(k):
            wrong.extend(k for _ in range(40) if not right(*tables[k]))

        def launch():
            y, z = np.empty_like(x), np.empty_like(x[:60, :60])
            KERNELS["gemm"].cpu(x, x, y)
            small = np.ascontiguousarray(x[:60, :60])
            KERNELS["gemm"].cpu(small, small, z)
            want = y.copy(), z.copy()
            for _ in range(40):
                KERNELS["gemm"].cpu(x, x, y)
                KERNELS["gemm"].cpu(small, small, z)
                if not (np.array_equal(y, want[0]) and np.array_equal(z, want[1])):
                    wrong.append("launch")

        threads = [threading.Thread(target=replay, args=(k,)) for k in range(3)]
        threads += [threading.Thread(target=launch) for _ in range(2)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        print(wrong)
        """
    )
    assert run(code).strip() == "[]"


def test_workers_sleep_and_wake() -> None:
    """They use no time while nothing is to be done, and come back when a table begins."""
    code = WORK + textwrap.dedent(
        """
        time.sleep(0.2)
        before = time.process_time()
        time.sleep(0.5)
        idle = time.process_time() - before
        print(idle < 0.1, all(right(*first) or time.sleep(0.001) for _ in range(50)))
        """
    )
    assert run(code).split() == ["True", "True"]


def test_one_thread_is_asked_for() -> None:
    code = WORK + "import numba; numba.set_num_threads(1); print(right(*first))"
    assert run(code).strip() == "True"


@forks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_the_child_of_a_fork_starts_its_own(layer: str) -> None:
    code = WORK + textwrap.dedent(
        """
        import signal
        tables = [made(k) for k in range(2)]

        def child():
            pid = os.fork()
            if pid:
                return os.waitpid(pid, 0)[1]
            signal.alarm(60)
            y = np.empty_like(x)
            KERNELS["gemm"].cpu(x, x, y)
            good = POOL.running == 0 and right(*tables[0]) and POOL.running == 1
            os._exit(0 if good and right(*tables[1]) else 1)

        found = [child()]
        stop = threading.Event()

        def busy():
            while not stop.is_set():
                right(*tables[1])

        thread = threading.Thread(target=busy)
        thread.start()
        found += [child() for _ in range(5)]  # while a table runs
        stop.set()
        thread.join()
        print(found, right(*tables[0]))
        """
    )
    assert run(code, NUMBA_THREADING_LAYER=layer).strip() == f"{[0] * 6} True"


def test_the_process_ends_while_workers_are_awake() -> None:
    code = WORK + "[right(*first) for _ in range(5)]; print('end')"
    for _ in range(3):
        assert run(code).strip() == "end"


def test_a_loop_that_is_not_a_tables_goes_to_numba() -> None:
    """With numbers of threads that are Numba's: a user's loop may have memory for each."""
    code = WORK + textwrap.dedent(
        """
        import numba

        @numba.njit(parallel=True)
        def numbers(n):
            found = np.zeros(n, np.int64)
            for i in numba.prange(n):
                found[i] = numba.get_thread_id()
            return found

        numba.set_num_threads(2)
        print(sorted(set(numbers(1000).tolist())) == [0, 1], right(*first))
        """
    )
    assert run(code).split() == ["True", "True"]
