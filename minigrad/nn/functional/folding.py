"""Blocks of images as columns, and channels as pixels; `minigrad.nn.functional` re-exports them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError
from minigrad.nn.functional.padding import pad
from minigrad.ops.common import Array
from minigrad.ops.conv import several
from minigrad.ops.grammar import by_shapes
from minigrad.ops.index import Index, IndexAdd
from minigrad.ops.registry import public


class Blocks:
    """Where the blocks of an image lie in the padded image."""

    def __init__(
        self, name: str, image: Any, kernel: Any, dilation: Any, padding: Any, stride: Any
    ) -> None:
        self.image = tuple(image)
        self.kernel = several(name, "kernel_size", kernel, 2, 1)
        self.pads = several(name, "padding", padding, 2, 0)
        gaps = several(name, "dilation", dilation, 2, 1)
        steps = several(name, "stride", stride, 2, 1)
        self.padded = tuple(n + 2 * p for n, p in zip(self.image, self.pads, strict=True))
        self.grid = tuple(
            (n - d * (k - 1) - 1) // s + 1
            for n, k, d, s in zip(self.padded, self.kernel, gaps, steps, strict=True)
        )
        if min(self.grid) < 1:
            raise ArgumentError(
                f"{name}: a block of {self.kernel} with dilation {gaps} is larger than the image "
                f"{self.image} with padding {self.pads}"
            )
        rows, columns = (
            np.arange(k)[:, None] * d + np.arange(g) * s
            for k, d, g, s in zip(self.kernel, gaps, self.grid, steps, strict=True)
        )
        self.rows: Array = rows[:, None, :, None]
        self.columns: Array = columns[None, :, None, :]

    def places(self, shape: Any) -> Any:
        """Return the places of all blocks' elements in (N, C, H, W)."""
        return by_shapes((slice(None), slice(None), self.rows, self.columns), tuple(shape))


@public("functional")
def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Return the blocks that a kernel would see, a column each.

    Shape: (N, C, H, W) or (C, H, W) -> (N, C * kernel's size, L) or without N, L blocks.

    >>> import minigrad as mg
    >>> unfold(mg.arange(4.0).reshape(1, 2, 2), 2).tolist()
    [[0.0], [1.0], [2.0], [3.0]]
    """
    if input.ndim == 3:
        y = unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride)
        return y.reshape(y.shape[1:])
    if input.ndim != 4:
        raise ArgumentError(f"unfold: expected (N, C, H, W) or (C, H, W), got shape {input.shape}")
    blocks = Blocks("unfold", input.shape[2:], kernel_size, dilation, padding, stride)
    (top, left) = blocks.pads
    x = pad(input, (left, left, top, top)) if top or left else input
    found = Index.apply(x, index=blocks.places(x.shape))
    rows = input.shape[1] * blocks.kernel[0] * blocks.kernel[1]
    return found.reshape(input.shape[0], rows, blocks.grid[0] * blocks.grid[1])


@public("functional")
def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Return the image in which blocks lie, summed where they overlap: `unfold` turned about.

    Shape: (N, C * kernel's size, L) or without N -> (N, C, *output_size) or without N.

    >>> import minigrad as mg
    >>> fold(mg.ones(4, 2), (2, 3), 2)
    tensor([[[1., 2., 1.],
             [1., 2., 1.]]])
    """
    if input.ndim == 2:
        y = fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride)
        return y.reshape(y.shape[1:])
    image = several("fold", "output_size", output_size, 2, 1)
    blocks = Blocks("fold", image, kernel_size, dilation, padding, stride)
    kernel, grid = blocks.kernel, blocks.grid
    size = kernel[0] * kernel[1]
    if input.ndim != 3 or input.shape[1] % size or input.shape[2] != grid[0] * grid[1]:
        raise ArgumentError(
            f"fold: expected columns (N, C * {size}, {grid[0] * grid[1]}), got {input.shape}"
        )
    n, channels = input.shape[0], input.shape[1] // size
    shape = (n, channels, *blocks.padded)
    spread = input.reshape(n, channels, *kernel, *grid)
    whole = IndexAdd.apply(spread, shape=shape, index=blocks.places(shape))
    (top, left), (rows, columns) = blocks.pads, image
    return whole[:, :, top : top + rows, left : left + columns]


# ---------------------------------------------------------------- channels and pixels
@public("functional", "function")
def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Return r x r channels as one of r times the height and width.

    Shape: (..., C r^2, H, W) -> (..., C, r H, r W).
    Source: Shi et al., "Real-time single image and video super-resolution" (2016).
    """
    r = int(upscale_factor)
    if input.ndim < 3 or r < 1 or input.shape[-3] % (r * r):
        raise ArgumentError(
            f"pixel_shuffle: expected (..., C * {r * r}, H, W), got shape {input.shape}"
        )
    *lead, c, h, w = input.shape
    n = len(lead)
    split = input.reshape(*lead, c // (r * r), r, r, h, w)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return split.permute(order).reshape(*lead, c // (r * r), h * r, w * r)


@public("functional", "function")
def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Return each r x r pixels as channels: `pixel_shuffle` turned about."""
    r = int(downscale_factor)
    if input.ndim < 3 or r < 1 or input.shape[-1] % r or input.shape[-2] % r:
        raise ArgumentError(
            f"pixel_unshuffle: expected sizes that {r} divides, got shape {input.shape}"
        )
    *lead, c, h, w = input.shape
    n = len(lead)
    split = input.reshape(*lead, c, h // r, r, w // r, r)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return split.permute(order).reshape(*lead, c * r * r, h // r, w // r)


@public("functional", "function")
def channel_shuffle(input: Any, groups: int) -> Any:
    """Return the channels of groups one after another in turn: (g, C / g) as (C / g, g)."""
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise ArgumentError(
            f"channel_shuffle: {groups} groups do not divide the channels of {input.shape}"
        )
    n, c = input.shape[:2]
    split = input.reshape(n, groups, c // groups, *input.shape[2:])
    return split.transpose(1, 2).reshape(input.shape)
