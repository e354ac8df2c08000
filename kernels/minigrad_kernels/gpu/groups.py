"""CUDA twins of groups.py: folds of a group and its number, and rules lifted over groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, float32, float64, types, uint32

from minigrad_kernels import groups
from minigrad_kernels.gpu import fold, lift
from minigrad_kernels.gpu.array import DeviceArray
from minigrad_kernels.gpu.checks import Check, Twin
from minigrad_kernels.gpu.fold import Fold, added, zero
from minigrad_kernels.gpu.launching import THREADS, blocks, flat, number, run
from minigrad_kernels.gpu.lift import Lifted, divisor, quotient


# ---------------------------------------------------------------- folds
@cuda.jit(device=True)
def take_square(x, m, n, at, group, r):
    return groups.squared(x[at], m[group] if m.size else x.dtype.type(0))


@cuda.jit(device=True)
def take_tie(x, m, n, at, group, r):
    return groups.tie(x[at], m[group])


square_fold = Fold("square_sum", zero, take_square, added)
tie_fold = Fold("tie_count", zero, take_tie, added)


def square_sum(x: DeviceArray, m: DeviceArray, y: DeviceArray) -> None:
    square_fold((flat(x), flat(m)), x.shape, (flat(y),))


def tie_count(x: DeviceArray, m: DeviceArray, y: DeviceArray) -> None:
    tie_fold((flat(x), flat(m)), x.shape, (flat(y),))


# ---------------------------------------------------------------- rules of (c, m, x)
class Spread:
    """The twin of a rule of each group's two numbers and each of its elements."""

    def __init__(self, name: str, rule: Any) -> None:
        self.lifted = Lifted(name, rule, 3)

    def __call__(self, c: DeviceArray, m: DeviceArray, x: DeviceArray, dx: DeviceArray) -> None:
        self.lifted(c[:, None], m[:, None], x, dx)


divide = Spread("prod_backward", groups.divided)


@cuda.jit
def exact(dy, y, x, shape, least, most, dx):
    """Do again the groups whose product has lost its digits: a thread a group, two passes over it.

    shape: the elements of a group, the groups side by side and what `quotient` divides by them.
    """
    group = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while group < uint32(y.size):
        size = abs(y[group])
        if not least <= size <= most:
            outer = quotient(group, shape[2], shape[3])
            first = uint32(outer * shape[0] * shape[1] + (group - outer * shape[1]))
            step, count = shape[1], shape[0]
            before = x.dtype.type(1)
            after = dy[group]
            at, r = first, uint32(0)
            while r < count:
                dx[at] = before
                before *= x[at]
                at = uint32(at + step)
                r = uint32(r + uint32(1))
            while r > 0:
                at = uint32(at - step)
                dx[at] *= after
                after *= x[at]
                r = uint32(r - uint32(1))
        group = uint32(group + uint32(cuda.gridDim.x * cuda.blockDim.x))


def prod_backward(dy: DeviceArray, y: DeviceArray, x: DeviceArray, dx: DeviceArray) -> None:
    if not x.size:
        return
    divide(dy, y, x, dx)
    _, reduced, inner = x.shape
    shape = tuple(np.array((reduced, *divisor(inner)), np.uint32))
    limits = np.finfo(x.dtype)
    least, most = number(limits.tiny, x), number(limits.max, x)
    lines = [flat(a) for a in (dy, y, x)]
    run(exact, blocks(y.size), THREADS, *lines, shape, least, most, flat(dx))


SPREADS: dict[str, Any] = {
    "spread_centred": Spread("spread_centred", groups.centred),
    "spread_unit": Spread("spread_unit", groups.unit),
    "spread_ties": Spread("spread_ties", groups.where_tied),
    "spread_exp": Spread("spread_exp", groups.exponentiated),
}
TWINS: dict[str, Twin] = {
    "square_sum": square_sum,
    "tie_count": tie_count,
    **SPREADS,
    "prod_backward": prod_backward,
}
CHECKS: tuple[Check, ...] = (
    *fold.checks("square_sum", square_fold),
    *fold.checks("tie_count", tie_fold),
    *lift.checks({name: twin.lifted for name, twin in {**SPREADS, "divide": divide}.items()}),
    *(
        Check(
            f"prod_backward/{kind}",
            exact,
            (*[kind[::1]] * 3, types.UniTuple(uint32, 4), kind, kind, kind[::1]),
            float64=kind == float64,
        )
        for kind in (float32, float64)
    ),
)
