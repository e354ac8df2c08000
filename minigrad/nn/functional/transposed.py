"""Transposed convolutions, and those of volumes; `minigrad.nn.functional` re-exports them.

A transposed convolution is what a convolution hands back to its input.  Those of volumes are sums
of those of images, one for each plane of the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.nn.functional.padding import pad
from minigrad.ops.conv import ConvBackwardInput, Sliding, convolve, of_integers, several
from minigrad.ops.grammar import resolved
from minigrad.ops.index import Index, IndexAdd
from minigrad.ops.linalg import check_dtypes
from minigrad.ops.registry import public

Sizes = int | Sequence[int]
LETTERS = {1: "L", 2: "H, W", 3: "D, H, W"}


def check_operands(name: str, dims: int, input: Any, weight: Any, bias: Any, groups: int) -> None:
    """Refuse operands of a transposed convolution that do not fit."""
    if input.ndim != dims + 2 or weight.ndim != dims + 2:
        raise ArgumentError(
            f"{name}: expected an input (N, C, {LETTERS[dims]}), or one without N, and a weight "
            f"(C, O / groups, ...), got {input.shape} and {weight.shape}"
        )
    check_dtypes(name, input.array, weight.array)
    if groups < 1 or weight.shape[0] % groups or input.shape[1] != weight.shape[0]:
        raise ArgumentError(
            f"{name}: input {input.shape} with groups={groups} does not fit weight {weight.shape}"
        )
    channels = weight.shape[1] * groups
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ArgumentError(f"{name}: bias has shape {bias.shape}, expected ({channels},)")


def transposed(
    name: str,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> Any:
    """Check the arguments of `name`, conv_transpose1d to 3d, and compute it."""
    dims = int(name[-2])
    if of_integers(input, weight, bias):
        x, w, b = (t if t is None else t.double() for t in (input, weight, bias))
        rest = stride, padding, output_padding, groups, dilation
        return transposed(name, x, w, b, *rest).to(input.dtype)
    if input.ndim == dims + 1:
        rest = stride, padding, output_padding, groups, dilation
        y = transposed(name, input.unsqueeze(0), weight, bias, *rest)
        return y.reshape(y.shape[1:])
    groups = arguments.whole(name, "groups", groups)
    check_operands(name, dims, input, weight, bias, groups)
    steps = several(name, "stride", stride, dims, 1)
    ends = several(name, "padding", padding, dims, 0)
    more = several(name, "output_padding", output_padding, dims, 0)
    gaps = several(name, "dilation", dilation, dims, 1)
    for m, s, d in zip(more, steps, gaps, strict=True):
        if m >= max(s, d):
            raise ArgumentError(
                f"{name}: output_padding {more} must be smaller than stride {steps} or dilation "
                f"{gaps}"
            )
    sizes = [
        (n - 1) * s - 2 * p + d * (k - 1) + m + 1
        for n, s, p, d, k, m in zip(
            input.shape[2:], steps, ends, gaps, weight.shape[2:], more, strict=True
        )
    ]
    if min(sizes) < 1:
        raise ArgumentError(f"{name}: the output would have sizes {sizes}; use less padding")
    if dims == 3:
        y = volumes_back(input, weight, sizes, steps, ends, groups, gaps)
    else:
        y = images_back(input, weight, sizes, steps, ends, groups, gaps)
    return y if bias is None else y + bias.reshape(1, -1, *(1,) * dims)


def images_back(
    input: Any, weight: Any, sizes: Any, steps: Any, ends: Any, groups: int, gaps: Any
) -> Any:
    """Return the transposed convolution of signals or images."""
    dims = len(sizes)
    one: tuple[int, ...] = (1,) * (2 - dims)
    whole: Any = (one + steps, (0,) * (2 - dims) + ends, one + gaps, groups)
    grid: Any = (one + tuple(sizes), one + tuple(weight.shape[2:]), one + tuple(input.shape[2:]))
    return ConvBackwardInput.apply(input, weight, sliding=Sliding(*whole, *grid))


def volumes_back(
    input: Any, weight: Any, sizes: Any, steps: Any, ends: Any, groups: int, gaps: Any
) -> Any:
    """Return the transposed convolution of volumes: its planes are added where they come to lie."""
    n, c, depth, h, w = input.shape
    planes = input.transpose(1, 2).reshape(n * depth, c, h, w)
    room = max(sizes[0] + 2 * ends[0], (depth - 1) * steps[0] + gaps[0] * (weight.shape[2] - 1) + 1)
    total = None
    for k in range(weight.shape[2]):
        y = images_back(planes, weight[:, :, k], sizes[1:], steps[1:], ends[1:], groups, gaps[1:])
        rows = y.reshape(n, depth, *y.shape[1:])
        shape = (n, room, *y.shape[1:])
        places = resolved((slice(None), np.arange(depth) * steps[0] + k * gaps[0]), shape)
        part = IndexAdd.apply(rows, shape=shape, index=places)
        total = part if total is None else total + part
    first = ends[0]
    return total[:, first : first + sizes[0]].transpose(1, 2)  # type: ignore[index]


@public("functional", "function")
def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """Spread each element of a signal by a kernel: the transpose of `conv1d`.

    Shape: input: (N, C, L) or (C, L), weight: (C, O / groups, K), bias: (O,) -> (N, O, L') or (O,
        L'), L' = (L - 1) s - 2p + d (K - 1) + output_padding + 1.

    >>> import minigrad as mg
    >>> conv_transpose1d(mg.tensor([[1.0, 2.0]]), mg.tensor([[[1.0, 10.0]]]))
    tensor([[ 1., 12., 20.]])
    """
    return transposed(
        "conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@public("functional", "function")
def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """Spread each element of an image by a kernel: the transpose of `conv2d`.

    Shape: input: (N, C, H, W) or (C, H, W), weight: (C, O / groups, A, B), bias: (O,) -> (N, O,
        H', W') or (O, H', W').
    """
    return transposed(
        "conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@public("functional", "function")
def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """Spread each element of a volume by a kernel: the transpose of `conv3d`."""
    return transposed(
        "conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@public("functional", "function")
def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Sizes = 1,
    padding: str | Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """Slide kernels over volumes, as `conv2d` does over images.

    Shape: input: (N, C, D, H, W) or (C, D, H, W), weight: (O, C / groups, ...), bias: (O,) -> (N,
        O, D', H', W') or (O, D', H', W').
    """
    name = "conv3d"
    if input.ndim == 4:
        y = conv3d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups)
        return y.reshape(y.shape[1:])
    if input.ndim != 5 or weight.ndim != 5:
        raise ArgumentError(
            f"{name}: expected an input (N, C, D, H, W), or one without N, and a weight of five "
            f"dimensions, got {input.shape} and {weight.shape}"
        )
    if bias is not None and bias.array.dtype != input.array.dtype:
        raise ArgumentTypeError(
            f"{name}: expected a bias of the input's dtype, {input.array.dtype}, got "
            f"{bias.array.dtype}"
        )
    steps = several(name, "stride", stride, 3, 1)
    gaps = several(name, "dilation", dilation, 3, 1)
    planes: Any = padding
    before = after = 0
    if isinstance(padding, str):
        reach = gaps[0] * (weight.shape[2] - 1)
        if padding == "same":
            before, after = reach // 2, reach - reach // 2
            if max(steps) > 1:
                raise ArgumentError(f"{name}: padding='same' needs a stride of 1, got {steps}")
    else:
        before, *rest = several(name, "padding", padding, 3, 0)
        after, planes = before, tuple(rest)
    x = pad(input, (0, 0, 0, 0, before, after)) if before or after else input
    depth = (x.shape[2] - gaps[0] * (weight.shape[2] - 1) - 1) // steps[0] + 1
    if depth < 1:
        raise ArgumentError(f"{name}: the kernel {weight.shape[2:]} is larger than {input.shape}")
    total = None
    for k in range(weight.shape[2]):
        first = k * gaps[0]
        chosen = slice(first, first + (depth - 1) * steps[0] + 1, steps[0])
        part = Index.apply(x, index=(slice(None), slice(None), chosen)).transpose(1, 2)
        n = part.shape[0]
        images = part.reshape(n * depth, *part.shape[2:])
        y = convolve("conv2d", images, weight[:, :, k], None, steps[1:], planes, gaps[1:], groups)
        total = y if total is None else total + y
    whole: Any = total
    y = whole.reshape(input.shape[0], depth, *whole.shape[1:]).transpose(1, 2)
    return y if bias is None else y + bias.reshape(1, -1, 1, 1, 1)
