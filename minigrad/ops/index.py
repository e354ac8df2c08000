"""Indexing: basic indices give views, advanced ones copies; their gradients are scattered back."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine.device import (
    BATCHED,
    DeviceArray,
    current,
    in_lanes,
    judge_later,
    kept_constant,
    kept_there,
    to_current_device,
)
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentError, ArgumentIndexError, ArgumentTypeError
from minigrad.engine.op import Bridge, Op
from minigrad.engine.overwrite import apart, check_writable, overwrite
from minigrad.engine.recording import recording
from minigrad.engine.values import written_value
from minigrad.ops.common import Array, axis_of, contiguous, converted, op
from minigrad.ops.elementwise import Where
from minigrad.ops.grammar import (
    ALL,
    INT64,
    Chosen,
    Flat,
    There,
    by_shapes,
    host,
    in_range,
    resolved,
)
from minigrad.ops.memory import cast
from minigrad.ops.registry import public
from minigrad.ops.shape import Reshape

NARROW = 8  # elements of a slice from which it is copied as a row


def picked(input: Any, *index: Any) -> Any:
    """Return input[index]: for arrays that the ops themselves made, too."""
    return Index.apply(input, index=resolved(index, input.array.shape))


def picked_by_shapes(input: Any, *index: Any) -> Any:
    """Return input[index], of an index that follows from shapes alone."""
    return Index.apply(input, index=by_shapes(index, input.array.shape))


def seen(a: Array, index: tuple[Any, ...]) -> Array:
    """Return the view of `a` that an index without arrays selects, 0-d for a single element."""
    try:
        y = a[index]
    except OverflowError:
        raise ArgumentIndexError(f"index: {index} is out of range for shape {a.shape}") from None
    return a[(*index, ...)] if isinstance(y, np.generic) else y


def line_of(positions: Any, index: Chosen) -> Any:
    """Return positions of an index as one line, where the running op computes."""
    if type(positions) is DeviceArray:
        return positions.reshape(-1)
    line = np.ascontiguousarray(positions).reshape(-1)
    if index.fixed and current.target is not None and not BATCHED:
        return kept_there(current.target, line)
    return to_current_device(line)


def inner_rows(index: Chosen, a: Array) -> tuple[tuple[int, int], Array, tuple[int, ...]] | None:
    """Return what an index of slices along an inner axis is as one of rows: the shape in which the
    array is a table, the rows, and the shape of what they are; None where it is no such index.

    Of arrays on the host, with slices of NARROW elements or more.
    """
    found = index.lines() if isinstance(a, np.ndarray) and a.size else None
    if found is None:
        return None
    axis, picks = found
    n, width = a.shape[axis], math.prod(a.shape[axis + 1 :])
    if width < NARROW:
        return None
    outer = a.size // (n * width)
    rows = (np.arange(0, outer * n, n).reshape(-1, 1) + picks).reshape(-1)
    return (outer * n, width), rows, a.shape[:axis] + picks.shape + a.shape[axis + 1 :]


@op
class Index(Op):
    """y = a[index]"""

    keeps = False
    view = True

    def forward(self, a: Array, index: tuple[Any, ...] | Chosen) -> Array:
        self.was = a.shape
        if not isinstance(index, Chosen):
            return seen(a, index)
        rows = index.rows()
        if rows is not None and a.size:
            y = empty((rows.size, a.size // a.shape[0]), a.dtype)
            table = contiguous(a).reshape(a.shape[0], y.shape[1])
            launch("take_rows", table, line_of(rows, index), y)
            return y.reshape(rows.shape + a.shape[1:])
        slices = inner_rows(index, a)
        if slices is not None:
            sizes, picks, shape = slices
            y = empty(shape, a.dtype)
            lines = y.reshape(picks.size, sizes[1])
            launch("take_rows", contiguous(a).reshape(sizes), line_of(picks, index), lines)
            return y
        where = index.positions(a.shape)
        y = empty(where.shape, a.dtype)
        launch("take_flat", contiguous(a).reshape(-1), line_of(where, index), y.reshape(-1))
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (IndexAdd.apply(g, shape=self.was, index=self.meta["index"]),)


@op
class IndexAdd(Op):
    """y = zeros(shape); y[index] += g, repeated positions added in order"""

    keeps = False

    def forward(self, g: Array, shape: tuple[int, ...], index: tuple[Any, ...] | Chosen) -> Array:
        y = empty(shape, g.dtype)
        if not isinstance(index, Chosen):
            y[...] = 0
            launch("copy", g, seen(y, index))
            return y
        rows = index.rows()
        if rows is not None and y.size:
            launch(
                "scatter_add_rows",
                contiguous(g).reshape(rows.size, y.size // shape[0]),
                line_of(rows, index),
                y.reshape(shape[0], y.size // shape[0]),
            )
            return y
        slices = inner_rows(index, y)
        if slices is not None:
            sizes, picks, _ = slices
            lines = contiguous(g).reshape(picks.size, sizes[1])
            launch("scatter_add_rows", lines, line_of(picks, index), y.reshape(sizes))
            return y
        places = line_of(index.positions(shape), index)
        launch("scatter_add_flat", contiguous(g).reshape(-1), places, y.reshape(-1))
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (Index.apply(g, index=self.meta["index"]),)


@op
class IndexSet(Op):
    """y = a; y[index] = b, broadcast"""

    keeps = False

    def forward(self, a: Array, b: Array, index: tuple[Any, ...] | Chosen) -> Array:
        self.leading = b.ndim
        y = empty(a.shape, a.dtype)
        launch("copy", a, y)
        assign(y, b, index)
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        index = self.meta["index"]
        da = db = None
        if self.needs(0):
            zero = type(g)(np.zeros((), g.array.dtype))
            da = IndexSet.apply(g, zero, index=index)
        if self.needs(1):
            db = Index.apply(g, index=index)
            dropped = self.leading - db.array.ndim
            if dropped > 0:  # the leading 1s of b, which assign() drops
                db = Reshape.apply(db, shape=(1,) * dropped + db.array.shape)
        return da, db


def assign(y: Array, b: Array, index: tuple[Any, ...] | Chosen) -> None:
    """Write `b`, broadcast, into y[index] in place."""
    if not isinstance(index, Chosen):
        target = seen(y, index)
        check_fits(b.shape, target.shape)
        check_writable(target)
        overwrite(target, b.reshape(b.shape[max(0, b.ndim - target.ndim) :]))
        return
    check_writable(y)
    where = index.positions(y.shape)
    check_fits(b.shape, where.shape)
    source = converted(b, y.dtype).reshape(b.shape[max(0, b.ndim - where.ndim) :])
    values = contiguous(apart(np.broadcast_to(source, where.shape), y)).reshape(-1)
    places = line_of(where, index)
    whole = contiguous(y)
    launch("scatter_flat", values, places, whole.reshape(-1))
    if whole is not y:
        launch("copy", whole, y)


def check_fits(shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Refuse a value whose shape does not broadcast to what the index selects; leading 1s may be
    dropped.
    """
    lead = max(0, len(shape) - len(target))
    tail = shape[lead:]
    aligned = target[len(target) - len(tail) :]
    if any(n != 1 for n in shape[:lead]) or any(
        n not in (1, m) for n, m in zip(tail, aligned, strict=True)
    ):
        raise ArgumentError(
            f"setitem: a value of shape {shape} does not broadcast to the selected shape {target}"
        )


