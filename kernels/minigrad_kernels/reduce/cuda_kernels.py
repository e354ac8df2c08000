"""Folding groups of elements: the GPU's part of every reduction, in an order fixed by sizes alone.

A group x[a, :, b] is cut into runs of EACH, or where groups are columns, of ROWS.  A warp folds a
run, each lane every 32nd element, or every 32nd four of them where 128 bits hold these, and the
lanes then by halves; a thread folds a column's run.  What the runs give is folded in the same way,
launch by launch, until one value is left to a group.

A rule is device functions: `take(v, m, n, index, group, r)` is the value of an element v, which is
x[index], `join(a, b)` puts two values together, `shuffle(a, lanes)` shuffles one,
`put(y, z, n, k, a)` writes it, and `begin(x)` is the value of no elements.  x and m are what is
folded, y and z what comes of it; a rule that has no use for the second is given the first again.
n is a number.

Sums of numbers and of squares are float64, as on the CPU: `finish` says what they come to.

Shapes: x: (A, R, B) C-contiguous; results: (A, B).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda, float32, float64, int32, types, uint32

from minigrad_kernels.cuda import ptx
from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check
from minigrad_kernels.cuda.launch import blocks, number, run, scratch
from minigrad_kernels.cuda.warps import FULL, HALVES, WARP, lane_of, warp_count, warp_of
from minigrad_kernels.elementwise.cuda_kernels import divisor, named, quotient
from minigrad_kernels.reduce.kernels import DOWN, SUM, UP, finished, suspect

THREADS = 128  # of a block
EACH = 2_048  # elements of a run that a warp folds
ROWS = 64  # of a column that a thread folds
Rule = Callable[..., Any]


@cuda.jit(device=True)
def put_one(y, z, n, k, value):
    """Write a group's value."""
    y[k] = y.dtype.type(value)


@cuda.jit(device=True)
def shuffle_one(value, lanes):
    """Return the value of the lane `lanes` further on."""
    return cuda.shfl_down_sync(FULL, value, lanes)


@cuda.jit(device=True)
def take_one(v, m, n, index, group, r):
    """Return an element."""
    return v


@cuda.jit(device=True)
def take_wide(v, m, n, index, group, r):
    """Return an element as float64."""
    return float64(v)


@cuda.jit(device=True)
def zero_wide(x):
    """Return the sum of no elements, in float64."""
    return float64(0)


@cuda.jit(device=True)
def zero(x):
    """Return the sum of no elements."""
    return x.dtype.type(0)


@cuda.jit(device=True)
def added(a, b):
    """Return a + b."""
    return a + b


