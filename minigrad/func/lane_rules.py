"""Rules in a sweep over tensors with lanes.

What a rule allocates has memory in all lanes in which its gradient or what the op has saved differ.
A fused op that is differentiated through its definition is so in the lanes of its gradient: its
inputs may be the same in all of them, what comes back is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.engine import backward, fast
from minigrad.engine.backward import sweep
from minigrad.engine.device import on_device
from minigrad.engine.grad_mode import mode
from minigrad.engine.op import Bridge, Op
from minigrad.engine.routes import edges_of
from minigrad.func.lane_ops import matched
from minigrad.func.lanes import ON, Lanes, has_lanes, united

plain_rule = backward.apply_rule


def apply_rule(node: Op, grad: Any, create_graph: bool) -> Sequence[Any]:
    """`backward.apply_rule`"""
    grads = grad if node.slots is not None else [grad]
    arrays = [g.array for g in grads if g is not None]
    if isinstance(node.inputs, tuple):
        arrays += [t.array for t in node.inputs]
    axes = united([a.target.axes for a in arrays if has_lanes(a)])
    if not axes:
        return plain_rule(node, grad, create_graph)
    with on_device(Lanes(axes)):
        if create_graph and node.composite is not None:
            return through_composite(node, grad, tuple([(level, n) for level, n, _ in axes]))
        return node.backward(*grads)


def through_composite(node: Op, grad: Any, sizes: Any) -> tuple[Any, ...]:
    """`backward.through_composite`, on inputs in all lanes."""
    was, mode.recording = mode.recording, mode.level(True)
    try:
        saved = [matched(node.saved(i), sizes) for i in range(len(node.inputs))]
        slots = [Bridge.alias(t) for t in saved]
        out = node.composite(*slots, **node.meta)
        targets = edges_of(t for t in slots if t.tracked)
        found = sweep([out], [matched(grad, sizes)], True, True, targets)
    finally:
        mode.recording = was
    return tuple([found[id(t.node or t)][1] if id(t.node or t) in found else None for t in slots])


def switch(on: bool) -> None:
    """Let sweeps run rules so, or as before."""
    rule = apply_rule if on else plain_rule
    backward.apply_rule = fast.apply_rule = rule


ON.append(switch)
