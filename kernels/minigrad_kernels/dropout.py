"""Dropout: y[i] = x[i] * scale where word(i) >= p * 2^32, else 0 (also for an infinite or NaN x[i]).

The mask is a function of (seed, stream, call, i) alone (`philox.py`): backward is the same kernel on dy, nothing
is stored.  Inverted scaling passes scale = 1 / (1 - p), classical scaling 1.

Shapes: x, y: any one shape, C-contiguous; call: (1,) int64.
Source: Srivastava et al., "Dropout" (JMLR 2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.launch import Kernel, jit
from minigrad_kernels.philox import SEGMENT, fill_words, halves, words_reference

Array = np.ndarray[Any, Any]

PARALLEL_WORDS = 16_384  # elements from which two threads pay for their fork and join


def dropout_reference(
    x: Array, p: float, scale: float, seed: int, stream: int, call: Array, y: Array
) -> None:
    words = words_reference(seed, stream, call, x.size).reshape(x.shape)
    y[...] = np.where(words >= int(p * 2**32), x.astype(np.float64) * scale, 0)


@jit()
def dropout_range(x, threshold, scale, low, high, stream, call, first, last, y):
    """Drop elements first to last, both multiples of SEGMENT but for the end of the array."""
    words = np.empty(SEGMENT, np.uint32)
    least = np.uint32(threshold)
    factor = x.dtype.type(scale)
    for start in range(first, last, SEGMENT):
        count = min(SEGMENT, last - start)
        fill_words(low, high, stream, call[0], start // 4, words[: (count + 3) // 4 * 4])
        here = x[start : start + count]
        out = y[start : start + count]
        for i in range(count):
            kept = here[i] * factor
            out[i] = kept if words[i] >= least else x.dtype.type(0)


@jit(parallel=True)
def dropout_parallel(x, threshold, scale, low, high, stream, call, y):
    for segment in prange((x.size + SEGMENT - 1) // SEGMENT):
        first = segment * SEGMENT
        last = min(x.size, first + SEGMENT)
        dropout_range(x, threshold, scale, low, high, stream, call, first, last, y)


def dropout_cpu(
    x: Array, p: float, scale: float, seed: int, stream: int, call: Array, y: Array
) -> None:
    threshold = int(p * 2**32)
    if threshold >= 2**32:
        y.fill(0)
        return
    low, high = halves(seed)
    x = x.reshape(-1)
    y = y.reshape(-1)
    if x.size < PARALLEL_WORDS:
        dropout_range(x, threshold, float(scale), low, high, stream, call, 0, x.size, y)
    else:
        dropout_parallel(x, threshold, float(scale), low, high, stream, call, y)


def dropout_cost(
    x: Array, p: float, scale: float, seed: int, stream: int, call: Array, y: Array
) -> tuple[int, int]:
    return 20 * x.size, x.nbytes + y.nbytes  # ten rounds of eight operations for four words


KERNELS = {"dropout": Kernel(dropout_reference, dropout_cpu, dropout_cost)}
