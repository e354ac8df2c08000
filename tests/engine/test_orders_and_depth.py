"""Derivatives of any order, graphs of any depth, memory that does not grow, and `grad`."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine.op import Op
from minigrad.nn import functional as F


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


def gradient(t: mg.Tensor) -> Any:
    assert t.grad is not None
    return t.grad.tolist()


# ---------------------------------------------------------------- any order
def test_third_order() -> None:
    x = mg.tensor(2.0, dtype=mg.float64, requires_grad=True)
    y = x**5 + x.exp()
    for power in (5 * 16, 20 * 8, 60 * 4):
        (y,) = mg.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(power + np.exp(2.0))


@pytest.mark.parametrize("exponent", [2, 2.0, mg.tensor(2.0, dtype=mg.float64)])
def test_third_order_at_zero(exponent: Any) -> None:
    x = mg.tensor(0.0, dtype=mg.float64, requires_grad=True)
    y = x**exponent
    found = []
    for _ in range(3):
        (y,) = mg.grad(y, x, create_graph=True)
        found.append(y.item())
    assert found == [0.0, 2.0, 0.0]


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


@pytest.mark.slow
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

    tracemalloc.start()
    gc.disable()
    try:
        # 64 bytes a step for the first 1,900, then none: CPython keeps 2,000 freed tuples a length.
        before = steps(3_000)
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
