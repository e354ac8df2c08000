"""Every optimizer's step lifted to one launch over all tensors of an address table, on a device.

Rule and `prepare` are the CPU's (optim/multi_tensor.py).  A first kernel works out each tensor's
numbers, one thread a tensor; the second walks the tensors' elements laid end to end in chunks of
CHUNK, one block a chunk at a time, 128 bits an access where a float32 tensor's arrays are aligned.

table: int64 host array of device addresses (`address_table.build_table` of device arrays).
hyper, steps: host arrays with copies on the device, which counts the steps too.  like: an empty
device array, which says dtype and device.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numba import cuda, float32, float64, int64, uint32

from minigrad_cudasim.machine import reached
from minigrad_cudasim.models import model
from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import Array, DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import MAX_ELEMENTS, blocks, run, scratch
from minigrad_kernels.cuda.plan import Planned
from minigrad_kernels.cuda.targets import upload
from minigrad_kernels.jit.address_table import GROUP, INDEX, SIZE, START, STATE, G, P, row_at, total
from minigrad_kernels.optim.multi_tensor import WIDTH, Step
from minigrad_kernels.simd.registers import address_array

model(address_array)(reached)  # where NAdam's product lies

THREADS = 128
CHUNK = 1_024  # elements of a block's step: two vectors a thread
NUMBERED = itertools.count()  # rules, for their plans
ALIGNED = 15  # the bits of an address that 128-bit access leaves zero


@cuda.jit(device=True)
def numbers_of(c, k):
    """Return the numbers of a tensor, as its rule takes them."""
    return (
        c[k, 0],
        c[k, 1],
        c[k, 2],
        c[k, 3],
        c[k, 4],
        c[k, 5],
        c[k, 6],
        c[k, 7],
        c[k, 8],
        c[k, 9],
    )


@cuda.jit(device=True)
def whole_vectors(low, high):
    """Return the part of [low, high) that begins and ends at multiples of four."""
    first = min(high, uint32((low + uint32(3)) & ~uint32(3)))
    return first, max(first, uint32(high & ~uint32(3)))


def elements(table: Array) -> int:
    """Return the number of elements of a table; a ValueError where 32 bits do not count them."""
    count = total(table)
    if count > MAX_ELEMENTS:
        raise ValueError(
            f"one launch takes tensors of at most {MAX_ELEMENTS} elements in all, these have "
            f"{count}: step or clip them in several groups"
        )
    return count


# ---------------------------------------------------------------- a rule on one element, or on four
def _apply0(rule: Any) -> tuple[Any, Any]:
    """Return the device functions that step one element and four of a rule without state."""

    @cuda.jit(device=True)
    def one(n, p, g, a, b, d, i):
        p[i] = rule(n, p[i], g[i])

    @cuda.jit(device=True)
    def four(n, p, g, a, b, d, i):
        u, v = ptx.load128(p, i), ptx.load128(g, i)
        made = (rule(n, u[0], v[0]), rule(n, u[1], v[1]), rule(n, u[2], v[2]), rule(n, u[3], v[3]))
        ptx.store128(p, i, made)

    return one, four


def _apply1(rule: Any) -> tuple[Any, Any]:
    """Return the device functions that step one element and four of a rule with one state."""

    @cuda.jit(device=True)
    def one(n, p, g, a, b, d, i):
        p[i], a[i] = rule(n, p[i], g[i], a[i])

    @cuda.jit(device=True)
    def four(n, p, g, a, b, d, i):
        u, v, w = ptx.load128(p, i), ptx.load128(g, i), ptx.load128(a, i)
        p0, a0 = rule(n, u[0], v[0], w[0])
        p1, a1 = rule(n, u[1], v[1], w[1])
        p2, a2 = rule(n, u[2], v[2], w[2])
        p3, a3 = rule(n, u[3], v[3], w[3])
        ptx.store128(p, i, (p0, p1, p2, p3))
        ptx.store128(a, i, (a0, a1, a2, a3))

    return one, four


def _apply2(rule: Any) -> tuple[Any, Any]:
    """Return the device functions that step one element and four of a rule with two states."""

    @cuda.jit(device=True)
    def one(n, p, g, a, b, d, i):
        p[i], a[i], b[i] = rule(n, p[i], g[i], a[i], b[i])

    @cuda.jit(device=True)
    def four(n, p, g, a, b, d, i):
        u, v, w, x = ptx.load128(p, i), ptx.load128(g, i), ptx.load128(a, i), ptx.load128(b, i)
        p0, a0, b0 = rule(n, u[0], v[0], w[0], x[0])
        p1, a1, b1 = rule(n, u[1], v[1], w[1], x[1])
        p2, a2, b2 = rule(n, u[2], v[2], w[2], x[2])
        p3, a3, b3 = rule(n, u[3], v[3], w[3], x[3])
        ptx.store128(p, i, (p0, p1, p2, p3))
        ptx.store128(a, i, (a0, a1, a2, a3))
        ptx.store128(b, i, (b0, b1, b2, b3))

    return one, four


def _apply3(rule: Any) -> tuple[Any, Any]:
    """Return the device functions that step one element and four of a rule with three states."""

    @cuda.jit(device=True)
    def one(n, p, g, a, b, d, i):
        p[i], a[i], b[i], d[i] = rule(n, p[i], g[i], a[i], b[i], d[i])

    @cuda.jit(device=True)
    def four(n, p, g, a, b, d, i):
        u, v, w, x = ptx.load128(p, i), ptx.load128(g, i), ptx.load128(a, i), ptx.load128(b, i)
        y = ptx.load128(d, i)
        p0, a0, b0, d0 = rule(n, u[0], v[0], w[0], x[0], y[0])
        p1, a1, b1, d1 = rule(n, u[1], v[1], w[1], x[1], y[1])
        p2, a2, b2, d2 = rule(n, u[2], v[2], w[2], x[2], y[2])
        p3, a3, b3, d3 = rule(n, u[3], v[3], w[3], x[3], y[3])
        ptx.store128(p, i, (p0, p1, p2, p3))
        ptx.store128(a, i, (a0, a1, a2, a3))
        ptx.store128(b, i, (b0, b1, b2, b3))
        ptx.store128(d, i, (d0, d1, d2, d3))

    return one, four


APPLY = (_apply0, _apply1, _apply2, _apply3)


# ---------------------------------------------------------------- over a table
def prepared(prepare: Any) -> Any:
    """Return the kernel that works out each tensor's numbers, in float64, one thread a tensor."""

    @cuda.jit
    def numbers(table, hyper, steps, held, c):
        """Count a step of each tensor and write its numbers: a thread a tensor."""
        k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while k < uint32(table.shape[0]):
            row = table[k]
            for j in range(WIDTH):
                held[k, j] = float64(0)
            count = steps[row[INDEX]] + int64(1)
            steps[row[INDEX]] = count
            prepare(row, hyper[row[GROUP]], count, held[k])
            for j in range(WIDTH):
                c[k, j] = c.dtype.type(held[k, j])
            k = uint32(k + cuda.gridDim.x * cuda.blockDim.x)

    return numbers


