"""What a Trainer does with other processes: one batch in parts, one step, one decision.

`Alone` is a Trainer by itself; `Ranks` has the same methods for several processes.  Gradients are
those of the summed loss, put together over all ranks and divided by what the whole batch's mean is
divided by: exact for any numbers of rows, class weights and ignored targets.  Scores are gathered,
and whatever ends a fit is agreed on, so that all ranks end together.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad.data.loader import DataLoader, part_of, rows_of
from minigrad.distributed.collectives import from_rank, objects, sum_over_ranks
from minigrad.distributed.data_parallel import take_from_first
from minigrad.distributed.group import current
from minigrad.distributed.reducer import Reducer
from minigrad.engine.device import host_copy
from minigrad.engine.early import leave_all
from minigrad.engine.sharding import Shard, computing, now, share_of
from minigrad.tensors.tensor import Tensor
from minigrad.train.callbacks.base import Callback
from minigrad.train.metrics import numbers
from minigrad.train.scores import Scored, Scores
from minigrad.train.steps import Computed, Steps, whole_mean


class Alone:
    """One process: all rows, all callbacks, its own decisions."""

    several = False
    first = True
    reducer: Any = None  # puts gradients together with other processes'

    def begin(self, model: Any) -> None:
        """Begin a fit."""

    @contextmanager
    def dealing(self, *loaders: Any) -> Iterator[None]:
        """Deal the loaders' batches meanwhile."""
        yield

    def part(self, loader: Any, batch: Any) -> Any:
        """Return this rank's rows of a batch that a loader has given."""
        return batch

    def has_rows(self) -> bool:
        """Return whether this rank has any rows of the last batch."""
        return True

    def callbacks(self, callbacks: list[Callback]) -> list[Callback]:
        """Return the callbacks that take part on this rank."""
        return callbacks

    def step(self, steps: Steps, x: Any, target: Any, first: bool, last: bool) -> Computed:
        """Compute a training step, or its part of several batches; last: the last of these."""
        return steps.step(x, target, first)

    def whole(self, steps: Steps, parts: list[Scored]) -> tuple[Any, float]:
        """Return the loss of a step's batches, and what their summed loss is divided by."""
        return whole_mean(parts)

    def decided(self, value: Any) -> Any:
        """Return what all ranks go by: rank 0's value."""
        return value

    def any(self, flag: bool) -> bool:
        """Return whether any rank says so."""
        return flag

    def gathered(self, scores: Scores) -> Scores:
        """Return the scores of all ranks' rows."""
        return scores

    def own(self, scores: Scores) -> Scores:
        """Return what a rank goes on with of the scores of all."""
        return scores

    def check(self, model: Any) -> None:
        """Raise where the ranks' weights differ."""


class Ranks(Alone):
    """One of several processes that fit together."""

    several = True

    def __init__(self) -> None:
        self.first = current.group.rank == 0
        self.shard: Shard | None = None
        self.exchanged = False  # whether the gradients of this step's batches are put together

    def begin(self, model: Any) -> None:
        """Begin with rank 0's weights."""
        take_from_first(model)
        leave_all()  # of a fit that an error ended in the middle of a step
        self.reducer = Reducer(list(model.parameters()), average=False)

    @contextmanager
    def dealing(self, *loaders: Any) -> Iterator[None]:
        """Have DataLoaders read this rank's rows alone."""
        changed = [one for one in loaders if isinstance(one, DataLoader) and one.shard is None]
        for loader in changed:
            loader.shard = current.group.rank, current.group.size
        try:
            yield
        finally:
            for loader in changed:
                loader.shard = None

    def part(self, loader: Any, batch: Any) -> Any:
        """Return this rank's rows; what a DataLoader gives are these already."""
        if isinstance(getattr(loader, "loader", loader), DataLoader):
            self.shard = now.dealt
            return batch
        rows = rows_of(batch)
        self.shard = share_of(rows, current.group.rank, current.group.size)
        return part_of(batch, self.shard, rows)

    def has_rows(self) -> bool:
        """Return whether this rank has any rows of the last batch."""
        return self.shard is None or self.shard.rows > 0

    def callbacks(self, callbacks: list[Callback]) -> list[Callback]:
        """Leave out, on all ranks but the first, those that print or write files."""
        return [c for c in callbacks if self.first or not c.first_rank_only]

    def step(self, steps: Steps, x: Any, target: Any, first: bool, last: bool) -> Computed:
        """Compute a part; with the last one gradients are exchanged while they are computed."""
        self.exchanged = last
        with computing(self.shard, True):
            if self.has_rows():
                return steps.step(last, x, target, first)
            if last:
                self.reducer.arm()
            return of_no_rows(steps, x)

    def whole(self, steps: Steps, parts: list[Scored]) -> tuple[Any, float]:
        """Exchange what was not exchanged with the last batch; put losses and weights together."""
        if not self.exchanged:  # the epoch has ended before the batch that was to be the last
            self.reducer.exchange()
        weights = numbers([part.weight for part in parts])
        values = numbers([part.value.detach() for part in parts])
        total = parts[0].total or any(part.total for part in parts)
        pairs = [(v, w) for v, w in zip(values, weights, strict=True) if w]
        summed = sum(v if total else v * w for v, w in pairs)
        found = sum_over_ranks(np.array([summed, sum(weights), float(total)]), "a step's loss")
        weight = 1.0 if found[2] else float(found[1])
        loss = found[0] / weight if weight else float("nan")
        kind, device = parts[0].value.dtype, parts[0].value.device
        return Tensor(np.array(loss)).to(kind).to(device), weight or 1.0

    def decided(self, value: Any) -> Any:
        """Return rank 0's value."""
        return from_rank(value, what="the broadcast of rank 0's decision")

    def any(self, flag: bool) -> bool:
        """Return whether any rank says so."""
        return bool(sum_over_ranks(np.array([float(flag)]), "whether a rank stops")[0])

    def gathered(self, scores: Scores) -> Scores:
        """Return the scores of all ranks' rows: the same on each."""
        return Scores.merged(
            scores.metrics, objects(scores.state_dict(), "the gathering of scores")
        )

    def own(self, scores: Scores) -> Scores:
        """Leave what was gathered to the first rank, so that it is gathered once."""
        return scores if self.first else Scores.merged(scores.metrics, [], scores.batches)

    def check(self, model: Any) -> None:
        """Raise where the ranks' weights differ: something has been done on some of them alone."""
        sums = {
            name: zlib.crc32(host_copy(p.array).tobytes()) for name, p in model.named_parameters()
        }
        for rank, others in enumerate(objects(sums, "the comparison of weights")):
            wrong = [name for name, found in others.items() if found != sums[name]]
            if wrong:
                raise RuntimeError(
                    f"fit: rank {rank} has other weights than rank {current.group.rank}, first in "
                    f"{wrong[0]}: all ranks must make the same changes to model and optimizer, "
                    "with random numbers of minigrad alone"
                )


def of_no_rows(steps: Steps, x: Any) -> Computed:
    """Take part in a step without rows: gradients of 0, and statistics of the other ranks'."""
    model = steps.parts[0]
    output = model(x)
    value = output.sum()
    value.backward()
    return Computed(None, Scored(value.detach(), 0, False, True, None), {}, [])


def ranks() -> Alone:
    """Return how the Trainers of this process train: with the others of its group."""
    return Ranks() if current.group.size > 1 else Alone()
