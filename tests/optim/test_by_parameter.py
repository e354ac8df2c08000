"""Muon and Adafactor, which step whole tensors; what PyTorch's optimizers take beside options; and
optimizers written by users.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import Optimizer
from tests.optim.muon_cases import CASES, run

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "muon.json").read_text())
EVERY = [*mg.optim.OPTIMIZERS, "Adafactor", "Muon"]


def compute(key: str) -> list[Any]:
    def leaf(x: Any) -> mg.Tensor:
        return mg.tensor(x, requires_grad=True)

    return run(mg, key, leaf, lambda p: p.detach().numpy())


@pytest.mark.parametrize("key", CASES)
def test_muon_matches_pytorch(key: str) -> None:
    assert set(GOLDEN) == set(CASES)
    np.testing.assert_allclose(compute(key), GOLDEN[key], rtol=1e-3, atol=1e-4)


def test_muon_matches_pytorch_live() -> None:
    pytest.importorskip("torch")
    live = importlib.import_module("tests.golden.make_muon")
    for key in CASES:
        np.testing.assert_allclose(compute(key), live.compute(key), rtol=1e-3, atol=1e-4)


def matrices(device: str = "cpu") -> list[mg.Tensor]:
    rng = np.random.default_rng(0)
    found = []
    for shape in ((3, 4), (4, 2)):
        p = mg.tensor(rng.standard_normal(shape).astype(np.float32), device=device)
        found.append(p.requires_grad_())
    return found


def give(params: list[mg.Tensor], step: int) -> None:
    for i, p in enumerate(params):
        g = np.random.default_rng((step, i)).standard_normal(p.shape).astype(np.float32)
        p.grad = mg.tensor(g, device=p.device)


@pytest.mark.parametrize("name", ["Muon", "Adafactor"])
def test_a_loaded_optimizer_goes_on_and_a_device_agrees(name: str) -> None:
    pytest.importorskip("greenlet")
    first, there = matrices(), matrices("cuda-sim")
    one, other = (getattr(mg.optim, name)(params, lr=0.1) for params in (first, there))
    for step in range(2):
        give(first, step)
        give(there, step)
        one.step()
        other.step()
    second = [mg.tensor(p.detach().numpy(), requires_grad=True) for p in first]
    loaded = getattr(mg.optim, name)(second)
    loaded.load_state_dict(one.state_dict())
    for params, optimizer in ((first, one), (second, loaded), (there, other)):
        give(params, 5)
        optimizer.step()
    for p, q, r in zip(first, second, there, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
        np.testing.assert_array_equal(p.detach().numpy(), r.detach().cpu().numpy())
    wrong = loaded.state_dict()
    entry = wrong["state"]["0"]
    entry[next(n for n in entry if n != "step")] = mg.zeros(7)
    with pytest.raises(ValueError, match="has shape"):
        loaded.load_state_dict(wrong)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mg.optim.Muon([mg.zeros(3)]), "expected matrices, got a parameter of shape"),
        (lambda: mg.optim.Muon([mg.zeros(1, 1)], adjust_lr_fn="x"), "adjust_lr_fn"),
        (lambda: mg.optim.Muon([mg.zeros(1, 1)], ns_steps=100), "fewer than 100"),
        (lambda: mg.optim.Muon([mg.zeros(1, 1)], ns_coefficients=(1.0, 2.0)), "3 ns_coeff"),
        (lambda: mg.optim.Adafactor([mg.zeros(1)], d=0.5), "d >= 1"),
        (lambda: mg.optim.Adafactor([mg.zeros(1)], beta2_decay=0.5), "beta2_decay <= 0"),
        (lambda: mg.optim.Adafactor([mg.zeros(1)], eps=(-1.0, 0.1)), "eps >= 0"),
        (lambda: mg.optim.Adadelta([mg.zeros(1)], rho=1.5), r"rho in \[0, 1\]"),
        (lambda: mg.optim.Rprop([mg.zeros(1)], etas=(0.5, 0.9)), "first < 1 < second"),
        (lambda: mg.optim.ASGD([mg.zeros(1)], lambd=-1.0), "lambd >= 0"),
        (lambda: mg.optim.SparseAdam([mg.zeros(1)]), "no sparse gradients"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], Any], text: str) -> None:
    with pytest.raises((ValueError, NotImplementedError), match=text):
        make()


# ---------------------------------------------------------------- PyTorch's other arguments
@pytest.mark.parametrize("name", [n for n in EVERY if n != "Muon"])
def test_ways_to_do_the_same_are_taken_or_refused(name: str) -> None:
    kind: Any = getattr(mg.optim, name)
    p = mg.zeros(1)
    for ways in ({"foreach": False}, {"foreach": True}, {"capturable": True}, {"fused": True}):
        assert kind([p], lr=0.1, **ways).defaults.keys() == kind([p], lr=0.1).defaults.keys()
    with pytest.raises(NotImplementedError, match="differentiable=True is not there"):
        kind([p], differentiable=True)
    with pytest.raises(RuntimeError, match="cannot both be True"):
        kind([p], foreach=True, fused=True)
    with pytest.raises(TypeError, match="unexpected options warmup"):
        kind([p], warmup=3)


@pytest.mark.parametrize("name", EVERY)
def test_the_state_by_parameter(name: str) -> None:
    used, unused = mg.zeros(2, 2, requires_grad=True), mg.zeros(2, 2, requires_grad=True)
    optimizer = getattr(mg.optim, name)([used, unused], lr=0.1)
    used.grad = mg.ones(2, 2)
    optimizer.step()
    assert optimizer.state[used]["step"].item() == 1
    assert optimizer.state[unused] == {}
    assert used in optimizer.state
    assert len(optimizer.state) == 1
    kept = {n for n, t in optimizer.state[used].items() if t.ndim}
    assert kept == set(optimizer.state_dict()["state"]["0"]) - {"step"}
    with pytest.raises(KeyError, match="no parameter of this optimizer"):
        _ = optimizer.state[mg.zeros(1)]


def test_hooks_of_a_step() -> None:
    p = mg.zeros(1, requires_grad=True)
    optimizer, seen = mg.optim.SGD([p], lr=1.0), []
    p.grad = mg.ones(1)
    first = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(p.item()))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(p.item()))
    optimizer.step()
    first.remove()
    optimizer.step()
    assert seen == [0.0, -1.0, -2.0]


# ---------------------------------------------------------------- of one's own
class Momentum(Optimizer):
    """SGD with momentum, as one writes it for PyTorch."""

    def __init__(self, params: Any, lr: float, momentum: float = 0.5) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["buffer"] = mg.zeros_like(p.data)
                state["step"] += 1
                state["buffer"].mul_(group["momentum"]).add_(p.grad)
                p.data.add_(state["buffer"], alpha=-group["lr"])


def test_an_optimizer_written_for_pytorch() -> None:
    p = mg.zeros(1, requires_grad=True)
    optimizer = Momentum([p], lr=1.0)
    scheduler = mg.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    for _ in range(2):
        p.grad = mg.ones(1)
        optimizer.step()
        scheduler.step()
    assert p.item() == -1 - 0.5 * 1.5
    assert optimizer._step_count == 2
    saved = optimizer.state_dict()
    assert saved["state"]["0"]["step"] == 2
    loaded = Momentum([p.detach().clone().requires_grad_()], lr=9.0)
    loaded.load_state_dict(saved)
    (q,) = loaded.param_groups[0]["params"]
    for optimizer_, t in ((optimizer, p), (loaded, q)):
        t.grad = mg.ones(1)
        optimizer_.step()
    assert p.item() == q.item()
