"""Convolution and pooling; `minigrad.nn.functional` re-exports them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import refuse_others
from minigrad.ops.conv import convolve, several
from minigrad.ops.pool import (
    AvgPool,
    MaxPool,
    Windows,
    adaptive_windows,
    avg_windows,
    max_windows,
    windows_of,
)
from minigrad.ops.registry import public
from minigrad.tensors.tensor import Tensor, new

Sizes = int | Sequence[int]


# ---------------------------------------------------------------- convolution
@public("functional", "function")
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: str | Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Slide kernels over signals: y[n, o, i] = bias[o] + sum_{c, k} weight[o, c, k] x[n, c, i*s +
    k*d - p].

    padding: zeros on both sides; "same" (for stride 1) gives as many outputs as inputs, "valid"
        none.
    groups: into how many the channels are divided; outputs of a group see its inputs alone.
    Shape: input: (N, C, L) or (C, L), weight: (O, C / groups, K), bias: (O,) -> (N, O, L') or (O,
        L'), L' = (L + 2p - d(K - 1) - 1) // s + 1.
    Raises: ValueError where shapes do not fit or the kernel is larger than the padded input.

    >>> import minigrad as mg
    >>> conv1d(mg.tensor([[1.0, 2.0, 4.0]]), mg.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2.]])
    """
    return convolve("conv1d", input, weight, bias, stride, padding, dilation, groups)


