"""Datasets: rows by number, and many rows at once where the data are arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.engine.values import unmasked
from minigrad.tensors.tensor import Tensor

Array = np.ndarray[Any, Any]


def as_array(values: Any) -> Array:
    """Return the buffer of a Tensor, an array itself, or an array of plain numbers; a ValueError
    for masked elements.
    """
    if isinstance(values, Tensor):
        return values.array
    return np.asarray(unmasked(values))


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
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collate(field) for field in zip(*samples, strict=True)))
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
    """Return arrays of one shape stacked along a new first axis.

    Raises: ValueError for several shapes.
    """
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

    def __class_getitem__(cls, kind: Any) -> Any:
        return cls  # Dataset[tuple] is for type checkers

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} lacks __getitem__(self, index)")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} lacks __len__(self)")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])

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

    indices: whole numbers, negative ones from the end; or bools, one a row, True for those to keep.
    Raises: IndexError when an index lies outside the dataset, TypeError for what is no row number,
        ValueError for bools that are not one a row, and for more than one dimension.

    >>> odd = Subset(TensorDataset(np.arange(6)), [1, 3, 5])
    >>> odd.fetch(np.array([0, 2]))[0].tolist()
    [1, 5]
    """

    def __init__(self, dataset: Any, indices: Iterable[int] | Array | Tensor) -> None:
        self.dataset = dataset
        length = len(dataset)
        self.indices = _row_numbers(indices, length)
        outside = self.indices[(self.indices < -length) | (self.indices >= length)]
        if outside.size:
            raise IndexError(
                f"Subset: index {outside[0]} is out of range for a dataset of {length} rows"
            )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[operator.index(index)])]

    def fetch(self, indices: Array) -> Any:
        """Return rows of the subset as one batch; array datasets below do it in one step."""
        return fetch(self.dataset, self.indices[indices])

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {len(self.dataset)} rows)"


class ConcatDataset(Dataset):
    """Several datasets, one after the other.

    Raises: ValueError for no dataset.

    >>> both = ConcatDataset([TensorDataset(np.arange(2)), TensorDataset(np.arange(5, 8))])
    >>> len(both), [int(both[i][0]) for i in (1, 2, -1)]
    (5, [1, 5, 7])
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset, but got none")

    @property
    def cumulative_sizes(self) -> list[int]:
        """How many rows there are up to the end of each dataset."""
        found: list[int] = np.cumsum([len(each) for each in self.datasets]).tolist()
        return found

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        sizes = self.cumulative_sizes
        row = index + sizes[-1] if index < 0 else index
        if not 0 <= row < sizes[-1]:
            raise IndexError(f"ConcatDataset: row {index} of {sizes[-1]}")
        which = int(np.searchsorted(sizes, row, side="right"))
        return self.datasets[which][row - (sizes[which - 1] if which else 0)]


class StackDataset(Dataset):
    """Several datasets side by side: row i is a tuple, or a dict, of their rows i.

    Raises: ValueError for no dataset, and for lengths that differ.

    >>> StackDataset("ab", [1, 2])[1]
    ('b', 2)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.datasets: Any = kwargs or args
        parts = list(kwargs.values() if kwargs else args)
        if not parts or len({len(part) for part in parts}) > 1:
            raise ValueError(
                f"StackDataset: expected datasets of one length, got {[len(p) for p in parts]}"
            )
        self._length = len(parts[0])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: part[index] for name, part in self.datasets.items()}
        return tuple(part[index] for part in self.datasets)


class IterableDataset(Dataset):
    """Rows in a stream: inherit and write `__iter__`.

    >>> class Count(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(3))
    >>> list(Count() + Count())
    [0, 1, 2, 0, 1, 2]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} lacks __iter__(self)")

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} is a stream and lacks __len__(self)")

    def __add__(self, other: Any) -> Any:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """Several streams, one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for each in self.datasets:
            yield from each

    def __len__(self) -> int:
        return sum(len(each) for each in self.datasets)


def _row_numbers(indices: Any, length: int) -> Array:
    """Return row numbers as int64, those of the True rows for bools."""
    if isinstance(indices, Iterable) and not isinstance(indices, Tensor | np.ndarray):
        indices = list(indices)
    array = indices.detach().cpu().numpy() if isinstance(indices, Tensor) else np.asarray(indices)
    if array.ndim != 1:
        raise ValueError(
            f"Subset: expected a list of row numbers, shape (n,), but got shape {array.shape}"
        )
    mixed = array.dtype.kind in "iuf" and isinstance(indices, list)
    if mixed and any(isinstance(index, bool | np.bool_) for index in indices):
        raise TypeError("Subset: expected row numbers or bools, but got both in one list")
    if array.dtype.kind == "b":
        if len(array) != length:
            raise ValueError(
                f"Subset: expected one bool for each of {length} rows, but got {len(array)}"
            )
        return np.flatnonzero(array)
    if array.dtype.kind not in "iu" and array.size:
        first = array.reshape(-1)[0]
        raise TypeError(
            f"Subset: expected row numbers as whole numbers, but got {first!r} of {array.dtype}"
        )
    if array.dtype.kind == "u" and array.size and int(array.max()) >= length:
        raise IndexError(
            f"Subset: index {array.max()} is out of range for a dataset of {length} rows"
        )
    return np.array(array, np.int64)


def fetch(dataset: Any, indices: Array) -> Any:
    """Return rows of anything with `len` and `[]` as one batch, by its own `fetch` if it can."""
    if isinstance(dataset, Dataset):
        return dataset.fetch(indices)
    return collate([dataset[int(index)] for index in indices])
