"""Captures on a GPU: a function's launches as one graph of the driver; see cuda/graph.py.

The function's Python code runs once, and its launches become nodes; then, and at each replay, one
call launches all of them.  A function that reads a number on its way, or sends one, is given up at
that place: what was recorded until then is launched, and the rest runs as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.capturing.guards import GRADIENT_CAME, SIMPLE, Surroundings
from minigrad.engine.device import DeviceArray, host_copy
from minigrad.engine.op import cell_of
from minigrad.engine.recording import recording
from minigrad.tensors.tensor import Tensor, new


def gpu_of(leaves: list[Any]) -> Any:
    """Return the GPU that the tensors among the leaves lie on; None where there is none."""
    for leaf in leaves:
        array: Any = leaf.array if isinstance(leaf, Tensor) else None
        if type(array) is DeviceArray and hasattr(array.target, "prepare"):
            return array.target
    return None


class Notes:
    """What other files tell of a call that is recorded: a recorder, see engine/recording.py."""

    checking = False

    def __init__(self) -> None:
        self.refreshes: list[tuple[Callable[..., Any], Any]] = []
        self.expected: list[tuple[Any, str, Any]] = []
        self.reason: str | None = None

    def refuse(self, reason: str) -> None:
        """Keep the first reason why the call cannot be replayed."""
        self.reason = self.reason or reason

    def each_call(self, refresh: Callable[..., Any], array: Any) -> None:
        """Note what each replay does first, and the numbers of the host that it sets anew."""
        self.refreshes.append((refresh, array))

    def each_input(self, check: Callable[[Any], Any], array: Any) -> None:
        """Check numbers of the host, which no replay could check again."""
        check(host_copy(array))
        self.refuse("numbers of the host are checked by Python")

    def expect(self, owner: Any, name: str, value: Any) -> None:
        """Note an attribute that must stay as it is."""
        self.expected.append((owner, name, value))

    def constant(self, array: Any) -> None:
        """Do nothing: numbers of the host are kept by their bytes."""


class Result:
    """A tensor of the function's results, whose numbers a replay copies out."""

    def __init__(self, tensor: Tensor) -> None:
        self.array = tensor.array
        self.tracked, self.node = tensor.tracked, tensor.node

    def made(self) -> Tensor:
        """Return a tensor of its own with the numbers of now."""
        array: Any = self.array
        target = array.target
        y = target.empty(array.shape, array.dtype)
        target.copy_same(y, array)
        t = new(y)
        t.tracked, t.node = self.tracked, self.node
        return t


