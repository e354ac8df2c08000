"""All steps of an LSTM layer, and their gradients.

    i, f, g, o = z + h W^T, through s, s, tanh, s
    c' = f c + i g,  h' = o tanh(c')

z is the input's part with both biases; `gates` holds it before, and the opened gates after.  h and
c hold the state before and after each step: the one before the first stands at their beginning,
or, where the steps go backwards, at their end.

    backward, dh and dc the gradients of h' and c', dh with that of the step's output:
    dc += dh o (1 - tanh(c')^2)
    d = dc g i (1 - i),  dc c f (1 - f),  dc i (1 - g^2),  dh tanh(c') o (1 - o)
    dh = d W,  dc = dc f

Rows of the batch are independent of each other in all steps: a task takes some through them all.

Shapes: w: (4 H, H), gates, d: (T, B, 4 H), h, c: (T + 1, B, H), curved, dy: (T, B, H), dh, dc:
(B, H), all C-contiguous.
Source: Hochreiter and Schmidhuber, "Long short-term memory" (1997); Gers et al. (2000), the gate f.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.elementwise.activations import np_sigmoid, sigmoid, tanh
from minigrad_kernels.jit.address_table import load_at, store_at
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.jit.function_pointers import call_at
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.math.scalar import like, multiply_add, rule
from minigrad_kernels.recurrent.product import (
    addresses,
    aligned,
    pack_into,
    packed_bytes,
    tasks_of,
)
from minigrad_kernels.simd.registers import address
from minigrad_kernels.simd.wide import full_width

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- references
def places(steps: int, reverse: bool) -> list[tuple[int, int, int]]:
    """Return, step by step, its number and where the states before and after it stand.

    >>> places(2, False), places(2, True)
    ([(0, 0, 1), (1, 1, 2)], [(1, 2, 1), (0, 1, 0)])
    """
    order = range(steps)[:: -1 if reverse else 1]
    return [(t, t + 1, t) if reverse else (t, t, t + 1) for t in order]


def lstm_forward_reference(
    w: Array, reverse: bool, gates: Array, h: Array, c: Array, curved: Array
) -> None:
    """Compute the opened gates, the states and tanh of the cells in float64: see the module."""
    wide = w.astype(np.float64)
    for t, before, after in places(len(gates), reverse):
        i, f, g, o = np.split(gates[t] + h[before].astype(np.float64) @ wide.T, 4, axis=1)
        i, f, g, o = np_sigmoid(i), np_sigmoid(f), np.tanh(g), np_sigmoid(o)
        gates[t] = np.concatenate([i, f, g, o], axis=1)
        c[after] = f * c[before] + i * g
        curved[t] = np.tanh(c[after])
        h[after] = o * curved[t]


def lstm_backward_reference(
    dy: Array, w: Array, gates: Array, c: Array, curved: Array, reverse: bool,
    dh: Array, d: Array, dc: Array,
) -> None:  # fmt: skip
    """Compute the gradients of the gates before they open and of the first state in float64.

    dc holds the gradient of the last cell before, that of the first one after.
    """
    wide, down = w.astype(np.float64), dc.astype(np.float64)
    back = np.zeros(dh.shape)
    for t, before, _ in reversed(places(len(gates), reverse)):
        i, f, g, o = np.split(gates[t].astype(np.float64), 4, axis=1)
        bent, total = curved[t].astype(np.float64), back + dy[t]
        down = down + total * o * (1 - bent * bent)
        parts = (
            down * g * i * (1 - i),
            down * c[before] * f * (1 - f),
            down * i * (1 - g * g),
            total * bent * o * (1 - o),
        )
        d[t] = np.concatenate(parts, axis=1)
        back, down = d[t] @ wide, down * f
    dh[...], dc[...] = back, down


# ---------------------------------------------------------------- an element
@rule
def lstm_cell(i, f, g, c):
    """Return the opened gates i, f, g and the next cell."""
    i, f, g = sigmoid(i), sigmoid(f), tanh(g)
    return i, f, g, multiply_add(f, c, i * g)


@rule
def lstm_slopes(dh, dc, i, f, g, o, c, curved):
    """Return the gradients of the gates before they open, and of the cell before.

    c: the cell before the step; curved: tanh of the one after it.
    """
    one = like(dh, 1)
    down = multiply_add(dh * o, one - curved * curved, dc)
    of_i = down * g * (i * (one - i))
    of_f = down * c * (f * (one - f))
    of_g = down * i * (one - g * g)
    of_o = dh * curved * (o * (one - o))
    return of_i, of_f, of_g, of_o, down * f


# ---------------------------------------------------------------- rows of a step
@jit()
def open_row(x, z, size, before, after):
    """Open the gates of a row at address z, and write the next cells; x: for its dtype."""
    full_width()
    step = size * x.itemsize
    at_f, at_g, at_o = z + step, z + 2 * step, z + 3 * step
    for j in range(size):
        i, f, g, cell = lstm_cell(
            load_at(z, j, x, 0),
            load_at(at_f, j, x, 1),
            load_at(at_g, j, x, 2),
            load_at(before, j, x, 4),
        )
        o = sigmoid(load_at(at_o, j, x, 3))
        store_at(z, j, i, 0)
        store_at(at_f, j, f, 1)
        store_at(at_g, j, g, 2)
        store_at(at_o, j, o, 3)
        store_at(after, j, cell, 5)


@jit()
def bend_row(x, cell, open_by, size, curved, h):
    """Write tanh of a row's cells, and that times the gate o."""
    full_width()
    for j in range(size):
        bent = tanh(load_at(cell, j, x, 0))
        store_at(curved, j, bent, 1)
        store_at(h, j, load_at(open_by, j, x, 2) * bent, 3)


