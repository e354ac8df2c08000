"""Functions that write at positions: scatter, index_add, masks; and those that read there.

What is written is an `IndexSet` or an `IndexAdd` of positions, whose gradients gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import BATCHED, DeviceArray, filled, to_current_device
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import Bridge, Op
from minigrad.engine.values import written_value
from minigrad.ops.arranging import beside
from minigrad.ops.common import Array, axis_of, broadcast_shape, op
from minigrad.ops.elementwise import where
from minigrad.ops.grammar import ALL, INT64, Chosen, Rows, host, in_range, resolved
from minigrad.ops.index import (
    Index,
    IndexAdd,
    IndexSet,
    along,
    chosen_there,
    flat_along,
    places_there,
    positions_of,
)
from minigrad.ops.memory import cast
from minigrad.ops.registry import public
from minigrad.ops.shape import Reshape, expand

REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


# ---------------------------------------------------------------- the arguments
def vector(t: Any) -> Any:
    """Return a single number as a vector of one."""
    return t if t.ndim else Reshape.apply(t, shape=(1,))


def same_dtype(name: str, input: Any, src: Any) -> None:
    """Refuse what is written in another dtype than that of what it is written to."""
    if src.array.dtype != input.array.dtype:
        raise ArgumentTypeError(
            f"{name}: expected src in the dtype of the input, {input.array.dtype}, got "
            f"{src.array.dtype}; convert it with .to({input.array.dtype})"
        )


def scattered(
    name: str, input: Any, dim: int, index: Any, src: Any, stays: bool = False
) -> tuple[Any, Any, Chosen]:
    """Return the input and the part of src that is written, and where, of `scatter` and its kin.

    stays: whether positions on a device may stay there.
    """
    axis, x = axis_of(name, dim, input.ndim), vector(input)
    flat = flat_along(index, axis, x.array.shape) if input.ndim and not BATCHED else None
    if flat is not None and src.ndim == x.ndim:
        sizes = flat.common
        if sizes == src.shape:
            return x, src, flat
        if all(n <= m for n, m in zip(sizes, src.shape, strict=True)):
            return x, Index.apply(src, index=tuple(slice(0, n) for n in sizes)), flat
    there = places_there(index, x.shape[axis], axis) if stays and input.ndim else None
    picks = positions_of(name, index, x.shape[axis], axis) if there is None else there
    picks = picks.reshape(picks.shape or (1,))
    if picks.size == 0:
        picks = np.zeros((0,) * x.ndim, INT64)
    if picks.ndim != x.ndim:
        raise ArgumentError(
            f"{name}: index has {picks.ndim} dimensions, the input {x.ndim}: they must agree"
        )
    for d, (n, m) in enumerate(zip(picks.shape, x.shape, strict=True)):
        if d != axis and n > m:
            raise ArgumentError(
                f"{name}: index of shape {picks.shape} is larger than the input {x.shape} in "
                f"dimension {d}"
            )
    where_ = along(picks, axis) if there is None else chosen_there(picks, axis, x.shape)
    y = vector(src)
    if y.ndim != x.ndim or any(n > m for n, m in zip(picks.shape, y.shape, strict=True)):
        raise ArgumentError(
            f"{name}: index of shape {picks.shape} does not fit into src of shape {src.shape}"
        )
    part = tuple(slice(0, n) for n in picks.shape)
    return x, Index.apply(y, index=part), where_


def back(y: Any, input: Any) -> Any:
    """Return a result in the shape of the input, which may be a single number."""
    return y if input.ndim else Reshape.apply(y, shape=())


# ---------------------------------------------------------------- scatter
@public("tensor", inplace=True)
def scatter(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    value: Any = None,
    *,
    reduce: str | None = None,
) -> Any:
    """Return a copy with y[index[i][j]][j] = src[i][j] for dim 0, a number for all or a tensor.

    reduce: "add" or "multiply" instead of writing.

    >>> import minigrad as mg
    >>> mg.zeros(2, 3).scatter(1, mg.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    given = value if src is None else src
    if given is None:
        raise ArgumentTypeError("scatter: expected src, a tensor, or value, a number")
    if not isinstance(given, Bridge.tensor):
        number = Bridge.new(written_value(given, input.array.dtype))
        shape = tuple(np.shape(getattr(index, "array", index)))
        given = Bridge.new(filled(shape, number.item(), input.array.dtype, input.array))
    same_dtype("scatter", input, given)
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise ArgumentError(f"scatter: reduce must be 'add' or 'multiply', got {reduce!r}")
        kind = "sum" if reduce == "add" else "prod"
        return scatter_reduce(input, dim, index, given, kind)
    x, part, places = scattered("scatter", input, dim, index, given, True)
    return back(IndexSet.apply(x, part, index=places), input)


@public("tensor", inplace=True)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Return the tensor with src[i][j] added at [index[i][j]][j] for dim 0.

    >>> import minigrad as mg
    >>> mg.zeros(2).scatter_add(0, mg.tensor([1, 1]), mg.tensor([2.0, 3.0]))
    tensor([0., 5.])
    """
    same_dtype("scatter_add", input, src)
    x, part, places = scattered("scatter_add", input, dim, index, src, True)
    return back(x + IndexAdd.apply(part, shape=x.array.shape, index=places), input)


@public("tensor", inplace=True)
def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Return the sum, product, mean, largest or smallest of what src puts at each place.

    reduce: "sum", "prod", "mean", "amax" or "amin".  include_self: with what is there already.

    >>> import minigrad as mg
    >>> x, src = mg.ones(2), mg.tensor([2.0, 3.0])
    >>> mg.scatter_reduce(x, 0, mg.tensor([1, 1]), src, "amax")
    tensor([1., 3.])
    """
    if reduce not in REDUCTIONS:
        raise ArgumentError(f"scatter_reduce: reduce must be one of {REDUCTIONS}, got {reduce!r}")
    same_dtype("scatter_reduce", input, src)
    x, part, places = scattered("scatter_reduce", input, dim, index, src)
    return back(reduced_at(x, part, places, reduce, include_self), input)


def reduced_at(x: Any, part: Any, places: Chosen, reduce: str, include_self: bool) -> Any:
    """Return a tensor with `part` reduced into it at places."""
    shape = x.array.shape
    counts = np.zeros(shape, np.int64)
    flat = places.positions(shape).reshape(-1)
    np.add.at(counts.reshape(-1), flat, 1)
    hit = beside(counts > 0, x)
    if reduce in ("amax", "amin"):
        return ExtremumAt.apply(x, part, index=places, reduce=reduce, include_self=include_self)
    start = x if include_self else cast(where(hit, 1 if reduce == "prod" else 0, x), x.dtype)
    if reduce == "prod":
        return ProductAt.apply(start, part, index=places)
    total = start + IndexAdd.apply(part, shape=shape, index=places)
    if reduce == "sum":
        return total
    divisor = np.maximum(counts + include_self, 1)
    if x.array.dtype.kind == "f":
        return total / beside(divisor.astype(x.array.dtype), x)
    return cast(total // beside(divisor, x), x.dtype)


@op
class ExtremumAt(Op):
    """y[index] = the largest (or smallest) of b there, and of a; ties share the gradient"""

    @staticmethod
    def samples(draw: Any) -> Any:
        index = resolved(np.array([0, 2, 0, 1]), (3,))
        return [
            (
                (draw.apart(3), draw.apart(4) * 1.01),
                {"index": index, "reduce": reduce, "include_self": own},
            )
            for reduce in ("amax", "amin")
            for own in (True, False)
        ]

    def forward(self, a: Array, b: Array, index: Chosen, reduce: str, include_self: bool) -> Array:
        held, values = host(a), host(b)
        flat = index.positions(a.shape).reshape(-1)
        y = np.array(held)
        most = reduce == "amax"
        if not include_self:
            lowest: Any
            if y.dtype.kind == "f":
                lowest = -np.inf if most else np.inf
            else:
                info = np.iinfo(y.dtype) if y.dtype.kind in "iu" else None
                lowest = not most if info is None else info.min if most else info.max
            y.reshape(-1)[flat] = lowest
        extreme = np.maximum if most else np.minimum
        extreme.at(y.reshape(-1), flat, values.reshape(-1))
        mine = (held == y).astype(y.dtype)
        if not include_self:
            untouched = np.ones(a.shape, bool)
            untouched.reshape(-1)[flat] = False
            mine *= untouched
        picked = y.reshape(-1)[flat].reshape(values.shape)
        theirs = (values == picked).astype(y.dtype)
        ties = np.array(mine)
        np.add.at(ties.reshape(-1), flat, theirs.reshape(-1))
        self.shares = mine, theirs, np.maximum(ties, 1)
        return to_current_device(y)

    def backward(self, g: Any) -> tuple[Any, ...]:
        mine, theirs, ties = (beside(share, g) for share in self.shares)
        share = g / ties
        return share * mine, Index.apply(share, index=self.meta["index"]) * theirs


@op
class ProductAt(Op):
    """y[index] = the product of a and of all of b there"""

    @staticmethod
    def samples(draw: Any) -> Any:
        index = resolved(np.array([0, 2, 0, 1]), (3,))
        return [
            ((draw.normal(3), draw.normal(4)), {"index": index}),
            ((draw.normal(3), np.array([0.0, 2.0, 3.0, 0.0])), {"index": index}),
            ((draw.normal(3), np.array([0.0, 2.0, 0.0, 1.5])), {"index": index}),
        ]

    def forward(self, a: Array, b: Array, index: Chosen) -> Array:
        y = np.array(host(a))
        flat = index.positions(a.shape).reshape(-1)
        np.multiply.at(y.reshape(-1), flat, host(b).reshape(-1))
        return to_current_device(y)

    def backward(self, g: Any) -> tuple[Any, ...]:
        a, b, index = self.saved(0), self.saved(1), self.meta["index"]
        shape = a.array.shape
        ones = Bridge.new(filled(shape, 1, a.array.dtype, a.array))
        da = g * ProductAt.apply(ones, b, index=index) if self.needs(0) else None
        if not self.needs(1):
            return da, None
        flat = index.positions(shape).reshape(-1)
        terms = [
            self.others(a, b, flat, int(place)) if place >= 0 else None
            for place in (np.unique(flat) if flat.size else [])
        ]
        picked = Index.apply(g, index=index)
        whole = Bridge.new(filled((flat.size,), 0, b.array.dtype, b.array))
        for found in terms:
            if found is not None:
                rows, products = found
                whole = IndexSet.apply(whole, products, index=resolved(rows, (flat.size,)))
        return da, picked * Reshape.apply(whole, shape=b.array.shape)

    def others(self, a: Any, b: Any, flat: Array, place: int) -> tuple[Array, Any]:
        """Return the rows of b at one place, and for each the product of all else there."""
        rows = np.flatnonzero(flat == place)
        n = rows.size
        values = Index.apply(Reshape.apply(b, shape=(-1,)), index=resolved(rows, (flat.size,)))
        own = Index.apply(Reshape.apply(a, shape=(-1,)), index=(place,))
        grid = where(beside(np.eye(n, dtype=bool), b), 1, expand(values, (n, n)))
        return rows, grid.prod(1) * own


@public("tensor", inplace=True)
def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Return the tensor with the slices of `source` reduced into its own at the given places of
    `dim`: "prod", "mean", "amax" or "amin".
    """
    if reduce not in REDUCTIONS[1:]:
        raise ArgumentError(f"index_reduce: reduce must be one of {REDUCTIONS[1:]}, got {reduce!r}")
    x, part, places = by_slices("index_reduce", input, dim, index, source)
    return back(reduced_at(x, part, places, reduce, include_self), input)


# ---------------------------------------------------------------- whole slices
def by_slices(name: str, input: Any, dim: int, index: Any, source: Any) -> tuple[Any, Any, Chosen]:
    """Return input, source and places of what writes slices of `source` along a dimension."""
    same_dtype(name, input, source)
    axis, x, part = axis_of(name, dim, input.ndim), vector(input), vector(source)
    picks = positions_of(name, index, x.shape[axis], axis)
    if picks.ndim > 1:
        raise ArgumentError(f"{name}: index must be a vector, got shape {picks.shape}")
    picks = picks.reshape(-1)
    wanted = (*x.shape[:axis], picks.size, *x.shape[axis + 1 :])
    if part.shape != wanted:
        raise ArgumentError(
            f"{name}: source has shape {source.shape}, expected {wanted}: a slice for each of the "
            f"{picks.size} places"
        )
    grids: list[Array | None] = [None] * x.ndim
    grids[axis] = picks
    return x, part, Chosen((ALL,) * x.ndim, grids)


@public("tensor", inplace=True)
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Return the tensor with alpha times the slices of `source` added at places along `dim`.

    >>> import minigrad as mg
    >>> mg.zeros(3).index_add(0, mg.tensor([2, 2]), mg.ones(2))
    tensor([0., 0., 2.])
    """
    x, part, places = by_slices("index_add", input, dim, index, source)
    part = part if alpha == 1 else part * alpha
    return back(x + IndexAdd.apply(part, shape=x.array.shape, index=places), input)


@public("tensor", inplace=True)
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """Return a copy with the slices of `source` at the given places of `dim`."""
    x, part, places = by_slices("index_copy", input, dim, index, source)
    return back(IndexSet.apply(x, part, index=places), input)


@public("tensor", inplace=True)
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """Return a copy with one value in the slices at the given places of `dim`."""
    axis, x = axis_of("index_fill", dim, input.ndim), vector(input)
    picks = host(index)
    if picks.dtype not in (INT64, np.dtype(np.int32)) or picks.ndim > 1:
        raise ArgumentTypeError(
            f"index_fill: expected a vector of int64, got {picks.dtype} {picks.shape}"
        )
    grids: list[Array | None] = [None] * x.ndim
    # Once each: a place that is named twice is filled once, and so is its gradient.
    grids[axis] = np.unique(in_range(picks.astype(INT64).reshape(-1), x.shape[axis], axis))
    places = Chosen((ALL,) * x.ndim, grids)
    return back(IndexSet.apply(x, one_value("index_fill", value, input), index=places), input)


def one_value(name: str, value: Any, like: Any) -> Any:
    """Return a number, or a tensor of one, in the dtype of another tensor."""
    if not isinstance(value, Bridge.tensor):
        value = Bridge.new(written_value(value, like.array.dtype))
    if value.ndim:
        raise ArgumentError(f"{name}: expected a single value, got shape {value.shape}")
    return cast(value, like.dtype)


@public("tensor", inplace=True)
def index_put(input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """Return a copy with x[indices] = values, or with `accumulate` x[indices] += values, places
    that are there twice included.

    >>> import minigrad as mg
    >>> mg.zeros(3).index_put((mg.tensor([1, 1]),), mg.tensor(2.0), accumulate=True)
    tensor([0., 4., 0.])
    """
    same_dtype("index_put", input, values)
    given = tuple(slice(None) if i is None else i for i in indices)
    where_ = resolved(given, input.array.shape)
    if not accumulate:
        return IndexSet.apply(input, values, index=where_)
    seen = Index.apply(input.detach(), index=where_)
    wide = expand(values, seen.shape)
    return input + IndexAdd.apply(wide, shape=input.array.shape, index=where_)


# ---------------------------------------------------------------- masks
@public("tensor")
def masked_select(input: Any, mask: Any) -> Any:
    """Return the elements where `mask` holds, both broadcast, in one dimension.

    >>> import minigrad as mg
    >>> x = mg.tensor([1, -2, 3])
    >>> mg.masked_select(x, x > 0)
    tensor([1, 3])
    """
    check_mask("masked_select", mask)
    shape = broadcast_shape("masked_select", tuple(input.shape), tuple(mask.shape))
    x, chosen = expand(input, shape), host(expand(mask, shape))
    if not shape:
        x, chosen = Reshape.apply(x, shape=(1,)), chosen.reshape(1)
    return Index.apply(x, index=resolved(np.array(chosen), x.array.shape))


def check_mask(name: str, mask: Any) -> None:
    """Refuse what is no mask."""
    if not isinstance(mask, Bridge.tensor) or mask.array.dtype.kind != "b":
        found = mask.dtype if isinstance(mask, Bridge.tensor) else type(mask).__name__
        raise ArgumentTypeError(
            f"{name}: expected a bool mask, got {found}; use .bool() or a comparison"
        )


@public("tensor", inplace=True)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """Return the tensor with the elements of `source`, in order, where `mask` holds.

    >>> import minigrad as mg
    >>> mask = mg.tensor([False, True, True])
    >>> mg.zeros(3).masked_scatter(mask, mg.tensor([1.0, 2.0, 3.0]))
    tensor([0., 1., 2.])
    """
    check_mask("masked_scatter", mask)
    same_dtype("masked_scatter", input, source)
    shape = broadcast_shape("masked_scatter", tuple(input.shape), tuple(mask.shape))
    x, chosen = expand(input, shape), np.array(host(expand(mask, shape)))
    count = int(chosen.sum())
    if count > source.array.size:
        raise ArgumentError(
            f"masked_scatter: the mask holds at {count} places, source has {source.array.size} "
            "elements"
        )
    part = Index.apply(Reshape.apply(source, shape=(-1,)), index=(slice(0, count),))
    wide = x if shape else Reshape.apply(x, shape=(1,))
    where_ = resolved(chosen.reshape(chosen.shape or (1,)), wide.array.shape)
    return Reshape.apply(IndexSet.apply(wide, part, index=where_), shape=shape)


# ---------------------------------------------------------------- flat positions
def flat_positions(name: str, index: Any, n: int) -> Array:
    """Return positions in the flattened input, negative ones counted from the end."""
    if not isinstance(index, Bridge.tensor) or index.array.dtype != INT64:
        raise ArgumentTypeError(f"{name}: expected int64 positions; use .long()")
    return in_range(host(index).reshape(-1), n, 0)


@public("tensor")
def take(input: Any, index: Any) -> Any:
    """Return the elements at positions in the flattened tensor, in the shape of `index`.

    >>> import minigrad as mg
    >>> mg.take(mg.tensor([[4, 3], [2, 1]]), mg.tensor([0, 3]))
    tensor([4, 1])
    """
    flat = Reshape.apply(input, shape=(-1,))
    picks = flat_positions("take", index, flat.shape[0])
    return Reshape.apply(Index.apply(flat, index=Rows(np.array(picks), 1)), shape=index.shape)


@public("tensor", inplace=True)
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """Return a copy with elements at positions in the flattened tensor set to those of `source`,
    or with `accumulate` added.
    """
    same_dtype("put", input, source)
    flat = Reshape.apply(input, shape=(-1,))
    picks = Rows(np.array(flat_positions("put", index, flat.shape[0])), 1)
    if source.array.size != index.array.size:
        raise ArgumentError(
            f"put: expected as many elements as positions, got {source.array.size} and "
            f"{index.array.size}"
        )
    part = Reshape.apply(source, shape=(-1,))
    if accumulate:
        y = flat + IndexAdd.apply(part, shape=flat.array.shape, index=picks)
    else:
        y = IndexSet.apply(flat, part, index=picks)
    return Reshape.apply(y, shape=input.shape)


@public("tensor")
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Return elements picked along `dim` by positions of as many dimensions, both broadcast; of
    the flattened tensor without `dim`.

    >>> import minigrad as mg
    >>> x = mg.tensor([[3, 1], [2, 4]])
    >>> mg.take_along_dim(x, mg.argmax(x, 1, keepdim=True), 1)
    tensor([[3],
            [4]])
    """
    if not isinstance(indices, Bridge.tensor) or indices.array.dtype != INT64:
        raise ArgumentTypeError("take_along_dim: expected int64 positions; use .long()")
    if dim is None:
        flat = Reshape.apply(input, shape=(-1,))
        return take_along_dim(flat, Reshape.apply(indices, shape=(-1,)), 0)
    axis = axis_of("take_along_dim", dim, input.ndim)
    if indices.ndim != input.ndim:
        raise ArgumentError(
            f"take_along_dim: expected as many dimensions, got {input.shape} and {indices.shape}"
        )
    rest = [tuple(1 if d == axis else n for d, n in enumerate(t.shape)) for t in (input, indices)]
    shape = broadcast_shape("take_along_dim", *rest)

    def wide(n: int) -> tuple[int, ...]:
        return tuple(n if d == axis else m for d, m in enumerate(shape))

    x = expand(input, wide(input.shape[axis]))
    n = x.shape[axis]
    if type(indices.array) is DeviceArray and x.array.size and not BATCHED:
        spread = Bridge.new(np.broadcast_to(indices.array, wide(indices.shape[axis])))
        there = places_there(spread, n, axis, -n)
        if there is not None:
            return Index.apply(x, index=chosen_there(there, axis, x.shape))
    picks = np.broadcast_to(host(indices), wide(indices.shape[axis]))
    found = in_range(np.array(picks), x.shape[axis], axis)
    return Index.apply(x, index=along(found, axis))


@public("tensor")
def argwhere(input: Any) -> Any:
    """Return the places of the elements that are not zero, a row each."""
    found = np.argwhere(host(input))
    return beside(found.astype(np.int64), input)


@public("tensor")
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Return the places of the elements that are not zero: a row each, or a tuple of one tensor a
    dimension.

    >>> import minigrad as mg
    >>> mg.nonzero(mg.tensor([0, 5, 0, 7])).tolist()
    [[1], [3]]
    """
    if not as_tuple:
        return argwhere(input)
    places = np.atleast_1d(host(input)).nonzero()
    return tuple(beside(found.astype(np.int64), input) for found in places)
