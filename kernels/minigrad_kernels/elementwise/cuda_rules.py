"""CUDA kernels of elementwise/rules.py, and of what NumPy computes on the CPU."""

from __future__ import annotations

import math
from typing import Any

from numba import cuda, int64

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.elementwise.cuda_copy import copy
from minigrad_kernels.elementwise.cuda_kernels import EMPTY, SHAPE, STEPS, LiftedCuda, checks
from minigrad_kernels.elementwise.rules import RULES, where
from minigrad_kernels.math.cuda_trigonometry import cosine, sine
from minigrad_kernels.math.scalar import like, nearest


# ---------------------------------------------------------------- rules
@cuda.jit(device=True)
def sign(a):
    """Return the sign, 0 for NaN."""
    return like(a, 1) if a > 0 else (like(a, -1) if a < 0 else like(a, 0))


@cuda.jit(device=True)
def eq(a, b):
    """Return whether two elements are equal."""
    return a == b


@cuda.jit(device=True)
def ne(a, b):
    """Return whether two elements differ."""
    return a != b


@cuda.jit(device=True)
def lt(a, b):
    """Return whether the first element is the smaller one."""
    return a < b


@cuda.jit(device=True)
def le(a, b):
    """Return whether the first element is the smaller one or equal."""
    return a <= b


@cuda.jit(device=True)
def gt(a, b):
    """Return whether the first element is the larger one."""
    return a > b


@cuda.jit(device=True)
def ge(a, b):
    """Return whether the first element is the larger one or equal."""
    return a >= b


@cuda.jit(device=True)
def logical_and(a, b):
    """Return whether both elements are true."""
    return a != 0 and b != 0


@cuda.jit(device=True)
def logical_or(a, b):
    """Return whether one of two elements is true."""
    return a != 0 or b != 0


@cuda.jit(device=True)
def logical_not(a):
    """Return whether an element is false."""
    return a == 0


@cuda.jit(device=True)
def bitwise_and(a, b):
    """Return the bits that both have."""
    return a & b


@cuda.jit(device=True)
def bitwise_or(a, b):
    """Return the bits that one of both has."""
    return a | b


@cuda.jit(device=True)
def bitwise_xor(a, b):
    """Return the bits in which both differ."""
    return a ^ b


@cuda.jit(device=True)
def left_shift(a, b):
    """Return a << b, 0 where all bits leave: C leaves that open."""
    return int64(a) << int64(b) if 0 <= b < 64 else int64(0)


@cuda.jit(device=True)
def right_shift(a, b):
    """Return a >> b, the sign alone where all bits leave: C leaves that open."""
    return int64(a) >> int64(b if 0 <= b < 63 else 63)


@cuda.jit(device=True)
def isfinite(a):
    """Return whether an element is neither infinite nor NaN."""
    return a - a == 0


@cuda.jit(device=True)
def isnan(a):
    """Return whether an element is NaN."""
    return a != a


@cuda.jit(device=True)
def floor(a):
    """Return the largest whole number that is not above the element."""
    whole = nearest(a)
    return whole - like(a, 1) if whole > a else whole


@cuda.jit(device=True)
def modulus(a, b):
    """Return a - b floor(a / b), exactly, in the sign of b; NaN where b is 0."""
    r = math.fmod(a, b)
    if r == 0:
        return math.copysign(r, b)
    return r + b if (b < 0) != (r < 0) else r


@cuda.jit(device=True)
def floor_divide(a, b):
    """Return floor(a / b) as NumPy does: of the exact remainder, a / b where b is 0."""
    ratio = a / b
    if b == 0:
        return ratio
    r = math.fmod(a, b)
    whole = (a - r) / b
    if r != 0 and (b < 0) != (r < 0):
        whole = whole - like(a, 1)
    if whole == 0:
        return math.copysign(like(a, 0), ratio)
    low = floor(whole)
    return low + like(a, 1) if whole - low > like(a, 0.5) else low


