"""Weight decay for weights only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import minigrad as mg
from minigrad.optim import AdamW, decay_groups


class Model:
    """A stand-in for a Module: what decay_groups asks of one."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        self.found = {k: mg.zeros(*s, requires_grad=True) for k, s in shapes.items()}

    def named_parameters(self) -> Iterator[tuple[str, mg.Tensor]]:
        return iter(self.found.items())


def test_one_dimension_has_no_decay() -> None:
    model = Model(weight=(3, 4), bias=(4,), kernel=(2, 2, 3, 3), scale=())
    groups = decay_groups(model, 0.1)
    names = [[name for name, _ in group["params"]] for group in groups]
    assert names == [["weight", "kernel"], ["bias", "scale"]]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    state = AdamW(groups).state_dict()
    assert state["param_groups"][1]["params"] == ["bias", "scale"]


def test_a_group_without_parameters_is_left_out() -> None:
    assert [g["weight_decay"] for g in decay_groups(Model(weight=(2, 2)), 0.1)] == [0.1]
    assert [g["weight_decay"] for g in decay_groups(Model(bias=(2,)), 0.1)] == [0.0]


def test_a_model_without_parameters_is_refused_by_the_optimizer() -> None:
    with pytest.raises(ValueError, match="expected at least one parameter"):
        AdamW(decay_groups(Model(), 0.1))
