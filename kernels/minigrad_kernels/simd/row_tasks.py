"""Share rows out among tasks, by sizes alone, and join what the tasks leave."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.simd.registers import VECTOR_BYTES

Array = np.ndarray[Any, Any]

ROWS = 16  # rows whose sums are kept in their own type before they are added up in float64
BLOCK = 2  # rows walked at a time, column by column: what a column needs is read once for both
TASKS = 16  # the most tasks that rows are split into: each has its own partial sums
# Bytes from which a result goes round the cache: with what it is made of, it would not stay there.
# Layer norm of (4096, 1024) float32, forward and backward, takes 1.0 ms so, 1.5 to 1.8 ms through
# 32 MB of cache; at 8 MB both ways are alike.
STREAMED = 12 << 20


@jit()
def task_rows(n):
    """Return the rows of one task of n: a multiple of ROWS, for at most TASKS tasks."""
    return ROWS * max(1, (n + ROWS * TASKS - 1) // (ROWS * TASKS))


@jit()
def add_parts(parts, a, b):
    """Write the sums of parts: (tasks, 2, C) float64, added in order, to a and b: (C,)."""
    wide = np.zeros((2, a.size), np.float64)
    for k in range(len(parts)):
        for p in range(2):
            row = parts[k, p]
            out = wide[p]
            for j in range(row.size):
                out[j] += row[j]
    for j in range(a.size):
        a[j] = wide[0, j]
    for j in range(b.size):
        b[j] = wide[1, j]


def streams(y: Array) -> bool:
    """Return whether the rows of y are written round the cache: large ones, of whole registers."""
    return (
        y.nbytes >= STREAMED
        and y.shape[-1] * y.itemsize % VECTOR_BYTES == 0
        and y.ctypes.data % VECTOR_BYTES == 0
    )
