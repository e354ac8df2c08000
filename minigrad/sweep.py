"""The sweep: reads the tape backwards.

Nodes are visited in falling order of their numbers, from a heap, never by recursion: a chain of 100,000 ops is
as good as one of ten.  Gradients are unbroadcast and cast here, once, so that no rule mentions either.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.backend import empty, launch
from minigrad.modes import mode
from minigrad.tape import LEAF, OP, SLOT, Bridge, Op, cell_of, name_of

Found = dict[int, tuple[Any, Any]]


class _Front:
    """What the sweep holds: nodes still to visit, their gradients so far, and what has arrived."""

    def __init__(self, roots: Sequence[Any], targets: set[int] | None) -> None:
        self.grads: dict[int, Any] = {}
        self.nodes: dict[int, Op] = {}
        self.heap: list[int] = []
        self.found: Found = {}
        self.targets = targets
        self.wanted: set[int] = set()
        self.beyond: set[int] = set()
        if targets is not None:
            self.wanted, self.beyond = leading_to(roots, targets)

    def enter(self, op: Op) -> None:
        if op.edges is None:
            raise RuntimeError(
                f"backward through {type(op).__name__} a second time: its saved values were freed by the first;"
                " pass retain_graph=True to the first backward"
            )
        self.nodes[op.seq] = op
        heapq.heappush(self.heap, -op.seq)

    def collect(self, edge: Any, g: Any) -> None:
        held = self.found.get(id(edge))
        self.found[id(edge)] = (edge, g if held is None else held[1] + g)

    def send(self, edge: Any, g: Any) -> None:
        """Add `g` to what has reached `edge`."""
        if self.targets is not None:
            if id(edge) not in self.wanted:
                return
            if id(edge) in self.targets:
                self.collect(edge, g)
                if id(edge) not in self.beyond:
                    return
        kind = edge.kind
        if kind == LEAF:
            if self.targets is None:
                self.collect(edge, g)
        elif kind == SLOT:
            op = edge.op
            if op.seq not in self.nodes or op.edges is None:
                self.enter(op)
                self.grads[op.seq] = [None] * op.count
            bundle = self.grads[op.seq]
            held = bundle[edge.index]
            bundle[edge.index] = g if held is None else held + g
        elif edge.seq in self.grads and edge.edges is not None:
            self.grads[edge.seq] = self.grads[edge.seq] + g
        else:
            self.enter(edge)
            self.grads[edge.seq] = g


def sweep(
    roots: Sequence[Any],
    seeds: Sequence[Any],
    create_graph: bool,
    retain_graph: bool,
    targets: set[int] | None = None,
) -> Found:
    """Carry `seeds` from `roots` to the leaves; return {id: (leaf, gradient)}.

    targets: ids of edges (nodes, slots or leaves) to return instead; only nodes that lead to one are visited.
    """
    front = _Front(roots, targets)
    grads, nodes, heap, send = front.grads, front.nodes, front.heap, front.send
    push, pop = heapq.heappush, heapq.heappop
    for root, seed in zip(roots, seeds, strict=True):
        send(root.node or root, seed)
    anomaly = mode.anomaly
    while heap:
        seq = -pop(heap)
        node = nodes.pop(seq)
        grad = grads.pop(seq)
        if node.hooks is not None:
            grad = run_hooks(node, grad)
        if create_graph and node.composite is not None:
            parts = through_composite(node, grad)
        elif node.several:
            parts = node.backward(*grad)
        else:
            parts = node.backward(grad)
        edges = node.edges
        if len(parts) != len(edges):  # type: ignore[arg-type]
            raise RuntimeError(f"{name_of(node)}: its rule gave {len(parts)} gradients for {len(edges)} inputs")  # type: ignore[arg-type]
        if anomaly:
            check_not_nan(node, parts)
        for edge, g in zip(edges, parts):  # type: ignore[arg-type]  # noqa: B905: lengths are checked above
            if edge is None or g is None:
                continue
            data = g.data
            kind = edge.kind
            shape, dtype = (edge.data.shape, edge.data.dtype) if kind == LEAF else (edge.shape, edge.dtype)
            if data.shape != shape:
                g = unbroadcast(node, g, shape)
            if data.dtype is not dtype and data.dtype != dtype:
                g = Bridge.cast(g, dtype)
            if kind == OP and targets is None and edge.edges is not None:  # what `send` does, for the usual case
                seq = edge.seq
                if seq in nodes:
                    grads[seq] = grads[seq] + g
                else:
                    nodes[seq] = edge
                    push(heap, -seq)
                    grads[seq] = g
            else:
                send(edge, g)
        if not retain_graph:
            node.release()
    return front.found


def unbroadcast(node: Op, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes along which an operand of `shape` was broadcast."""
    given = g.data.shape
    lead = len(given) - len(shape)
    fits = lead >= 0 and all(n in (1, m) for n, m in zip(shape, given[lead:], strict=True))
    if not fits:
        raise RuntimeError(f"{name_of(node)}: its rule gave a gradient of shape {given} for an input of shape {shape}")
    return Bridge.reduce_to(g, shape)


