"""Wrong rules made from the right ones of the registry: `MISTAKES[name]` plants one kind of mistake
in any op, and says how a check must name it.

A mistake is a function of the op's class and a sample that returns the wrong class, or None where
the op cannot have it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.checking.samples import OP_SAMPLES, Constant
from minigrad.engine.backward import fitted
from minigrad.engine.op import Op
from minigrad.ops.registry import OPS

Array = np.ndarray[Any, Any]
Sample = tuple[tuple[Array, ...], dict[str, Any]]
Mistake = Callable[[type[Op], Sample], "type[Op] | None"]
MISTAKES: dict[str, tuple[Mistake, str]] = {}


@lru_cache
def sample_of(name: str) -> Sample:
    """Return the smallest sample of an op that gives elements, with several, rows and columns if it
    can be.
    """

    def size(sample: Sample) -> tuple[bool, bool, bool, int]:
        arrays, _ = sample
        first = next((a for a in arrays if a.dtype.kind == "f"), arrays[0])
        elements = sum(a.size for a in arrays)
        ungainly = first.size < 2 or elements > 60 or 1 in first.shape
        return is_empty(OPS[name], sample), ungainly, first.ndim != 2, elements

    return min(OP_SAMPLES[name], key=size)


def is_empty(op: type[Op], sample: Sample) -> bool:
    """Say whether a sample's result has no elements."""
    arrays, meta = sample
    with np.errstate(all="ignore"):
        found = op.apply(*[mg.Tensor(np.asarray(a)) for a in arrays], **meta)
    return not any(y.numel() for y in (found if isinstance(found, tuple) else (found,)))


def mistake(named: str) -> Callable[[Mistake], Mistake]:
    """Enter a mistake with the pattern by which a check must name it."""

    def enter(plant: Mistake) -> Mistake:
        MISTAKES[plant.__name__] = plant, named
        return plant

    return enter


def rule(op: type[Op], change: Callable[[Op, Any, Any], Any], composite: bool = False) -> type[Op]:
    """Return the op with `change(node, its right parts, the gradients)` as its rule."""

    def backward(self: Op, *grads: Any) -> Any:
        return change(self, op.backward(self, *grads), grads)

    members: dict[str, Any] = {"backward": backward}
    if not composite:
        members["composite"] = None
    return type(f"Wrong{op.__name__}", (op,), members)


def times(parts: Any, factor: Any) -> tuple[Any, ...]:
    """Return every gradient times a number or tensor."""
    return tuple(None if p is None else p * factor for p in parts)


def inputs_of(node: Op) -> list[Array]:
    return [t.array for t in node.inputs if t.array.dtype.kind == "f"]


def moving(sample: Sample) -> list[Array]:
    """Return the inputs of a sample that a gradient is asked for."""
    return [a for a in sample[0] if a.dtype.kind == "f" and not isinstance(a, Constant) and a.size]


def keeping(op: type[Op]) -> type[Op]:
    """Return the op with its inputs kept, for a mistake that looks at them."""
    return type(op.__name__, (op,), {"keeps": True})


# ---------------------------------------------------------------- wrong numbers
@mistake(r"d\(output \d\)/d\(input \d\) is wrong in \d+ of .*(is|times) ")
def twice_as_large(op: type[Op], sample: Sample) -> type[Op] | None:
    return rule(op, lambda node, parts, grads: times(parts, 2.0))


@mistake("the sign is wrong")
def sign(op: type[Op], sample: Sample) -> type[Op] | None:
    return rule(op, lambda node, parts, grads: times(parts, -1.0))


@mistake("is wrong in")
def one_element(op: type[Op], sample: Sample) -> type[Op] | None:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        found = []
        for p, edge in zip(parts, node.edges, strict=True):
            if p is not None and edge is not None and p.numel():
                p = fitted(node, edge, p)  # summed over broadcast axes, by whichever does so
                factor = np.ones(p.shape, p.array.dtype)
                # Rounded: sums in another order must not make another element the largest.
                factor.reshape(-1)[np.argmax(np.abs(p.array).round(6))] = 1.5
                p = p * mg.Tensor(factor)
            found.append(p)
        return tuple(found)

    return rule(op, change)


@mistake("is wrong in|gives NaN")
def nan_everywhere(op: type[Op], sample: Sample) -> type[Op] | None:
    return rule(op, lambda node, parts, grads: times(parts, float("nan")))


# ---------------------------------------------------------------- what a rule returns
@mistake("returns a raw array")
def raw_arrays(op: type[Op], sample: Sample) -> type[Op] | None:
    return rule(op, lambda n, parts, g: tuple(None if p is None else p.array for p in parts))


