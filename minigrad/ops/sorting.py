"""Order: sort, topk, unique, searchsorted, histograms.  NumPy finds the positions, on the host;
gradients flow through the elements that were picked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import Bridge
from minigrad.ops.arranging import beside
from minigrad.ops.common import Array, axis_of
from minigrad.ops.grammar import host
from minigrad.ops.index import Index, along
from minigrad.ops.registry import public
from minigrad.ops.results import Kthvalue, Sort, Topk, result
from minigrad.ops.shape import Reshape

INT64 = np.dtype(np.int64)
PACKED = 1024  # elements from which an order is found by sorting elements and places as one
Histogram = result("histogram", "hist", "bin_edges")


# ---------------------------------------------------------------- along a dimension
def order_of(a: Array, axis: int, descending: bool) -> Array:
    """Return the positions that sort an array, equals in their order; a NaN is the largest."""
    if not descending:
        return stable_order(a, axis)
    turned = np.flip(a, axis)
    found = stable_order(turned, axis)
    return np.asarray(a.shape[axis] - 1 - np.flip(found, axis))


def stable_order(a: Array, axis: int) -> Array:
    """Return what np.argsort(a, axis, kind="stable") does, for narrow numbers several times as
    fast: NumPy sorts integers by vector instructions, and an element and its place fit into one.
    """
    kind, size = a.dtype.kind, a.dtype.itemsize
    if a.size < PACKED or a.shape[axis] >= 2**31 or kind not in "fib" or size > 4:
        return np.argsort(a, axis=axis, kind="stable")
    lines = np.moveaxis(a, axis, -1)
    if kind == "f":
        # The bits of a float32 are in order as signed integers, those of negative numbers turned.
        numbers = lines + np.float32(0)  # -0 becomes 0, its equal
        bits = numbers.view(np.int32)
        bits ^= (bits >> 31) & 0x7FFFFFFF
        bits[lines != lines] = 0x7FFFFFFF  # every NaN alike, above infinity
        lines = bits
    packed = np.left_shift(lines, 32, dtype=INT64)
    packed |= np.arange(a.shape[axis])
    packed.sort(axis=-1)
    packed &= 0xFFFFFFFF
    return np.moveaxis(packed, -1, axis)


def place_of_rank(a: Array, rank: int, axis: int) -> Array:
    """Return the positions of the elements with so many before them in order, along an axis that is
    kept; equals stand in their order, a NaN is the largest.
    """
    values = np.take(np.partition(a, rank, axis=axis), [rank], axis=axis)
    return places_of(a, values, rank, axis)


def places_of(a: Array, values: Array, rank: Any, axis: int) -> Array:
    """Return the positions of values with given ranks in the order along an axis that is kept."""
    equal = a == values
    before = (a < values).sum(axis=axis, keepdims=True)
    missing = values != values
    if missing.any():
        absent = a != a
        equal |= absent & missing
        before = np.where(missing, a.shape[axis] - absent.sum(axis=axis, keepdims=True), before)
    equals = rank - before  # how many equals stand before it
    if equals.any():
        equal = equal.cumsum(axis=axis) > equals
    return equal.argmax(axis=axis, keepdims=True).astype(INT64, copy=False)


def first_of_order(a: Array, k: int, axis: int, descending: bool) -> Array:
    """Return the first `k` of the positions that sort an array."""
    n = a.shape[axis]
    if 8 * k > n or not k:
        return np.take(order_of(a, axis, descending), np.arange(k), axis=axis)
    parted = np.argpartition(a, n - k if descending else k - 1, axis=axis)
    chosen = np.take(parted, np.arange(n - k, n) if descending else np.arange(k), axis=axis)
    chosen = np.sort(chosen, axis=axis)  # so that equals keep their order
    order = order_of(np.take_along_axis(a, chosen, axis), axis, descending)
    return np.take_along_axis(chosen, order, axis)


def picked_along(input: Any, places: Array, axis: int) -> Any:
    """Return the elements at positions along an axis."""
    return Index.apply(input, index=along(np.ascontiguousarray(places), axis))


@public("tensor")
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Return (values, indices): the elements in order along `dim`, and where each was.

    Equals keep their order, whatever `stable`; a NaN is the largest.

    >>> import minigrad as mg
    >>> values, indices = mg.sort(mg.tensor([3.0, 1.0, 2.0]))
    >>> values, indices
    (tensor([1., 2., 3.]), tensor([1, 2, 0]))
    """
    axis = axis_of("sort", dim, input.ndim)
    if not input.ndim:
        return Sort(input.clone(), beside(np.zeros((), INT64), input))
    places = order_of(host(input), axis, bool(descending)).astype(INT64)
    return Sort(picked_along(input, places, axis), beside(places, input))


