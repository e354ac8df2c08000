"""Matrix products: c = a @ b, with what follows them, or batched.

Work is split over c by its shape, into tasks (matmul/task.py) of whole register tiles; small
products are one task.  Bits depend neither on threads nor on M, N and layout.

Shapes: a: (M, K), b: (K, N), bias: (N,) or (0,) -> c, y, z: (M, N), C-contiguous; sums: (M,);
a and b of any strides.
Source: van Zee and van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS
Functionality", 2015, for packing and blocking.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import prange

from minigrad_kernels.elementwise.activations import KERNELS as RULES
from minigrad_kernels.jit.compile import get_num_threads, jit
from minigrad_kernels.jit.function_pointers import call_at
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.matmul.epilogue import epilogue_address
from minigrad_kernels.matmul.packing import STRIP_BYTES
from minigrad_kernels.matmul.register_tile import HEIGHT
from minigrad_kernels.matmul.task import (
    ADD,
    ARENA,
    BIAS,
    NOTHING,
    PLAIN,
    SUMS,
    arenas,
    places,
    task_address,
    thread_arenas,
)
from minigrad_kernels.simd.registers import address

Array = np.ndarray[Any, Any]
# Multiply-adds from which two threads share a product.  On an idle machine they pay from 2**20 on,
# by a few us; on a busy one a fork waits for a core, some 10 ms, so small products do without.
SMALL = 2**21


# ---------------------------------------------------------------- references
def gemm_reference(a: Array, b: Array, c: Array) -> None:
    """Compute c = a @ b in float64."""
    c[...] = np.matmul(a.astype(np.float64), b.astype(np.float64))


def gemm_bias_reference(a: Array, b: Array, bias: Array, c: Array) -> None:
    """Compute c = a @ b + bias in float64."""
    c[...] = np.matmul(a.astype(np.float64), b.astype(np.float64)) + bias


def gemm_accumulate_reference(a: Array, b: Array, c: Array) -> None:
    """Compute c += a @ b in float64."""
    c[...] = c + np.matmul(a.astype(np.float64), b.astype(np.float64))


def gemm_activation_reference(a: Array, b: Array, bias: Array, activation: str, y: Array) -> None:
    """Compute y = activation(a @ b + bias) in float64; bias may be empty."""
    gemm_activation_saved_reference(a, b, bias, activation, np.empty_like(y), y)


def gemm_activation_saved_reference(
    a: Array, b: Array, bias: Array, activation: str, z: Array, y: Array
) -> None:
    """Compute z = a @ b + bias and y = activation(z) in float64; bias may be empty."""
    exact = np.matmul(a.astype(np.float64), b.astype(np.float64)) + (bias if bias.size else 0)
    z[...] = exact
    RULES[activation].reference(exact, y)


def gemm_masked_reference(a: Array, b: Array, saved: Array, activation: str, c: Array) -> None:
    """Compute c = the gradient a @ b behind an activation in float64; saved: (M, N)."""
    exact = np.matmul(a.astype(np.float64), b.astype(np.float64))
    RULES[f"{activation}_backward"].reference(exact, saved, c)


def gemm_sums_reference(a: Array, b: Array, c: Array, sums: Array) -> None:
    """Compute c = a @ b and the sums of a's rows: (M,) in float64."""
    gemm_reference(a, b, c)
    sums[...] = a.astype(np.float64).sum(axis=1)


def bmm_reference(a: Array, b: Array, c: Array) -> None:
    """Compute c = a @ b for batches in float64: a: (B, M, K), b: (B, K, N) -> c: (B, M, N)."""
    c[...] = np.matmul(a.astype(np.float64), b.astype(np.float64))


