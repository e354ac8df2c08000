"""The CUDA kernel of products.py: a fold of the products, which are never written out."""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, float64, types, uint32

from minigrad_kernels.cuda.array import DeviceArray
from minigrad_kernels.cuda.checks import Check, CudaKernel
from minigrad_kernels.cuda.launch import THREADS, blocks, flat, run, scratch
from minigrad_kernels.elementwise.cuda_kernels import divisor, quotient
from minigrad_kernels.reduce import cuda_kernels as fold
from minigrad_kernels.reduce.cuda_kernels import Fold, added, zero_wide
from minigrad_kernels.reduce.kernels import DOWN, SUM, UP, finished, suspect


@cuda.jit(device=True)
def take_product(v, m, n, index, group, r):
    """Return the product of two elements, in float64."""
    return float64(v * m[index])


product_fold = Fold("products", zero_wide, take_product, added, wide=True, singly=True)


@cuda.jit
def finish_products(sums, x, z, shape, y):
    """Write float64 sums; those of float64 products that overflowed are computed again, scaled.

    shape: the elements of a group, the groups side by side and what `quotient` divides by them.
    """
    group = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
    while group < uint32(y.size):
        found = sums[group]
        if x.itemsize == 8 and suspect(found, SUM):
            outer = quotient(group, shape[2], shape[3])
            first = uint32(outer * shape[0] * shape[1] + (group - outer * shape[1]))
            top = 0.0
            index, r = first, uint32(0)
            while r < shape[0]:
                size = abs(float64(x[index] * z[index]))
                top = size if not size <= top else top
                index = uint32(index + shape[1])
                r = uint32(r + uint32(1))
            if top < math.inf:
                scale = DOWN if top > 1.0 else UP
                total = 0.0
                index, r = first, uint32(0)
                while r < shape[0]:
                    total += float64(x[index] * z[index]) * scale
                    index = uint32(index + shape[1])
                    r = uint32(r + uint32(1))
                found = finished(total, 1.0, SUM, scale)
        y[group] = y.dtype.type(found)
        group = uint32(group + uint32(cuda.gridDim.x * cuda.blockDim.x))


def sum_products(x: DeviceArray, z: DeviceArray, y: DeviceArray) -> None:
    """Compute y = the sums of x z over axis 1: see reduce/products.py."""
    if not y.size:
        return
    sums = scratch(y.size, np.float64, y)
    product_fold((flat(x), flat(z)), x.shape, (sums,))
    sizes = tuple(np.array((x.shape[1], *divisor(x.shape[2])), np.uint32))
    run(finish_products, blocks(y.size), THREADS, sums, flat(x), flat(z), sizes, flat(y))


CUDA_KERNELS: dict[str, CudaKernel] = {"sum_products": sum_products}
CHECKS: tuple[Check, ...] = (
    *fold.checks("sum_products", product_fold),
    *(
        Check(
            f"sum_products.finish/{kind}",
            finish_products,
            (float64[::1], kind[::1], kind[::1], types.UniTuple(uint32, 4), kind[::1]),
            float64=True,
        )
        for kind in (float32, float64)
    ),
)
