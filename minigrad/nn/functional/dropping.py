"""Dropout of whole channels, and alpha dropout, which keeps mean and variance of selu's outputs.

p: the probability to drop.  generator: whose stream the mask is drawn from; the default one if
None.
"""

from __future__ import annotations

import math

from minigrad.engine import random
from minigrad.engine.errors import ArgumentError
from minigrad.nn.functional.activations import written
from minigrad.nn.functional.layers import check_dropout
from minigrad.nn.functional.units import SELU_ALPHA, SELU_SCALE
from minigrad.ops.common import only_floating
from minigrad.ops.dropout import dropped
from minigrad.ops.registry import public
from minigrad.tensors.creation import ones
from minigrad.tensors.tensor import Tensor

Generator = random.Generator | None


def kept(input: Tensor, shape: tuple[int, ...], p: float, generator: Generator) -> Tensor:
    """Return 1 where an element of a mask of `shape` is kept, and 0 where it is dropped."""
    mask: Tensor = ones(*shape, dtype=input.dtype, device=input.device)
    drawn: Tensor = dropped(mask, float(p), 1.0, generator or random.default)
    return drawn


def by_channel(name: str, input: Tensor, lead: int) -> tuple[int, ...]:
    """Return the shape of a mask with one element for each of the first `lead` dimensions.

    Raises: ValueError for an input of fewer than two dimensions.
    """
    if input.ndim < 2:
        raise ArgumentError(
            f"{name}: expected channels in the second dimension, got shape {input.shape}"
        )
    return (*input.shape[:lead], *[1] * (input.ndim - lead))


def of_channels(name: str, input: Tensor, p: float, dims: int, generator: Generator) -> Tensor:
    """Return the input with whole channels dropped, the others scaled.

    dims: of an input without a batch; any other number has a batch in front.

    Raises: ValueError for fewer than two dimensions.
    """
    mask = kept(input, by_channel(name, input, 1 if input.ndim == dims else 2), p, generator)
    return input * (mask if p == 1 else mask / (1.0 - p))


@public("functional")
def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator = None,
) -> Tensor:
    """Set each channel to 0 with probability `p`, and scale the others by 1 / (1 - p).

    Shape: input: (N, C, L) or (C, L).

    >>> import minigrad as mg
    >>> dropout1d(mg.ones(1, 2, 3), 1.0).sum()
    tensor(0.)
    """
    check_dropout(p, "inverted")
    if input.ndim not in (2, 3):
        raise ArgumentError(f"dropout1d: expected 2 or 3 dimensions, got shape {input.shape}")
    if inplace:
        return written(dropout1d, input, p, training, generator=generator)
    return of_channels("dropout1d", input, p, 2, generator) if training and p else input


@public("functional")
def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator = None,
) -> Tensor:
    """Set each channel to 0 with probability `p`; see `dropout1d`.

    Shape: input: (N, C, H, W); three dimensions count as (N, C, L), as in PyTorch.
    Source: Tompson et al., "Efficient object localization using convolutional networks" (2015).

    >>> import minigrad as mg
    >>> dropout2d(mg.ones(1, 2, 2, 2), 0.0).sum()
    tensor(8.)
    """
    check_dropout(p, "inverted")
    if inplace:
        return written(dropout2d, input, p, training, generator=generator)
    return of_channels("dropout2d", input, p, 0, generator) if training and p else input


@public("functional")
def dropout3d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator = None,
) -> Tensor:
    """Set each channel to 0 with probability `p`; see `dropout1d`.

    Shape: input: (N, C, D, H, W) or (C, D, H, W).
    """
    check_dropout(p, "inverted")
    if inplace:
        return written(dropout3d, input, p, training, generator=generator)
    return of_channels("dropout3d", input, p, 4, generator) if training and p else input


@public("function", "functional")
def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator = None,
) -> Tensor:
    """Set each element to selu's lower limit with probability `p`, and scale and shift all, so that
    mean 0 and variance 1 stay.

    Source: Klambauer et al., "Self-normalizing neural networks" (2017).

    >>> import minigrad as mg
    >>> alpha_dropout(mg.ones(2))
    tensor([1., 1.])
    """
    check_dropout(p, "inverted")
    if inplace:
        return written(alpha_dropout, input, p, training, generator=generator)
    return saturated(input, input.shape, p, generator) if training and p else input


@public("function", "functional")
def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator = None,
) -> Tensor:
    """Drop whole channels as `alpha_dropout` drops elements."""
    check_dropout(p, "inverted")
    if inplace:
        return written(feature_alpha_dropout, input, p, training, generator=generator)
    if not (training and p):
        return input
    return saturated(input, by_channel("feature_alpha_dropout", input, 2), p, generator)


def saturated(input: Tensor, shape: tuple[int, ...], p: float, generator: Generator) -> Tensor:
    """Return the input with what a mask of `shape` drops at selu's lower limit, standardised."""
    only_floating("alpha_dropout", input.array)
    if p == 1:
        return input * 0.0
    low = -SELU_ALPHA * SELU_SCALE
    scale = 1 / math.sqrt((low * low * p + 1) * (1 - p))
    mask = kept(input, shape, p, generator)
    return input * (mask * scale) + ((1.0 - mask) * (low * scale) - low * p * scale)
