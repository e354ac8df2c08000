"""The sweep: reads the tape backwards.

Nodes are visited in falling order of their numbers, from a heap, never by recursion: a chain of
100,000 ops is as good as one of ten.  Gradients are unbroadcast and cast here, once, so that no
rule mentions either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from sys import getrefcount
from typing import Any

from minigrad.engine.allocator import owns
from minigrad.engine.device import USED, device_of, moved, on_device, target_of
from minigrad.engine.dispatch import PARALLEL, dispatch, empty, launch
from minigrad.engine.grad_mode import mode
from minigrad.engine.hooks import ADDING, hooks_at, retain
from minigrad.engine.op import LEAF, OP, SLOT, Bridge, Op, Refused, cell_of, name_of
from minigrad.engine.overwrite import add_into, check_writable, copy_of

Found = dict[int, tuple[Any, Any]]
# References to a gradient and to its array in `owned` where nobody else holds them: the tensor's,
# those of the frames (the loop of `backward`, one a function) and the count's own.  Where
# CPython counts fewer of a frame's own, from 3.14 on, something held may pass.
HELD_TENSOR = 4
HELD_DATA = 3


class _Front:
    """What the sweep holds: nodes still to visit with their gradients so far, and what has arrived.

    An entry is [node or leaf, gradient, whether that is a sum made here, to which more may be added
    in place].  stations: by id of a node, those of its outputs that are asked for and are passed
    on the way to others.
    """

    def __init__(self, roots: Sequence[Any], targets: dict[int, Any] | None) -> None:
        self.pending: dict[int, list[Any]] = {}
        self.heap: list[int] = []
        self.found: dict[int, list[Any]] = {}
        self.targets = targets
        self.wanted: set[int] = set()
        self.beyond: set[int] = set()
        self.stations: dict[int, list[Any]] = {}
        if targets is not None:
            self.wanted, stations = leading_to(roots, targets)
            for edge in stations:
                self.beyond.add(id(edge))
                self.stations.setdefault(id(node_of(edge)), []).append(edge)

    def enter(self, op: Op, g: Any) -> None:
        if op.edges is None:
            refuse(op)
        self.pending[op.seq] = [op, g, False]
        heappush(self.heap, -op.seq)

    def send(self, edge: Any, g: Any) -> None:
        """Add `g` to what has reached `edge`."""
        kind = edge.kind
        if self.targets is not None:
            if id(edge) not in self.wanted:
                return
            if id(edge) in self.targets and id(edge) not in self.beyond:
                add(self.found, id(edge), edge, g)
                return
        elif kind == LEAF:
            add(self.found, id(edge), edge, g)
        if kind == SLOT:
            op = edge.op
            if op.edges is None or op.seq not in self.pending:
                self.enter(op, [None] * (op.slots or 0))  # a freed op has none: enter refuses it
            bundle = self.pending[op.seq][1]
            held = bundle[edge.index]
            bundle[edge.index] = g if held is None else held + g
        elif kind == OP:
            if edge.edges is None or edge.seq not in self.pending:
                self.enter(edge, g)
            else:
                add(self.pending, edge.seq, edge, g)


def add(entries: dict[int, list[Any]], key: int, edge: Any, g: Any) -> None:
    """Add `g` to the entry under `key`; from the third term on in place, unless the sum is
    recorded.
    """
    entry = entries.get(key)
    if entry is None:
        entries[key] = [edge, g, False]
    elif entry[2]:
        held = entry[1].array
        if USED:
            launch("add", held, g.array, held)
        else:
            (dispatch.small if held.size < PARALLEL else dispatch.kernels)["add"](
                held, g.array, held
            )
    else:
        entry[1] = entry[1] + g
        entry[2] = not mode.recording


def sweep(
    roots: Sequence[Any],
    seeds: Sequence[Any],
    create_graph: bool,
    retain_graph: bool,
    targets: dict[int, Any] | None = None,
    given: set[int] | None = None,
) -> Found:
    """Carry `seeds` from `roots` to the leaves; return {id: (leaf, gradient)} after their hooks.

    targets: edges (nodes, slots or leaves), by id, to return instead; only nodes that lead to one
        are visited.  given: collects the ids of arrays that hooks have seen, and may have kept.
    """
    given = set() if given is None else given
    front = _Front(roots, targets)
    pending, heap, send, found = front.pending, front.heap, front.send, front.found
    stations = front.stations
    for root, seed in zip(roots, seeds, strict=True):
        send(root.node or root, seed)
    anomaly = mode.anomaly
    while heap:
        node, grad, _ = pending.pop(-heappop(heap))
        if node.hooks is not None:
            grad = run_hooks(node, grad, given)
        if stations and id(node) in stations:
            for edge in stations[id(node)]:
                g = grad[edge.index] if edge.kind == SLOT else grad
                if g is not None:
                    found[id(edge)] = [edge, g, False]
        edges = node.edges
        try:
            if USED:
                parts = parts_at(node, grad, create_graph)
            elif create_graph and node.composite is not None:
                parts = through_composite(node, grad)
            elif node.slots is not None:
                parts = node.backward(*grad)
            else:
                parts = node.backward(grad)
        except Exception:
            if node.edges is None:
                refuse(node)  # another thread's sweep has freed it meanwhile
            raise
        if edges is None:
            refuse(node)
        if len(parts) != len(edges):
            raise RuntimeError(
                f"{name_of(node)}: its rule gave {len(parts)} gradients for {len(edges)} inputs"
            )
        if anomaly is not None:
            anomaly.check_gradients(node, parts)
        for edge, g in zip(edges, parts):  # noqa: B905
            if edge is None or g is None:
                continue
            data = g.array
            kind = edge.kind
            like = edge.array if kind == LEAF else edge
            if data.shape != like.shape:
                g = unbroadcast(node, g, like.shape)
            if data.dtype is not like.dtype and data.dtype != like.dtype:
                g = Bridge.cast(g, like.dtype)
            if targets is not None or kind == SLOT:
                send(edge, g)
            elif kind == LEAF:
                add(found, id(edge), edge, g)
            elif edge.seq in pending and edge.edges is not None:
                add(pending, edge.seq, edge, g)
            elif edge.edges is None:
                send(edge, g)
            else:
                pending[edge.seq] = [edge, g, False]
                heappush(heap, -edge.seq)
        if not retain_graph:
            node.release()
    arrived: Found = {}
    for key, (edge, g, _) in found.items():
        if edge.hooks is not None and key not in front.beyond:
            hooks = hooks_at(edge)
            g = g if hooks is None else heard(hooks, g, given)
        arrived[key] = edge, g
    return arrived


def parts_at(node: Op, grad: Any, create_graph: bool) -> tuple[Any, ...]:
    """Run a node's rule on the device of its gradient."""
    grads = grad if node.slots is not None else [grad]
    with on_device(target_of(g.array for g in grads if g is not None)):
        if create_graph and node.composite is not None:
            return through_composite(node, grad)
        return node.backward(*grads)


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


