"""CUDA kernels of a GRU: each step is a product, and a kernel with an element a thread."""

from __future__ import annotations

import numpy as np
from numba import cuda, float32, float64, uint32

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, run, scratch
from minigrad_kernels.matmul.cuda_gemm import gemm, gemm_accumulate
from minigrad_kernels.recurrent.cuda_lstm import signature
from minigrad_kernels.recurrent.gru import gru_cell, gru_slopes
from minigrad_kernels.recurrent.lstm import places


@cuda.jit
def open_gates(product, bias, before, n, gates, inner, after):
    """Open the gates of rows of 3 n, and write their next states; product: h W^T."""
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(after.size):
        row = uint32(k // n)
        r = uint32(k + row * uint32(uint32(2) * n))
        z, new = uint32(r + n), uint32(r + uint32(2) * n)
        inside = product[new]
        if bias.size:
            inside = inside + bias[uint32(k - row * n)]
        opened, kept, state, h = gru_cell(
            gates[r] + product[r], gates[z] + product[z], gates[new], inside, before[k]
        )
        gates[r] = opened
        gates[z] = kept
        gates[new] = state
        inner[k] = inside
        after[k] = h
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


@cuda.jit
def gate_slopes(dy, gates, before, inner, n, dh, d, recurrent):
    """Write the gradients of the gates of rows of 3 n; dh then has the state's but the product."""
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(dh.size):
        r = uint32(k + uint32(k // n) * uint32(uint32(2) * n))
        z, new = uint32(r + n), uint32(r + uint32(2) * n)
        of_r, of_z, of_n, inside, down = gru_slopes(
            dh[k] + dy[k], gates[r], gates[z], gates[new], inner[k], before[k]
        )
        d[r] = of_r
        d[z] = of_z
        d[new] = of_n
        recurrent[r] = of_r
        recurrent[z] = of_z
        recurrent[new] = inside
        dh[k] = down
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


def gru_forward(
    w: DeviceArray,
    bias: DeviceArray,
    reverse: bool,
    gates: DeviceArray,
    h: DeviceArray,
    inner: DeviceArray,
) -> None:
    """Compute the gates, W_n h + b and the states: see recurrent/gru.py."""
    if not gates.size:
        return
    work, n = blocks(h[0].size), np.uint32(h.shape[2])
    product = scratch(gates[0].size, gates.dtype, gates)
    for t, before, after in places(len(gates), reverse):
        gemm(h[before], w.T, product.reshape(gates.shape[1:]))
        made = flat(gates[t]), flat(inner[t]), flat(h[after])
        run(open_gates, work, THREADS, product, bias, flat(h[before]), n, *made)


def gru_backward(
    dy: DeviceArray,
    w: DeviceArray,
    gates: DeviceArray,
    h: DeviceArray,
    inner: DeviceArray,
    reverse: bool,
    dh: DeviceArray,
    d: DeviceArray,
    recurrent: DeviceArray,
) -> None:
    """Compute the gradients of the gates and of the first state: see recurrent/gru.py."""
    dh.fill(0)
    if not gates.size:
        return
    work, n = blocks(dh.size), np.uint32(dh.shape[1])
    for t, before, _ in reversed(places(len(gates), reverse)):
        saved = flat(gates[t]), flat(h[before]), flat(inner[t])
        made = flat(dh), flat(d[t]), flat(recurrent[t])
        run(gate_slopes, work, THREADS, flat(dy[t]), *saved, n, *made)
        gemm_accumulate(recurrent[t], w, dh)


CUDA_KERNELS: dict[str, CudaKernel] = {"gru_forward": gru_forward, "gru_backward": gru_backward}
CHECKS: tuple[Check, ...] = tuple(
    Check(f"{name}/{kind}", kernel, signature(kind, *arrays), float64=kind == float64)
    for kind in (float32, float64)
    for name, kernel, arrays in (
        ("gru_forward", open_gates, (3, 3)),
        ("gru_backward", gate_slopes, (4, 3)),
    )
)