def stepping(rule: Any, states: int, single: bool) -> Any:
    """Return the kernel that runs a rule over the elements of a table.

    single: for float32, by 128-bit accesses where a tensor's arrays are aligned.
    """
    one, four = APPLY[states](rule)
    columns = STATE + states

    @cuda.jit
    def step(table, c, like):
        """Step all tensors of a table: a block a chunk of their elements."""
        last = table.shape[0] - 1
        count = uint32(table[last, START] + table[last, SIZE])
        begin = uint32(cuda.blockIdx.x * uint32(CHUNK))
        while begin < count:
            end = min(count, uint32(begin + uint32(CHUNK)))
            k = row_at(table, int64(begin))
            index = begin
            while index < end:
                row = table[k]
                size, start = row[SIZE], uint32(row[START])
                low = uint32(index - start)
                high = min(uint32(size), uint32(end - start))
                n = numbers_of(c, k)
                p = ptx.array_at(row[P], size, like.dtype)
                g = ptx.array_at(row[G], size, like.dtype)
                # What a rule does not have stands for something it has: it is never touched.
                a = ptx.array_at(row[STATE if states > 0 else P], size, like.dtype)
                b = ptx.array_at(row[STATE + 1 if states > 1 else P], size, like.dtype)
                d = ptx.array_at(row[STATE + 2 if states > 2 else P], size, like.dtype)
                i = uint32(low + cuda.threadIdx.x)
                if single:
                    bits = int64(0)
                    for j in range(P, columns):
                        bits |= row[j]
                    if bits & int64(ALIGNED) == 0:
                        first, after = whole_vectors(low, high)
                        v = uint32(first + cuda.threadIdx.x * uint32(4))
                        while v < after:
                            four(n, p, g, a, b, d, v)
                            v = uint32(v + uint32(4 * THREADS))
                        if i < first:
                            one(n, p, g, a, b, d, i)
                        i = uint32(after + cuda.threadIdx.x)
                while i < high:
                    one(n, p, g, a, b, d, i)
                    i = uint32(i + uint32(THREADS))
                index = uint32(start + high)
                k += 1
            begin = uint32(begin + cuda.gridDim.x * uint32(CHUNK))

    return step


