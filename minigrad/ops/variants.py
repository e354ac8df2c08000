"""Functions of other files under other conditions: as copies, in place, or with another name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import filled
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.grad_mode import mode
from minigrad.engine.hooks import replace_node
from minigrad.engine.op import Bridge, bump_version
from minigrad.engine.trace import user_line
from minigrad.ops import arranging, shape, strides, triangles
from minigrad.ops.arranging import beside
from minigrad.ops.common import sizes_of
from minigrad.ops.grammar import host
from minigrad.ops.reduce import reduce_to
from minigrad.ops.registry import public
from minigrad.ops.results import result

Function = Callable[..., Any]
HistogramDD = result("histogramdd", "hist", "bin_edges")


# ---------------------------------------------------------------- copies of views
def copying(view: Function, name: str) -> Function:
    """Return a function that copies what a view shows."""

    def function(*args: Any, **options: Any) -> Any:
        found = view(*args, **options)
        if isinstance(found, tuple):
            return tuple(t.clone() for t in found)
        return found.clone()

    function.__signature__ = inspect.signature(view)  # type: ignore[attr-defined]
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = f"Return a copy of what `{view.__name__}` shows."
    return function


for _view in (
    shape.expand,
    shape.permute,
    shape.squeeze,
    shape.transpose,
    shape.unbind,
    shape.unsqueeze,
    triangles.diagonal,
    arranging.narrow,
    arranging.select,
    arranging.split_with_sizes,
    strides.as_strided,
    strides.unfold,
):
    public("function")(copying(_view, f"{_view.__name__}_copy"))


@public("function")
def view_copy(input: Any, size: Sequence[int]) -> Any:
    """Return a copy in another shape."""
    return shape.reshape(input, size).clone()


@public("function")
def t_copy(input: Any) -> Any:
    """Return a copy of a matrix transposed."""
    return input.t().clone()


@public("function")
def alias_copy(input: Any) -> Any:
    """Return a copy."""
    return input.clone()


@public("tensor")
def unsafe_split(input: Any, split_size: int, dim: int = 0) -> tuple[Any, ...]:
    """Cut a tensor into views, as `split`."""
    return shape.split(input, split_size, dim)


@public("tensor")
def unsafe_chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Cut a tensor into views, as `chunk`."""
    return shape.chunk(input, chunks, dim)


# ---------------------------------------------------------------- views in place
def seen_anew(input: Any, view: Any) -> Any:
    """Give a tensor the shape of a view of it, in place."""
    if mode.recording and input.tracked:
        input._check_recorded("a change of shape")
        replace_node(input, view.node)
    bump_version(input, f"at {user_line()}")
    input.array = view.array
    return input


def anew(view: Function) -> Function:
    """Return the method that gives a tensor the shape of a view of it."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return seen_anew(self, view(self, *args, **options))

    method.__name__ = method.__qualname__ = f"{view.__name__}_"
    method.__module__ = __name__
    method.__doc__ = f"Give this tensor the shape that `{view.__name__}` shows, in place."
    return method


IN_PLACE: tuple[Function, ...] = (
    shape.squeeze,
    shape.unsqueeze,
    shape.transpose,
    arranging.swapaxes,
)
for _shown in IN_PLACE:
    public("method")(anew(_shown))


@public("method")
def swapdims_(input: Any, dim0: int, dim1: int) -> Any:
    """Exchange two dimensions in place."""
    return seen_anew(input, shape.transpose(input, dim0, dim1))


@public("method")
def t_(input: Any) -> Any:
    """Transpose a matrix in place."""
    return seen_anew(input, input.t())


@public("function")
def t(input: Any) -> Any:
    """Return a matrix transposed, a view; vectors and numbers are themselves."""
    return input.t()


@public("tensor")
def adjoint(input: Any) -> Any:
    """Return the matrices of a tensor transposed, a view."""
    if input.ndim < 2:
        raise ArgumentError(f"adjoint: expected at least two dimensions, got shape {input.shape}")
    return shape.transpose(input, -2, -1)


@public("method")
def fill_diagonal_(input: Any, fill_value: float, wrap: bool = False) -> Any:
    """Set the main diagonal, the elements whose places agree, to a number; wrap: of a matrix with
    more rows than columns, again and again below it.
    """
    sizes = tuple(input.shape)
    if len(sizes) < 2 or (len(sizes) > 2 and len(set(sizes)) > 1):
        raise ArgumentError(
            f"fill_diagonal_: expected a matrix, or sizes that all agree, got shape {sizes}"
        )
    if wrap and len(sizes) == 2:
        rows = np.arange(0, sizes[0] * sizes[1], sizes[1] + 1) // max(sizes[1], 1)
        columns = np.arange(0, sizes[0] * sizes[1], sizes[1] + 1) % max(sizes[1], 1)
        input[rows, columns] = fill_value
        return input
    steps = np.arange(min(sizes))
    input[(steps,) * len(sizes)] = fill_value
    return input


# ---------------------------------------------------------------- sizes
@public("method")
def sum_to_size(input: Any, *size: Any) -> Any:
    """Return the sum over what was broadcast from a size.

    >>> import minigrad as mg
    >>> mg.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    wanted = sizes_of(size)
    lead = input.ndim - len(wanted)
    fits = lead >= 0 and all(
        n in (1, m) for n, m in zip(wanted, input.shape[max(lead, 0) :], strict=True)
    )
    if not fits:
        raise ArgumentError(f"sum_to_size: {wanted} does not broadcast to shape {input.shape}")
    if not wanted:
        return input.sum()  # of bools an int, of a number too
    return input if tuple(input.shape) == wanted else reduce_to(input, wanted)