def run_hooks(node: Op, grad: Any, given: set[int]) -> Any:
    """Call the hooks on a finished gradient; what a hook returns replaces it."""
    assert node.hooks is not None
    for index, hooks in node.hooks.items():
        g = grad[index] if node.slots is not None else grad
        if g is None:
            continue
        g = heard(hooks, g, given)
        if node.slots is not None:
            grad[index] = g
        else:
            grad = g
    return grad


def heard(hooks: Any, g: Any, given: set[int]) -> Any:
    """Return a gradient as its hooks leave it; what they saw or gave is theirs to keep."""
    given.add(id(g.array))
    g = hooks.run(g)
    given.add(id(g.array))
    return g


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


def parents(edge: Any) -> list[Any]:
    """Return the edges that an edge leads on to."""
    if edge.kind == LEAF:
        return []
    node = edge.op if edge.kind == SLOT else edge
    return [e for e in node.edges or () if e is not None]


def edges_of(tensors: Iterable[Any]) -> dict[int, Any]:
    """Return the edges that lead to tensors, by their id."""
    edges = [t.node or t for t in tensors]
    return {id(edge): edge for edge in edges}


def node_of(edge: Any) -> Any:
    """Return the node an edge leads to."""
    return edge.op if edge.kind == SLOT else edge


