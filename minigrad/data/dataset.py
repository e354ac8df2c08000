"""Datasets: rows by number, and many rows at once where the data are arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.tensors import Tensor

Array = np.ndarray[Any, Any]


def as_array(values: Any) -> Array:
    """Return the buffer of a Tensor, an array itself, or an array of plain numbers."""
    if isinstance(values, Tensor):
        return values.array
    return np.asarray(values)


def collate(samples: Sequence[Any]) -> Any:
    """Turn a list of samples into one batch: the first axis counts the samples.

    Tensors, arrays and numbers are stacked (Python floats become float32, ints int64), tuples and
    dicts are collated field by field, strings stay a list.

    >>> x, y = collate([([1.0, 2.0], 0), ([3.0, 4.0], 1)])
    >>> y.tolist()
    [0, 1]
    """
    first = samples[0]
    if isinstance(first, Tensor | np.ndarray):
        return Tensor(_stack([as_array(sample) for sample in samples]))
    if isinstance(first, bool | int | float | np.number | np.bool_):
        values = np.array(samples)
        python_floats = values.dtype == np.float64 and not isinstance(first, np.generic)
        return Tensor(values.astype(np.float32) if python_floats else values)
    if isinstance(first, str | bytes):
        return list(samples)
    if isinstance(first, Mapping):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, Sequence):
        sizes = sorted({len(sample) for sample in samples})
        if len(sizes) > 1:
            raise ValueError(
                f"collate: expected samples with one number of fields, but got {sizes}; "
                "give the DataLoader a collate_fn that knows what to do"
            )
        return tuple(collate(field) for field in zip(*samples, strict=True))
    raise TypeError(
        "collate: expected samples of tensors, arrays, numbers, tuples or dicts, but got "
        f"{type(first).__name__}; give the DataLoader a collate_fn"
    )


def _stack(arrays: list[Array]) -> Array:
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ValueError(
            f"collate: expected samples of one shape, but got {' and '.join(map(str, shapes))}; "
            "give the DataLoader a collate_fn that pads or crops them"
        )
    return np.stack(arrays)


class Dataset:
    """Rows by number: inherit and write `__getitem__` and `__len__`.

    A subclass whose rows lie in arrays may also write `fetch`, which takes many rows at once; the
    DataLoader then never loops over rows in Python.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, index):
    ...         return float(index), index * index
    >>> x, y = Squares().fetch(np.array([1, 3]))
    >>> y.tolist()
    [1, 9]
    """

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} lacks __getitem__(self, index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} lacks __len__(self)")

    def fetch(self, indices: Array) -> Any:
        """Return the rows `indices` as one batch.

        Shape: `indices: (n,) int64` -> tensors of shape `(n, ...)`.
        """
        return collate([self[int(index)] for index in indices])


class TensorDataset(Dataset):
    """Tensors or arrays of equal length, indexed together along their first axis.

    Shape: `tensors: (N, ...) each` -> `dataset[i]: tuple of (...)`, `fetch: tuple of (n, ...)`.

    Arrays are not copied here; a batch always is, so that writing to it leaves the data alone.

    Raises: ValueError for no tensor, a 0-d tensor, or lengths that differ.

    >>> data = TensorDataset(np.eye(3, dtype=np.float32), np.array([0, 1, 2]))
    >>> len(data)
    3
    >>> data[1][0].tolist()
    [0.0, 1.0, 0.0]
    """

    def __init__(self, *tensors: Tensor | Array) -> None:
        if not tensors:
            raise ValueError("TensorDataset: expected at least one tensor, but got none")
        self.arrays = tuple(as_array(tensor) for tensor in tensors)
        scalars = [i for i, array in enumerate(self.arrays) if array.ndim == 0]
        if scalars:
            raise ValueError(
                f"TensorDataset: tensor {scalars[0]} is 0-d; expected a first axis that counts rows"
            )
        lengths = [len(array) for array in self.arrays]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"TensorDataset: expected tensors of equal length, but got lengths {lengths}"
            )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Return the whole data as Tensors that share memory with it."""
        return tuple(Tensor(array) for array in self.arrays)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(Tensor(np.array(array[index])) for array in self.arrays)

    def fetch(self, indices: Array) -> tuple[Tensor, ...]:
        """Return the rows `indices`, one Tensor for each of the dataset's; a copy."""
        return tuple(Tensor(array.take(indices, axis=0)) for array in self.arrays)

    def __repr__(self) -> str:
        shapes = ", ".join(str(array.shape) for array in self.arrays)
        return f"TensorDataset({shapes})"


class Subset(Dataset):
    """The rows `indices` of another dataset, in that order.

    Raises: IndexError when an index lies outside the dataset.

    >>> odd = Subset(TensorDataset(np.arange(6)), [1, 3, 5])
    >>> odd.fetch(np.array([0, 2]))[0].tolist()
    [1, 5]
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | Array) -> None:
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        length = len(dataset)
        outside = self.indices[(self.indices < -length) | (self.indices >= length)]
        if outside.size:
            raise IndexError(
                f"Subset: index {outside[0]} is out of range for a dataset of {length} rows"
            )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def fetch(self, indices: Array) -> Any:
        """Return rows of the subset as one batch; array datasets below do it in one step."""
        return fetch(self.dataset, self.indices[indices])

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {len(self.dataset)} rows)"


def fetch(dataset: Any, indices: Array) -> Any:
    """Return rows of anything with `len` and `[]` as one batch, by its own `fetch` if it can."""
    if isinstance(dataset, Dataset):
        return dataset.fetch(indices)
    return collate([dataset[int(index)] for index in indices])
