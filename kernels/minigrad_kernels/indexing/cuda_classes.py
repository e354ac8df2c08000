"""A CUDA kernel that looks for class numbers out of range; its outcome is read later."""

from __future__ import annotations

import numpy as np
from numba import cuda, int32, int64, uint32

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, run
from minigrad_kernels.cuda.plan import Planned


@cuda.jit
def first_wrong(classes, count, ignored, word):
    """Lower word[0] to the index of the first class number outside [0, count) but `ignored`."""
    i = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while i < uint32(classes.size):
        k = classes[i]
        if (k < int64(0) or k >= count) and k != ignored:
            cuda.atomic.min(word, 0, int32(i))
        i = uint32(i + cuda.gridDim.x * cuda.blockDim.x)


def find_wrong(classes: DeviceArray, count: int, ignored: int, word: DeviceArray) -> None:
    """Launch `first_wrong` on one line of class numbers."""
    work = blocks(classes.size)
    run(first_wrong, work, THREADS, classes, np.int64(count), np.int64(ignored), word)


check_classes = Planned("check_classes", find_wrong, find_wrong)

CUDA_KERNELS: dict[str, CudaKernel] = {}  # no kernel of the table
CHECKS: tuple[Check, ...] = (
    Check("check_classes", first_wrong, (int64[::1], int64, int64, int32[::1]), ("LDG.E.64",), 40),
)
