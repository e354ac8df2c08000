"""Numbers of warps and lanes, for kernels that hand values from lane to lane."""

from __future__ import annotations

from numba import cuda, uint32

WARP = 32
FULL = 0xFFFFFFFF
HALVES = (16, 8, 4, 2, 1)  # lanes apart, by which a warp's values are joined


@cuda.jit(device=True)
def lane_of():
    """Return the number of a thread in its warp."""
    return uint32(cuda.threadIdx.x & uint32(31))


@cuda.jit(device=True)
def warp_of():
    """Return the number of a thread's warp in the grid, for blocks of one dimension."""
    return uint32(uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x) >> uint32(5))


@cuda.jit(device=True)
def warp_count():
    """Return the number of warps of the grid, for blocks of one dimension."""
    return uint32(uint32(cuda.gridDim.x * cuda.blockDim.x) >> uint32(5))
