"""Max-pooling over windows of irregular steps; `minigrad.nn.functional` re-exports it.

Source: Graham 2014, "Fractional max-pooling".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine import random
from minigrad.engine.errors import ArgumentError
from minigrad.ops.arranging import beside
from minigrad.ops.common import Array
from minigrad.ops.conv import several
from minigrad.ops.grammar import host
from minigrad.ops.index import gather
from minigrad.ops.registry import public


def starts(samples: Array, size: int, output: int, window: int) -> Array:
    """Return where the windows of each plane start, (planes, output): steps of two lengths in an
    order that a random number of the plane decides, the last window at the end.
    """
    found = np.full((len(samples), output), size - window, np.int64)
    if output > 1:
        alpha = samples.dtype.type(size - window) / samples.dtype.type(output - 1)
        steps = (np.arange(output - 1, dtype=samples.dtype) + samples[:, None]) * alpha
        found[:, :-1] = steps.astype(np.int64) - (samples * alpha).astype(np.int64)[:, None]
    return found


def places(planes: Array, begins: list[Array], windows: tuple[int, ...]) -> Array:
    """Return where the largest element of each window lies in its plane, counted row by row."""
    dims = len(windows)
    flat = np.zeros((1,) * (1 + 2 * dims), np.int64)
    for k, (begin, window) in enumerate(zip(begins, windows, strict=True)):
        each = begin[:, :, None] + np.arange(window)
        shape = [len(begin), *(1,) * (2 * dims)]
        shape[1 + k], shape[1 + dims + k] = begin.shape[1], window
        flat = flat * planes.shape[1 + k] + each.reshape(shape)
    count, outputs = flat.shape[0], flat.shape[1 : 1 + dims]
    flat = flat.reshape(count, *outputs, math.prod(windows))
    each = planes.reshape(count, math.prod(planes.shape[1:]))
    seen = np.take_along_axis(each, flat.reshape(count, math.prod(flat.shape[1:])), 1)
    best = seen.reshape(flat.shape).argmax(-1)  # a NaN beats every number
    return np.take_along_axis(flat, best[..., None], -1)[..., 0]


def fractional_max_pool(
    name: str,
    input: Any,
    kernel_size: Any,
    output_size: Any,
    output_ratio: Any,
    return_indices: bool,
    samples: Any,
) -> Any:
    """Return the maxima, and where they lie if `return_indices`."""
    dims = int(name[-2])
    if input.ndim not in (dims + 1, dims + 2) or 0 in input.shape[-dims - 1 :]:
        raise ArgumentError(
            f"{name}: expected an input with {dims + 1} or {dims + 2} dimensions, none of them "
            f"empty but the batch, got {input.shape}"
        )
    windows = several(name, "kernel_size", kernel_size, dims, 1)
    sizes, lead = tuple(input.shape[-dims:]), tuple(input.shape[:-dims])
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(f"{name}: expected output_size or output_ratio, one of the two")
    if output_size is None:
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * dims
        if len(ratios) != dims or not all(0 < r < 1 for r in ratios):
            raise ArgumentError(f"{name}: output_ratio must lie in (0, 1), got {output_ratio}")
        output_size = tuple(int(n * r) for n, r in zip(sizes, ratios, strict=True))
    outputs = several(name, "output_size", output_size, dims, 1)
    for n, out, window in zip(sizes, outputs, windows, strict=True):
        if out + window - 1 > n:
            raise ArgumentError(
                f"{name}: {out} windows of {window} do not fit {n} elements, which hold at most "
                f"{n - window + 1}"
            )
    count, batch = math.prod(lead), lead[0] if len(lead) > 1 else 1
    if samples is None:
        kind = input.array.dtype
        drawn = random.source(None).uniform((batch, lead[-1], dims), kind)
        drawn = np.asarray(host(drawn) if hasattr(drawn, "array") else drawn)
    else:
        drawn = host(samples)
        if len(lead) == 1:
            drawn = drawn[:1]
        if drawn.shape != (batch, lead[-1], dims):
            raise ArgumentError(
                f"{name}: expected _random_samples of shape {(batch, lead[-1], dims)}, got "
                f"{drawn.shape}"
            )
        if drawn.dtype != input.array.dtype:
            raise ArgumentError(
                f"{name}: _random_samples are {drawn.dtype}, the input {input.array.dtype}"
            )
    each = drawn.reshape(count, dims)
    if dims == 2:
        each = each[:, ::-1]  # the columns' first, as PyTorch has it
    begins = [
        starts(each[:, k], *row) for k, row in enumerate(zip(sizes, outputs, windows, strict=True))
    ]
    found = places(host(input).reshape(count, *sizes), begins, windows)
    rows = input.reshape(count, math.prod(sizes))
    picked = beside(found.reshape(count, math.prod(outputs)), input)
    y = gather(rows, 1, picked).reshape(*lead, *outputs)
    return (y, picked.reshape(*lead, *outputs)) if return_indices else y


@public("functional")
def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Return the largest element of each of `output_size` windows, at steps drawn at random.

    output_ratio: the output's size over the input's, in place of `output_size`.
    _random_samples: (N, C, 2) in [0, 1), drawn if None.
    Shape: (N, C, H, W) or (C, H, W) -> the same with the windows' numbers.
    Raises: ValueError where so many windows do not fit.
    Source: Graham 2014, "Fractional max-pooling", the pseudorandom, overlapping kind.

    >>> import minigrad as mg
    >>> fractional_max_pool2d(mg.arange(16.0).reshape(1, 4, 4), 2, output_size=1)
    tensor([[[15.]]])
    """
    how = kernel_size, output_size, output_ratio, return_indices, _random_samples
    return fractional_max_pool("fractional_max_pool2d", input, *how)


@public("functional")
def fractional_max_pool3d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """Return the largest elements of windows of a volume at random steps; see
    `fractional_max_pool2d`.

    _random_samples: (N, C, 3).  Shape: (N, C, D, H, W) or (C, D, H, W).
    """
    how = kernel_size, output_size, output_ratio, return_indices, _random_samples
    return fractional_max_pool("fractional_max_pool3d", input, *how)
