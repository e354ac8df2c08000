"""Hooks: what is called when a tensor's gradient is complete, and may replace it.

They lie where the gradient comes by: at the node that made a result, or at the leaf itself.  A
write in place gives the tensor a new node; hooks stay with the old one, so that each sees the
gradient of the value it was registered on, and `retain_grad` goes along, as in PyTorch.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any

from minigrad.engine.dispatch import hold_over_fork
from minigrad.engine.op import OP, Bridge

# Held while a gradient is added to a `.grad`: reading, adding and storing are three steps, and
# threads that go backward to one leaf would lose gradients between them.
ADDING = threading.RLock()
hold_over_fork(ADDING)

next_key = itertools.count().__next__


class Handle:
    """The result of `register_hook`: `remove()` takes the hook away."""

    def __init__(self, remove: Callable[[], Any]) -> None:
        self._remove = remove

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._remove()


class Hooks:
    """The hooks on one gradient, in the order of registration; what keeps it comes last.

    keeper: a weak reference to the tensor whose `retain_grad()` was called.
    """

    __slots__ = ("calls", "keeper")

    def __init__(self) -> None:
        self.calls: dict[int, Callable[[Any], Any]] = {}
        self.keeper: Any = None

    def add(self, hook: Callable[[Any], Any]) -> Handle:
        """Append a hook; those added while hooks run wait for the next sweep."""
        key, calls = next_key(), self.calls
        calls[key] = hook
        return Handle(lambda: calls.pop(key, None))

    def run(self, g: Any) -> Any:
        """Return the gradient as the hooks leave it."""
        for hook in tuple(self.calls.values()):
            replaced = hook(g)
            if replaced is not None:
                g = checked(hook, replaced, g)
        tensor = None if self.keeper is None else self.keeper()
        if tensor is not None:
            keep(tensor, g)
        return g


def keep(tensor: Any, g: Any) -> None:
    """Add `g` to the `.grad` of a result, in memory of its own."""
    with ADDING:
        held = tensor._grad
        tensor._grad = g.clone() if held is None else held + g


def checked(hook: Any, replaced: Any, g: Any) -> Any:
    """Return what a hook gave in place of `g`; raise where it cannot stand for it."""
    name = getattr(hook, "__qualname__", type(hook).__name__)
    if not isinstance(replaced, Bridge.tensor):
        raise TypeError(
            f"hook {name}: expected a tensor or None, got {type(replaced).__name__}; return the new"
            " gradient, or nothing to leave it as it is"
        )
    was = g.shape, g.dtype, g.device
    now = replaced.shape, replaced.dtype, replaced.device
    if was != now:
        raise RuntimeError(
            f"hook {name}: its result must be like the gradient, of shape {was[0]}, dtype"
            f" {was[1].name}, on {was[2]}; it has shape {now[0]}, dtype {now[1].name}, on {now[2]}"
        )
    return replaced


# ---------------------------------------------------------------- where they lie
def hooks_of(tensor: Any) -> Hooks:
    """Return the hooks on a tensor's gradient, made at first need."""
    node = tensor.node
    if node is None:
        if tensor.hooks is None:
            tensor.hooks = Hooks()
        found: Hooks = tensor.hooks
        return found
    op, at = (node, 0) if node.kind == OP else (node.op, node.index)
    if op.hooks is None:
        op.hooks = {}
    found = op.hooks.setdefault(at, Hooks())
    return found


def hooks_at(edge: Any) -> Hooks | None:
    """Return the hooks on the gradient that reaches an edge, if there are any."""
    found: Hooks | None = edge.hooks
    if found is not None and edge.kind == OP:
        return edge.hooks.get(0)
    return found


def retain(tensor: Any) -> None:
    """Keep the gradient of a result whenever it comes by."""
    tensor.retains_grad = True
    hooks_of(tensor).keeper = weakref.ref(tensor)


def replace_node(tensor: Any, node: Any) -> None:
    """Give a tensor that was written to another place on the tape; `retain_grad` goes along."""
    if tensor.retains_grad:
        hooks_of(tensor).keeper = None
    tensor.node, tensor.tracked = node, True
    if tensor.retains_grad:
        retain(tensor)
