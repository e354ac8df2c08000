"""CUDA kernels of centred.py: folds of a group and its number, and rules lifted over groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cuda, float32, float64, int32, types, uint32

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, number, run, scratch
from minigrad_kernels.elementwise import cuda_kernels as lift
from minigrad_kernels.elementwise.cuda_kernels import LiftedCuda, divisor, quotient
from minigrad_kernels.jit.compile import like
from minigrad_kernels.reduce import centred as rules
from minigrad_kernels.reduce import cuda_kernels as fold
from minigrad_kernels.reduce.cuda_kernels import Fold, added, finishing, take_wide, zero, zero_wide
from minigrad_kernels.reduce.kernels import ROOT, SQUARES, SUM


# ---------------------------------------------------------------- folds
@cuda.jit(device=True)
def take_square(v, m, n, index, group, r):
    """Return (x - m)^2 of an element, in float64; m may be empty."""
    return rules.squared(float64(v), m[group] if m.size else float64(0))


@cuda.jit(device=True)
def take_apart(v, m, n, index, group, r):
    """Return x - m of an element, in float64."""
    return float64(v) - m[group]


@cuda.jit(device=True)
def take_tie(v, m, n, index, group, r):
    """Return 1 where an element equals its group's m, else 0."""
    return rules.tie(v, m[group])


square_fold = Fold("square_sum", zero_wide, take_square, added, wide=True)
apart_fold = Fold("left_sum", zero_wide, take_apart, added, wide=True)
plain_fold = Fold("total", zero_wide, take_wide, added, wide=True)
tie_fold = Fold("tie_count", zero, take_tie, added)


def norm(x: DeviceArray, y: DeviceArray) -> None:
    """Compute y = sqrt(sum x^2) of each group: see reduce/centred.py."""
    none = scratch(0, np.float64, x)
    finishing(square_fold, flat(x), none, x.shape, 1.0, ROOT, flat(y))


@cuda.jit
def nearer(left, mean, y, n, divisor, root):
    """Take from sums of squares about rounded means what the rounding put in."""
    k = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while k < uint32(y.size):
        more = left[k] * (left[k] * (n / divisor))
        square = y[k] * y[k] if root else y[k]
        rest = max(square - more, 0.0)
        if square < math.inf and more > 1e-20 * rest:
            y[k] = math.sqrt(rest) if root else rest
        k = uint32(k + uint32(cuda.gridDim.x * cuda.blockDim.x))


def variance(x: DeviceArray, divisor: float, root: int, mean: DeviceArray, y: DeviceArray) -> None:
    """Compute mean and y of each group: see reduce/centred.py."""
    if not y.size:
        return
    n = float(x.shape[1])
    line, centres = flat(x), flat(mean)
    finishing(plain_fold, line, scratch(0, np.float64, x), x.shape, n, SUM, centres)
    finishing(square_fold, line, centres, x.shape, divisor, ROOT if root else SQUARES, flat(y))
    if x.dtype.itemsize == 8 and n:
        left = scratch(y.size, np.float64, y)
        finishing(apart_fold, line, centres, x.shape, n, SUM, left)
        few = np.float64(n), np.float64(divisor), np.int32(root)
        run(nearer, blocks(y.size), THREADS, left, centres, flat(y), *few)


def tie_count(x: DeviceArray, m: DeviceArray, y: DeviceArray) -> None:
    """Compute y = how many elements of each group equal m."""
    tie_fold((flat(x), flat(m)), x.shape, (flat(y),))


# ---------------------------------------------------------------- rules of (c, m, x)
class Expansion:
    """The CUDA kernel of a rule of each group's two numbers and each of its elements."""

    def __init__(self, name: str, rule: Any) -> None:
        self.lifted = LiftedCuda(name, rule, 3)

    def __call__(self, c: DeviceArray, m: DeviceArray, x: DeviceArray, dx: DeviceArray) -> None:
        """Write dx: (A, R, B) from c, m: (A, B) and x: (A, R, B)."""
        self.lifted(c[:, None], m[:, None], x, dx)


divide = Expansion("prod_backward", rules.divided)


