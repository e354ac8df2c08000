"""Datasets, splits, batches, and the data sets inside the package.

>>> from minigrad.data import DataLoader, load_iris
>>> train, validation, test = load_iris().split(seed=0)
>>> x, y = next(iter(DataLoader(train, batch_size=16, shuffle=True)))
>>> tuple(x.shape)
(16, 4)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.data import transforms
from minigrad.data.builtin import DATASETS, load_breast_cancer, load_digits, load_iris, load_wine
from minigrad.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    collate,
)
from minigrad.data.idx_files import load_mnist, read_idx
from minigrad.data.loader import DataLoader, get_worker_info
from minigrad.data.samplers import (
    BatchSampler,
    BucketBatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StratifiedBatchSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from minigrad.data.splitting import random_split
from minigrad.data.standardizer import Standardizer
from minigrad.data.tabular import Split, TabularData
from minigrad.lazy import lazy

if TYPE_CHECKING:
    from minigrad.data.csv_files import load_csv
else:
    csv_files = lazy("minigrad.data.csv_files")

    def __getattr__(name: str) -> Any:
        """Return `load_csv`, whose module is loaded when it is first asked for."""
        if name == "load_csv":
            return csv_files.load_csv
        raise AttributeError(f"module 'minigrad.data' has no attribute {name!r}")


__all__ = [
    "BatchSampler",
    "BucketBatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DATASETS",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Split",
    "StackDataset",
    "StratifiedBatchSampler",
    "Standardizer",
    "Subset",
    "SubsetRandomSampler",
    "TabularData",
    "TensorDataset",
    "WeightedRandomSampler",
    "collate",
    "get_worker_info",
    "load_breast_cancer",
    "load_csv",
    "load_digits",
    "load_iris",
    "load_mnist",
    "load_wine",
    "random_split",
    "read_idx",
    "transforms",
]