def kernels(name: str, begin: Rule, take: Rule, join: Rule, shuffle: Rule, put: Rule) -> Any:
    """Return the kernels for groups that are rows, for rows by 128 bits, and for columns."""

    @cuda.jit(device=True)
    def one(x, m, n, index, group, r):
        return take(x[index], m, n, index, group, r)

    @cuda.jit(device=True)
    def four(x, m, n, index, group, r):
        a, b, c, d = ptx.load128(x, index)
        k, o, s = uint32(index + uint32(1)), uint32(index + uint32(2)), uint32(index + uint32(3))
        return join(
            join(take(a, m, n, index, group, r), take(b, m, n, k, group, uint32(r + uint32(1)))),
            join(
                take(c, m, n, o, group, uint32(r + uint32(2))),
                take(d, m, n, s, group, uint32(r + uint32(3))),
            ),
        )

    def rows(x, m, n, shape, y, z):
        """Fold runs of rows: a warp a run, four loads of a lane at once.

        shape: the runs, those of a row with what `quotient` divides by it, the sizes of a row and
        of a run.
        """
        lane = lane_of()
        task = warp_of()
        while task < shape[0]:
            group = quotient(task, shape[2], shape[3])
            r = uint32((task - group * shape[1]) * shape[5])
            end = min(shape[4], uint32(r + shape[5]))
            first = uint32(group * shape[4])
            r = uint32(r + lane)
            held = begin(x)
            while uint32(r + uint32(3 * WARP)) < end:
                index = uint32(first + r)
                a = one(x, m, n, index, group, r)
                b = one(x, m, n, uint32(index + uint32(32)), group, uint32(r + uint32(32)))
                c = one(x, m, n, uint32(index + uint32(64)), group, uint32(r + uint32(64)))
                d = one(x, m, n, uint32(index + uint32(96)), group, uint32(r + uint32(96)))
                held = join(held, join(join(a, b), join(c, d)))
                r = uint32(r + uint32(4 * WARP))
            while r < end:
                held = join(held, one(x, m, n, uint32(first + r), group, r))
                r = uint32(r + uint32(WARP))
            for lanes in HALVES:
                held = join(held, shuffle(held, lanes))
            if lane == 0:
                put(y, z, n, task, held)
            task = uint32(task + warp_count())

    def rows_vectors(x, m, n, shape, y, z):
        """Fold runs of rows: a warp a run, two loads of 128 bits of a lane at once.

        Runs begin at multiples of four elements; up to three behind the last four go singly.
        shape: as for rows.
        """
        lane = lane_of()
        task = warp_of()
        while task < shape[0]:
            group = quotient(task, shape[2], shape[3])
            r = uint32((task - group * shape[1]) * shape[5])
            end = min(shape[4], uint32(r + shape[5]))
            first = uint32(group * shape[4])
            last = uint32(end & uint32(0xFFFFFFFC))
            r = uint32(r + lane * uint32(4))
            held = begin(x)
            while uint32(r + uint32(4 * WARP)) < last:
                index = uint32(first + r)
                a = four(x, m, n, index, group, r)
                index, r = uint32(index + uint32(4 * WARP)), uint32(r + uint32(4 * WARP))
                held = join(held, join(a, four(x, m, n, index, group, r)))
                r = uint32(r + uint32(4 * WARP))
            if r < last:
                held = join(held, four(x, m, n, uint32(first + r), group, r))
            r = uint32(last + lane)
            if r < end:
                held = join(held, one(x, m, n, uint32(first + r), group, r))
            for lanes in HALVES:
                held = join(held, shuffle(held, lanes))
            if lane == 0:
                put(y, z, n, task, held)
            task = uint32(task + warp_count())

    def columns(x, m, n, shape, y, z):
        """Fold runs of columns: a thread a run, so that neighbours read neighbours.

        shape: as for rows; then the columns and what `quotient` divides by them.
        """
        task = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while task < shape[0]:
            line = quotient(task, shape[7], shape[8])
            outer = quotient(line, shape[2], shape[3])
            column = uint32(task - line * shape[6])
            group = uint32(outer * shape[6] + column)
            r = uint32((line - outer * shape[1]) * shape[5])
            end = min(shape[4], uint32(r + shape[5]))
            index = uint32((outer * shape[4] + r) * shape[6] + column)
            held = begin(x)
            while uint32(r + uint32(3)) < end:
                a = one(x, m, n, index, group, r)
                index = uint32(index + shape[6])
                b = one(x, m, n, index, group, uint32(r + uint32(1)))
                index = uint32(index + shape[6])
                c = one(x, m, n, index, group, uint32(r + uint32(2)))
                index = uint32(index + shape[6])
                d = one(x, m, n, index, group, uint32(r + uint32(3)))
                index = uint32(index + shape[6])
                held = join(held, join(join(a, b), join(c, d)))
                r = uint32(r + uint32(4))
            while r < end:
                held = join(held, one(x, m, n, index, group, r))
                index = uint32(index + shape[6])
                r = uint32(r + uint32(1))
            put(y, z, n, task, held)
            task = uint32(task + uint32(cuda.gridDim.x * cuda.blockDim.x))

    return (
        named(f"{name}_rows", rows),
        named(f"{name}_rows_vectors", rows_vectors),
        named(f"{name}_columns", columns),
    )


def fours(x: DeviceArray, outer: int, reduced: int) -> bool:
    """Tell whether 128-bit loads of a line x can begin every row: (outer, reduced) of float32."""
    return x.dtype == np.float32 and not x.address % 16 and (outer == 1 or not reduced % 4)


