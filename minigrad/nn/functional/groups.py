"""Normalisation over groups of channels; `minigrad.nn.functional` re-exports it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError
from minigrad.engine.grad_mode import no_grad
from minigrad.nn.functional.layers import batch_norm, layer_norm
from minigrad.nn.functional.padding import pad
from minigrad.ops.common import sizes_of
from minigrad.ops.registry import public
from minigrad.ops.strides import unfold


def by_channel(t: Any, ndim: int) -> Any:
    """Return (C,) as (1, C, 1, ...)."""
    return t.reshape(1, -1, *(1,) * (ndim - 2))


def scaled(y: Any, weight: Any, bias: Any) -> Any:
    """Return y times a weight and plus a bias of each channel, where there are such."""
    y = y if weight is None else y * by_channel(weight, y.ndim)
    return y if bias is None else y + by_channel(bias, y.ndim)


def check_image(name: str, input: Any, least: int = 2) -> None:
    """Refuse what has no channels, and integers."""
    if input.ndim < least or input.array.dtype.kind != "f":
        raise ArgumentError(
            f"{name}: expected a floating input (N, C, ...), got {input.dtype} {input.shape}"
        )


def check_sizes(name: str, channels: int, **given: Any) -> None:
    """Refuse weights that are not one a channel."""
    for label, t in given.items():
        if t is not None and tuple(t.shape) != (channels,):
            raise ArgumentError(f"{name}: {label} has shape {t.shape}, expected ({channels},)")


@public("functional", "function")
def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalise each sample over groups of its channels: (x - mean) / sqrt(var + eps) * weight +
    bias.

    Shape: input: (N, C, ...), weight and bias: (C,) -> input's.
    Source: Wu and He, "Group normalization" (2018).

    >>> import minigrad as mg
    >>> group_norm(mg.tensor([[1.0, 3.0]]), 1)
    tensor([[-1.0000,  1.0000]])
    """
    check_image("group_norm", input)
    n, c = input.shape[:2]
    if num_groups < 1 or c % num_groups:
        raise ArgumentError(f"group_norm: {num_groups} groups do not divide {c} channels")
    check_sizes("group_norm", c, weight=weight, bias=bias)
    if not input.array.size:
        return scaled(input, weight, bias)
    rows = input.reshape(n * num_groups, -1)
    y = layer_norm(rows, (rows.shape[1],), eps=eps).reshape(input.shape)
    return scaled(y, weight, bias)


@public("functional")
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of each sample.

    use_input_stats: with the sample's own statistics, towards whose means over the batch the
        running ones, if given, move by `momentum`; otherwise with the running ones.
    Shape: input: (N, C, ...), all others (C,) -> input's.
    Source: Ulyanov et al., "Instance normalization" (2016).
    """
    check_image("instance_norm", input)
    c = input.shape[1]
    check_sizes("instance_norm", c, weight=weight, bias=bias)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(input.shape[2:])
    if count == 1:
        raise ArgumentError(
            f"instance_norm: expected more than one value per channel, got input {input.shape}"
        )
    if running_mean is not None:
        moved_towards(input, running_mean, running_var, momentum, count)
    return group_norm(input, c, weight, bias, eps)


def moved_towards(x: Any, mean: Any, var: Any, momentum: float, count: int) -> None:
    """Move the running statistics towards the means of the samples' own."""
    with no_grad():
        rows = x.detach().reshape(x.shape[0], x.shape[1], count)
        mean.copy_(mean * (1 - momentum) + rows.mean(2).mean(0) * momentum)
        if var is not None:
            var.copy_(var * (1 - momentum) + rows.var(2).mean(0) * momentum)


@public("functional", "function")
def rms_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    """Divide each sample by the root of its mean square: x / sqrt(mean(x^2) + eps) * weight.

    eps: the dtype's smallest step at 1 if None.
    Shape: input: (..., *normalized_shape), weight: normalized_shape -> input's.
    Source: Zhang and Sennrich, "Root mean square layer normalization" (2019).

    >>> import minigrad as mg
    >>> rms_norm(mg.tensor([3.0, -1.0]), (2,))
    tensor([ 1.3416, -0.4472])
    """
    shape = sizes_of((tuple(normalized_shape),))
    if not shape or tuple(input.shape[input.ndim - len(shape) :]) != shape:
        raise ArgumentError(
            f"rms_norm: an input of shape {input.shape} does not end in normalized_shape {shape}"
        )
    if weight is not None and tuple(weight.shape) != shape:
        raise ArgumentError(f"rms_norm: weight has shape {weight.shape}, expected {shape}")
    least = float(np.finfo(input.array.dtype).eps) if eps is None else eps
    axes = tuple(range(input.ndim - len(shape), input.ndim))
    y = input / ((input * input).mean(axes, keepdim=True) + least).sqrt()
    return y if weight is None else y * weight


@public("functional")
def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Divide by (k + alpha * mean of the squares of `size` neighbouring channels)^beta.

    Shape: (N, C, ...) -> the same.
    Source: Krizhevsky et al., "ImageNet classification with deep convolutional networks" (2012),
        section 3.3.
    """
    check_image("local_response_norm", input, 3)
    if not input.array.size:
        return input
    around = (0, 0) * (input.ndim - 2) + (size // 2, (size - 1) // 2)
    squares = unfold(pad(input * input, around), 1, size, 1).mean(-1)
    return input / (squares * alpha + k) ** beta