@mistake("by itself; expected a tuple")
def bare_tensor(op: type[Op], sample: Sample) -> type[Op] | None:
    return rule(op, lambda n, parts, g: next(p for p in parts if p is not None))


@mistake(r"returns \d gradients for \d inputs")
def one_too_many(op: type[Op], sample: Sample) -> type[Op] | None:
    return rule(op, lambda n, parts, g: (*parts, g[0]))


@mistake(r"returns \d gradients for \d inputs")
def one_too_few(op: type[Op], sample: Sample) -> type[Op] | None:
    return rule(op, lambda n, parts, g: tuple(parts[:-1]))


@mistake("returns a float32 gradient for input .* the wrong dtype")
def narrow(op: type[Op], sample: Sample) -> type[Op] | None:
    return rule(op, lambda n, parts, g: tuple(None if p is None else p.float() for p in parts))


@mistake("the wrong shape, which no broadcasting")
def extra_axis(op: type[Op], sample: Sample) -> type[Op] | None:
    if "index" in sample[1]:  # whose values may be broadcast to any place
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        return tuple(None if p is None else mg.stack([p * (1 / 7)] * 7) for p in parts)

    return rule(op, change)


@mistake("which is int64 and has none; expected None|which is bool and has none; expected None")
def gradient_for_integers(op: type[Op], sample: Sample) -> type[Op] | None:
    whole = [i for i, a in enumerate(sample[0]) if a.dtype.kind != "f"]
    if not whole:
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        given = {i: mg.Tensor(np.zeros(node.inputs[i].shape)) for i in whole}
        return tuple(given.get(i, p) for i, p in enumerate(parts))

    return rule(op, change)


@mistake(r"raises ZeroDivisionError")
def raises(op: type[Op], sample: Sample) -> type[Op] | None:
    return rule(op, lambda n, parts, g: 1 / 0)


# ---------------------------------------------------------------- what a rule writes to
@mistake("writes in place to the gradient")
def writes_to_gradient(op: type[Op], sample: Sample) -> type[Op] | None:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        kept = tuple(None if p is None else p.clone() for p in parts)
        for g in grads:
            if g is not None:
                g.array[...] *= 0.5
        return kept

    return rule(op, change)


@mistake("writes in place to the input")
def writes_to_input(op: type[Op], sample: Sample) -> type[Op] | None:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        for a in inputs_of(node):
            a[...] += 1.0
        return parts

    return rule(keeping(op), change)


# ---------------------------------------------------------------- what a rule depends on
@mistake("two backward sweeps give input . different gradients .*keeps state")
def counter(op: type[Op], sample: Sample) -> type[Op] | None:
    calls: list[int] = []

    def change(node: Op, parts: Any, grads: Any) -> Any:
        calls.append(1)
        return times(parts, 1 + 1e-7 * len(calls))

    return rule(op, change)


@mistake("draws from a global random generator")
def random_numbers(op: type[Op], sample: Sample) -> type[Op] | None:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        return times(parts, 1 + 1e-7 * np.random.rand())  # noqa: NPY002

    return rule(op, change)


@mistake("state kept on the class|hands out memory")
def state_on_the_class(op: type[Op], sample: Sample) -> type[Op] | None:
    last: list[float] = []

    def forward(self: Op, *arrays: Any, **meta: Any) -> Any:
        y = op.forward(self, *arrays, **meta)
        last[:] = [float(sum(np.abs(a).sum() for a in arrays if a.dtype.kind == "f"))]
        self.seen = last[0]  # type: ignore[attr-defined]
        return y

    if op.apply.__func__ is not Op.apply.__func__:  # type: ignore[attr-defined]
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        return times(parts, last[0] / node.seen)  # type: ignore[attr-defined]

    wrong = rule(op, change)
    wrong.forward = forward  # type: ignore[method-assign]
    return wrong


@mistake("hands out memory that a later sweep writes to")
def shared_buffer(op: type[Op], sample: Sample) -> type[Op] | None:
    buffers: dict[Any, Array] = {}
    if op.__name__ == "Where":  # whose gradients are summed to the inputs' shapes: new memory
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        found = []
        for i, p in enumerate(parts):
            if p is not None:
                held = buffers.setdefault((i, p.shape), np.zeros(p.shape, p.array.dtype))
                held[...] = p.array
                p = mg.Tensor(held)
            found.append(p)
        return tuple(found)

    return rule(op, change)