@jit()
def slopes_row(x, z, size, cell, curved, dh, dc, d):
    """Write a row's gradients of the gates, and that of the cell before the step."""
    full_width()
    step = size * x.itemsize
    at_f, at_g, at_o = z + step, z + 2 * step, z + 3 * step
    of_f, of_g, of_o = d + step, d + 2 * step, d + 3 * step
    for j in range(size):
        i, f, g, o, down = lstm_slopes(
            load_at(dh, j, x, 0),
            load_at(dc, j, x, 5),
            load_at(z, j, x, 0),
            load_at(at_f, j, x, 0),
            load_at(at_g, j, x, 0),
            load_at(at_o, j, x, 0),
            load_at(cell, j, x, 0),
            load_at(curved, j, x, 0),
        )
        store_at(d, j, i, 1)
        store_at(of_f, j, f, 2)
        store_at(of_g, j, g, 3)
        store_at(of_o, j, o, 4)
        store_at(dc, j, down, 5)


# ---------------------------------------------------------------- rows through all steps
@jit()
def forward_rows(product, packed, reverse, gates, h, c, curved, first, last):
    """Take the rows from `first` to `last` of the batch through all steps."""
    steps, batch, wide = gates.shape
    size = wide // 4
    row = size * gates.itemsize  # bytes
    for k in range(steps):
        t = steps - 1 - k if reverse else k
        before = (t + 1 if reverse else t) * batch + first
        after = (t if reverse else t + 1) * batch + first
        here = t * batch + first
        z = address(gates) + 4 * here * row
        call_at(
            product,
            (
                address(h) + before * row, row, aligned(packed), size, wide, last - first,
                z, 4 * row, z, 4 * row,
            ),
        )  # fmt: skip
        old, new = address(c) + before * row, address(c) + after * row
        bent, state = address(curved) + here * row, address(h) + after * row
        for _ in range(first, last):
            open_row(gates, z, size, old, new)
            bend_row(gates, new, z + 3 * row, size, bent, state)
            z += 4 * row
            old += row
            new += row
            bent += row
            state += row