# ---------------------------------------------------------------- places
@public("tensor")
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Return where elements are among others.

    >>> import minigrad as mg
    >>> mg.isin(mg.tensor([1, 2, 3]), mg.tensor([2, 5]))
    tensor([False,  True, False])
    """
    like = elements if isinstance(elements, Bridge.tensor) else test_elements
    if not isinstance(like, Bridge.tensor):
        raise ArgumentTypeError("isin: expected at least one tensor, got two numbers")
    found = np.isin(host(elements), host(test_elements), invert=invert)
    return beside(np.asarray(found), like)


@public("function")
def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Return the places in a shape that flat positions stand for, a tensor a dimension.

    >>> import minigrad as mg
    >>> mg.unravel_index(mg.tensor([5]), (2, 3))
    (tensor([1]), tensor([2]))
    """
    sizes = (int(shape),) if not isinstance(shape, (tuple, list)) else sizes_of((tuple(shape),))
    flat = host(indices)
    if flat.dtype.kind not in "iu":
        raise ArgumentTypeError(f"unravel_index: expected integers, got {indices.dtype}")
    if min(sizes, default=0) < 0:
        raise ArgumentError(f"unravel_index: sizes must not be negative, got {sizes}")
    found = [flat // math.prod(sizes[d + 1 :]) % max(n, 1) for d, n in enumerate(sizes)]
    return tuple(beside(np.asarray(at, np.int64), indices) for at in found)


@public("tensor")
def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """Return the places of at most `size` elements that are not zero, the rest `fill_value`."""
    if size < 0:
        raise ArgumentError(f"nonzero_static: size must not be negative, got {size}")
    places = np.argwhere(host(input))[:size]
    made = np.full((size, input.ndim), fill_value, np.int64)
    made[: len(places)] = places
    return beside(made, input)


@public("function")
def histogramdd(
    input: Any,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Any = None,
    density: bool = False,
) -> Any:
    """Return (hist, bin_edges) of points (..., D) in D dimensions.

    bins: how many parts of each dimension, or a list of the edges.  range: (low, high) of each.
    """
    points = host(input).reshape(-1, input.shape[-1])
    dims = points.shape[1]
    ends = None if range is None else list(zip(range[::2], range[1::2], strict=True))
    if not isinstance(bins, int) and len(bins) != dims:
        raise ArgumentError(f"histogramdd: expected bins for {dims} dimensions, got {len(bins)}")
    given: Any = [bins] * dims if isinstance(bins, int) else list(bins)
    given = [host(b) if isinstance(b, Bridge.tensor) else int(b) for b in given]
    factors = None if weight is None else host(weight).reshape(-1)
    hist, edges = np.histogramdd(points, given, ends, weights=factors, density=density)
    kind = points.dtype
    return HistogramDD(
        beside(hist.astype(kind), input), tuple(beside(e.astype(kind), input) for e in edges)
    )


@public("function")
def fill(input: Any, value: Any) -> Any:
    """Return a tensor like the input with `value`, a number or a 0-d tensor, in every element.

    >>> import minigrad as mg
    >>> fill(mg.zeros(2), 3)
    tensor([3., 3.])
    """
    return input.clone().fill_(value)


@public("function")
def constant_pad_nd(input: Any, pad: Sequence[int], value: float = 0) -> Any:
    """Return a tensor enlarged at the ends of its last dimensions, or cut; (before, after) of the
    last first.
    """
    ends = list(pad)
    if len(ends) % 2 or len(ends) > 2 * input.ndim:
        raise ArgumentError(f"constant_pad_nd: {ends} does not fit shape {input.shape}")
    y = input
    for k in np.arange(len(ends) // 2):
        axis, (before, after) = input.ndim - 1 - int(k), ends[2 * k : 2 * k + 2]
        n = y.shape[axis]
        if n + before + after < 0:
            raise ArgumentError(
                f"constant_pad_nd: {ends} cuts off more than shape {input.shape} has"
            )
        start, end = max(-before, 0), n - max(-after, 0)
        parts = [arranging.narrow(y, axis, start, max(end - start, 0))]
        for size, first in ((before, True), (after, False)):
            if size > 0:
                sides = (*y.shape[:axis], size, *y.shape[axis + 1 :])
                filler = Bridge.new(filled(sides, value, y.array.dtype, y.array))
                parts.insert(0 if first else len(parts), filler)
        y = shape.cat(parts, axis)
    return y.clone() if y is input else y
