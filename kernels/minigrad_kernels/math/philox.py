"""Philox4x32-10: random words as a pure function of (seed, stream, call, element), without state.

    key     = (seed lo32, seed hi32)
    counter = (block lo32, block hi32, call lo32, stream lo32)

gives four uint32 words for each block; element i of a draw is word i % 4 of block i // 4.  So a
dropout mask can be computed again in backward, by any thread, on any device, after a resume.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), whose Random123
gives the known answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.math.philox_lanes import GROUP, philox_group
from minigrad_kernels.simd.registers import address

Array = np.ndarray[Any, Any]

MASK = 0xFFFFFFFF
SEGMENT = 2_048  # words made at a time: 8 KB stay in first-level cache until they are used
WORDS_AT_ONCE = 4 * GROUP  # in one step of vector code


def philox_reference(blocks: Array, call: int, stream: int, seed: int) -> Array:
    """Return the words of `blocks` in order, plain NumPy: (n,) uint64 -> (4 n,) uint32."""
    c0 = blocks & np.uint64(MASK)
    c1 = blocks >> np.uint64(32)
    c2 = np.full_like(blocks, call & MASK)
    c3 = np.full_like(blocks, stream & MASK)
    k0 = seed & MASK
    k1 = (seed >> 32) & MASK
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c0
        p1 = np.uint64(0xCD9E8D57) * c2
        c0 = (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0)
        c2 = (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1)
        c1 = p1 & np.uint64(MASK)
        c3 = p0 & np.uint64(MASK)
        k0 = (k0 + 0x9E3779B9) & MASK
        k1 = (k1 + 0xBB67AE85) & MASK
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32).reshape(-1)


def words_reference(seed: int, stream: int, call: Array, count: int) -> Array:
    """Return the first `count` words of a draw: element i is word i % 4 of block i // 4.

    >>> [hex(w) for w in words_reference(0, 0, np.zeros(1, np.int64), 4)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    return philox_reference(blocks, int(call[0]), stream, seed)[:count]


@jit(inline="always")
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Return the four words of one counter; every argument and result is a uint32."""
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * np.uint64(c0)
        p1 = np.uint64(0xCD9E8D57) * np.uint64(c2)
        c0 = np.uint32(np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0)
        c2 = np.uint32(np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1)
        c1 = np.uint32(p1)
        c3 = np.uint32(p0)
        k0 = np.uint32(k0 + np.uint32(0x9E3779B9))
        k1 = np.uint32(k1 + np.uint32(0xBB67AE85))
    return c0, c1, c2, c3


@jit()
def fill_words(low, high, stream, call, block, words):
    """Write the words of the blocks from `block` on; words: (4 n,) uint32, contiguous.

    low, high: the seed's halves.  Whole groups are vector code; nothing is read in the loop over
    the rest, so that it vectorises too.
    """
    groups = words.size // WORDS_AT_ONCE
    for g in range(groups):
        philox_group(
            low, high, stream, call, block + g * GROUP, address(words) + 4 * g * WORDS_AT_ONCE
        )
    k0 = np.uint32(low)
    k1 = np.uint32(high)
    c2 = np.uint32(call)
    c3 = np.uint32(stream)
    for b in range(groups * GROUP, words.size // 4):
        counter = np.uint64(block + b)
        w0, w1, w2, w3 = philox4x32(
            np.uint32(counter), np.uint32(counter >> np.uint64(32)), c2, c3, k0, k1
        )
        words[4 * b] = w0
        words[4 * b + 1] = w1
        words[4 * b + 2] = w2
        words[4 * b + 3] = w3


@jit()
def element_words(low, high, stream, call, first, words):
    """Write the words of elements `first`, first + 1, ... of a draw; return where they begin.

    The word of element first + i is words[begin + i], begin = first % 4, for begin + i up to
    words.size; element e of a draw is kept by dropout where its word >= uint32(p * 2^32).

    low, high: `halves(seed)`.  call: the number in the one-element array.  words: (4 n,) uint32,
    contiguous; a multiple of WORDS_AT_ONCE elements is the fastest, 2,048 stay in first-level
    cache.  For use inside kernels: no allocation, no check.
    """
    fill_words(low, high, stream, call, first // 4, words)
    return first % 4


def halves(seed: int) -> tuple[int, int]:
    """Split a 64-bit seed: ints below 2^32 have one Numba type, whole seeds have two.

    >>> halves((7 << 32) + 5)
    (5, 7)
    """
    seed = int(seed)
    return seed & MASK, (seed >> 32) & MASK