# ----------------------------------------------------------- by a tensor of positions along one dim
def positions_of(name: str, index: Any, n: int, dim: int) -> Array:
    """Return an int32 or int64 tensor of positions in [0, n) as int64 on the host, in memory of its
    own.
    """
    if not isinstance(index, Bridge.tensor):
        raise ArgumentTypeError(f"{name}: index must be a tensor, got {type(index).__name__}")
    found = host(index)
    if found.dtype not in (np.dtype(np.int32), INT64) and found.size:
        raise ArgumentTypeError(
            f"{name}: index must be int64 or int32, got {found.dtype}; use .long()"
        )
    return in_range(found.astype(INT64), n, dim, lowest=0)


def places_there(
    index: Any, n: int, dim: int, lowest: int = 0, refuse: Callable[[Array], Any] | None = None
) -> Any:
    """Return a tensor of positions on a device as an int64 array there of its own, all in [0, n);
    None where it is no such tensor, and its numbers are to be read.

    On a GPU they are judged there, and a wrong one is told by the next read of the device; what is
    computed meanwhile takes another place, one in range.
    lowest: of what may come, 0 or -n: negative ones are counted from the end.
    refuse: raises the error about wrong positions, by default that of `in_range`.
    """
    array: Any = getattr(index, "array", None)
    if type(array) is not DeviceArray or BATCHED or array.dtype != INT64 or not array.size or not n:
        return None
    held: Any = array
    line = contiguous(held).reshape(-1)
    judged_in_range(
        line, n - lowest, -lowest, refuse or partial(in_range, n=n, dim=dim, lowest=lowest)
    )
    made = empty(array.shape, INT64, array)
    launch("remainder", line, kept_constant(np.asarray(n, INT64), array), made.reshape(-1))
    return made


