"""What elements of an array have in common: equal ones, zeros, a diagonal, a tail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Mask = tuple[str, str, Array]


def masks_of(x: Array, others: Sequence[Array] = ()) -> Iterator[Mask]:
    """Yield sets of elements that rules may mistake: (kind, words, mask).

    >>> [kind for kind, _, mask in masks_of(np.array([2.0, 0.0, 2.0])) if mask.any()][:2]
    ['zeros', 'ties']
    """
    flat = x.reshape(-1)
    yield "zeros", "zeros", x == 0
    _, back, count = np.unique(flat, return_inverse=True, return_counts=True)
    yield "ties", "ties (equal elements)", (count[back] > 1).reshape(x.shape)
    for other in others:
        if other.shape == x.shape:
            yield "ties", "ties (elements equal to those of another input)", x == other
    if x.ndim > 1 and x.shape[-1] == x.shape[-2]:
        eye = np.broadcast_to(np.eye(x.shape[-1], dtype=bool), x.shape)
        yield "diagonal", "the diagonal", eye
        yield "off-diagonal", "what is off the diagonal", ~eye
        upper = np.triu(np.ones(x.shape[-2:], bool), 1)
        yield "triangle", "the upper triangle", np.broadcast_to(upper, x.shape)
        yield "triangle", "the lower triangle", np.broadcast_to(upper.T, x.shape)
    if flat.size > 1:
        for most, words in ((flat.max(), "largest"), (flat.min(), "smallest")):
            yield "extreme", f"the {words} element", x == most
    yield from along_axes(x)
    yield "sign of the input", "negative elements", x < 0
    yield "sign of the input", "positive elements", x > 0
    yield "sign of the input", "elements that are not positive", x <= 0
    yield "sign of the input", "elements that are not negative", x >= 0


def along_axes(x: Array) -> Iterator[Mask]:
    """Yield one place along an axis: the last, the first, another."""
    for axis in range(x.ndim):
        length = x.shape[axis]
        for place in (length - 1, *range(length - 1)) if length > 1 and x.ndim > 1 else ():
            mask = np.zeros(x.shape, bool)
            mask[(slice(None),) * axis + (place,)] = True
            if place == length - 1:
                yield "tail", f"the tail: the last along axis {axis}", mask
            elif place == 0:
                yield "head", f"the first along axis {axis}", mask
            else:
                yield "place", f"place {place} along axis {axis}", mask


def elements_in_words(
    wrong: Array, matters: Array, known: Sequence[Mask], shape: tuple[int, ...]
) -> tuple[str, str] | None:
    """Return the kind of a set of flat elements and its words, None where it has none.

    matters: elements that could show that they are wrong at all.
    """
    if not wrong.any() or (wrong | ~matters).all():
        return None
    for name, words, mask in known:
        held = mask.reshape(-1) & matters
        if held.any() and np.array_equal(held, wrong):
            return name, words
    at = np.flatnonzero(wrong)
    size = wrong.size
    first = int(at[0])
    if np.array_equal(wrong[first:], matters[first:]):
        words = f"the tail: the last {size - first} of {size} elements"
        return "tail", words
    last = int(at[-1])
    if np.array_equal(wrong[: last + 1], matters[: last + 1]):
        return "head", f"the first {last + 1} of {size} elements"
    tails = blocks_at_the_end(wrong, matters, shape)
    if tails:
        return "tail", tails
    if at.size == 1:
        place = [int(k) for k in np.unravel_index(first, shape)]
        return "one element", f"one element, {place}"
    return None


def blocks_at_the_end(wrong: Array, matters: Array, shape: tuple[int, ...]) -> str:
    """Return words where the last places along an axis are wrong: the tail of a loop over it."""
    full, held = wrong.reshape(shape), matters.reshape(shape)
    for axis, length in enumerate(shape):
        for count in range(1, length):
            mask = np.zeros(shape, bool)
            mask[(slice(None),) * axis + (slice(length - count, None),)] = True
            if np.array_equal(full, mask & held):
                return f"the tail: the last {count} of {length} along axis {axis}"
    return ""
