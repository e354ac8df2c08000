"""What all transformations of functions share: places of their own on the tape.

A transformed function computes on aliases of its arguments: the same memory, at a new place on the
tape.  A gradient is asked for at that place, so that transformations nest: each sees its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from minigrad.engine.grad_mode import mode
from minigrad.engine.op import LEAF, SLOT, cell_of
from minigrad.func.lane_ops import levels, matched
from minigrad.ops.memory import Identity
from minigrad.tensors.tensor import Tensor, new


class _Depth(threading.local):
    """How many transformations this thread is inside of, and the innermost."""

    count = 0
    inner: Any = None


depth = _Depth()


class transform:
    """A context in which a function is differentiated: what it computes is recorded.

    active: whether it lasts.
    """

    active = False

    def __enter__(self) -> None:
        self.was, self.around = mode.recording, depth.inner
        self.active, depth.inner = True, self
        depth.count += 1
        mode.recording = mode.level(True)

    def __exit__(self, *_: Any) -> None:
        self.active, depth.inner = False, self.around
        depth.count -= 1
        mode.recording = self.was


def alias(t: Tensor) -> Tensor:
    """Return a tensor over the same memory, at a place of its own on the tape."""
    if levels.sizes:
        t = matched(t, levels.sizes)
    out, op = new(t.array), Identity()
    out.cell = cell_of(t)
    op.record((t,), {}, (out,))
    op.__dict__["scope"] = depth.inner
    if mode.tape is not None:
        mode.tape.add(op, (t,), (out,))
    return out


def depends(tensors: Iterable[Tensor], own: Iterable[Tensor]) -> bool:
    """Say whether tensors are functions of more than `own`: then what is computed of them is part
    of another gradient, too, or of a tangent of a level of forward mode around this one.
    """
    ends = {id(t.node): t.node for t in own}
    mine = {id(getattr(node, "shell", None)) for node in ends.values()}
    if any(e is not None for node in ends.values() for e in node.edges or ()):
        return True
    stack: list[Any] = [t.node or t for t in tensors if t.tracked]
    seen: set[int] = set()
    while stack:
        edge = stack.pop()
        if edge.kind == LEAF:
            return True
        node = edge.op if edge.kind == SLOT else edge
        if id(node) in seen or id(node) in ends:
            continue
        shell = getattr(node, "shell", None)
        if shell is not None:  # of a level of forward mode, whose tangents go on while it lasts
            if shell.active and id(shell) not in mine:
                return True
            continue
        seen.add(id(node))
        parents = [e for e in node.edges or () if e is not None]
        if not parents:  # an argument of a transformation, which may be over
            scope = getattr(node, "scope", None)
            if scope is None or scope.active:
                return True
        stack += parents
    return False


def settled(t: Any, own: Iterable[Tensor]) -> Any:
    """Return a result off the tape, unless it is a function of more than `own`."""
    if not isinstance(t, Tensor) or not t.tracked or depends((t,), own):
        return t
    out = new(t.array)
    out.cell = cell_of(t)
    return out