def judged_in_range(line: Any, count: int, shift: int, refuse: Callable[[Array], Any]) -> None:
    """Have numbers on a device refused that are not in [0, count) once `shift` is added: late on a
    GPU, at once elsewhere.
    """
    shifted = line
    if shift:
        shifted = empty(line.shape, INT64, line)
        launch("add", line, kept_constant(np.asarray(shift, INT64), line), shifted)
    if not judge_later(shifted, count, 0, lambda _: refuse(line.read())):
        refuse(line.read())


def selected(x: Any, index: Any) -> Any:
    """Return what `x[index]` selects, see `resolved`; positions on a device stay there."""
    if type(getattr(index, "array", None)) is DeviceArray and index.ndim and x.array.size:
        n = x.array.shape[0] if x.ndim else 0
        found = places_there(index, n, 0, -n)
        if found is not None:
            return There(found.reshape(-1), found.shape, True, x.ndim)
    return resolved(index, x.array.shape)


def chosen_there(picks: Any, dim: int, shape: tuple[int, ...]) -> There:
    """Return the full index into an array of `shape` of which positions on a device are the part
    along `dim`; see `along`.
    """
    steps = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    total = empty(picks.shape, INT64, picks)
    launch("mul", picks, kept_constant(np.asarray(steps[dim], INT64), picks), total)
    for d, (n, step) in enumerate(zip(picks.shape, steps, strict=True)):
        if d != dim and n > 1:
            line = np.arange(n, dtype=INT64) * step
            other = kept_constant(line.reshape(n, *(1,) * (len(shape) - d - 1)), picks)
            made = empty(picks.shape, INT64, picks)
            launch("add", total, other, made)
            total = made
    return There(total.reshape(-1), picks.shape, False, len(shape))


def along(index: Array, dim: int) -> Chosen:
    """Return the full index of which `index` is the part along `dim`."""
    grids: list[Array | None] = list(np.ogrid[tuple(slice(0, n) for n in index.shape)])
    grids[dim] = index
    return Chosen((ALL,) * index.ndim, grids)


def flat_along(index: Any, dim: int, shape: tuple[int, ...]) -> Flat | None:
    """Return the full index into an array of `shape` of which a tensor of positions is the part
    along `dim`, found in one or two passes; None where it is to be looked at more closely.
    """
    found = getattr(index, "array", None)
    if type(found) is not np.ndarray or recording.recorder is not None or not found.size:
        return None
    if found.dtype != INT64 or found.ndim != len(shape):
        return None
    if any(d != dim and n > m for d, (n, m) in enumerate(zip(found.shape, shape, strict=True))):
        return None
    if found.view(np.uint64).max() >= shape[dim]:
        return None
    line = empty(found.shape, INT64)
    steps = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    held = found
    if steps[dim] != 1:
        np.multiply(found, steps[dim], out=line)
        held = line
    rest = np.zeros((1,) * len(shape), INT64)
    for d, (n, step) in enumerate(zip(found.shape, steps, strict=True)):
        if d != dim:
            rest = rest + np.arange(0, n * step, step).reshape(n, *(1,) * (len(shape) - d - 1))
    np.add(held, rest, out=line)
    return Flat(line)