@mistake("with create_graph=True the gradient of input")
def mode(op: type[Op], sample: Sample) -> type[Op] | None:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        return times(parts, 1.5) if mg.is_grad_enabled() else parts

    return rule(op, change) if op.composite is None else None


@mistake("not linear in the gradient it is given.*ignores the gradient|analytic 0,")
def ignores_gradient(op: type[Op], sample: Sample) -> type[Op] | None:
    def backward(self: Op, *grads: Any) -> Any:
        return op.backward(self, *(mg.Tensor(np.ones_like(g.array)) for g in grads))

    return None if op.several else type(f"Wrong{op.__name__}", (op,), {"backward": backward})


@mistake("not linear in the gradient it is given")
def positive_gradients_only(op: type[Op], sample: Sample) -> type[Op] | None:
    def backward(self: Op, *grads: Any) -> Any:
        return op.backward(self, *(g if g is None else mg.relu(g) for g in grads))

    return type(f"Wrong{op.__name__}", (op,), {"backward": backward})


@mistake("memory layout of the gradient it is given")
def contiguous_gradients_only(op: type[Op], sample: Sample) -> type[Op] | None:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        plain = all(g is None or g.array.flags.c_contiguous for g in grads)
        return parts if plain else times(parts, 1.5)

    return None if one_number(op, sample) else rule(op, change)


@mistake("memory layout of the gradient it is given .*expanded with stride 0")
def expanded_gradients(op: type[Op], sample: Sample) -> type[Op] | None:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        given = [g.array for g in grads if g is not None]
        flat = any(a.size > 1 and 0 in a.strides for a in given)
        return times(parts, 1.5) if flat else parts

    if op.__name__ == "BatchNorm":  # which gives equal rows a gradient of zero
        return None
    return None if one_number(op, sample) else rule(op, change)


def one_number(op: type[Op], sample: Sample) -> bool:
    """Say whether the op gives one number, whose gradient has no layout."""
    found = op.apply(*[mg.Tensor(np.array(a)) for a in sample[0]], **sample[1])
    first = found[0] if isinstance(found, tuple) else found
    return bool(first.numel() < 2)


@mistake("depends on the memory layout of the inputs|is wrong in")
def contiguous_inputs_only(op: type[Op], sample: Sample) -> type[Op] | None:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        plain = all(a.flags.c_contiguous for a in inputs_of(node))
        return parts if plain else times(parts, 1.5)

    return rule(keeping(op), change) if max(a.size for a in moving(sample)) > 1 else None


@mistake("depends on the memory layout of the inputs .*stride 0|is wrong in")
def expanded_inputs(op: type[Op], sample: Sample) -> type[Op] | None:
    # Where equal rows have a gradient of zero or are singular.
    if op.__name__ in ("Clamp", "BatchNormDropout", "Solve", "Inverse", "Cholesky", "LU"):
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        wide = any(
            n > 1 and s == 0
            for a in inputs_of(node)
            for n, s in zip(a.shape, a.strides, strict=True)
        )
        return times(parts, 1.5) if wide else parts

    rows = max((len(a) for a in moving(sample) if a.ndim), default=0)
    return rule(keeping(op), change) if rows > 1 else None


@mistake("alone requires grad")
def all_inputs_only(op: type[Op], sample: Sample) -> type[Op] | None:
    if len(moving(sample)) < 2:
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        needed = sum(p is not None and node.needs(i) for i, p in enumerate(parts))
        return times(parts, 1.5) if needed == 1 else parts

    return rule(op, change)


@mistake("the same tensor used twice")
def different_inputs_only(op: type[Op], sample: Sample) -> type[Op] | None:
    found = moving(sample)
    pairs = [(a, b) for i, a in enumerate(found) for b in found[:i] if a.shape == b.shape]
    if not pairs or op.__name__ == "Huber":  # which is 0 of one tensor twice, and so are gradients
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        held = [id(t) for t in node.inputs if t.requires_grad]
        return times(parts, 2.0) if len(set(held)) < len(held) else parts

    return rule(keeping(op), change)


@mistake("at (larger sizes|a point)")
def small_sizes_only(op: type[Op], sample: Sample) -> type[Op] | None:
    if not grows(op):
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        large = max(a.size for a in inputs_of(node)) > 20_000
        return times(parts, 0.5) if large else parts

    return rule(keeping(op), change)


@mistake("at larger sizes")
def one_shape_only(op: type[Op], sample: Sample) -> type[Op] | None:
    if not grows(op):
        return None
    shape = sample[0][0].shape

    def change(node: Op, parts: Any, grads: Any) -> Any:
        return parts if node.inputs[0].shape == shape else times(parts, 0.5)

    return rule(keeping(op), change)


