"""Dropout: y[i] = x[i] * scale where word(i) >= p * 2^32, else 0 (for an infinite or NaN x[i] too).

The mask is a function of (seed, stream, call, i) alone (`math/philox.py`): backward is the same
kernel on dy, and nothing is stored.  Inverted scaling passes scale = 1 / (1 - p), classical scaling
1.

Shapes: x, y: any one shape, C-contiguous; call: (1,) int64, or on the CPU (2,) with the number of
x's first element in an array of which x is a part: word(i) is then that of element call[1] + i.
Source: Srivastava et al., "Dropout" (JMLR 2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.math.philox import (
    SEGMENT,
    WORDS_AT_ONCE,
    element_words,
    halves,
    words_reference,
)
from minigrad_kernels.simd.memory import read_ahead, write_ahead

Array = np.ndarray[Any, Any]

PARALLEL_WORDS = 16_384  # elements from which two threads pay for their fork and join
AHEAD = 2_048  # elements, how far before their use memory is asked for


def dropout_reference(
    x: Array, p: float, scale: float, seed: int, stream: int, call: Array, y: Array
) -> None:
    """Compute y = x * scale where word(i) >= p * 2^32, else 0, in float64."""
    first = int(call[1]) if call.size > 1 else 0
    words = words_reference(seed, stream, call, first + x.size)[first:].reshape(x.shape)
    y[...] = np.where(words >= int(p * 2**32), x.astype(np.float64) * scale, 0)


@jit()
def drop(x, least, factor, words, y):
    """Write x * factor where the word is at least `least`, else 0."""
    for i in range(x.size):
        kept = x[i] * factor
        y[i] = kept if words[i] >= least else x.dtype.type(0)


@jit()
def dropout_segment(x, least, factor, low, high, stream, call, first, before, words, y):
    """Drop in elements `first` to `first` + SEGMENT, or fewer at the end; `before` x's first
    element there are others.

    Words are made and used in small chunks with the next lines on their way: 12.8 ms for 2^26
    float32, where a copy takes 13.4; without the prefetch 40, with 2,048 words a chunk 25.
    """
    for start in range(first, min(x.size, first + SEGMENT), WORDS_AT_ONCE):
        read_ahead(x, start + AHEAD, WORDS_AT_ONCE)
        write_ahead(y, start + AHEAD, WORDS_AT_ONCE)
        skip = element_words(low, high, stream, call, before + start, words)
        last = min(x.size, start + WORDS_AT_ONCE)
        drop(x[start:last], least, factor, words[skip:], y[start:last])


def dropout_segments(x, threshold, scale, low, high, stream, call, y):
    """Drop all elements, SEGMENT a task."""
    least = np.uint32(threshold)
    factor = x.dtype.type(scale)
    before = call[1] if call.size > 1 else np.int64(0)
    # Where a chunk begins within a block of four words, it needs a few more.
    count = WORDS_AT_ONCE if before % 4 == 0 else 2 * WORDS_AT_ONCE
    for k in prange((x.size + SEGMENT - 1) // SEGMENT):
        words = np.empty(count, np.uint32)
        dropout_segment(x, least, factor, low, high, stream, call[0], k * SEGMENT, before, words, y)


dropout_small, dropout_large = small_and_large("dropout", dropout_segments)


def dropout_cpu(
    x: Array, p: float, scale: float, seed: int, stream: int, call: Array, y: Array
) -> None:
    """Write y = x * scale where word(i) >= p * 2^32, else 0, on the CPU."""
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
    """Return the integer operations and the bytes of `dropout`."""
    return 20 * x.size, x.nbytes + y.nbytes  # ten rounds of eight operations for four words


KERNELS = {"dropout": Kernel(dropout_reference, dropout_cpu, dropout_cost, rounding=(1.0, 0.0))}
