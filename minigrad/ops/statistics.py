"""Statistics: medians, quantiles, modes, counts, sums without NaN, covariances, differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError, ArgumentIndexError, ArgumentTypeError
from minigrad.engine.op import Bridge
from minigrad.engine.recording import recording
from minigrad.ops.arranging import beside, movedim, narrow
from minigrad.ops.common import Array, axes_of, axis_of, only_floating, tensor_of
from minigrad.ops.elementwise import INFINITE, where
from minigrad.ops.grammar import host
from minigrad.ops.index import gather
from minigrad.ops.linalg import matmul
from minigrad.ops.pairs import lerp
from minigrad.ops.reduce import Amax, Amin, Dim, Sum, std, var
from minigrad.ops.registry import public
from minigrad.ops.results import result
from minigrad.ops.shape import cat
from minigrad.ops.sorting import place_of_rank, places_of, sort
from minigrad.ops.steps import NanToNum
from minigrad.ops.unary import no_bools

INT64 = np.dtype(np.int64)
Median = result("median", "values", "indices")
Nanmedian = result("nanmedian", "values", "indices")
Mode = result("mode", "values", "indices")
Aminmax = result("aminmax", "min", "max")


# ---------------------------------------------------------------- sums and counts
@public("tensor")
def nansum(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return the sum over `dim` of what is not NaN.

    >>> import minigrad as mg
    >>> nansum(mg.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    known = input
    if input.array.dtype.kind == "f":
        known = NanToNum.apply(input, most=INFINITE, least=-INFINITE)
    return known.sum(dim, keepdim, dtype=dtype)


@public("tensor")
def nanmean(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Return the mean over `dim` of what is not NaN.

    >>> import minigrad as mg
    >>> nanmean(mg.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    if dtype is not None:
        input = input.to(dtype)
    only_floating("nanmean", input.array)
    count = input.isnan().logical_not().sum(dim, keepdim)
    return nansum(input, dim, keepdim) / count


@public("tensor")
def count_nonzero(input: Any, dim: Dim = None) -> Any:
    """Return how many elements are not zero, over `dim`.

    >>> import minigrad as mg
    >>> count_nonzero(mg.tensor([[0, 1], [2, 3]]), 1)
    tensor([1, 2])
    """
    if type(input.array) is np.ndarray and recording.recorder is None:
        axes = axes_of("count_nonzero", dim, input.ndim)
        if len(axes) == input.ndim:
            return Bridge.new(np.array(np.count_nonzero(input.array), INT64))
    return Sum.apply(input != 0, dim=dim)


@public("tensor")
def var_mean(input: Any, *args: Any, **options: Any) -> Any:
    """Return (variance, mean) over `dim`; the arguments are those of `var`.

    >>> import minigrad as mg
    >>> var_mean(mg.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    options = by_our_names(options)
    return var(input, *args, **options), mean_beside(input, args, options)


@public("tensor")
def std_mean(input: Any, *args: Any, **options: Any) -> Any:
    """Return (standard deviation, mean) over `dim`; the arguments are those of `std`."""
    options = by_our_names(options)
    return std(input, *args, **options), mean_beside(input, args, options)


def by_our_names(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with PyTorch's names for NumPy's."""
    names = {"axis": "dim", "keepdims": "keepdim"}
    return {names.get(name, name): value for name, value in options.items()}


def mean_beside(input: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return the mean over the dimensions that are the first argument of `var`, kept as there."""
    dim = options.get("dim", args[0] if args else None)
    kept = options.get("keepdim", args[2] if len(args) > 2 else False)
    return input.mean(None if isinstance(dim, bool | np.bool_) else dim, kept)


@public("tensor")
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return (min, max) over `dim`; ties share the gradient.

    >>> import minigrad as mg
    >>> aminmax(mg.tensor([3.0, 1.0, 2.0])).max
    tensor(3.)
    """
    options = {"dim": dim, "keepdim": keepdim}
    return Aminmax(Amin.apply(input, **options), Amax.apply(input, **options))


# ---------------------------------------------------------------- order
@public("tensor")
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the median, of two the lower one; along `dim` (values, indices).

    NaN where there is one.  Over all elements, equals share the gradient.

    >>> import minigrad as mg
    >>> median(mg.tensor([3.0, 1.0, 2.0, 4.0]))
    tensor(2.)
    """
    if dim is None:
        return over_all(input, places_of_median(host(input).reshape(-1), 0, False))
    return along_one("median", Median, input, dim, keepdim, False)


@public("tensor")
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the median of what is not NaN; see `median`."""
    if dim is None:
        return over_all(input, places_of_median(host(input).reshape(-1), 0, True))
    return along_one("nanmedian", Nanmedian, input, dim, keepdim, True)


def places_of_median(a: Array, axis: int, skip: bool) -> Array:
    """Return the positions of the medians along an axis, a dimension that is kept.

    skip: whether NaN counts as absent; else it is the median.
    """
    n = a.shape[axis]
    absent = a != a
    if n and not absent.any():
        return place_of_rank(a, (n - 1) // 2, axis)
    missing = absent.sum(axis=axis, keepdims=True)
    middle = (
        np.maximum(n - missing - 1, 0) // 2
        if skip
        else np.where(missing > 0, n - missing, (n - 1) // 2)
    ).astype(INT64)
    return places_of(a, np.take_along_axis(np.sort(a, axis=axis), middle, axis), middle, axis)


def over_all(input: Any, place: Array) -> Any:
    """Return one of all elements; its equals share the gradient."""
    y = input.reshape(-1)[int(place[0])]
    if not input.requires_grad:
        return y
    value = y.detach()
    equal = (input.detach() == value) | (input.isnan() & value.isnan())
    return where(equal, input, 0.0).sum() / equal.sum()


def along_one(name: str, kind: Any, input: Any, dim: int, keepdim: bool, skip: bool) -> Any:
    """Return the medians along a dimension and their positions."""
    axis = axis_of(name, dim, input.ndim)
    if not input.ndim:
        return kind(input.clone(), beside(np.zeros((), INT64), input))
    a = host(input)
    if not a.shape[axis]:
        raise ArgumentIndexError(f"{name}: shape {a.shape} has no elements along dim {dim}")
    return picked_at(kind, input, places_of_median(a, axis, skip), axis, keepdim)


def picked_at(kind: Any, input: Any, places: Array, axis: int, keepdim: bool) -> Any:
    """Return the elements at one position a line along an axis, and the positions."""
    indices = beside(places, input)
    values = gather(input, axis, indices)
    return kind(values, indices) if keepdim else kind(values.squeeze(axis), indices.squeeze(axis))


@public("tensor")
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """Return (values, indices): the most frequent element along `dim`, the smallest of several, and
    where it stands last.

    >>> import minigrad as mg
    >>> mode(mg.tensor([1, 2, 2, 1, 2])).values
    tensor(2)
    """
    axis = axis_of("mode", dim, input.ndim)
    if not input.ndim:
        return Mode(input.clone(), beside(np.zeros((), INT64), input))
    a = host(input)
    if not a.shape[axis]:
        raise ArgumentIndexError(f"mode: shape {a.shape} has no elements along dim {dim}")
    lines = np.moveaxis(a, axis, -1)
    places = np.empty((*lines.shape[:-1], 1), INT64)
    for i in np.ndindex(lines.shape[:-1]):
        values, counts = np.unique(lines[i], return_counts=True, equal_nan=False)
        same = lines[i] == values[counts.argmax()]
        places[i] = np.flatnonzero(same)[-1] if same.any() else 0
    return picked_at(Mode, input, np.moveaxis(places, -1, axis), axis, keepdim)


@public("tensor")
def quantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """Return the q-th quantiles along `dim`, of all elements without one; NaN where there is one.

    q: a number of 0 to 1, or a vector of them, which becomes the first dimension of the result.
    interpolation: between two elements: "linear", "lower", "higher", "midpoint" or "nearest".

    >>> import minigrad as mg
    >>> quantile(mg.tensor([0.0, 1.0, 2.0, 3.0]), 0.5)
    tensor(1.5000)
    """
    return quantiles("quantile", input, q, dim, keepdim, interpolation, False)


@public("tensor")
def nanquantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """Return the q-th quantiles of what is not NaN; see `quantile`."""
    return quantiles("nanquantile", input, q, dim, keepdim, interpolation, True)


def quantiles(
    name: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip: bool
) -> Any:
    """Return quantiles along a dimension or of all elements; see `quantile`."""
    dtype = only_floating(name, input.array).dtype
    ways = ("linear", "lower", "higher", "midpoint", "nearest")
    if interpolation not in ways:
        raise ArgumentError(
            f"{name}: interpolation must be one of {', '.join(ways)}, got {interpolation!r}"
        )
    q = tensor_of(q, input)
    levels = host(q)
    if levels.ndim > 1 or levels.dtype != dtype:
        raise ArgumentTypeError(
            f"{name}: q must be a number or a vector of {dtype}, got {levels.dtype} of shape "
            f"{levels.shape}"
        )
    if not ((levels >= 0) & (levels <= 1)).all():
        raise ArgumentError(f"{name}: q must lie between 0 and 1, got {levels.tolist()}")
    if not input.array.size:
        raise ArgumentError(f"{name}: shape {input.array.shape} has no elements")
    ndim = input.ndim
    axis = None if dim is None or not ndim else axis_of(name, dim, ndim)
    lines = input.reshape(-1) if axis is None else movedim(input, axis, -1)
    y = interpolated(sort(lines).values, q.reshape(-1), interpolation, skip)
    y = movedim(y, -1, 0)  # the levels first
    if keepdim:
        y = y.reshape(-1, *[1] * ndim) if axis is None else y.unsqueeze(axis + 1)
    return y if levels.ndim else y[0]


def interpolated(lines: Any, q: Any, interpolation: str, skip: bool) -> Any:
    """Return the elements of sorted lines at levels between 0 and 1, the levels last."""
    a = host(lines)
    missing = (a != a).sum(axis=-1, keepdims=True)
    n = a.shape[-1]
    last = np.maximum(n - missing - 1, 0) if skip else np.full_like(missing, n - 1)
    ranks = q * beside(last.astype(a.dtype), lines)
    at = host(ranks.detach())
    if not skip:
        at = np.where(missing > 0, n - 1, at).astype(a.dtype)
    if interpolation == "nearest":
        at = np.rint(at)
    low, high = np.floor(at).astype(INT64), np.ceil(at).astype(INT64)
    if interpolation == "higher":
        low = high
    below = gather(lines, -1, beside(low, lines))
    if interpolation in ("lower", "higher", "nearest"):
        return below
    above = gather(lines, -1, beside(high, lines))
    share = 0.5 if interpolation == "midpoint" else ranks - beside(low.astype(a.dtype), lines)
    return lerp(below, above, share)


# ---------------------------------------------------------------- scaled slices
@public("tensor", inplace=True)
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Return the tensor with each slice along `dim` scaled down to a p-norm of at most `maxnorm`.

    >>> import minigrad as mg
    >>> renorm(mg.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    if p <= 0 or maxnorm < 0:
        raise ArgumentError(
            f"renorm: expected p > 0 and maxnorm >= 0, got p={p}, maxnorm={maxnorm}"
        )
    if input.ndim < 2:
        raise ArgumentError(
            f"renorm: expected at least 2 dimensions, got shape {input.array.shape}"
        )
    axis = axis_of("renorm", dim, input.ndim)
    rest = tuple(i for i in range(input.ndim) if i != axis)
    size = input.norm(p, rest, keepdim=True)
    return input * where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)


# ---------------------------------------------------------------- differences and areas
@public("tensor")
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Return the n-th differences of neighbours along `dim`, after `prepend` and before `append`.

    >>> import minigrad as mg
    >>> diff(mg.tensor([1, 3, 7]))
    tensor([2, 4])
    """
    if not input.ndim:
        raise ArgumentError("diff: expected at least one dimension, got a single number")
    if n < 0:
        raise ArgumentError(f"diff: n must be at least 0, got {n}")
    axis = axis_of("diff", dim, input.ndim)
    if not n:
        return input
    parts = [t for t in (prepend, input, append) if t is not None]
    x = cat(parts, axis) if len(parts) > 1 else input
    for _ in range(n):
        m = x.array.shape[axis]
        if m < 2:
            return narrow(x, axis, 0, 0)
        low, high = narrow(x, axis, 0, m - 1), narrow(x, axis, 1, m - 1)
        x = high ^ low if x.array.dtype.kind == "b" else high - low
    return x


@public("function", also=("trapz",))
def trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Any:
    """Return the area under `y` along `dim` by the trapezoidal rule.

    x: where the values lie; without it they are `dx` apart.

    >>> import minigrad as mg
    >>> trapezoid(mg.tensor([1.0, 5.0, 10.0]))
    tensor(10.5000)
    """
    axis = axis_of("trapezoid", dim, y.ndim)
    n = y.array.shape[axis] if y.array.dtype.kind == "f" and y.ndim else 0
    if x is not None or n < 2 or getattr(dx, "ndim", 0):
        return areas(y, x, dx, axis).sum(axis)
    ends = narrow(y, axis, 0, 1) + narrow(y, axis, n - 1, 1)
    inner = narrow(y, axis, 1, n - 2).sum(axis)
    return (inner + ends.squeeze(axis) / 2.0) * dx


@public("function")
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Any:
    """Return the running area under `y` along `dim`; see `trapezoid`."""
    axis = axis_of("cumulative_trapezoid", dim, y.ndim)
    return areas(y, x, dx, axis).cumsum(axis)


def areas(y: Any, x: Any, dx: Any, axis: int) -> Any:
    """Return the area between each two neighbours."""
    n = y.array.shape[axis]
    if n < 2:
        return narrow(y, axis, 0, 0)
    total = narrow(y, axis, 0, n - 1) + narrow(y, axis, 1, n - 1)
    if x is None:
        return total * dx / 2.0
    if x.ndim == 1:
        steps = diff(x).reshape([-1 if i == axis else 1 for i in range(y.ndim)])
    else:
        steps = diff(x, dim=axis - y.ndim)
    return total * steps / 2.0


@public("function")
def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> Any:
    """Return the derivative along each of `dim`, by central differences, one-sided at the edges.

    spacing: of all samples, or for each dimension; or for each the coordinates of the samples.
    edge_order: how exact the edges are, 1 or 2.

    >>> import minigrad as mg
    >>> gradient(mg.tensor([1.0, 4.0, 9.0]))
    (tensor([3., 4., 5.]),)
    """
    axes = axes_of("gradient", dim, input.ndim)
    if isinstance(dim, (tuple, list)):
        axes = tuple(axis_of("gradient", d, input.ndim) for d in dim)  # in the order asked for
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order must be 1 or 2, got {edge_order}")
    spacing = 1 if spacing is None else spacing
    several = isinstance(spacing, (tuple, list))
    steps = list(spacing) if several else [spacing] * len(axes)
    if len(steps) != len(axes):
        raise ArgumentError(f"gradient: {len(steps)} spacings for {len(axes)} dimensions")
    for axis in axes:
        if input.array.shape[axis] <= edge_order:
            raise ArgumentError(
                f"gradient: shape {input.array.shape} has too few elements along dim {axis} for "
                f"edge_order {edge_order}"
            )
    x = input if input.array.dtype.kind == "f" else input.float()
    return tuple(slopes(x, axis, h, edge_order) for axis, h in zip(axes, steps, strict=True))


def slopes(x: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    """Return the derivative along one axis; spacing: a number, or the coordinates."""
    n = x.array.shape[axis]
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]

    def at(first: int, count: int) -> Any:
        return narrow(x, axis, first, count)

    if getattr(spacing, "ndim", 0):  # the distances of neighbours
        gaps = host(diff(spacing))
    else:
        gaps = np.full(n - 1, float(spacing))
    gaps = gaps.astype(x.array.dtype)

    def weighted(parts: list[tuple[Any, Array]]) -> Any:
        return sum_of([t * beside(w.reshape(shape), x) for t, w in parts])

    a, b = gaps[:-1], gaps[1:]
    middle = [
        (at(0, n - 2), -b / (a * (a + b))),
        (at(1, n - 2), (b - a) / (a * b)),
        (at(2, n - 2), a / (b * (a + b))),
    ]
    inner = [weighted(middle)] if n > 2 else []
    if edge_order == 1:
        low = [(at(0, 1), -1 / gaps[:1]), (at(1, 1), 1 / gaps[:1])]
        high = [(at(n - 2, 1), -1 / gaps[-1:]), (at(n - 1, 1), 1 / gaps[-1:])]
    else:
        p, q, r, s = gaps[:1], gaps[1:2], gaps[-2:-1], gaps[-1:]
        low = [
            (at(0, 1), -(2 * p + q) / (p * (p + q))),
            (at(1, 1), (p + q) / (p * q)),
            (at(2, 1), -p / (q * (p + q))),
        ]
        high = [
            (at(n - 3, 1), s / (r * (r + s))),
            (at(n - 2, 1), -(r + s) / (r * s)),
            (at(n - 1, 1), (2 * s + r) / (s * (r + s))),
        ]
    return cat([weighted(low), *inner, weighted(high)], axis)


def sum_of(terms: list[Any]) -> Any:
    """Return the sum of tensors."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


# ---------------------------------------------------------------- covariances
@public("tensor")
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Return the covariances of variables, a row each, over observations, a column each.

    fweights: how often each observation was made.  aweights: how much each counts.

    >>> import minigrad as mg
    >>> cov(mg.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input.ndim > 2:
        raise ArgumentError(f"cov: expected at most 2 dimensions, got shape {input.array.shape}")
    no_bools("cov", input.array)
    x = input.reshape(1, -1) if input.ndim < 2 else input
    n = x.array.shape[1]
    weight = weights_of(n, fweights, aweights)
    if weight is None:
        total: Any = n
        mean = x.mean(1, keepdim=True) if x.array.dtype.kind == "f" else x.sum(1, keepdim=True) / n
    else:
        total = weight.sum()
        mean = (x * weight).sum(1, keepdim=True) / total
    if weight is None or aweights is None or not correction:
        divisor = total - correction
    else:
        divisor = total - correction * (weight * aweights).sum() / total
    divisor = max(divisor, 0) if isinstance(divisor, int | np.integer) else divisor.clamp(min=0)
    centred = x - mean
    right = centred if weight is None else centred * weight
    return (matmul(centred, right.to(centred.dtype).mT) / divisor).squeeze()


def weights_of(n: int, fweights: Any, aweights: Any) -> Any:
    """Return the product of both weights of n observations, None where there are none.

    Raises: ValueError for negative ones, or another number of them.
    """
    for name, w, kinds in (("fweights", fweights, "iu"), ("aweights", aweights, "f")):
        if w is None:
            continue
        if w.ndim > 1 or w.array.size != n or w.array.dtype.kind not in kinds:
            wanted = "integers" if kinds == "iu" else "floats"
            raise ArgumentError(
                f"cov: {name} must be {n} {wanted}, got {w.array.dtype} of shape {w.array.shape}"
            )
        if (host(w) < 0).any():
            raise ArgumentError(f"cov: {name} must not be negative")
    if fweights is None:
        return aweights
    return fweights if aweights is None else fweights * aweights


@public("tensor")
def corrcoef(input: Any) -> Any:
    """Return the correlations of variables, a row each; see `cov`.

    >>> import minigrad as mg
    >>> corrcoef(mg.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    c = cov(input)
    if not c.ndim:
        return c / c
    size = c.diagonal().sqrt()
    return (c / size.unsqueeze(1) / size.unsqueeze(0)).clamp(-1, 1)
