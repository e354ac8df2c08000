"""Forty-two kernels with one planted fault each, and beside them what is right.

A fault's lines end in a comment with its kind: `# race`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda, float32, int32, uint32

import minigrad_cudasim as simulate
from minigrad_kernels.cuda import ptx

FULL = 0xFFFFFFFF
N = 64


@dataclass(frozen=True)
class Case:
    """A kernel, its grid and block, and what makes its arguments anew."""

    kernel: Callable[..., None]
    grid: Any
    block: Any
    arguments: Callable[[], tuple[Any, ...]]
    shared: int = 0
    right: bool = False

    @property
    def name(self) -> str:
        return self.kernel.__name__

    def planted(self) -> tuple[str, set[int]]:
        """Return the kind of the fault and the lines that hold it."""
        lines, first = inspect.getsourcelines(self.kernel)
        marked = [(re.search(r"# (\w+)$", t.rstrip()), first + i) for i, t in enumerate(lines)]
        found = [(m.group(1), line) for m, line in marked if m]
        return (found[0][0], {line for _, line in found}) if found else ("", set())

    def report(self, seed: int) -> Any:
        """Run it under a seed and return its report."""
        return simulate.check(
            self.kernel, self.grid, self.block, *self.arguments(), shared=self.shared, seed=seed
        )


CASES: list[Case] = []


def case(grid: Any, block: Any, *makers: Any, shared: int = 0, right: bool = False) -> Any:
    """Register a kernel; makers: sizes of float32 arrays, dtypes with a size, or numbers."""

    def made(maker: Any) -> Any:
        if isinstance(maker, tuple):
            kind, size = maker
            return simulate.empty(size) if kind == "empty" else np.zeros(size, kind)
        return np.arange(maker, dtype=np.float32) + 1 if maker > 0 else -maker

    def register(kernel: Any) -> Any:
        CASES.append(Case(kernel, grid, block, lambda: tuple(map(made, makers)), shared, right))
        return kernel

    return register


# ---------------------------------------------------------------- barriers
@case(1, N, N, ("empty", N))
def missing_barrier(x, y):
    tile = cuda.shared.array(N, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]  # race
    y[t] = tile[N - 1 - t]  # race


@case(1, N, N, ("empty", N))
def barrier_moved_below(x, y):
    tile = cuda.shared.array(N, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]  # race
    held = tile[(t + 33) % N]  # race
    cuda.syncthreads()
    y[t] = held


@case(1, N, N, ("empty", N))
def barrier_in_a_branch(x, y):
    t = cuda.threadIdx.x
    if t < 40:
        cuda.syncthreads()  # barrier
    y[t] = x[t]


@case(1, N, N)
def barriers_in_both_branches(y):
    t = cuda.threadIdx.x
    if t < 32:
        cuda.syncthreads()  # barrier
    else:
        cuda.syncthreads()  # barrier
    y[t] = t


@case(1, N, 2 * N, ("empty", N))
def barrier_in_a_loop_of_unlike_lengths(x, y):
    t = cuda.threadIdx.x
    total = float32(0)
    for _i in range(1 + t // 32):
        cuda.syncthreads()  # barrier
        total += x[t]
    y[t] = total


@case(1, N, 4 * N, ("empty", N))
def no_barrier_before_the_tile_is_refilled(x, y):
    tile = cuda.shared.array(N, float32)
    t = cuda.threadIdx.x
    total = float32(0)
    for i in range(4):
        tile[t] = x[i * N + t]  # race
        cuda.syncthreads()
        total += tile[(t + 32) % N]  # race
    y[t] = total


@case(1, N, N, ("empty", N))
def warp_barrier_for_a_block(x, y):
    tile = cuda.shared.array(N, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]  # race
    cuda.syncwarp()
    y[t] = tile[N - 1 - t]  # race


@case(1, 32, 32, 1)
def warp_synchronous_sum(x, y):
    tile = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]  # race
    if t < 16:
        tile[t] += tile[t + 16]  # race
    cuda.syncwarp()
    if t == 0:
        y[0] = tile[0]


# ---------------------------------------------------------------- bounds
@case(2, 32, 50, 64)
def no_guard_of_the_tail(x, y):
    i = cuda.grid(1)
    y[i] = x[i]  # bounds


@case(2, 32, 50, 50, -50)
def guard_off_by_one(x, y, n):
    i = cuda.grid(1)
    if i <= n:
        y[i] = x[i]  # bounds


@case(1, 32, 32, 32)
def left_neighbour_of_the_first(x, y):
    i = cuda.grid(1)
    y[i] = x[i - 1] + x[i]  # bounds


@case(1, 32, 32, 32)
def shared_halo_too_small(x, y):
    tile = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    tile[t + 1] = x[t]  # bounds
    cuda.syncthreads()
    if t > 0:
        y[t] = tile[t]


@case(1, 32, 16)
def columns_for_rows(y):
    a = y.reshape(2, 8)
    t = cuda.threadIdx.x
    if t < 16:
        a[t % 8, t // 8] = t  # bounds


@case(1, 8, 8)
def local_array_too_small(y):
    own = cuda.local.array(4, float32)
    t = cuda.threadIdx.x
    for i in range(5):
        own[i] = t  # bounds
    y[t] = own[3]


@case(1, 8, 8, shared=16)
def dynamic_memory_too_small(y):
    tile = cuda.shared.array(0, float32)
    t = cuda.threadIdx.x
    tile[t] = t  # bounds
    if t < 4:
        y[t] = tile[t]


# ---------------------------------------------------------------- races
@case(1, N, N, 1)
def sum_without_atomics(x, y):
    y[0] += x[cuda.grid(1)]  # race


@case(4, 16, N, 4)
def histogram_between_blocks(x, y):
    i = cuda.grid(1)
    y[i % 4] += x[i]  # race


@case(2, 32, 64)
def blocks_write_one_place(y):
    y[cuda.threadIdx.x] = cuda.blockIdx.x  # race


@case(2, 32, 63)
def tail_written_twice(y):
    i = cuda.grid(1)
    y[min(i, 62)] = i  # race


@case(2, 32, 64)
def neighbour_of_another_block(y):
    i = cuda.grid(1)
    held = y[(i + 1) % 64]  # race
    y[i] = held  # race


@case(1, N, N)
def stencil_in_place(y):
    i = cuda.threadIdx.x
    if i > 0:
        y[i] = y[i - 1] + y[i]  # race


@case(2, 32, 1, 64)
def atomic_beside_a_plain_read(count, y):
    cuda.atomic.add(count, 0, 1)  # race
    y[cuda.grid(1)] = count[0]  # race


@case(1, 32, 1)
def atomic_beside_a_plain_write(count):
    if cuda.threadIdx.x == 0:
        count[0] = 0  # race
    cuda.atomic.add(count, 0, 1)  # race


@case(1, 2, ("uint8", 4))
def byte_against_its_word(b):
    t = cuda.threadIdx.x
    if t == 0:
        b[1] = 7  # race
    else:
        b.view(uint32)[0] = 1  # race


@case(2, 1, 1, ("int32", 1), 1)
def release_without_a_fence(data, flag, y):
    if cuda.blockIdx.x == 0:
        data[0] = 42  # race
        cuda.atomic.exch(flag, 0, 1)
    else:
        while cuda.atomic.add(flag, 0, 0) == 0:
            pass
        cuda.threadfence()
        y[0] = data[0]  # race


@case(2, 1, 1, ("int32", 1), 1)
def acquire_without_a_fence(data, flag, y):
    if cuda.blockIdx.x == 0:
        data[0] = 42  # race
        cuda.threadfence()
        cuda.atomic.exch(flag, 0, 1)
    else:
        while cuda.atomic.add(flag, 0, 0) == 0:
            pass
        y[0] = data[0]  # race


@case(2, 1, 1, ("int32", 1), 1)
def fence_of_a_block_between_blocks(data, flag, y):
    if cuda.blockIdx.x == 0:
        data[0] = 42  # race
        cuda.threadfence_block()
        cuda.atomic.exch(flag, 0, 1)
    else:
        while cuda.atomic.add(flag, 0, 0) == 0:
            pass
        cuda.threadfence()
        y[0] = data[0]  # race


# ---------------------------------------------------------------- unwritten memory
@case(1, 32, 16, ("empty", 16))
def tile_filled_in_part(x, y):
    tile = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    if t < 16:
        tile[t] = x[t]
    cuda.syncthreads()
    if t < 16:
        y[t] = tile[2 * t]  # uninitialised


@case(1, 8, 8)
def local_sum_not_cleared(y):
    own = cuda.local.array(1, float32)
    own[0] += 1  # uninitialised
    y[cuda.threadIdx.x] = own[0]


@case(1, 8, ("empty", 8))
def output_added_to(y):
    y[cuda.threadIdx.x] += 1  # uninitialised


@case(1, 8, ("empty", 1))
def counter_not_cleared(count):
    cuda.atomic.add(count, 0, 1)  # uninitialised


# ---------------------------------------------------------------- warps
@case(1, 32, 32)
def shuffle_in_half_a_warp(y):
    t = cuda.threadIdx.x
    if t < 16:
        y[t] = cuda.shfl_down_sync(FULL, float32(t), 1)  # warp
    else:
        cuda.syncthreads()  # warp


@case(1, 20, 20)
def shuffle_past_the_block(y):
    t = cuda.threadIdx.x
    y[t] = cuda.shfl_down_sync(FULL, float32(t), 4)  # warp


@case(1, 32, 32)
def mask_without_the_caller(y):
    t = cuda.threadIdx.x
    y[t] = cuda.shfl_sync(0xFFFF, float32(t), 0)  # warp


@case(1, 32, 32)
def masks_that_differ(y):
    t = cuda.threadIdx.x
    if t < 16:
        cuda.syncwarp(0xFFFF)
    else:
        cuda.syncwarp(FULL)  # warp
    cuda.syncthreads()  # warp
    y[t] = 1


@case(1, 32, 32)
def collective_at_two_places(y):
    a = (uint32(0), uint32(0), uint32(0), uint32(0))
    b = (uint32(0), uint32(0))
    if cuda.threadIdx.x < 16:
        d = ptx.mma_tf32(a, b, ptx.zeros(4))  # warp
    else:
        d = ptx.mma_tf32(a, b, ptx.zeros(4))  # warp
    y[cuda.threadIdx.x] = d[0]


# ---------------------------------------------------------------- the rest
@case(1, 1, 8, 4)
def vector_misaligned(x, y):
    v = ptx.load128(x, 1)  # misaligned
    y[0] = v[0]


@case(1, 32, 128, 128)
def copy_whose_source_is_overwritten(x, y):
    tile = cuda.shared.array(128, float32, alignment=16)
    t = cuda.threadIdx.x
    ptx.copy_async(tile, uint32(t * 4), x, uint32(t * 4))  # asynchronous
    ptx.commit_copies()
    x[t * 4] = float32(-1)  # asynchronous
    ptx.wait_copies(0)  # asynchronous
    cuda.syncthreads()
    y[t] = tile[t]


@case(1, 2, ("int32", 1), ("int32", 1))
def waiting_for_oneself(lock, y):
    while cuda.atomic.cas(lock, 0, 0, 1) != 0:  # deadlock
        pass
    y[0] += 1


@case(1, 32, 32)
def too_much_static_memory(y):
    tile = cuda.shared.array(20000, float32)  # launch
    t = cuda.threadIdx.x
    tile[t] = t
    y[t] = tile[t]


@case(1, 8, 8, -4)
def shape_of_an_argument(y, n):
    own = cuda.local.array(n, float32)  # compile
    own[0] = 1
    y[cuda.threadIdx.x] = own[0]


@case(1, 8, 8)
def kernel_that_returns(y):
    y[cuda.threadIdx.x] = 1
    return y[0]  # compile


# ---------------------------------------------------------------- right
@case(1, N, N, ("empty", N), right=True)
def reversed_by_a_tile(x, y):
    tile = cuda.shared.array(N, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    cuda.syncthreads()
    y[t] = tile[N - 1 - t]


@case(2, 32, 64, 1, right=True)
def sum_by_atomics(x, y):
    cuda.atomic.add(y, 0, x[cuda.grid(1)])


@case(1, N, N, 1, right=True)
def tree_sum(x, y):
    tile = cuda.shared.array(N, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    step = 32
    while step > 0:
        cuda.syncthreads()
        if t < step:
            tile[t] += tile[t + step]
        step //= 2
    if t == 0:
        y[0] = tile[0]


@case(1, 32, 32, 1, right=True)
def warp_sum_by_shuffles(x, y):
    t = cuda.threadIdx.x
    held = x[t]
    step = 16
    while step > 0:
        held += cuda.shfl_down_sync(FULL, held, step)
        step //= 2
    if t == 0:
        y[0] = held


@case(2, 1, 1, ("int32", 1), 1, right=True)
def message_with_both_fences(data, flag, y):
    if cuda.blockIdx.x == 0:
        data[0] = 42
        cuda.threadfence()
        cuda.atomic.exch(flag, 0, 1)
    else:
        while cuda.atomic.add(flag, 0, 0) == 0:
            pass
        cuda.threadfence()
        y[0] = data[0]


@case(3, 8, 24, ("float32", 3), ("int32", 1), ("float32", 1), right=True)
def last_block_sums(x, parts, count, y):
    last = cuda.shared.array(1, int32)
    t = cuda.threadIdx.x
    if t == 0:
        total = float32(0)
        for i in range(8):
            total += x[cuda.blockIdx.x * 8 + i]
        parts[cuda.blockIdx.x] = total
        cuda.threadfence()
        last[0] = cuda.atomic.add(count, 0, 1)
    cuda.syncthreads()
    if last[0] == 2 and t == 0:
        total = float32(0)
        for i in range(3):
            total += parts[i]
        y[0] = total


@case(2, 16, 32, ("float32", 32), right=True)
def grid_barrier(x, y):
    i = cuda.grid(1)
    y[i] = x[i]
    cuda.cg.this_grid().sync()
    held = y[31 - i]
    cuda.cg.this_grid().sync()
    y[i] = held


@case(1, 4, ("uint8", 4), right=True)
def bytes_of_one_word(b):
    b[cuda.threadIdx.x] = cuda.threadIdx.x


@case(1, 8, ("int32", 1), right=True)
def all_write_one_value(y):
    y[0] = 1


@case(1, 32, 33, 32, right=True)
def shape_of_a_tuple_from_its_end(x, y):
    i = cuda.grid(1)
    if i < y.shape[-1]:
        y[i] = x[i + 1]


@case(3, 8, ("int32", 1), ("float32", 1), right=True)
def lock_with_both_fences(lock, y):
    while cuda.atomic.cas(lock, 0, 0, 1) != 0:
        pass
    cuda.threadfence()
    y[0] += 1
    cuda.threadfence()
    cuda.atomic.exch(lock, 0, 0)
