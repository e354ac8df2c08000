"""CUDA kernels of the scalar tape: the CPU's loops, run by one thread.

A tape of numbers is one long chain: hardly two of its nodes can be computed at once, and a tape is
rarely so wide that finding its levels would pay.  The CUDA kernels are there for tapes that live on
a device, not for speed.
"""

from __future__ import annotations

from numba import cuda, float64, int8, int32, uint8

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import run
from minigrad_kernels.scalar_program.program import scalar_backward_cpu, scalar_forward_cpu


@cuda.jit
def walk_forwards(codes, left, right, values):
    """Compute all values in the first thread."""
    if cuda.grid(1) == 0:
        scalar_forward_cpu(codes, left, right, values)


@cuda.jit
def walk_backwards(codes, left, right, values, reached, grads):
    """Compute all gradients in the first thread."""
    if cuda.grid(1) == 0:
        scalar_backward_cpu(codes, left, right, values, reached, grads)


def scalar_forward(
    codes: DeviceArray, left: DeviceArray, right: DeviceArray, values: DeviceArray
) -> None:
    """Compute the values of all nodes, in one thread: see scalar_program/program.py."""
    run(walk_forwards, 1, 1, codes, left, right, values)


def scalar_backward(
    codes: DeviceArray,
    left: DeviceArray,
    right: DeviceArray,
    values: DeviceArray,
    reached: DeviceArray,
    grads: DeviceArray,
) -> None:
    """Compute the gradients of all nodes, in one thread: see scalar_program/program.py."""
    run(walk_backwards, 1, 1, codes, left, right, values, reached, grads)


CUDA_KERNELS: dict[str, CudaKernel] = {
    "scalar_forward": scalar_forward,
    "scalar_backward": scalar_backward,
}

TAPE = (int8[::1], int32[::1], int32[::1], float64[::1])
CHECKS: tuple[Check, ...] = (
    Check("scalar_forward", walk_forwards, TAPE, (), 64, True),
    Check("scalar_backward", walk_backwards, (*TAPE, uint8[::1], float64[::1]), (), 64, True),
)
