"""A look at one training step: the ops of its forward pass with their values, its gradients and its
update.  Nothing of the step is changed: a look hears what is computed, as a `Tape` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minigrad.engine.device import host_copy
from minigrad.engine.grad_mode import NOT_HERE, leave, mode
from minigrad.engine.trace import user_line

Array = np.ndarray[Any, Any]
ROWS = 256  # of an activation that are looked at
BLOCK = 1 << 14  # numbers whose squares are summed at once
LEAST = 1e-30  # sum of squares in float32 below which squares may have become 0

# Ops that leave the values as they are, or a part of them.
SAME = {
    *("Reshape", "Index", "Move", "Permute", "Expand", "Strided", "Diagonal", "Split"),
    *("Clone", "Cast", "Through", "Flip", "Identity", "Unfold"),
}
# What ends in them, by op: the activation in the words of `nn`.
ACTIVATIONS = {
    "Relu": "ReLU",
    "LinearActivation": "ReLU",
    "Sigmoid": "Sigmoid",
    "Tanh": "Tanh",
    "Softmax": "Softmax",
    "LogSoftmax": "LogSoftmax",
    "LogSigmoid": "LogSigmoid",
    "LeakyRelu": "LeakyReLU",
    "Elu": "ELU",
    "Silu": "SiLU",
    "Gelu": "GELU",
    "GeluTanh": "GELU",
    "Softplus": "Softplus",
    "Hardtanh": "Hardtanh",
    "BatchNormDropout": "ReLU",
}
LINEAR = {"Linear", "LinearActivation", "Conv", "MatMul"}


class Node(NamedTuple):
    """An op of the forward pass.  inputs, outputs: the tensors.  where: the user's line."""

    op: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    where: str
    meta: dict[str, Any]


class Listener:
    """Stands where a Tape does, and keeps the ops with their tensors."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.outer: Any = None

    def __enter__(self) -> Listener:
        mode.entered.append((self, mode.tape))
        self.outer, mode.tape = mode.tape, self
        mode.recording = mode.level(bool(mode.recording))
        return self

    def __exit__(self, *_: Any) -> None:
        was = leave(self)
        if was is NOT_HERE:
            return
        # Models that train side by side are listened to from one's call to its own backward: the
        # outer one may end first, and what stood within it must not bring it back.
        mode.entered[:] = [(c, was if then is self else then) for c, then in mode.entered]
        inner = mode.tape
        if inner is self:
            mode.tape = was
        while inner is not None:
            if getattr(inner, "outer", None) is self:
                inner.outer = was
            inner = getattr(inner, "outer", None)
        mode.recording = mode.level(bool(mode.recording))

    def add(self, op: Any, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Keep an op that was computed; give it on to the tape around this one."""
        meta = getattr(op, "meta", None) or {}
        self.nodes.append(Node(type(op).__name__, inputs, outputs, user_line(), meta))
        if self.outer is not None:
            self.outer.add(op, inputs, outputs)


def host(tensor: Any, rows: int | None = ROWS) -> Array:
    """Return the first rows of a tensor's array in the host's memory."""
    array = tensor.array
    if rows is not None and array.ndim and len(array) > rows:
        array = array[:rows]
    return np.asarray(host_copy(array))


