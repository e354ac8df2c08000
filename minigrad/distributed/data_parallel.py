"""DataParallel: one model on all ranks, each of which computes a part of every batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigrad.distributed.collectives import sent
from minigrad.distributed.exchange import exchange
from minigrad.distributed.group import current
from minigrad.distributed.reducer import BUCKET_MB, Reducer
from minigrad.engine import arguments
from minigrad.engine.device import device_of, host_copy, moved
from minigrad.engine.errors import ArgumentError
from minigrad.engine.grad_mode import mode
from minigrad.engine.sharding import Shard, computing, now
from minigrad.nn.module import Module
from minigrad.tensors.tensor import Tensor


class DataParallel(Module):
    """Train a module on all ranks as if on one: each computes some rows of every batch.

    At the start all ranks take rank 0's parameters and buffers.  In `backward()` gradients are
    averaged over the ranks, in buckets, while the sweep computes further ones.  Batch norms use the
    statistics of all ranks' rows, and dropout the mask that the whole batch would have.  So the
    steps are those of one process on the whole batch, to rounding, where ranks have equally many
    rows: the mean of the ranks' means is then the mean over all rows.

    module: parameters are named as in PyTorch, "module.weight".
    sync_batch_norm: False leaves batch norms to each rank's own rows; their running statistics are
        then rank 0's.
    bucket_cap_mb: MiB of gradients that are exchanged together, of small parameters; a large one
        is exchanged by itself.
    Parameters without a gradient on some ranks count there as 0; those without one on all ranks
    keep None, as frozen ones do.

    Source: Li et al., "PyTorch distributed: experiences on accelerating data parallel training"
    (VLDB 2020), whose `DistributedDataParallel` this is; Ours: synchronised statistics by default.

    >>> import minigrad as mg
    >>> model = DataParallel(mg.nn.Linear(3, 1))
    >>> model(mg.ones(2, 3)).sum().backward()
    >>> model.module.bias.grad
    tensor([2.])
    """

    def __init__(
        self,
        module: Module,
        *,
        sync_batch_norm: bool = True,
        bucket_cap_mb: float = BUCKET_MB,
    ) -> None:
        super().__init__()
        size = arguments.number("DataParallel", "bucket_cap_mb", bucket_cap_mb)
        self.module = module
        self.sync_batch_norm = bool(sync_batch_norm)
        self.broadcast_buffers = not self.sync_batch_norm
        self._reducer = Reducer(list(module.parameters()), bucket_mb=size)
        self._exchanging = True
        take_from_first(module)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Return what the module returns for this rank's rows."""
        if current.group.comm is None:
            return self.module(*inputs, **options)
        if self.training and self.broadcast_buffers:
            for buffer in self.module.buffers():
                exchange("exchange_copy", buffer.array)
                buffer.bump_version("by rank 0")
        if now.inside:  # a part of a Trainer's model, or of another DataParallel's: those exchange
            with computing(now.shard, self.sync_batch_norm, now.basis):
                return self.module(*inputs, **options)
        shard = shard_of([*inputs, *options.values()])
        if not self._exchanging:
            self._reducer.disarm()
        elif mode.recording:
            if shard is not None and not shard.rows:
                raise ArgumentError(
                    f"DataParallel: rank {current.group.rank} has no rows of this batch, and the "
                    "mean over none is no number; leave such batches out with "
                    "DataLoader(drop_last=True), or use a Trainer, which weighs ranks by their rows"
                )
            self._reducer.arm()
        with computing(shard, self.sync_batch_norm, "dealt"):
            return self.module(*inputs, **options)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Add gradients up on each rank, without exchange, for forward passes inside.

        The first backward() after it exchanges what has come together: steps of several batches
        cost one exchange.

        >>> import minigrad as mg
        >>> model = DataParallel(mg.nn.Linear(3, 1))
        >>> with model.no_sync():
        ...     model(mg.ones(2, 3)).sum().backward()
        >>> model(mg.ones(2, 3)).sum().backward()
        >>> model.module.bias.grad
        tensor([4.])
        """
        was, self._exchanging = self._exchanging, False
        try:
            yield
        finally:
            self._exchanging = was


def shard_of(values: list[Any]) -> Shard | None:
    """Return which rows of the batch this rank has: those that a loader dealt last, or, of another
    number of rows, as if all ranks had equally many.
    """
    tensors = [value for value in values if isinstance(value, Tensor) and value.ndim]
    if not tensors:
        return None
    rows, group = len(tensors[0]), current.group
    if now.dealt is not None and now.dealt.rows == rows:
        return now.dealt
    return Shard(group.rank * rows, rows, group.size * rows)


def take_from_first(module: Module) -> None:
    """Write rank 0's parameters and buffers into all ranks' modules."""
    if current.group.comm is None:
        return
    for tensor in (*module.parameters(), *module.buffers()):
        held = host_copy(tensor.array)
        values = held.copy(order="C")
        sent(values, 0, "the broadcast of the model")
        array: Any = tensor.array
        array[...] = values if array is held else moved(values, device_of(array))
        tensor.bump_version("by rank 0")
