"""Which rows of a batch this process computes, where several compute one batch together.

Beside the heart: dropout asks, so that its mask is that of the whole batch, and so do batch norms,
whose statistics may be those of the whole batch.  Nothing here talks to other processes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from minigrad.engine.recording import expect


class Shard(NamedTuple):
    """Consecutive rows of a batch: `rows` of them from row `first` on, of `total`."""

    first: int
    rows: int
    total: int


class Sharing(threading.local):
    """What this thread computes a part of.

    shard: the rows that are computed now, None where they are a whole batch.
    dealt: the rows that a loader handed out last.
    synchronised: whether batch norms take their statistics over all rows of the batch.
    basis: the attribute that says, before a forward pass, what its shard will be.
    inside: whether a model's part of a batch is computed, whose gradients somebody exchanges.
    """

    shard: Shard | None = None
    dealt: Shard | None = None
    synchronised: bool = False
    basis: str = "shard"
    inside: bool = False


now = Sharing()


def share_of(rows: int, rank: int, size: int) -> Shard:
    """Return the rows of process `rank` out of `size`: equally many, the first ones one more.

    >>> [share_of(5, rank, 2) for rank in range(2)]
    [Shard(first=0, rows=3, total=5), Shard(first=3, rows=2, total=5)]
    """
    each, more = divmod(rows, size)
    first = rank * each + min(rank, more)
    return Shard(first, each + (rank < more), rows)


def hold_recording() -> None:
    """Have what is recorded replayed only for the rows that are computed now."""
    expect(now, now.basis, getattr(now, now.basis))


@contextmanager
def computing(
    shard: Shard | None, synchronised: bool, basis: str = "shard", inside: bool = True
) -> Iterator[None]:
    """Say what is computed meanwhile.

    basis: "dealt" where that says what the shard is, "shard" where it is said from outside.

    >>> with computing(Shard(2, 2, 4), False):
    ...     first_element((2, 3))
    6
    """
    was: tuple[Any, ...] = now.shard, now.synchronised, now.basis, now.inside
    now.shard, now.synchronised = shard, synchronised and shard is not None
    now.basis, now.inside = basis, inside
    try:
        yield
    finally:
        now.shard, now.synchronised, now.basis, now.inside = was


def first_element(shape: tuple[int, ...]) -> int:
    """Return the number, in the array of the whole batch, of the first element of a rank's array.

    shape: with the batch's rows first, once or several times each; the result is 0 for arrays
    that are not so.
    """
    shard = now.shard
    if shard is None or not shard.rows or not shape or shape[0] % shard.rows:
        return 0
    each = shape[0] // shard.rows
    for n in shape[1:]:
        each *= n
    return shard.first * each
