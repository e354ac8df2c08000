"""The grammar of indices, PyTorch's: what a user wrote, as a view and positions in that view.

An index of ints, slices, None and Ellipsis is a plain tuple that NumPy answers with a view.  One
with arrays is a `Chosen`: first the view of its ints, slices and Nones, then one array of positions
for each dimension of the view that an array (or a mask, or a bool) indexes.  So an int beside an
array selects first, and has no say in where the arrays' dimensions go; in NumPy it has.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import DeviceArray
from minigrad.engine.errors import ArgumentIndexError, ArgumentTypeError
from minigrad.engine.recording import recording, refuse_recording

Array = np.ndarray[Any, Any]
INT64 = np.dtype(np.int64)
UINT64 = np.dtype(np.uint64)
ALL = slice(None)
NONE = type(None)
LEAST, MOST = np.minimum.reduce, np.maximum.reduce  # ndarray.min without its Python frame
NUMBERS = {int, bool, float}
SPOT = np.zeros(1, np.int8)  # where geometry is laid over that nobody reads: a byte an element
FORMS = "ints, slices, None, Ellipsis, bools, and arrays, tensors or lists of ints or bools"


class Chosen:
    """An index with arrays, for one shape.

    view: ints, slices and None, applied first.  arrays: for each dimension of the view, int64
    positions of its own in [0, n), or None for the whole dimension.
    fixed: whether the positions follow from shapes alone, so that a GPU may keep them.
    """

    __slots__ = ("arrays", "common", "first", "fixed", "view")

    def __init__(
        self, view: tuple[Any, ...], arrays: list[Array | None], fixed: bool = False
    ) -> None:
        self.view = view
        self.fixed = fixed
        self.arrays = arrays
        dims = [d for d, a in enumerate(arrays) if a is not None]
        found = [a for a in arrays if a is not None]
        if len(found) == 1:
            self.common = found[0].shape
            self.first = dims[0]
            return
        try:
            self.common = np.broadcast_shapes(*[a.shape for a in found])
        except ValueError:
            shown = " and ".join(str(a.shape) for a in found)
            raise ArgumentIndexError(f"index: arrays of shapes {shown} do not broadcast") from None
        # The dimensions of the arrays stand where the first of them stood, if they are neighbours.
        self.first = dims[0] if dims[-1] - dims[0] + 1 == len(dims) else 0

    def rows(self) -> Array | None:
        """Return the array that selects whole entries of the first axis, if that is all."""
        if not self.arrays or any(a is not None for a in self.arrays[1:]):
            return None
        return self.arrays[0] if all(p is ALL for p in self.view) else None

    def lines(self) -> tuple[int, Array] | None:
        """Return the axis and the vector of positions of an index of slices along one axis."""
        dims = [d for d, a in enumerate(self.arrays) if a is not None]
        if len(dims) != 1 or any(p != ALL for p in self.view):
            return None
        array = self.arrays[dims[0]]
        return None if array is None or array.ndim != 1 else (dims[0], array)

    def positions(self, shape: tuple[int, ...]) -> Array:
        """Return the flat positions that are selected in an array of `shape`."""
        steps = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        seen = np.lib.stride_tricks.as_strided(SPOT, shape, steps)[self.view]
        start = seen.__array_interface__["data"][0] - SPOT.__array_interface__["data"][0]
        rest = [d for d, a in enumerate(self.arrays) if a is None]
        order = (*rest[: self.first], *(-1,) * len(self.common), *rest[self.first :])
        sizes = [seen.shape[d] for d in order if d != -1]
        sizes[self.first : self.first] = self.common
        behind = len(rest) - self.first
        terms = []
        for d, (array, step) in enumerate(zip(self.arrays, seen.strides, strict=True)):
            if array is None:
                line = np.arange(seen.shape[d], dtype=INT64)
                terms.append((line.reshape(-1, *(1,) * (len(order) - order.index(d) - 1)), step))
            else:
                terms.append((array.reshape(array.shape + (1,) * behind), step))
        # The small ones first, so that the large ones are gone through once or twice.
        total = np.full((1,) * len(sizes), start, INT64)
        for array, step in sorted(terms, key=lambda term: term[0].size):
            if step == 1:
                total = total + array
                continue
            product = array * step
            if np.broadcast_shapes(total.shape, product.shape) == product.shape:
                product += total
                total = product
            else:
                total = total + product
        return np.broadcast_to(total, sizes)


class Rows(Chosen):
    """One array that selects whole entries of the first axis: what most indices with arrays are."""

    __slots__ = ()

    def __init__(self, array: Array, ndim: int) -> None:
        self.view = (ALL,) * ndim
        self.arrays = [array, *(None,) * (ndim - 1)]
        self.common = array.shape
        self.first = 0
        self.fixed = False

    def rows(self) -> Array | None:
        return self.arrays[0]


class Flat(Chosen):
    """Flat positions in an array of as many dimensions as they have, in memory of their own."""

    __slots__ = ("line",)

    def __init__(self, line: Array) -> None:
        self.line = line
        self.common = line.shape
        self.view = (ALL,) * line.ndim
        self.arrays = []
        self.first = 0
        self.fixed = False

    def rows(self) -> Array | None:
        return None

    def lines(self) -> tuple[int, Array] | None:
        return None

    def positions(self, shape: tuple[int, ...]) -> Array:
        return self.line


class There(Chosen):
    """Positions on a device, in memory of its own, all of them in range.

    line: (N,) int64, which entries of the first axis, or which elements, are selected.
    common: the shape in which they are.
    """

    __slots__ = ("by_rows", "line")

    def __init__(self, line: Any, common: tuple[int, ...], by_rows: bool, ndim: int) -> None:
        self.line = line
        self.common = common
        self.by_rows = by_rows
        self.view = (ALL,) * ndim
        self.arrays = []  # for whoever looks at an index of the host's
        self.first = 0
        self.fixed = False

    def rows(self) -> Any:
        return self.line.reshape(self.common) if self.by_rows else None

    def lines(self) -> tuple[int, Array] | None:
        return None

    def positions(self, shape: tuple[int, ...]) -> Any:
        return self.line.reshape(self.common)


def is_plain(p: Any) -> bool:
    """Say whether NumPy answers this part of an index with a view, whatever happens later."""
    if p.__class__ is slice:
        ends = p.start.__class__, p.stop.__class__, p.step.__class__
        return all(c is int or c is NONE for c in ends)
    return p.__class__ is int or p is None or p is Ellipsis


def by_shapes(index: Any, shape: tuple[int, ...]) -> tuple[Any, ...] | Chosen:
    """Return what `resolved` does for an index that follows from shapes alone."""
    found = resolved(index, shape)
    if isinstance(found, Chosen):
        found.fixed = True
    return found


def resolved(index: Any, shape: tuple[int, ...]) -> tuple[Any, ...] | Chosen:
    """Return what `index` selects in `shape`: a tuple that gives a view, or a `Chosen`.

    Nothing of it is the user's memory: a change of it between forward and backward is not seen.

    Raises: IndexError for what is out of range, does not fit or may mean two things; TypeError for
        what is no index.
    """
    cls = index.__class__
    if cls is int or index is None or index is Ellipsis:
        return (index,)
    parts: tuple[Any, ...] = index if cls is tuple else (index,)
    for p in parts:  # the cheap forms, written out: a call a part would be most of the cost
        c = p.__class__
        if c is int or p is None or p is Ellipsis:
            continue
        if c is slice:
            c = p.start.__class__
            if c is int or c is NONE:
                c = p.stop.__class__
                if (c is int or c is NONE) and (p.step is None or p.step.__class__ is int):
                    continue
        break
    else:
        return parts
    if isinstance(index, tuple):
        parts = tuple(index)
    elif isinstance(index, list):
        check_flat(index)
    made = [part(p) for p in parts]
    if len(made) == 1 and shape and isinstance(made[0], np.ndarray) and made[0].dtype == INT64:
        return Rows(in_range(made[0], shape[0], 0), len(shape))
    return placed(made, shape)


def check_flat(index: list[Any]) -> None:
    """Refuse a list that PyTorch takes for a tuple and NumPy for an array."""
    if {p.__class__ for p in index} <= NUMBERS:
        return
    for p in index:
        if p is None or p is Ellipsis or isinstance(p, (slice, Sequence)) or is_array(p):
            raise ArgumentIndexError(
                f"index: a list that holds {type(p).__name__} means x[a, b, ...] to PyTorch and an"
                " array to NumPy; write x[tuple(index)] or x[minigrad.tensor(index)]"
            )


def is_array(p: Any) -> bool:
    """Say whether `p` is an array or tensor, of any library."""
    return hasattr(p, "__array__") and not isinstance(p, np.generic)


def part(p: Any) -> Any:
    """Return one part of an index as an int, a slice of ints, None, Ellipsis, or an array of int64
    or bool (0-d for a bool).
    """
    if is_plain(p):
        return p
    if isinstance(p, (bool, np.bool_)):
        return np.asarray(p)
    if isinstance(p, slice):
        return slice(*[None if n is None else bound(n) for n in (p.start, p.stop, p.step)])
    if isinstance(p, (list, tuple, range)):
        return checked(listed(p), p)
    if is_array(p):
        return checked(host(p), p)
    try:
        return operator.index(p)
    except TypeError:
        raise ArgumentTypeError(
            f"index: expected {FORMS}, got {type(p).__name__}: {p!r:.60}"
        ) from None


def bound(n: Any) -> int:
    """Return an end or the step of a slice."""
    try:
        return operator.index(n)
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"index: the ends and the step of a slice must be ints, got {type(n).__name__}: "
            f"{n!r:.60}"
        ) from None


def host(p: Any) -> Array:
    """Return the elements of an array or tensor, of any library, on the host."""
    held = getattr(p, "array", p)
    if type(held) is DeviceArray:
        return held.read()
    if isinstance(held, np.ma.MaskedArray):
        raise ArgumentTypeError("index: got a masked array; fill or compress it first")
    if recording.recorder is not None and isinstance(held, np.ndarray):
        # What comes of these may be one number, or nothing, which no recording knows from others.
        if held.dtype == bool:
            refuse_recording("an index by a mask has the shape that the mask's values say")
        elif held.ndim == 0:
            refuse_recording("an index of one element is read by Python")
    return np.asarray(held)


def listed(p: Any) -> Array:
    """Return the array of a list, tuple or range of numbers."""
    if isinstance(p, range):
        return np.arange(p.start, p.stop, p.step, dtype=INT64)
    try:
        array = np.asarray(unpacked(p))
    except (ValueError, OverflowError) as error:
        raise ArgumentIndexError(f"index: {p!r:.60} is no array of positions: {error}") from None
    return array if array.size else array.astype(INT64)


def unpacked(p: Any) -> Any:
    """Return nested lists with the tensors among them as arrays."""
    if isinstance(p, (list, tuple, range)):
        return [unpacked(q) for q in p]
    return host(p) if is_array(p) else p


def checked(array: Array, given: Any) -> Any:
    """Return an array of int64 or bool in memory of its own, a single integer as an int."""
    kind = array.dtype.kind
    if kind == "b":
        return array.copy()
    if array.dtype == np.uint8:
        raise ArgumentIndexError(
            "index: an array of uint8 is a mask to PyTorch and positions to NumPy; write .bool() or"
            " .long() (.astype(bool) or .astype(int) of a NumPy array)"
        )
    if kind not in "iu":
        what = f"a tensor of {array.dtype}" if is_array(given) else f"{given!r:.60}"
        raise ArgumentTypeError(
            f"index: expected integers or a bool mask, got {what}; use .long() or comparisons"
        )
    if kind == "u" and array.size and array.max() > np.iinfo(INT64).max:
        raise ArgumentIndexError(f"index: {array.max()} is out of range for any dimension")
    return array.astype(INT64) if array.ndim else int(array)


def placed(parts: list[Any], shape: tuple[int, ...]) -> tuple[Any, ...] | Chosen:
    """Return the parts as a view of an array of `shape`, and positions in that view."""
    taken = sum(taken_by(p) for p in parts)
    if taken > len(shape):
        raise ArgumentIndexError(
            f"index: too many indices for shape {shape}: it has {len(shape)} dimensions, "
            f"{taken} were indexed"
        )
    dots = sum(p is Ellipsis for p in parts)
    if dots > 1:
        raise ArgumentIndexError(f"index: expected at most one Ellipsis, got {dots}")
    if not dots:
        parts.append(Ellipsis)
    view: list[Any] = []
    arrays: list[Array | None] = []
    dim = 0  # the dimension of `shape` that the next part indexes
    for p in parts:
        if p is Ellipsis:
            free = len(shape) - taken
            view += [ALL] * free
            arrays += [None] * free
            dim += free
        elif isinstance(p, np.ndarray):
            found = masked(p, shape, dim) if p.dtype == bool else [in_range(p, shape[dim], dim)]
            view += [ALL if p.ndim else None] * len(found)
            arrays += found
            dim += taken_by(p)
        else:
            view.append(
                p if p.__class__ is not int else int(in_range(np.array(p), shape[dim], dim))
            )
            if p.__class__ is not int:
                arrays.append(None)
            dim += p is not None
    if all(a is None for a in arrays):
        return tuple(view)
    return Chosen(tuple(view), arrays)


def taken_by(p: Any) -> int:
    """Return how many dimensions of the array a part of an index takes."""
    if isinstance(p, np.ndarray):
        return p.ndim if p.dtype == bool else 1
    return 0 if p is None or p is Ellipsis else 1


def masked(mask: Array, shape: tuple[int, ...], dim: int) -> list[Array | None]:
    """Return the positions where a mask holds, an array a dimension; a single bool takes none, and
    adds one of size 1 or 0.
    """
    if not mask.ndim:
        return [np.zeros(int(mask), INT64)]
    if mask.shape != shape[dim : dim + mask.ndim]:
        raise ArgumentIndexError(
            f"index: boolean index did not match: the mask has shape {mask.shape}, the dimensions"
            f" {dim} to {dim + mask.ndim - 1} of shape {shape} it stands at have "
            f"{shape[dim : dim + mask.ndim]}"
        )
    return list(mask.nonzero())


def in_range(array: Array, n: int, dim: int, lowest: int | None = None) -> Array:
    """Return positions in [0, n), negative ones counted from the end; lowest: what may come."""
    if lowest is None:
        lowest = -n
    if array.size:
        if lowest == 0 and array.dtype == INT64 and MOST(array.view(UINT64), axis=None) < n:
            return array  # in one pass: a negative number is a large one without its sign
        low, high = LEAST(array, axis=None), MOST(array, axis=None)
        if low < lowest or high >= n:
            bad = high if high >= n else low
            raise ArgumentIndexError(
                f"index {bad} is out of range for {n} {'entries' if dim else 'rows'}: out of bounds"
                f" of dimension {dim} with size {n}"
            )
        if low < 0:
            return np.where(array < 0, array + n, array)
    return array