@public("tensor")
def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Return the positions that sort the tensor along `dim`; see `sort`."""
    axis = axis_of("argsort", dim, input.ndim)
    if not input.ndim:
        return beside(np.zeros((), INT64), input)
    return beside(order_of(host(input), axis, bool(descending)).astype(INT64), input)


@public("tensor")
def msort(input: Any) -> Any:
    """Return the elements in order along the first dimension."""
    return sort(input, 0).values


@public("tensor")
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """Return (values, indices) of the `k` largest, or smallest, elements along `dim`, in order.

    >>> import minigrad as mg
    >>> mg.topk(mg.tensor([1.0, 3.0, 2.0]), 2).indices
    tensor([1, 2])
    """
    axis, k = axis_of("topk", dim, input.ndim), arguments.whole("topk", "k", k)
    n = input.shape[axis] if input.ndim else 1
    if not 0 <= k <= n:
        raise ArgumentError(f"topk: k is {k}, dim {dim} of shape {input.shape} has {n} elements")
    if not input.ndim:
        if not k:
            return Topk(input.detach(), beside(np.zeros((), INT64), input))
        return Topk(input.clone(), beside(np.zeros((), INT64), input))
    places = first_of_order(host(input), k, axis, bool(largest)).astype(INT64)
    return Topk(picked_along(input, places, axis), beside(places, input))


@public("tensor")
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """Return (values, indices) of the k-th smallest element along `dim`, counted from 1."""
    axis, k = axis_of("kthvalue", dim, input.ndim), arguments.whole("kthvalue", "k", k)
    n = input.shape[axis] if input.ndim else 1
    if not 1 <= k <= n:
        raise ArgumentError(f"kthvalue: k is {k}, expected 1 to {n}, the size of dim {dim}")
    if not input.ndim:
        return Kthvalue(input.clone(), beside(np.zeros((), INT64), input))
    places = place_of_rank(host(input), k - 1, axis)
    values, indices = picked_along(input, places, axis), beside(places, input)
    if keepdim:
        return Kthvalue(values, indices)
    shape = tuple(m for d, m in enumerate(input.shape) if d != axis)
    return Kthvalue(Reshape.apply(values, shape=shape), Reshape.apply(indices, shape=shape))


# ---------------------------------------------------------------- values that differ
@public("tensor")
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Return the values that differ, in order; along `dim`, the slices that do.

    return_inverse: also where each element's value is among them.  return_counts: also how often
    each was there.

    >>> import minigrad as mg
    >>> mg.unique(mg.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    a, axis = host(input), None if dim is None else axis_of("unique", dim, input.ndim)
    if axis is not None and not a.ndim:
        axis, a = None, a.reshape(-1)
    asked: Any = {"return_inverse": bool(return_inverse), "return_counts": bool(return_counts)}
    found: Any = np.unique(a, axis=axis, equal_nan=False, **asked)
    parts = list(found) if isinstance(found, tuple) else [found]
    if return_inverse:
        parts[1] = parts[1].reshape(a.shape if axis is None else (a.shape[axis],))
    made = tuple(beside(p if i == 0 else p.astype(INT64), input) for i, p in enumerate(parts))
    return made if len(made) > 1 else made[0]


def found_values(
    input: Any, values: Array, inverse: Array, counts: Array, inverses: bool, number: bool
) -> Any:
    """Return the values, and what was asked for beside them."""
    found = [beside(values, input)]
    found += [beside(inverse.astype(INT64), input)] if inverses else []
    found += [beside(counts.astype(INT64), input)] if number else []
    return found[0] if len(found) == 1 else tuple(found)


@public("tensor")
def unique_consecutive(
    input: Any,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Return the values with each run of equals as one; see `unique`.

    >>> import minigrad as mg
    >>> mg.unique_consecutive(mg.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    a = host(input)
    axis = 0 if dim is None else axis_of("unique_consecutive", dim, input.ndim)
    rows = np.moveaxis(a if dim is not None and a.ndim else a.reshape(-1), axis, 0)
    n = len(rows)
    flat = rows.reshape(n, -1) if n else rows.reshape(0, 1)
    new = np.ones(n, bool)
    new[1:] = (flat[1:] != flat[:-1]).any(axis=1)
    starts = np.flatnonzero(new)
    values = np.moveaxis(rows[starts], 0, axis)
    inverse = np.cumsum(new) - 1
    counts = np.diff(np.append(starts, n))
    shape = a.shape if dim is None else (n,)
    return found_values(
        input, values, inverse.reshape(shape), counts, return_inverse, return_counts
    )


# ---------------------------------------------------------------- places in an order
@public("function")
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Return where each value would go into rows in order, before its equals, or behind them.

    >>> import minigrad as mg
    >>> mg.searchsorted(mg.tensor([1, 3, 5]), mg.tensor([3, 4]))
    tensor([1, 2])
    """
    if side is not None and side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    if side == "left" and right:
        raise ArgumentError("searchsorted: side 'left' and right=True contradict each other")
    behind = side == "right" or bool(right)
    rows = host(sorted_sequence)
    values = host(input) if isinstance(input, Bridge.tensor) else np.asarray(input)
    if sorter is not None:
        rows = np.take_along_axis(rows, host(sorter), -1)
    if rows.ndim != 1 and rows.shape[:-1] != values.shape[:-1]:
        raise ArgumentError(
            f"searchsorted: rows of shape {rows.shape} and values of shape {values.shape} must "
            "agree in all but the last dimension"
        )
    kind = np.int32 if out_int32 else np.int64
    where: Any = "right" if behind else "left"
    if rows.ndim == 1:
        return beside(np.asarray(np.searchsorted(rows, values, where), kind), sorted_sequence)
    found = np.empty(values.shape, kind)
    for i in np.ndindex(values.shape[:-1]):
        found[i] = np.searchsorted(rows[i], values[i], where)
    return beside(found, sorted_sequence)


