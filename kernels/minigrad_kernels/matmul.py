"""Matrix products: c = a @ b, with a bias row, accumulated, or batched.

Work is split over c by its shape.  A task packs its columns of b into strips as wide as a register
tile (transposing them where b is a transposed view) and lays tiles over the rows of a, which is
read in place in either order.  K is cut into blocks by K alone, and each element is summed in the
order of k, block after block: bits depend neither on threads nor on M, N and layout.

Shapes: a: (M, K), b: (K, N), bias: (N,) -> c: (M, N), C-contiguous; a and b of any strides.
Source: van Zee and van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS
Functionality", 2015, for packing and blocking; a is not packed here.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import prange

from minigrad_kernels.launch import Kernel, jit
from minigrad_kernels.simd import VECTOR_BYTES, address, copy_lanes, transpose_square
from minigrad_kernels.tile import HEIGHT, VECTORS, strip

Array = np.ndarray[Any, Any]
KC = 256  # depth of a block: a strip of b, 32 KB, stays in first-level cache
MC = 240 // HEIGHT * HEIGHT  # rows of a that stay in second-level cache from strip to strip
NC = 2048  # columns packed at once
# Multiply-adds from which two threads share a product.  On an idle machine they pay from 2**20 on,
# by a few us; on a busy one a fork waits for a core, some 10 ms, so small products do without.
SMALL = 2**21
PLAIN, BIAS, ADD = 0, 1, 2
STRIP_BYTES = VECTORS * VECTOR_BYTES


# ---------------------------------------------------------------- references
def gemm_reference(a: Array, b: Array, c: Array) -> None:
    c[...] = np.matmul(a.astype(np.float64), b.astype(np.float64))


def gemm_bias_reference(a: Array, b: Array, bias: Array, c: Array) -> None:
    c[...] = np.matmul(a.astype(np.float64), b.astype(np.float64)) + bias


def gemm_accumulate_reference(a: Array, b: Array, c: Array) -> None:
    c[...] = c + np.matmul(a.astype(np.float64), b.astype(np.float64))


def bmm_reference(a: Array, b: Array, c: Array) -> None:
    c[...] = np.matmul(a.astype(np.float64), b.astype(np.float64))


# ---------------------------------------------------------------- one task: a block of c
@jit()
def depth_of(k: int) -> int:
    """Return how deep the blocks of K are: even ones, whole vectors each."""
    blocks = max(1, (k + KC // 2) // KC)
    return ((k + blocks - 1) // blocks + 15) // 16 * 16


@jit()
def pack(dtype, size, source, ld, transposed, kc, columns, target):
    """Write b[kc, columns] as strips, one after the other, each (kc, STRIP_BYTES)."""
    width = VECTOR_BYTES // size
    if transposed:
        for j in range(0, columns, width):
            byte = j * size
            to = target + byte // STRIP_BYTES * STRIP_BYTES * kc + byte % STRIP_BYTES
            rows = min(width, columns - j)
            for k in range(0, kc, width):
                transpose_square(
                    dtype,
                    source + j * ld + k * size,
                    ld,
                    rows,
                    kc - k,
                    to + k * STRIP_BYTES,
                    STRIP_BYTES,
                )
    else:
        together = 4 * STRIP_BYTES // size  # strips written in turn, as many as caches bear
        for first in range(0, columns, together):
            for k in range(kc):
                for j in range(first, min(columns, first + together), width):
                    byte = j * size
                    to = target + byte // STRIP_BYTES * STRIP_BYTES * kc + byte % STRIP_BYTES
                    copy_lanes(dtype, source + k * ld + byte, to + k * STRIP_BYTES, columns - j)


@jit()
def block(a, a_turned, b, b_turned, base, mode, c, m0, m1, n0, n1, scratch):
    """Compute c[m0:m1, n0:n1]; a and b hold the operands, or with `turned` their transposes."""
    k_all = a.shape[0] if a_turned else a.shape[1]
    size = a.itemsize
    lda = a.shape[1] * size
    ldb = b.shape[1] * size
    ldc = c.shape[1] * size
    nr = STRIP_BYTES // size
    depth = depth_of(k_all)
    zeros = (address(scratch) + 63) // 64 * 64
    packed = zeros + STRIP_BYTES
    for j in range(2 * nr):  # the row of zeros lies somewhere in here
        scratch[j] = 0
    few = m1 - m0 <= 12 * HEIGHT and k_all * ldb <= 2**16
    fewer = m1 - m0 <= 3 * HEIGHT and k_all * ldb <= 2**19
    in_place = (few or fewer) and not b_turned and (n1 - n0) % nr == 0
    high = MC if depth >= 128 else 2 * HEIGHT  # little depth: walk c by rows, not by strips
    for j0 in range(n0, n1, NC):
        columns = min(NC, n1 - j0)
        p = 0
        while True:
            kc = min(depth, k_all - p)
            if b_turned:
                pack(
                    a.dtype, size, address(b) + j0 * ldb + p * size, ldb, True, kc, columns, packed
                )
            elif not in_place:
                pack(
                    a.dtype, size, address(b) + p * ldb + j0 * size, ldb, False, kc, columns, packed
                )
            for i0 in range(m0, m1, high):
                rows = min(high, m1 - i0)
                from_a = address(a) + (p * lda + i0 * size if a_turned else i0 * lda + p * size)
                for j in range(0, columns, nr):
                    to = address(c) + i0 * ldc + (j0 + j) * size
                    if p > 0 or mode == ADD:
                        start, start_ld = to, ldc
                    elif mode == BIAS:
                        start, start_ld = address(base) + (j0 + j) * size, 0
                    else:
                        start, start_ld = zeros, 0
                    if in_place:
                        from_b, strip_ld = address(b) + p * ldb + (j0 + j) * size, ldb
                    else:
                        from_b, strip_ld = packed + j * kc * size, STRIP_BYTES
                    strip(
                        a.dtype,
                        a_turned,
                        rows,
                        from_a,
                        lda,
                        from_b,
                        strip_ld,
                        kc,
                        start,
                        start_ld,
                        to,
                        ldc,
                        columns - j,
                    )
            p += kc
            if p >= k_all:
                break


@jit()
def scratch_size(k: int, n: int, size: int) -> int:
    nr = STRIP_BYTES // size
    return (min(n, NC) + nr - 1) // nr * nr * depth_of(k) + 4 * nr


@jit()
def share(m: int, n: int, size: int, down: int, across: int) -> tuple[int, int]:
    """Return rows and columns of a task: whole tiles, as even as they come."""
    nr = STRIP_BYTES // size
    high = ((m + HEIGHT - 1) // HEIGHT + down - 1) // down * HEIGHT
    wide = ((n + nr - 1) // nr + across - 1) // across * nr
    return high, wide


@jit()
def gemm_one(a, a_turned, b, b_turned, base, mode, c):
    m, n = c.shape
    k = a.shape[0] if a_turned else a.shape[1]
    scratch = np.empty(scratch_size(k, n, a.itemsize), a.dtype)
    block(a, a_turned, b, b_turned, base, mode, c, 0, m, 0, n, scratch)


@jit(parallel=True)
def gemm_all(a, a_turned, b, b_turned, base, mode, c, down, across):
    m, n = c.shape
    k = a.shape[0] if a_turned else a.shape[1]
    high, wide = share(m, n, a.itemsize, down, across)
    for task in prange(down * across):
        m0 = task // across * high
        n0 = task % across * wide
        m1 = min(m, m0 + high)
        n1 = min(n, n0 + wide)
        if m0 < m1 and n0 < n1:
            scratch = np.empty(scratch_size(k, wide, a.itemsize), a.dtype)
            block(a, a_turned, b, b_turned, base, mode, c, m0, m1, n0, n1, scratch)


@jit()
def bmm_one(a, a_step, a_turned, b, b_step, b_turned, c):
    m, n = c.shape[1:]
    k = a.shape[1] if a_turned else a.shape[2]
    scratch = np.empty(scratch_size(k, n, a.itemsize), a.dtype)
    for i in range(c.shape[0]):
        one_a = a[i * a_step]
        one_b = b[i * b_step]
        block(one_a, a_turned, one_b, b_turned, c[i], PLAIN, c[i], 0, m, 0, n, scratch)


@jit(parallel=True)
def bmm_all(a, a_step, a_turned, b, b_step, b_turned, c, down, across):
    m, n = c.shape[1:]
    k = a.shape[1] if a_turned else a.shape[2]
    high, wide = share(m, n, a.itemsize, down, across)
    for task in prange(c.shape[0] * down * across):
        i = task // (down * across)
        m0 = task // across % down * high
        n0 = task % across * wide
        m1 = min(m, m0 + high)
        n1 = min(n, n0 + wide)
        if m0 < m1 and n0 < n1:
            scratch = np.empty(scratch_size(k, wide, a.itemsize), a.dtype)
            one_a = a[i * a_step]
            one_b = b[i * b_step]
            block(one_a, a_turned, one_b, b_turned, c[i], PLAIN, c[i], m0, m1, n0, n1, scratch)


# ---------------------------------------------------------------- choice by size
def grid(m: int, n: int, threads: int) -> tuple[int, int]:
    """Return how many tasks lie under and beside each other: even work, little packed twice."""
    best = (threads, 1)
    least = 0
    for across in range(1, threads + 1):
        if threads % across == 0:
            rows = -(-m // (threads // across))
            columns = -(-n // across)
            work = rows * columns + 6 * rows + 10 * columns
            if across == 1 or work <= least:
                least = work
                best = (threads // across, across)
    return best


def operand(x: Array) -> tuple[Array, bool]:
    """Return x or a copy as a C-contiguous array, and whether that holds its transposes."""
    if x.flags.c_contiguous:
        return x, False
    turned = x.swapaxes(-1, -2)
    if turned.flags.c_contiguous:
        return turned, True
    return np.ascontiguousarray(x), False


def run(a: Array, b: Array, base: Array, mode: int, c: Array) -> None:
    a, a_turned = operand(a)
    b, b_turned = operand(b)
    m, n = c.shape
    k = a.shape[0] if a_turned else a.shape[1]
    if m * n * k < SMALL:
        gemm_one(a, a_turned, b, b_turned, base, mode, c)
    else:
        down, across = grid(m, n, numba.get_num_threads())
        gemm_all(a, a_turned, b, b_turned, base, mode, c, down, across)


def gemm_cpu(a: Array, b: Array, c: Array) -> None:
    run(a, b, c, PLAIN, c)


def gemm_bias_cpu(a: Array, b: Array, bias: Array, c: Array) -> None:
    run(a, b, bias.reshape(1, -1), BIAS, c)


def gemm_accumulate_cpu(a: Array, b: Array, c: Array) -> None:
    run(a, b, c, ADD, c)


def batch_operand(x: Array) -> tuple[Array, int, bool]:
    """Return the operand, the step from one matrix to the next (0: broadcast), and if turned."""
    step = 1
    if x.strides[0] == 0:
        x = x[:1].copy()  # np.broadcast_to is read-only, which Numba would compile for anew
        step = 0
    x, turned = operand(x)
    return x, step, turned


def bmm_cpu(a: Array, b: Array, c: Array) -> None:
    count, m, n = c.shape
    k = a.shape[2]
    a, a_step, a_turned = batch_operand(a)
    b, b_step, b_turned = batch_operand(b)
    if count * m * n * k < SMALL:
        bmm_one(a, a_step, a_turned, b, b_step, b_turned, c)
    else:
        threads = -(-numba.get_num_threads() // count)
        down, across = grid(m, n, threads)
        bmm_all(a, a_step, a_turned, b, b_step, b_turned, c, down, across)


# ---------------------------------------------------------------- cost and rows
def gemm_cost(a: Array, b: Array, c: Array) -> tuple[int, int]:
    return 2 * c.size * a.shape[-1], a.nbytes + b.nbytes + c.nbytes


def gemm_bias_cost(a: Array, b: Array, bias: Array, c: Array) -> tuple[int, int]:
    flops, traffic = gemm_cost(a, b, c)
    return flops + c.size, traffic + bias.nbytes


def gemm_accumulate_cost(a: Array, b: Array, c: Array) -> tuple[int, int]:
    flops, traffic = gemm_cost(a, b, c)
    return flops + c.size, traffic + c.nbytes


KERNELS = {
    "gemm": Kernel(gemm_reference, gemm_cpu, gemm_cost, out=("c",)),
    "gemm_bias": Kernel(gemm_bias_reference, gemm_bias_cpu, gemm_bias_cost, out=("c",)),
    "gemm_accumulate": Kernel(
        gemm_accumulate_reference, gemm_accumulate_cpu, gemm_accumulate_cost, out=(), inout=("c",)
    ),
    "bmm": Kernel(bmm_reference, bmm_cpu, gemm_cost, out=("c",)),
}
