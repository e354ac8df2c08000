"""Rows looked up by number as functions; `minigrad.nn.functional` re-exports them."""

from __future__ import annotations

from operator import index

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import device_of, host_copy, moved
from minigrad.engine.op import refuse_others
from minigrad.ops.elementwise import where
from minigrad.ops.index import picked
from minigrad.tensors.tensor import Tensor, new

INT64 = np.dtype(np.int64)


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Return the rows of `weight` that `input` names.

    padding_idx: a row that gets no gradient.
    Shape: input: (...) integers in [0, V), weight: (V, D) -> (..., D).
    Raises: IndexError for a number outside [0, V), ValueError for a padding_idx outside [-V, V).

    >>> import minigrad as mg
    >>> embedding(mg.tensor([1, 0]), mg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    refuse_others("embedding", (input, weight))
    ids = host_copy(input.array)  # where a view of rows is put together
    if weight.array.ndim != 2:
        raise ValueError(f"embedding: weight must be (rows, size), got shape {weight.array.shape}")
    if ids.dtype.kind not in "iu":
        raise TypeError(
            f"embedding: expected integer row numbers, got {ids.dtype}; convert them with .long()"
        )
    rows = len(weight.array)
    if ids.size:
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= rows:
            raise IndexError(
                f"embedding: row {low if low < 0 else high} is out of range for {rows} rows: "
                f"expected 0 to {rows - 1}"
            )
    row = None if padding_idx is None else row_of(padding_idx, rows)
    y = picked(weight, ids.astype(INT64))
    if row is None or not y.requires_grad:
        return y
    padding = ids == row
    return where(new(moved(padding[..., None], device_of(y.array))), y.detach(), y)


def row_of(padding_idx: int, rows: int) -> int:
    """Return `padding_idx` counted from the first of `rows`."""
    padding_idx, rows = arguments.whole("embedding", "padding_idx", padding_idx), index(rows)
    if not -rows <= padding_idx < rows:
        raise ValueError(f"embedding: padding_idx {padding_idx} is out of range for {rows} rows")
    return padding_idx % rows


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """Return int64 rows that are 1 at the class and 0 elsewhere.

    num_classes: -1 takes the largest class plus one.
    Shape: input: (...) integers -> (..., num_classes).

    >>> import minigrad as mg
    >>> one_hot(mg.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    refuse_others("one_hot", (input,))
    num_classes = arguments.whole("one_hot", "num_classes", num_classes)
    ids = host_copy(input.array)
    if ids.dtype.kind not in "iu":
        raise TypeError(
            f"one_hot: expected integer classes, got {ids.dtype}; convert them with .long()"
        )
    if num_classes == -1:
        if not ids.size:
            raise ValueError("one_hot: num_classes cannot be told from an empty input; pass it")
        num_classes = int(ids.max()) + 1
    if num_classes <= 0 and ids.size:
        raise ValueError(f"one_hot: num_classes must be positive, got {num_classes}")
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= num_classes):
        bad = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
        raise ValueError(
            f"one_hot: class {bad} is out of range for {num_classes} classes: expected 0 to "
            f"{num_classes - 1}"
        )
    made = (ids[..., None] == np.arange(num_classes)).astype(INT64)
    return new(moved(made, input.device))
