"""What all optimizers share: groups, steps, saved state, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import OPTIMIZERS, SGD, Adagrad, Adam, AdamW, NAdam, Optimizer


def leaf(*values: float, dtype: Any = np.float64) -> mg.Tensor:
    return mg.Tensor(np.array(values, dtype), requires_grad=True)


def give(p: mg.Tensor, *values: float) -> None:
    p.grad = mg.Tensor(np.array(values, p.array.dtype))


# ---------------------------------------------------------------- steps
@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_lowers_a_quadratic(kind: type[Optimizer]) -> None:
    p = leaf(3.0, -2.0, 0.5, dtype=np.float32)
    lr = 5.0 if kind.__name__ == "Adadelta" else 0.05  # a factor of its own steps
    optimizer = kind([p], lr=lr)  # type: ignore[call-arg]
    first = float((p.array**2).sum())
    for _ in range(50):
        optimizer.zero_grad()
        (p * p).sum().backward()
        optimizer.step()
    assert (p.array**2).sum() < 0.8 * first


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_a_parameter_without_gradient_is_left_alone(kind: type[Optimizer]) -> None:
    p, q = leaf(1.0), leaf(1.0)
    optimizer = kind([{"params": [p, q], "weight_decay": 0.5}])  # type: ignore[call-arg]
    give(p, 1.0)
    optimizer.step()
    assert p.item() != 1.0
    assert q.item() == 1.0
    state = optimizer.state_dict()["state"]
    assert (state["0"]["step"], state["1"]["step"]) == (1, 0)
    assert set(state["1"]) == {"step"}


def test_no_gradient_at_all_still_counts_as_a_step() -> None:
    optimizer = Adam([leaf(1.0)])
    optimizer.step()
    assert optimizer._step_count == 1


def test_one_launch_for_all_groups_of_a_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    launch = mg.engine.dispatch.launch
    monkeypatch.setattr(
        mg.engine.dispatch, "launch", lambda name, *args: (names.append(name), launch(name, *args))
    )
    params = [leaf(1.0), leaf(2.0), leaf(3.0, dtype=np.float32)]
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.5}]
    optimizer = AdamW(groups)
    for p in params:
        give(p, 1.0)
    optimizer.step()
    assert names == ["adam_step", "adam_step"]  # float64 and float32


def test_a_step_is_seen_by_the_tape() -> None:
    p = leaf(2.0)
    y = (p * p).sum()
    give(p, 1.0)
    SGD([p], lr=0.1).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_closure_runs_with_gradients_and_its_value_returns() -> None:
    p = leaf(2.0)
    optimizer = SGD([p], lr=0.25)

    def closure() -> mg.Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with mg.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 4.0
    assert p.item() == 1.0


def test_options_may_be_edited_between_steps() -> None:
    p = leaf(1.0)
    optimizer = SGD([p], lr=0.5)
    for lr, expected in ((0.5, 0.5), (0.25, 0.25), (0.0, 0.25)):
        optimizer.param_groups[0]["lr"] = lr
        give(p, 1.0)
        optimizer.step()
        assert p.item() == expected


def test_an_option_edited_out_of_range_raises_at_the_step() -> None:
    p = leaf(1.0)
    optimizer = SGD([p], lr=0.5)
    optimizer.param_groups[0]["lr"] = math.nan
    give(p, 1.0)
    with pytest.raises(ValueError, match="SGD: expected lr >= 0, got nan"):
        optimizer.step()
    assert p.item() == 1.0


def test_momentum_switched_on_later_starts_undamped() -> None:
    p = leaf(0.0)
    optimizer = SGD([p], lr=1.0)
    give(p, 1.0)
    optimizer.step()
    optimizer.param_groups[0].update(momentum=0.5, dampening=0.5)
    give(p, 2.0)
    optimizer.step()
    assert p.item() == -3.0  # the first velocity is the gradient itself


def test_zero_grad() -> None:
    p, q = leaf(1.0), leaf(1.0)
    give(p, 2.0)
    optimizer = SGD([p, q])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is not None
    assert p.grad.tolist() == [0.0]
    assert q.grad is None
    optimizer.zero_grad()
    assert p.grad is None


# ---------------------------------------------------------------- memory
def test_gradients_and_parameters_of_any_layout(rng: np.random.Generator) -> None:
    base = rng.normal(size=(4, 3))
    grads = rng.normal(size=(2, 4, 3))
    plain = mg.Tensor(base.copy(), requires_grad=True)
    turned = mg.Tensor(base.T.copy().T, requires_grad=True)
    assert not turned.array.flags.c_contiguous
    for optimizer, p in ((Adam([plain]), plain), (Adam([turned]), turned)):
        for g in grads:
            p.grad = mg.Tensor(np.asfortranarray(g) if p is plain else g)
            optimizer.step()
    np.testing.assert_array_equal(plain.array, turned.array)


def test_copies_of_gradients_outlive_the_launch() -> None:
    # Were the first copy dropped early, the second would take its memory.
    params = [mg.Tensor(np.zeros((3, 4)), requires_grad=True) for _ in range(8)]
    for k, p in enumerate(params):
        p.grad = mg.Tensor(np.full((4, 3), float(k)).T)
    SGD(params, lr=1.0).step()
    assert [p.array[0, 0] for p in params] == [-float(k) for k in range(8)]


def test_an_expanded_gradient() -> None:
    p = mg.Tensor(np.ones((2, 3)), requires_grad=True)
    p.grad = mg.Tensor(np.broadcast_to(np.array([[1.0, 2.0, 3.0]]), (2, 3)))
    SGD([p], lr=1.0).step()
    assert p.tolist() == [[0.0, -1.0, -2.0]] * 2


def test_a_parameter_moved_to_other_memory_is_followed() -> None:
    p = leaf(1.0)
    old = p.array
    optimizer = SGD([p], lr=0.5)
    give(p, 1.0)
    optimizer.step()
    p.array = p.array.copy()
    optimizer.step()
    assert (old.tolist(), p.tolist()) == ([0.5], [0.0])


def test_state_follows_a_change_of_dtype() -> None:
    p = leaf(*np.ones(50))
    optimizer = NAdam([p], lr=0.5)
    give(p, *np.ones(50))
    optimizer.step()
    p.array = p.array.astype(np.float32)
    give(p, *np.ones(50))
    optimizer.step()
    state = optimizer.state_dict()["state"]["0"]
    assert state["exp_avg"].array.dtype == np.float32
    assert state["mu_product"].array.dtype == np.float64
    assert np.isfinite(p.array).all()


def test_a_parameter_of_another_shape_is_refused() -> None:
    p = leaf(1.0)
    optimizer = SGD([p])
    p.array = np.ones(2)
    give(p, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"'0' has shape \(2,\) now, but had \(1,\)"):
        optimizer.step()


def test_a_gradient_that_does_not_fit_is_refused() -> None:
    p = leaf(1.0, 2.0)
    p.grad = mg.Tensor(np.ones(2))
    p.grad.data = mg.Tensor(np.ones(3))
    with pytest.raises(ValueError, match=r"parameter 'w' has shape \(3,\), the parameter \(2,\)"):
        SGD([("w", p)]).step()
    p.grad.data = mg.Tensor(np.ones(2, np.float32))
    with pytest.raises(TypeError, match="'w' is float32, the parameter float64"):
        SGD([("w", p)]).step()


def test_an_empty_parameter() -> None:
    p = mg.Tensor(np.ones((0, 3)), requires_grad=True)
    p.grad = mg.Tensor(np.ones((0, 3)))
    AdamW([p]).step()


def test_memory_does_not_grow() -> None:
    p = leaf(*np.ones(100))
    optimizer = AdamW([p])
    for _ in range(3):
        give(p, *np.ones(100))
        optimizer.step()
    launches = optimizer._launches
    for _ in range(100):
        give(p, *np.ones(100))
        optimizer.step()
    assert optimizer._launches is launches  # the table is reused
    assert optimizer._launches[0].held == []


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (lambda: [], ValueError, "expected at least one parameter, got none"),
        (lambda: iter(()), ValueError, "a generator such as"),
        (lambda: leaf(1.0), TypeError, r"got one tensor of shape \(1,\); put it in a list"),
        (lambda: [np.ones(2)], TypeError, "or \\(name, tensor\\) pairs, got ndarray"),
        (lambda: [leaf(1.0) * 2.0], ValueError, "is the result of an op, not a leaf"),
        (lambda: [("n", mg.tensor([1]))], TypeError, "'n' in float32 or float64, got int64"),
        (lambda: [("a", leaf(1.0)), leaf(2.0)], ValueError, "some have none"),
        (lambda: [("a", leaf(1.0)), ("a", leaf(2.0))], ValueError, "have the name 'a'"),
        (lambda: [{"params": [leaf(1.0)]}, leaf(1.0)], TypeError, "do not mix groups with plain"),
        (lambda: [{"lr": 1.0}], TypeError, 'a dict with "params"'),
    ],
)
def test_bad_parameters(params: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Adam(params())


def test_a_parameter_listed_twice_is_named() -> None:
    p = leaf(1.0)
    with pytest.raises(ValueError, match="listed twice, as 'tied' and as 'head'"):
        SGD([("tied", p), ("head", p)])
    with pytest.raises(ValueError, match="listed twice, as '0' and as '1'"):
        SGD([{"params": [p]}, {"params": p}])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SGD, {"lr": -1.0}, "SGD: expected lr >= 0, got -1.0"),
        (SGD, {"momentum": -0.1}, "expected momentum >= 0"),
        (SGD, {"nesterov": True}, "nesterov needs momentum > 0 and dampening 0, got momentum 0.0"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "and dampening 0.1"),
        (Adam, {"betas": (0.9, 1.0)}, r"expected betas in \[0, 1\), got \(0.9, 1.0\)"),
        (Adam, {"eps": -1e-8}, "expected eps >= 0"),
        (AdamW, {"weight_decay": math.nan}, "AdamW: expected weight_decay >= 0, got nan"),
        (NAdam, {"momentum_decay": -1.0}, "expected momentum_decay >= 0"),
        (Adagrad, {"lr_decay": -1.0}, "expected lr_decay >= 0"),
    ],
)
def test_bad_options(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind([leaf(1.0)], **options)


def test_a_group_added_later_keeps_the_state_of_the_others() -> None:
    p, q = leaf(1.0), leaf(1.0)
    optimizer = Adam([("p", p)], lr=0.1)
    give(p, 1.0)
    optimizer.step()
    optimizer.add_param_group({"params": [("q", q)], "lr": 0.5})
    give(q, 1.0)
    optimizer.step()
    state = optimizer.state_dict()["state"]
    assert (state["p"]["step"], state["q"]["step"]) == (2, 1)
    np.testing.assert_allclose([p.item(), q.item()], [0.8, 0.5], rtol=1e-6)
