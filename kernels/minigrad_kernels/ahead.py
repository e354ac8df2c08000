"""Asking for memory before it is needed.

A kernel that computes between its loads gives the hardware's prefetcher no steady stream to
follow: dropout over 2^26 elements took 40 ms without asking and 12.8 with it.

For use inside kernels: the array is 1-D and contiguous, the elements may lie outside it (those of
the next row, say), and any element may be named: nothing is read.
"""

from __future__ import annotations

from minigrad_kernels.launch import jit
from minigrad_kernels.simd import address, prefetch

LINE = 64  # bytes of a cache line


@jit()
def read_ahead(x, first, count):
    """Ask for x[first : first + count] to read."""
    where = address(x) + first * x.itemsize
    for offset in range(0, count * x.itemsize, LINE):
        prefetch(where + offset, 0)


@jit()
def write_ahead(y, first, count):
    """Ask for y[first : first + count] to write."""
    where = address(y) + first * y.itemsize
    for offset in range(0, count * y.itemsize, LINE):
        prefetch(where + offset, 1)
