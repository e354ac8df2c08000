"""CUDA kernels of an LSTM: each step is a product, and a kernel with an element a thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, run
from minigrad_kernels.elementwise.activations import sigmoid, tanh
from minigrad_kernels.matmul.cuda_gemm import gemm, gemm_accumulate
from minigrad_kernels.recurrent.lstm import lstm_cell, lstm_slopes, places


@cuda.jit
def open_gates(gates, before, n, after, curved, h):
    """Open the gates of rows of 4 n, and write their next cells, tanh of these, and states."""
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(after.size):
        i = uint32(k + uint32(k // n) * uint32(uint32(3) * n))
        f, g, o = uint32(i + n), uint32(i + uint32(2) * n), uint32(i + uint32(3) * n)
        opened, kept, new, cell = lstm_cell(gates[i], gates[f], gates[g], before[k])
        shown = sigmoid(gates[o])
        bent = tanh(cell)
        gates[i] = opened
        gates[f] = kept
        gates[g] = new
        gates[o] = shown
        after[k] = cell
        curved[k] = bent
        h[k] = shown * bent
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def gate_slopes(dh, dy, gates, before, curved, n, d, dc):
    """Write the gradients of the gates of rows of 4 n, and of the cells before the step in dc."""
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(dc.size):
        i = uint32(k + uint32(k // n) * uint32(uint32(3) * n))
        f, g, o = uint32(i + n), uint32(i + uint32(2) * n), uint32(i + uint32(3) * n)
        of_i, of_f, of_g, of_o, down = lstm_slopes(
            dh[k] + dy[k], dc[k], gates[i], gates[f], gates[g], gates[o], before[k], curved[k]
        )
        d[i] = of_i
        d[f] = of_f
        d[g] = of_g
        d[o] = of_o
        dc[k] = down
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


def lstm_forward(
    w: DeviceArray,
    reverse: bool,
    gates: DeviceArray,
    h: DeviceArray,
    c: DeviceArray,
    curved: DeviceArray,
) -> None:
    """Compute the opened gates, the states and tanh of the cells: see recurrent/lstm.py."""
    if not gates.size:
        return
    work, n = blocks(c[0].size), np.uint32(c.shape[2])
    for t, before, after in places(len(gates), reverse):
        gemm_accumulate(h[before], w.T, gates[t])
        made = flat(c[after]), flat(curved[t]), flat(h[after])
        run(open_gates, work, THREADS, flat(gates[t]), flat(c[before]), n, *made)


def lstm_backward(
    dy: DeviceArray,
    w: DeviceArray,
    gates: DeviceArray,
    c: DeviceArray,
    curved: DeviceArray,
    reverse: bool,
    dh: DeviceArray,
    d: DeviceArray,
    dc: DeviceArray,
) -> None:
    """Compute the gradients of the gates and of the first state: see recurrent/lstm.py."""
    dh.fill(0)
    if not gates.size:
        return
    work, n = blocks(dc.size), np.uint32(dc.shape[1])
    for t, before, _ in reversed(places(len(gates), reverse)):
        saved = flat(gates[t]), flat(c[before]), flat(curved[t])
        run(gate_slopes, work, THREADS, flat(dh), flat(dy[t]), *saved, n, flat(d[t]), flat(dc))
        gemm(d[t], w, dh)


def signature(kind: Any, before: int, after: int) -> tuple[Any, ...]:
    """Return so many arrays, a size, and so many arrays."""
    return (*[kind[::1]] * before, uint32, *[kind[::1]] * after)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "lstm_forward": lstm_forward,
    "lstm_backward": lstm_backward,
}
CHECKS: tuple[Check, ...] = tuple(
    Check(f"{name}/{kind}", kernel, signature(kind, *arrays), float64=kind == float64)
    for kind in (float32, float64)
    for name, kernel, arrays in (
        ("lstm_forward", open_gates, (2, 3)),
        ("lstm_backward", gate_slopes, (5, 2)),
    )
)
