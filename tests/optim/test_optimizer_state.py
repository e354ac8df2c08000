"""What an optimizer saves, and what it refuses to load."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import Adam, AdamW, Optimizer


def leaf(*values: float, dtype: Any = np.float64) -> mg.Tensor:
    return mg.Tensor(np.array(values, dtype), requires_grad=True)


def give(p: mg.Tensor, *values: float) -> None:
    p.grad = mg.Tensor(np.array(values, p.array.dtype))


def trained(names: tuple[str, ...] = ("w", "b"), kind: Any = Adam) -> Optimizer:
    params = [leaf(1.0, 2.0), leaf(3.0)]
    optimizer: Optimizer = kind(list(zip(names, params, strict=True)), lr=0.1)
    for p in params:
        give(p, *np.ones(p.array.size))
    optimizer.step()
    return optimizer


def test_state_is_a_snapshot_by_name() -> None:
    optimizer = trained()
    state = optimizer.state_dict()
    assert state["optimizer"] == "Adam"
    assert state["step_count"] == 1
    assert set(state["state"]) == {"w", "b"}
    assert state["state"]["w"]["step"] == 1
    assert state["param_groups"][0]["params"] == ["w", "b"]
    assert state["param_groups"][0]["betas"] == (0.9, 0.999)
    before = state["state"]["w"]["exp_avg"].tolist()
    optimizer.step()
    assert state["state"]["w"]["exp_avg"].tolist() == before


def test_loading_takes_over_options_and_counts() -> None:
    state = trained().state_dict()
    state["param_groups"][0]["betas"] = list(state["param_groups"][0]["betas"])  # as JSON has it
    other = Adam([("w", leaf(0.0, 0.0)), ("b", leaf(0.0))], lr=7.0)
    other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.1
    assert other.param_groups[0]["betas"] == (0.9, 0.999)
    assert other._step_count == 1
    assert other.state_dict()["state"]["w"]["step"] == 1


def test_a_loaded_state_is_a_copy() -> None:
    state = trained().state_dict()
    other = trained()
    other.load_state_dict(state)
    before = state["state"]["w"]["exp_avg"].tolist()
    other.step()
    assert state["state"]["w"]["exp_avg"].tolist() == before


def drop(*path: str) -> Any:
    def change(state: dict[str, Any]) -> None:
        for key in path[:-1]:
            state = state[key]
        del state[path[-1]]

    return change


def misshape(state: dict[str, Any]) -> None:
    state["state"]["w"]["exp_avg"] = np.zeros(3)


def stranger(state: dict[str, Any]) -> None:
    state["state"]["w"]["velocity"] = np.zeros(2)


def unknown(state: dict[str, Any]) -> None:
    state["param_groups"][0]["params"].append("extra")


def more_state(state: dict[str, Any]) -> None:
    state["state"]["extra"] = {"step": 0}


def one_group_more(state: dict[str, Any]) -> None:
    state["param_groups"].append(state["param_groups"][0])


def no_option(state: dict[str, Any]) -> None:
    del state["param_groups"][0]["eps"]


def one_parameter_less(state: dict[str, Any]) -> None:
    state["param_groups"][0]["params"].remove("b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("param_groups"), r"it has no \['param_groups'\]"),
        (drop("state", "b"), r"no state of the parameters \['b'\]"),
        (drop("state", "w", "exp_avg"), "w: there is no exp_avg"),
        (drop("state", "w", "step"), "w: there is no step count"),
        (misshape, r"w: exp_avg has shape \(3,\), expected \(2,\)"),
        (stranger, "w: it has a velocity, which this optimizer does not keep"),
        (unknown, r"parameters that this optimizer does not: \['extra'\]"),
        (more_state, r"state of unknown parameters: \['extra'\]"),
        (one_group_more, "it has 2 parameter groups, this optimizer has 1"),
        (no_option, r"group 0 lacks the options \['eps'\]"),
        (one_parameter_less, r"group 0 lacks the parameters \['b'\]"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change: Any, message: str) -> None:
    state = trained().state_dict()
    state["param_groups"][0]["lr"] = 5.0
    change(state)
    optimizer = trained()
    before = optimizer.state_dict()["state"]["w"]["exp_avg"].tolist()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.state_dict()["state"]["w"]["exp_avg"].tolist() == before


def test_a_state_of_another_optimizer_or_of_none() -> None:
    with pytest.raises(ValueError, match="saved by Adam; make that optimizer"):
        trained(kind=AdamW).load_state_dict(trained().state_dict())
    with pytest.raises(ValueError, match="expected a dict as Adam.state_dict"):
        trained().load_state_dict([1, 2])  # type: ignore[arg-type]


def test_names_decide_not_positions() -> None:
    state = trained(("w", "b")).state_dict()
    with pytest.raises(ValueError, match=r"lacks the parameters \['weight'\]"):
        trained(("weight", "b")).load_state_dict(state)


def test_repr_shows_groups_and_options() -> None:
    text = repr(trained())
    assert text.startswith(
        "Adam (\n  group 0: 2 tensors, 3 numbers\n    lr=0.1, betas=(0.9, 0.999)"
    )
