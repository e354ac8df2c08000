"""The tape: what an op is and how it is recorded; `sweep.py` reads the record backwards.

An op is one class with `forward(self, *arrays, **meta)`, which launches kernels, and
`backward(self, grad)`, which speaks Tensor operations, so that it can itself be differentiated.  A
recorded op *is* the node of the graph: it carries a rising number `seq` and one edge an input.
Nodes are owned by the tensors that need them, so an abandoned graph is freed by reference counting.

Neither this file nor the ops import Tensor: `tensors.py` sets `new` and `lift` when it is imported.
"""

from __future__ import annotations

import itertools
import weakref
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.backend import USED, door, placed, settled
from minigrad.modes import WATCHED, mode, user_line

Array = np.ndarray[Any, Any]


def _unset(*_: Any) -> Any:
    raise RuntimeError("minigrad.tape is used before minigrad.tensors is imported: import minigrad")


class Bridge:
    """What tensors.py fills in: `new(array)` makes a plain Tensor, `lift(x, like)` makes one of a
    number or array.
    """

    tensor: Any = object
    new: Callable[[Array], Any] = staticmethod(_unset)
    lift: Callable[[Any, Any], Any] = staticmethod(_unset)
    cast: Callable[[Any, Any], Any] = staticmethod(_unset)
    reduce_to: Callable[[Any, Any], Any] = staticmethod(_unset)
    alias: Callable[[Any], Any] = staticmethod(_unset)


next_seq = itertools.count(1).__next__

NO_OPTIONS: dict[str, Any] = {}
OP, LEAF, SLOT = 0, 1, 2  # what an edge leads to: a node, a leaf tensor, one output of several


