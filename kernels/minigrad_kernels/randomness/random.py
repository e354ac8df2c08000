"""Random draws by element: uniform, normal and raw words, functions of (seed, stream, call, index).

float32 uniform: element i is (word i >> 8) * 2^-24.  float64 takes words 2i and 2i + 1 for 53 bits.
normal is Box and Muller's over two uniforms u, v of the same draw for elements 2j and 2j + 1:

    y[2j] = sqrt(-2 log(1 - u)) * cos(2 pi v),  y[2j + 1] = sqrt(-2 log(1 - u)) * sin(2 pi v)

Shapes: y: (n,) float32 or float64 (uint32 for random_bits), contiguous; call: (1,) int64.
Source: words are Philox4x32-10, see `math/philox.py`; Box and Muller (1958).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange
from numba.core import types
from numba.extending import overload

from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import EXACT, Kernel
from minigrad_kernels.math.philox import SEGMENT, fill_words, halves, words_reference

Array = np.ndarray[Any, Any]

PARALLEL_BITS = 65_536  # elements from which two threads pay: words and uniforms, 0.4 ns each
PARALLEL_NORMAL = 16_384  # a normal costs ten times that


# ---------------------------------------------------------------- references
def uniforms(seed: int, stream: int, call: Array, count: int, dtype: Any) -> Array:
    """Return `count` uniforms in [0, 1) as float64, the very numbers that the kernels give."""
    if dtype == np.float32:
        return (words_reference(seed, stream, call, count) >> np.uint32(8)) * 2.0**-24
    words = words_reference(seed, stream, call, 2 * count).astype(np.uint64).reshape(-1, 2)
    return ((words[:, 0] >> np.uint64(5)) * 2.0**26 + (words[:, 1] >> np.uint64(6))) * 2.0**-53


def uniform_reference(seed: int, stream: int, call: Array, y: Array) -> None:
    """Fill y with numbers of [0, 1)."""
    y[...] = uniforms(seed, stream, call, y.size, y.dtype)


def normal_reference(seed: int, stream: int, call: Array, y: Array) -> None:
    """Fill y with normal numbers, computed in float64 from pairs of uniform ones."""
    pairs = uniforms(seed, stream, call, y.size + y.size % 2, y.dtype).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log(1 - pairs[:, 0]))
    angle = 2 * np.pi * pairs[:, 1]
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    y[...] = both.reshape(-1)[: y.size]


def random_bits_reference(seed: int, stream: int, call: Array, y: Array) -> None:
    """Fill y: uint32 with random words."""
    y[...] = words_reference(seed, stream, call, y.size)


# ---------------------------------------------------------------- a segment of SEGMENT words
def words_each(y: Any) -> Any:
    """Return how many words an element of y takes."""
    return 2 if y.dtype == np.float64 else 1


@overload(words_each)
def _words_each(y):
    count = 2 if y.dtype == types.float64 else 1
    return lambda y: count


def unit(words: Any, i: Any, y: Any) -> Any:
    """Return the uniform in [0, 1) of element i, in the type of y."""
    raise NotImplementedError("unit: for jitted code only")


@overload(unit)
def _unit(words, i, y):
    if y.dtype == types.float32:
        return lambda words, i, y: np.float32(words[i] >> np.uint32(8)) * np.float32(2**-24)

    def double(words, i, y):
        high = np.float64(words[2 * i] >> np.uint32(5))
        low = np.float64(words[2 * i + 1] >> np.uint32(6))
        return (high * 67108864.0 + low) * 2.0**-53

    return double


@jit()
def uniform_segment(words, y):
    """Fill y with numbers of [0, 1) from words."""
    for i in range(y.size):
        y[i] = unit(words, i, y)


@jit()
def normal_segment(words, y):
    """Fill y with normal numbers from words, by Box and Muller."""
    kind = y.dtype.type
    for j in range((y.size + 1) // 2):
        radius = np.sqrt(kind(-2) * np.log(kind(1) - unit(words, 2 * j, y)))
        angle = kind(2 * math.pi) * unit(words, 2 * j + 1, y)
        y[2 * j] = radius * np.cos(angle)
        if 2 * j + 1 < y.size:
            y[2 * j + 1] = radius * np.sin(angle)


@jit()
def bits_segment(words, y):
    """Copy words to y."""
    for i in range(y.size):
        y[i] = words[i]


# ---------------------------------------------------------------- all segments
def uniform_draw(low, high, stream, call, y):
    """Fill y with numbers of [0, 1), SEGMENT words a task."""
    count = SEGMENT // words_each(y)
    for k in prange((y.size + count - 1) // count):
        words = np.empty(SEGMENT, np.uint32)
        fill_words(low, high, stream, call[0], k * (SEGMENT // 4), words)
        uniform_segment(words, y[k * count : (k + 1) * count])


def normal_draw(low, high, stream, call, y):
    """Fill y with normal numbers, SEGMENT words a task."""
    count = SEGMENT // words_each(y)
    for k in prange((y.size + count - 1) // count):
        words = np.empty(SEGMENT, np.uint32)
        fill_words(low, high, stream, call[0], k * (SEGMENT // 4), words)
        normal_segment(words, y[k * count : (k + 1) * count])


def bits_draw(low, high, stream, call, y):
    """Fill y with words, SEGMENT a task."""
    for k in prange((y.size + SEGMENT - 1) // SEGMENT):
        words = np.empty(SEGMENT, np.uint32)
        fill_words(low, high, stream, call[0], k * (SEGMENT // 4), words)
        bits_segment(words, y[k * SEGMENT : (k + 1) * SEGMENT])


def by_size(draw: Any, parallel: int) -> Any:
    """Compile one source twice, sequential (prange is range) and parallel; y's size picks."""
    name = f"random.{draw.__name__}"
    small, large = small_and_large(name, draw)

    def cpu(seed: int, stream: int, call: Array, y: Array) -> None:
        """Fill y on one thread or on all, by its size."""
        low, high = halves(seed)
        (small if y.size < parallel else large)(low, high, stream, call, y.reshape(-1))

    return cpu


def cost(flops: int) -> Any:
    """Return a cost function: ten rounds of eight operations for four words, and the rest."""

    def count(seed: int, stream: int, call: Array, y: Array) -> tuple[int, int]:
        """Return the operations and the bytes of filling y."""
        return flops * y.size * (y.itemsize // 4), y.nbytes

    return count


KERNELS = {
    "uniform": Kernel(
        uniform_reference, by_size(uniform_draw, PARALLEL_BITS), cost(21), rounding=EXACT
    ),
    "normal": Kernel(normal_reference, by_size(normal_draw, PARALLEL_NORMAL), cost(50)),
    "random_bits": Kernel(
        random_bits_reference, by_size(bits_draw, PARALLEL_BITS), cost(20), rounding=EXACT
    ),
}
