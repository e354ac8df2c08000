"""Gradients of all ranks put together while the sweep still computes further ones.

Parameters are dealt into buckets in the reverse of their order, in which their gradients come.  A
bucket begins its exchange when its last gradient is there and those before it have begun, so that
all ranks exchange in one order; after the sweep they are waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.distributed.exchange import MAX, SUM, exchange, pending
from minigrad.distributed.group import current
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.early import leave, listen
from minigrad.engine.op import bump_version
from minigrad.engine.recording import constant, refuse_recording
from minigrad.tensors.tensor import Tensor, new

Array = np.ndarray[Any, Any]
BUCKET_MB = 1.0
ALONE = 1 << 18  # bytes from which a gradient is exchanged where it lies, without a copy


class Bucket:
    """Parameters of one dtype whose gradients are exchanged together.

    alone: of one parameter, exchanged in its gradient's own memory.
    """

    def __init__(self, params: list[Tensor], numbers: list[int], ticket: int) -> None:
        self.params, self.numbers, self.ticket = params, numbers, ticket
        first = params[0].array
        self.alone = len(params) == 1 and first.nbytes >= ALONE and isinstance(first, np.ndarray)
        sizes = [p.array.size for p in params]
        self.starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        self.missing: set[int] = set()
        self.values: Any = None

    def part(self, i: int) -> Any:
        """Return the place of a parameter's gradient among the values."""
        shape = self.params[i].array.shape
        return self.values[self.starts[i] : self.starts[i + 1]].reshape(shape)

    def begin(self) -> None:
        """Begin the exchange of what the parameters have as gradients, 0 where there is none."""
        first = self.params[0]
        if self.alone and first._grad is not None and first._grad.array.flags.c_contiguous:
            self.values = first._grad.array
        else:
            self.values = empty(self.starts[-1], first.array.dtype, first.array)
            for i, p in enumerate(self.params):
                if p._grad is None:
                    self.part(i).fill(0)
                else:
                    launch("copy", p._grad.array, self.part(i))
        exchange("exchange_begin", self.values, SUM, self.ticket)

    def end(self, used: Array, scale: Array | None) -> None:
        """Wait, and write what all ranks have together into the gradients.

        used: of each parameter, whether any rank has a gradient.  scale: 1 / ranks, for the mean.
        """
        exchange("exchange_end", self.values, self.ticket)
        for i, p in enumerate(self.params):
            if not used[self.numbers[i]]:
                continue
            if p._grad is None:
                p._grad = new(empty(p.array.shape, p.array.dtype, p.array))
            array = p._grad.array
            source = array if self.values is array else self.part(i)
            if scale is not None:
                launch("mul", source, scale.astype(array.dtype), array)
            elif source is not array:
                launch("copy", source, array)
            bump_version(p._grad, "by the exchange of gradients")
        self.values = None


class Reducer:
    """Exchanges the gradients of some parameters after, and during, each backward() that is armed.

    average: take the mean over the ranks, as PyTorch does, not the sum.
    """

    def __init__(
        self, params: Sequence[Tensor], average: bool = True, bucket_mb: float = BUCKET_MB
    ) -> None:
        self.params = list(params)
        self.average = average
        self.limit = int(bucket_mb * 2**20)
        self.learning: tuple[bool, ...] = ()
        self.ticket = pending.ticket()
        self.buckets: list[Bucket] = []
        self.of: dict[int, tuple[Bucket, int]] = {}
        self.next = self.armed = 0

    def arm(self) -> None:
        """Exchange the gradients of this thread's next backward() that comes to any of them; of the
        next two after two calls.
        """
        if current.group.comm is not None:
            self.armed += 1
            self.deal()
            listen(self)

    def disarm(self) -> None:
        """Leave the next backward() alone."""
        self.armed = 0
        leave(self)

    def exchange(self) -> None:
        """Exchange the gradients that are there."""
        if current.group.comm is not None:
            self.deal()
            self.begin()
            self.finish()

    def deal(self) -> None:
        """Deal the parameters that require a gradient into buckets."""
        learning = tuple(p.requires_grad for p in self.params)
        if learning == self.learning:
            return
        self.learning = learning
        groups: list[list[int]] = []
        open_groups: dict[Any, tuple[list[int], int]] = {}  # by dtype: members and bytes
        for i in reversed(range(len(self.params))):
            if not learning[i]:
                continue
            array = self.params[i].array
            place = array.dtype, getattr(array, "target", None)
            members, size = open_groups.get(place, ([], 0))
            if array.nbytes >= ALONE:
                groups.append([i])
                continue
            if not members or size + array.nbytes > self.limit:
                members, size = [], 0
                groups.append(members)
            members.append(i)
            open_groups[place] = members, size + array.nbytes
        # In the order in which they are full: of the last parameter of each to come.
        groups.sort(key=lambda members: -members[-1])
        self.buckets = [
            Bucket([self.params[i] for i in members], members, pending.ticket())
            for members in groups
        ]
        self.of = {id(p): (b, i) for b in self.buckets for i, p in enumerate(b.params)}

    # ------------------------------------------------------------ during the sweep
    def wants(self, leaf: Any) -> bool:
        """Return whether a leaf is one of the parameters."""
        return id(leaf) in self.of

    def begin(self) -> None:
        """Begin with the first bucket, all of whose gradients are still to come."""
        self.next = 0
        for bucket in self.buckets:
            bucket.missing = set(range(len(bucket.params)))

    def ready(self, leaf: Any) -> None:
        """Take note that a parameter's gradient is complete; begin what can begin."""
        bucket, i = self.of[id(leaf)]
        bucket.missing.discard(i)
        while self.next < len(self.buckets) and not self.buckets[self.next].missing:
            self.buckets[self.next].begin()
            self.next += 1

    def finish(self) -> bool:
        """Exchange what has not begun, wait for all, and write the gradients; return whether
        another backward() is waited for.
        """
        used = np.array([p._grad is not None for p in self.params], np.uint8)
        constant(used)
        if not all(have or not learns for have, learns in zip(used, self.learning, strict=True)):
            refuse_recording("a parameter had no gradient on this rank")
        for bucket in self.buckets[self.next :]:
            bucket.begin()
        exchange("exchange_begin", used, MAX, self.ticket)
        exchange("exchange_end", used, self.ticket)
        scale = np.array(1 / current.group.size) if self.average else None
        for bucket in self.buckets:
            bucket.end(used, scale)
        self.armed = max(0, self.armed - 1)
        return self.armed > 0
