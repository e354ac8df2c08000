"""All steps of a GRU layer, and their gradients.

    r, z = s(x_r + W_r h), s(x_z + W_z h)
    n = tanh(x_n + r (W_n h + b)),  h' = n + z (h - n)

x is the input's part with the biases of r and z, and that of n's input; `gates` holds it before,
and r, z, n after.  `inner` is W_n h + b.  h holds the states around each step, see lstm.py.

    backward, dh the gradient of h' with that of the step's output:
    d = dn inner r (1 - r),  dh (h - n) z (1 - z),  dn = dh (1 - z) (1 - n^2)
    recurrent = d, the last part times r;  dh = recurrent W + dh z

Rows of the batch are independent of each other in all steps: a task takes some through them all.

Shapes: w: (3 H, H), bias: (H,) or (0,) for none, gates, d, recurrent: (T, B, 3 H),
h: (T + 1, B, H), inner, dy: (T, B, H), dh: (B, H), all C-contiguous.
Source: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014); r inside of
the product with h, as cuDNN has it.
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
from minigrad_kernels.recurrent.lstm import backward_cost, places
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
def gru_forward_reference(
    w: Array, bias: Array, reverse: bool, gates: Array, h: Array, inner: Array
) -> None:
    """Compute the gates, W_n h + b and the states in float64: see the module."""
    wide = w.astype(np.float64)
    for t, before, after in places(len(gates), reverse):
        old = h[before].astype(np.float64)
        of_r, of_z, of_n = np.split(old @ wide.T, 3, axis=1)
        inner[t] = of_n + bias if bias.size else of_n
        r, z, n = np.split(gates[t].astype(np.float64), 3, axis=1)
        r, z = np_sigmoid(r + of_r), np_sigmoid(z + of_z)
        n = np.tanh(n + r * inner[t])
        gates[t] = np.concatenate([r, z, n], axis=1)
        h[after] = n + z * (old - n)


def gru_backward_reference(
    dy: Array, w: Array, gates: Array, h: Array, inner: Array, reverse: bool,
    dh: Array, d: Array, recurrent: Array,
) -> None:  # fmt: skip
    """Compute the gradients of the gates, as x's part and as the state's has them, and of the first
    state, in float64.
    """
    wide = w.astype(np.float64)
    back = np.zeros(dh.shape)
    for t, before, _ in reversed(places(len(gates), reverse)):
        r, z, n = np.split(gates[t].astype(np.float64), 3, axis=1)
        total = back + dy[t]
        of_z = total * (h[before] - n) * z * (1 - z)
        of_n = total * (1 - z) * (1 - n * n)
        of_r = of_n * inner[t] * r * (1 - r)
        d[t] = np.concatenate([of_r, of_z, of_n], axis=1)
        recurrent[t] = np.concatenate([of_r, of_z, of_n * r], axis=1)
        back = recurrent[t] @ wide + total * z
    dh[...] = back


# ---------------------------------------------------------------- an element
@rule
def gru_cell(r, z, n, inner, h):
    """Return the opened gates and the next state."""
    r, z = sigmoid(r), sigmoid(z)
    n = tanh(multiply_add(r, inner, n))
    return r, z, n, multiply_add(z, h - n, n)


@rule
def gru_slopes(dh, r, z, n, inner, h):
    """Return the gradients of r, z and n before they open, of n's product with h, and of h."""
    one = like(dh, 1)
    of_z = dh * (h - n) * (z * (one - z))
    of_n = dh * (one - z) * (one - n * n)
    of_r = of_n * inner * (r * (one - r))
    return of_r, of_z, of_n, of_n * r, dh * z


# ---------------------------------------------------------------- rows of a step
@jit()
def open_row(x, gates, inner, size, before, after):
    """Open the gates of a row at address `gates`, and write the next state; x: for its dtype."""
    full_width()
    step = size * x.itemsize
    at_z, at_n = gates + step, gates + 2 * step
    for j in range(size):
        r, z, n, h = gru_cell(
            load_at(gates, j, x, 0),
            load_at(at_z, j, x, 1),
            load_at(at_n, j, x, 2),
            load_at(inner, j, x, 4),
            load_at(before, j, x, 4),
        )
        store_at(gates, j, r, 0)
        store_at(at_z, j, z, 1)
        store_at(at_n, j, n, 2)
        store_at(after, j, h, 5)


@jit()
def slopes_row(x, gates, inner, size, before, following, dh, d, recurrent):
    """Write a row's gradients of the gates, and the state's but for the product with W.

    following: the gradient of the step's output before, which is added to dh.
    """
    full_width()
    step = size * x.itemsize
    at_z, at_n = gates + step, gates + 2 * step
    of_z, of_n, inside = d + step, d + 2 * step, recurrent + 2 * step
    for j in range(size):
        r, z, n, product, down = gru_slopes(
            load_at(dh, j, x, 5),
            load_at(gates, j, x, 0),
            load_at(at_z, j, x, 0),
            load_at(at_n, j, x, 0),
            load_at(inner, j, x, 0),
            load_at(before, j, x, 0),
        )
        store_at(d, j, r, 1)
        store_at(of_z, j, z, 2)
        store_at(of_n, j, n, 3)
        store_at(inside, j, product, 4)
        store_at(dh, j, down + load_at(following, j, x, 0), 5)
    for j in range(2 * size):
        store_at(recurrent, j, load_at(d, j, x, 1), 2)


