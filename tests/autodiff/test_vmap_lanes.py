"""What vmap does beside the ops: positions that differ, reads, devices, what it leaves behind."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.engine.device import BATCHED, ELSEWHERE, USED
from minigrad.func import functional_call, grad, jvp, vectorized, vjp, vmap

X = mg.Tensor(np.random.default_rng(1).normal(size=(4, 5, 6)))
W = mg.Tensor(np.random.default_rng(2).normal(size=(7, 2)))
I = mg.Tensor(np.random.default_rng(3).integers(0, 5, (4, 3)))


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the functions that ran example by example."""
    seen: list[int] = []
    run = vectorized.Call.one_by_one

    def counted(self: Any, *args: Any) -> Any:
        seen.append(1)
        return run(self, *args)

    monkeypatch.setattr(vectorized.Call, "one_by_one", counted)
    return seen


POSITIONS: dict[str, Callable[..., Any]] = {
    "first": lambda x, i: x[i],
    "second": lambda x, i: x[:, i],
    "with a slice": lambda x, i: x[i, 1:3],
    "last": lambda x, i: x[..., i],
    "twice": lambda x, i: x[i, i],
    "beside constants": lambda x, i: x[mg.arange(3), i],
    "negative": lambda x, i: x[None, :, i - 5],
    "one": lambda x, i: x[i[0]],
    "gather": lambda x, i: x.gather(0, i.unsqueeze(1)),
    "index_select": lambda x, i: x.index_select(1, i),
    "embedding": lambda x, i: F.embedding(i, W),
    "embedding's gradient": lambda x, i: grad(lambda w: (F.embedding(i, w) ** 2).sum())(W),
    "padding": lambda x, i: grad(lambda w: (F.embedding(i, w, padding_idx=1) ** 2).sum())(W),
    "gradient": lambda x, i: grad(lambda x: (x[i] ** 2).sum())(x),
    "nll": lambda x, i: grad(lambda x: F.nll_loss(x[:3].log_softmax(1), i))(x),
    "cross entropy": lambda x, i: grad(lambda x: F.cross_entropy(x[:3], i))(x),
    "one row": lambda x, i: grad(lambda x: F.cross_entropy(x[:1], i[:1]))(x),
    "nested": lambda x, i: vmap(lambda j: x[j])(i),
    "tangent": lambda x, i: jvp(lambda x: x[i] * x[i], (x,), (x,))[1],
}


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_that_differ_by_example_are_batched(name: str, loops: list[int]) -> None:
    function = POSITIONS[name]
    found = vmap(function)(X, I)
    want = np.stack([function(X[k], I[k]).numpy() for k in range(4)])
    np.testing.assert_allclose(found.numpy(), want, rtol=1e-12, atol=1e-14)
    assert not loops


def test_a_position_out_of_range_is_named() -> None:
    with pytest.raises(IndexError, match="index 9 is out of range"):
        vmap(lambda x, i: x[i])(X, mg.full((4, 3), 9, dtype=mg.int64))


def test_what_reads_a_number_runs_example_by_example(loops: list[int]) -> None:
    def sign_by_hand(x: mg.Tensor) -> mg.Tensor:
        return x * 2 if x.sum() > 0 else -x

    found = vmap(grad(lambda x: sign_by_hand(x).sum()))(X)
    want = np.stack([np.full((5, 6), 2.0 if X[k].sum() > 0 else -1.0) for k in range(4)])
    np.testing.assert_array_equal(found.numpy(), want)
    assert loops == [1]


def test_an_error_of_the_function_is_that_of_an_example() -> None:
    with pytest.raises(ValueError, match=r"matmul: shapes \(5, 6\) and \(5, 6\)"):
        vmap(lambda x: x @ x)(X)


def test_nothing_is_left_behind() -> None:
    y = vmap(lambda x: (x @ x.T).softmax(0))(X)
    del y
    gc.collect()
    assert "Lanes" not in USED and not BATCHED
    assert USED or not ELSEWHERE
    assert mg.Tensor.__getitem__.__module__ == "minigrad.tensors.tensor"


def test_a_graph_through_lanes_outlives_the_call() -> None:
    x = X.clone().requires_grad_()
    y = vmap(lambda x: (x * W[:6, 0]).exp().sum(1))(x)
    gc.collect()
    (y * y).sum().backward()
    assert x.grad is not None
    z = X.clone().requires_grad_()
    ((z * W[:6, 0]).exp().sum(2) ** 2).sum().backward()
    assert z.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy(), rtol=1e-12)


def test_a_sweep_over_lanes_under_another_vmap() -> None:
    _, pull = vjp(vmap(lambda x: x.sin().sum(1)), X)
    basis = mg.Tensor(np.eye(20).reshape(20, 4, 5))
    (found,) = vmap(pull)(basis)
    want = basis.numpy()[..., None] * np.cos(X.numpy())
    np.testing.assert_allclose(found.numpy(), want, rtol=1e-12, atol=1e-14)


def test_results_own_their_memory() -> None:
    for function in (lambda x: x, lambda x: x.exp(), lambda x: X[0]):
        y = vmap(function)(X)
        before = X.numpy().copy()
        y += 1
        np.testing.assert_array_equal(X.numpy(), before)


def test_arrays_of_the_simulated_gpu_are_mapped_too() -> None:
    x, w = X[:2, :2, :2].to("cuda-sim"), W[:2].to("cuda-sim")
    found = vmap(grad(lambda x: (x @ w).sin().sum()))(x)
    want = vmap(grad(lambda x: (x @ W[:2]).sin().sum()))(X[:2, :2, :2])
    assert found.device.type == "cuda-sim"
    np.testing.assert_allclose(found.cpu().numpy(), want.numpy(), rtol=1e-12)


def test_gradients_per_example_of_a_network(loops: list[int]) -> None:
    net = mg.nn.Sequential(
        mg.nn.Conv2d(1, 2, 3), mg.nn.ReLU(), mg.nn.MaxPool2d(2), mg.nn.Flatten(), mg.nn.Linear(8, 3)
    )
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    x, t = mg.randn(4, 1, 6, 6), mg.tensor([0, 2, 1, 2])

    def loss(p: dict[str, Any], x: Any, t: Any) -> Any:
        return F.cross_entropy(functional_call(net, p, (x.unsqueeze(0),)), t.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x, t)
    assert not loops
    for k in range(4):
        want = grad(loss)(parameters, x[k], t[k])
        for name, g in want.items():
            np.testing.assert_allclose(found[name][k].numpy(), g.numpy(), rtol=1e-4, atol=1e-6)


def test_dropout_draws_for_each_example_or_is_refused() -> None:
    x = mg.ones(3, 50)
    drop = lambda x: F.dropout(x, 0.5)  # noqa: E731
    with pytest.raises(RuntimeError, match="randomness='different'"):
        vmap(drop)(x)
    a, b, _ = vmap(drop, randomness="different")(x)
    assert not bool((a == b).all())
    a, b, _ = vmap(drop, randomness="same")(x)
    assert bool((a == b).all())
