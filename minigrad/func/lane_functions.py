"""Functions that take positions, where these differ from example to example.

Their positions are read on the host, which nothing with lanes allows.  So they are computed on the
tensors of all examples, whose first dimension counts them, and the result gets its lanes back.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minigrad.autograd.function import VMAPS
from minigrad.engine.device import LANE_RULES
from minigrad.func.lane_ops import FromLanes, ToLanes, levels
from minigrad.func.lanes import ON, has_lanes, levels_that_differ, sizes_in, whole
from minigrad.nn.functional.embeddings import embedding
from minigrad.ops.common import axis_of
from minigrad.ops.elementwise import where
from minigrad.ops.index import gather
from minigrad.tensors.creation import arange
from minigrad.tensors.tensor import Tensor, new


def level_of(index: Any) -> tuple[int, int] | None:
    """Return the innermost level, and its size, in whose lanes positions differ."""
    if not isinstance(index, Tensor) or not has_lanes(index.array):
        return None
    differ = levels_that_differ(index.array)
    found = [pair for pair in sizes_in(index.array) if pair[0] in differ]
    return found[-1] if found else None


def physical(t: Tensor, level: tuple[int, int]) -> Any:
    """Return a tensor of all examples of a level."""
    return FromLanes.apply(t, dim=0, level=level[0], size=level[1])


def logical(t: Tensor, level: tuple[int, int]) -> Any:
    """Return a tensor of all examples with these as lanes."""
    return ToLanes.apply(t, dim=0, level=level[0])


def in_range(index: Tensor, n: int, lowest: int = 0) -> bool:
    """Say whether all positions, of all lanes, lie in [lowest, n)."""
    held = whole(index.array, sizes_in(index.array))
    return not held.size or bool(held.min() >= lowest and held.max() < n)


def gather_lanes(input: Any, dim: int, index: Any) -> Any:
    """`gather`"""
    level = level_of(index)
    if level is None or not input.ndim or index.ndim != input.ndim:
        return None
    axis = axis_of("gather", dim, input.ndim)
    return logical(gather(physical(input, level), axis + 1, physical(index, level)), level)


def along(input: Any, axis: int, index: Any) -> Any:
    """Return input[:, ..., index], positions of any shape standing at `axis`."""
    rest = [n if i != axis else 1 for i, n in enumerate(input.shape)]
    count = math.prod(index.shape)
    shape = [1] * input.ndim
    shape[axis] = count
    sizes = [n if i != axis else count for i, n in enumerate(rest)]
    picked = gather(input, axis, index.reshape(shape).expand(sizes))
    return picked.reshape(*input.shape[:axis], *index.shape, *input.shape[axis + 1 :])


def index_select_lanes(input: Any, dim: int, index: Any) -> Any:
    """`index_select`"""
    if level_of(index) is None or not input.ndim or index.ndim != 1:
        return None
    return along(input, axis_of("index_select", dim, input.ndim), index)


def embedding_lanes(input: Any, weight: Any, padding: int | None, plain: bool) -> Any:
    """`embedding`; plain: without an option that looks at the numbers."""
    level = level_of(input)
    if level is None or not plain or not in_range(input, weight.shape[0]):
        return None
    ids = physical(input, level)
    if level[0] in dict(sizes_in(weight.array)):
        rows, size = weight.shape
        table = physical(weight, level).reshape(level[1] * rows, size)
        first = arange(level[1]).reshape(level[1], *[1] * input.ndim) * rows
        y = logical(embedding(ids + first, table), level)
    else:
        y = logical(embedding(ids, weight), level)
    if padding is None:
        return y
    padded = (input == padding % weight.shape[0]).unsqueeze(-1)
    return where(padded, y.detach(), y)


def nll_loss_lanes(input: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    """`nll_loss`"""
    if level_of(target) is None or weight is not None or not input.ndim:
        return None
    dim = 0 if input.ndim == 1 else 1
    held = whole(target.array, sizes_in(target.array))
    fits = target.shape == input.shape[:dim] + input.shape[dim + 1 :]
    if not fits or not in_range(target, input.shape[dim]) or (held == ignore_index).any():
        return None
    loss = -gather(input, dim, target.long().unsqueeze(dim)).squeeze(dim)
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.mean()


LANE_RULES.update(
    gather=gather_lanes,
    index_select=index_select_lanes,
    embedding=embedding_lanes,
    nll_loss=nll_loss_lanes,
)


# ---------------------------------------------------------------- x[index]
get = Tensor.__getitem__


def getitem(self: Any, i: Any) -> Any:
    """`Tensor.__getitem__`, where a position differs from example to example."""
    parts = i if isinstance(i, tuple) else (i,)
    if not any(level_of(p) is not None for p in parts):
        return get(self, i)
    places = [k for k, p in enumerate(parts) if isinstance(p, Tensor | np.ndarray | list)]
    first, last = places[0], places[-1]
    found = None if last - first + 1 != len(places) else picked(self, parts, first, last)
    return get(self, i) if found is None else found


def picked(x: Any, parts: tuple[Any, ...], first: int, last: int) -> Any:
    """Return x[parts], of which those from `first` to `last` are positions; None where they are
    anything else, or out of range.
    """
    positions = []
    for p in parts[first : last + 1]:
        t = p if isinstance(p, Tensor) else new(np.asarray(p))
        if t.array.dtype.kind not in "iu":
            return None
        positions.append(t)
    y = get(x, (*parts[:first], *[slice(None)] * len(positions), *parts[last + 1 :]))
    dots = [k for k, p in enumerate(parts) if p is Ellipsis]
    if dots and dots[0] < first:
        after = sum(not isinstance(p, int) for p in parts[last + 1 :])
        axis = y.ndim - after - len(positions)
    else:
        axis = sum(not isinstance(p, int) for p in parts[:first])
    sizes = y.shape[axis : axis + len(positions)]
    total: Any = 0
    for n, t in zip(sizes, positions, strict=True):
        if not in_range(t, n, -n):
            return None
        total = total * n + where(t < 0, t + n, t)
    flat = y.reshape(*y.shape[:axis], math.prod(sizes), *y.shape[axis + len(sizes) :])
    return along(flat, axis, total)


# ---------------------------------------------------------------- functions that say how
class VmapInfo(NamedTuple):
    """What a Function's `vmap` is told beside its arguments."""

    batch_size: int
    randomness: str