def leading_to(roots: Sequence[Any], targets: dict[int, Any]) -> tuple[set[int], list[Any]]:
    """Return the ids of all edges from which a target is reached, and the targets among them with
    another one beyond.

    Raises: RuntimeError for a node that was freed, or refuses, and may have led to one.
    """
    lowest = min((0 if e.kind == LEAF else e.seq for e in targets.values()), default=0)
    order: list[Any] = []
    seen: set[int] = set()
    stack = [t.node or t for t in roots if t.tracked]
    while stack:
        edge = stack.pop()
        if id(edge) not in seen:
            seen.add(id(edge))
            order.append(edge)
            if edge.kind != LEAF and edge.seq > lowest:  # no target is older than that
                if node_of(edge).edges is None:
                    refuse(node_of(edge))
                stack.extend(parents(edge))
    order.sort(key=lambda e: 0 if e.kind == LEAF else e.seq)
    wanted: set[int] = set()
    stations: list[Any] = []
    for edge in order:
        leads = any(id(p) in wanted for p in parents(edge))
        if leads or id(edge) in targets:
            wanted.add(id(edge))
        if leads and id(edge) in targets:
            stations.append(edge)
    return wanted, stations


def refuse(op: Op) -> None:
    """Raise for a node that a sweep may not pass."""
    if isinstance(op, Refused):
        raise RuntimeError(op.reason)
    raise RuntimeError(
        f"backward through {type(op).__name__} a second time: its saved values were freed by the"
        " first; pass retain_graph=True to the first backward"
    )


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
        given = {id(seed.array)}
        found = sweep([root], [seed], create_graph, keep, targets, given)
        if not create_graph:
            for key in found:
                edge = found[key][0]
                if edge.kind == LEAF and edge._grad is not None:
                    check_writable(edge._grad.array, "a .grad to add to")
        with ADDING:
            while found:  # of leaves that share a gradient the last one may have it
                _, (edge, g) = found.popitem()
                if edge.kind == LEAF:
                    accumulate_grad(edge, g, create_graph, given)
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
        seed = empty(data.shape, data.dtype, data)
        seed.fill(1)
        return Bridge.new(seed)
    if gradient.array.shape != data.shape:
        raise ValueError(
            f"{name}: the gradient has shape {gradient.array.shape}, the tensor {data.shape}: they "
            "must agree"
        )
    return gradient if gradient.array.dtype == data.dtype else Bridge.cast(gradient, data.dtype)


def accumulate_grad(leaf: Any, g: Any, create_graph: bool, given: set[int]) -> None:
    """Add `g` to `leaf.grad`, in memory that no other gradient shares; under ADDING."""
    if USED and target_of((g.array,)) is not target_of((leaf.array,)):
        g = Bridge.new(moved(g.array, device_of(leaf.array)))  # of a number used on another device
    held = leaf._grad
    if held is None:
        leaf._grad = owned(g, given)
    elif create_graph:
        leaf._grad = held + g
    else:
        add_into(held.array, g.array)
        cell_of(held)[0] += 1


def owned(g: Any, given: set[int]) -> Any:
    """Return `g`, or a copy where its memory is a view, was handed out in this sweep already, or is
    held by somebody else: a rule may give what it or the user has kept.
    """
    data = g.array
    if (
        owns(data)
        and data.flags.c_contiguous
        and id(data) not in given
        and getrefcount(data) <= HELD_DATA
        and getrefcount(g) <= HELD_TENSOR
    ):
        given.add(id(data))
        return g
    if g.tracked and mode.recording:
        return g.clone()
    return Bridge.new(copy_of(data))