# ---------------------------------------------------------------- tasks over c
@jit()
def share(m: int, n: int, size: int, row_blocks: int, column_blocks: int) -> tuple[int, int]:
    """Return rows and columns of a task: whole tiles, as even as they come."""
    nr = STRIP_BYTES // size
    block_rows = ((m + HEIGHT - 1) // HEIGHT + row_blocks - 1) // row_blocks * HEIGHT
    block_columns = ((n + nr - 1) // nr + column_blocks - 1) // column_blocks * nr
    return block_rows, block_columns


@jit()
def gemm_one(task, arena, a, a_transposed, b, b_transposed, base, mode, c, after, side):
    """Compute a product as one task, on the calling thread; side: for the epilogue."""
    m, n = c.shape
    k = a.shape[0] if a_transposed else a.shape[1]
    size = c.itemsize
    call_at(
        task,
        (
            address(a), a.shape[1] * size, a_transposed,
            address(b), b.shape[1] * size, b_transposed,
            address(base), mode, address(c), n * size, k, 0, m, 0, n, after, address(side), arena,
        ),
    )  # fmt: skip


@jit()
def gemm_plain(task, arena, a, b, transposed, c):
    """Compute c = a @ b as one task, on the calling thread: `gemm_one` with fewer arguments.

    transposed: 1 where a holds its transpose, 2 for b, 3 for both.  Eleven arguments cost 1.8 us,
    these 1.4, of the 6 us of a product of 64^3.
    """
    m, n = c.shape
    a_transposed = transposed & 1
    k = a.shape[0] if a_transposed else a.shape[1]
    size = c.itemsize
    at = address(c)
    call_at(
        task,
        (
            address(a), a.shape[1] * size, a_transposed,
            address(b), b.shape[1] * size, transposed >> 1,
            at, PLAIN, at, n * size, k, 0, m, 0, n, NOTHING, at, arena,
        ),
    )  # fmt: skip


@jit(parallel=True)
def gemm_all(
    task,
    arena,
    a,
    a_transposed,
    b,
    b_transposed,
    base,
    mode,
    c,
    after,
    side,
    row_blocks,
    column_blocks,
):
    """Compute a product in parallel, a task for each block of c."""
    m, n = c.shape
    k = a.shape[0] if a_transposed else a.shape[1]
    size = c.itemsize
    block_rows, block_columns = share(m, n, size, row_blocks, column_blocks)
    for t in prange(row_blocks * column_blocks):
        m0 = t // column_blocks * block_rows
        n0 = t % column_blocks * block_columns
        m1 = min(m, m0 + block_rows)
        n1 = min(n, n0 + block_columns)
        if m0 < m1 and n0 < n1:
            mine = arena + numba.get_thread_id() * ARENA
            call_at(
                task,
                (
                    address(a), a.shape[1] * size, a_transposed,
                    address(b), b.shape[1] * size, b_transposed,
                    address(base), mode, address(c), n * size, k, m0, m1, n0, n1,
                    after, address(side), mine,
                ),
            )  # fmt: skip


@jit()
def bmm_one(task, arena, a, a_step, a_transposed, b, b_step, b_transposed, c):
    """Compute a batch of products one after the other, on the calling thread."""
    m, n = c.shape[1:]
    k = a.shape[1] if a_transposed else a.shape[2]
    size = c.itemsize
    for i in range(c.shape[0]):
        from_a = address(a) + i * a_step * m * k * size
        from_b = address(b) + i * b_step * k * n * size
        to = address(c) + i * m * n * size
        call_at(
            task,
            (
                from_a, a.shape[2] * size, a_transposed, from_b, b.shape[2] * size, b_transposed,
                to, PLAIN, to, n * size, k, 0, m, 0, n, NOTHING, to, arena,
            ),
        )  # fmt: skip


@jit(parallel=True)
def bmm_all(
    task, arena, a, a_step, a_transposed, b, b_step, b_transposed, c, row_blocks, column_blocks
):
    """Compute a batch of products in parallel, a task for each block of each c."""
    m, n = c.shape[1:]
    k = a.shape[1] if a_transposed else a.shape[2]
    size = c.itemsize
    block_rows, block_columns = share(m, n, size, row_blocks, column_blocks)
    for t in prange(c.shape[0] * row_blocks * column_blocks):
        i = t // (row_blocks * column_blocks)
        m0 = t // column_blocks % row_blocks * block_rows
        n0 = t % column_blocks * block_columns
        m1 = min(m, m0 + block_rows)
        n1 = min(n, n0 + block_columns)
        if m0 < m1 and n0 < n1:
            mine = arena + numba.get_thread_id() * ARENA
            from_a = address(a) + i * a_step * m * k * size
            from_b = address(b) + i * b_step * k * n * size
            to = address(c) + i * m * n * size
            call_at(
                task,
                (
                    from_a, a.shape[2] * size, a_transposed,
                    from_b, b.shape[2] * size, b_transposed,
                    to, PLAIN, to, n * size, k, m0, m1, n0, n1, NOTHING, to, mine,
                ),
            )  # fmt: skip


# ---------------------------------------------------------------- choice by size
def grid(m: int, n: int, threads: int) -> tuple[int, int]:
    """Return how many tasks lie under and beside each other: even work, little packed twice."""
    best = (threads, 1)
    least = 0
    for column_blocks in range(1, threads + 1):
        if threads % column_blocks == 0:
            rows = -(-m // (threads // column_blocks))
            columns = -(-n // column_blocks)
            work = rows * columns + 6 * rows + 10 * columns
            if column_blocks == 1 or work <= least:
                least = work
                best = (threads // column_blocks, column_blocks)
    return best


def threads_for(work: int) -> int:
    """Return how many threads share so many multiply-adds."""
    return get_num_threads() if work >= SMALL else 1


def operand(x: Array) -> tuple[Array, bool]:
    """Return x or a copy as a C-contiguous array, and whether that holds its transposes."""
    flags = x.flags
    if flags.c_contiguous:
        return x, False
    if flags.f_contiguous and x.ndim == 2:
        return x.T, True
    transposed = x.swapaxes(-1, -2)
    if transposed.flags.c_contiguous:
        return transposed, True
    return np.ascontiguousarray(x), False


def run(
    a: Array, b: Array, base: Array, mode: int, c: Array, after: int = NOTHING, side: Any = None
) -> None:
    """Compute c from a and b, in one task or in parallel.

    base, mode: what c starts from, see matmul/task.py.  after: SUMS, an epilogue's address or
        NOTHING.
    side: what the epilogue reads or writes: (M, N), or the row sums: (M, 1).
    """
    a, a_transposed = operand(a)
    b, b_transposed = operand(b)
    m, n = c.shape
    k = a.shape[0] if a_transposed else a.shape[1]
    task = task_address(c.dtype)
    if side is None:
        side = c
    threads = threads_for(m * n * k)
    if threads == 1:
        gemm_one(task, arenas(), a, a_transposed, b, b_transposed, base, mode, c, after, side)
    else:
        grids = grid(m, n, threads)
        arena = thread_arenas()
        gemm_all(task, arena, a, a_transposed, b, b_transposed, base, mode, c, after, side, *grids)


def gemm_cpu(a: Array, b: Array, c: Array) -> None:
    """Compute c = a @ b on the CPU."""
    if c.shape[1] == 1:  # as a row: a column fills one lane of a register
        a, b, c = b.T, a.T, c.T
    if threads_for(c.size * a.shape[1]) == 1:
        transposed = 0
        flags = a.flags  # `operand` written out: 0.3 us less, of the 1.8 of a product of 32^3
        if not flags.c_contiguous:
            if flags.f_contiguous:
                a, transposed = a.T, 1
            else:
                a = np.ascontiguousarray(a)
        flags = b.flags
        if not flags.c_contiguous:
            if flags.f_contiguous:
                b = b.T
                transposed += 2
            else:
                b = np.ascontiguousarray(b)
        task, arena = places(c.itemsize)
        gemm_plain(task, arena, a, b, transposed, c)
    else:
        run(a, b, c, PLAIN, c)


def gemm_bias_cpu(a: Array, b: Array, bias: Array, c: Array) -> None:
    """Compute c = a @ b + bias on the CPU."""
    run(a, b, bias.reshape(1, -1), BIAS, c)


def gemm_activation_saved_cpu(
    a: Array, b: Array, bias: Array, activation: str, z: Array, y: Array
) -> None:
    """Compute z = a @ b + bias and y = activation(z) on the CPU; bias may be empty."""
    after = epilogue_address("activation", activation, y.dtype)
    if bias.size:
        run(a, b, bias.reshape(1, -1), BIAS, z, after, y)
    else:
        run(a, b, z, PLAIN, z, after, y)


def gemm_activation_cpu(a: Array, b: Array, bias: Array, activation: str, y: Array) -> None:
    """Compute y = activation(a @ b + bias) on the CPU; bias may be empty."""
    gemm_activation_saved_cpu(a, b, bias, activation, y, y)


def gemm_masked_cpu(a: Array, b: Array, saved: Array, activation: str, c: Array) -> None:
    """Compute c = the gradient a @ b behind an activation on the CPU; saved: (M, N)."""
    run(a, b, c, PLAIN, c, epilogue_address("mask", activation, c.dtype), saved)


def gemm_sums_cpu(a: Array, b: Array, c: Array, sums: Array) -> None:
    """Compute c = a @ b and the sums of a's rows: (M,) on the CPU."""
    if c.size:
        run(a, b, c, PLAIN, c, SUMS, sums.reshape(-1, 1))
    else:
        np.sum(a, axis=1, out=sums)


def gemm_accumulate_cpu(a: Array, b: Array, c: Array) -> None:
    """Compute c += a @ b on the CPU."""
    run(a, b, c, ADD, c)


def batch_operand(x: Array) -> tuple[Array, int, bool]:
    """Return the operand, the step to the next matrix (0: broadcast), and if it is transposed."""
    step = 1
    if x.strides[0] == 0:
        x = x[:1].copy()  # np.broadcast_to is read-only, which Numba would compile for anew
        step = 0
    x, transposed = operand(x)
    return x, step, transposed


def bmm_cpu(a: Array, b: Array, c: Array) -> None:
    """Compute c = a @ b for batches on the CPU: a: (B, M, K), b: (B, K, N) -> c: (B, M, N)."""
    if c.shape[2] == 1:
        a, b, c = b.swapaxes(1, 2), a.swapaxes(1, 2), c.swapaxes(1, 2)
    count, m, n = c.shape
    k = a.shape[2]
    a, a_step, a_transposed = batch_operand(a)
    b, b_step, b_transposed = batch_operand(b)
    threads = threads_for(count * m * n * k)
    if threads == 1:
        bmm_one(
            task_address(c.dtype), arenas(), a, a_step, a_transposed, b, b_step, b_transposed, c
        )
    else:
        row_blocks, column_blocks = grid(m, n, -(-threads // count))
        bmm_all(
            task_address(c.dtype),
            thread_arenas(),
            a,
            a_step,
            a_transposed,
            b,
            b_step,
            b_transposed,
            c,
            row_blocks,
            column_blocks,
        )


# ---------------------------------------------------------------- cost and rows
def gemm_cost(a: Array, b: Array, c: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `gemm` and `bmm`."""
    return 2 * c.size * a.shape[-1], a.nbytes + b.nbytes + c.nbytes


def gemm_bias_cost(a: Array, b: Array, bias: Array, c: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `gemm_bias`."""
    flops, traffic = gemm_cost(a, b, c)
    return flops + c.size, traffic + bias.nbytes


def gemm_accumulate_cost(a: Array, b: Array, c: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `gemm_accumulate`."""
    flops, traffic = gemm_cost(a, b, c)
    return flops + c.size, traffic + c.nbytes


def gemm_activation_cost(
    a: Array, b: Array, bias: Array, activation: str, y: Array
) -> tuple[int, int]:
    """Return the flops and the bytes of `gemm_activation`."""
    flops, traffic = gemm_cost(a, b, y)
    own, _ = RULES[activation].cost(y, y)
    return flops + y.size + own, traffic + bias.nbytes


def gemm_activation_saved_cost(
    a: Array, b: Array, bias: Array, activation: str, z: Array, y: Array
) -> tuple[int, int]:
    """Return the flops and the bytes of `gemm_activation_saved`."""
    flops, traffic = gemm_activation_cost(a, b, bias, activation, y)
    return flops, traffic + z.nbytes


def gemm_masked_cost(
    a: Array, b: Array, saved: Array, activation: str, c: Array
) -> tuple[int, int]:
    """Return the flops and the bytes of `gemm_masked`."""
    flops, traffic = gemm_cost(a, b, c)
    own, _ = RULES[f"{activation}_backward"].cost(c, saved, c)
    return flops + own, traffic + saved.nbytes


def gemm_sums_cost(a: Array, b: Array, c: Array, sums: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `gemm_sums`."""
    flops, traffic = gemm_cost(a, b, c)
    return flops + a.size, traffic + sums.nbytes


def row(
    reference: Callable[..., None],
    cpu: Callable[..., None],
    cost: Callable[..., tuple[int, int]],
    out: tuple[str, ...] = ("y",),
    inout: tuple[str, ...] = (),
) -> Kernel:
    """Return the table's row of a product."""
    return Kernel(reference, cpu, cost, out, inout, rounding=(40.0, 20.0))


KERNELS = {
    "gemm": row(gemm_reference, gemm_cpu, gemm_cost, out=("c",)),
    "gemm_bias": row(gemm_bias_reference, gemm_bias_cpu, gemm_bias_cost, out=("c",)),
    "gemm_accumulate": row(
        gemm_accumulate_reference, gemm_accumulate_cpu, gemm_accumulate_cost, out=(), inout=("c",)
    ),
    "gemm_activation": row(gemm_activation_reference, gemm_activation_cpu, gemm_activation_cost),
    "gemm_activation_saved": row(
        gemm_activation_saved_reference,
        gemm_activation_saved_cpu,
        gemm_activation_saved_cost,
        out=("z", "y"),
    ),
    "gemm_masked": row(gemm_masked_reference, gemm_masked_cpu, gemm_masked_cost, out=("c",)),
    "gemm_sums": row(gemm_sums_reference, gemm_sums_cpu, gemm_sums_cost, out=("c", "sums")),
    "bmm": row(bmm_reference, bmm_cpu, gemm_cost, out=("c",)),
}
