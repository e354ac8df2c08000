"""A scalar expression, recorded once, as a program for new numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.engine.dispatch import launch
from minigrad.scalar.tape import Segment
from minigrad.scalar.value import Value
from minigrad_kernels.scalar_program.opcodes import BINARY, LEAF

Array = np.ndarray[Any, Any]


class Replay:
    """A recorded expression as a program: new inputs in, values and gradients out, in jitted loops.

    What is not among the inputs keeps the value it was recorded with; so does a choice that Python
    made by looking at a number.  Only the nodes that the outputs need are kept.

    Shape: n inputs -> a call takes (n,) and returns a float for one output, (m,) for several.
    outputs: a Value or several, computed.  inputs: Values that you made, which are to change.

    Raises: ValueError for an input that was computed, or on which no output depends.

    >>> x, y = Value(2.0), Value(3.0)
    >>> f = Replay(x * y + x.tanh(), [x, y])
    >>> f([0.0, 5.0]), f.gradient().tolist()
    (0.0, [6.0, 0.0])
    """

    def __init__(self, outputs: Value | Sequence[Value], inputs: Sequence[Value]) -> None:
        roots = [outputs] if isinstance(outputs, Value) else list(outputs)
        if not roots or any(root._grad is not None for root in roots):
            raise ValueError("Replay: expected outputs that were computed, got Values made by hand")
        self.single = isinstance(outputs, Value)
        self.inputs = list(inputs)
        columns: list[list[Array]] = [[], [], [], []]
        places: dict[int, Array] = {}  # a segment's serial -> its nodes' numbers in the program
        leaves: dict[int, list[int]] = {}
        size = 0
        for segment, needed in reversed(resting_on(roots)):
            places[segment.serial] = place = np.zeros(needed.size, np.int32)
            for node, source in segment.sources.items():
                if needed[node] and isinstance(source, tuple):
                    needed[node] = 0  # the node itself is in the program, from an older segment
                    place[node] = places[source[0].serial][source[1]]
            kept = np.flatnonzero(needed)
            place[kept] = np.arange(size, size + kept.size)
            size += kept.size
            codes, left, right, values = (a[kept] for a in segment.arrays())
            left = np.where(codes == LEAF, 0, place[left])
            right = np.where(np.isin(codes, BINARY), place[right], 0)
            for column, part in zip(columns, (codes, left, right, values), strict=True):
                column.append(part)
            for node, source in segment.sources.items():
                if needed[node]:
                    leaves.setdefault(id(source), []).append(int(place[node]))
        self.codes, left, right, self.values = (np.concatenate(column) for column in columns)
        self.left, self.right = left.astype(np.int32), right.astype(np.int32)
        self.roots = np.array([places[r._segment.serial][r._index] for r in roots if r._segment])
        self.targets, self.owners = self._find(leaves)

    def _find(self, leaves: dict[int, list[int]]) -> tuple[Array, Array]:
        """Return the program's nodes that inputs stand at, and which input stands at each."""
        nodes: list[int] = []
        owners: list[int] = []
        for k, value in enumerate(self.inputs):
            if id(value) not in leaves:
                made = "was computed" if value._grad is None else "is not needed by any output"
                raise ValueError(f"Replay: input {k}, {value!r}, {made}")
            nodes += leaves[id(value)]
            owners += [k] * len(leaves[id(value)])
        return np.array(nodes, np.int64), np.array(owners, np.int64)

    def __len__(self) -> int:
        return int(self.codes.size)

    def __call__(self, inputs: Any = None) -> Any:
        """Compute the outputs for new inputs; without any, for the `data` the inputs have now."""
        given = [v.data for v in self.inputs] if inputs is None else inputs
        numbers = np.asarray(given, np.float64)
        if numbers.shape != (len(self.inputs),):
            raise ValueError(
                f"Replay: expected {len(self.inputs)} numbers, one an input, got an array of shape "
                f"{numbers.shape}"
            )
        self.values[self.targets] = numbers[self.owners]
        launch("scalar_forward", self.codes, self.left, self.right, self.values)
        result = self.values[self.roots]
        return float(result[0]) if self.single else result

    def gradient(self, weights: Any = None) -> Array:
        """Return the derivatives of the last call's output by the inputs: (n,).

        weights: one an output, of several: the derivatives of the sum of weight times output.
        """
        if weights is None:
            if not self.single:
                raise ValueError(
                    f"gradient: there are {self.roots.size} outputs; pass a weight for each"
                )
            weights = [1.0]
        seeds = np.asarray(weights, np.float64)
        if seeds.shape != self.roots.shape:
            raise ValueError(
                f"gradient: expected {self.roots.size} weights, got an array of shape {seeds.shape}"
            )
        grads = np.zeros(self.codes.size)
        reached = np.zeros(self.codes.size, np.uint8)
        np.add.at(grads, self.roots, seeds)
        reached[self.roots] = 1
        tape = (self.codes, self.left, self.right, self.values)
        launch("scalar_backward", *tape, reached, grads)
        return np.bincount(self.owners, grads[self.targets], len(self.inputs))

    def backward(self) -> None:
        """Add the gradient of the last call to the inputs' own.

        >>> x = Value(2.0)
        >>> f = Replay(x**3, [x])
        >>> f.backward()
        >>> x.grad
        12.0
        """
        for value, g in zip(self.inputs, self.gradient().tolist(), strict=True):
            value.grad += g


def resting_on(roots: Sequence[Value]) -> list[tuple[Segment, Array]]:
    """Return the segments that values rest on, newest first, each with a 1 at the nodes needed."""
    waiting: dict[int, tuple[Segment, Array]] = {}

    def want(segment: Segment, node: int) -> None:
        held = waiting.setdefault(
            segment.serial, (segment, np.zeros(len(segment.values), np.uint8))
        )
        held[1][node] = 1

    for root in roots:
        assert root._segment is not None
        want(root._segment, root._index)
    found: list[tuple[Segment, Array]] = []
    while waiting:
        segment, needed = waiting.pop(max(waiting))
        launch("scalar_backward", *segment.arrays(), needed, np.zeros(needed.size))
        for node, source in segment.sources.items():
            if needed[node] and isinstance(source, tuple):
                want(*source)
        found.append((segment, needed))
    return found
