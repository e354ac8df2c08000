"""The sweep: reads the tape backwards.

Nodes are visited in falling order of their numbers, from a heap, never by recursion: a chain of
100,000 ops is as good as one of ten.  Gradients are unbroadcast and cast here, once, so that no
rule mentions either.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from minigrad.engine.device import USED, device_of, moved, on_device, ones_like, target_of
from minigrad.engine.grad_mode import mode
from minigrad.engine.hooks import ADDING, hooks_at, retain
from minigrad.engine.op import LEAF, SLOT, Bridge, Op, cell_of, name_of
from minigrad.engine.overwrite import add_into, check_writable, copy_of
from minigrad.engine.routes import Routes, edges_of, refuse

Found = dict[int, Any]


def sweep(
    roots: Sequence[Any],
    seeds: Sequence[Any],
    create_graph: bool,
    retain_graph: bool,
    targets: dict[int, Any] | None = None,
) -> Found:
    """Carry `seeds` from `roots` to the leaves; return {id: (leaf, gradient)} after their hooks.

    targets: edges (nodes, slots or leaves), by id, to return instead; only nodes that lead to one
        are visited.
    """
    routes = None if targets is None else Routes(roots, targets)
    return Sweep(create_graph, retain_graph, routes).run(roots, seeds)


class Sweep:
    """One walk over the tape, from the roots back to the leaves.

    pending: by number, the nodes still to visit: [node, gradient so far].
    heap: their numbers, negative, so that the newest comes first.
    found: by id, what has arrived where the walk ends: [edge, gradient].
    """

    def __init__(self, create_graph: bool, retain_graph: bool, routes: Routes | None) -> None:
        self.create_graph = create_graph
        self.retain_graph = retain_graph
        self.routes = routes
        self.pending: dict[int, list[Any]] = {}
        self.heap: list[int] = []
        self.found: dict[int, list[Any]] = {}

    def run(self, roots: Sequence[Any], seeds: Sequence[Any]) -> Found:
        """Visit every node once, after all nodes that use its output."""
        for root, seed in zip(roots, seeds, strict=True):
            self.send(root.node or root, seed)
        while self.heap:
            node, grad = self.pending.pop(-heappop(self.heap))
            grad = self.complete(node, grad)
            edges, parts = self.differentiate(node, grad)
            for edge, g in zip(edges, parts, strict=True):
                if edge is not None and g is not None:
                    self.send(edge, fitted(node, edge, g))
            if not self.retain_graph:
                node.release()
        return self.arrived()

    def send(self, edge: Any, g: Any) -> None:
        """Add `g` to what has reached `edge`."""
        if self.routes is not None and id(edge) not in self.routes.wanted:
            return
        if edge.kind == LEAF if self.routes is None else id(edge) in self.routes.ends:
            self.add(self.found, id(edge), edge, g)
        elif edge.kind == SLOT:
            op = edge.op
            if op.edges is None or op.seq not in self.pending:
                self.enter(op, [None] * (op.slots or 0))
            grads = self.pending[op.seq][1]
            grads[edge.index] = g if grads[edge.index] is None else grads[edge.index] + g
        elif edge.edges is None or edge.seq not in self.pending:
            self.enter(edge, g)
        else:
            self.add(self.pending, edge.seq, edge, g)

    def enter(self, op: Op, g: Any) -> None:
        """Put a node that is reached for the first time on the heap."""
        if op.edges is None:
            refuse(op)
        self.pending[op.seq] = [op, g]
        heappush(self.heap, -op.seq)

    def add(self, entries: dict[int, list[Any]], key: int, edge: Any, g: Any) -> None:
        """Add `g` to the entry under `key`."""
        if key in entries:
            entries[key][1] = entries[key][1] + g
        else:
            entries[key] = [edge, g]

    def complete(self, node: Op, grad: Any) -> Any:
        """Return a node's finished gradient after its hooks, and keep it if it is asked for."""
        if node.hooks is not None:
            grad = run_hooks(node, grad)
        if self.routes is not None:
            for edge in self.routes.stations.get(id(node), ()):
                g = grad[edge.index] if edge.kind == SLOT else grad
                if g is not None:
                    self.found[id(edge)] = [edge, g]
        return grad

    def differentiate(self, node: Op, grad: Any) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return a node's edges and what its rule gives for each: a gradient or None."""
        edges = node.edges
        try:
            parts = apply_rule(node, grad, self.create_graph)
        except Exception:
            if node.edges is None:
                refuse(node)  # another thread's sweep has freed it meanwhile
            raise
        if edges is None:
            refuse(node)
        assert edges is not None
        if len(parts) != len(edges):
            raise wrong_number(node, parts, edges)
        if mode.anomaly is not None:
            mode.anomaly.check_gradients(node, parts)
        return edges, parts

    def arrived(self) -> Found:
        """Return what has arrived, after the hooks where the walk ends."""
        found: Found = {}
        for key, (edge, g) in self.found.items():
            hooks = None
            if self.routes is None or key in self.routes.ends:
                hooks = hooks_at(edge)
            found[key] = edge, g if hooks is None else hooks.run(g)
        return found


def apply_rule(node: Op, grad: Any, create_graph: bool) -> Sequence[Any]:
    """Run a node's rule on the device of its gradient."""
    grads = grad if node.slots is not None else [grad]
    with on_device(target_of([g.array for g in grads if g is not None])):
        if create_graph and node.composite is not None:
            return through_composite(node, grad)
        return node.backward(*grads)


