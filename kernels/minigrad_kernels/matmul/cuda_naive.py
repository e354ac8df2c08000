"""CUDA products, the first step: a thread computes an element, straight from global memory.

Each multiply-add loads two numbers: a quarter of an operation a byte, and caches that help.  It
stays in use for tiny products, where nothing counts but the launch.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import cuda, uint32

from minigrad_kernels.matmul.cuda_parts import element

THREADS = 128


@cache
def naive(kind: str, name: str, with_sums: bool) -> Any:
    """Return the kernel of a rule (`cuda_parts.rule_of`), with or without the sums of a's rows.

    It takes no notice of splits.
    """
    finish = element(kind, name)

    @cuda.jit
    def product(a, a_at, b, b_at, bias, side, sums, z, c, sizes, flags):
        """Compute c = after(a b), one element a thread and step."""
        m, n, k = sizes[0], sizes[1], sizes[2]
        total = uint32(c.size)
        step = uint32(cuda.gridDim.x * cuda.blockDim.x)
        e = uint32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        while e < total:
            line = uint32(e // n)
            j = uint32(e - uint32(line * n))
            image = uint32(line // m)
            i = uint32(line - uint32(image * m))
            p = uint32(a_at[0] + uint32(image * a_at[3]) + uint32(i * a_at[1]))
            q = uint32(b_at[0] + uint32(image * b_at[3]) + uint32(j * b_at[2]))
            v = c.dtype.type(0)
            total_a = c.dtype.type(0)
            d = uint32(0)
            while d < k:
                v += a[p] * b[q]
                if with_sums:
                    total_a += a[p]
                p = uint32(p + a_at[2])
                q = uint32(q + b_at[1])
                d = uint32(d + uint32(1))
            if with_sums and j == 0:
                sums[line] = total_a
            finish(v, e, j, bias, side, z, c, flags)
            e = uint32(e + step)

    return product
