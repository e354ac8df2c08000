"""In-place operators of Tensor: compute out of place, write back, and go on from the new node.

Each write moves the version that all views of the memory share.  On a leaf that requires grad they
raise outside `no_grad`; on a view of a computed tensor the base's history is rebuilt, so that it
knows the write.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import empty, launch
from minigrad.modes import mode, user_line
from minigrad.ops import elementwise, index
from minigrad.tape import Bridge, written


class InPlace:
    """The methods whose names end in an underscore, and `+=` and its siblings."""

    def _write(self: Any, op: Any, *others: Any, **meta: Any) -> Any:
        """Replace the elements by `op(self, *others)`, recorded where a gradient flows."""
        others = tuple([Bridge.lift(o, self) for o in others])
        recorded = mode.recording and (self.requires_grad or any(o.requires_grad for o in others))
        if recorded:
            owner = self if self.base is None else self.base
            if owner.requires_grad and owner.node is None:
                raise RuntimeError(
                    f"{op.__name__}: a leaf of shape {owner.shape} that requires grad is changed "
                    "in place; do it under"
                    " no_grad(), or make a new tensor"
                )
        source = self
        if recorded and op.keeps:  # its rule needs the elements as they were
            source = before(self)
            others = tuple([source if o is self else o for o in others])
        result = op.apply(source, *others, **meta)
        if result.array.shape != self.array.shape:
            raise ValueError(
                f"{op.__name__}: the result has shape {result.array.shape} and does not fit in "
                f"place into {self.array.shape}"
            )
        if not np.can_cast(result.array.dtype, self.array.dtype, "same_kind"):
            raise TypeError(
                f"{op.__name__}: the result is {result.array.dtype} and cannot be written into "
                f"{self.array.dtype}"
            )
        self._put(result)
        return self

    def _put(self: Any, result: Any) -> None:
        """Copy `result` into this memory and take over its node."""
        if not self.array.flags.writeable:
            raise ValueError(
                "this tensor is an expanded view: several elements share memory; clone() it first"
            )
        written(self, f"at {user_line()}")
        base = self.base
        if result.requires_grad and base is not None:
            chosen = (places(self.array, base.array).reshape(-1),)
            replaced = index.IndexSet.apply(base.reshape(-1), result.reshape(-1), index=chosen)
            base.node, base.requires_grad = replaced.reshape(base.shape).node, True
        elif result.requires_grad:
            self.node, self.requires_grad = result.node, True
        if result.requires_grad:
            follow(self if base is None else base)
        launch("copy", result.array, self.array)

    def __iadd__(self, o: Any) -> Any:
        return self._write(elementwise.Add, o)

    def __isub__(self, o: Any) -> Any:
        return self._write(elementwise.Sub, o)

    def __imul__(self, o: Any) -> Any:
        return self._write(elementwise.Mul, o)

    def __itruediv__(self, o: Any) -> Any:
        return self._write(elementwise.Div, o)

    def __ipow__(self, o: Any) -> Any:
        return self._write(elementwise.Pow, o)

    def add_(self, other: Any, *, alpha: float = 1) -> Any:
        """Add `alpha * other` in place."""
        return self._write(elementwise.Add, other if alpha == 1 else other * alpha)

    def sub_(self, other: Any, *, alpha: float = 1) -> Any:
        """Subtract `alpha * other` in place."""
        return self._write(elementwise.Sub, other if alpha == 1 else other * alpha)

    def mul_(self, other: Any) -> Any:
        """Multiply in place."""
        return self._write(elementwise.Mul, other)

    def div_(self, other: Any) -> Any:
        """Divide in place."""
        return self._write(elementwise.Div, other)

    def pow_(self, exponent: Any) -> Any:
        """Raise to a power in place."""
        return self._write(elementwise.Pow, exponent)

    def clamp_(self, min: float | None = None, max: float | None = None) -> Any:
        """Limit the elements to [min, max] in place."""
        return self._write(elementwise.Clamp, low=min, high=max)

    def copy_(self: Any, other: Any) -> Any:
        """Copy the elements of `other`, broadcast and converted, into this memory."""
        self[...] = other
        return self

    def fill_(self: Any, value: float) -> Any:
        """Set every element to `value`."""
        self[...] = value
        return self

    def zero_(self: Any) -> Any:
        """Set every element to 0."""
        self[...] = 0
        return self


def follow(base: Any) -> None:
    """Make every living view of `base` a function of what `base` is a function of now."""
    for ref in tuple((base.views or {}).values()):
        view = ref()
        if view is not None:
            again = base.reshape(-1)[places(view.array, base.array)]
            view.node, view.requires_grad = again.node, True


def before(t: Any) -> Any:
    """Return the elements of `t` in memory of their own, at the same place on the tape."""
    memory = empty(t.array.shape, t.array.dtype, t.array)
    launch("copy", t.array, memory)
    copy = Bridge.new(memory)
    copy.requires_grad, copy.node = t.requires_grad, t.node
    return copy


def places(view: Any, base: Any) -> Any:
    """Return the flat positions, in C order of `base`, of the elements of `view`."""
    if not base.flags.c_contiguous:
        raise RuntimeError(
            "an in-place change through a view whose base is not contiguous, where a gradient "
            "flows;"
            " write base[index] = value instead, or clone() the base first"
        )
    view, base = getattr(view, "geometry", view), getattr(base, "geometry", base)
    start = view.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    offset = np.full(view.shape, start // base.itemsize, np.int64)
    for axis, (n, step) in enumerate(zip(view.shape, view.strides, strict=True)):
        line = np.arange(n, dtype=np.int64) * (step // base.itemsize)
        offset += line.reshape((1,) * axis + (n,) + (1,) * (view.ndim - axis - 1))
    return offset
