"""A scalar rule lifted to one launch over all tensors of an address table.

The rows laid end to end are cut into fixed blocks, so that one large tensor and a thousand small
ones are both shared out evenly, and every element is computed by the same rule whatever the number
of threads.

A rule is one function `rule(c, p, g, *state) -> (p, *state)` of one element; `c` is a tuple of
WIDTH numbers of the tensor's dtype, which `prepare(row, h, t, c)` works out once a tensor in
float64 from its row of the table, its hyperparameters `h` and its step count `t`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.address_table import (
    GROUP,
    INDEX,
    SIZE,
    START,
    STATE,
    G,
    P,
    callee,
    load_at,
    row_at,
    store_at,
    total,
)
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel

Array = np.ndarray[Any, Any]

WIDTH = 10  # numbers a rule may take beside its arrays
BLOCK = 8_192  # elements of one unit of parallel work, and of one partial sum
MANY = 60_000  # elements from which two threads beat one


# ---------------------------------------------------------------- what rules share
@callee()
def prepare_decay(
    lr: float, weight_decay: float, decoupled: float, maximize: float, c: Array
) -> None:
    """Set c[0] to the gradient's sign, c[1] to the L2 factor, c[2] to the weight's factor."""
    c[0] = -1.0 if maximize != 0.0 else 1.0
    c[1] = 0.0 if decoupled != 0.0 else weight_decay
    c[2] = 1.0 - lr * weight_decay if decoupled != 0.0 else 1.0


@callee()
def decayed(c: Any, p: float, g: float) -> tuple[float, float]:
    """Return weight and gradient after sign and weight decay."""
    g = c[0] * g
    if c[1] != 0:
        g = g + c[1] * p
    return c[2] * p, g


# ---------------------------------------------------------------- a rule over a slice of one tensor
def _slice0(rule: Any, name: str) -> Any:
    @callee(name=f"{name}.slice")
    def slice_of(row: Array, c: Any, lo: int, hi: int, like: Array) -> None:
        p, g = row[P], row[G]
        for i in range(lo, hi):
            store_at(p, i, rule(c, load_at(p, i, like, 0), load_at(g, i, like, 1)), 0)

    return slice_of


def _slice1(rule: Any, name: str) -> Any:
    @callee(name=f"{name}.slice")
    def slice_of(row: Array, c: Any, lo: int, hi: int, like: Array) -> None:
        p, g, a = row[P], row[G], row[STATE]
        for i in range(lo, hi):
            x, y = rule(c, load_at(p, i, like, 0), load_at(g, i, like, 1), load_at(a, i, like, 2))
            store_at(p, i, x, 0)
            store_at(a, i, y, 2)

    return slice_of


def _slice2(rule: Any, name: str) -> Any:
    @callee(name=f"{name}.slice")
    def slice_of(row: Array, c: Any, lo: int, hi: int, like: Array) -> None:
        p, g, a, b = row[P], row[G], row[STATE], row[STATE + 1]
        for i in range(lo, hi):
            u, v = load_at(a, i, like, 2), load_at(b, i, like, 3)
            x, y, z = rule(c, load_at(p, i, like, 0), load_at(g, i, like, 1), u, v)
            store_at(p, i, x, 0)
            store_at(a, i, y, 2)
            store_at(b, i, z, 3)

    return slice_of


def _slice3(rule: Any, name: str) -> Any:
    @callee(name=f"{name}.slice")
    def slice_of(row: Array, c: Any, lo: int, hi: int, like: Array) -> None:
        p, g, a, b, d = row[P], row[G], row[STATE], row[STATE + 1], row[STATE + 2]
        for i in range(lo, hi):
            u, v, w = load_at(a, i, like, 2), load_at(b, i, like, 3), load_at(d, i, like, 4)
            x, y, z, s = rule(c, load_at(p, i, like, 0), load_at(g, i, like, 1), u, v, w)
            store_at(p, i, x, 0)
            store_at(a, i, y, 2)
            store_at(b, i, z, 3)
            store_at(d, i, s, 4)

    return slice_of


SLICES = (_slice0, _slice1, _slice2, _slice3)


# ---------------------------------------------------------------- a rule over a table
def lift(rule: Any, prepare: Any, states: int, name: str) -> Callable[..., None]:
    """Return the kernel `f(table, hyper, like, steps)` that runs `rule` over a whole table.

    rule, prepare: jitted, as the head of this file says.  states: arrays kept a parameter, 0 to 3.
    hyper: float64 (groups, options), read at each launch.  steps: int64, counted up here.
    """
    slice_of = SLICES[states](rule, name)

    @callee(name=f"{name}.constants")
    def constants(table: Array, hyper: Array, like: Array, steps: Array) -> Array:
        c = np.empty((table.shape[0], WIDTH), like.dtype)
        for k in range(table.shape[0]):
            row = table[k]
            steps[row[INDEX]] += 1
            prepare(row, hyper[row[GROUP]], steps[row[INDEX]], c[k])
        return c

    @callee(name=f"{name}.span")
    def span(table: Array, c: Array, like: Array, begin: int, end: int) -> None:
        k = row_at(table, begin)
        while begin < end:
            row = table[k]
            hi = min(row[SIZE], end - row[START])
            n = c[k]
            numbers = (n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9])
            slice_of(row, numbers, begin - row[START], hi, like)
            begin = row[START] + hi
            k += 1

    @jit(name=f"{name}.sequential")
    def sequential(table: Array, hyper: Array, like: Array, steps: Array) -> None:
        c = constants(table, hyper, like, steps)
        span(table, c, like, 0, table[-1, START] + table[-1, SIZE])

    @jit(name=f"{name}.parallel", parallel=True)
    def parallel(table: Array, hyper: Array, like: Array, steps: Array) -> None:
        c = constants(table, hyper, like, steps)
        n = table[-1, START] + table[-1, SIZE]
        for block in prange((n + BLOCK - 1) // BLOCK):
            span(table, c, like, block * BLOCK, min(n, (block + 1) * BLOCK))

    def cpu(table: Array, hyper: Array, like: Array, steps: Array) -> None:
        n = total(table)
        if n >= MANY:
            parallel(table, hyper, like, steps)
        elif len(table):
            sequential(table, hyper, like, steps)

    cpu.__name__ = cpu.__qualname__ = name
    return cpu


def step_cost(flops: int, states: int) -> Callable[..., tuple[int, int]]:
    """Return the cost of an optimizer step: p and the state are read and written, g is read."""

    def cost(table: Array, hyper: Array, like: Array, steps: Array) -> tuple[int, int]:
        n = total(table)
        return flops * n, (2 * states + 3) * n * like.dtype.itemsize

    return cost


def row_of(
    reference: Callable[..., None], cpu: Callable[..., None], flops: int, states: int
) -> Kernel:
    """Return the row of an optimizer step; the tensors it writes stand in the address table."""
    return Kernel(reference, cpu, step_cost(flops, states), out=(), inout=("steps",))