@public("functional", "function")
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: str | Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Slide kernels over images, as `conv1d` does over signals.

    stride, padding, dilation: one int, or (rows, columns).
    Shape: input: (N, C, H, W) or (C, H, W), weight: (O, C / groups, A, B), bias: (O,) -> (N, O, H',
        W') or (O, H', W').
    Raises: ValueError where shapes do not fit or the kernel is larger than the padded input.
    Source: LeCun et al., "Gradient-based learning applied to document recognition" (1998).

    >>> import minigrad as mg
    >>> conv2d(mg.ones(1, 3, 3), mg.ones(1, 1, 2, 2))
    tensor([[[4., 4.],
             [4., 4.]]])
    """
    return convolve("conv2d", input, weight, bias, stride, padding, dilation, groups)


# ---------------------------------------------------------------- pooling
def check_image(name: str, input: Any) -> int:
    """Return over how many dimensions `name` pools; refuse what has no such dimensions."""
    dims = int(name[-2])
    try:
        x = input.array
    except AttributeError:
        refuse_others(name, (input,))
        raise
    if x.ndim not in (dims + 1, dims + 2) or 0 in x.shape[x.ndim - dims :]:
        raise ArgumentError(
            f"{name}: expected an input (N, C, {'L' if dims == 1 else 'H, W'}), or one without N, "
            f"got shape {x.shape}"
        )
    if x.dtype.kind != "f":
        raise ArgumentTypeError(
            f"{name}: expected a floating input, got {x.dtype}; convert it with .float()"
        )
    return dims


def check_channels_there(name: str, input: Any, dims: int) -> None:
    """Refuse an input without channels, of which max-pooling finds no extreme."""
    if not input.array.shape[-dims - 1]:
        raise ArgumentError(f"{name}: expected at least one channel, got shape {input.shape}")


def largest(name: str, input: Tensor, windows: Windows, indices: bool) -> Any:
    """Return the maxima, and where they lie if `indices`."""
    y, index = MaxPool.apply(input, windows=windows, dims=int(name[-2]))
    return (y, new(index.array.astype(np.int64))) if indices else y


def steps_of(name: str, stride: Any, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """Return a stride: the kernel's size where it is None, or as PyTorch has it ()."""
    if stride is None or (isinstance(stride, (tuple, list)) and not stride):
        return kernel
    found: tuple[int, ...] = several(name, "stride", stride, len(kernel), 1)
    return found


def max_pool(
    name: str,
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    dilation: Sizes,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    """Return the largest element of each window: `max_pool1d` and `max_pool2d`."""
    if getattr(getattr(input, "array", None), "dtype", np.dtype(bool)).kind in "iu":
        how = kernel_size, stride, padding, dilation, ceil_mode, return_indices
        found = max_pool(name, input.double(), *how)
        if return_indices:
            return found[0].to(input.dtype), found[1]
        return found.to(input.dtype)
    dims = check_image(name, input)
    check_channels_there(name, input, dims)
    kernel = several(name, "kernel_size", kernel_size, dims, 1)
    steps = steps_of(name, stride, kernel)
    pads = several(name, "padding", padding, dims, 0)
    gaps = several(name, "dilation", dilation, dims, 1)
    sizes = input.array.shape[-dims:]
    rows = zip(sizes, kernel, steps, pads, gaps, strict=True)
    tables = [max_windows(name, *row, bool(ceil_mode)) for row in rows]
    return largest(name, input, windows_of(tables), return_indices)


@public("functional", "function")
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the largest element of each window of a signal; see `max_pool2d`.

    Shape: (N, C, L) or (C, L) -> (N, C, L') or (C, L').

    >>> import minigrad as mg
    >>> max_pool1d(mg.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    name = "max_pool1d"
    return max_pool(name, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@public("functional", "function")
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the largest element of each window of an image; the gradient goes there.

    stride: the kernel's size if None.  padding: at most half a window, and never the largest.
    ceil_mode: let a last window reach over the end.
    return_indices: also return where each maximum lies in its plane, counted row by row.
    Ties go to the first element of a window; a NaN beats every number.
    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W').

    >>> import minigrad as mg
    >>> max_pool2d(mg.arange(4.0).reshape(1, 2, 2), 2)
    tensor([[[3.]]])
    """
    name = "max_pool2d"
    return max_pool(name, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool(
    name: str,
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of each window: `avg_pool1d` and `avg_pool2d`."""
    dims = check_image(name, input)
    kernel = several(name, "kernel_size", kernel_size, dims, 1)
    steps = steps_of(name, stride, kernel)
    pads = several(name, "padding", padding, dims, 0)
    if divisor_override == 0:
        raise ArgumentError(f"{name}: divisor_override must not be 0")
    modes = bool(ceil_mode), bool(count_include_pad)
    rows = zip(input.array.shape[-dims:], kernel, steps, pads, strict=True)
    tables = [avg_windows(name, *row, *modes) for row in rows]
    return AvgPool.apply(input, windows=windows_of(tables, divisor_override), dims=dims)


@public("functional", "function")
def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window of a signal; see `avg_pool2d`.

    Shape: (N, C, L) or (C, L) -> (N, C, L') or (C, L').

    >>> import minigrad as mg
    >>> avg_pool1d(mg.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    name = "avg_pool1d"
    return avg_pool(name, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of each window of an image.

    count_include_pad: divide by the elements of the window and its padding, not by those inside.
    divisor_override: divide by this instead.
    Shape: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W').

    >>> import minigrad as mg
    >>> avg_pool2d(mg.arange(4.0).reshape(1, 2, 2), 2)
    tensor([[[1.5000]]])
    """
    modes = ceil_mode, count_include_pad, divisor_override
    return avg_pool("avg_pool2d", input, kernel_size, stride, padding, *modes)


def adaptive(name: str, input: Tensor, output_size: Any, mean: bool) -> Windows:
    """Return the windows that give `output_size` outputs; None keeps a size."""
    dims = check_image(name, input)
    sizes = input.array.shape[-dims:]
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * dims
    if len(given) == dims:
        given = tuple(n if out is None else out for n, out in zip(sizes, given, strict=True))
    wanted = several(name, "output_size", given, dims, 1)
    return windows_of(
        [adaptive_windows(n, out, mean) for n, out in zip(sizes, wanted, strict=True)]
    )


@public("functional", "function")
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Return the means of `output_size` windows that cover the signal evenly.

    Shape: (N, C, L) or (C, L) -> (N, C, output_size) or (C, output_size).

    >>> import minigrad as mg
    >>> adaptive_avg_pool1d(mg.tensor([[1.0, 3.0, 2.0]]), 2)
    tensor([[2.0000, 2.5000]])
    """
    windows = adaptive("adaptive_avg_pool1d", input, output_size, True)
    return AvgPool.apply(input, windows=windows, dims=1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Return the means of windows that cover the image evenly.

    output_size: one int, or (rows, columns), None for the input's own.
    Shape: (N, C, H, W) or (C, H, W) -> the same with output_size in place of (H, W).

    >>> import minigrad as mg
    >>> adaptive_avg_pool2d(mg.arange(4.0).reshape(1, 2, 2), (1, None))
    tensor([[[1., 2.]]])
    """
    windows = adaptive("adaptive_avg_pool2d", input, output_size, True)
    return AvgPool.apply(input, windows=windows, dims=2)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of `output_size` windows that cover the signal evenly.

    Shape: (N, C, L) or (C, L) -> (N, C, output_size) or (C, output_size).
    """
    name = "adaptive_max_pool1d"
    return largest(name, input, adaptive(name, input, output_size, False), return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of windows that cover the image evenly; see `adaptive_avg_pool2d`."""
    name = "adaptive_max_pool2d"
    return largest(name, input, adaptive(name, input, output_size, False), return_indices)
