"""The gradient of a leaf is written once: an op that hands on a view makes the sweep copy it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.engine import dispatch as backend
from minigrad.engine import fast
from minigrad.engine.op import Bridge, Op

OPS: dict[str, Callable[[Any], Any]] = {
    "sum": lambda x: x.sum(1),
    "mean": lambda x: x.mean(0),
    "max": lambda x: mg.amax(x, 1),
    "prod": lambda x: x.prod(1),
    "var": lambda x: x.var(0),
    "norm": lambda x: mg.norm(x, dim=1),
    "logsumexp": lambda x: mg.logsumexp(x, 1),
    "softmax": lambda x: mg.softmax(x, 1),
    "log_softmax": lambda x: mg.log_softmax(x, 1),
}


needs_fast = pytest.mark.skipif(not fast.ON, reason="without engine/fast.py gradients are copied")


@needs_fast
@pytest.mark.parametrize("shape", [(4, 200), (200, 200)])
@pytest.mark.parametrize("name", OPS)
def test_no_gradient_is_copied(
    name: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    x = mg.tensor(rng.normal(size=shape).astype(np.float32), requires_grad=True)
    y = OPS[name](x)
    g = mg.tensor(np.ones(tuple(y.shape), np.float32))
    copied: list[int] = []
    copy = backend.dispatch.kernels["copy"]

    def watched(a: Any, out: Any) -> None:
        if a.size == out.size == x.array.size and 0 not in a.strides:
            copied.append(out.size)
        copy(a, out)

    monkeypatch.setitem(backend.dispatch.kernels, "copy", watched)
    y.backward(g)
    assert x.grad is not None
    assert copied == []


@needs_fast
def test_no_gradient_of_layers_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(
        *(nn.Conv2d(1, 3, 2), nn.MaxPool2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(3, 5)),
        *(nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.1), nn.LayerNorm(5), nn.Linear(5, 4)),
    )
    loss = F.cross_entropy(model(mg.randn(6, 1, 4, 4)), mg.tensor([0, 1, 2, 0, 1, 3]))
    copied: list[int] = []
    monkeypatch.setattr("minigrad.engine.fast.copy_of", lambda array: copied.append(array.size))
    loss.backward()
    assert copied == []


class GivesItsInputs(Op):
    """y = sum(a b), differentiated for a gradient of one: the rule gives what was saved."""

    def forward(self, a: Any, b: Any) -> Any:
        y = backend.empty((), a.dtype)
        y[...] = (a * b).sum()
        return y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return self.saved(1), self.saved(0)


class GivesItsResult(Op):
    """y = exp(a), differentiated for a gradient of one: the rule gives the user's own result."""

    keeps = False

    def forward(self, a: Any) -> Any:
        self.y = np.exp(a)
        return self.y

    def backward(self, g: Any) -> tuple[Any, ...]:
        return (Bridge.new(self.y),)


@pytest.mark.parametrize("retain", [False, True])
def test_a_rule_may_give_what_somebody_holds(retain: bool) -> None:
    """`.grad` is changed in place by the next sweep: that must not reach inputs or results."""
    for constant in (False, True):
        a = mg.tensor([1.0, 2.0], requires_grad=True)
        b = mg.tensor([3.0, 4.0], requires_grad=not constant)
        y = GivesItsInputs.apply(a, b)
        y.backward(retain_graph=retain)
        assert a.grad is not None
        assert not a.grad.requires_grad
        (a * 2).sum().backward()
        assert (a.grad.tolist(), b.tolist()) == ([5, 6], [3, 4])
    y = GivesItsResult.apply(a)
    want = y.tolist()
    a.grad = None
    y.sum().backward(retain_graph=retain)
    (a * 2).sum().backward()
    assert y.tolist() == want
