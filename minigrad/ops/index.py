"""Indexing: basic indices give views, advanced ones copies; their gradients are scattered back."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import DeviceArray, empty, here, host_copy, launch
from minigrad.ops.common import Array, axis_of, contiguous, converted, op
from minigrad.ops.elementwise import Where
from minigrad.ops.memory import cast
from minigrad.ops.shape import Reshape
from minigrad.overwrite import apart, check_writable, overwrite
from minigrad.tape import Bridge, Op
from minigrad.values import written_value


def plain(index: Any) -> tuple[Any, ...]:
    """Return an index as NumPy wants it: tensors become arrays, lists become arrays, always a
    tuple.
    """
    parts = index if isinstance(index, tuple) else (index,)
    return tuple([_part(p) for p in parts])


def _part(p: Any) -> Any:
    if hasattr(p, "requires_grad"):
        p = p.array
        if p.dtype.kind == "f":
            raise TypeError(
                f"index: expected integers or a bool mask, got a tensor of {p.dtype}; use .long()"
            )
        return p.read() if type(p) is DeviceArray else p
    if isinstance(p, list):
        return np.asarray(p, dtype=np.int64) if not p else np.asarray(p)
    return p


def on_host(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an index with its arrays on the host, where positions are worked out."""
    return tuple([p.read() if type(p) is DeviceArray else p for p in index])


def basic(index: tuple[Any, ...]) -> bool:
    """Say whether NumPy answers `index` with a view."""
    return not any(isinstance(p, (np.ndarray, bool, np.bool_)) for p in index)


def positions(shape: tuple[int, ...], index: tuple[Any, ...]) -> Array:
    """Return the flat positions that `index` selects in an array of `shape`."""
    size = int(np.prod(shape))
    return np.arange(size, dtype=np.int64).reshape(shape)[index]


def rows(index: tuple[Any, ...]) -> bool:
    """Say whether `index` selects whole entries of the first axis by one integer array."""
    return len(index) == 1 and isinstance(index[0], np.ndarray) and index[0].dtype.kind in "iu"


def checked_rows(name: str, indices: Array, count: int) -> Array:
    """Return int64 row numbers in [0, count), negative ones counted from the end."""
    flat = converted(contiguous(indices), np.dtype(np.int64)).reshape(-1)
    if flat.size:
        low, high = int(flat.min()), int(flat.max())
        if low < -count or high >= count:
            bad = high if high >= count else low
            raise IndexError(f"{name}: index {bad} is out of range for {count} rows")
        if low < 0:
            flat = np.where(flat < 0, flat + count, flat)
    return flat


@op
class Index(Op):
    """y = a[index]"""

    keeps = False
    view = True

    def forward(self, a: Array, index: tuple[Any, ...]) -> Array:
        self.was = a.shape
        index = on_host(index)
        if basic(index):
            y = a[index]
            return a[(*index, ...)] if isinstance(y, np.generic) else y
        if rows(index) and a.ndim and a.shape[0]:
            picked = index[0]
            flat = checked_rows("index", picked, a.shape[0])
            y = empty((flat.size, a.size // a.shape[0]), a.dtype)
            launch("take_rows", contiguous(a).reshape(a.shape[0], y.shape[1]), here(flat), y)
            return y.reshape(picked.shape + a.shape[1:])
        where = positions(a.shape, index)
        y = empty(where.shape, a.dtype)
        places = here(np.ascontiguousarray(where).reshape(-1))
        launch("take_flat", contiguous(a).reshape(-1), places, y.reshape(-1))
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (IndexAdd.apply(g, shape=self.was, index=self.meta["index"]),)


@op
class IndexAdd(Op):
    """y = zeros(shape); y[index] += g, repeated positions added in order"""

    keeps = False

    def forward(self, g: Array, shape: tuple[int, ...], index: tuple[Any, ...]) -> Array:
        y = empty(shape, g.dtype)
        index = on_host(index)
        if basic(index):
            y[...] = 0
            launch("copy", g, y[(*index, ...)] if Ellipsis not in index else y[index])
            return y
        if rows(index) and shape and y.size:
            flat = checked_rows("index", index[0], shape[0])
            launch(
                "scatter_add_rows",
                contiguous(g).reshape(flat.size, y.size // shape[0]),
                here(flat),
                y.reshape(shape[0], y.size // shape[0]),
            )
            return y
        where = np.ascontiguousarray(positions(shape, index)).reshape(-1)
        launch("scatter_add_flat", contiguous(g).reshape(-1), here(where), y.reshape(-1))
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (Index.apply(g, index=self.meta["index"]),)


@op
class IndexSet(Op):
    """y = a; y[index] = b, broadcast"""

    keeps = False

    def forward(self, a: Array, b: Array, index: tuple[Any, ...]) -> Array:
        self.leading = b.ndim
        y = empty(a.shape, a.dtype)
        launch("copy", a, y)
        assign(y, b, on_host(index))
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


def assign(y: Array, b: Array, index: tuple[Any, ...]) -> None:
    """Write `b`, broadcast, into y[index] in place."""
    if basic(index):
        target = y[index] if Ellipsis in index else y[(*index, ...)]
        check_fits(b.shape, target.shape)
        check_writable(target)
        overwrite(target, b.reshape(b.shape[max(0, b.ndim - target.ndim) :]))
        return
    check_writable(y)
    where = positions(y.shape, index)
    check_fits(b.shape, where.shape)
    source = converted(b, y.dtype).reshape(b.shape[max(0, b.ndim - where.ndim) :])
    values = contiguous(apart(np.broadcast_to(source, where.shape), y)).reshape(-1)
    places = here(np.ascontiguousarray(where).reshape(-1))
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
        raise ValueError(
            f"setitem: a value of shape {shape} does not broadcast to the selected shape {target}"
        )


# ----------------------------------------------------------- by a tensor of positions along one dim
def along(index: Any, dim: int) -> tuple[Array, ...]:
    """Return the full index of which `index` is the part along `dim`."""
    grids = list(np.ogrid[tuple(slice(0, n) for n in index.array.shape)])
    grids[dim] = host_copy(index.array)
    return tuple(np.broadcast_arrays(*grids))


def gather(input: Any, dim: int, index: Any) -> Any:
    """Pick along `dim`: y[i][j] = input[index[i][j]][j] for dim 0.

    Shape: input: (..., n, ...), index: int64, of the same ndim -> y: index.shape.

    >>> import minigrad as mg
    >>> mg.gather(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, mg.tensor([[1], [0]]))
    tensor([[2.],
            [3.]])
    """
    axis = axis_of("gather", dim, input.ndim)
    if index.ndim != input.ndim:
        raise ValueError(
            f"gather: index has {index.ndim} dimensions, input has {input.ndim}: they must agree"
        )
    return Index.apply(input, index=along(index, axis))


def index_select(input: Any, dim: int, index: Any) -> Any:
    """Pick whole slices along `dim` by a 1-D tensor of positions."""
    axis = axis_of("index_select", dim, input.ndim)
    return Index.apply(input, index=(*(slice(None),) * axis, *plain(index)))


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """Return `input` with `value`, a number or a tensor of one, where the bool `mask` holds.

    The dtype is that of `input`.

    Raises: OverflowError for a number that it does not hold.
    """
    if not isinstance(value, Bridge.tensor):
        value = Bridge.new(written_value(value, input.array.dtype))
    if value.array.ndim:
        raise ValueError(
            f"masked_fill: expected a single value, got shape {value.array.shape}; use where()"
        )
    return Where.apply(mask, cast(value, input.array.dtype), input)
