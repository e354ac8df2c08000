"""The sweep: accumulation, freeing, invariants, unbroadcasting, hooks, orders, depth, memory, `grad`."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.tape import Op


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
    x.grad.data[...] = 9
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


def test_a_shared_part_that_was_freed_raises() -> None:
    x = leaf(1.0)
    y = x * x
    (y * 2).sum().backward()
    with pytest.raises(RuntimeError, match=r"backward through Mul a second time"):
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


# ---------------------------------------------------------------- modes
def test_no_grad_detach_and_enable_grad() -> None:
    x = leaf(2.0)
    with mg.no_grad():
        y = x * x
        assert not mg.is_grad_enabled()
        with mg.enable_grad():
            z = x * x
    assert mg.is_grad_enabled()
    assert (y.requires_grad, z.requires_grad) == (False, True)
    (x.detach() * x).sum().backward()
    assert gradient(x) == [2.0]

    @mg.no_grad()
    def decorated() -> mg.Tensor:
        return x * x

    assert not decorated().requires_grad
    assert decorated().is_leaf
    with mg.set_grad_enabled(False):
        assert not (x * 2).requires_grad


def test_no_grad_ends_with_an_exception() -> None:
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert mg.is_grad_enabled()


def test_grad_mode_is_per_thread() -> None:
    found: list[bool] = []
    with mg.no_grad():
        thread = threading.Thread(target=lambda: found.append(mg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert found == [True]


def test_eval_records_and_no_grad_drops_out() -> None:
    x = mg.ones(1000, requires_grad=True)
    layer = mg.nn.Dropout(0.5)
    with mg.no_grad():
        assert 0 < (layer(x) == 0).sum().item() < 1000
    layer.eval()
    assert layer(x * 1).requires_grad


def test_detach_shares_memory_and_version() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    d = y.detach()
    assert np.shares_memory(d.data, y.data)
    z = y * y
    d += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()


# ---------------------------------------------------------------- any order
def test_third_order() -> None:
    x = mg.tensor(2.0, dtype=mg.float64, requires_grad=True)
    y = x**5 + x.exp()
    for power in (5 * 16, 20 * 8, 60 * 4):
        (y,) = mg.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(power + np.exp(2.0))


def test_third_order_at_zero() -> None:
    x = mg.tensor(0.0, dtype=mg.float64, requires_grad=True)
    y = x ** mg.tensor(2.0, dtype=mg.float64)
    found = []
    for _ in range(3):
        (y,) = mg.grad(y, x, create_graph=True)
        found.append(y.item())
    assert found == [0.0, 2.0, 0.0]
    (first,) = mg.grad(x**2, x, create_graph=True)
    (second,) = mg.grad(first, x)
    assert (first.item(), second.item()) == (0.0, 2.0)


def test_backward_with_create_graph_accumulates_a_function() -> None:
    x = leaf(3.0)
    (x**3).sum().backward(create_graph=True)
    assert x.grad is not None
    (second,) = mg.grad(x.grad.sum(), x)
    assert second.tolist() == [18.0]


def test_fused_op_with_one_tensor_in_all_slots_to_third_order() -> None:
    x = mg.Tensor(np.random.default_rng(0).normal(size=(2, 2)), requires_grad=True)

    def fused(x: Any) -> Any:
        return F.linear(x, x, x[0])

    def plain(x: Any) -> Any:
        return x @ x.T + x[0]

    found = []
    for fn in (fused, plain):
        y = (fn(x) ** 3).sum()
        row = []
        for _ in range(3):
            (g,) = mg.grad(y, x, create_graph=True)
            row.append(g.detach().numpy())
            y = (g * g).sum()
        found.append(row)
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


# ---------------------------------------------------------------- depth and memory
def test_a_chain_of_100_000_ops() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1e-9
    y.sum().backward()
    assert gradient(x) == [1.0]
    assert sys.getrecursionlimit() < 100_000


def test_an_abandoned_chain_of_100_000_ops_is_freed() -> None:
    x = leaf(1.0)
    y = x * 1.0
    first = weakref.ref(y.grad_fn)
    gc.disable()
    try:
        for _ in range(100_000):
            y = y * 1.0
        del y
        assert first() is None
    finally:
        gc.enable()


def test_an_abandoned_graph_is_freed_by_reference_counting() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = (x * x).exp()
        a, b = y.split(1)
        z = F.softmax(a + b, 0).sum()
        refs = [weakref.ref(t.grad_fn) for t in (y, a, z)]
        del y, a, b, z
        assert [r() for r in refs] == [None] * 3
    finally:
        gc.enable()


def test_swept_graph_is_freed_too() -> None:
    gc.disable()
    try:
        x = leaf(1.0)
        y = x * x
        saved = weakref.ref(y)
        z = (y * y).sum()
        z.backward()
        del y
        assert saved() is None  # z lives, what it saved does not
        assert gradient(x) == [4.0]
    finally:
        gc.enable()


def test_memory_does_not_grow() -> None:
    w = mg.Tensor(np.ones((4, 4)), requires_grad=True)
    x = mg.Tensor(np.ones((2, 4)))

    def steps(n: int) -> int:
        for _ in range(n):
            w.grad = None
            y = F.linear(x, w).tanh()
            (y * y).mean().backward()
            with mg.no_grad():
                w.sub_(w.grad * 0.01)
        return tracemalloc.get_traced_memory()[0]

    steps(50)
    tracemalloc.start()
    gc.disable()
    try:
        before = steps(100)
        after = steps(10_000)
    finally:
        gc.enable()
        tracemalloc.stop()
    assert after - before < 20_000


# ---------------------------------------------------------------- grad()
def test_grad_leaves_dot_grad_alone() -> None:
    x, w = leaf(2.0), leaf(3.0)
    assert [g.tolist() for g in mg.grad((x * w).sum(), (x, w))] == [[3.0], [2.0]]
    assert x.grad is None


def test_grad_of_computed_inputs() -> None:
    x = leaf(2.0)
    y = x * x
    z = y * x
    gy, gx = mg.grad(z.sum(), [y, x])
    assert (gy.tolist(), gx.tolist()) == ([2.0], [12.0])


def test_unused_inputs() -> None:
    x, w = leaf(1.0), leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"grad: input 1, shape \(2,\), was not used"):
        mg.grad((x * 2).sum(), (x, w))
    assert mg.grad((x * 2).sum(), (x, w), allow_unused=True)[1] is None


def test_grad_outputs_and_errors() -> None:
    x = leaf(1.0, 2.0)
    weight = mg.tensor([1.0, 10.0], dtype=mg.float64)
    (g,) = mg.grad([x * 2, (x * x).sum()], x, [weight, None])
    assert g.tolist() == [4.0, 24.0]
    with pytest.raises(ValueError, match="1 grad_outputs for 2 outputs"):
        mg.grad([x * 2, x], x, [weight])
    with pytest.raises(RuntimeError, match="grad: input 0.*does not require grad"):
        mg.grad((x * 2).sum(), mg.ones(1))
    with pytest.raises(RuntimeError, match="grad: output 0.*does not require grad"):
        mg.grad(mg.ones(1), x)


def test_only_the_way_to_the_inputs_is_visited() -> None:
    class Bomb(Op):
        """y = a, whose rule must not be called"""

        def forward(self, a: Any) -> Any:
            return a.copy()

        def backward(self, g: Any) -> Any:
            raise AssertionError("visited")

    x, w = leaf(2.0), leaf(3.0)
    y = x * 2 + Bomb.apply(w)
    assert mg.grad(y.sum(), x)[0].tolist() == [2.0]
