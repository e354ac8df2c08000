"""Gradients that are handed over while the sweep still runs."""

from __future__ import annotations

from typing import Any

import pytest

import minigrad as mg
from minigrad.engine.early import leave, listen
from minigrad.engine.grad_mode import mode


class Listener:
    """Notes what it is told, and which ops are still to come then."""

    def __init__(self, *leaves: Any) -> None:
        self.leaves = leaves
        self.told: list[Any] = []
        self.begun = self.finished = 0
        self.stays = False  # whether it is told of the next sweep too

    def wants(self, leaf: Any) -> bool:
        return any(leaf is one for one in self.leaves)

    def begin(self) -> None:
        self.begun += 1

    def ready(self, leaf: Any) -> None:
        self.told.append((leaf, leaf.grad.clone(), leaf.grad))

    def finish(self) -> bool:
        self.finished += 1
        return self.stays


def test_a_gradient_is_handed_over_when_its_last_user_is_done() -> None:
    first, last = mg.randn(3, 3, requires_grad=True), mg.randn(3, 3, requires_grad=True)
    x = mg.randn(2, 3)
    order = []
    hidden = x @ first
    hidden.register_hook(lambda g: order.append("hidden"))
    y = (hidden @ last).sum()
    listener = Listener(first, last)
    ready = listener.ready
    listener.ready = lambda leaf: (ready(leaf), order.append("last" if leaf is last else "first"))  # type: ignore[method-assign]
    listen(listener)
    y.backward()
    assert order == ["last", "hidden", "first"] or order == ["hidden", "last", "first"]
    assert order.index("last") < order.index("first") and listener.finished == 1
    assert mode.early is None


def test_gradients_are_those_of_a_plain_sweep_with_repeated_uses_hooks_and_sums() -> None:
    def loss(w: Any, b: Any) -> Any:
        x = mg.ones(4, 2)
        return ((x @ w + b).relu() @ w + b).square().sum() + (w * w).sum()

    w, b = mg.randn(2, 2, requires_grad=True), mg.randn(2, requires_grad=True)
    w.register_hook(lambda g: g * 2)
    loss(w, b).backward()
    plain = w.grad.clone(), b.grad.clone()
    listener = Listener(w)  # b comes the usual way
    listen(listener)
    loss(w, b).backward()  # adds to what is there
    (leaf, seen, held) = listener.told[0]
    assert leaf is w and held is w.grad
    assert (w.grad == 2 * plain[0]).all() and (seen == w.grad).all()
    assert (b.grad == 2 * plain[1]).all()


def test_a_sweep_that_comes_to_nobody_goes_by_and_who_stays_is_told_again() -> None:
    w, v = mg.ones(2, requires_grad=True), mg.ones(2, requires_grad=True)
    listener = Listener(w)
    listener.stays = True
    listen(listener)
    (v * v).sum().backward()
    assert (listener.begun, listener.finished) == (0, 0)
    for n in (1, 2):
        (w * v).sum().backward()
        assert (listener.begun, listener.finished, len(listener.told)) == (n, n, n)
    leave(listener)
    (w * v).sum().backward()
    assert listener.begun == 2 and mode.early is None
    assert w.grad.tolist() == [3.0, 3.0]


def test_a_gradient_that_nobody_else_holds_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = []
    monkeypatch.setattr("minigrad.engine.fast.copy_of", lambda a: copied.append(a) or a.copy())
    w = mg.randn(64, 64, requires_grad=True)
    listener = Listener(w)
    listen(listener)
    (mg.ones(4, 64) @ w).sum().backward()
    assert w.grad is not None and not copied


def test_what_cannot_be_handed_over_is_refused_once() -> None:
    w = mg.ones(2, requires_grad=True)
    listen(Listener(w))
    with pytest.raises(RuntimeError, match="create_graph and inputs are not for it"):
        (w * w).sum().backward(create_graph=True)
    (w * w).sum().backward(create_graph=True)
    assert w.grad.tolist() == [2.0, 2.0]