def wrong_number(node: Op, parts: Sequence[Any], edges: Sequence[Any]) -> RuntimeError:
    """Return the error about a rule that gives too few gradients, or too many."""
    return RuntimeError(
        f"{name_of(node)}: its rule gave {len(parts)} gradients for {len(edges)} inputs"
    )


def fitted(node: Op, edge: Any, g: Any) -> Any:
    """Return a gradient in the shape and dtype of the input that it is for."""
    like = edge.array if edge.kind == LEAF else edge
    if g.array.shape != like.shape:
        g = unbroadcast(node, g, like.shape)
    return g if g.array.dtype == like.dtype else Bridge.cast(g, like.dtype)


def unbroadcast(node: Op, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes along which an operand of `shape` was broadcast."""
    given = g.array.shape
    lead = len(given) - len(shape)
    fits = lead >= 0 and all(n in (1, m) for n, m in zip(shape, given[lead:], strict=True))
    if not fits:
        raise RuntimeError(
            f"{name_of(node)}: its rule gave a gradient of shape {given} for an input of shape "
            f"{shape}"
        )
    return Bridge.reduce_to(g, shape)


def run_hooks(node: Op, grad: Any) -> Any:
    """Call the hooks on a finished gradient; what a hook returns replaces it."""
    assert node.hooks is not None
    if node.slots is None:
        for hooks in node.hooks.values():
            grad = hooks.run(grad)
        return grad
    for index, hooks in node.hooks.items():
        if grad[index] is not None:
            grad[index] = hooks.run(grad[index])
    return grad


def through_composite(node: Op, grad: Any) -> tuple[Any, ...]:
    """Differentiate a fused op through its definition in plain ops, on one alias a slot."""
    was, mode.recording = mode.recording, mode.level(True)
    try:
        slots = [Bridge.alias(node.saved(i)) for i in range(len(node.inputs))]
        out = node.composite(*slots, **node.meta)
        targets = edges_of(t for t in slots if t.tracked)
        found = sweep([out], [grad], True, True, targets)
    finally:
        mode.recording = was
    return tuple(found[id(t.node or t)][1] if id(t.node or t) in found else None for t in slots)


# ---------------------------------------------------------------- into .grad
def backward(
    root: Any, gradient: Any, retain_graph: bool | None, create_graph: bool, inputs: Any
) -> None:
    """Add the gradients of `root` into `.grad` of its leaves, or of `inputs` alone."""
    seed = first_seed("backward", root, gradient)
    if not root.tracked:
        raise RuntimeError(
            "backward: the tensor does not require grad: no input that requires grad leads to it, "
            "or it was"
            " computed under no_grad(); set requires_grad=True on a leaf first"
        )
    targets = None if inputs is None else into(inputs)
    keep = create_graph if retain_graph is None else retain_graph
    was, mode.recording = mode.recording, mode.level(create_graph)
    try:
        found = (mode.early or sweep)([root], [seed], create_graph, keep, targets)
        if not create_graph:
            for key in found:
                edge = found[key][0]
                if edge.kind == LEAF and edge._grad is not None:
                    check_writable(edge._grad.array, "a .grad to add to")
        with ADDING:
            while found:  # of leaves that share a gradient the last one may have it
                _, (edge, g) = found.popitem()
                if edge.kind == LEAF:
                    accumulate_grad(edge, g, create_graph)
    finally:
        mode.recording = was


def into(inputs: Any) -> dict[int, Any]:
    """Return the edges of `backward(inputs=)`; results among them keep their gradient from now on.

    Raises: ValueError where there is none, RuntimeError for one that does not require grad.
    """
    wanted = [inputs] if isinstance(inputs, Bridge.tensor) else list(inputs)
    if not wanted:
        raise ValueError("backward: inputs is empty; leave it out for all leaves")
    for i, t in enumerate(wanted):
        if not t.tracked:
            raise RuntimeError(f"backward: input {i}, shape {t.shape}, does not require grad")
        if t.node is not None:
            retain(t)
    return edges_of(wanted)


def first_seed(name: str, root: Any, gradient: Any) -> Any:
    """Return the gradient to start from: the one given, checked, or 1 for a single number."""
    data = root.array
    if gradient is None:
        if data.size != 1:
            raise RuntimeError(
                f"{name}: the tensor has shape {data.shape}; a gradient is implied for a single "
                "number only:"
                " reduce it, e.g. .sum(), or pass a gradient of its shape"
            )
        if data.dtype.kind != "f":
            raise RuntimeError(f"{name}: only floating tensors have gradients, got {data.dtype}")
        return Bridge.new(ones_like(data))
    if gradient.array.shape != data.shape:
        raise ValueError(
            f"{name}: the gradient has shape {gradient.array.shape}, the tensor {data.shape}: they "
            "must agree"
        )
    return gradient if gradient.array.dtype == data.dtype else Bridge.cast(gradient, data.dtype)


def accumulate_grad(leaf: Any, g: Any, create_graph: bool) -> None:
    """Add `g` to `leaf.grad`, in memory that no other gradient shares; under ADDING."""
    if USED and target_of((g.array,)) is not target_of((leaf.array,)):
        g = Bridge.new(moved(g.array, device_of(leaf.array)))  # of a number used on another device
    held = leaf._grad
    if held is None:
        leaf._grad = owned(g)
    elif create_graph:
        leaf._grad = held + g
    else:
        add_into(held.array, g.array)
        cell_of(held)[0] += 1


def owned(g: Any) -> Any:
    """Return a copy of `g`: a rule may give what it or the user has kept, or a view of it."""
    return g.clone() if g.tracked and mode.recording else Bridge.new(copy_of(g.array))
