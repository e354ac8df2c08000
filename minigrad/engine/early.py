"""A sweep that hands gradients over as soon as they are complete, while it goes on.

Beside the heart: `backward` comes here only where somebody has asked for it, by `listen`.  A leaf's
gradient is complete after the oldest node that has an edge to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from minigrad.engine import backward as sweeps
from minigrad.engine.backward import Found, Sweep, fitted
from minigrad.engine.grad_mode import mode
from minigrad.engine.hooks import ADDING, hooks_at
from minigrad.engine.op import LEAF, SLOT
from minigrad.engine.overwrite import check_writable


class Listener(Protocol):
    """Who is told of gradients.

    wants: whether it is to be told of a leaf's.  begin: a sweep begins that comes to such a leaf.
    ready: the leaf's `.grad` is complete.  finish: the sweep is over; return whether to be told of
    the next one too.
    """

    def wants(self, leaf: Any) -> bool: ...
    def begin(self) -> None: ...
    def ready(self, leaf: Any) -> None: ...
    def finish(self) -> bool: ...


def listen(listener: Listener) -> None:
    """Tell a listener of the gradients of this thread's next backward() that comes to some that it
    wants; others go by it.
    """
    waiting = [] if mode.early is None else mode.early.listeners
    if all(other is not listener for other in waiting):
        mode.early = Early([*waiting, listener])


def leave(listener: Listener) -> None:
    """Tell a listener of nothing more."""
    if mode.early is not None:
        waiting = [other for other in mode.early.listeners if other is not listener]
        mode.early = Early(waiting) if waiting else None


def leave_all() -> None:
    """Tell nobody of anything more: what was begun and not ended is over."""
    mode.early = None


class Early:
    """Stands for `sweep` in the next backward()."""

    def __init__(self, listeners: list[Listener]) -> None:
        self.listeners = listeners

    def __call__(
        self,
        roots: Sequence[Any],
        seeds: Sequence[Any],
        create_graph: bool,
        retain_graph: bool,
        targets: dict[int, Any] | None = None,
    ) -> Found:
        """Sweep; return what the listeners do not want.

        Raises: RuntimeError under create_graph, and for `inputs` that leave leaves out.
        """
        last = last_nodes(roots)
        leaves = [leaf for found in last.values() for leaf in found]
        told = [one for one in self.listeners if any(map(one.wants, leaves))]
        if not told:
            return sweeps.sweep(roots, seeds, create_graph, retain_graph, targets)
        waiting = [one for one in self.listeners if one not in told]
        mode.early = Early(waiting) if waiting else None
        if create_graph or targets is not None:
            raise RuntimeError(
                "backward: the gradients of a DataParallel model are exchanged as they become "
                "complete; create_graph and inputs are not for it: run the module itself, "
                "model.module(x)"
            )
        for listener in told:
            listener.begin()
        left = EarlySweep(told, retain_graph, last).run(roots, seeds)
        for listener in told:
            if listener.finish():
                listen(listener)
        return left


class EarlySweep(Sweep):
    """A sweep into `.grad` of leaves, each of which is told of when it is done."""

    def __init__(
        self, listeners: list[Listener], retain_graph: bool, last: dict[int, list[Any]]
    ) -> None:
        super().__init__(False, retain_graph, None)
        self.listeners, self.last = listeners, last

    def run(self, roots: Sequence[Any], seeds: Sequence[Any]) -> Found:
        """Visit every node once, after all nodes that use its output."""
        parts: Any
        g: Any
        for root, seed in zip(roots, seeds, strict=True):
            self.send(root.node or root, seed)
        while self.heap:
            node, grad = self.pending.pop(-sweeps.heappop(self.heap))[:2]
            grad = self.complete(node, grad)
            edges, parts = self.differentiate(node, grad)
            for edge, g in zip(edges, parts, strict=True):
                if edge is not None and g is not None:
                    self.send(edge, fitted(node, edge, g))
            if not self.retain_graph:
                node.release()
            parts = grad = edge = g = None  # a gradient that nobody else holds is not copied
            for leaf in self.last.get(node.seq, ()):
                self.hand_over(leaf)
        self.found = {key: entry[:2] for key, entry in self.found.items()}
        return self.arrived()

    def hand_over(self, leaf: Any) -> None:
        """Add a leaf's gradient to its `.grad` and tell who wants to know."""
        listeners = [listener for listener in self.listeners if listener.wants(leaf)]
        entry = self.found.pop(id(leaf), None) if listeners else None
        if entry is None:
            return
        hooks = hooks_at(leaf)
        g = entry.pop(1) if hooks is None else hooks.run(entry.pop(1))
        with ADDING:
            if leaf._grad is not None:
                check_writable(leaf._grad.array, "a .grad to add to")
            sweeps.accumulate_grad(leaf, g, False)
        del g
        for listener in listeners:
            listener.ready(leaf)


def last_nodes(roots: Sequence[Any]) -> dict[int, list[Any]]:
    """Return, by the number of a node, the leaves whose gradient is complete after it."""
    oldest: dict[int, tuple[int, Any]] = {}
    seen: set[int] = set()
    waiting = [root.node for root in roots if root.node is not None]
    while waiting:
        edge = waiting.pop()
        node = edge.op if edge.kind == SLOT else edge
        if node.seq in seen:
            continue
        seen.add(node.seq)
        for below in node.edges or ():
            if below is None:
                continue
            if below.kind == LEAF:
                held = oldest.get(id(below))
                if held is None or node.seq < held[0]:
                    oldest[id(below)] = node.seq, below
            else:
                waiting.append(below)
    found: dict[int, list[Any]] = {}
    for seq, leaf in oldest.values():
        found.setdefault(seq, []).append(leaf)
    return found
