"""Distances and likenesses of vectors; `minigrad.nn.functional` re-exports them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.device import DeviceArray
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.ops.elementwise import where
from minigrad.ops.index import picked_by_shapes
from minigrad.ops.products import einsum
from minigrad.ops.reduce import norm
from minigrad.ops.registry import public
from minigrad.ops.shape import expand


@public("functional", "function")
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Return x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`, both broadcast.

    >>> import minigrad as mg
    >>> cosine_similarity(mg.tensor([[3.0, 4.0]]), mg.tensor([[4.0, 3.0]]))
    tensor([0.9600])
    """
    for x in (x1, x2):
        if x.array.dtype.kind != "f":
            raise ArgumentTypeError(f"cosine_similarity: expected floating tensors, got {x.dtype}")
    shape = np.broadcast_shapes(tuple(x1.shape), tuple(x2.shape))
    a, b = expand(x1, shape), expand(x2, shape)
    if not shape:
        a, b, dim = a.reshape(1), b.reshape(1), 0
    lengths = [held_above(norm(x, 2.0, dim, keepdim=True), eps) for x in (a, b)]
    return ((a / lengths[0]) * (b / lengths[1])).sum(dim)


def held_above(x: Any, least: float) -> Any:
    """Return the larger of x and a number; the gradient is x's all the same, as PyTorch has it."""
    gap = (least - x.detach()).clamp(min=0.0)
    array: Any = gap.array
    if type(array) is not DeviceArray and not array.any():  # to ask a device would wait for it
        return x
    return where(gap > 0, x - x.detach() + least, x)


@public("functional", "function")
def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """Return the p-norm of x1 - x2 + eps over the last dimension.

    >>> import minigrad as mg
    >>> pairwise_distance(mg.zeros(1, 2), mg.tensor([[3.0, 4.0]]))
    tensor([5.0000])
    """
    gap = x1 - x2 + eps
    return norm(gap, p, gap.ndim - 1 if gap.ndim else None, keepdim)


@public("functional", "function")
def pdist(input: Any, p: float = 2.0) -> Any:
    """Return the p-norms of the differences of all pairs of rows, (0, 1) first, then (0, 2), ...

    Shape: (N, M) -> (N (N - 1) / 2,).
    """
    if input.ndim != 2 or input.array.dtype.kind != "f":
        raise ArgumentError(
            f"pdist: expected floating rows (N, M), got {input.dtype} {input.shape}"
        )
    first, second = np.triu_indices(input.shape[0], 1)
    gaps = picked_by_shapes(input, first) - picked_by_shapes(input, second)
    return norm(gaps, p, 1) if gaps.shape[1] else gaps.sum(1)


@public("functional")
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """Return y_o = x1^T W_o x2 + b_o.

    Shape: input1: (..., I), input2: (..., J), weight: (O, I, J), bias: (O,) -> (..., O).
    """
    if input1.shape[:-1] != input2.shape[:-1]:
        raise ArgumentError(
            f"bilinear: inputs {input1.shape} and {input2.shape} must agree in all but the last "
            "dimension"
        )
    if weight.ndim != 3 or weight.shape[1:] != (input1.shape[-1], input2.shape[-1]):
        raise ArgumentError(
            f"bilinear: weight {weight.shape} does not fit inputs of {input1.shape[-1]} and "
            f"{input2.shape[-1]} features"
        )
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias
