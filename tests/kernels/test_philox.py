"""Philox against Random123's known answers, and against the same rule in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.jit.compile import jit
from minigrad_kernels.math.philox import (
    WORDS_AT_ONCE,
    element_words,
    fill_words,
    halves,
    philox4x32,
    philox_reference,
    words_reference,
)

PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)
KNOWN = (  # counter and key, words: kat_vectors of Random123
    ((0,) * 6, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 6, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
)


@jit()
def rule(counter: Any) -> Any:
    return philox4x32(counter[0], counter[1], counter[2], counter[3], counter[4], counter[5])


@pytest.mark.parametrize(("counter", "words"), KNOWN)
def test_known_answers(counter: tuple[int, ...], words: tuple[int, ...]) -> None:
    assert tuple(int(w) for w in rule(np.array(counter, np.uint32))) == words


@pytest.mark.parametrize(("counter", "words"), KNOWN)
def test_known_answers_through_the_layout_of_the_counter(
    counter: tuple[int, ...], words: tuple[int, ...]
) -> None:
    block = counter[0] + (counter[1] << 32)
    got = np.zeros(4, np.uint32)
    if block < 2**63:  # blocks are counted in int64
        fill_words(counter[4], counter[5], counter[3], counter[2], block, got)
        assert tuple(got.tolist()) == words


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63, 2**64 - 1])
@pytest.mark.parametrize("count", [4, 8, 60, 64, 2_048])
def test_vector_loop_matches_numpy(seed: int, count: int) -> None:
    got = np.zeros(count, np.uint32)
    fill_words(*halves(seed), 3, 11, 0, got)
    np.testing.assert_array_equal(got, words_reference(seed, 3, np.array([11]), count))


def test_a_part_of_a_draw_is_the_part() -> None:
    part = np.zeros(40, np.uint32)
    fill_words(*halves(5), 1, 2, 6, part)
    np.testing.assert_array_equal(part, words_reference(5, 1, np.array([2]), 64)[24:])


@pytest.mark.parametrize("count", [WORDS_AT_ONCE, 3 * WORDS_AT_ONCE, 3 * WORDS_AT_ONCE + 20])
@pytest.mark.parametrize("first", [0, 6, 2**32 - 5, 2**34 + 1])
def test_whole_groups_and_the_rest(count: int, first: int) -> None:
    got = np.zeros(count, np.uint32)
    fill_words(*halves(2**64 - 7), 2**31 + 1, 2**32 - 1, first, got)
    blocks = np.arange(first, first + count // 4, dtype=np.uint64)
    np.testing.assert_array_equal(got, philox_reference(blocks, 2**32 - 1, 2**31 + 1, 2**64 - 7))


@pytest.mark.parametrize("first", range(9))
def test_words_of_a_part_of_the_elements(first: int) -> None:
    got = np.zeros(WORDS_AT_ONCE, np.uint32)
    begin = element_words(*halves(5), 1, 2, first, got)
    want = words_reference(5, 1, np.array([2]), first + got.size)
    np.testing.assert_array_equal(got[begin:], want[first : first + got.size - begin])


def test_seed_stream_and_call_all_matter() -> None:
    base = words_reference(1, 2, np.array([3]), 64)
    for other in ((2, 2, 3), (1 + 2**32, 2, 3), (1, 3, 3), (1, 2, 4)):
        words = words_reference(other[0], other[1], np.array([other[2]]), 64)
        assert not (words == base).any()