@jit()
def backward_rows(
    product, packed, zeros, dy, gates, c, curved, reverse, dh, d, dc, first, last
):  # fmt: skip
    """Take the gradients of some rows back through all steps."""
    steps, batch, wide = gates.shape
    size = wide // 4
    row = size * gates.itemsize
    for k in range(steps):
        t = k if reverse else steps - 1 - k
        before = (t + 1 if reverse else t) * batch + first
        here = t * batch + first
        z, to = address(gates) + 4 * here * row, address(d) + 4 * here * row
        total = address(dh) + first * row if k else address(dy) + here * row
        bent, old = address(curved) + here * row, address(c) + before * row
        down = address(dc) + first * row
        for i in range(last - first):
            at = i * row
            slopes_row(
                gates, z + 4 * at, size, old + at, bent + at, total + at, down + at, to + 4 * at
            )
        more = k + 1 < steps  # the step before has an output of its own, with a gradient
        following = here + batch if reverse else here - batch
        base = address(dy) + following * row if more else address(zeros)
        call_at(
            product,
            (
                to, 4 * row, aligned(packed), wide, size, last - first,
                base, row if more else 0, address(dh) + first * row, row,
            ),
        )  # fmt: skip


@jit(parallel=True)
def lstm_forward(pack, product, w, reverse, gates, h, c, curved, tasks):
    """Write the opened gates, the states and tanh of the cells, rows in so many tasks."""
    batch, wide = gates.shape[1:]
    packed = np.empty(packed_bytes(wide // 4, wide, w.itemsize), np.uint8)
    pack_into(pack, w, True, wide // 4, wide, packed)
    each = (batch + tasks - 1) // tasks
    for task in prange(tasks):
        first = task * each
        last = min(batch, first + each)
        if first < last:
            forward_rows(product, packed, reverse, gates, h, c, curved, first, last)


@jit(parallel=True)
def lstm_backward(pack, product, dy, w, gates, c, curved, reverse, dh, d, dc, tasks):
    """Write the gradients of the gates and of the first state, rows in so many tasks."""
    batch, wide = gates.shape[1:]
    packed = np.empty(packed_bytes(wide, wide // 4, w.itemsize), np.uint8)
    pack_into(pack, w, False, wide, wide // 4, packed)
    zeros = np.zeros(wide // 4, w.dtype)
    each = (batch + tasks - 1) // tasks
    for task in prange(tasks):
        first = task * each
        last = min(batch, first + each)
        if first < last:
            backward_rows(
                product, packed, zeros, dy, gates, c, curved, reverse, dh, d, dc, first, last
            )


def lstm_forward_cpu(
    w: Array, reverse: bool, gates: Array, h: Array, c: Array, curved: Array
) -> None:
    """Compute the opened gates, the states and tanh of the cells on the CPU: see the module."""
    steps, batch, _ = gates.shape
    if gates.size:
        tasks = tasks_of(steps, batch, w.size)
        lstm_forward(*addresses(w.dtype), w, reverse, gates, h, c, curved, tasks)


def lstm_backward_cpu(
    dy: Array, w: Array, gates: Array, c: Array, curved: Array, reverse: bool,
    dh: Array, d: Array, dc: Array,
) -> None:  # fmt: skip
    """Compute the gradients of the gates and of the first state on the CPU: see the module."""
    steps, batch, _ = gates.shape
    if gates.size:
        tasks = tasks_of(steps, batch, w.size)
        found = addresses(w.dtype)
        lstm_backward(*found, dy, w, gates, c, curved, reverse, dh, d, dc, tasks)
    else:
        dh.fill(0)


def forward_cost(w: Array, reverse: bool, gates: Array, *rest: Array) -> tuple[int, int]:
    """Return the flops and the bytes of `lstm_forward`."""
    return (
        2 * gates.shape[0] * gates.shape[1] * w.size + 14 * gates.size,
        w.nbytes + 2 * gates.nbytes + sum(a.nbytes for a in rest),
    )


def backward_cost(dy: Array, w: Array, gates: Array, *rest: Any) -> tuple[int, int]:
    """Return the flops and the bytes of `lstm_backward`."""
    return (
        2 * gates.shape[0] * gates.shape[1] * w.size + 6 * gates.size,
        sum(a.nbytes for a in (dy, w, gates, *rest) if isinstance(a, np.ndarray)),
    )


KERNELS = {
    "lstm_forward": Kernel(
        lstm_forward_reference,
        lstm_forward_cpu,
        forward_cost,
        out=("curved",),
        inout=("gates", "h", "c"),
    ),
    "lstm_backward": Kernel(
        lstm_backward_reference,
        lstm_backward_cpu,
        backward_cost,
        out=("dh", "d"),
        inout=("dc",),
    ),
}