@cuda.jit
def exact(dy, y, x, shape, least, most, held, dx):
    """Do again the groups whose product has lost its digits: a thread a group, two passes over it.

    shape: the elements of a group, the groups side by side and what `quotient` divides by them.
    held: float64 room for the first pass, which of float64 elements is dx itself.
    """
    group = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while group < uint32(y.size):
        size = abs(y[group])
        if not least <= size <= most:
            outer = quotient(group, shape[2], shape[3])
            first = uint32(outer * shape[0] * shape[1] + (group - outer * shape[1]))
            step, count = shape[1], shape[0]
            before = float64(1)
            after = float64(dy[group])
            index, r = first, uint32(0)
            while r < count:
                held[index] = before
                before *= float64(x[index])
                index = uint32(index + step)
                r = uint32(r + uint32(1))
            while r > 0:
                index = uint32(index - step)
                dx[index] = like(x[index], held[index] * after)
                after *= float64(x[index])
                r = uint32(r - uint32(1))
        group = uint32(group + uint32(cuda.gridDim.x * cuda.blockDim.x))


def prod_backward(dy: DeviceArray, y: DeviceArray, x: DeviceArray, dx: DeviceArray) -> None:
    """Compute dx = dy * the product of the group's others, by division where that is exact."""
    if not x.size:
        return
    divide(dy, y, x, dx)
    _, reduced, inner = x.shape
    shape = tuple(np.array((reduced, *divisor(inner)), np.uint32))
    limits = np.finfo(x.dtype)
    least, most = number(limits.tiny, x), number(limits.max, x)
    lines = [flat(a) for a in (dy, y, x)]
    out = flat(dx)
    held = out if x.dtype == np.float64 else scratch(x.size, np.float64, x)
    run(exact, blocks(y.size), THREADS, *lines, shape, least, most, held, out)


TIES = Expansion("expand_ties", rules.where_tied)
EXPANSIONS: dict[str, Any] = {
    "expand_centred": Expansion("expand_centred", rules.centred),
    "expand_unit": Expansion("expand_unit", rules.unit),
    "expand_ties": TIES,
    "expand_exp": Expansion("expand_exp", rules.exponentiated),
}
CUDA_KERNELS: dict[str, CudaKernel] = {
    "norm": norm,
    "variance": variance,
    "tie_count": tie_count,
    **EXPANSIONS,
    "prod_backward": prod_backward,
}
KINDS = (float32, float64)


def expansion_check(name: str, cuda_kernel: Expansion, kind: Any) -> Check:
    """Return the check of the walk by strides; all but ties compute in float64."""
    few = kind if cuda_kernel is TIES or cuda_kernel is divide else float64
    arrays = few[::1], few[::1], kind[::1], lift.EMPTY, kind[::1]
    signature = (*arrays, lift.SHAPE, *[lift.STEPS] * 4)
    doubles = kind == float64 or cuda_kernel is not TIES
    return Check(
        f"{name}.strided/{kind}", cuda_kernel.lifted.strided, signature, (), 80, float64=doubles
    )


def vector_check(name: str, cuda_kernel: Expansion) -> Check:
    """Return the check of the walk by 128 bits, which takes operands that are all float32."""
    signature = (*[float32[::1]] * 3, lift.EMPTY, float32[::1])
    opcodes = "LDG.E.128", "STG.E.128"
    doubles = cuda_kernel is not TIES
    return Check(
        f"{name}.vectors", cuda_kernel.lifted.vectors, signature, opcodes, 40, float64=doubles
    )


CHECKS: tuple[Check, ...] = (
    *fold.checks("square_sum", square_fold),
    *fold.checks("left_sum", apart_fold),
    *fold.checks("total", plain_fold),
    *fold.FINISHES,
    Check(
        "nearer",
        nearer,
        (*[float64[::1]] * 3, float64, float64, int32),
        float64=True,
    ),
    *fold.checks("tie_count", tie_fold),
    *(
        expansion_check(name, cuda_kernel, kind)
        for name, cuda_kernel in EXPANSIONS.items()
        for kind in KINDS
    ),
    *(expansion_check("divide", divide, kind) for kind in KINDS),
    *(
        vector_check(name, cuda_kernel)
        for name, cuda_kernel in (("expand_ties", TIES), ("divide", divide))
    ),
    *(
        Check(
            f"prod_backward/{kind}",
            exact,
            (*[kind[::1]] * 3, types.UniTuple(uint32, 4), kind, kind, float64[::1], kind[::1]),
            float64=True,
        )
        for kind in KINDS
    ),
)
