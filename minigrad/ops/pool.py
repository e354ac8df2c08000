"""Pooling: largest and mean of windows.  Gradients are linear ops that are differentiated in turn.

The windows of an axis are a table: first element, last + 1, and the step (of a maximum) or the
divisor (of a mean); see the kernels.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigrad.engine.device import to_current_device
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentError
from minigrad.engine.op import Bridge, Op
from minigrad.ops.common import Array, contiguous, op
from minigrad.ops.elementwise import Where
from minigrad.ops.grammar import host
from minigrad.ops.index import picked
from minigrad.ops.shape import Reshape

INT32 = np.dtype(np.int32)
ONE = np.array([[0, 1, 1]])  # the one row of a signal of one dimension


class Windows:
    """The tables of an image: where each output's window lies, and what it is divided by."""

    __slots__ = ("column_windows", "row_windows", "shape")

    def __init__(self, row_windows: Array, column_windows: Array) -> None:
        self.row_windows = row_windows
        self.column_windows = column_windows
        self.shape = len(row_windows), len(column_windows)


def planes(a: Array, dims: int) -> Array:
    """Return (..., L) or (..., H, W) as contiguous (planes, H, W)."""
    lead = a.shape[: a.ndim - dims]
    size = (1,) * (2 - dims) + a.shape[a.ndim - dims :]
    return contiguous(a).reshape(int(np.prod(lead)), *size)


def pooled_shape(shape: tuple[int, ...], size: tuple[int, ...], dims: int) -> tuple[int, ...]:
    """Return `shape` with `size` in place of its last dimensions."""
    return (*shape[: len(shape) - dims], *size[2 - dims :])


@op
class MaxPool(Op):
    """y = the largest element of each window, a NaN above all, and its place in the plane.

    x: (..., L) or (..., H, W) -> y: (..., L') or (..., H', W'), index: int32 of that shape.
    A window without elements, all of it padding, has -inf, the index -1 and no gradient.
    """

    keeps = False
    several = True

    def forward(self, x: Array, windows: Windows, dims: int) -> tuple[Array, Array]:
        seen = planes(x, dims)
        self.was = x.shape
        y = empty((len(seen), *windows.shape), x.dtype)
        self.index = empty(y.shape, INT32)
        launch("max_pool", seen, windows.row_windows, windows.column_windows, y, self.index)
        shape = pooled_shape(x.shape, windows.shape, dims)
        return y.reshape(shape), self.index.reshape(shape)

    def backward(self, g: Any, _: Any) -> tuple[Any, ...]:
        return (MaxUnpool.apply(g, index=self.index, shape=self.was, dims=self.meta["dims"]),)


@op
class MaxUnpool(Op):
    """dx = zeros; dx[index] += dy, plane by plane"""

    keeps = False

    def forward(self, dy: Array, index: Array, shape: tuple[int, ...], dims: int) -> Array:
        self.was = dy.shape
        dx = empty(shape, dy.dtype)
        launch("max_pool_backward", contiguous(dy).reshape(index.shape), index, planes(dx, dims))
        return dx

    def backward(self, g: Any) -> tuple[Any, ...]:
        index = self.meta["index"]
        size = int(np.prod(self.meta["shape"][len(self.was) - self.meta["dims"] :]))
        flat = Reshape.apply(g, shape=(len(index), size))
        places = host(index.reshape(len(index), -1))
        which = (np.arange(len(index))[:, None], np.maximum(places, 0).astype(np.int64))
        dy = picked(flat, *which)
        if (places < 0).any():  # windows without elements
            dy = Where.apply(Bridge.new(to_current_device(places < 0)), Bridge.lift(0.0, dy), dy)
        return (Reshape.apply(dy, shape=self.was),)


@op
class AvgPool(Op):
    """y = the sum of each window / its divisor.  x: (..., L) or (..., H, W) -> (..., L') or (...,
    H', W')
    """

    keeps = False

    def forward(self, x: Array, windows: Windows, dims: int) -> Array:
        seen = planes(x, dims)
        self.was = x.shape
        y = empty((len(seen), *windows.shape), x.dtype)
        launch("avg_pool", seen, windows.row_windows, windows.column_windows, y)
        return y.reshape(pooled_shape(x.shape, windows.shape, dims))

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (AvgUnpool.apply(g, shape=self.was, **self.meta),)


@op
class AvgUnpool(Op):
    """dx = sum over the windows that see x of dy / their divisor"""

    keeps = False

    def forward(self, dy: Array, windows: Windows, dims: int, shape: tuple[int, ...]) -> Array:
        dx = empty(shape, dy.dtype)
        launch(
            "avg_pool_backward",
            planes(dy, dims),
            windows.row_windows,
            windows.column_windows,
            planes(dx, dims),
        )
        return dx

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (AvgPool.apply(g, windows=self.meta["windows"], dims=self.meta["dims"]),)


# ---------------------------------------------------------------- windows
def starts(
    name: str, n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> Array:
    """Return where the windows begin, in elements, negative inside the padding."""
    reach = dilation * (kernel - 1) + 1
    if 2 * padding > reach:
        raise ArgumentError(
            f"{name}: padding {padding} is more than half of the window, {reach} elements"
        )
    free = n + 2 * padding - reach
    if free < 0:
        raise ArgumentError(
            f"{name}: a window of {reach} elements is larger than the input, {n} elements and "
            f"{padding} of padding on both sides"
        )
    count = -(-free // stride) + 1 if ceil_mode else free // stride + 1
    if ceil_mode and (count - 1) * stride >= n + padding:
        count -= 1  # the last window would begin beyond the input and its padding
    return np.arange(count, dtype=np.int64) * stride - padding


@functools.lru_cache(256)
def max_windows(
    name: str, n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> Array:
    """Return the table of windows of `n` elements; padding is never the largest."""
    first = starts(name, n, kernel, stride, padding, dilation, ceil_mode)
    stop = np.minimum(first + dilation * (kernel - 1) + 1, n)
    first = np.where(first < 0, first + -(first // dilation) * dilation, first)
    empty = first >= stop  # all of its elements lie in the padding, or beyond
    first, stop = np.where(empty, 0, first), np.where(empty, 0, stop)
    return np.stack([first, stop, np.full(len(first), dilation)], 1)


@functools.lru_cache(256)
def avg_windows(
    name: str, n: int, kernel: int, stride: int, padding: int, ceil_mode: bool, include: bool
) -> Array:
    """Return the table of windows of `n` elements; `include` counts the padding in the divisor."""
    first = starts(name, n, kernel, stride, padding, 1, ceil_mode)
    stop = np.minimum(first + kernel, n + padding)
    inside = np.maximum(first, 0), np.minimum(stop, n)
    count = stop - first if include else inside[1] - inside[0]
    return np.stack([*inside, count], 1)


@functools.lru_cache(256)
def adaptive_windows(n: int, out: int, mean: bool) -> Array:
    """Return `out` windows that cover `n` elements as evenly as they can."""
    i = np.arange(out, dtype=np.int64)
    first = i * n // out
    stop = -(-(i + 1) * n // out)
    return np.stack([first, stop, stop - first if mean else np.ones_like(i)], 1)


def windows_of(tables: list[Array], divisor: int | None = None) -> Windows:
    """Return the windows of one or two axes; `divisor` takes the place of their own."""
    if divisor is not None:
        tables = [np.column_stack([t[:, :2], np.ones(len(t), np.int64)]) for t in tables]
        tables[-1][:, 2] = divisor
    return Windows(*([ONE, *tables] if len(tables) == 1 else tables))
