"""Padding; `minigrad.nn.functional` re-exports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.device import filled
from minigrad.engine.errors import ArgumentError
from minigrad.ops.index import Index, IndexSet, picked_by_shapes
from minigrad.ops.shape import expanded
from minigrad.tensors.tensor import Tensor, new

Array = np.ndarray[Any, Any]


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    """Return `input` enlarged at the ends of its last dimensions.

    pad: (before, after) of the last dimension, then of the one before it, and so on; negative
    numbers cut off.
    mode: "constant" (with `value`), "reflect" (mirror, the edge once), "replicate" (the edge) or
    "circular" (what is left after negative numbers have cut off, again from its other end).
    Every mode takes any number of dimensions, where PyTorch's other modes than "constant" take the
    last one to three of inputs with one or two more.

    Raises: ValueError for numbers that are not in pairs, cut off more than there is, or ask a mode
        for more than it can take: all but one element for "reflect", all for "circular".

    >>> import minigrad as mg
    >>> pad(mg.tensor([1.0, 2.0, 3.0]), (2, 1), mode="reflect")
    tensor([3., 2., 1., 2., 3., 2.])
    """
    ends = tuple(int(n) for n in pad)
    x = input.array
    if len(ends) % 2 or len(ends) > 2 * x.ndim:
        raise ArgumentError(
            f"pad: expected (before, after) for at most {x.ndim} dimensions of shape {x.shape},"
            f" got {ends}"
        )
    by_axis = [(x.ndim - 1 - k, ends[2 * k], ends[2 * k + 1]) for k in range(len(ends) // 2)]
    for axis, before, after in by_axis:
        left = x.shape[axis] + min(before, 0) + min(after, 0)
        short = left < 0 and mode != "replicate"  # whose edge can always be repeated
        if short or x.shape[axis] + before + after < 0:
            raise ArgumentError(
                f"pad: {(before, after)} cuts off more than dim {axis} of shape {x.shape}"
            )
    sizes = [x.shape[axis] + before + after for axis, before, after in by_axis if x.shape[axis]]
    if mode in ("reflect", "replicate") and sizes and max(sizes) < 1:
        raise ArgumentError(f"pad: {ends} leaves nothing of shape {x.shape}")
    if mode == "constant":
        return _constant(input, by_axis, value)
    if mode not in ("reflect", "replicate", "circular"):
        raise ArgumentError(
            f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}"
        )
    for axis, before, after in by_axis:
        where = positions(mode, x.shape[axis], before, after)
        input = picked_by_shapes(input, *(slice(None),) * axis, where)
    return input


def _constant(input: Tensor, by_axis: list[tuple[int, int, int]], value: float) -> Tensor:
    """Return the input padded with a value, or cut where a padding is negative.

    by_axis: (axis, before, after).
    """
    shape = list(input.array.shape)
    source = [slice(None)] * len(shape)
    target = [slice(None)] * len(shape)
    for axis, before, after in by_axis:
        n = shape[axis]
        source[axis] = slice(max(0, -before), n - max(0, -after))
        shape[axis] = n + before + after
        target[axis] = slice(max(0, before), shape[axis] - max(0, after))
    inner = Index.apply(input, index=tuple(source))
    whole = new(expanded(filled((), value, input.array.dtype, input.array), tuple(shape)))
    return IndexSet.apply(whole, inner, index=tuple(target))


def positions(mode: str, n: int, before: int, after: int) -> Array:
    """Return which of `n` elements stand where, from -before to n + after.

    >>> positions("circular", 3, 1, 1)
    array([2, 0, 1, 2, 0])
    """
    kept = n - max(0, -before) - max(0, -after)
    limit = n - 1 if mode == "reflect" else kept if mode == "circular" else n
    if max(before, after) > 0 and (n == 0 or (mode != "replicate" and max(before, after) > limit)):
        raise ArgumentError(
            f"pad: {(before, after)} is more than mode {mode!r} can take from"
            f" {max(kept, 0) if mode == 'circular' else n} elements: at most {max(limit, 0)}"
        )
    at = np.arange(-before, n + after)
    if mode == "replicate":
        return np.clip(at, 0, n - 1)
    if mode == "circular":
        first = max(0, -before)
        return first + (at - first) % max(kept, 1)
    at = np.abs(at)
    return np.where(at >= n, 2 * (n - 1) - at, at)
