"""Rows looked up by number as functions; `minigrad.nn.functional` re-exports them."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import (
    BATCHED,
    DeviceArray,
    device_of,
    filled,
    host_copy,
    in_lanes,
    moved,
)
from minigrad.engine.errors import ArgumentError, ArgumentIndexError, ArgumentTypeError
from minigrad.engine.grad_mode import no_grad
from minigrad.engine.op import refuse_others
from minigrad.engine.recording import each_input, recording
from minigrad.ops.arranging import kept_beside
from minigrad.ops.common import contiguous
from minigrad.ops.elementwise import where
from minigrad.ops.grammar import Rows, There, resolved
from minigrad.ops.index import Index, IndexAdd, judged_in_range, places_there
from minigrad.ops.memory import cast
from minigrad.ops.registry import public
from minigrad.ops.scatter import ExtremumAt
from minigrad.tensors.tensor import Tensor, new

Array = np.ndarray[Any, Any]
INT64 = np.dtype(np.int64)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return the rows of `weight` that `input` names.

    padding_idx: a row that gets no gradient.
    max_norm: rows that are named and whose `norm_type`-norm is larger are scaled down to it, in
        `weight` itself.  scale_grad_by_freq: divide a row's gradient by how often it is named.
    sparse: accepted; gradients are dense.
    Shape: input: (...) integers in [0, V), weight: (V, D) -> (..., D).
    Raises: IndexError for a number outside [0, V), ValueError for a padding_idx outside [-V, V).

    >>> import minigrad as mg
    >>> embedding(mg.tensor([1, 0]), mg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    refuse_others("embedding", (input, weight))
    if BATCHED:
        plain = max_norm is None and not scale_grad_by_freq
        found = in_lanes("embedding", input, weight, padding_idx, plain)
        if found is not None:
            return found
    row = None if padding_idx is None else row_of(padding_idx, len(weight.array))
    if max_norm is None and not scale_grad_by_freq and weight.array.ndim == 2:
        there = rows_there(input, weight)
        if there is not None:
            y = Index.apply(weight, index=there)
            if row is None or not y.requires_grad:
                return y
            return where(input.unsqueeze(-1) == row, y.detach(), y)
    ids = row_numbers("embedding", input, weight)
    if max_norm is not None:
        renormalise(weight, ids, max_norm, norm_type)
    # All in range, and a copy: a change of the ids between forward and backward is not seen.
    y = Index.apply(weight, index=Rows(ids.astype(INT64), 2))
    if not y.requires_grad:
        return y
    if scale_grad_by_freq and ids.size:
        _, inverse, counts = np.unique(ids, return_inverse=True, return_counts=True)
        share = (1 / counts[inverse.reshape(ids.shape)]).astype(y.array.dtype)
        factor = new(moved(share[..., None], device_of(y.array)))
        y = y * factor + (y - y * factor).detach()
    if row is None:
        return y
    padding = ids == row
    return where(new(moved(padding[..., None], device_of(y.array))), y.detach(), y)


def rows_there(input: Tensor, weight: Tensor) -> There | None:
    """Return row numbers on a device as an index that stays there, see `places_there`; None where
    they are to be read.
    """
    rows = len(weight.array)
    if not weight.array.size:
        return None
    found = places_there(input, rows, 0, 0, lambda read: check_rows("embedding", read, rows))
    return None if found is None else There(found.reshape(-1), found.shape, True, 2)


def row_numbers(name: str, input: Tensor, weight: Tensor) -> Array:
    """Return row numbers on the host, all of them in range."""
    ids: Array = host_copy(input.array)  # where a view of rows is put together
    if weight.array.ndim != 2:
        raise ArgumentError(f"{name}: weight must be (rows, size), got shape {weight.array.shape}")
    if ids.dtype.kind not in "iu":
        raise ArgumentTypeError(
            f"{name}: expected integer row numbers, got {ids.dtype}; convert them with .long()"
        )
    rows = len(weight.array)
    if recording.recorder is not None:
        each_input(lambda given: check_rows(name, given, rows), ids)
    else:
        check_rows(name, ids, rows)
    return ids


def check_rows(name: str, ids: Array, rows: int) -> None:
    """Refuse row numbers outside [0, rows)."""
    if not ids.size:
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= rows:
        raise ArgumentIndexError(
            f"{name}: row {low if low < 0 else high} is out of range for {rows} rows: "
            f"expected 0 to {rows - 1}"
        )


def renormalise(weight: Tensor, ids: Array, max_norm: float, norm_type: float) -> None:
    """Scale the named rows of a weight down to a norm, in place."""
    named = np.unique(ids.reshape(-1)).astype(INT64)
    with no_grad():
        rows = weight.detach()[named]
        size = rows.norm(norm_type, 1, keepdim=True)
        weight.detach()[named] = where(size > max_norm, rows * (max_norm / (size + 1e-7)), rows)


@public("functional")
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Return the sum, mean or maximum of the rows of `weight` that each bag names, 0 of an empty
    one.

    input: (B, N), a bag a row, or (M,) with `offsets` (B,), where each bag begins;
        include_last_offset: the last of which is then M.
    per_sample_weights: factors of the rows, for mode "sum".  padding_idx: a row that does not
        count.
    Shape: weight: (V, D) -> (B, D).

    >>> import minigrad as mg
    >>> weight = mg.tensor([[1.0], [3.0]])
    >>> embedding_bag(mg.tensor([0, 1, 1]), weight, mg.tensor([0, 1]), mode="sum")
    tensor([[1.],
            [6.]])
    """
    name = "embedding_bag"
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(f"{name}: mode must be 'sum', 'mean' or 'max', got {mode!r}")
    if per_sample_weights is not None and mode != "sum":
        raise ArgumentError(f"{name}: per_sample_weights go with mode 'sum', not {mode!r}")
    ids = row_numbers(name, input, weight)
    starts, ids = bags_of(name, ids, offsets, include_last_offset)
    flat = new(np.ascontiguousarray(ids))
    rows = embedding(flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    ends = np.append(starts[1:], ids.size)
    bag = np.repeat(np.arange(starts.size), ends - starts)
    counted = np.ones(ids.size, bool)
    if padding_idx is not None:
        counted = ids != row_of(padding_idx, len(weight.array))
        rows, bag = rows[counted], bag[counted]
    if per_sample_weights is not None:
        factors = per_sample_weights.reshape(-1)
        rows = rows * (factors if counted.all() else factors[counted]).reshape(-1, 1)
    shape = (starts.size, rows.shape[1])
    places = Rows(bag.astype(INT64), 2)
    if mode == "max":
        zero = new(filled(shape, 0, weight.array.dtype, weight.array))
        wide = resolved((bag[:, None], np.arange(shape[1])), shape)
        return ExtremumAt.apply(zero, rows, index=wide, reduce="amax", include_self=False)
    total = IndexAdd.apply(rows, shape=shape, index=places)
    if mode == "sum":
        return total
    sizes = np.maximum(np.bincount(bag, minlength=starts.size), 1)[:, None]
    return total / new(moved(sizes.astype(weight.array.dtype), device_of(weight.array)))


def bags_of(name: str, ids: Array, offsets: Tensor | None, last: bool) -> tuple[Array, Array]:
    """Return where bags begin, and the row numbers in one line."""
    if ids.ndim == 2:
        if offsets is not None:
            raise ArgumentError(
                f"{name}: offsets go with one line of numbers, not with {ids.shape}"
            )
        return np.arange(ids.shape[0]) * ids.shape[1], ids.reshape(-1)
    if ids.ndim != 1 or offsets is None:
        raise ArgumentError(f"{name}: expected (B, N), or (M,) with offsets, got {ids.shape}")
    starts: Array = host_copy(offsets.array).astype(INT64)
    starts = starts[:-1] if last else starts
    if starts.size and (starts[0] != 0 or starts.max() > ids.size or (np.diff(starts) < 0).any()):
        raise ArgumentError(
            f"{name}: offsets must begin with 0 and rise to at most {ids.size}, got "
            f"{starts.tolist()}"
        )
    return starts, ids


def row_of(padding_idx: int, rows: int) -> int:
    """Return `padding_idx` counted from the first of `rows`."""
    padding_idx, rows = arguments.whole("embedding", "padding_idx", padding_idx), index(rows)
    if not -rows <= padding_idx < rows:
        raise ArgumentError(f"embedding: padding_idx {padding_idx} is out of range for {rows} rows")
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
    given: Any = input.array
    there = type(given) is DeviceArray and given.dtype == INT64 and not BATCHED
    if there and num_classes > 0 and given.size:
        line = contiguous(given).reshape(-1)
        judged_in_range(line, num_classes, 0, lambda read: check_one_hot(read, num_classes))
        classes = kept_beside(np.arange(num_classes), input)
        return cast(input.unsqueeze(-1) == classes, INT64)
    ids = host_copy(given)
    if ids.dtype.kind not in "iu":
        raise ArgumentTypeError(
            f"one_hot: expected integer classes, got {ids.dtype}; convert them with .long()"
        )
    if num_classes == -1:
        if not ids.size:
            raise ArgumentError("one_hot: num_classes cannot be told from an empty input; pass it")
        num_classes = int(ids.max()) + 1
    if num_classes <= 0 and ids.size:
        raise ArgumentError(f"one_hot: num_classes must be positive, got {num_classes}")
    check_one_hot(ids, num_classes)
    made = np.zeros((ids.size, max(num_classes, 0)), INT64)
    made[np.arange(ids.size), ids.reshape(-1)] = 1
    return new(moved(made.reshape(*ids.shape, made.shape[1]), input.device))


def check_one_hot(ids: Array, num_classes: int) -> None:
    """Refuse classes outside [0, num_classes)."""
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= num_classes):
        bad = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
        raise ArgumentError(
            f"one_hot: class {bad} is out of range for {num_classes} classes: expected 0 to "
            f"{num_classes - 1}"
        )
