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
def asin(a):
    """Return the angle whose sine is a: the library's takes a third of the instructions."""
    return math.asin(a)


@cuda.jit(device=True)
def acos(a):
    """Return the angle whose cosine is a."""
    return math.acos(a)


@cuda.jit(device=True)
def atan(a):
    """Return the angle whose tangent is a."""
    return math.atan(a)


@cuda.jit(device=True)
def atan2(a, b):
    """Return the angle of the point (b, a)."""
    return math.atan2(a, b)


@cuda.jit(device=True)
def sinh(a):
    """Return the hyperbolic sine."""
    return math.sinh(a)


@cuda.jit(device=True)
def cosh(a):
    """Return the hyperbolic cosine."""
    return math.cosh(a)


@cuda.jit(device=True)
def asinh(a):
    """Return the inverse of sinh."""
    return math.asinh(a)


@cuda.jit(device=True)
def acosh(a):
    """Return the inverse of cosh."""
    return math.acosh(a)


@cuda.jit(device=True)
def atanh(a):
    """Return the inverse of tanh."""
    return math.atanh(a)


@cuda.jit(device=True)
def log2(a):
    """Return the logarithm to base 2."""
    return math.log2(a)


@cuda.jit(device=True)
def log10(a):
    """Return the logarithm to base 10."""
    return math.log10(a)


@cuda.jit(device=True)
def hypot(a, b):
    """Return the distance of the point (a, b) from the origin."""
    return math.hypot(a, b)


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
INVERSES: dict[str, CudaKernel] = {
    "asin": LiftedCuda("asin", asin, 1),
    "acos": LiftedCuda("acos", acos, 1),
    "atan": LiftedCuda("atan", atan, 1),
    "atan2": LiftedCuda("atan2", atan2, 2),
}
LIBRARY: dict[str, CudaKernel] = {
    "sinh": LiftedCuda("sinh", sinh, 1),
    "cosh": LiftedCuda("cosh", cosh, 1),
    "asinh": LiftedCuda("asinh", asinh, 1),
    "acosh": LiftedCuda("acosh", acosh, 1),
    "atanh": LiftedCuda("atanh", atanh, 1),
    "log2": LiftedCuda("log2", log2, 1),
    "log10": LiftedCuda("log10", log10, 1),
    "hypot": LiftedCuda("hypot", hypot, 2),
}
CUDA_KERNELS: dict[str, CudaKernel] = {
    **ANGLES,
    **INVERSES,
    **LIBRARY,
    "fmod": ByKind(lifted_fmod, LiftedCuda("whole_fmod", whole_fmod, 2)),
}
CHECKS = (*checks(ANGLES, registers=96), *checks({**INVERSES, **LIBRARY, "fmod": lifted_fmod}))
