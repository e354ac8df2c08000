"""A scalar rule lifted to one launch over all tensors of an address table.

The rows laid end to end are cut into fixed blocks, so that one large tensor and a thousand small
ones are both shared out evenly, and every element is computed by the same rule whatever the number
of threads.

A rule is one function `rule(c, p, g, *state) -> (p, *state)` of one element; `c` is a tuple of
WIDTH numbers of the tensor's dtype, which `prepare(row, h, t, c)` works out once a tensor in
float64 from its row of the table, the numbers of its step `h` (lr, weight_decay, ...) and its step
count `t`.

The file of an optimizer names these numbers once, `H = numbers("lr", ...)`, reads them by name,
`h[H.lr]`, and states what else there is to know in one `step` for each rule.  From that are made
the kernel for the CPU, the one for CUDA (optim/cuda_multi_tensor.py), the samples of the tests and
of `compare`, and what the optimizer's class needs.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
    device_function,
    load_at,
    row_at,
    store_at,
    total,
)
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.optim.examples import stepped

Array = np.ndarray[Any, Any]

WIDTH = 10  # numbers a rule may take beside its arrays
BLOCK = 8_192  # elements of one unit of parallel work, and of one partial sum
MANY = 60_000  # elements from which two threads beat one


# ---------------------------------------------------------------- what rules share
@device_function()
def prepare_decay(
    lr: float, weight_decay: float, decoupled: float, maximize: float, c: Array
) -> None:
    """Set c[0] to the gradient's sign, c[1] to the L2 factor, c[2] to the weight's factor."""
    c[0] = -1.0 if maximize != 0.0 else 1.0
    c[1] = 0.0 if decoupled != 0.0 else weight_decay
    c[2] = 1.0 - lr * weight_decay if decoupled != 0.0 else 1.0


@device_function()
def decayed(c: Any, p: float, g: float) -> tuple[float, float]:
    """Return weight and gradient after sign and weight decay."""
    g = c[0] * g
    if c[1] != 0:
        g = g + c[1] * p
    return c[2] * p, g


@device_function()
def prepare_moments(beta1: float, beta2: float, c: Array) -> None:
    """Set c[3] to c[5] to what the two moments of Adam need."""
    c[3] = 1.0 - beta1
    c[4] = beta2
    c[5] = 1.0 - beta2


# ---------------------------------------------------------------- what references share
def decayed_reference(
    p: Array, g: Array, lr: float, weight_decay: float, decoupled: float, maximize: float
) -> tuple[Any, Any]:
    """Return weight and gradient in float64 after sign and weight decay."""
    weight, grad = np.float64(p), np.float64(g)
    grad = -grad if maximize else grad
    if decoupled:
        return weight * (1 - lr * weight_decay), grad
    return weight, grad + weight_decay * weight if weight_decay else grad


def moments_reference(
    m: Array, v: Array, grad: Array, beta1: float, beta2: float
) -> tuple[Any, Any]:
    """Update the two moments of Adam; return them in float64."""
    first = beta1 * np.float64(m) + (1 - beta1) * grad
    second = beta2 * np.float64(v) + (1 - beta2) * grad**2
    m[...] = first
    v[...] = second
    return first, second


# ---------------------------------------------------------------- a rule over a slice of one tensor
def _slice0(rule: Any, name: str) -> Any:
    """Return the loop over a part of one tensor of a rule without state."""

    @device_function(name=f"{name}.slice")
    def slice_of(row: Array, c: Any, lo: int, hi: int, like: Array) -> None:
        p, g = row[P], row[G]
        for i in range(lo, hi):
            store_at(p, i, rule(c, load_at(p, i, like, 0), load_at(g, i, like, 1)), 0)

    return slice_of


def _slice1(rule: Any, name: str) -> Any:
    """Return the loop over a part of one tensor of a rule with one state."""

    @device_function(name=f"{name}.slice")
    def slice_of(row: Array, c: Any, lo: int, hi: int, like: Array) -> None:
        p, g, a = row[P], row[G], row[STATE]
        for i in range(lo, hi):
            x, y = rule(c, load_at(p, i, like, 0), load_at(g, i, like, 1), load_at(a, i, like, 2))
            store_at(p, i, x, 0)
            store_at(a, i, y, 2)

    return slice_of


def _slice2(rule: Any, name: str) -> Any:
    """Return the loop over a part of one tensor of a rule with two states."""

    @device_function(name=f"{name}.slice")
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
    """Return the loop over a part of one tensor of a rule with three states."""

    @device_function(name=f"{name}.slice")
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
    hyper: float64 (groups, numbers), read at each launch.  steps: int64, counted up here.
    """
    slice_of = SLICES[states](rule, name)

    @device_function(name=f"{name}.constants")
    def constants(table: Array, hyper: Array, like: Array, steps: Array) -> Array:
        """Count each tensor's step and return the numbers of it: (tensors, WIDTH)."""
        c = np.empty((table.shape[0], WIDTH), like.dtype)
        for k in range(table.shape[0]):
            row = table[k]
            steps[row[INDEX]] += 1
            prepare(row, hyper[row[GROUP]], steps[row[INDEX]], c[k])
        return c

    @device_function(name=f"{name}.span")
    def span(table: Array, c: Array, like: Array, begin: int, end: int) -> None:
        """Step elements `begin` to `end` of all tensors."""
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
        """Step all tensors on one thread."""
        c = constants(table, hyper, like, steps)
        span(table, c, like, 0, table[-1, START] + table[-1, SIZE])

    @jit(name=f"{name}.parallel", parallel=True)
    def parallel(table: Array, hyper: Array, like: Array, steps: Array) -> None:
        """Step all tensors in parallel, BLOCK elements a task."""
        c = constants(table, hyper, like, steps)
        n = table[-1, START] + table[-1, SIZE]
        for block in prange((n + BLOCK - 1) // BLOCK):
            span(table, c, like, block * BLOCK, min(n, (block + 1) * BLOCK))

    def cpu(table: Array, hyper: Array, like: Array, steps: Array) -> None:
        """Step all parameters of a table on one thread or on all, by their elements."""
        n = total(table)
        if n >= MANY:
            parallel(table, hyper, like, steps)
        elif len(table):
            sequential(table, hyper, like, steps)

    cpu.__name__ = cpu.__qualname__ = name
    return cpu


# ---------------------------------------------------------------- a row of the table
def numbers(*names: str) -> Any:
    """Return the columns of a step's numbers by their names.

    >>> H = numbers("lr", "eps")
    >>> H.lr, H.eps, H._fields
    (0, 1, ('lr', 'eps'))
    """
    return namedtuple("Numbers", names)(*range(len(names)))


def case(**values: float) -> dict[str, float]:
    """Return values of a step's numbers to test with; what is left out is 0."""
    return values


@dataclass(frozen=True)
class Step(Kernel):
    """The row of an optimizer's step, and all that its two sides and their tests are made from.

    update, prepare: the rule, and what works out its numbers, as the head of this file says.
    numbers: the names of the columns of `hyper`.
    states: the names of the arrays that are kept for a parameter, in the order of the rule.
    scalars: what is kept as one float64 a parameter, behind the arrays: its name and first value.
    cases: see `case`; the first is what `compare` runs.
    """

    update: Any = None
    prepare: Any = None
    numbers: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    scalars: Mapping[str, float] = field(default_factory=dict)
    cases: tuple[Mapping[str, float], ...] = ()

    def hyper(self) -> Array:
        """Return the cases as the kernel takes them: (cases, numbers)."""
        return np.array([row_of(case, self.numbers) for case in self.cases])


def row_of(case: Mapping[str, float], numbers: tuple[str, ...]) -> list[float]:
    """Return a case's values in the order of a kernel's columns."""
    return [case.get(name, 0.0) for name in numbers]


def step(
    name: str,
    reference: Callable[..., None],
    prepare: Any,
    rule: Any,
    h: Any,
    cases: tuple[Mapping[str, float], ...],
    states: tuple[str, ...] = (),
    scalars: Mapping[str, float] | None = None,
    *,
    flops: int,
) -> Step:
    """Return the row of an optimizer's step; what it writes stands in its table of addresses.

    name: of the jitted functions.  h: what `numbers` returned.  flops: of one element.
    Raises: ValueError for a case with a number that `h` does not name.
    """
    unknown = sorted({key for case in cases for key in case} - set(h._fields))
    if unknown:
        raise ValueError(f"{name}: cases of {unknown}, expected numbers of {h._fields}")

    def cost(table: Array, hyper: Array, like: Array, steps: Array) -> tuple[int, int]:
        n = total(table)  # p and the state are read and written, g is read
        return flops * n, (2 * len(states) + 3) * n * like.dtype.itemsize

    return Step(
        reference,
        lift(rule, prepare, len(states), name),
        cost,
        out=(),
        inout=("steps",),
        example=stepped(row_of(cases[0], h._fields), len(states), [*(scalars or {}).values()]),
        update=rule,
        prepare=prepare,
        numbers=h._fields,
        states=states,
        scalars=scalars or {},
        cases=cases,
    )
