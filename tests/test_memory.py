"""The pool of large arrays: reused when nobody looks any more, never sooner, never much more than
the peak.
"""

from __future__ import annotations

import gc
import mmap
import os
import platform
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine.allocator import POOL, POOLED, SLACK, Lease, Pool, empty, owns, rounded

MB = 1 << 20


def place(array: np.ndarray[Any, Any]) -> int:
    return int(array.ctypes.data)


def test_a_block_is_used_again_when_its_array_is_gone() -> None:
    pool = Pool()
    x = pool.take((3 * MB,), np.uint8)
    where = place(x)
    other = pool.take((3 * MB,), np.uint8)
    assert place(other) != where
    del x
    assert place(pool.take((MB, 3), np.uint8)) == where


@pytest.mark.parametrize(
    "look",
    [
        lambda a: a[1:],
        lambda a: a.reshape(-1)[::3],
        lambda a: a.T,
        lambda a: a.view(np.uint32),
        memoryview,
        lambda a: np.lib.stride_tricks.as_strided(a, (3,), (4,)),
        lambda a: mg.from_numpy(a),
        lambda a: mg.from_numpy(a).reshape(-1).numpy()[5:],
        lambda a: np.from_dlpack(a),
    ],
)
def test_a_view_keeps_the_block(look: Any) -> None:
    pool = Pool()
    x = pool.take((512, 1024), np.float32)
    where = place(x)
    view = look(x)
    del x
    gc.collect()
    assert place(pool.take((512, 1024), np.float32)) != where
    del view
    gc.collect()
    assert place(pool.take((512, 1024), np.float32)) == where


def test_not_much_more_is_owned_than_once_was_in_use() -> None:
    pool = Pool()
    first = [pool.take(2 * MB, np.uint8) for _ in range(4)]
    del first
    second = [pool.take(3 * MB, np.uint8) for _ in range(2)]
    assert pool.peak == 8 * MB
    assert pool.used == 6 * MB
    assert pool.held == 6 * MB  # half as much again as 8 MB, less what is used
    third = pool.take(5 * MB, np.uint8)
    assert (pool.peak, pool.used, pool.held) == (11 * MB, 11 * MB, 4 * MB)
    assert pool.used + pool.held <= SLACK * pool.peak
    del second, third
    pool.clear()
    assert (pool.peak, pool.used, pool.held, pool.free) == (0, 0, 0, {})


def test_a_larger_block_is_taken_before_a_new_one() -> None:
    pool = Pool()
    x = pool.take(5 * MB, np.uint8)
    where = place(x)
    del x
    y = pool.take(3 * MB, np.uint8)
    assert place(y) == where and y.nbytes == 3 * MB
    y[...] = 1
    small = pool.take(MB, np.uint8)
    del y
    assert place(small) != where
    assert place(pool.take(2 * MB, np.uint8)) != where  # 5 MB are more than twice as much
    del small
    pool.settle()
    assert pool.used == 0


def test_sizes_that_take_turns_settle() -> None:
    pool, made = Pool(), []
    allocate = pool.allocate
    pool.allocate = lambda size: made.append(size) or allocate(size)  # type: ignore[method-assign]

    def step() -> None:
        forward = [pool.take(mb * MB, np.uint8) for mb in (12, 12, 3, 6, 6, 2)]
        while forward:
            gradient = pool.take(forward[-1].nbytes, np.uint8)
            forward.pop()
            forward = forward[:-1] if len(forward) % 2 else forward
            del gradient

    for _ in range(3):
        step()
    made.clear()
    for _ in range(10):
        step()
    assert not made


def test_blocks_unused_for_longest_go_first() -> None:
    pool = Pool()
    old, new, most = (pool.take(n * MB, np.uint8) for n in (1, 2, 8))
    del old
    pool.settle()
    del most, new
    more = pool.take(9 * MB, np.uint8)
    assert pool.used == 9 * MB
    assert MB not in pool.free
    assert 2 * MB in pool.free
    del more


