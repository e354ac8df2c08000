"""In-place operators of Tensor: compute out of place, write back, and go on from the new node.

Each write moves the version that all views of the memory share.  On a leaf that requires grad they
raise outside `no_grad`; on a view of a computed tensor the base's history is rebuilt, so that it
knows the write.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine.dtypes import fits_in_place
from minigrad.engine.grad_mode import mode, user_line
from minigrad.engine.hooks import hooks_at, replace_node
from minigrad.engine.op import Bridge, Refused, bump_version
from minigrad.engine.overwrite import check_writable, copy_of, overwrite
from minigrad.ops import elementwise, index
from minigrad.ops.grammar import resolved


class InPlace:
    """The methods whose names end in an underscore, and `+=` and its siblings."""

    def _write(self: Any, op: Any, *others: Any, **meta: Any) -> Any:
        """Replace the elements by `op(self, *others)`, recorded where a gradient flows."""
        others = tuple([Bridge.lift(o, self) for o in others])
        leave_base(self)
        recorded = mode.recording and (self._moves_gradient() or any(o.tracked for o in others))
        if recorded:
            self._check_recorded(op.__name__)
        source = self
        hooked = self.base is not None and self.node is not None and hooks_at(self.node) is not None
        if recorded and (op.keeps or hooked):  # its rule needs the elements as they were
            source = before(self)
            if hooked:  # hooks on a view are for what uses the view, not for what replaces it
                source.node = seen_from(self.base, self).node
            others = tuple([source if o is self else o for o in others])
        result = op.apply(source, *others, **meta)
        if result.array.shape != self.array.shape:
            raise ValueError(
                f"{op.__name__}: the result has shape {result.array.shape} and does not fit in "
                f"place into {self.array.shape}"
            )
        return self._kept(op.__name__, result)

    def _kept(self: Any, name: str, result: Any) -> Any:
        """Write a result into this memory, unless its dtype is of a higher kind."""
        if not fits_in_place(result.array.dtype, self.array.dtype):
            raise TypeError(
                f"{name}: the result is {result.array.dtype} and cannot be written into "
                f"{self.array.dtype}"
            )
        self._put(result)
        return self

    def _moves_gradient(self: Any) -> bool:
        """Say whether a gradient flows through this memory."""
        return self.tracked or (self.base is not None and self.base.tracked)

    def _check_recorded(self: Any, name: str) -> None:
        """Refuse a write that the tape could not follow."""
        owner = self if self.base is None else self.base
        if owner.tracked and owner.node is None:
            raise RuntimeError(
                f"{name}: a leaf of shape {owner.shape} that requires grad is changed in place; do"
                " it under no_grad(), or make a new tensor"
            )
        if self.apart:
            raise RuntimeError(
                f"{name}: a view made under no_grad(), shape {self.shape}, is changed in place"
                " while recording, where a gradient flows; make both the view and the change under"
                " no_grad(), or both outside"
            )

    def _unrecorded(self: Any, function: Any, other: Any) -> Any:
        """Replace the elements by what a function without a gradient gives."""
        if mode.recording and self._moves_gradient():
            raise RuntimeError(
                f"{function.__name__} in place: it has no gradient and the tensor requires one; "
                "do it under no_grad(), or out of place"
            )
        result = function(self, Bridge.lift(other, self))
        if result.array.shape != self.array.shape:
            raise ValueError(
                f"{function.__name__}: the result has shape {result.array.shape} and does not fit "
                f"in place into {self.array.shape}"
            )
        return self._kept(function.__name__, result)

    def _put(self: Any, result: Any) -> None:
        """Copy `result` into this memory and take over its node."""
        check_writable(self.array)
        bump_version(self, f"at {user_line()}")
        base = self.base
        if result.tracked and base is not None:
            chosen = resolved(places(self.array, base.array).reshape(-1), (base.array.size,))
            replaced = index.IndexSet.apply(base.reshape(-1), result.reshape(-1), index=chosen)
            replace_node(base, replaced.reshape(base.shape).node)
        elif result.tracked:
            replace_node(self, result.node)
        if result.tracked:
            follow(self if base is None else base)
        overwrite(self.array, result.array)

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

    def __ifloordiv__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.floor_divide, o)

    def __imod__(self, o: Any) -> Any:
        return self._write(elementwise.Remainder, o)

    def __iand__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_and, o)

    def __ior__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_or, o)

    def __ixor__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_xor, o)

    def __ilshift__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_left_shift, o)

    def __irshift__(self, o: Any) -> Any:
        return self._unrecorded(elementwise.bitwise_right_shift, o)

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

    def clamp_(self: Any, min: Any = None, max: Any = None) -> Any:
        """Limit the elements to [min, max] in place."""
        min, max = (v.item() if getattr(v, "ndim", None) == 0 else v for v in (min, max))
        if self.array.dtype.kind != "f":
            return self._kept("clamp_", elementwise.clamp(self, min, max))
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
