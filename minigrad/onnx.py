"""ONNX files of models, for runtimes elsewhere: the ops of one call, each written by its rule.

`export` runs the model once and listens to the tape.  What it reads beside its inputs, parameters
and buffers and numbers, becomes a constant of the file.  The first dimension of the inputs is left
open, so that any number of rows may come.

Needs the package `onnx`: `pip install 'minigrad[onnx]'`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.engine.dispatch import write_whole
from minigrad.engine.grad_mode import enable_grad, mode
from minigrad.lazy import lazy
from minigrad.nn.module import Module
from minigrad.ops.grammar import Chosen
from minigrad.tensors.tensor import Tensor

helper = lazy("onnx.helper")
numpy_helper = lazy("onnx.numpy_helper")
checker = lazy("onnx.checker")
Array = np.ndarray[Any, Any]
OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
ROWS = (97, 101, 103, 107, 109, 113)  # a batch of so many: no other size is a multiple of it
RULES: dict[str, Callable[..., Any]] = {}


class Graph:
    """What is written: nodes and constants, each with a name of its own.

    open_rows: the size that stands for any number of rows, 0 where all sizes are as they are.
    """

    def __init__(self, open_rows: int = 0) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.open_rows = open_rows
        self.count = 0

    def fresh(self, about: str) -> str:
        """Return a name that nothing has yet."""
        self.count += 1
        return f"{about}_{self.count}"

    def node(self, kind: str, inputs: Sequence[str], outputs: int = 1, **options: Any) -> Any:
        """Write a node; return the name of what it gives, or the names of several."""
        names = [self.fresh(kind.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **options))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: Any = None, name: str = "constant") -> str:
        """Write an array; return its name."""
        array = np.asarray(value, dtype)
        name = self.fresh(name)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def integers(self, *values: int) -> str:
        """Write whole numbers, as shapes and axes are."""
        return self.constant(np.array(values, np.int64))

    def save(self, inputs: Sequence[Any], outputs: Sequence[Any], path: Path, name: str) -> Path:
        """Write the file, checked by `onnx.checker`."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="minigrad")
        model.ir_version = IR_VERSION
        checker.check_model(model)
        write_whole(path, model.SerializeToString())
        return path


