"""Views of memory in other layouts: windows, and any strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import DeviceArray
from minigrad.engine.errors import ArgumentError
from minigrad.ops.arranging import movedim, seen_through
from minigrad.ops.common import Array, axis_of, op, sizes_of
from minigrad.ops.grammar import resolved
from minigrad.ops.index import Index, IndexAdd
from minigrad.ops.registry import public
from minigrad.ops.shape import Permute, Reshape, ShapeOp

Shape = tuple[int, ...]


@op
class Unfold(ShapeOp):
    """y = the windows of `size` elements along `axis`, every `step`, as a last dimension; a view"""

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((draw.normal(2, 5),), {"axis": 1, "size": 3, "step": 1}),
            ((draw.normal(5, 2).T,), {"axis": 1, "size": 2, "step": 2}),
            ((draw.normal(4, 3),), {"axis": 0, "size": 2, "step": 1}),
        ]

    def forward(self, a: Array, axis: int, size: int, step: int) -> Array:
        self.was = a.shape
        count = (a.shape[axis] - size) // step + 1
        shape = (*a.shape[:axis], count, *a.shape[axis + 1 :], size)
        steps = a.strides[axis]
        strides = (*a.strides[:axis], steps * step, *a.strides[axis + 1 :], steps)
        return seen_through(a, lambda x: np.lib.stride_tricks.as_strided(x, shape, strides))

    def backward(self, g: Any) -> tuple[Any, ...]:
        axis, size, step = self.meta["axis"], self.meta["size"], self.meta["step"]
        n, count = self.was[axis], g.shape[axis]
        places = np.arange(count)[:, None] * step + np.arange(size)
        rest = [d for d in range(g.ndim - 1) if d != axis]
        front = Permute.apply(g, axes=(axis, g.ndim - 1, *rest))
        shape = (n, *(self.was[d] for d in rest))
        made = IndexAdd.apply(front, shape=shape, index=resolved(places, shape))
        return (movedim(made, 0, axis),)


@public("method")
def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Return the windows of `size` elements along a dimension, every `step`: a view with the
    window as its last dimension.

    >>> import minigrad as mg
    >>> mg.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    if not input.ndim:
        input, dimension = Reshape.apply(input, shape=(1,)), 0
        if size != 1:
            raise ArgumentError(f"unfold: a window of {size} is larger than a single number")
        return Reshape.apply(input, shape=(1,))
    axis = axis_of("unfold", dimension, input.ndim)
    if not 0 <= size <= input.shape[axis] or step < 1:
        raise ArgumentError(
            f"unfold: a window of {size} every {step} does not fit dim {dimension} of size "
            f"{input.shape[axis]}"
        )
    return Unfold.apply(input, axis=axis, size=size, step=step)


@op
class Strided(ShapeOp):
    """y[i, j, ...] = a[start + i * steps_0 + j * steps_1 + ...] of a vector a; a view"""

    @staticmethod
    def samples(draw: Any) -> Any:
        return [
            ((draw.normal(9),), {"size": (2, 2), "steps": (4, 1), "start": 1}),
            ((draw.normal(6),), {"size": (3, 2), "steps": (1, 1), "start": 0}),
            ((draw.normal(12)[::2],), {"size": (2, 0), "steps": (1, 1), "start": 0}),
        ]

    def forward(self, a: Array, size: Shape, steps: Shape, start: int) -> Array:
        self.was = a.shape
        strides = tuple(n * a.strides[0] for n in steps)

        def seen(x: Array) -> Array:
            return np.lib.stride_tricks.as_strided(x[start:], size, strides)

        return seen_through(a, seen)

    def backward(self, g: Any) -> tuple[Any, ...]:
        how = self.meta
        places = how["start"] + offsets(how["size"], how["steps"])
        index = resolved(places.reshape(-1), self.was)
        return (IndexAdd.apply(Reshape.apply(g, shape=(-1,)), shape=self.was, index=index),)


def offsets(shape: Shape, steps: Shape) -> Array:
    """Return where the elements of a layout lie, counted from its first."""
    total = np.zeros(shape, np.int64)
    for d, (n, step) in enumerate(zip(shape, steps, strict=True)):
        total += (np.arange(n) * step).reshape(-1, *(1,) * (len(shape) - d - 1))
    return total


@public("tensor")
def as_strided(
    input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Any:
    """Return the memory of a tensor in any layout: a view, but of a tensor that leaves gaps.

    stride: how many elements of memory lie between neighbours of each dimension.
    storage_offset: where it begins, counted from where the memory of the tensor's base begins;
        with the tensor if None.
    Raises: ValueError for places that hold no element of the tensor.

    >>> import minigrad as mg
    >>> mg.arange(4).as_strided((2, 2), (1, 1))
    tensor([[0, 1],
            [1, 2]])
    """
    shape, steps = sizes_of((tuple(size),)), sizes_of((tuple(stride),))
    if len(shape) != len(steps) or min(shape, default=0) < 0 or min(steps, default=0) < 0:
        raise ArgumentError(f"as_strided: size {shape} and stride {steps} do not fit")
    start = 0 if storage_offset is None else int(storage_offset) - offset_of(input)
    places = start + offsets(shape, steps)
    held = input.array
    mine = tuple(s // held.itemsize for s in held.strides)
    order = tuple(sorted(range(input.ndim), key=lambda d: (-mine[d], d)))
    x = Permute.apply(input, axes=order)
    if x.array.flags.c_contiguous:
        if places.size and not (places.min() >= 0 and places.max() < held.size):
            raise beyond(input, shape, steps, start)
        flat = Reshape.apply(x, shape=(-1,))
        return Strided.apply(flat, size=shape, steps=steps, start=start if places.size else 0)
    there = offsets(input.shape, mine).reshape(-1)
    known, first = np.unique(there, return_index=True)
    at = np.minimum(np.searchsorted(known, places), max(known.size - 1, 0))
    if places.size and (not known.size or not np.array_equal(known[at], places)):
        raise beyond(input, shape, steps, start)
    flat = Reshape.apply(input, shape=(-1,))
    return Index.apply(flat, index=resolved(first[at] if places.size else at, flat.array.shape))


def beyond(t: Any, shape: Shape, steps: Shape, start: int) -> ValueError:
    """Return the error about places that hold no element of a tensor."""
    return ArgumentError(
        f"as_strided: size {shape} with strides {steps} from {start} on reaches beyond the "
        f"{t.array.size} elements of shape {t.shape}"
    )


def offset_of(t: Any) -> int:
    """Return how many elements of the memory of its base lie before a tensor."""
    if t.base is None or type(t.array) is DeviceArray:
        return 0
    ends = (a.__array_interface__["data"][0] for a in (t.array, t.base.array))
    return (next(ends) - next(ends)) // int(t.array.itemsize)


@public("tensor")
def as_strided_scatter(
    input: Any,
    src: Any,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Any:
    """Return a copy with `src` in a part that `as_strided` names."""
    y = input.clone()
    as_strided(y, size, stride, storage_offset).copy_(src)
    return y
