"""Record writes in place on the tape.

The operators compute out of place, write back, and go on from the new node.

Each write moves the version that all views of the memory share.  On a leaf that requires grad they
raise outside `no_grad`; on a view of a computed tensor the base's history is rebuilt, so that it
knows the write.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.hooks import replace_node
from minigrad.engine.op import Bridge
from minigrad.engine.overwrite import copy_of
from minigrad.engine.routes import Refused


def leave_base(t: Any) -> None:
    """Make a view that was given other memory since, or whose base was, one no more."""
    if t.base is not None and not np.may_share_memory(t.array, t.base.array):
        t.base = None


APART = (
    "a view made under no_grad() was used after its base was changed in place while recording, so"
    " that it is neither a constant nor on the tape; take the view outside no_grad(), or of a"
    " detach()ed base, or clone() it"
)


def follow(base: Any) -> None:
    """Make every living view of `base` a function of what `base` is a function of now.

    One made under no_grad() was meant to be a constant and is none any more: it may not be used.
    """
    for ref in tuple((base.views or {}).values()):
        view = ref()
        if view is None or not np.may_share_memory(view.array, base.array):
            continue
        if view.apart:
            view.node, view.tracked = Refused(APART, view.array), True
        else:
            replace_node(view, seen_from(base, view).node)


def seen_from(base: Any, view: Any) -> Any:
    """Return the elements of `view` as a function of `base`."""
    return base.reshape(-1)[places(view.array, base.array)]


def before(t: Any) -> Any:
    """Return the elements of `t` in memory of their own, at the same place on the tape."""
    copy = Bridge.new(copy_of(t.array))
    copy.tracked, copy.node, copy.cell = t.tracked, t.node, [0, ""]
    return copy


def places(view: Any, base: Any) -> Any:
    """Return the flat positions, in C order of `base`, of the elements of `view`."""
    view, base = getattr(view, "geometry", view), getattr(base, "geometry", base)
    low, high = np.lib.array_utils.byte_bounds(base)
    start = view.__array_interface__["data"][0] - low
    offset = np.full(view.shape, start // base.itemsize, np.int64)
    for axis, (n, step) in enumerate(zip(view.shape, view.strides, strict=True)):
        line = np.arange(n, dtype=np.int64) * (step // base.itemsize)
        offset += line.reshape((1,) * axis + (n,) + (1,) * (view.ndim - axis - 1))
    if base.flags.c_contiguous:
        return offset
    first = (base.__array_interface__["data"][0] - low) // base.itemsize
    numbers = np.zeros((high - low) // base.itemsize, np.int64)  # of the elements as they lie
    strides = [step // base.itemsize * numbers.itemsize for step in base.strides]
    laid = np.lib.stride_tricks.as_strided(numbers[first:], base.shape, strides)
    laid[...] = np.arange(base.size, dtype=np.int64).reshape(base.shape)
    return numbers[offset]