class Op:
    """One operation and, once recorded, one node of the graph.

    keeps: whether the inputs are needed in backward; they are then reached with `self.saved(i)`,
        which checks their version.
    view: the output shares memory with the first input.
    several: `forward` returns a tuple of arrays and `backward` gets one gradient or None for each.
    composite: the same mathematics in plain ops; what a fused op is differentiated through under
        `create_graph=True`.
    """

    keeps = True
    view = False
    several = False
    composite: Any = None

    kind = OP
    seq = 0
    edges: list[Any] | None = None
    slots: int | None = None  # how many outputs, of an op that has several
    inputs: tuple[Any, ...] = ()
    versions: tuple[int, ...] | None = None
    checksums: list[int] | None = None
    hooks: dict[int, list[Callable[[Any], Any]]] | None = None
    where: str | None = None
    changed: str | None = None  # where the output was written to in place, if it was
    y: Any  # the output's array, where the gradient needs it
    shape: Any
    dtype: Any
    meta: dict[str, Any] = NO_OPTIONS

    def forward(self, *arrays: Any, **meta: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *grads: Any) -> tuple[Any, ...]:
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    @classmethod
    def apply(cls, *inputs: Any, **meta: Any) -> Any:
        """Run the op on tensors and record it where a gradient may be asked for."""
        op = cls()
        if USED:
            target, arrays = settled(cls.__name__, [t.array for t in inputs])
            with placed(target if arrays else door.target):
                data = op.forward(*arrays, **meta)
        else:
            data = op.forward(*[t.array for t in inputs], **meta)
        if cls.several:
            return op._several(inputs, meta, data)
        out = Bridge.new(data)
        if cls.view:
            share(inputs[0], out)
        if mode.recording:
            for t in inputs:
                if t.requires_grad:
                    op.record(inputs, meta, data)
                    out.requires_grad = True
                    out.node = op
                    break
            if mode.recording == WATCHED:
                op.show(inputs, (out,))
        return out

    def _several(
        self, inputs: tuple[Any, ...], meta: dict[str, Any], data: tuple[Array, ...]
    ) -> tuple[Any, ...]:
        outs = tuple(Bridge.new(d) for d in data)
        if self.view:
            for out in outs:
                share(inputs[0], out)
        if mode.recording:
            if any(t.requires_grad for t in inputs):
                self.record(inputs, meta, data[0])
                self.slots = len(outs)
                for i, out in enumerate(outs):
                    if out.array.dtype.kind == "f":
                        out.requires_grad = True
                        out.node = Slot(self, i, out.array)
            if mode.recording == WATCHED:
                self.show(inputs, outs)
        return outs

    def record(self, inputs: tuple[Any, ...], meta: dict[str, Any], data: Array) -> None:
        """Become a node: take a number, and an edge to whatever each input is a function of
        *now*.
        """
        self.seq = next_seq()
        self.shape = data.shape
        self.dtype = data.dtype
        self.meta = meta
        edges: list[Any] = []
        for t in inputs:
            if t.requires_grad:
                edges.append(t.node or t)
            else:
                edges.append(None)
            if t.cell is not None and self.versions is None:
                self.versions = tuple([0 if u.cell is None else u.cell[0] for u in inputs])
        self.edges = edges
        if self.keeps:
            self.inputs = inputs
        if mode.anomaly:
            self.where = user_line()
            self.checksums = [checksum(t.array) for t in inputs]

    def show(self, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Let the open `Tape`, if there is one, write the op down."""
        if mode.tape is not None:
            mode.tape._add(self, inputs, outputs)

    def saved(self, i: int) -> Any:
        """Return input `i` as it was at record time; an input written to since raises."""
        t = self.inputs[i]
        cell = t.cell
        if cell is not None and cell[0] != (self.versions[i] if self.versions is not None else 0):
            raise RuntimeError(
                f"{name_of(self)} needs its input {i}, shape {t.array.shape}, for its gradient, "
                "but it was changed in place"
                f" {cell[1] or 'since'}; make the change out of place, or on a clone()"
            )
        if self.checksums is not None and self.checksums[i] != checksum(t.array):
            raise RuntimeError(
                f"{name_of(self)} needs its input {i}, shape {t.array.shape}, for its gradient, "
                "but its memory was written"
                " through numpy() or another alias since; copy the array before writing to it"
            )
        return t

    def result(self) -> Any:
        """Return the saved output array `y`; an output written to since raises."""
        if self.changed is not None:
            raise RuntimeError(
                f"{name_of(self)} needs its output, shape {self.shape}, for its gradient, but it "
                "was changed in place"
                f" {self.changed or 'since'}; make the change out of place, or on a clone()"
            )
        return self.y

    def output(self) -> Any:
        """Return the saved output as a tensor that is a function of the inputs."""
        t = Bridge.new(self.result())
        t.requires_grad = True
        t.node = self
        return t

    def needs(self, i: int) -> bool:
        """Say whether a gradient for input `i` is asked for."""
        return self.edges is not None and self.edges[i] is not None

    def release(self) -> None:
        """Drop all that was saved; a second sweep over this node raises."""
        self.__dict__.clear()


class Slot:
    """One output of an op that has several: where its gradient goes."""

    __slots__ = ("dtype", "index", "op", "shape")
    kind = SLOT

    def __init__(self, op: Op, index: int, data: Array) -> None:
        self.op, self.index, self.shape, self.dtype = op, index, data.shape, data.dtype


class Handle:
    """What `register_hook` returns: `remove()` takes the hook away."""

    def __init__(self, remove: Callable[[], Any]) -> None:
        self._remove = remove

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._remove()


def name_of(op: Op) -> str:
    """Return the op's name, with the line of the user's code where that is known."""
    return type(op).__name__ + (f" (recorded at {op.where})" if op.where else "")


def checksum(data: Array) -> int:
    """Return a hash of the elements, to notice a write that the tape did not see."""
    return zlib.crc32(data.tobytes())


# ---------------------------------------------------------------- versions and views
def cell_of(t: Any) -> list[Any]:
    """Return the tensor's version cell `[count, where it was last changed]`, made at first need."""
    if t.cell is None:
        t.cell = [0, ""]
    return t.cell


def written(t: Any, where: str) -> None:
    """Count an in-place write to `t`, and tell the op that made it: its saved output is no more."""
    cell = cell_of(t)
    cell[0] += 1
    cell[1] = where
    owners = [
        t.node,
        None if t.base is None else t.base.node,
        None if t.origin is None else t.origin(),
    ]
    for node in owners:
        if node is not None and node.kind == OP:
            node.changed = where


def share(source: Any, out: Any) -> None:
    """Mark `out` as a view of `source`: one version cell for both, and the base knows its views."""
    if out.array is source.array or np.may_share_memory(out.array, source.array):
        out.cell = cell_of(source)
        out.base = base = source if source.base is None else source.base
        if base.views is None:
            base.views = {}
        views, key = base.views, id(out)
        views[key] = weakref.ref(out, lambda _: views.pop(key, None))

