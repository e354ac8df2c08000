"""Dropout: y[i] = x[i] * scale where word(i) >= p * 2^32, else 0 (for an infinite or NaN x[i] too).

The mask is a function of (seed, stream, call, i) alone (`philox.py`): backward is the same kernel
on dy, and nothing is stored.  Inverted scaling passes scale = 1 / (1 - p), classical scaling 1.

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
def dropout_segment(x, least, factor, words, y):
    for i in range(x.size):
        kept = x[i] * factor
        y[i] = kept if words[i] >= least else x.dtype.type(0)


def dropout_segments(x, threshold, scale, low, high, stream, call, y):
    least = np.uint32(threshold)
    factor = x.dtype.type(scale)
    for k in prange((x.size + SEGMENT - 1) // SEGMENT):
        first = k * SEGMENT
        last = min(x.size, first + SEGMENT)
        words = np.empty((last - first + 3) // 4 * 4, np.uint32)
        fill_words(low, high, stream, call[0], first // 4, words)
        dropout_segment(x[first:last], least, factor, words, y[first:last])


dropout_small = jit(name="dropout.small")(dropout_segments)
dropout_large = jit(name="dropout.large", parallel=True)(dropout_segments)


def dropout_cpu(
    x: Array, p: float, scale: float, seed: int, stream: int, call: Array, y: Array
) -> None:
    threshold = int(p * 2**32)
    if threshold >= 2**32:
        y.fill(0)
        return
    low, high = halves(seed)
    run = dropout_small if x.size < PARALLEL_WORDS else dropout_large
    run(x.reshape(-1), threshold, float(scale), low, high, stream, call, y.reshape(-1))


def dropout_cost(
    x: Array, p: float, scale: float, seed: int, stream: int, call: Array, y: Array
) -> tuple[int, int]:
    return 20 * x.size, x.nbytes + y.nbytes  # ten rounds of eight operations for four words


KERNELS = {"dropout": Kernel(dropout_reference, dropout_cpu, dropout_cost)}
