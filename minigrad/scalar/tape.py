"""The flat tape behind `Value`: arrays of op codes, operands and values, and its sweep.

Nodes are written to the current segment of the tape.  A sweep closes it, so that a training loop
leaves one segment a step, which goes when the last of its values does.  A node of an older segment,
and a value that was made by the user, enters a new one as a leaf that knows where it came from.
"""

from __future__ import annotations

import heapq
import itertools
from array import array
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from minigrad.engine.dispatch import launch
from minigrad.engine.trace import WATCHES, Entry, Tape
from minigrad_kernels.scalar_program.opcodes import BINARY, LEAF, NAMES

Array = np.ndarray[Any, Any]
LIMIT = 1 << 22  # nodes of a segment, so that values kept for long hold back little else

serials = itertools.count()


class Segment:
    """A stretch of the tape: node i is the op codes[i] of the nodes left[i] and right[i], all
    before it.

    sources: leaf -> the user's Value or (segment, node) it stands for; constants have none.
    grads: of the last sweep, None before.
    """

    __slots__ = ("codes", "grads", "known", "left", "right", "serial", "sources", "values")

    def __init__(self) -> None:
        self.serial = next(serials)
        self.codes = array("b")
        self.left = array("i")
        self.right = array("i")
        self.values = array("d")
        self.sources: dict[int, Any] = {}
        self.known: dict[tuple[int, int], int] = {}
        self.grads: Array | None = None

    def add(self, code: int, left: int, right: int, value: float) -> int:
        """Write a node and return its number."""
        self.codes.append(code)
        self.left.append(left)
        self.right.append(right)
        self.values.append(value)
        return len(self.values) - 1

    def enter(self, segment: Segment, node: int) -> int:
        """Return the leaf that stands here for a node of an older segment."""
        key = (segment.serial, node)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self.add(LEAF, 0, 0, segment.values[node])
            self.sources[found] = (segment, node)
        return found

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Return codes, left, right and values as arrays that share the tape's memory.

        While they live, no node can be added.
        """
        return (
            np.frombuffer(self.codes, np.int8),
            np.frombuffer(self.left, np.int32),
            np.frombuffer(self.right, np.int32),
            np.frombuffer(self.values, np.float64),
        )

    def operands(self, node: int) -> tuple[int, ...]:
        """Return the nodes that a node was computed of."""
        code = self.codes[node]
        if code == LEAF:
            return ()
        return (self.left[node], self.right[node]) if code in BINARY else (self.left[node],)

    def sweep(self, seeds: dict[int, float]) -> Array:
        """Differentiate the sum of seed times node, and return which nodes were reached."""
        end = max(seeds) + 1
        grads = np.zeros(len(self.values))
        reached = np.zeros(len(self.values), np.uint8)
        for node, seed in seeds.items():
            grads[node] += seed
            reached[node] = 1
        tape = [a[:end] for a in self.arrays()]
        launch("scalar_backward", *tape, reached[:end], grads[:end])
        self.grads = grads
        return reached


class Current:
    """The segment that is written to; for each open `Tape` a log of segments and where they
    begin.
    """

    segment = Segment()
    logs: ClassVar[list[list[tuple[Segment, int]]]] = []

    @classmethod
    def renew(cls) -> Segment:
        """Close the current segment and return a new one."""
        closed = cls.segment
        for source in closed.sources.values():
            # Held both ways, a segment and its leaves would wait for the cycle collector.
            if not isinstance(source, tuple) and source._segment is closed:
                source._segment = None
        cls.segment = Segment()
        for log in cls.logs:
            log.append((cls.segment, 0))
        return cls.segment


def sweep(seeds: list[tuple[Segment, int, float]]) -> None:
    """Differentiate through all segments that the seeds rest on, newest first; leaves gain."""
    waiting: dict[int, tuple[Segment, dict[int, float]]] = {}
    order: list[int] = []

    def give(segment: Segment, node: int, g: float) -> None:
        if segment.serial not in waiting:
            waiting[segment.serial] = (segment, {})
            heapq.heappush(order, -segment.serial)
        held = waiting[segment.serial][1]
        held[node] = held.get(node, 0.0) + g

    for seed in seeds:
        give(*seed)
    links = []
    if Current.segment.serial in waiting:
        Current.renew()
    while order:
        segment, held = waiting.pop(-heapq.heappop(order))
        reached = segment.sweep(held)
        grads = segment.grads
        assert grads is not None
        for node, source in segment.sources.items():
            if not reached[node]:
                continue
            if isinstance(source, tuple):
                older, inner = source
                give(older, inner, float(grads[node]))
            else:
                source._grad += float(grads[node])
                if source._link is not None:
                    links.append((source._link, float(grads[node])))
    follow(links)


def follow(links: list[tuple[Any, float]]) -> None:
    """Carry gradients on into the tensors that values were made of, each tensor once."""
    gates: dict[int, Any] = {}
    for (gate, place), g in links:
        gates[id(gate)] = gate
        gate.collect(place, g)
    for gate in gates.values():
        gate.flush()


def watch() -> Callable[[Tape], None]:
    """Begin to note what is computed, and return what enters it into a tape."""
    log = [(Current.segment, len(Current.segment.values))]
    Current.logs.append(log)

    def finish(tape: Tape) -> None:
        Current.logs.remove(log)
        numbers: dict[tuple[int, int], int] = {}

        def number(segment: Segment, node: int) -> int:
            source = segment.sources.get(node)
            if isinstance(source, tuple):
                return number(*source)
            key = (segment.serial, node) if source is None else (-1, id(source))
            if key not in numbers:
                numbers[key] = tape.fresh()
            return numbers[key]

        for segment, start in log:
            for node in range(start, len(segment.values)):
                operands = segment.operands(node)
                if operands:
                    name = NAMES[segment.codes[node]]
                    inputs = tuple(number(segment, operand) for operand in operands)
                    shapes = ((),) * len(operands)
                    output = (number(segment, node),)
                    tape.entries.append(Entry(name, shapes, (), "float64", 8, "", inputs, output))

    return finish


WATCHES.append(watch)
