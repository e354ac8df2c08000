"""Finish a sum in the launch that begins it: the last block goes on with what all have written.

Each block draws a ticket once its work is in memory, and by its number knows itself the last.
Which block that is differs from run to run; what it computes must not: it takes what the others
wrote by its place, never by its arrival.

Source: NVIDIA, CUDA C++ Programming Guide, "Memory Fence Functions".
"""

from __future__ import annotations

from numba import cuda, int32, uint32


@cuda.jit(device=True)
def is_last(ticket, held):
    """Tell, in all threads of a block, whether it is the last of the grid to come here.

    Then all that other blocks have written before may be read.  ticket: (1,) uint32, 0 before the
    launch.  held: shared, (1,) int32.  Barriers within: the whole block must call.
    """
    cuda.threadfence()  # what this thread has written comes before the ticket
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        held[0] = int32(cuda.atomic.add(ticket, 0, uint32(1)) == uint32(cuda.gridDim.x - 1))
    cuda.syncthreads()
    last = held[0] != 0
    cuda.threadfence()  # what others have written before theirs comes before what is read now
    return last