@public("function")
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Return in which of the intervals between `boundaries`, a vector in order, values lie."""
    if boundaries.ndim != 1:
        raise ArgumentError(f"bucketize: boundaries must be a vector, got shape {boundaries.shape}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


# ---------------------------------------------------------------- counts
@public("tensor")
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """Return how often 0, 1, 2, ... are in a vector of ints that are not negative, or the sums of
    the weights there.

    >>> import minigrad as mg
    >>> mg.bincount(mg.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    a = host(input)
    if a.ndim != 1 or a.dtype.kind not in "iu" or (a.size and a.min() < 0):
        raise ArgumentError(
            f"bincount: expected a vector of ints of at least 0, got {input.dtype} {input.shape}"
        )
    if minlength < 0:
        raise ArgumentError(f"bincount: minlength must not be negative, got {minlength}")
    if weights is None:
        return beside(np.bincount(a, minlength=minlength).astype(INT64), input)
    factors = host(weights)
    if factors.shape != a.shape:
        raise ArgumentError(f"bincount: weights have shape {factors.shape}, the input {a.shape}")
    kind = np.float32 if factors.dtype == np.float32 else np.float64
    return beside(np.bincount(a, factors, minlength).astype(kind), input)


def span_of(name: str, a: Array, low: float, high: float, reach: float) -> tuple[float, float]:
    """Return the bounds of a histogram: those of the elements where both are equal."""
    if low == high and a.size:
        low, high = float(a.min()), float(a.max())
    if low == high:
        low, high = low - reach, high + reach
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ArgumentError(f"{name}: the range [{low}, {high}] is not finite")
    if low > high:
        raise ArgumentError(f"{name}: the upper bound {high} lies below the lower, {low}")
    return low, high


@public("tensor")
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """Return how many elements lie in each of `bins` equal parts of [min, max], by default the
    range of the elements; those outside do not count.

    >>> import minigrad as mg
    >>> mg.histc(mg.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    a = host(input).reshape(-1)
    if bins < 1:
        raise ArgumentError(f"histc: expected at least one bin, got {bins}")
    if a.dtype.kind not in "fiu":
        raise ArgumentTypeError(f"histc: expected numbers, got {input.dtype}")
    low, high = span_of("histc", a, float(min), float(max), 1)
    inside = a[(a >= low) & (a <= high)].astype(np.float64)
    places = ((inside - low) / (high - low) * bins).astype(INT64)
    counts = np.bincount(np.minimum(places, bins - 1), minlength=bins)
    return beside(counts.astype(a.dtype), input)


@public("tensor")
def histogram(
    input: Any,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Any = None,
    density: bool = False,
) -> Any:
    """Return (hist, bin_edges): the sums of weights, or numbers of elements, between edges.

    bins: how many equal parts of `range`, or the edges themselves.
    """
    a = host(input).reshape(-1)
    if a.dtype.kind != "f":
        raise ArgumentTypeError(f"histogram: expected a floating tensor, got {input.dtype}")
    if isinstance(bins, Bridge.tensor):
        edges = host(bins)
    else:
        low, high = (0.0, 0.0) if range is None else range
        if range is None:
            low, high = span_of("histogram", a, 0.0, 0.0, 0.5) if a.size else (0.0, 1.0)
        elif low == high:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, bins + 1).astype(a.dtype)
    factors = None if weight is None else host(weight).reshape(-1)
    hist = np.histogram(a, edges, weights=factors)[0].astype(a.dtype)
    if density:
        hist = (hist / (hist.sum() * np.diff(edges))).astype(a.dtype)
    return Histogram(beside(hist, input), beside(edges, input))
