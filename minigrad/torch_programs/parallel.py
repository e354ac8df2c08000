"""What splits a batch or a data set over devices and processes: one device, one's own share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from minigrad.data.samplers import Sampler
from minigrad.nn.module import Module
from minigrad.tensors import creation
from minigrad.torch_programs.processes import get_rank, get_world_size, is_initialized
from minigrad.torch_programs.top import Generator


class DataParallel(Module):
    """A module as it is: there is one device at a time, which takes the whole batch.

    Its parameters are named as in PyTorch, "module.weight".
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []
        self.dim = dim

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Return what the module returns."""
        return self.module(*inputs, **options)


class DistributedSampler(Sampler):
    """The row numbers of one process out of several, which all make them from one seed.

    num_replicas, rank: how many processes there are, and which this is; by default those that
        init_process_group has joined.
    shuffle: in an order that `set_epoch` changes.
    drop_last: leave rows out, else repeat some, so that all have equally many.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if (num_replicas is None or rank is None) and not is_initialized():
            raise RuntimeError(
                "DistributedSampler: give num_replicas and rank, or call init_process_group first"
            )
        num_replicas = get_world_size() if num_replicas is None else num_replicas
        rank = get_rank() if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0
        rows = len(dataset)
        cut = drop_last and rows % num_replicas
        each = (rows - num_replicas if cut else rows) / num_replicas
        self.num_samples = math.ceil(each)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        rows = len(self.dataset)
        if self.shuffle:
            generator = Generator().manual_seed(self.seed + self.epoch)
            order = creation.randperm(rows, generator=generator).tolist()
        else:
            order = list(range(rows))
        if len(order) < self.total_size:
            order += (order * math.ceil(self.total_size / len(order)))[: self.total_size - rows]
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Shuffle differently from now on."""
        self.epoch = epoch
