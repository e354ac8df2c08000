"""A product on its way to an operand that was broadcast: summed at once, and never written out."""

from __future__ import annotations

import functools
from typing import Any

from minigrad.engine.device import BATCHED
from minigrad.engine.dispatch import empty, launch, sizes_around
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import Bridge, Op

Shape = tuple[int, ...]


@functools.lru_cache(4096)
def groups(shape: Shape, kept: Shape) -> tuple[int, int, int] | None:
    """Return how elements of `shape` lie in groups that are summed down to `kept`.

    None where these are no (outer, reduced, inner), or `kept` does not broadcast to `shape`.

    >>> groups((4, 3, 5), (3, 1)), groups((4, 3, 5), (4, 1, 5)), groups((4, 3, 5), (1, 3, 1))
    (None, (4, 3, 5), None)
    """
    lead = len(shape) - len(kept)
    if lead < 0 or any(n not in (1, m) for n, m in zip(kept, shape[lead:], strict=True)):
        return None
    wide = (1,) * lead + kept
    axes = tuple([i for i, (n, m) in enumerate(zip(wide, shape, strict=True)) if n != m])
    return sizes_around(shape, axes) if axes else None


def product_toward(op: Op, i: int, g: Any, other: Any) -> Any:
    """Return g * other, the gradient for input `i`, summed over the axes along which that was
    broadcast where one kernel can; else the sweep sums it.
    """
    x, z = g.array, other.array
    kept = op.inputs[i].array.shape
    if kept == x.shape or z.shape != x.shape or mode.recording or BATCHED or x.dtype != z.dtype:
        return g * other
    sizes = groups(x.shape, kept)
    if sizes is None or not (x.flags.c_contiguous and z.flags.c_contiguous):
        return g * other
    y = empty(kept, x.dtype, x)
    launch("sum_products", x.reshape(sizes), z.reshape(sizes), y.reshape(sizes[::2]))
    return Bridge.new(y)
