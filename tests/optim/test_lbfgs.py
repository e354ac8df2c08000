"""L-BFGS against PyTorch's: stored trajectories, live ones, state, and what is refused."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim.line_search import dot, strong_wolfe
from tests.optim.lbfgs_cases import CASES, FUNCTIONS, run

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "lbfgs.json").read_text())


def compute(key: str, dtype: Any = np.float64) -> list[list[float]]:
    """Return losses and parameters after each step of a case."""
    return run(mg, key, lambda x: mg.tensor(np.asarray(x, dtype), requires_grad=True))


def test_every_case_is_stored() -> None:
    assert set(GOLDEN) == set(CASES)


@pytest.mark.parametrize("key", CASES)
def test_matches_pytorch(key: str) -> None:
    np.testing.assert_allclose(compute(key), GOLDEN[key], rtol=1e-8, atol=1e-10)


def test_matches_pytorch_live() -> None:
    pytest.importorskip("torch")
    live = importlib.import_module("tests.golden.make_lbfgs")
    for key in CASES:
        np.testing.assert_allclose(compute(key), live.compute(key), rtol=1e-8, atol=1e-10)


def rosenbrock(w: mg.Tensor) -> tuple[mg.optim.LBFGS, Callable[[], mg.Tensor]]:
    optimizer = mg.optim.LBFGS([w], max_iter=4, history_size=3, line_search_fn="strong_wolfe")

    def closure() -> mg.Tensor:
        optimizer.zero_grad()
        loss = FUNCTIONS["rosenbrock"]([w])
        loss.backward()
        return loss

    return optimizer, closure


def test_a_loaded_optimizer_goes_on() -> None:
    w = mg.tensor([-1.2, 1.0, 0.5], dtype=mg.float64, requires_grad=True)
    optimizer, closure = rosenbrock(w)
    optimizer.step(closure)
    other = w.detach().clone().requires_grad_()
    loaded, again = rosenbrock(other)
    loaded.load_state_dict(optimizer.state_dict())
    for _ in range(3):
        assert optimizer.step(closure).item() == loaded.step(again).item()
    np.testing.assert_array_equal(w.detach().numpy(), other.detach().numpy())


def test_a_state_of_other_parameters_is_refused() -> None:
    optimizer, closure = rosenbrock(mg.tensor([-1.2, 1.0], requires_grad=True))
    optimizer.step(closure)
    other, _ = rosenbrock(mg.tensor([-1.2, 1.0, 3.0], requires_grad=True))
    with pytest.raises(ValueError, match="not of 3 numbers"):
        other.load_state_dict(optimizer.state_dict())


def test_it_is_written_and_read(tmp_path: Path) -> None:
    w = mg.tensor([-1.2, 1.0], requires_grad=True)
    optimizer, closure = rosenbrock(w)
    optimizer.step(closure)
    path = tmp_path / "state.safetensors"
    mg.save(optimizer, path)
    loaded, _ = rosenbrock(mg.tensor(w.detach().numpy(), requires_grad=True))
    loaded.load_state_dict(mg.load(path))
    assert loaded._memory.n_iter == optimizer._memory.n_iter > 0
    np.testing.assert_array_equal(loaded._memory.steps, optimizer._memory.steps)


def test_float32_parameters_stay_float32() -> None:
    w = mg.tensor([-1.2, 1.0], requires_grad=True)
    optimizer, closure = rosenbrock(w)
    for _ in range(15):
        optimizer.step(closure)
    assert w.dtype == mg.float32
    np.testing.assert_allclose(w.detach().numpy(), [1, 1], atol=2e-3)


def test_a_parameter_without_a_gradient_stays() -> None:
    a, b = (mg.tensor([3.0], requires_grad=True) for _ in range(2))
    optimizer = mg.optim.LBFGS([a, b])

    def closure() -> mg.Tensor:
        optimizer.zero_grad()
        loss = (a * a).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert b.item() == 3
    assert abs(a.item()) < 1e-3


def test_strong_wolfe_conditions_hold() -> None:
    def at(t: float) -> tuple[float, np.ndarray[Any, Any]]:
        return (t - 2.0) ** 4 + t, np.array([4 * (t - 2.0) ** 3 + 1])

    value, gradient = at(0.0)
    d = np.array([1.0])
    t, found, g, calls = strong_wolfe(at, 0.1, d, value, gradient, dot(gradient, d))
    slope = dot(gradient, d)
    assert (found, g.tolist()) == (at(t)[0], at(t)[1].tolist())
    assert found <= value + 1e-4 * t * slope
    assert abs(dot(g, d)) <= 0.9 * abs(slope)
    assert calls < 26


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: mg.optim.LBFGS(p, line_search_fn="armijo"), "'strong_wolfe' or None"),
        (lambda p: mg.optim.LBFGS(p, max_iter=0), "max_iter as a whole number >= 1"),
        (lambda p: mg.optim.LBFGS(p, history_size=0), "history_size as a whole"),
        (lambda p: mg.optim.LBFGS(p, tolerance_grad=-1.0), "tolerance_grad >= 0"),
        (lambda p: mg.optim.LBFGS(p, lr=-1.0), "lr >= 0"),
        (lambda p: mg.optim.LBFGS([{"params": p}, {"params": [mg.ones(1)]}]), "one group"),
        (lambda p: mg.optim.LBFGS(p).step(), "needs a closure"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=text):
        make([mg.ones(1)])