def gather(input: Any, dim: int, index: Any) -> Any:
    """Pick along `dim`: y[i][j] = input[index[i][j]][j] for dim 0.

    Shape: input: (..., n, ...), index: int64, of the same ndim -> y: index.shape.

    >>> import minigrad as mg
    >>> mg.gather(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, mg.tensor([[1], [0]]))
    tensor([[2.],
            [3.]])
    """
    if BATCHED:
        found = in_lanes("gather", input, dim, index)
        if found is not None:
            return found
    axis = axis_of("gather", dim, input.ndim)
    shape = input.array.shape or (1,)  # a single number is a vector of one to index
    flat = flat_along(index, axis, input.array.shape) if input.ndim else None
    if flat is not None:
        return Index.apply(input, index=flat)
    there = places_there(index, shape[axis], axis) if input.ndim else None
    picks = positions_of("gather", index, shape[axis], axis) if there is None else there
    kept = picks.shape
    if not picks.size:  # of any shape
        nothing = Index.apply(Reshape.apply(input, shape=(-1,)), index=(slice(0, 0),))
        return Reshape.apply(nothing, shape=kept)
    picks = picks.reshape(kept or (1,))
    if picks.ndim != len(shape):
        raise ArgumentError(
            f"gather: index has {index.ndim} dimensions, input has {input.ndim}: they must agree"
        )
    for d, (n, m) in enumerate(zip(picks.shape, shape, strict=True)):
        if d != axis and n > m and picks.size:
            raise ArgumentError(
                f"gather: index of shape {kept} is larger than input {input.shape} in dimension {d}"
            )
    source = input if input.ndim else Reshape.apply(input, shape=shape)
    if there is not None:
        return Index.apply(source, index=chosen_there(picks, axis, shape))
    y = Index.apply(source, index=along(picks, axis))
    return y if kept else Reshape.apply(y, shape=())


def index_select(input: Any, dim: int, index: Any) -> Any:
    """Pick whole slices along `dim` by a 1-D int64 tensor of positions, none negative."""
    if BATCHED:
        found = in_lanes("index_select", input, dim, index)
        if found is not None:
            return found
    axis = axis_of("index_select", dim, input.ndim)
    if not isinstance(index, Bridge.tensor):
        raise ArgumentTypeError(f"index_select: index must be a tensor, got {type(index).__name__}")
    shape = input.array.shape or (1,)
    there = None
    if input.ndim and index.ndim == 1 and input.array.size:
        there = places_there(index, shape[axis], axis)
    if there is not None:
        if not axis:
            return Index.apply(input, index=There(there, there.shape, True, len(shape)))
        sizes = shape[:axis] + there.shape + shape[axis + 1 :]
        wide = empty(sizes, INT64, there)
        launch("copy", there.reshape(-1, *(1,) * (len(shape) - axis - 1)), wide)
        return Index.apply(input, index=chosen_there(wide, axis, shape))
    picks = positions_of("index_select", index, shape[axis], axis)
    if picks.ndim > 1:
        raise ArgumentError(f"index_select: index must be a vector, got shape {picks.shape}")
    if not input.ndim:
        if picks.size != 1:
            raise ArgumentError(
                f"index_select: input is a single number, index may name it once, not {picks.size}"
                " times"
            )
        return Reshape.apply(input, shape=())
    parts: list[Array | None] = [None] * input.ndim
    parts[axis] = picks.reshape(-1)
    return Index.apply(input, index=Chosen((ALL,) * input.ndim, parts))


@public("tensor", inplace=True)
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """Return `input` with `value`, a number or a tensor of one, where the bool `mask` holds.

    The dtype is that of `input`.

    Raises: OverflowError for a number that it does not hold.
    """
    if not isinstance(value, Bridge.tensor):
        value = Bridge.new(written_value(value, input.array.dtype))
    if value.array.ndim:
        raise ArgumentError(
            f"masked_fill: expected a single value, got shape {value.array.shape}; use where()"
        )
    return Where.apply(mask, cast(value, input.array.dtype), input)