def value_info(name: str, dtype: Any, shape: Sequence[Any]) -> Any:
    """Return what a file says of an input or output; a size may be a word."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, list(shape))


def export(
    model: Module,
    path: str | PathLike[str],
    example: Any,
    *,
    open_rows: bool = True,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
) -> Path:
    """Write a model as an ONNX file; return its path.

    It is exported as in `eval()`, and keeps its mode.
    example: an input, or a tuple of inputs: tensors or arrays of the right shapes and dtypes.
    open_rows: whether the first dimension of inputs and outputs may be of any size.
    input_names, output_names: in the file; input_0, ..., output_0, ... by default.

    Raises: NotImplementedError that names an op without a rule, and for numbers that are computed
        from the inputs off the tape, by NumPy or by comparisons; TypeError for outputs that are no
        tensors; ModuleNotFoundError without the package `onnx`.

    Source: the ONNX standard, operators of opset 17.
    """
    try:
        helper.__file__  # noqa: B018  imports it
    except ImportError as error:
        raise ModuleNotFoundError(
            f"export needs onnx: pip install 'minigrad[onnx]' ({error})"
        ) from error
    given = example if isinstance(example, tuple) else (example,)
    arrays = [x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x) for x in given]
    arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
    rows = _open_size(model, arrays) if open_rows else 0
    first = [_of_rows(a, rows) for a in arrays]
    graph = Graph(rows)
    names = [_named(input_names, i, "input") for i in range(len(first))]
    listener, results = traced(model, first)
    # What differs in a call with other numbers is no constant.
    other, _ = traced(model, [_others(a) for a in first])
    writer = Writer(graph, listener, other, names)
    found = [writer.write(t) for t in results]
    for i, name in enumerate(found):  # an output may be an input, or another output
        output = _named(output_names, i, "output")
        graph.nodes.append(helper.make_node("Identity", [name], [output]))
    sizes = [_shape(a.shape, rows) for a in first]
    inputs = [value_info(n, a.dtype, s) for n, a, s in zip(names, first, sizes, strict=True)]
    outputs = [
        value_info(_named(output_names, i, "output"), t.array.dtype, _shape(t.shape, rows))
        for i, t in enumerate(results)
    ]
    return graph.save(inputs, outputs, Path(path), type(model).__name__)


def _named(names: Sequence[str], i: int, about: str) -> str:
    return names[i] if i < len(names) else f"{about}_{i}"


def _shape(shape: Sequence[int], rows: int) -> list[Any]:
    return [_size(n, rows) for n in shape]


def _size(n: int, rows: int) -> Any:
    if not rows or n % rows or not n:
        return n
    return "N" if n == rows else f"{n // rows} N"


def _open_size(model: Module, arrays: Sequence[Array]) -> int:
    """Return a batch size of which no other size is a multiple."""
    sizes = {n for a in arrays for n in a.shape[1:]}
    sizes |= {n for t in model.state_dict().values() for n in t.shape}
    return next(rows for rows in ROWS if all(n % rows for n in sizes if n))


def _of_rows(array: Array, rows: int) -> Array:
    """Return an input with so many rows, its own over and over."""
    return array if not rows else np.resize(array, (rows, *array.shape[1:]))


def _others(array: Array) -> Array:
    """Return other numbers of the kind; whole ones in another order, for they may be indices."""
    if array.dtype.kind == "f":
        return (array[::-1] * -0.7 + 0.1).astype(array.dtype)
    return np.roll(array.reshape(-1), 1).reshape(array.shape)


class Listener:
    """Writes down the ops of a call, with what they read and give."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self.inputs = inputs
        self.ops: list[tuple[Any, tuple[Any, ...], tuple[Any, ...]]] = []

    def add(self, op: Any, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Take note of an op."""
        self.ops.append((op, inputs, outputs))


def traced(model: Module, arrays: Sequence[Array]) -> tuple[Listener, list[Tensor]]:
    """Return the ops of one call of a model in `eval()`, and what it returned."""
    inputs = [Tensor(a) for a in arrays]
    for t in inputs:
        if t.is_floating_point():
            t.requires_grad_()
    listener = Listener(inputs)
    training = [(m, m.training) for m in model.modules()]
    was = mode.tape
    model.eval()
    try:
        with enable_grad():
            mode.tape = listener
            mode.recording = mode.level(True)
            found = model(*inputs)
    finally:
        mode.tape = was
        mode.recording = mode.level(bool(mode.recording))
        for module, flag in training:
            module.training = flag
    results = list(found) if isinstance(found, tuple | list) else [found]
    if not all(isinstance(t, Tensor) for t in results):
        raise TypeError(f"export: expected a model that returns tensors, but got {results!r:.80}")
    return listener, results


class Writer:
    """Writes the ops of a call into a graph, from what is asked for backwards."""

    def __init__(
        self, graph: Graph, listener: Listener, other: Listener, inputs: Sequence[str]
    ) -> None:
        self.graph = graph
        self.other = other
        self.names = {_key(t): n for t, n in zip(listener.inputs, inputs, strict=True)}
        self.whole = [
            (a, b, n)
            for a, b, n in zip(listener.inputs, other.inputs, inputs, strict=True)
            if not a.is_floating_point()
        ]
        self.held: list[Any] = []
        for number, (op, given, made) in enumerate(listener.ops):
            self.op(number, op, given, made)

    def op(self, number: int, op: Any, given: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        """Write one op."""
        name = type(op).__name__
        if name not in RULES:
            raise NotImplementedError(
                f"export: op {name} has no ONNX rule; these have one: {', '.join(sorted(RULES))}"
            )
        if not op.meta and not any(t.tracked for t in made):
            return  # of whole numbers or truth values: whoever reads it says what is missing
        twin = self.other.ops[number]
        inputs = [self.input(t, u) for t, u in zip(given, twin[1], strict=True)]
        found = RULES[name](Step(self, op, twin[0], given, made, inputs))
        for t, result in zip(made, [found] if isinstance(found, str) else found, strict=False):
            self.names[_key(t)] = result
            self.held.append(t)

    def input(self, t: Tensor, twin: Tensor) -> str:
        """Return the name of what an op reads; enter a constant where it is one."""
        key = _key(t)
        if key not in self.names:
            rows = self.graph.open_rows
            alike = np.array_equal(t.array, twin.array, equal_nan=t.array.dtype.kind == "f")
            if not alike or any(rows and n and n % rows == 0 for n in t.shape):
                raise NotImplementedError(
                    f"export: numbers of shape {t.shape} are computed from the inputs off the tape "
                    "(by NumPy, a comparison, an index or detach), so a file would hold this call's"
                )
            self.names[key] = self.graph.constant(t.detach().cpu().numpy(), name="weight")
            self.held.append(t)
        return self.names[key]

    def indices(self, array: Array, twin: Array) -> str:
        """Return the name of an index: an input of whole numbers, or a constant."""
        for a, b, name in self.whole:
            if np.array_equal(a.array, array) and np.array_equal(b.array, twin):
                return name
        if not np.array_equal(array, twin):
            raise NotImplementedError("export: an index is computed from the inputs off the tape")
        return self.graph.constant(array, np.int64)

    def write(self, t: Tensor) -> str:
        """Return the name of an output.

        Raises: NotImplementedError where it was computed off the tape.
        """
        if _key(t) not in self.names:
            raise NotImplementedError(
                f"export: the output {t!r:.60} does not come from the inputs by ops of the tape"
            )
        return self.names[_key(t)]


def _key(t: Tensor) -> int:
    return id(t) if t.node is None else id(t.node)


class Step:
    """What a rule sees: an op, its options and the names of what it reads.

    Calling it writes a node.
    """

    def __init__(
        self,
        writer: Writer,
        op: Any,
        twin: Any,
        given: Sequence[Tensor],
        made: Sequence[Tensor],
        names: list[str],
    ) -> None:
        self.writer, self.graph, self.op, self.twin = writer, writer.graph, op, twin
        self.meta, self.given, self.made, self.names = op.meta, given, made, names

    def __call__(self, kind: str, *inputs: str, outputs: int = 1, **options: Any) -> Any:
        """Write a node over inputs, those of the op by default."""
        return self.graph.node(kind, inputs or self.names, outputs, **options)

    def number(self, value: float) -> str:
        """Write a number of the op's dtype."""
        return self.graph.constant(value, self.made[0].array.dtype)


def rule(*names: str) -> Callable[[Any], Any]:
    """Enter the rule of ops: `f(step)` writes nodes and returns the name of what they give."""

    def enter(function: Any) -> Any:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


def _same(kind: str, **options: Any) -> Callable[[Step], Any]:
    return lambda step: step(kind, **options)


ALIKE = (  # ops that ONNX has too, under their own names
    *("Abs", "Acos", "Acosh", "Add", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh"),
    *("Div", "Erf", "Exp", "Floor", "Identity", "Log", "MatMul", "Mul", "Neg", "Pow", "Relu"),
    *("Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Sqrt", "Sub", "Tan", "Tanh"),
)
RULES.update({name: _same(name) for name in ALIKE})
RULES.update(
    {
        "Clone": _same("Identity"),
        "Maximum": _same("Max"),
        "Minimum": _same("Min"),
        "Rint": _same("Round"),
        "Where": lambda step: step("Where"),
        "Hardsigmoid": lambda step: _hardsigmoid(step),
        "Hardswish": lambda step: step("Mul", step.names[0], _hardsigmoid(step)),
        "Addcmul": lambda step: step("Add", step.names[0], step("Mul", *step.names[1:])),
        "Addcdiv": lambda step: step("Add", step.names[0], step("Div", *step.names[1:])),
        "Square": lambda step: step("Mul", step.names[0], step.names[0]),
        "Silu": lambda step: step("Mul", step.names[0], step("Sigmoid")),
        "Elu": lambda step: step("Elu", alpha=float(step.meta["alpha"])),
        "LeakyRelu": lambda step: step("LeakyRelu", alpha=float(step.meta["negative_slope"])),
        "Softmax": lambda step: step("Softmax", axis=step.meta["axis"]),
        "LogSoftmax": lambda step: step("LogSoftmax", axis=step.meta["axis"]),
        "Cat": lambda step: step("Concat", axis=step.meta["axis"]),
        "Permute": lambda step: step("Transpose", perm=list(step.meta["axes"])),
        "Log1p": lambda step: step("Log", step("Add", step.names[0], step.number(1))),
        "Expm1": lambda step: step("Sub", step("Exp"), step.number(1)),
        "LogSigmoid": lambda step: step("Neg", step("Softplus", step("Neg"))),
    }
)


def _hardsigmoid(step: Step) -> Any:
    above = step("Clip", step("Add", step.names[0], step.number(3)), step.number(0), step.number(6))
    return step("Div", above, step.number(6))


@rule("Lerp")
def lerp(step: Step) -> Any:
    """Write a + (b - a) weight."""
    a, b = step.names
    gap = step("Sub", b, a)
    return step("Add", a, step("Mul", gap, step.number(step.meta["number"])))


@rule("AddScaled")
def add_scaled(step: Step) -> Any:
    """Write a + b value."""
    a, b = step.names
    return step("Add", a, step("Mul", b, step.number(step.meta["number"])))


@rule("Linear", "LinearActivation")
def linear(step: Step) -> Any:
    """Write x @ weight^T + bias, and an activation behind it."""
    names = step.names if step.given[2].array.size else step.names[:2]
    if step.given[0].ndim == 2:
        y = step("Gemm", *names, transB=1)
    else:
        y = step("MatMul", names[0], step("Transpose", names[1], perm=[1, 0]))
        y = step("Add", y, names[2]) if len(names) > 2 else y
    kind = step.meta.get("activation")
    if kind is None:
        return y
    kinds = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
    if kind in kinds:
        return step(kinds[kind], y)
    if kind == "silu":
        return step("Mul", y, step("Sigmoid", y))
    if kind == "gelu":
        return _gelu(step, y)
    raise NotImplementedError(f"export: LinearActivation with {kind!r} has no ONNX rule")


@rule("Gelu")
def gelu(step: Step) -> Any:
    """Write x (1 + erf(x / sqrt(2))) / 2."""
    return _gelu(step, step.names[0])


def _gelu(step: Step, x: str) -> Any:
    bent = step("Erf", step("Mul", x, step.number(0.5**0.5)))
    return step("Mul", step("Mul", x, step.number(0.5)), step("Add", bent, step.number(1)))


@rule("GeluTanh")
def gelu_tanh(step: Step) -> Any:
    """Write x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2."""
    x = step.names[0]
    cube = step("Mul", step("Mul", x, x), x)
    inner = step("Add", x, step("Mul", cube, step.number(0.044715)))
    bent = step("Tanh", step("Mul", inner, step.number((2 / np.pi) ** 0.5)))
    return step("Mul", step("Mul", x, step.number(0.5)), step("Add", bent, step.number(1)))


@rule("Clamp", "Hardtanh")
def clamp(step: Step) -> Any:
    """Write x between two numbers, of which each may be missing."""
    ends = [step.meta[end] for end in ("low", "high")]
    found = ["" if end is None or np.isinf(end) else step.number(end) for end in ends]
    return step("Clip", step.names[0], *found)


@rule("Sum", "Mean", "Amax", "Amin")
def reduction(step: Step) -> Any:
    """Write a reduction over axes."""
    kind = f"Reduce{type(step.op).__name__.replace('Ama', 'Ma').replace('Ami', 'Mi').capitalize()}"
    axes = step.meta.get("dim", step.meta.get("axis", step.meta.get("axes")))
    axes = range(step.given[0].ndim) if axes is None else axes
    axes = [int(axes)] if isinstance(axes, int | np.integer) else [int(a) for a in axes]
    keep = int(len(step.made[0].shape) == step.given[0].ndim)
    if kind == "ReduceSum":  # takes its axes as an input, the others as an attribute
        return step(kind, step.names[0], step.graph.integers(*axes), keepdims=keep)
    return step(kind, step.names[0], axes=axes, keepdims=keep)


@rule("Reshape")
def reshape(step: Step) -> Any:
    """Write a shape; what is a multiple of the open size is the one that is left to be found."""
    rows, shape = step.graph.open_rows, [int(n) for n in step.made[0].shape]
    was = step.given[0].shape
    if rows and any(n % rows == 0 and n for n in was):
        places = [i for i, n in enumerate(shape) if n and n % rows == 0]
        if len(places) != 1:
            raise NotImplementedError(f"export: reshape {was} to {shape} does not leave rows open")
        shape[places[0]] = -1
    return step("Reshape", step.names[0], step.graph.integers(*shape))


@rule("Expand")
def expand(step: Step) -> Any:
    """Write a broadcast; of the open size only where the input has it."""
    shape = [int(n) for n in step.made[0].shape]
    was = (1,) * (len(shape) - step.given[0].ndim) + tuple(step.given[0].shape)
    rows = step.graph.open_rows
    if rows and any(n % rows == 0 and n != m for n, m in zip(shape, was, strict=True)):
        raise NotImplementedError("export: a broadcast to the number of rows has no ONNX rule")
    sizes = [1 if n == m else n for n, m in zip(shape, was, strict=True)]
    return step("Expand", step.names[0], step.graph.integers(*sizes))


@rule("Split")
def split(step: Step) -> Any:
    """Write parts of stated sizes."""
    sizes = step.graph.integers(*step.meta["sizes"])
    axis, count = step.meta["axis"], len(step.made)
    return step("Split", step.names[0], sizes, outputs=count, axis=axis)


@rule("Index")
def index(step: Step) -> Any:
    """Write slices, single places, new dimensions, or one array along one axis."""
    chosen, twin = step.meta.get("index"), step.twin.meta.get("index")
    if isinstance(chosen, Chosen):
        given = [(i, a) for i, a in enumerate(chosen.arrays) if a is not None]
        whole = all(part == slice(None) for part in chosen.view)
        if len(given) != 1 or not whole:
            raise NotImplementedError("export: an index of several arrays has no ONNX rule")
        axis, array = given[0]
        name = step.writer.indices(array, twin.arrays[axis])
        return step("Gather", step.names[0], name, axis=axis)
    if chosen is None:
        raise NotImplementedError("export: an index into whole numbers has no ONNX rule")
    parts = list(chosen)
    used = sum(p is not None and p is not Ellipsis for p in parts)
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (step.given[0].ndim - used)
    y, axis = step.names[0], 0
    gone: list[int] = []
    new: list[int] = []
    low: list[int] = []
    high: list[int] = []
    axes: list[int] = []
    steps: list[int] = []
    for place, part in enumerate(parts):
        if part is None:
            new.append(place - len(gone))
            continue
        if isinstance(part, slice):
            if part != slice(None):
                back = part.step is not None and part.step < 0
                start = (2**31 if back else 0) if part.start is None else part.start
                stop = (-(2**31) if back else 2**31) if part.stop is None else part.stop
                low, high, axes = [*low, start], [*high, stop], [*axes, axis]
                steps.append(1 if part.step is None else part.step)
        else:
            low, high = [*low, part], [*high, part + 1 if part != -1 else 2**31]
            axes, steps, gone = [*axes, axis], [*steps, 1], [*gone, axis]
        axis += 1
    if axes:
        y = step("Slice", y, *[step.graph.integers(*part) for part in (low, high, axes, steps)])
    if gone:
        y = step("Squeeze", y, step.graph.integers(*gone))
    return step("Unsqueeze", y, step.graph.integers(*new)) if new else y


@rule("LayerNorm")
def layer_norm(step: Step) -> Any:
    """Write a normalisation over the last dimensions; without weights they are 1 and 0."""
    dims = step.meta["dims"]
    shape, dtype = step.given[0].shape[-dims:], step.given[0].array.dtype
    names = [step.names[0]]
    for place, fill in ((1, 1.0), (2, 0.0)):
        there = step.given[place].array.size > 0
        full = step.graph.constant(np.full(shape, fill, dtype)) if not there else step.names[place]
        names.append(full)
    return step("LayerNormalization", *names, axis=-dims, epsilon=float(step.meta["eps"]))


@rule("BatchNormEval")
def batch_norm(step: Step) -> Any:
    """Write a normalisation by running statistics."""
    return step("BatchNormalization", epsilon=float(step.meta["eps"]))


@rule("Conv")
def conv(step: Step) -> Any:
    """Write a convolution of one or two dimensions."""
    names = step.names if len(step.names) > 2 and step.given[2].array.size else step.names[:2]
    return step("Conv", *names, **_sliding(step))


def _sliding(step: Step) -> dict[str, Any]:
    """Return stride, padding and the like, of the last one or two dimensions."""
    s, dims = step.meta["sliding"], step.given[0].ndim - 2
    after = []
    for i in range(2 - dims, 2):
        reach = (s.grid[i] - 1) * s.stride[i] + s.dilation[i] * (s.kernel[i] - 1) + 1
        after.append(max(reach - s.image[i] - s.padding[i], 0))
    last = slice(2 - dims, 2)
    return {
        "strides": list(s.stride[last]),
        "pads": [*s.padding[last], *after],
        "dilations": list(s.dilation[last]),
        "group": s.groups,
        "kernel_shape": list(s.kernel[last]),
    }


@rule("MaxPool", "AvgPool")
def pool(step: Step) -> Any:
    """Write pooling by windows of one size, a stride apart."""
    windows, dims = step.meta["windows"], step.meta["dims"]
    maxima = type(step.op).__name__ == "MaxPool"
    tables = [windows.row_windows, windows.column_windows][2 - dims :]
    parts: list[list[int]] = [[], [], [], [], []]
    sizes, strides, before, after, counted = parts
    for table, size in zip(tables, step.given[0].shape[-dims:], strict=True):
        third = table[:, 2]  # the step within a window of maxima, or what a sum is divided by
        whole = np.where(third == 1, table[:, 1] - table[:, 0], -1) if maxima else third
        found = regular(np.column_stack([table[:, :2], whole]), int(size))
        if found is None:
            raise NotImplementedError(
                f"export: {type(step.op).__name__} with windows of several sizes has no ONNX rule"
            )
        for part, value in zip(parts, found, strict=True):
            part.append(value)
    options: dict[str, Any] = {"kernel_shape": sizes, "strides": strides}
    options["pads"] = [*before, *after]
    if maxima:
        return [step("MaxPool", step.names[0], **options)]
    if len(set(counted) - {2}) > 1:
        raise NotImplementedError("export: AvgPool with this divisor has no ONNX rule")
    return step("AveragePool", count_include_pad=int(1 in counted), **options)


def regular(table: Array, size: int) -> tuple[int, int, int, int, int] | None:
    """Return kernel, stride, padding before and after of a table of windows, and whether padding is
    divided by (2: there is none); None where the windows are not regular.

    >>> regular(np.array([[0, 2, 2], [2, 4, 2]]), 4)
    (2, 2, 0, 0, 2)
    """
    starts, ends, divisors = table[:, 0], table[:, 1], table[:, 2]
    count = len(table)
    for kernel in dict.fromkeys((int((ends - starts).max()), int(divisors.max()))):
        stride = int(max(np.diff(ends).max(initial=0), np.diff(starts).max(initial=0), 1))
        before = kernel - int(ends[0]) if kernel > ends[0] else 0
        first = np.arange(count) * stride - before
        if not (np.maximum(first, 0) == starts).all():
            continue
        if not (np.minimum(first + kernel, size) == ends).all():
            continue
        after = max(int(first[-1]) + kernel - size, 0)
        inside, all_of_it = (divisors == ends - starts).all(), (divisors == kernel).all()
        if inside or all_of_it:
            return kernel, stride, before, after, 2 if inside and all_of_it else int(all_of_it)
    return None