class Look:
    """One training step as it was heard.

    output: of the model.  target: of the batch.  loss: the value.
    gradients, updates: by parameter: its gradient's norm; its change and its norm before that.
    """

    def __init__(self, step: int, names: dict[int, str]) -> None:
        self.step = step
        self.names = names
        self.named: list[tuple[str, Any]] = []
        self.nodes: list[Node] = []
        self.output: Any = None
        self.target: Any = None
        self.loss: Any = None
        self.training = True
        self.modes: dict[str, bool] = {}
        self.gradients: dict[str, float | None] = {}
        self.updates: dict[str, tuple[float, float]] = {}
        self.lr = 0.0
        self.stats: dict[str, dict[str, Any]] = {}
        self._producers: dict[int, Node] = {}
        self._before: dict[str, Array] = {}

    # ------------------------------------------------------------ the tape
    def heard(self, nodes: list[Node]) -> None:
        """Take the ops of the step."""
        self.nodes = nodes
        self._producers = {id(t): node for node in nodes for t in node.outputs}

    def producer(self, tensor: Any) -> Node | None:
        """Return the op that made a tensor, past those that only give it another shape."""
        node = self._producers.get(id(tensor))
        while node is not None and node.op in SAME:
            node = self._producers.get(id(node.inputs[0]))
        return node

    def leads_to(self, start: Any) -> Iterator[Node]:
        """Yield the ops that a tensor was computed by, the last first."""
        seen: set[int] = set()
        waiting = [start]
        while waiting:
            node = self._producers.get(id(waiting.pop()))
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            waiting += node.inputs

    def follows(self, start: Any) -> list[Node]:
        """Return the ops that a tensor went into, and those after them."""
        reached = {id(start)}
        found = []
        for node in self.nodes:
            if any(id(t) in reached for t in node.inputs):
                reached |= {id(t) for t in node.outputs}
                found.append(node)
        return found

    def layer_name(self, node: Node) -> str:
        """Return the name of the module whose parameter an op takes; "" where it takes none."""
        for t in node.inputs:
            name = self.names.get(id(t))
            if name is not None:
                return name.rpartition(".")[0] or name
        return ""

    def nearest_layer(self, node: Node) -> str:
        """Return the name of the layer that an op, or what it was computed by, belongs to."""
        own = self.layer_name(node)
        if own:
            return own
        for other in self.leads_to(node.inputs[0]) if node.inputs else ():
            name = self.layer_name(other)
            if name:
                return name
        return ""

    # ------------------------------------------------------------ gradients and updates
    def take_output(self, _: Any, __: Any, output: Any) -> None:
        """Keep what the model gave first: a hook of the model."""
        if self.output is None and hasattr(output, "array"):
            self.output = output

    def take_gradients(self, *_: Any) -> None:
        """Note the norms of gradients, and the weights before the step: a hook of the optimizer."""
        for name, p in self.named:
            grad = p.grad
            self.gradients[name] = None if grad is None else norm(host(grad, None))
            self._before[name] = np.array(host(p, None))

    def take_updates(self) -> None:
        """Note by how much the weights have changed."""
        for name, p in self.named:
            before = self._before.pop(name, None)
            if before is not None and before.shape == p.array.shape:
                size = norm(before)
                np.subtract(host(p, None), before, out=before)
                self.updates[name] = norm(before), size

    def summarise(self) -> None:
        """Take the figures of the activations, and let the arrays go."""
        for i, node in enumerate(self.nodes):
            if node.op in ACTIVATIONS:
                key = f"{i}:{node.op}"
                self.stats[key] = activation_figures(self, node)

    def forget(self) -> None:
        """Let all tensors go; what was noted stays."""
        self.nodes = []
        self._producers = {}
        self._before = {}
        self.named, self.names = [], {}
        self.output = self.target = self.loss = None


def norm(array: Array) -> float:
    """Return the square root of the sum of squares, summed in float64 where that matters.

    >>> norm(np.array([3.0, 4.0]))
    5.0
    """
    if array.dtype.kind != "f":
        return float("nan")
    with np.errstate(all="ignore"):
        flat = array.reshape(-1)
        parts = [flat[i : i + BLOCK] for i in range(0, flat.size, BLOCK)]
        squares = np.empty(min(flat.size, BLOCK), flat.dtype)
        squared = sum(float(np.square(p, out=squares[: p.size]).sum()) for p in parts)
        if not LEAST < squared < np.inf and np.isfinite(array).all():
            squared = float(np.square(array, dtype=np.float64).sum())
    return float(np.sqrt(squared))


def activation_figures(look: Look, node: Node) -> dict[str, Any]:
    """Return what is asked of an activation's values: dead units, saturation, spread."""
    values = host(node.outputs[0])
    kind = ACTIVATIONS[node.op]
    dropped = node.op == "BatchNormDropout"
    figures: dict[str, Any] = {
        "activation": kind,
        "layer": look.nearest_layer(node),
        "where": node.where,
        "width": int(values.shape[1]) if values.ndim > 1 else 1,
    }
    with np.errstate(all="ignore"):
        figures["std"] = float(values.std())
        if kind == "ReLU" and values.ndim > 1 and not dropped:
            axes = tuple(i for i in range(values.ndim) if i != 1)
            figures["dead"] = float((~(values > 0).any(axis=axes)).mean())
        if kind in ("Sigmoid", "Tanh"):
            low, high = (0.02, 0.98) if kind == "Sigmoid" else (-0.96, 0.96)
            figures["saturated"] = float(((values < low) | (values > high)).mean())
    return figures


def named_parameters(model: Any) -> list[tuple[str, Any]]:
    """Return the parameters that require a gradient, by name."""
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]