# ---------------------------------------------------------------- rows through all steps
@jit()
def forward_rows(product, opening, inside, bias, reverse, gates, h, inner, first, last):
    """Take the rows from `first` to `last` of the batch through all steps.

    opening, inside: the packed matrices of r and z, and of n.
    """
    steps, batch, wide = gates.shape
    size = wide // 3
    row = size * gates.itemsize  # bytes
    count = last - first
    for k in range(steps):
        t = steps - 1 - k if reverse else k
        here = t * batch + first
        at = address(gates) + 3 * here * row
        old = address(h) + ((t + 1 if reverse else t) * batch + first) * row
        new = address(h) + ((t if reverse else t + 1) * batch + first) * row
        within = address(inner) + here * row
        call_at(
            product,
            (old, row, aligned(opening), size, 2 * size, count, at, 3 * row, at, 3 * row),
        )
        call_at(
            product,
            (old, row, aligned(inside), size, size, count, address(bias), 0, within, row),
        )
        for i in range(count):
            open_row(gates, at + 3 * i * row, within + i * row, size, old + i * row, new + i * row)


@jit()
def backward_rows(
    product, packed, zeros, dy, gates, h, inner, reverse, dh, d, recurrent, first, last
):  # fmt: skip
    """Take the gradients of some rows back through all steps."""
    steps, batch, wide = gates.shape
    size = wide // 3
    row = size * gates.itemsize
    mine = address(dh) + first * row
    for i in range(first, last):
        dh[i] = dy[0 if reverse else steps - 1, i]
    for k in range(steps):
        t = k if reverse else steps - 1 - k
        here = t * batch + first
        before = address(h) + ((t + 1 if reverse else t) * batch + first) * row
        at, within = address(gates) + 3 * here * row, address(inner) + here * row
        to, also = address(d) + 3 * here * row, address(recurrent) + 3 * here * row
        more = k + 1 < steps
        next_dy = address(dy) + (here + (batch if reverse else -batch)) * row
        for i in range(last - first):
            following = next_dy + i * row if more else address(zeros)
            slopes_row(
                gates, at + 3 * i * row, within + i * row, size, before + i * row, following,
                mine + i * row, to + 3 * i * row, also + 3 * i * row,
            )  # fmt: skip
        call_at(
            product,
            (also, 3 * row, aligned(packed), wide, size, last - first, mine, row, mine, row),
        )


@jit(parallel=True)
def gru_forward(pack, product, w, bias, reverse, gates, h, inner, tasks):
    """Write the gates, W_n h + b and the states, rows in so many tasks."""
    batch, wide = gates.shape[1:]
    size = wide // 3
    opening = np.empty(packed_bytes(size, 2 * size, w.itemsize), np.uint8)
    inside = np.empty(packed_bytes(size, size, w.itemsize), np.uint8)
    pack_into(pack, w[: 2 * size], True, size, 2 * size, opening)
    pack_into(pack, w[2 * size :], True, size, size, inside)
    start = bias if bias.size else np.zeros(size, w.dtype)
    each = (batch + tasks - 1) // tasks
    for task in prange(tasks):
        first = task * each
        last = min(batch, first + each)
        if first < last:
            forward_rows(product, opening, inside, start, reverse, gates, h, inner, first, last)


@jit(parallel=True)
def gru_backward(pack, product, dy, w, gates, h, inner, reverse, dh, d, recurrent, tasks):
    """Write the gradients of the gates and of the first state, rows in so many tasks."""
    batch, wide = gates.shape[1:]
    size = wide // 3
    packed = np.empty(packed_bytes(wide, size, w.itemsize), np.uint8)
    pack_into(pack, w, False, wide, size, packed)
    zeros = np.zeros(size, w.dtype)
    each = (batch + tasks - 1) // tasks
    for task in prange(tasks):
        first = task * each
        last = min(batch, first + each)
        if first < last:
            backward_rows(
                product, packed, zeros, dy, gates, h, inner, reverse, dh, d, recurrent, first, last
            )


def gru_forward_cpu(
    w: Array, bias: Array, reverse: bool, gates: Array, h: Array, inner: Array
) -> None:
    """Compute the gates, W_n h + b and the states on the CPU: see the module."""
    steps, batch, _ = gates.shape
    if gates.size:
        tasks = tasks_of(steps, batch, w.size)
        gru_forward(*addresses(w.dtype), w, bias, reverse, gates, h, inner, tasks)


def gru_backward_cpu(
    dy: Array, w: Array, gates: Array, h: Array, inner: Array, reverse: bool,
    dh: Array, d: Array, recurrent: Array,
) -> None:  # fmt: skip
    """Compute the gradients of the gates and of the first state on the CPU: see the module."""
    steps, batch, _ = gates.shape
    if gates.size:
        tasks = tasks_of(steps, batch, w.size)
        found = addresses(w.dtype)
        gru_backward(*found, dy, w, gates, h, inner, reverse, dh, d, recurrent, tasks)
    else:
        dh.fill(0)


def forward_cost(
    w: Array, bias: Array, reverse: bool, gates: Array, h: Array, inner: Array
) -> tuple[int, int]:
    """Return the flops and the bytes of `gru_forward`."""
    return (
        2 * gates.shape[0] * gates.shape[1] * w.size + 12 * gates.size,
        w.nbytes + bias.nbytes + 2 * gates.nbytes + h.nbytes + inner.nbytes,
    )


KERNELS = {
    "gru_forward": Kernel(
        gru_forward_reference, gru_forward_cpu, forward_cost, out=("inner",), inout=("gates", "h")
    ),
    "gru_backward": Kernel(
        gru_backward_reference, gru_backward_cpu, backward_cost, out=("dh", "d", "recurrent")
    ),
}
