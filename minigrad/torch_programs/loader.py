"""`torch.utils.data.DataLoader`: batches in PyTorch's orders and types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.data.dataset import Subset, TensorDataset, fetch
from minigrad.data.loader import DataLoader as Ours
from minigrad.data.samplers import RandomSampler
from minigrad.engine import random
from minigrad.tensors.creation import from_numpy, tensor
from minigrad.tensors.tensor import Tensor

ARRAYS = (TensorDataset, Subset)  # whose rows are fetched many at once


def default_collate(batch: Sequence[Any]) -> Any:
    """Turn a list of samples into one batch, as PyTorch does: Python's floats become float64,
    fields a list.

    >>> default_collate([(1.0, "a"), (2.0, "b")])
    [tensor([1., 2.], dtype=minigrad.float64), ('a', 'b')]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stacked(batch)
    if isinstance(first, np.ndarray):
        return from_numpy(np.stack(batch))
    if isinstance(first, np.generic):
        return from_numpy(np.array(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype="float64")
    if isinstance(first, int):
        return tensor(list(batch))
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {name: default_collate([sample[name] for sample in batch]) for name in first}
    if isinstance(first, Sequence):
        if len({len(sample) for sample in batch}) > 1:
            raise RuntimeError("each element in list of batch should be of equal size")
        fields = [default_collate(field) for field in zip(*batch, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else fields
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
        f"{type(first)}"
    )


def stacked(batch: Sequence[Tensor]) -> Tensor:
    """Stack tensors, off the tape where none needs a gradient."""
    shapes = sorted({t.array.shape for t in batch})
    if len(shapes) > 1:
        raise RuntimeError(
            f"stack expects each tensor to be equal size, but got {shapes[0]} and {shapes[1]}"
        )
    return Tensor(np.stack([t.detach().cpu().numpy() for t in batch]))


def default_convert(data: Any) -> Any:
    """Return a row with its arrays as tensors."""
    if isinstance(data, np.ndarray | np.generic):
        return from_numpy(np.asarray(data))
    if isinstance(data, Mapping):
        return {name: default_convert(value) for name, value in data.items()}
    if isinstance(data, list | tuple) and not hasattr(data, "_fields"):
        return [default_convert(value) for value in data]
    return data


class DataLoader(Ours):
    """minigrad's loader with PyTorch's random orders, and its `default_collate`."""

    def __class_getitem__(cls, kind: Any) -> Any:
        return cls

    def __init__(self, dataset: Any, *args: Any, **options: Any) -> None:
        super().__init__(dataset, *args, **options)
        self._plain = False
        self._source = options.get("generator", args[11] if len(args) > 11 else None)
        if self.collate_fn is None:
            one_by_one = self.batch_size is None and self.batch_sampler_given is None
            self.collate_fn = default_convert if one_by_one else default_collate
        if self.shuffle and not len(dataset):
            raise ValueError(
                "num_samples should be a positive integer value, but got num_samples=0"
            )

    def _check_rows(self) -> int:
        return len(self.dataset)

    @property
    def sampler(self) -> Any:
        if self.shuffle and not any(s is not None for s in self._given):
            return RandomSampler(self.dataset, generator=self._source)
        return super().sampler

    def _as_sampled(self) -> Iterator[Any]:
        random.source(self._source).seed64()  # what PyTorch's workers are seeded with
        return self._batches()

    def _batches(self) -> Iterator[Any]:
        quick = type(self.dataset) in ARRAYS and self.collate_fn is default_collate
        if not quick or getattr(self.dataset, "transform", None):
            yield from super()._as_sampled()
            return
        for rows in self.batch_sampler:
            found = fetch(self.dataset, np.asarray(rows, np.int64))
            yield list(found) if type(found) is tuple else found