class Fold:
    """The launches of one rule, and of what joins the values of its runs.

    again: `take` of those values.  wide: whether they are float64 whatever x and y are.  singly:
    whether `take` reads m at each element, which no 128 bits of x bring along.
    """

    def __init__(
        self,
        name: str,
        begin: Rule,
        take: Rule,
        join: Rule,
        shuffle: Rule = shuffle_one,
        put: Rule = put_one,
        again: Rule = take_one,
        wide: bool = False,
        singly: bool = False,
    ) -> None:
        self.wide, self.singly = wide, singly
        self.rows, self.rows_vectors, self.columns = kernels(name, begin, take, join, shuffle, put)
        more = f"{name}_again"
        self.rows_again, _, self.columns_again = kernels(more, begin, again, join, shuffle, put)

    def __call__(
        self,
        ins: tuple[DeviceArray, ...],
        shape: tuple[int, ...],
        outs: tuple[DeviceArray, ...],
        n: float = 0,
    ) -> None:
        """Fold one or two arrays of a shape (A, R, B), given as lines, into lines of A B."""
        outer, reduced, inner = shape
        if not outer * inner:
            return
        line, column = self.rows, self.columns
        if not self.singly and fours(ins[0], outer, reduced):
            line = self.rows_vectors
        while True:
            each = EACH if inner == 1 else ROWS
            runs = max(1, blocks(reduced, each))
            count = outer * runs * inner
            kept = [np.dtype(np.float64) if self.wide else y.dtype for y in outs]
            made = (scratch(count, kind, y) for kind, y in zip(kept, outs, strict=True))
            held = outs if runs == 1 else tuple(made)
            sizes = (count, *divisor(runs), reduced, each, *divisor(inner))
            wide = tuple(np.array(sizes, np.uint32))
            work = blocks(count * (WARP if inner == 1 else 1), THREADS)
            few = ins[0], ins[-1], number(n, ins[0])
            run(line if inner == 1 else column, work, THREADS, *few, wide, held[0], held[-1])
            if runs == 1:
                return
            line, column = self.rows_again, self.columns_again
            ins, reduced = held, runs


@cuda.jit
def finish(sums, x, m, shape, divisor, form, y):
    """Write the results of float64 sums: a thread a group.

    Those of float64 x that overflowed or faded are computed again.

    shape: the elements of a group, the groups side by side and what `quotient` divides by them.
    """
    group = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while group < uint32(y.size):
        total = sums[group]
        found = finished(total, divisor, form, 1.0)
        if x.itemsize == 8 and suspect(total, form):
            outer = quotient(group, shape[2], shape[3])
            first = uint32(outer * shape[0] * shape[1] + (group - outer * shape[1]))
            centre = m[group] if m.size else 0.0
            top = 0.0
            index, r = first, uint32(0)
            while r < shape[0]:
                size = abs(float64(x[index]) - centre)
                top = size if not size <= top else top
                index = uint32(index + shape[1])
                r = uint32(r + uint32(1))
            if 0.0 < top < math.inf:
                scale = DOWN if top > 1.0 else UP
                total = 0.0
                index, r = first, uint32(0)
                while r < shape[0]:
                    apart = float64(x[index]) * scale - centre * scale
                    total += apart if form == SUM else apart * apart
                    index = uint32(index + shape[1])
                    r = uint32(r + uint32(1))
                found = finished(total, divisor, form, scale)
        y[group] = y.dtype.type(found)
        group = uint32(group + uint32(cuda.gridDim.x * cuda.blockDim.x))


def finishing(
    fold: Fold,
    x: DeviceArray,
    m: DeviceArray,
    shape: tuple[int, ...],
    share: float,
    form: int,
    y: DeviceArray,
) -> None:
    """Fold x with m, lines, in float64 and write what the sums come to; see the CPU's fold."""
    if not y.size:
        return
    sums = scratch(y.size, np.float64, y)
    fold((x, m), shape, (sums,))
    sizes = tuple(np.array((shape[1], *divisor(shape[2])), np.uint32))
    run(finish, blocks(y.size), THREADS, sums, x, m, sizes, np.float64(share), np.int32(form), y)


SIZES = types.UniTuple(uint32, 9)
FINISHES: tuple[Check, ...] = tuple(
    Check(
        f"finish.{out}/{kind}",
        finish,
        (
            *(float64[::1], kind[::1], float64[::1], types.UniTuple(uint32, 4), float64, int32),
            out[::1],
        ),
        float64=True,
    )
    for kind in (float32, float64)
    for out in (float32, float64)
)


def checks(name: str, fold: Fold, place: Any = None) -> tuple[Check, ...]:
    """Return the checks of a fold.

    place: the type of its second result, where it has one.
    """
    found = []
    for kind in (float32, float64):
        held = float64 if fold.wide else kind
        ends = sorted({held, kind}, key=str)
        for label in ("rows", "rows_vectors", "columns", "rows_again", "columns_again"):
            if label == "rows_vectors" and (fold.singly or kind != float32):
                continue
            opcodes = ("LDG.E.128",) if label == "rows_vectors" else ()
            of = held if label.endswith("again") else kind
            for end in ends:
                outs = end[::1], end[::1] if place is None else place[::1]
                m = outs[1] if label.endswith("again") and place is not None else of[::1]
                last = f".{end}" if len(ends) > 1 else ""
                title, kernel = f"{name}.{label}{last}/{kind}", getattr(fold, label)
                doubles = fold.wide or kind == float64
                signature = of[::1], m, of, SIZES, *outs
                found.append(Check(title, kernel, signature, opcodes, float64=doubles))
    return tuple(found)