@cuda.jit(device=True)
def whole_modulus(a, b):
    """Return the remainder of integers with the divisor's sign, 0 for divisor 0."""
    return a % b if b != 0 else 0


@cuda.jit(device=True)
def whole_divide(a, b):
    """Return the quotient of integers rounded down, 0 for divisor 0."""
    return a // b if b != 0 else 0


@cuda.jit(device=True)
def whole_power(a, b):
    """Return a^b modulo 2^64, for b >= 0: numba's own goes by way of float64."""
    y, base, rest = int64(1), int64(a), int64(b)
    while rest > 0:
        y = int64(y * base) if rest & int64(1) else y
        base = int64(base * base)
        rest = int64(rest >> int64(1))
    return y


class ByKind:
    """A CUDA kernel with another rule for integers and bools."""

    def __init__(self, floats: CudaKernel, others: CudaKernel) -> None:
        self.floats = floats
        self.others = others

    def __call__(self, *args: Any) -> None:
        """Launch the rule of y's kind of dtype."""
        y: DeviceArray = args[-1]
        (self.floats if y.dtype.kind == "f" else self.others)(*args)


COMPARISONS: dict[str, Any] = {"eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt, "ge": ge}
LOGIC: dict[str, Any] = {"logical_and": logical_and, "logical_or": logical_or}
BITS: dict[str, Any] = {
    **{"bitwise_and": bitwise_and, "bitwise_or": bitwise_or, "bitwise_xor": bitwise_xor},
    **{"left_shift": left_shift, "right_shift": right_shift},
}
TESTS: dict[str, Any] = {"logical_not": logical_not, "isfinite": isfinite, "isnan": isnan}
lifted_floor = LiftedCuda("floor", floor, 1)
lifted_divide = LiftedCuda("floor_divide", floor_divide, 2)
lifted_modulus = LiftedCuda("remainder", modulus, 2)
lifted_power = LiftedCuda("pow", RULES["pow"].function, 2)
LIFTED_BITS = {name: LiftedCuda(name, rule, 2) for name, rule in BITS.items()}
ANGLES: dict[str, CudaKernel] = {
    "sin": LiftedCuda("sin", sine, 1),
    "cos": LiftedCuda("cos", cosine, 1),
}
CUDA_KERNELS: dict[str, CudaKernel] = {
    **{
        name: LiftedCuda(name, rule.function, rule.operands)
        for name, rule in RULES.items()
        if name != "pow"
    },
    "pow": ByKind(lifted_power, LiftedCuda("whole_power", whole_power, 2)),
    **ANGLES,
    "sign": LiftedCuda("sign", sign, 1),
    "where": LiftedCuda("where", where, 3),
    **{name: LiftedCuda(name, rule, 2) for name, rule in {**COMPARISONS, **LOGIC}.items()},
    **{name: LiftedCuda(name, rule, 1) for name, rule in TESTS.items()},
    **LIFTED_BITS,
    "floor": ByKind(lifted_floor, copy),
    "floor_divide": ByKind(lifted_divide, LiftedCuda("whole_divide", whole_divide, 2)),
    "remainder": ByKind(lifted_modulus, LiftedCuda("whole_modulus", whole_modulus, 2)),
}
OWN: dict[str, CudaKernel] = {
    "floor": lifted_floor,
    "floor_divide": lifted_divide,
    "remainder": lifted_modulus,
    "pow": lifted_power,
}
CHECKS: tuple[Check, ...] = (
    *checks(
        {
            n: cuda_kernel
            for n, cuda_kernel in {**CUDA_KERNELS, **OWN}.items()
            if n not in ANGLES and n not in BITS
        },
        truth={*COMPARISONS, *LOGIC, *TESTS},
    ),
    *checks(ANGLES, registers=64),
    *(
        Check(
            f"{name}.strided/int64",
            cuda_kernel.strided,
            (int64[::1], int64[::1], EMPTY, int64[::1], SHAPE, *[STEPS] * 3),
            (),
            40,
        )
        for name, cuda_kernel in LIFTED_BITS.items()
    ),
)
