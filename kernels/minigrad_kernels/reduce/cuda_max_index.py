"""CUDA kernels of reduce/max_index.py: folds of pairs (element, index), the first of equals kept.

Where one is kept does not depend on the order of the fold, so that it is the CPU's place.
"""

from __future__ import annotations

import numpy as np
from numba import cuda, float32, float64, int32, int64, types, uint32

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, run
from minigrad_kernels.cuda.warps import FULL
from minigrad_kernels.elementwise.cuda_kernels import divisor, quotient
from minigrad_kernels.reduce import cuda_kernels as fold
from minigrad_kernels.reduce.cuda_kernels import Fold

NOWHERE = 2**31 - 1  # the place of no element, behind all


@cuda.jit(device=True)
def nothing(x):
    """Return the pair of no element: -inf, and an index behind all."""
    return x.dtype.type(-np.inf), int32(NOWHERE)


@cuda.jit(device=True)
def take(v, m, sign, index, group, r):
    """Return an element times the sign, and its place."""
    return v * sign, int32(r)


@cuda.jit(device=True)
def take_again(v, places, sign, index, group, r):
    """Return a pair of an earlier launch."""
    return v * sign, int32(places[index])


@cuda.jit(device=True)
def foremost(a, b):
    """Return the larger of two pairs, a NaN before all, the first of equal ones."""
    v, w = a[0], b[0]
    if v == w or (v != v and w != w):
        return v, int32(min(a[1], b[1]))
    return b if w > v or w != w else a


@cuda.jit(device=True)
def shuffle_pair(a, lanes):
    """Return the pair of the lane `lanes` further on."""
    return cuda.shfl_down_sync(FULL, a[0], lanes), cuda.shfl_down_sync(FULL, a[1], lanes)


@cuda.jit(device=True)
def put(y, places, sign, k, value):
    """Write a group's extreme and its index."""
    y[k] = value[0] * sign
    places[k] = value[1]


extreme_fold = Fold("extreme", nothing, take, foremost, shuffle_pair, put, take_again)


def extreme(x: DeviceArray, sign: int, y: DeviceArray, indices: DeviceArray) -> None:
    """Write each group's first extreme index and y = x there: see reduce/max_index.py."""
    extreme_fold((flat(x),), x.shape, (flat(y), flat(indices)), sign)


@cuda.jit
def place(dy, indices, shape, dx):
    """Compute dx = dy where its group says, else 0: an element a step.

    shape: what `quotient` divides by for a row, then for the rows of a group.
    """
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    zero = dx.dtype.type(0)
    while i < uint32(dx.size):
        line = quotient(i, shape[1], shape[2])
        outer = quotient(line, shape[4], shape[5])
        group = uint32(outer * shape[0] + (i - line * shape[0]))
        r = uint32(line - outer * shape[3])
        dx[i] = dy[group] if uint32(indices[group]) == r else zero
        i = uint32(i + uint32(cuda.gridDim.x * cuda.blockDim.x))


def extreme_backward(dy: DeviceArray, indices: DeviceArray, dx: DeviceArray) -> None:
    """Write dx = dy at the extreme's index of each group, 0 elsewhere."""
    if dx.size:
        _, reduced, inner = dx.shape
        shape = tuple(np.array((*divisor(inner), *divisor(reduced)), np.uint32))
        run(place, blocks(dx.size), THREADS, flat(dy), flat(indices), shape, flat(dx))


CUDA_KERNELS: dict[str, CudaKernel] = {"extreme": extreme, "extreme_backward": extreme_backward}
CHECKS: tuple[Check, ...] = (
    *fold.checks("extreme", extreme_fold, int64),
    *(
        Check(
            f"extreme_backward/{kind}",
            place,
            (kind[::1], int64[::1], types.UniTuple(uint32, 6), kind[::1]),
            float64=kind == float64,
        )
        for kind in (float32, float64)
    ),
)
