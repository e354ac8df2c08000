"""The tape: what an op is and how it is recorded; `engine/backward.py` reads the record backwards.

An op is one class with `forward(self, *arrays, **meta)`, which launches kernels, and
`backward(self, grad)`, which speaks Tensor operations, so that it can itself be differentiated.  A
recorded op *is* the node of the graph: it carries a rising number `seq` and one edge an input.
Nodes are owned by the tensors that need them, so an abandoned graph is freed by reference counting.

Neither this file nor the ops import Tensor: `tensors/tensor.py` fills in `Bridge` when it is
imported.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine.device import run_at
from minigrad.engine.grad_mode import mode

Array = np.ndarray[Any, Any]


def _unset(*_: Any) -> Any:
    raise RuntimeError(
        "minigrad.engine.op is used before minigrad.tensors.tensor is imported: import minigrad"
    )


class Bridge:
    """The functions that tensors/tensor.py fills in: `new(array)` makes a plain Tensor, `lift(x,
    like)` makes one of a number or array.
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
    public: "tensor" for a method of Tensor and a function of minigrad, "functional" for a function
        of nn.functional, each under the op's name; "" where others are built on it.
    samples: `samples(draw)` returns the points at which checks try the op, see checking/samples.py.
    """

    __slots__ = (
        "__dict__",
        "dtype",
        "seq",
        "shape",
    )  # what stays when a sweep has dropped all else
    seq: int
    shape: Any
    dtype: Any

    keeps = True
    view = False
    several = False
    composite: Any = None
    public: str = ""
    samples: Any = None

    kind = OP
    edges: list[Any] | None = None
    slots: int | None = None  # how many outputs, of an op that has several
    inputs: tuple[Any, ...] = ()
    versions: tuple[int, ...] | None = None
    hooks: dict[int, Any] | None = None  # by number of the output, see engine/hooks.py
    where: str | None = None  # the line that recorded it, where anomaly mode has asked
    check_saved: Callable[[int, Any], None] | None = None  # anomaly mode's look at a saved input
    cell: list[Any] | None = None  # the version of the output, once somebody counts it
    y: Any  # the output's array, where the gradient needs it
    meta: dict[str, Any] = NO_OPTIONS

    def forward(self, *arrays: Any, **meta: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *grads: Any) -> tuple[Any, ...]:
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    @classmethod
    def apply(cls, *inputs: Any, **meta: Any) -> Any:
        """Run the op on tensors and record it where a gradient may be asked for."""
        refuse_others(cls.__name__, inputs)
        op = cls()
        arrays = [t.array for t in inputs]
        results = run_at(cls.__name__, partial(op.forward, **meta), *arrays)
        outputs = tuple([Bridge.new(y) for y in (results if cls.several else (results,))])
        if cls.view:
            for out in outputs:
                share(inputs[0], out)
        if mode.recording and any(t.tracked for t in inputs):
            op.record(inputs, meta, outputs)
        if mode.recording and mode.tape is not None:
            mode.tape.add(op, inputs, outputs)
        return outputs if cls.several else outputs[0]

    def record(self, inputs: Sequence[Any], meta: dict[str, Any], outputs: Sequence[Any]) -> None:
        """Become a node: take a number, and an edge to whatever each input is a function of *now*;
        the outputs are functions of this node from here on.
        """
        self.seq = next_seq()
        self.shape, self.dtype = outputs[0].array.shape, outputs[0].array.dtype
        self.meta = meta
        self.edges = [(t.node or t) if t.tracked else None for t in inputs]
        if any(t.cell is not None for t in inputs):
            self.versions = tuple([0 if t.cell is None else t.cell[0] for t in inputs])
        if self.keeps:
            self.inputs = tuple(inputs)
        if mode.anomaly is not None:
            mode.anomaly.recorded(self, inputs)
        if self.several:
            self.slots = len(outputs)
        for i, out in enumerate(outputs):
            if not self.several or out.array.dtype.kind == "f":
                out.tracked = True
                out.node = Slot(self, i, out.array) if self.several else self

    def saved(self, i: int) -> Any:
        """Return input `i` as it was at record time; an input written to since raises."""
        t = self.inputs[i]
        if t.cell is not None and t.cell[0] != (0 if self.versions is None else self.versions[i]):
            raise changed_in_place(self, f"its input {i}", t.array.shape, t.cell)
        if self.check_saved is not None:
            self.check_saved(i, t)
        return t

    def result(self) -> Any:
        """Return the saved output array `y`; an output written to since raises."""
        if self.cell is not None and self.cell[0]:
            raise changed_in_place(self, "its output", self.shape, self.cell)
        return self.y

    def output(self) -> Any:
        """Return the saved output as a tensor that is a function of the inputs."""
        t = Bridge.new(self.result())
        t.tracked = True
        t.node = self
        cell_of(t)  # the user's tensor has this memory too, and may be written to
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

    @property
    def hooks(self) -> Any:
        """The hooks on this output's gradient, None where there are none."""
        return None if self.op.hooks is None else self.op.hooks.get(self.index)

    @property
    def seq(self) -> int:
        return self.op.seq


def no_tensor(name: str, inputs: tuple[Any, ...]) -> TypeError:
    """Return the error about an input that is not a tensor."""
    i, x = next((i, x) for i, x in enumerate(inputs) if not isinstance(x, Bridge.tensor))
    return TypeError(
        f"{name}: expected a tensor for input {i}, got {type(x).__module__}.{type(x).__name__}: "
        f"{x!r:.60}; make one with minigrad.tensor(...) or minigrad.from_numpy(...)"
    )


def changed_in_place(op: Op, what: str, shape: Any, cell: list[Any]) -> RuntimeError:
    """Return the error about a saved array that was written to since it was recorded."""
    return RuntimeError(
        f"{name_of(op)} needs {what}, shape {shape}, for its gradient, but it was changed in place"
        f" {cell[1] or 'since'}; make the change out of place, or on a clone()"
    )


def refuse_others(name: str, inputs: tuple[Any, ...]) -> None:
    """Raise the TypeError about the first input that is not a tensor, if there is one."""
    if not all(isinstance(x, Bridge.tensor) for x in inputs):
        raise no_tensor(name, inputs) from None


def name_of(op: Op) -> str:
    """Return the op's name, with the line of the user's code where that is known."""
    return type(op).__name__ + (f" (recorded at {op.where})" if op.where else "")


# ---------------------------------------------------------------- versions and views
def cell_of(t: Any) -> list[Any]:
    """Return the tensor's version cell `[count, where it was last changed]`, made at first need.

    The op that made the memory shares it, and so knows whether its output is still what it was.
    """
    cell: list[Any] | None = t.cell
    if cell is None:
        node = t.node
        if node is None or node.kind != OP:
            cell = [0, ""]
        elif node.cell is None:
            cell = node.cell = [0, ""]
        else:
            cell = node.cell
        t.cell = cell
    return cell


def bump_version(t: Any, where: str) -> None:
    """Count an in-place write to `t`."""
    cell = cell_of(t)
    cell[0] += 1
    cell[1] = where


def share(source: Any, out: Any) -> None:
    """Mark `out` as a view of `source`: one version cell for both, and the base knows its views."""
    if out.array is source.array or np.may_share_memory(out.array, source.array):
        out.cell = cell_of(source)
        if source.apart or not mode.recording:
            out.apart = True
        out.base = base = source if source.base is None else source.base
        if base.views is None:
            base.views = {}
        views, key = base.views, id(out)
        views[key] = weakref.ref(out, lambda _: views.pop(key, None))