class Take:
    """One recorded call: see `record`.  reason: why it cannot be replayed, None where it can."""

    def __init__(self, target: Any, tensors: list[Tensor], around: Surroundings) -> None:
        self.target = target
        self.around = around
        self.reason: str | None = around.reason
        self.notes = Notes()
        self.ready = False  # whether it has been replayed
        self.known = [t for _, t in around.tensors.values()]
        self.inputs: list[Tensor | None] = []  # in memory of the graph's own; None: one of `known`
        for t in tensors:
            if id(t) in around.tensors:
                self.inputs.append(None)
            elif t.requires_grad:
                self.reason = "an argument requires grad: let the function refer to it"
            else:
                self.inputs.append(new(target.empty(t.array.shape, t.array.dtype)))

    # ------------------------------------------------------------ recording
    def record(self, function: Callable[..., Any], args: Any, tensors: list[Tensor]) -> Any:
        """Record the function's launches, launch them once, and return what it returns."""
        if self.reason is not None:
            return function(*args)
        self.feed(tensors)
        mine = {
            id(t): held for t, held in zip(tensors, self.inputs, strict=True) if held is not None
        }
        before = [(t._grad, None if t._grad is None else t._grad.array) for t in self.known]
        counts = [0 if t.cell is None else t.cell[0] for t in self.known]
        self.graph = self.target.new_graph()
        recording.recorder = self.notes
        try:
            with self.graph.recording():
                result = function(*replaced(args, mine))
        finally:
            recording.recorder = None
        self.reason = self.notes.reason or self.graph.reason or self.around.drawn()
        self.reason = self.reason or self.around.changed()
        if self.reason is None and not self.graph.nodes:
            self.reason = "the function launches no kernel"
        if self.reason is not None:
            return result
        self.keep(before, counts)
        self.result = self.tree(result, list(mine.values()))
        return result if self.reason is not None else grown(self.result)

    def feed(self, tensors: list[Tensor]) -> None:
        """Copy arguments into the memory that the graph reads."""
        for t, held in zip(tensors, self.inputs, strict=True):
            if held is not None:
                self.target.copy_same(held.array, t.array)

    def keep(self, before: list[Any], counts: list[int]) -> None:
        """Note what the call has left behind: gradients and versions of what it refers to."""
        used = {id(owner) for owner in self.graph.held}
        self.entry: list[tuple[Tensor, Any, Any]] = []  # a gradient that the nodes read, or None
        for t, (gradient, array) in zip(self.known, before, strict=True):
            if gradient is None:
                self.entry.append((t, None, None))
            elif id(array) in used or id(array.owner) in used:
                self.entry.append((t, gradient, array))
        # Where there was none, and is none, a replay that was not refused has nothing to do.
        none = {id(t) for t, gradient, _ in self.entry if gradient is None}
        self.gradients = [
            (t, t._grad) for t in self.known if t._grad is not None or id(t) not in none
        ]
        self.versions = [
            (t, t.cell[0] - count)
            for t, count in zip(self.known, counts, strict=True)
            if t.cell is not None and t.cell[0] != count
        ]

    def tree(self, value: Any, inputs: list[Tensor]) -> Any:
        """Return what a replay's result is made from."""
        if isinstance(value, Tensor):
            array: Any = value.array
            given = any(value is t for t in (*self.known, *inputs))
            if given or type(array) is not DeviceArray:
                self.reason = "the function returns a tensor that it was given, or of the host"
            elif value.tracked and getattr(value.node, "edges", 1) is not None:
                self.reason = (
                    "the function returns a tensor that backward() could still be called on: call"
                    " it inside, return it detach()ed, or compute it under no_grad()"
                )
            return Result(value)
        if isinstance(value, list | tuple):
            return type(value)([self.tree(v, inputs) for v in value])
        if isinstance(value, dict):
            return {key: self.tree(v, inputs) for key, v in value.items()}
        if not isinstance(value, SIMPLE):
            self.reason = f"the function returns a {type(value).__name__}"
        return value

    # ------------------------------------------------------------ replay
    def changed(self, tensors: list[Tensor]) -> str | None:
        """Say what is not as it was recorded; None where this can be replayed.

        Of the arguments, `tensors`, nothing but their kind matters: their numbers are copied.
        """
        for owner, name, value in self.notes.expected:
            if getattr(owner, name) != value:
                return f"{name} of a {type(owner).__name__} was {value} and is another"
        for t, gradient, array in self.entry:
            held = t._grad
            if gradient is None:
                if held is not None:
                    return GRADIENT_CAME
            elif held is not gradient or held.array is not array:
                return "a .grad that is added to is another tensor"
        return self.around.changed()

    def run(self, tensors: list[Tensor]) -> Any:
        """Launch the graph on other arguments, and leave behind what the function does."""
        if not self.ready:
            bare = [t for t, gradient, _ in self.entry if gradient is None]
            left = {id(t) for t in self.around.without_gradients(bare)}
            self.entry = [e for e in self.entry if e[1] is not None or id(e[0]) in left]
            self.ready = True
        self.feed(tensors)
        for refresh, array in self.notes.refreshes:
            if array is None:
                refresh()
            else:
                refresh(array)
        self.graph.replay()
        for t, gradient in self.gradients:
            t._grad = gradient
        for t, count in self.versions:
            (t.cell or cell_of(t))[0] += count
        return grown(self.result)


def replaced(value: Any, others: dict[int, Any]) -> Any:
    """Return arguments with tensors replaced, by their ids."""
    if isinstance(value, Tensor):
        return others.get(id(value), value)
    if isinstance(value, list | tuple):
        return type(value)([replaced(v, others) for v in value])
    if isinstance(value, dict):
        return {key: replaced(v, others) for key, v in value.items()}
    return value


def grown(value: Any) -> Any:
    """Return a tree of results with the tensors of a replay."""
    if isinstance(value, Result):
        return value.made()
    if isinstance(value, list | tuple):
        return type(value)([grown(v) for v in value])
    if isinstance(value, dict):
        return {key: grown(v) for key, v in value.items()}
    return value
