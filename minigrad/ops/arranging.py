"""Functions that repeat, turn, cut and join tensors: compositions of the ops of `shape.py`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import BATCHED, DeviceArray, device_of, kept_constant, moved
from minigrad.engine.errors import ArgumentError, ArgumentIndexError, ArgumentTypeError
from minigrad.engine.op import Bridge
from minigrad.ops.common import Array, axis_of, broadcast_shape, sizes_of
from minigrad.ops.grammar import host
from minigrad.ops.index import Index, index_select
from minigrad.ops.registry import public
from minigrad.ops.shape import (
    Expand,
    Reshape,
    cat,
    expand,
    flip,
    permute,
    reshape,
    split,
    stack,
    transpose,
    unsqueeze,
)

Dims = int | Sequence[int]
Shape = tuple[int, ...]


def beside(array: Array, like: Any) -> Any:
    """Return a host array as a tensor where `like` is."""
    return Bridge.new(moved(np.asarray(array, order="C"), device_of(like.array)))


def kept_beside(array: Array, like: Any) -> Any:
    """Return a host array that follows from shapes as a tensor where `like` is, for ops to read; on
    a GPU the same each time.
    """
    if BATCHED:
        return beside(array, like)
    return Bridge.new(kept_constant(np.asarray(array, order="C"), like.array))


def sequence_of(dims: Any) -> tuple[int, ...]:
    """Return an int, or several, as a tuple of ints."""
    several = dims if isinstance(dims, (tuple, list)) else (dims,)
    return tuple(arguments.whole("dims", "a dimension", d) for d in several)


def is_tensors(given: Any) -> bool:
    """Say whether an argument is a tuple or list, of tensors."""
    return isinstance(given, (tuple, list))


def listed(name: str, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the tensors of `f(a, b)` and of `f([a, b])` alike."""
    found = tuple(tensors[0]) if len(tensors) == 1 and is_tensors(tensors[0]) else tensors
    for i, t in enumerate(found):
        if not isinstance(t, Bridge.tensor):
            raise ArgumentTypeError(
                f"{name}: expected tensors, got {type(t).__name__} for input {i}"
            )
    return found


def seen_through(a: Any, view: Any) -> Any:
    """Return a view that NumPy takes, of an array on the host or on a device."""
    return a.like(view(a.geometry)) if type(a) is DeviceArray else view(a)


# ---------------------------------------------------------------- repeating
@public("method")
def repeat(input: Any, *repeats: Any) -> Any:
    """Return the tensor laid beside itself so many times along each dimension; more numbers than
    dimensions add leading ones.

    >>> import minigrad as mg
    >>> mg.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    times = sizes_of(repeats)
    if len(times) < input.ndim:
        raise ArgumentError(
            f"repeat: expected a number for each of the {input.ndim} dimensions of shape "
            f"{input.shape}, got {times}"
        )
    if min(times, default=0) < 0:
        raise ArgumentError(f"repeat: numbers must not be negative, got {times}")
    shape = (1,) * (len(times) - input.ndim) + tuple(input.shape)
    apart = tuple(n for size in shape for n in (1, size))
    wide = tuple(n for pair in zip(times, shape, strict=True) for n in pair)
    seen = Expand.apply(Reshape.apply(input, shape=apart), shape=wide)
    made = tuple(n * m for n, m in zip(times, shape, strict=True))
    laid = Reshape.apply(seen, shape=made)
    own = type(laid.array) is np.ndarray and not np.may_share_memory(laid.array, input.array)
    return laid if own else laid.clone()


@public("tensor")
def tile(input: Any, *dims: Any) -> Any:
    """Return the tensor laid beside itself; as `repeat`, fewer numbers stand for the last
    dimensions.

    >>> import minigrad as mg
    >>> mg.tile(mg.tensor([[1, 2]]), (2,))
    tensor([[1, 2, 1, 2]])
    """
    times = sizes_of(dims)
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


@public("tensor")
def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Return each element, or slice along `dim`, so many times in a row; without `dim`, of the
    flattened tensor.

    repeats: an int, or a tensor with one for each slice.  Alone, a tensor of numbers gives each
    place as often as its number says.

    >>> import minigrad as mg
    >>> mg.repeat_interleave(mg.tensor([3, 4]), 2), mg.repeat_interleave(mg.tensor([1, 2]))
    (tensor([3, 3, 4, 4]), tensor([0, 1, 1]))
    """
    if repeats is None:
        counts = host(input)
        if counts.ndim != 1 or counts.dtype.kind not in "iu":
            raise ArgumentError(
                f"repeat_interleave: expected a vector of integers, got {counts.dtype} of shape "
                f"{counts.shape}"
            )
        return beside(np.repeat(np.arange(counts.size), counts), input)
    x = Reshape.apply(input, shape=(-1,)) if dim is None or not input.ndim else input
    axis = 0 if dim is None else axis_of("repeat_interleave", dim, x.ndim)
    times = host(repeats) if isinstance(repeats, Bridge.tensor) else np.asarray(repeats)
    if times.dtype.kind not in "iu" or times.ndim > 1 or (times.size and times.min() < 0):
        raise ArgumentError(
            f"repeat_interleave: repeats must be ints of at least 0, got {repeats!r}"
        )
    n = x.shape[axis]
    if times.size != 1 and times.size != n:
        raise ArgumentError(
            f"repeat_interleave: expected one number, or {n} for dim {axis}, got {times.size}"
        )
    places = np.repeat(np.arange(n), times.reshape(-1) if times.size != 1 else int(times.item()))
    if output_size is not None and output_size != places.size:
        raise ArgumentError(
            f"repeat_interleave: output_size is {output_size}, the repeats add up to {places.size}"
        )
    return index_select(x, axis, Bridge.new(places))


