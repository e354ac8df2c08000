"""The sweep: accumulation, freeing, invariants of rules, unbroadcasting, several outputs, hooks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine.op import Op


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


def gradient(t: mg.Tensor) -> Any:
    assert t.grad is not None
    return t.grad.tolist()


# ---------------------------------------------------------------- accumulation
def test_backward_adds_into_leaves() -> None:
    x = leaf(2.0)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert gradient(x) == [7.0]
    x.grad = None
    x.sum().backward()
    assert gradient(x) == [1.0]


def test_a_tensor_used_twice_gets_the_sum() -> None:
    x = leaf(3.0)
    y = x * x
    (y + y * x + x).sum().backward()
    assert gradient(x) == [2 * 3 + 3 * 9 + 1]


def test_many_uses_are_summed_without_touching_what_was_given() -> None:
    x = leaf(1.0, 2.0)
    seed = mg.tensor([1.0, 10.0], dtype=mg.float64)
    (x + x + x + x + x).backward(seed)
    assert gradient(x) == [5.0, 50.0]
    assert seed.tolist() == [1.0, 10.0]


def test_gradients_share_memory_with_nothing() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = mg.tensor([1.0, 1.0], dtype=mg.float64)
    (x + y).backward(seed)
    assert x.grad is not None
    x.grad.array[...] = 9
    assert gradient(y) == [1.0, 1.0]
    assert seed.tolist() == [1.0, 1.0]


def test_backward_on_a_leaf() -> None:
    x = leaf(2.0)
    x.backward()
    assert gradient(x) == [1.0]
    x.backward(mg.tensor([3.0], dtype=mg.float64))
    assert gradient(x) == [4.0]


def test_intermediates_keep_no_gradient_unless_asked() -> None:
    x = leaf(2.0)
    y, z = x * x, x + 1
    z.retain_grad()
    (y * z).sum().backward()
    assert y.grad is None
    assert gradient(z) == [4.0]
    x.retain_grad()  # a leaf keeps it anyway
    assert x.is_leaf and not y.is_leaf


def test_backward_needs_a_number_or_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"backward: the tensor has shape \(2,\); a gradient is"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(3,\), the tensor \(2,\)"):
        (x * 2).backward(mg.ones(3))
    with pytest.raises(RuntimeError, match="the tensor does not require grad: no input"):
        mg.ones(1).backward()
    with pytest.raises(RuntimeError, match="only floating tensors have gradients, got int64"):
        mg.tensor(1).backward()


def test_backward_into_some_inputs_alone() -> None:
    x, w = leaf(2.0), leaf(3.0)
    y = x * w
    (y * x).sum().backward(inputs=[w, y])
    assert x.grad is None
    assert (gradient(w), gradient(y)) == ([4.0], [2.0])


# ---------------------------------------------------------------- freeing
@pytest.mark.parametrize("fn", [lambda x: x.exp(), lambda x: x + 1, lambda x: x * x])
def test_a_second_sweep_over_a_freed_tape_raises(fn: Any) -> None:
    x = leaf(1.0)
    y = fn(x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="a second time.*retain_graph=True to the first"):
        y.backward()


@pytest.mark.parametrize(
    ("name", "part"),
    [("Mul", lambda x: x * x), ("Reshape", lambda x: x.reshape(1, 1)), ("Exp", lambda x: x.exp())],
)
def test_a_shared_part_that_was_freed_raises(name: str, part: Any) -> None:
    x = leaf(1.0)
    y = part(x)
    (y * 2).sum().backward()
    with pytest.raises(RuntimeError, match=f"backward through {name} a second time"):
        (y * 3).sum().backward()


def test_retain_graph_sweeps_again() -> None:
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    assert gradient(x) == [12.0]
    y.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()


# ---------------------------------------------------------------- invariants of rules
class Rule(Op):
    """y = a + b, whose rule is what the test says."""

    answer: Any = None

    def forward(self, a: Any, b: Any) -> Any:
        return np.asarray(a + b)

    def backward(self, g: Any) -> Any:
        return type(self).answer(g)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda g: (g,), "Rule.*: its rule gave 1 gradients for 2 inputs"),
        (lambda g: (g, g, g), "Rule.*: its rule gave 3 gradients for 2 inputs"),
        (
            lambda g: (mg.ones(3, dtype=mg.float64), g),
            r"Rule.*gave a gradient of shape \(3,\) for an input of shape \(2,\)",
        ),
        (
            lambda g: (g.sum(), g),
            r"Rule.*gave a gradient of shape \(\) for an input of shape \(2,\)",
        ),
    ],
)
def test_a_rule_that_breaks_the_contract_is_named(
    answer: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rule, "answer", staticmethod(answer))
    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=message):
        Rule.apply(x, y).sum().backward()


def test_the_engine_unbroadcasts_and_casts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rule, "answer", staticmethod(lambda g: (g, g)))
    a = mg.ones(3, 1, requires_grad=True)
    b = mg.ones(2, 1, 4, dtype=mg.float64, requires_grad=True)
    Rule.apply(a, b).sum().backward()
    assert a.grad is not None and b.grad is not None
    assert (a.grad.shape, a.grad.dtype, a.grad.tolist()) == ((3, 1), mg.float32, [[8.0]] * 3)
    assert (b.grad.shape, b.grad.dtype) == ((2, 1, 4), mg.float64)
    assert b.grad.tolist() == [[[3.0] * 4]] * 2


# ---------------------------------------------------------------- several outputs
def test_outputs_that_are_not_used_get_no_gradient() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    a, _, c = x.split([1, 1, 2])
    (a.sum() + (c * c).sum()).backward()
    assert gradient(x) == [1.0, 0.0, 6.0, 8.0]


def test_an_output_used_twice() -> None:
    x = leaf(1.0, 2.0)
    a, b = x.unbind()
    (a * a + a * b).backward()
    assert gradient(x) == [4.0, 1.0]


def test_values_and_indices_of_max() -> None:
    x = mg.tensor([[1.0, 5.0, 5.0], [7.0, 2.0, 7.0]], requires_grad=True)
    values, indices = x.max(1)
    assert indices.tolist() == [1, 0]
    assert not indices.requires_grad
    values.sum().backward()
    assert gradient(x) == [[0, 1, 0], [1, 0, 0]]


# ---------------------------------------------------------------- hooks
def test_hooks_see_and_replace_the_whole_gradient() -> None:
    x = leaf(2.0)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (y + y).sum().backward(retain_graph=True)
    assert seen == [[2.0]]
    assert gradient(x) == [61.0]
    handle.remove()
    handle.remove()
    x.grad = None
    (y + y).sum().backward()
    assert gradient(x) == [7.0]


def test_hook_on_one_of_several_outputs() -> None:
    x = leaf(1.0, 2.0)
    a, b = x.unbind()
    b.register_hook(lambda g: g * 5)
    (a + b).backward()
    assert gradient(x) == [1.0, 5.0]


def test_hook_without_a_gradient_is_refused() -> None:
    with pytest.raises(RuntimeError, match="register_hook: the tensor does not require grad"):
        mg.ones(1).register_hook(lambda g: g)


def test_second_sweep_over_a_freed_op_of_several_outputs_names_retain_graph() -> None:
    x = mg.ones(4, requires_grad=True)
    first, second = mg.split(x * 2, 2)
    first.sum().backward()
    with pytest.raises(RuntimeError, match=r"Split a second time.*retain_graph=True"):
        second.sum().backward()


# ---------------------------------------------------------------- gradients returned
def sharing_rules(x: mg.Tensor, y: mg.Tensor) -> dict[str, tuple[mg.Tensor, list[mg.Tensor]]]:
    """Return outputs whose rules pass one gradient on to several inputs, with the inputs asked."""
    first, second = x.split(2)
    product = x * 1
    return {
        "add": (x + y, [x, y]),
        "sub": (x - y, [x, y]),
        "one input twice": (x * 2, [x, x]),
        "itself": (product, [product, x]),
        "view": (x.reshape(2, 2).reshape(4) + y, [x, y]),
        "a part and the whole": (mg.cat([first * 1, second * 1]) * 1, [first, x, second]),
        "stack": (mg.stack([x, y, x]).sum(0), [x, y]),
        "expanded": (x.sum().expand(4) + y, [x, y]),
    }


@pytest.mark.parametrize("size", [1, 8000], ids=["small", "parallel"])
@pytest.mark.parametrize("rule", list(sharing_rules(leaf(*range(4)), leaf(*range(4)))))
def test_gradients_returned_share_no_memory(rule: str, size: int) -> None:
    def made() -> tuple[mg.Tensor, list[mg.Tensor], mg.Tensor]:
        x, y = leaf(1, 2, 3, 4), leaf(5, 6, 7, 8)
        out, wanted = sharing_rules(x, y)[rule]
        return out, wanted, mg.ones(out.shape, dtype=mg.float64)

    def wide() -> tuple[mg.Tensor, list[mg.Tensor], mg.Tensor]:
        x = mg.ones(size * 4, dtype=mg.float64, requires_grad=True)
        y = mg.ones(size * 4, dtype=mg.float64, requires_grad=True)
        return x + y, [x, y], mg.ones(size * 4, dtype=mg.float64)

    for make in (made, wide):
        out, wanted, seed = make()
        expected = [g.tolist() for g in mg.grad(out, wanted, seed, retain_graph=True)]
        for i in range(len(wanted)):
            found = mg.grad(out, wanted, seed, retain_graph=True)
            found[i].mul_(-7)
            assert seed.tolist() == [1.0] * seed.numel()
            others = [g.tolist() for k, g in enumerate(found) if k != i]
            assert others == [e for k, e in enumerate(expected) if k != i]


def test_gradients_returned_are_differentiable_copies() -> None:
    x, y = leaf(2.0), leaf(3.0)
    seed = leaf(5.0)
    a, b = mg.grad(x + y, [x, y], seed, create_graph=True)
    assert a.array is not b.array
    assert mg.grad((a * 2 + b * 3).sum(), seed)[0].tolist() == [5.0]