def count_steps(steps: Array, index: Array) -> None:
    """Count a step of the tensors of these numbers, each of which is there once."""
    steps[index] += 1


class CudaStep:
    """The CUDA kernel `f(table, hyper, like, steps)` of an optimizer's step."""

    def __init__(self, row: Step) -> None:
        self.numbers = prepared(row.prepare)
        self.single = stepping(row.update, len(row.states), True)
        self.double = stepping(row.update, len(row.states), False)
        self.planned = Planned(f"step {next(NUMBERED)}", self.launches, self.launches)

    plans_itself = True  # of what is on the device: table and hyper are the host's

    def __call__(self, table: Array, hyper: Array, like: DeviceArray, steps: Array) -> None:
        """Step all parameters of a table, and count their steps, on the device and on the host."""
        if not len(table):
            return
        count = elements(table)
        target: Any = like.target
        if hasattr(target, "mirror"):
            there = target.table_of(table), target.mirror(hyper), target.mirror(steps)
        else:
            there = upload(target, table), upload(target, hyper), upload(target, steps)
        self.planned(*there, like, count)
        index = table[:, INDEX].copy()
        steps[index] += 1
        if hasattr(target, "mirror"):
            target.mirrored(steps)
            target.each_replay(partial(count_steps, steps, index), steps)

    def launches(
        self,
        rows: DeviceArray,
        hyper: DeviceArray,
        steps: DeviceArray,
        like: DeviceArray,
        count: int,
    ) -> None:
        """Launch both kernels on what lies on the device."""
        held = scratch((len(rows), WIDTH), np.float64, like)
        c = scratch((len(rows), WIDTH), like.dtype, like)
        run(self.numbers, blocks(len(rows), THREADS), THREADS, rows, hyper, steps, held, c)
        if count:
            step = self.single if like.dtype == np.float32 else self.double
            run(step, blocks(count, CHUNK), THREADS, rows, c, like)

    def checks(self, name: str) -> tuple[Check, ...]:
        """Return the checks of the kernels of a step."""
        integers, doubles = int64[:, ::1], float64[:, ::1]
        vectors = ("LDG.E.128", "STG.E.128")
        prepare = (integers, doubles, int64[::1], doubles)
        return (
            Check(
                f"{name}.numbers/float32",
                self.numbers,
                (*prepare, float32[:, ::1]),
                registers=96,
                float64=True,
            ),
            Check(
                f"{name}/float32",
                self.single,
                (integers, float32[:, ::1], float32[::1]),
                vectors,
                registers=96,
            ),
            Check(
                f"{name}/float64",
                self.double,
                (integers, doubles, float64[::1]),
                registers=128,
                float64=True,
            ),
        )


def lift(steps: Mapping[str, Step]) -> tuple[dict[str, CudaKernel], tuple[Check, ...]]:
    """Return CUDA_KERNELS and CHECKS of the steps of a family."""
    lifted = {name: CudaStep(row) for name, row in steps.items()}
    checks = tuple(check for name, kernel in lifted.items() for check in kernel.checks(name))
    return dict(lifted), checks
