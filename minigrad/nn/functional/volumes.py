"""Pooling of volumes, of powers, and backwards; `minigrad.nn.functional` re-exports it.

A volume is pooled over its planes first, then over its depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import filled
from minigrad.engine.errors import ArgumentError
from minigrad.engine.op import Bridge
from minigrad.nn.functional import conv
from minigrad.ops.conv import several
from minigrad.ops.grammar import host, resolved
from minigrad.ops.index import IndexSet, gather
from minigrad.ops.registry import public
from minigrad.ops.unary import Relu

Sizes = int | Sequence[int]


def check_volume(name: str, input: Any) -> None:
    """Refuse what is no volume, and integers."""
    if input.ndim not in (4, 5) or 0 in input.shape[-3:] or input.array.dtype.kind != "f":
        raise ArgumentError(
            f"{name}: expected a floating input (N, C, D, H, W), or one without N, got "
            f"{input.dtype} {input.shape}"
        )


def over_planes(input: Any, pool: Any) -> Any:
    """Return what pools images, of each plane of a volume (..., D, H, W)."""
    *lead, h, w = input.shape
    flat = input.reshape(-1, 1, h, w)
    found = pool(flat)
    several_found = found if isinstance(found, tuple) else (found,)
    made = tuple(y.reshape(*lead, *y.shape[2:]) for y in several_found)
    return made if isinstance(found, tuple) else made[0]


def over_depth(input: Any, pool: Any) -> Any:
    """Return what pools signals, of each line along the depth of a volume (..., D, H, W)."""
    rows = input.transpose(-3, -1)
    flat = rows.reshape(-1, 1, rows.shape[-1])
    found = pool(flat)
    several_found = found if isinstance(found, tuple) else (found,)
    made = tuple(y.reshape(*rows.shape[:-1], y.shape[-1]).transpose(-3, -1) for y in several_found)
    return made if isinstance(found, tuple) else made[0]


def largest(input: Any, planes: Any, depth: Any, return_indices: bool) -> Any:
    """Return the maxima over planes, then over the depth, and where they lie if asked for."""
    inner, places = over_planes(input, planes)
    y, layers = over_depth(inner, depth)
    if not return_indices:
        return y
    size = input.shape[-2] * input.shape[-1]
    axis = y.ndim - 3
    return y, gather(places, axis, layers) + layers * size


@public("functional", "function")
def max_pool3d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the largest element of each window of a volume; see `max_pool2d`.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> the same with the windows' numbers.
    """
    name = "max_pool3d"
    if input.array.dtype.kind in "iu":
        how = kernel_size, stride, padding, dilation, ceil_mode, True
        y, places = max_pool3d(input.double(), *how)
        return (y.to(input.dtype), places) if return_indices else y.to(input.dtype)
    check_volume(name, input)
    conv.check_channels_there(name, input, 3)
    kernel = several(name, "kernel_size", kernel_size, 3, 1)
    steps = conv.steps_of(name, stride, kernel)
    pads = several(name, "padding", padding, 3, 0)
    gaps = several(name, "dilation", dilation, 3, 1)

    def planes(x: Any) -> Any:
        how = kernel[1:], steps[1:], pads[1:], gaps[1:]
        return conv.max_pool2d(x, *how, ceil_mode, True)

    def depth(x: Any) -> Any:
        return conv.max_pool1d(x, kernel[0], steps[0], pads[0], gaps[0], ceil_mode, True)

    return largest(input, planes, depth, return_indices)


@public("functional")
def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of windows that cover the volume evenly; see `adaptive_max_pool2d`."""
    check_volume("adaptive_max_pool3d", input)
    depth, *plane = outputs("adaptive_max_pool3d", input, output_size)
    return largest(
        input,
        lambda x: conv.adaptive_max_pool2d(x, plane, True),
        lambda x: conv.adaptive_max_pool1d(x, depth, True),
        return_indices,
    )


@public("functional")
def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Return the means of windows that cover the volume evenly; see `adaptive_avg_pool2d`."""
    check_volume("adaptive_avg_pool3d", input)
    depth, *plane = outputs("adaptive_avg_pool3d", input, output_size)
    inner = over_planes(input, lambda x: conv.adaptive_avg_pool2d(x, plane))
    return over_depth(inner, lambda x: conv.adaptive_avg_pool1d(x, depth))


def outputs(name: str, input: Any, output_size: Any) -> tuple[int, ...]:
    """Return the three sizes of an output, None for the input's own."""
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * 3
    if len(given) == 3:
        given = tuple(
            n if out is None else out for n, out in zip(input.shape[-3:], given, strict=True)
        )
    found: tuple[int, ...] = several(name, "output_size", given, 3, 1)
    return found