def run_hooks(node: Op, grad: Any) -> Any:
    """Call the hooks on a finished gradient; what a hook returns replaces it."""
    assert node.hooks is not None
    for index, hooks in node.hooks.items():
        g = grad[index] if node.several else grad
        if g is None:
            continue
        for hook in tuple(hooks):
            replaced = hook(g)
            g = g if replaced is None else replaced
        if node.several:
            grad[index] = g
        else:
            grad = g
    return grad


def through_composite(node: Op, grad: Any) -> tuple[Any, ...]:
    """Differentiate a fused op through its definition in plain ops, on one alias a slot."""
    was, mode.recording = mode.recording, True
    try:
        slots = [Bridge.alias(node.saved(i)) for i in range(len(node.inputs))]
        out = node.composite(*slots, **node.meta)
        targets = {id(t.node or t) for t in slots if t.requires_grad}
        found = sweep([out], [grad], True, True, targets)
    finally:
        mode.recording = was
    return tuple(found[id(t.node or t)][1] if id(t.node or t) in found else None for t in slots)


def check_not_nan(node: Op, parts: Iterable[Any]) -> None:
    for i, g in enumerate(parts):
        if g is not None and np.isnan(g.data).any():
            raise RuntimeError(
                f"the gradient of {name_of(node)} is NaN for its input {i}, shape {g.data.shape}"
                f" ({int(np.isnan(g.data).sum())} of {g.data.size} elements)"
            )


def parents(edge: Any) -> list[Any]:
    """Return the edges that an edge leads on to."""
    if edge.kind == LEAF:
        return []
    node = edge.op if edge.kind == SLOT else edge
    return [e for e in node.edges or () if e is not None]


def leading_to(roots: Sequence[Any], targets: set[int]) -> tuple[set[int], set[int]]:
    """Return the ids of all edges from which a target is reached, and of the targets among them with one beyond."""
    order: list[Any] = []
    seen: set[int] = set()
    stack = [t.node or t for t in roots if t.requires_grad]
    while stack:
        edge = stack.pop()
        if id(edge) not in seen:
            seen.add(id(edge))
            order.append(edge)
            stack.extend(parents(edge))
    order.sort(key=lambda e: 0 if e.kind == LEAF else (e.op.seq if e.kind == SLOT else e.seq))
    wanted: set[int] = set()
    beyond: set[int] = set()
    for edge in order:
        leads = any(id(p) in wanted for p in parents(edge))
        if leads or id(edge) in targets:
            wanted.add(id(edge))
        if leads and id(edge) in targets:
            beyond.add(id(edge))
    return wanted, beyond


# ---------------------------------------------------------------- into .grad
def backward(root: Any, gradient: Any, retain_graph: bool | None, create_graph: bool, inputs: Any) -> None:
    """Add the gradients of `root` into `.grad` of its leaves, or of `inputs` alone."""
    seed = first_seed("backward", root, gradient)
    if not root.requires_grad:
        raise RuntimeError(
            "backward: the tensor does not require grad: no input that requires grad leads to it, or it was"
            " computed under no_grad(); set requires_grad=True on a leaf first"
        )
    targets = None if inputs is None else {id(t.node or t) for t in inputs}
    keep = create_graph if retain_graph is None else retain_graph
    was, mode.recording = mode.recording, create_graph
    try:
        found = sweep([root], [seed], create_graph, keep, targets)
        given = {id(seed.data)}
        by_edge = {} if inputs is None else {id(t.node or t): t for t in inputs}
        for key, (edge, g) in found.items():
            leaf = by_edge.get(key, edge)
            deposit(leaf, g, create_graph, given)
    finally:
        mode.recording = was


def first_seed(name: str, root: Any, gradient: Any) -> Any:
    """Return the gradient to start from: the one given, checked, or 1 for a single number."""
    data = root.data
    if gradient is None:
        if data.size != 1:
            raise RuntimeError(
                f"{name}: the tensor has shape {data.shape}; a gradient is implied for a single number only:"
                " reduce it, e.g. .sum(), or pass a gradient of its shape"
            )
        if data.dtype.kind != "f":
            raise RuntimeError(f"{name}: only floating tensors have gradients, got {data.dtype}")
        return Bridge.new(np.ones(data.shape, data.dtype))
    if gradient.data.shape != data.shape:
        raise ValueError(f"{name}: the gradient has shape {gradient.data.shape}, the tensor {data.shape}: they must agree")
    return gradient if gradient.data.dtype == data.dtype else Bridge.cast(gradient, data.dtype)


def deposit(leaf: Any, g: Any, create_graph: bool, given: set[int]) -> None:
    """Add `g` to `leaf.grad`, in memory that no other gradient shares."""
    for hook in tuple((leaf.hooks or {}).values()):
        replaced = hook(g)
        g = g if replaced is None else replaced
    held = leaf.grad
    if held is None:
        leaf.grad = owned(g, given)
    elif create_graph:
        leaf.grad = held + g
    else:
        launch("add", held.data, g.data, held.data)
        cell_of(held)[0] += 1


def owned(g: Any, given: set[int]) -> Any:
    """Return `g`, or a copy where its memory is a view or was handed out in this sweep already."""
    data = g.data
    if data.base is None and data.flags.owndata and data.flags.c_contiguous and id(data) not in given:
        given.add(id(data))
        return g
    if g.requires_grad:
        return g.clone()
    copy = empty(data.shape, data.dtype)
    launch("copy", data, copy)
    return Bridge.new(copy)
