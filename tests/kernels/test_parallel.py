"""Parallel kernels from several Python threads, under every threading layer, and after a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad_kernels import table as _table
from minigrad_kernels.jit.compile import JITTED, jit
from minigrad_kernels.jit.parallel import LOCK, Locked

ROOT = Path(__file__).parents[2]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def run(code: str, *, timeout: float = 120, **environment: str) -> str:
    """Run a program in a process of its own; a hang or a death fails the test."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", textwrap.dedent(code)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-2000:])
    return done.stdout


WORK = """
import sys, threading
import numpy as np
from minigrad_kernels.table import KERNELS

sys.setswitchinterval(1e-5)
generator = np.random.default_rng(0)


def job(kind, size, seed):
    x = np.random.default_rng(seed).standard_normal((size, size)).astype(np.float32)
    y = np.empty_like(x)
    if kind == "gemm":
        KERNELS["gemm"].cpu(x, x, y)
    elif kind == "softmax":
        KERNELS["softmax"].cpu(x, y)
    elif kind == "dropout":
        KERNELS["uniform"].cpu(7, 3, np.array([seed], np.int64), y.reshape(-1))
    else:
        KERNELS["exp"].cpu(x, y)
    return y.tobytes()


# sizes on both sides of every size from which kernels use threads
JOBS = [
    (kind, size, seed)
    for seed in range(2)
    for kind in ("gemm", "softmax", "dropout", "exp")
    for size in (30, 300)
]
right = {one: job(*one) for one in JOBS}
"""
THREADS = (
    WORK
    + """
wrong = []
gate = threading.Barrier(4)


def work(k):
    gate.wait()
    for turn in range(12):
        for one in JOBS[k:] + JOBS[:k]:
            if job(*one) != right[one]:
                wrong.append(one)


threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
import numba
print(numba.threading_layer(), len(wrong), wrong[:4])
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_threads_that_launch_at_once_compute_rightly(layer: str) -> None:
    """Workqueue would end the process, and under OpenMP products were wrong."""
    if layer == "omp" and not sys.platform.startswith("linux"):
        pytest.skip("OpenMP comes with Numba on Linux alone")
    assert run(THREADS, NUMBA_THREADING_LAYER=layer).split()[:2] == [layer, "0"]


FORKS = (
    WORK
    + """
import os, multiprocessing, signal
from concurrent.futures import ProcessPoolExecutor


def all_right(_=None):
    return all(job(*one) == right[one] for one in JOBS)


def child_of(function):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        try:
            os._exit(0 if function() else 1)
        except BaseException:
            os._exit(2)
    return os.waitpid(pid, 0)[1]


def from_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(all_right()))
    thread.start()
    thread.join()
    return found == [True]


assert all_right()
print(child_of(all_right), child_of(from_a_thread))
print(child_of(lambda: all_right() and child_of(all_right) == 0))  # a child of a child

stop = threading.Event()


def busy():
    while not stop.is_set():
        job("gemm", 300, 0)
        job("gemm", 30, 0)


threads = [threading.Thread(target=busy) for _ in range(3)]
[t.start() for t in threads]
print([child_of(all_right) for _ in range(6)])  # while kernels run
stop.set()
[t.join() for t in threads]

with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(all_right, range(4)))
with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
    print(list(pool.map(all_right, range(4))))
assert all_right()
"""
)


@pytest.mark.slow
@forks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_children_of_a_fork_compute_rightly(layer: str) -> None:
    lines = run(FORKS, NUMBA_THREADING_LAYER=layer).splitlines()
    assert lines == ["0 0", "0", str([0] * 6), str([True] * 4), str([True] * 4)]


@forks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forks_while_threads_ask_numba_for_their_number_leave_no_lock_held() -> None:
    """Of 32 forks 4 children waited for ever on the lock that Numba shares between processes."""
    code = """
    import os, signal, sys, threading
    import minigrad_kernels.jit.parallel
    import numba

    sys.setswitchinterval(1e-6)
    numba.get_num_threads()
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            numba.get_num_threads()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    [t.start() for t in threads]
    ended = []
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            numba.get_num_threads()
            os._exit(0)
        ended.append(os.waitpid(pid, 0)[1])
        if ended[-1]:
            break
    stop.set()
    [t.join() for t in threads]
    print(len(ended), sum(ended))
    """
    assert run(code).split() == ["100", "0"]


@pytest.mark.slow
@forks
def test_a_child_compiles_what_its_parent_has_not(tmp_path: Path) -> None:
    code = WORK.split("# sizes")[0] + textwrap.dedent(
        """
        import os
        first = job("exp", 300, 0)
        pid = os.fork()
        if pid == 0:
            fresh = job("dropout", 300, 1)  # not in the cache, which is empty
            print(job("exp", 300, 0) == first, job("dropout", 300, 1) == fresh, flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        """
    )
    assert run(code, MINIGRAD_CACHE_DIR=str(tmp_path)).split() == ["True", "True"]


@forks
def test_a_fork_before_the_first_loop_leaves_the_child_its_threads() -> None:
    code = WORK.split("right =")[0] + textwrap.dedent(
        """
        import os
        from minigrad_kernels.jit.parallel import SWITCHED
        pid = os.fork()
        if pid == 0:
            job("exp", 300, 0)
            os._exit(0 if SWITCHED.cell.value and not SWITCHED.alone else 1)
        print(os.waitpid(pid, 0)[1])
        """
    )
    assert run(code).strip() == "0"


def test_no_kernel_lets_go_of_the_interpreter_unlocked() -> None:
    """Kernels share memory (arenas) on the strength of this: see `jit`."""
    assert JITTED
    for key, dispatcher in JITTED.items():
        assert not dispatcher.targetoptions.get("nogil"), key
        assert isinstance(dispatcher, Locked) == bool(dispatcher.targetoptions.get("parallel")), key


def test_nogil_is_refused() -> None:
    with pytest.raises(ValueError, match="nogil=True would let two threads into memory"):
        jit(nogil=True)


def test_a_parallel_kernel_waits_for_the_lock_and_others_do_not() -> None:
    x, y = np.ones((300, 300), np.float32), np.empty((300, 300), np.float32)
    kernels = _table.KERNELS
    kernels["softmax"].cpu(x, y)
    ended: list[str] = []

    def call(name: str, size: int) -> None:
        kernels["softmax"].cpu(x[:size, :size].copy(), np.empty((size, size), np.float32))
        ended.append(name)

    jobs: list[Any] = [("large", 300), ("small", 8)]
    threads = [threading.Thread(target=call, args=job) for job in jobs]
    with LOCK:
        for thread in threads:
            thread.start()
        threads[1].join()
        assert ended == ["small"]
    threads[0].join()
    assert ended == ["small", "large"]