def by_function(cls: Any, args: tuple[Any, ...]) -> Any:
    """Apply a Function by its own `vmap` over the innermost level; None where none is mapped."""
    inside = [level for level, _ in levels.sizes]
    found = [
        pair
        for a in args
        if isinstance(a, Tensor)
        for pair in sizes_in(a.array)
        if pair[0] in inside
    ]
    if not found:
        return None
    level = max(found)
    mapped = [isinstance(a, Tensor) and level in sizes_in(a.array) for a in args]
    given = [physical(a, level) if m else a for a, m in zip(args, mapped, strict=True)]
    was, levels.sizes = levels.sizes, tuple([p for p in levels.sizes if p != level])
    try:
        in_dims = tuple([0 if m else None for m in mapped])
        outputs, dims = cls.vmap(VmapInfo(level[1], "error"), in_dims, *given)
    finally:
        levels.sizes = was
    several = outputs if isinstance(outputs, tuple) else (outputs,)
    places = dims if isinstance(dims, tuple) else (dims,) * len(several)
    results = [
        y if d is None else ToLanes.apply(y, dim=d % y.ndim, level=level[0])
        for y, d in zip(several, places, strict=True)
    ]
    return tuple(results) if isinstance(outputs, tuple) else results[0]


def switch(on: bool) -> None:
    """Let tensors find lanes in an index, and Functions in their arguments, or not."""
    Tensor.__getitem__ = getitem if on else get  # type: ignore[method-assign]
    VMAPS[:] = [by_function] if on else []


ON.append(switch)
