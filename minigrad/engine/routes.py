"""Find the edges of the tape that lead to the targets of a sweep, where gradients of certain
tensors are asked for: `grad(outputs, inputs)`, `backward(inputs=...)`.

Beside the heart: a sweep to all leaves asks for no routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from minigrad.engine.op import LEAF, SLOT, Array, Op, next_seq


class Refused(Op):
    """The place on the tape of a view that may not be used: a sweep that comes here raises."""

    def __init__(self, reason: str, data: Array) -> None:
        self.reason, self.shape, self.dtype = reason, data.shape, data.dtype
        self.seq = next_seq()


def refuse(op: Op) -> None:
    """Raise for a node that a sweep may not pass."""
    if isinstance(op, Refused):
        raise RuntimeError(op.reason)
    raise RuntimeError(
        f"backward through {type(op).__name__} a second time: its saved values were freed by the"
        " first; pass retain_graph=True to the first backward"
    )


def parents(edge: Any) -> list[Any]:
    """Return the edges that an edge leads on to."""
    if edge.kind == LEAF:
        return []
    return [e for e in node_of(edge).edges or () if e is not None]


def edges_of(tensors: Iterable[Any]) -> dict[int, Any]:
    """Return the edges that lead to tensors, by their id."""
    edges = [t.node or t for t in tensors]
    return {id(edge): edge for edge in edges}


def node_of(edge: Any) -> Any:
    """Return the node an edge leads to."""
    return edge.op if edge.kind == SLOT else edge


class Routes:
    """The edges from which a target is reached.

    targets: edges (nodes, slots or leaves) by their id.  stations: by id of a node, those of its
    outputs that are targets and are passed on the way to others.

    Raises: RuntimeError for a node that was freed, or refuses, and may have led to a target.
    """

    def __init__(self, roots: Sequence[Any], targets: dict[int, Any]) -> None:
        self.wanted: set[int] = set()
        self.ends = set(targets)
        self.stations: dict[int, list[Any]] = {}
        for edge in older_first(roots, targets):
            leads = any(id(p) in self.wanted for p in parents(edge))
            if leads or id(edge) in targets:
                self.wanted.add(id(edge))
            if leads and id(edge) in targets:
                self.ends.discard(id(edge))
                self.stations.setdefault(id(node_of(edge)), []).append(edge)


def older_first(roots: Sequence[Any], targets: dict[int, Any]) -> list[Any]:
    """Return the edges that roots lead to, the oldest first; none beyond the oldest target."""
    lowest = min((0 if e.kind == LEAF else e.seq for e in targets.values()), default=0)
    found: list[Any] = []
    seen: set[int] = set()
    stack = [t.node or t for t in roots if t.tracked]
    while stack:
        edge = stack.pop()
        if id(edge) in seen:
            continue
        seen.add(id(edge))
        found.append(edge)
        if edge.kind != LEAF and edge.seq > lowest:
            if node_of(edge).edges is None:
                refuse(node_of(edge))
            stack.extend(parents(edge))
    return sorted(found, key=lambda e: 0 if e.kind == LEAF else e.seq)
