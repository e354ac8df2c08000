"""Convolution and its two gradients: three bilinear ops that are each other's derivatives.

All three are computed by kernels at every order of differentiation, so none needs a composite.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, NamedTuple

from minigrad.engine.device import filled
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentError
from minigrad.engine.op import Bridge, Op, refuse_others
from minigrad.ops.common import Array, contiguous, op
from minigrad.ops.linalg import absent, check_dtypes

Pair = tuple[int, int]


class Sliding(NamedTuple):
    """The way of a kernel over an image, in rows and columns; rows are 1 for one dimension."""

    stride: Pair
    padding: Pair  # before
    dilation: Pair
    groups: int
    image: Pair
    kernel: Pair
    grid: Pair  # of outputs

    @property
    def how(self) -> tuple[Pair, Pair, Pair, int]:
        """Return what the kernels take."""
        return self[:4]


def planes(a: Array) -> Array:
    """Return (N, C, L) or (N, C, H, W) as contiguous (N, C, H, W)."""
    return contiguous(a if a.ndim == 4 else a.reshape(*a.shape[:2], 1, a.shape[2]))


def new_planes(n: int, c: int, size: Pair, like: Array) -> Array:
    """Return an unset array of n images of c channels."""
    return empty((n, c, *size), like.dtype)


def as_many(a: Array, dims: int) -> Array:
    """Return (N, C, H, W) with `dims` dimensions."""
    return a if dims == 4 else a.reshape(*a.shape[:2], a.shape[3])


@op
class Conv(Op):
    """y[n, o] = bias[o] + sum_c weight[o, c] (correlated with) x[n, c], c in o's group; bias may be
    empty.  x: (N, C, L) or (N, C, H, W), weight: (O, C / groups, ...) -> y: (N, O, ...)
    """

    def forward(self, x: Array, weight: Array, bias: Array, sliding: Sliding) -> Array:
        y = new_planes(len(x), len(weight), sliding.grid, x)
        launch("conv", planes(x), planes(weight), contiguous(bias), *sliding.how, y)
        return as_many(y, x.ndim)

    def backward(self, g: Any) -> tuple[Any, ...]:
        meta = self.meta
        dx = dw = db = None
        if self.needs(0):
            dx = ConvBackwardInput.apply(g, self.saved(1), **meta)
        if self.needs(1) or self.needs(2):
            bias = self.inputs[2].array.size > 0
            dw, db = ConvBackwardWeight.apply(g, self.saved(0), bias=bias, **meta)
        return dx, dw, db if self.needs(2) else None


@op
class ConvBackwardInput(Op):
    """dx = the transposed convolution of dy: what `Conv` hands back to x"""

    def forward(self, dy: Array, weight: Array, sliding: Sliding) -> Array:
        channels = weight.shape[1] * sliding.groups
        dx = new_planes(len(dy), channels, sliding.image, dy)
        launch("conv_backward_input", planes(dy), planes(weight), *sliding.how, dx)
        return as_many(dx, dy.ndim)

    def backward(self, g: Any) -> tuple[Any, ...]:
        dy, weight = self.saved(0), self.saved(1)
        return (
            Conv.apply(g, weight, absent(g), **self.meta) if self.needs(0) else None,
            ConvBackwardWeight.apply(dy, g, bias=False, **self.meta)[0] if self.needs(1) else None,
        )


@op
class ConvBackwardWeight(Op):
    """dw = dy correlated with x, db = dy summed (empty without `bias`): what `Conv` hands back"""

    several = True

    def forward(self, dy: Array, x: Array, sliding: Sliding, bias: bool) -> tuple[Array, ...]:
        o = dy.shape[1]
        dw = new_planes(o, x.shape[1] // sliding.groups, sliding.kernel, x)
        db = empty(o if bias else 0, x.dtype)
        launch("conv_backward_weight", planes(dy), planes(x), *sliding.how, dw, db)
        return as_many(dw, x.ndim), db

    def backward(self, gw: Any, gb: Any) -> tuple[Any, ...]:
        dy, x = self.saved(0), self.saved(1)
        sliding = self.meta["sliding"]
        if gw is None:
            shape = (dy.array.shape[1], x.array.shape[1] // sliding.groups, *sliding.kernel)
            gw = Bridge.new(as_many(filled(shape, 0, x.array.dtype), x.array.ndim))
        if gb is None:
            gb = absent(gw)
        return (
            Conv.apply(x, gw, gb, sliding=sliding) if self.needs(0) else None,
            ConvBackwardInput.apply(dy, gw, sliding=sliding) if self.needs(1) else None,
        )


# ---------------------------------------------------------------- arguments
def several(name: str, label: str, value: int | Sequence[int], dims: int, least: int) -> Any:
    """Return `value`, an int or one for each dimension, as a tuple; an error names the argument."""
    found: tuple[Any, ...] = tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims
    if len(found) == 1:
        found *= dims
    try:
        found = tuple(index(n) for n in found)
    except TypeError:
        found = ()
    if len(found) != dims or value is True or value is False:
        raise ArgumentError(f"{name}: {label} must be an int or {dims} of them, got {value!r}")
    if min(found) < least:
        raise ArgumentError(f"{name}: {label} must be at least {least}, got {value!r}")
    return found


def margins(
    name: str,
    padding: str | int | Sequence[int],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> list[Pair]:
    """Return (before, after) of every dimension."""
    if isinstance(padding, str) and padding == "valid":
        return [(0, 0)] * len(kernel)
    if isinstance(padding, str) and padding == "same":
        if max(stride) > 1:
            raise ArgumentError(f"{name}: padding='same' needs a stride of 1, got {stride}")
        reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [(n // 2, n - n // 2) for n in reach]
    if isinstance(padding, str):
        raise ArgumentError(
            f"{name}: padding must be an int, {len(kernel)} of them, 'same' or 'valid', got "
            f"{padding!r}"
        )
    return [(p, p) for p in several(name, "padding", padding, len(kernel), 0)]


def check_shapes(name: str, x: Array, weight: Array, bias: Array, groups: int) -> None:
    """Refuse operands that do not fit, with their shapes in the message."""
    dims = int(name[-2])
    if weight.ndim != dims + 2 or min(weight.shape) == 0:
        raise ArgumentError(
            f"{name}: expected a weight (out_channels, in_channels / groups, {dims} sizes) without "
            f"zeros, got shape {weight.shape}"
        )
    if x.ndim != dims + 2:
        raise ArgumentError(
            f"{name}: expected an input (N, C, {'L' if dims == 1 else 'H, W'}), or one without N, "
            f"got shape {x.shape}"
        )
    check_dtypes(name, x, weight)
    if groups < 1 or len(weight) % groups:
        raise ArgumentError(
            f"{name}: groups={groups} does not divide the {len(weight)} output channels of weight "
            f"{weight.shape}"
        )
    if x.shape[1] != weight.shape[1] * groups:
        raise ArgumentError(
            f"{name}: input {x.shape} has {x.shape[1]} channels, weight {weight.shape} with "
            f"groups={groups} expects {weight.shape[1] * groups}"
        )
    if bias.size:
        check_dtypes(name, x, bias)
    if bias.shape not in ((0,), weight.shape[:1]):
        raise ArgumentError(
            f"{name}: bias has shape {bias.shape}, expected {weight.shape[:1]} for weight "
            f"{weight.shape}"
        )


def of_integers(*tensors: Any) -> bool:
    """Say whether tensors are integers of one dtype: they are multiplied in float64, exactly where
    no sum exceeds 2^53.
    """
    kinds = {t.array.dtype for t in tensors if t is not None}
    return len(kinds) == 1 and kinds.pop().kind in "iu"


def convolve(
    name: str,
    input: Any,
    weight: Any,
    bias: Any,
    stride: int | Sequence[int],
    padding: str | int | Sequence[int],
    dilation: int | Sequence[int],
    groups: int,
) -> Any:
    """Check the arguments of `name`, conv1d or conv2d, and apply `Conv`."""
    dims = int(name[-2])
    groups = groups if type(groups) is int else index(groups)
    try:
        rank, kernel = input.array.ndim, weight.array.shape[2:]
    except AttributeError:
        refuse_others(name, (input, weight))
        raise
    if of_integers(input, weight, bias):
        x, w, b = (t if t is None else t.double() for t in (input, weight, bias))
        return convolve(name, x, w, b, stride, padding, dilation, groups).to(input.dtype)
    if rank == dims + 1:
        batch = input.reshape(1, *input.array.shape)
        y = convolve(name, batch, weight, bias, stride, padding, dilation, groups)
        return y.reshape(*y.array.shape[1:])
    if bias is None:
        bias = absent(weight)
    check_shapes(name, input.array, weight.array, bias.array, groups)
    image = input.array.shape[2:]
    steps = several(name, "stride", stride, dims, 1)
    gaps = several(name, "dilation", dilation, dims, 1)
    ends = margins(name, padding, kernel, steps, gaps)
    grid = []
    for n, k, s, d, pair in zip(image, kernel, steps, gaps, ends, strict=True):
        free = n + sum(pair) - d * (k - 1) - 1
        if free < 0:
            raise ArgumentError(
                f"{name}: the kernel {tuple(kernel)} with dilation {gaps} is larger than the input "
                f"{tuple(image)} with padding {tuple(ends)}; pad more or use a smaller kernel"
            )
        grid.append(free // s + 1)
    one: tuple[int, ...] = (1,) * (2 - dims)
    before: tuple[int, ...] = (0,) * (2 - dims) + tuple(first for first, _ in ends)
    whole: Any = (one + steps, before, one + gaps, int(groups))  # all pairs now
    sizes: Any = (one + tuple(image), one + tuple(kernel), one + tuple(grid))
    return Conv.apply(input, weight, bias, sliding=Sliding(*whole, *sizes))