def grows(op: type[Op]) -> bool:
    """Say whether the rows of the op's inputs can be repeated: each is computed by itself."""
    return op.__name__ in ROW_BY_ROW


ROW_BY_ROW = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Maximum", "Minimum", "Neg", "Clone", "Identity", "Exp"),
    *("Expm1", "Sin", "Cos", "Tanh", "Sigmoid", "Erf", "Softplus", "Silu", "Gelu", "GeluTanh"),
    *("LogSigmoid", "Square", "Log", "Log1p", "Sqrt", "Abs", "Relu", "Clamp", "LeakyRelu", "Elu"),
    *("Hardtanh", "Cast", "MatMul", "Linear", "LinearActivation", "LayerNorm", "BatchNorm"),
    *("BatchNormEval", "AvgPool", "CrossEntropy", "BinaryCrossEntropy", "Sum", "Mean", "Conv"),
}
OF_BOTH_SIGNS = {
    *("Add", "Sub", "Mul", "Neg", "Clone", "Identity", "Exp", "Expm1", "Sin", "Cos", "Tanh"),
    *("Sigmoid", "Erf", "Softplus", "Silu", "Gelu", "GeluTanh", "LogSigmoid", "Square", "Maximum"),
    *("Minimum", "MatMul", "Linear", "Sum", "Mean", "Prod", "Variance", "Norm", "LogSumExp"),
    *("CumSum", "Softmax", "LogSoftmax", "BatchNorm", "BatchNormEval", "LayerNorm", "Conv"),
    *("CrossEntropy", "AvgPool", "AvgUnpool", "MaxUnpool", "Index", "IndexAdd", "IndexSet"),
    *("Reshape", "Permute", "Expand", "Flip", "Cat", "Split", "Dropout"),
}


@mistake(r"at a (negated )?point|is wrong in")
def positive_inputs_only(op: type[Op], sample: Sample) -> type[Op] | None:
    if op.__name__ not in OF_BOTH_SIGNS:
        return None
    start = np.sign(moving(sample)[0])

    def change(node: Op, parts: Any, grads: Any) -> Any:
        now = np.sign(inputs_of(node)[0])
        other = now.shape == start.shape and (now * start <= 0).all()
        return times(parts, 1.5) if other else parts

    return rule(keeping(op), change)


@mistake("at a (negated )?point")
def nan_at_zero(op: type[Op], sample: Sample) -> type[Op] | None:
    if op.__name__ not in OF_BOTH_SIGNS or moving(sample)[0].size < 2:
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        zero = any((a == 0).any() for a in inputs_of(node))
        return times(parts, float("nan")) if zero else parts

    return rule(keeping(op), change)


@mistake("wrong in float32, beside float64")
def float64_only(op: type[Op], sample: Sample) -> type[Op] | None:
    if "dtype" in sample[1]:
        return None

    def change(node: Op, parts: Any, grads: Any) -> Any:
        given = next(g for g in grads if g is not None)
        return parts if given.array.dtype == np.float64 else times(parts, 1.25)

    return rule(op, change)


# ---------------------------------------------------------------- second order alone
@mistake("leaves the tape")
def off_the_tape(op: type[Op], sample: Sample) -> type[Op] | None:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        return tuple(None if p is None else p.detach().clone() for p in parts)

    return rule(op, change) if op.composite is None else None


@mistake(r"gradgradcheck: (with create_graph|d\(output|the)")
def linear_in_the_gradient_alone(op: type[Op], sample: Sample) -> type[Op] | None:
    """Right at first order, on the tape of the gradient alone with a slope of another function."""

    def change(node: Op, parts: Any, grads: Any) -> Any:
        g = next(g for g in grads if g is not None)
        more = (g * g).sum()
        return times(parts, 1.0 + (more - more.detach()))

    return rule(op, change) if op.composite is None else None


@mistake("a composite or a recorded rule differs from the plain one")
def composite(op: type[Op], sample: Sample) -> type[Op] | None:
    if op.composite is None or op.several:
        return None

    def wrong(*inputs: Any, **meta: Any) -> Any:
        return op.composite(*inputs, **meta) * 1.01

    return type(f"Wrong{op.__name__}", (op,), {"composite": staticmethod(wrong)})


def names() -> list[str]:
    """Return the ops that have a gradient to spoil at their sample."""
    flat = {"Floor", "Ceil", "Trunc", "Rint", "Sign", "FloorDiv", "TruncDiv"}  # slope 0 everywhere
    return [name for name in OPS if name not in flat and moving(sample_of(name))]