# ---------------------------------------------------------------- turning
@public("tensor")
def roll(input: Any, shifts: Dims, dims: Dims | None = None) -> Any:
    """Return the tensor shifted along dimensions, what leaves one end coming in at the other;
    without `dims`, along the flattened tensor.

    >>> import minigrad as mg
    >>> mg.roll(mg.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    steps = sequence_of(shifts)
    if dims is None or sequence_of(dims) == ():
        if len(steps) != 1:
            raise ArgumentError(f"roll: expected one shift where no dims are given, got {steps}")
        flat = Reshape.apply(input, shape=(-1,))
        return Reshape.apply(roll(flat, steps, 0), shape=input.shape)
    axes = sequence_of(dims)
    if len(axes) != len(steps):
        raise ArgumentError(f"roll: expected as many shifts as dims, got {steps} and {axes}")
    y = input
    for step, d in zip(steps, axes, strict=True):
        if not input.ndim:
            raise ArgumentIndexError(f"roll: a single number has no dimension {d}")
        axis = axis_of("roll", d, input.ndim)
        n = y.shape[axis]
        if n and step % n:
            y = cat(split(y, [n - step % n, step % n], axis)[::-1], axis)
    return y.clone() if y is input else y


@public("tensor")
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """Return the tensor turned by 90 degrees `k` times, from the first of `dims` to the second.

    >>> import minigrad as mg
    >>> mg.rot90(mg.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2:
        raise ArgumentError(f"rot90: expected two dims, got {tuple(dims)}")
    first, second = (axis_of("rot90", d, input.ndim) for d in dims)
    if first == second or input.ndim < 2:
        raise ArgumentError(f"rot90: dims must be two of the {input.ndim}, got {tuple(dims)}")
    k = k % 4
    if k == 0:
        return input.clone()
    if k == 2:
        return flip(input, (first, second))
    return transpose(flip(input, second if k == 1 else first), first, second)


@public("tensor")
def fliplr(input: Any) -> Any:
    """Return a copy with the second dimension reversed."""
    if input.ndim < 2:
        raise ArgumentError(f"fliplr: expected at least two dimensions, got shape {input.shape}")
    return flip(input, 1)


@public("tensor")
def flipud(input: Any) -> Any:
    """Return a copy with the first dimension reversed."""
    if input.ndim < 1:
        raise ArgumentError(f"flipud: expected at least one dimension, got shape {input.shape}")
    return flip(input, 0)


@public("tensor", also=("moveaxis",))
def movedim(input: Any, source: Dims, destination: Dims) -> Any:
    """Return a view with the dimensions `source` at the places `destination`, the others in order.

    >>> import minigrad as mg
    >>> mg.movedim(mg.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    start, end = sequence_of(source), sequence_of(destination)
    if len(start) != len(end):
        raise ArgumentError(f"movedim: expected as many places as dims, got {start} and {end}")
    start = tuple(axis_of("movedim", d, input.ndim) for d in start)
    end = tuple(axis_of("movedim", d, input.ndim) for d in end)
    if len(set(start)) != len(start) or len(set(end)) != len(end):
        raise ArgumentError(f"movedim: a dimension is named twice in {start} or {end}")
    order = [d for d in range(input.ndim) if d not in start]
    for to, d in sorted(zip(end, start, strict=True)):
        order.insert(to, d)
    return permute(input, order) if input.ndim else Reshape.apply(input, shape=())


@public("tensor", also=("swapdims",))
def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """Return a view with two dimensions exchanged, as `transpose`."""
    return transpose(input, axis0, axis1)


# ---------------------------------------------------------------- parts
@public("tensor")
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """Return the view of `length` elements along `dim` from `start` on.

    >>> import minigrad as mg
    >>> mg.narrow(mg.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    if not input.ndim:
        raise ArgumentError("narrow: a single number has no dimension to cut")
    axis, n = axis_of("narrow", dim, input.ndim), arguments.whole("narrow", "length", length)
    first, size = arguments.whole("narrow", "start", start), input.shape[axis]
    if not -size <= first <= size:
        raise ArgumentIndexError(
            f"narrow: start {first} is out of range for size {size} of dim {dim}"
        )
    first += size if first < 0 else 0
    if n < 0 or first + n > size:
        raise ArgumentError(
            f"narrow: {first} and {n} more reach over the end of dim {dim} of size {size}"
        )
    return Index.apply(input, index=(slice(None),) * axis + (slice(first, first + n),))


@public("tensor")
def select(input: Any, dim: int, index: int) -> Any:
    """Return the view at one place of `dim`, without that dimension."""
    if not input.ndim:
        raise ArgumentIndexError("select: a single number has no dimension to select from")
    axis, n = axis_of("select", dim, input.ndim), input.shape[dim]
    place = int(index)
    if not -n <= place < n:
        raise ArgumentIndexError(f"select: index {place} is out of range for size {n} of dim {dim}")
    return Index.apply(input, index=(slice(None),) * axis + (place % n,))


@public("tensor")
def ravel(input: Any) -> Any:
    """Return the elements in one dimension, a view where memory allows."""
    return Reshape.apply(input, shape=(-1,))


@public("method")
def view_as(input: Any, other: Any) -> Any:
    """Return the tensor in the shape of `other`, without a copy."""
    return input.view(other.shape)


@public("tensor")
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Return the tensor with a dimension split into several; one size may be -1.

    >>> import minigrad as mg
    >>> mg.unflatten(mg.zeros(2, 6), 1, (3, -1)).shape
    (2, 3, 2)
    """
    axis, parts = axis_of("unflatten", dim, input.ndim), sizes_of((tuple(sizes),))
    n = input.shape[axis] if input.ndim else 1
    known = math.prod(p for p in parts if p != -1)
    if -1 in parts:
        if not known or n % known:
            raise ArgumentError(f"unflatten: size {n} of dim {dim} is not a multiple of {parts}")
        parts = tuple(n // known if p == -1 else p for p in parts)
    if not parts or math.prod(parts) != n:
        raise ArgumentError(
            f"unflatten: sizes {parts} do not multiply to {n}, the size of dim {dim}"
        )
    return Reshape.apply(input, shape=(*input.shape[:axis], *parts, *input.shape[axis + 1 :]))


@public("tensor")
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """Return a copy with `src` at one place of `dim`."""
    axis = axis_of("select_scatter", dim, input.ndim)
    place = int(index)
    return written(
        "select_scatter", input, src, (slice(None),) * axis + (place % input.shape[axis],)
    )


@public("tensor")
def slice_scatter(
    input: Any,
    src: Any,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    """Return a copy with `src` in the slice start:end:step of `dim`."""
    axis = axis_of("slice_scatter", dim, input.ndim)
    chosen = slice(*slice(start, end, step).indices(input.shape[axis]))
    return written("slice_scatter", input, src, (slice(None),) * axis + (chosen,))


def written(name: str, input: Any, src: Any, index: tuple[Any, ...]) -> Any:
    """Return a copy of a tensor with `src` in a part of it that has its shape."""
    part = Index.apply(input.detach(), index=index)
    if part.shape != src.shape:
        raise ArgumentError(
            f"{name}: src has shape {src.shape}, the part to be filled {part.shape}"
        )
    y = input.clone()
    y[index] = src
    return y


# ---------------------------------------------------------------- joining
def at_least(name: str, tensors: tuple[Any, ...], ndim: int, order: tuple[int, ...]) -> Any:
    """Return tensors with at least `ndim` dimensions; `order`: where new ones of size 1 go."""
    found = []
    for t in listed(name, tensors):
        for d in order[t.ndim :] if t.ndim < ndim else ():
            t = unsqueeze(t, d)
        found.append(t)
    alone = len(tensors) == 1 and not is_tensors(tensors[0])
    return found[0] if alone else tuple(found)


@public("function")
def atleast_1d(*tensors: Any) -> Any:
    """Return a single number as a vector of one; of several tensors, a tuple."""
    return at_least("atleast_1d", tensors, 1, (0,))


@public("function")
def atleast_2d(*tensors: Any) -> Any:
    """Return numbers and vectors as matrices of one row; of several tensors, a tuple."""
    return at_least("atleast_2d", tensors, 2, (0, 0))


@public("function")
def atleast_3d(*tensors: Any) -> Any:
    """Return tensors with at least three dimensions, a vector (N,) as (1, N, 1)."""
    return at_least("atleast_3d", tensors, 3, (0, 0, 2))


@public("function")
def hstack(tensors: Sequence[Any]) -> Any:
    """Join tensors along the second dimension, vectors along their only one.

    >>> import minigrad as mg
    >>> mg.hstack((mg.tensor([1]), mg.tensor([2, 3])))
    tensor([1, 2, 3])
    """
    found = atleast_1d(tuple(tensors))
    return cat(found, 0 if found and found[0].ndim == 1 else 1)


@public("function", also=("row_stack",))
def vstack(tensors: Sequence[Any]) -> Any:
    """Join tensors along the first dimension, vectors as rows."""
    return cat(atleast_2d(tuple(tensors)), 0)


@public("function")
def dstack(tensors: Sequence[Any]) -> Any:
    """Join tensors along the third dimension."""
    return cat(atleast_3d(tuple(tensors)), 2)


@public("function")
def column_stack(tensors: Sequence[Any]) -> Any:
    """Join tensors along the second dimension, vectors as columns.

    >>> import minigrad as mg
    >>> mg.column_stack((mg.tensor([1, 2]), mg.tensor([3, 4])))
    tensor([[1, 3],
            [2, 4]])
    """
    found = listed("column_stack", (tuple(tensors),))
    columns = [t if t.ndim > 1 else Reshape.apply(t, shape=(-1, 1)) for t in found]
    return cat(columns, 1)


@public("function", also=("concatenate",))
def concat(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Any:
    """Join tensors along an existing dimension, as `cat`."""
    return cat(tensors, dim if axis is None else axis)


@public("tensor")
def tensor_split(
    input: Any, indices_or_sections: Any = None, dim: int = 0, **named: Any
) -> tuple[Any, ...]:
    """Cut a tensor along `dim` into so many views, the first ones one larger, or before each of
    the given places.

    >>> import minigrad as mg
    >>> [p.tolist() for p in mg.tensor_split(mg.arange(5), 3)]
    [[0, 1], [2, 3], [4]]
    """
    given = named.get("sections", named.get("indices", indices_or_sections))
    if not input.ndim:
        raise ArgumentError("tensor_split: a single number cannot be cut")
    axis = axis_of("tensor_split", dim, input.ndim)
    n = input.shape[axis]
    if isinstance(given, str):
        raise ArgumentTypeError(f"tensor_split: expected sections or places, got {given!r}")
    if isinstance(given, Bridge.tensor):
        given = host(given).tolist()
    if isinstance(given, (tuple, list)):
        ends = [*(min(max(e + n if e < 0 else e, 0), n) for e in given), n]
        starts = [0, *ends[:-1]]
    else:
        count = arguments.whole("tensor_split", "sections", given)
        if count < 1:
            raise ArgumentError(f"tensor_split: expected at least one section, got {count}")
        cuts = [0, *np.cumsum([n // count + (i < n % count) for i in range(count)]).tolist()]
        starts, ends = cuts[:-1], cuts[1:]
    pieces = zip(starts, ends, strict=True)
    return tuple(narrow(input, axis, a, max(b - a, 0)) for a, b in pieces)


def split_along(name: str, input: Any, given: Any, dim: int, least: int) -> tuple[Any, ...]:
    """Cut a tensor with at least so many dimensions into equal parts, or before given places."""
    if input.ndim < least:
        raise ArgumentError(
            f"{name}: expected at least {least} dimensions, got shape {input.shape}"
        )
    if isinstance(given, int) and (given < 1 or input.shape[dim] % given):
        raise ArgumentError(
            f"{name}: {given} does not divide {input.shape[dim]}, the size of {dim}"
        )
    return tensor_split(input, given, dim)


@public("tensor")
def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Cut a tensor along `dim` into views of given sizes, as `split`."""
    return split(input, list(split_sizes), dim)


@public("tensor")
def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Cut along the second dimension, a vector along its only one; see `tensor_split`."""
    return split_along("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1, 1)


@public("tensor")
def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Cut along the first dimension; see `tensor_split`."""
    return split_along("vsplit", input, indices_or_sections, 0, 2)


@public("tensor")
def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Cut along the third dimension; see `tensor_split`."""
    return split_along("dsplit", input, indices_or_sections, 2, 3)


@public("function")
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Return tensors seen in the shape that they broadcast to."""
    found = listed("broadcast_tensors", tensors)
    shape = broadcast_shape("broadcast_tensors", *[tuple(t.shape) for t in found])
    return tuple(expand(t, shape) for t in found)


@public("function")
def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """Return the shape that shapes broadcast to.

    >>> import minigrad as mg
    >>> mg.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    return broadcast_shape("broadcast_shapes", *[(s,) if type(s) is int else s for s in shapes])


@public("function")
def cartesian_prod(*tensors: Any) -> Any:
    """Return all combinations of one element of each vector, a row each.

    >>> import minigrad as mg
    >>> mg.cartesian_prod(mg.tensor([1, 2]), mg.tensor([3, 4])).tolist()
    [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    found = listed("cartesian_prod", tensors)
    if any(t.ndim != 1 for t in found):
        raise ArgumentError(f"cartesian_prod: expected vectors, got {[t.shape for t in found]}")
    if len(found) == 1:
        return found[0]
    shape = tuple(t.shape[0] for t in found)
    lines = [
        expand(reshape(t, (1,) * i + (-1,) + (1,) * (len(found) - i - 1)), shape)
        for i, t in enumerate(found)
    ]
    return Reshape.apply(stack(lines, -1), shape=(-1, len(found)))


@public("function")
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """Return all choices of `r` elements of a vector in order, a row each.

    >>> import minigrad as mg
    >>> mg.combinations(mg.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    if input.ndim != 1:
        raise ArgumentError(f"combinations: expected a vector, got shape {input.shape}")
    if r < 0:
        raise ArgumentError(f"combinations: expected at least no element, got r={r}")
    n = input.shape[0]
    if not r:
        return Index.apply(input, index=(slice(0, 0),))
    grid = np.indices((n,) * r).reshape(r, -1)
    steps = np.diff(grid, axis=0)
    kept = grid[:, (steps >= 0 if with_replacement else steps > 0).all(axis=0)]
    chosen = index_select(input, 0, Bridge.new(np.ascontiguousarray(kept.T).reshape(-1)))
    return Reshape.apply(chosen, shape=(kept.shape[1], r))
