"""Each kind of mistake, planted in several ops, is named as that kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine.op import Op
from minigrad.ops.registry import OPS
from tests.planted_rules import keeping, rule, times

Array = np.ndarray[Any, Any]
R = np.random.default_rng(3)


def n(*shape: int) -> Array:
    return np.asarray(R.normal(size=shape))


def p(*shape: int) -> Array:
    return np.asarray(R.uniform(0.5, 1.5, shape))


def first(change: Callable[[Any], Any]) -> Callable[[Op, Any, Any], Any]:
    """Change what a rule gives for its first input."""
    return lambda node, parts, grads: (change(parts[0]), *parts[1:])


def masked(mask: Callable[[Array], Array], factor: float = 0.5) -> Any:
    """Change a gradient by a factor where a mask of the input holds."""

    def change(node: Op, parts: Any, grads: Any) -> Any:
        x = node.inputs[0].array
        return (parts[0] * mg.Tensor(np.where(mask(x), factor, 1.0)), *parts[1:])

    return change


def repeated(x: Array) -> Array:
    _, back, count = np.unique(x, return_inverse=True, return_counts=True)
    return np.asarray(count[back].reshape(x.shape) > 1)


def diagonal(x: Array) -> Array:
    return np.asarray(np.eye(*x.shape) == 1)


def last_two(x: Array) -> Array:
    return np.asarray((np.arange(x.size) >= x.size - 2).reshape(x.shape))


def own_output_twice(node: Op, parts: Any, grads: Any) -> Any:
    """Count what each element does to its own output twice: the diagonal of the Jacobian."""
    x = mg.Tensor(node.inputs[0].array.copy(), requires_grad=True)
    with mg.enable_grad():
        y = OPS[type(node).__name__.removeprefix("Wrong")].apply(x, **node.meta)
    own = np.zeros(x.shape)
    for k in range(x.array.size):
        seed = np.zeros(x.shape)
        seed.reshape(-1)[k] = 1.0
        (g,) = mg.grad(y, x, mg.Tensor(seed), retain_graph=True)
        own.reshape(-1)[k] = g.array.flat[k]
    return (parts[0] + grads[0] * mg.Tensor(own),)


def at_the_output(name: str) -> Callable[[Op, Any, Any], Any]:
    def change(node: Op, parts: Any, grads: Any) -> Any:
        x = mg.Tensor(node.inputs[0].array.copy(), requires_grad=True)
        y = mg.Tensor(OPS[name].apply(x).array.copy(), requires_grad=True)
        with mg.enable_grad():
            z = OPS[name].apply(y)
        return mg.grad(z, y, grads[0].detach())

    return change


def first_row(node: Op, parts: Any, grads: Any) -> Any:
    """Take the first along axis 0 of the output for an operand that was broadcast along it."""
    g, (a, b) = grads[0].array, (t.array for t in node.inputs)
    slopes = {"Add": 1.0, "Mul": a, "Div": -a / (b * b)}
    kept = np.zeros(g.shape)
    kept[0] = 1.0
    return (parts[0], mg.Tensor(g * slopes[type(node).__name__.removeprefix("Wrong")] * kept))


def first_row_of_bias(node: Op, parts: Any, grads: Any) -> Any:
    return (*parts[:2], grads[0][0])


def constants(node: Op, parts: Any, grads: Any) -> Any:
    """The gradient of a norm whose mean and deviation are constants."""
    x, w = node.inputs[0].array, node.inputs[1].array
    axes = (0, *range(2, x.ndim)) if "BatchNorm" in type(node).__name__ else (-1,)
    scale = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + node.meta["eps"])
    shape = (1, -1) + (1,) * (x.ndim - 2) if axes[0] == 0 else w.shape
    return (grads[0] * mg.Tensor(scale * w.reshape(shape)), *parts[1:])


def stale(op: type[Op]) -> type[Op]:
    """Give the op a rule that scales by what the call before was given."""
    held: dict[str, float] = {}

    def forward(self: Any, *arrays: Any, **meta: Any) -> Any:
        now = float(np.abs(arrays[0]).sum())
        self.before, held["last"] = held.get("last", now), now
        self.now = now
        return op.forward(self, *arrays, **meta)

    wrong = rule(op, lambda node, parts, grads: times(parts, node.before / node.now))  # type: ignore[attr-defined]
    wrong.forward = forward  # type: ignore[method-assign]
    wrong.apply = classmethod(Op.apply.__func__)  # type: ignore
    return wrong


Planted = tuple[str, Any, tuple[Array, ...], dict[str, Any]]


def several(change: Any, *ops: tuple[str, tuple[Array, ...], dict[str, Any]]) -> list[Planted]:
    return [(name, change, arrays, meta) for name, arrays, meta in ops]


ANY = (
    ("Exp", (n(2, 3),), {}),
    ("Mul", (n(2, 3), n(2, 3)), {}),
    ("MatMul", (n(2, 3), n(3, 4)), {}),
    ("Sum", (n(2, 3),), {"dim": 1}),
)
ONE = (("Exp", (n(7),), {}), ("Sin", (n(7),), {}), ("Tanh", (n(7),), {}))
SQUARE = (("Exp", (n(3, 3),), {}), ("Sin", (n(3, 3),), {}), ("MatMul", (n(3, 3), n(3, 2)), {}))
WIDE = (
    ("Exp", (n(2, 3),), {}),
    ("Mul", (n(3, 3), n(3, 3)), {}),
    ("MatMul", (n(3, 3), n(3, 2)), {}),
)
ROWS = (("Add", (n(4, 3), n(3)), {}), ("Mul", (n(4, 3), n(3)), {}), ("Div", (n(4, 3), p(3)), {}))
NORMS = (
    ("BatchNorm", (n(5, 3), p(3), n(3)), {"eps": 1e-5}),
    ("BatchNorm", (n(3, 2, 3), p(2), n(2)), {"eps": 1e-5}),
    ("LayerNorm", (n(3, 4), p(4), n(4)), {"dims": 1, "eps": 1e-5}),
)
KINDS: dict[str, tuple[str, str, list[Planted]]] = {
    "twice": ("factor", "2 times too large", several(lambda k, q, g: times(q, 2.0), *ANY)),
    "half": ("factor", "2 times too small .1/2", several(lambda k, q, g: times(q, 0.5), *ANY)),
    "n": ("factor", "6 times too large.*a sum taken for a mean",
          several(first(lambda q: q * 6.0), *ANY)),
    "1/n": ("factor", "3 times too small.*a mean taken for a sum",
            several(first(lambda q: q / 3.0), *ANY)),
    "negated": ("negated", "negated: the sign is wrong", several(first(lambda q: -q), *ANY)),
    "transposed": ("transposed", "transposed: axes 0 and 1",
                   several(first(lambda q: q.transpose(0, 1).reshape(q.shape)), *WIDE)),
    "reversed": ("permuted", "permuted: reversed along axis 0",
                 several(first(lambda q: q.flip(0)), *ONE)),
    "permuted": ("permuted", "permuted: the right columns",
                 several(first(lambda q: q[mg.tensor([1, 0, 2, 3, 5, 6, 4])]), *ONE)),
    "zero": ("zero", "zero for input 0", several(first(lambda q: q * 0.0), *ANY[1:3], *ROWS)),
    "none": ("zero", "zero for input 0", several(first(lambda q: None), *ANY[1:3], *ROWS)),
    "ties": ("ties", "right but for ties", several(masked(repeated), *ONE)),
    "zeros": ("zeros", "right but for zeros", several(masked(lambda x: x == 0), *ONE[1:],
              ("Softmax", (n(7),), {"axis": 0}))),
    "diagonal": ("diagonal", "right but for the diagonal", several(masked(diagonal), *SQUARE)),
    "own output": ("diagonal", "the diagonal: right but for what each element does to its own",
                   several(own_output_twice, ("Softmax", (n(2, 3),), {"axis": 1}),
                           ("LogSoftmax", (n(2, 3),), {"axis": 1}),
                           ("CumSum", (n(4),), {"axis": 0}))),
    "tail": ("tail", "the tail: the last 2 of 7", several(masked(last_two), *ONE)),
    "axis": ("axis", "one axis: the first along axis 0", several(first_row, *ROWS)),
    "bias": ("axis", "one axis: the first along axis 0",
             several(first_row_of_bias, ("Linear", (n(4, 3), n(2, 3), n(2)), {}))),
    "output": ("output", "evaluated at the output",
               [(name, at_the_output(name), (n(5),), {}) for name in ("Exp", "Sin", "Tanh")]),
    "eval": ("eval", "of eval mode", several(constants, *NORMS)),
    "before": ("before", "of the call before",
               several("stale", ("Exp", (n(4),), {}), ("Sum", (n(2, 3),), {"dim": 1}),
                       ("MatMul", (n(2, 3), n(3, 2)), {}))),
}  # fmt: skip
CASES = [
    pytest.param(kind, words, *planted, id=f"{name}-{planted[0]}-{k}")
    for name, (kind, words, every) in KINDS.items()
    for k, planted in enumerate(every)
]


@pytest.mark.parametrize(("kind", "words", "name", "change", "arrays", "meta"), CASES)
def test_a_planted_mistake_is_named_as_its_kind(
    kind: str, words: str, name: str, change: Any, arrays: tuple[Array, ...], meta: dict[str, Any]
) -> None:
    wrong = stale(OPS[name]) if change == "stale" else rule(keeping(OPS[name]), change)
    inputs = tuple(mg.Tensor(a, requires_grad=True) for a in arrays)
    with pytest.raises(mg.GradcheckError, match=f"(?s){words}") as caught:
        mg.gradcheck(lambda *xs: wrong.apply(*xs, **meta), inputs)
    assert caught.value.kind == kind


def test_each_kind_is_planted_in_three_ops() -> None:
    for name, (_, _, every) in KINDS.items():
        assert len(every) >= (1 if name == "bias" else 3), name


def test_the_gradient_of_the_eval_mode_is_named() -> None:
    """A module whose rule is that of its evaluation: the identity of dropout, running averages."""
    net = mg.nn.Dropout(0.5)
    inner = mg.nn.BatchNorm1d(3)
    inner.running_var.fill_(4.0)

    class Dropped(Op):
        """The module's value, with the gradient that it has in evaluation."""

        def forward(self, x: Any) -> Any:
            return net(mg.Tensor(x)).array

        def backward(self, g: Any) -> Any:
            return (g,)

    class Normed(Op):
        """The module's value, with the gradient that it has in evaluation."""

        def forward(self, x: Any) -> Any:
            return inner(mg.Tensor(x)).array

        def backward(self, g: Any) -> Any:
            return (g / float(np.sqrt(4.0 + inner.eps)),)

    for op, shape in ((Dropped, (8,)), (Normed, (5, 3))):
        x = mg.Tensor(n(*shape), requires_grad=True)
        with pytest.raises(mg.GradcheckError, match="of eval mode"):
            mg.gradcheck(lambda x, op=op, held=(net, inner): op.apply(x), x)
