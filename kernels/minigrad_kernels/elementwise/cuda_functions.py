"""CUDA kernels of elementwise/functions.py that are no lifted rule of the CPU's."""

from __future__ import annotations

import math

from numba import cuda

from minigrad_kernels.cuda.checks import CudaKernel
from minigrad_kernels.elementwise.cuda_kernels import LiftedCuda, checks
from minigrad_kernels.elementwise.cuda_rules import ByKind
from minigrad_kernels.math.cuda_trigonometry import cosine, sine


@cuda.jit(device=True)
def tangent(a):
    """Return the tangent: the library's takes local memory for large angles."""
    return sine(a) / cosine(a)


@cuda.jit(device=True)
def fmod(a, b):
    """Return a - b trunc(a / b), exactly, in the sign of a; NaN where b is 0."""
    return math.fmod(a, b)


@cuda.jit(device=True)
def whole_fmod(a, b):
    """Return the remainder of integers with the sign of a, 0 for divisor 0."""
    rest = a % b if b != 0 else 0
    return rest - b if rest != 0 and (rest < 0) != (a < 0) else rest


lifted_fmod = LiftedCuda("fmod", fmod, 2)
ANGLES: dict[str, CudaKernel] = {"tan": LiftedCuda("tan", tangent, 1)}
CUDA_KERNELS: dict[str, CudaKernel] = {
    **ANGLES,
    "fmod": ByKind(lifted_fmod, LiftedCuda("whole_fmod", whole_fmod, 2)),
}
CHECKS = (*checks(ANGLES, registers=64), *checks({"fmod": lifted_fmod}))