def test_arrays_are_aligned_and_of_the_shape_and_dtype_asked_for() -> None:
    pool = Pool()
    for shape, dtype in [((7, 99_991), np.float64), (1_000_003, np.float32), ((0, 3), np.int64)]:
        x = pool.take(shape, dtype)
        assert place(x) % 64 == 0
        assert x.shape == (shape if isinstance(shape, tuple) else (shape,))
        assert x.dtype == dtype
        assert x.flags.c_contiguous
        assert x.flags.writeable
        assert type(x) is np.ndarray


def test_sizes_are_rounded_up_by_an_eighth_at_most() -> None:
    for size in [1, 9, 1000, MB - 1, MB, MB + 1, 5 * MB + 12345]:
        assert size <= rounded(size) <= size + size / 8 + 1
        assert rounded(rounded(size)) == rounded(size)


def test_small_arrays_are_numpys() -> None:
    assert empty(10, np.float32).base is None
    assert empty(POOLED // 4 - 1, np.float32).base is None
    assert type(empty(POOLED // 4, np.float32).base) is Lease


def test_owns_tells_arrays_from_their_views() -> None:
    for size in (10, POOLED):
        x = empty(size, np.float32)
        assert owns(x)
        assert not owns(x[1:])
        assert not owns(x.reshape(2, -1))


def test_gradients_of_large_parameters_are_not_copied() -> None:
    w = mg.ones(600, 700, requires_grad=True)
    (w * mg.ones(600, 700)).sum().backward()
    assert w.grad is not None
    assert owns(w.grad.numpy())


def test_a_step_repeated_needs_no_new_memory() -> None:
    def step() -> None:
        x = mg.ones(512, 1024, requires_grad=True)
        ((x * x + x).tanh() * x).sum().backward()

    step()
    gc.collect()
    peak = POOL.peak
    for _ in range(20):
        step()
    assert POOL.peak == peak


def test_threads_share_the_pool() -> None:
    pool = Pool()
    wrong: list[int] = []

    def work(number: int) -> None:
        for i in range(300):
            x = pool.take(MB // 8 * (1 + i % 3), np.uint8)
            x[::4096] = number
            if not (x[::4096] == number).all():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    pool.settle()
    assert pool.used == 0


def test_memory_that_is_held_is_given_up_before_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool()
    x = pool.take(2 * MB, np.uint8)
    del x
    real = mmap.mmap
    refused: list[int] = []

    def scarce(number: int, size: int, **options: int) -> mmap.mmap:
        if pool.held or not refused:
            refused.append(size)
            raise OSError("no memory")
        return real(number, size, **options)

    monkeypatch.setattr("minigrad.engine.allocator.mmap.mmap", scarce)
    y = pool.take(4 * MB, np.uint8)
    assert y.size == 4 * MB
    assert len(refused) == 1
    assert pool.held == 0


def test_too_large_an_array_is_a_memory_error_that_names_the_size() -> None:
    pool = Pool()
    with pytest.raises(MemoryError, match=r"cannot allocate 4,611,686,018,427,387,904 bytes"):
        pool.take(1 << 62, np.uint8)
    assert pool.used == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a fork")
def test_a_forked_child_writes_into_memory_of_its_own() -> None:
    # In a process of its own: one with threads must not fork.
    script = (
        "import os, numpy as np\n"
        "from minigrad.engine.allocator import Pool\n"
        "x = Pool().take(1 << 20, np.uint8)\n"
        "x[0] = 1\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    x[0] = 2\n"
        "    os._exit(int(x[0]))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), x[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["2", "1"], done.stderr


FAULTS = """
import resource
import numpy as np
import minigrad

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    return [np.ones(1 << 17, np.float32) for _ in range(24)]

for _ in range(5):
    step()
before = faults()
for _ in range(20):
    step()
print((faults() - before) // 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's malloc")
def test_arrays_below_the_pools_size_fault_their_pages_in_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100  # 3,072 pages, where malloc gives them back at each step