@public("functional")
def avg_pool3d(
    input: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the mean of each window of a volume; see `avg_pool2d`.

    Shape: (N, C, D, H, W) or (C, D, H, W) -> the same with the windows' numbers.
    """
    name = "avg_pool3d"
    check_volume(name, input)
    kernel = several(name, "kernel_size", kernel_size, 3, 1)
    steps = conv.steps_of(name, stride, kernel)
    pads = several(name, "padding", padding, 3, 0)
    if divisor_override == 0:
        raise ArgumentError(f"{name}: divisor_override must not be 0")
    one = None if divisor_override is None else 1

    def planes(x: Any) -> Any:
        how = kernel[1:], steps[1:], pads[1:]
        return conv.avg_pool2d(x, *how, ceil_mode, count_include_pad, one)

    def depth(x: Any) -> Any:
        how = (kernel[0], 1), (steps[0], 1), (pads[0], 0)
        flat = x.reshape(*x.shape, 1)
        return conv.avg_pool2d(flat, *how, ceil_mode, count_include_pad, one).squeeze(-1)

    y = over_depth(over_planes(input, planes), depth)
    return y if divisor_override is None else y / divisor_override


# ---------------------------------------------------------------- powers
def power_pool(name: str, input: Any, norm_type: float, kernel: Any, pool: Any) -> Any:
    """Return (sum over windows of x^p)^(1/p) from the mean, its sign kept."""
    dims = int(name[-2])
    count = float(np.prod(several(name, "kernel_size", kernel, dims, 1)))
    mean = pool(input**norm_type)
    return (mean.sign() * Relu.apply(mean.abs()) * count) ** (1.0 / norm_type)


@public("functional")
def lp_pool1d(
    input: Any,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Any:
    """Return the p-norm of each window of a signal: (sum x^p)^(1/p)."""

    def pool(x: Any) -> Any:
        return conv.avg_pool1d(x, kernel_size, stride, 0, ceil_mode)

    return power_pool("lp_pool1d", input, norm_type, kernel_size, pool)


@public("functional")
def lp_pool2d(
    input: Any,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Any:
    """Return the p-norm of each window of an image: (sum x^p)^(1/p)."""

    def pool(x: Any) -> Any:
        return conv.avg_pool2d(x, kernel_size, stride, 0, ceil_mode)

    return power_pool("lp_pool2d", input, norm_type, kernel_size, pool)


@public("functional")
def lp_pool3d(
    input: Any,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    ceil_mode: bool = False,
) -> Any:
    """Return the p-norm of each window of a volume: (sum x^p)^(1/p)."""

    def pool(x: Any) -> Any:
        return avg_pool3d(x, kernel_size, stride, 0, ceil_mode)

    return power_pool("lp_pool3d", input, norm_type, kernel_size, pool)


# ---------------------------------------------------------------- backwards
def unpooled(
    name: str,
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    output_size: Any,
) -> Any:
    """Return zeros with the elements of `input` where `indices` say they were the largest."""
    dims = int(name[-2])
    kernel = several(name, "kernel_size", kernel_size, dims, 1)
    steps = conv.steps_of(name, stride, kernel)
    pads = several(name, "padding", padding, dims, 0)
    if input.shape != indices.shape or input.ndim not in (dims + 1, dims + 2):
        raise ArgumentError(
            f"{name}: expected input and indices of one shape with {dims + 1} or {dims + 2} "
            f"dimensions, got {input.shape} and {indices.shape}"
        )
    usual = tuple(
        (n - 1) * s - 2 * p + k
        for n, s, p, k in zip(input.shape[-dims:], steps, pads, kernel, strict=True)
    )
    sizes = usual if output_size is None else tuple(output_size)[-dims:]
    for n, m, s in zip(sizes, usual, steps, strict=True):
        if not m - s < n < m + s:
            raise ArgumentError(f"{name}: output_size {sizes} is too far from {usual}")
    size, lead = int(np.prod(sizes)), input.shape[:-dims]
    places = host(indices).reshape(-1, int(np.prod(input.shape[-dims:])))
    if places.size and (places.min() < 0 or places.max() >= size):
        raise ArgumentError(f"{name}: indices must be 0 to {size - 1} for output_size {sizes}")
    rows = np.arange(len(places))[:, None]
    whole = Bridge.new(filled((len(places), size), 0, input.array.dtype, input.array))
    where = resolved((rows, places), whole.array.shape)
    y = IndexSet.apply(whole, input.reshape(*places.shape), index=where)
    return y.reshape(*lead, *sizes)


@public("functional")
def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Any = None,
) -> Any:
    """Return signals with maxima where they were, zeros elsewhere: `max_pool1d` turned about.

    >>> import minigrad as mg
    >>> y, indices = conv.max_pool1d(mg.tensor([[1.0, 3.0, 2.0, 0.0]]), 2, return_indices=True)
    >>> max_unpool1d(y, indices, 2)
    tensor([[0., 3., 2., 0.]])
    """
    name = "max_unpool1d"
    return unpooled(name, input, indices, kernel_size, stride, padding, output_size)


@public("functional")
def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Any = None,
) -> Any:
    """Return images with maxima where they were, zeros elsewhere: `max_pool2d` turned about."""
    name = "max_unpool2d"
    return unpooled(name, input, indices, kernel_size, stride, padding, output_size)


@public("functional")
def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Any = None,
) -> Any:
    """Return volumes with maxima where they were, zeros elsewhere: `max_pool3d` turned about."""
    name = "max_unpool3d"
    return unpooled(name, input, indices, kernel_size, stride, padding, output_size)
