"""Averaged models and their schedule, beside PyTorch's; lists and dicts of parameters."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.optim import swa_utils

KINDS: dict[str, Any] = {
    "mean": lambda s: {},
    "ema": lambda s: {"multi_avg_fn": s.get_ema_multi_avg_fn(0.9)},
    "single": lambda s: {"avg_fn": s.get_ema_avg_fn(0.8)},
    "swa": lambda s: {"multi_avg_fn": s.get_swa_multi_avg_fn()},
}


@pytest.mark.parametrize("kind", KINDS)
def test_averages_are_torchs_live(kind: str) -> None:
    torch = pytest.importorskip("torch")
    theirs_utils = importlib.import_module("torch.optim.swa_utils")
    found = []
    for kit, utils in ((mg, swa_utils), (torch, theirs_utils)):
        model = kit.nn.Sequential(kit.nn.Linear(2, 3), kit.nn.BatchNorm1d(3))
        averaged = utils.AveragedModel(model, **KINDS[kind](utils))
        for step in range(4):
            with kit.no_grad():
                for i, t in enumerate((*model.parameters(), *model.buffers())):
                    t.copy_(kit.zeros(tuple(t.shape)) + (i + step * step))
            averaged.update_parameters(model)
        state = averaged.state_dict()
        found.append({name: t.tolist() for name, t in state.items()})
    ours, theirs = found
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_the_schedule_is_torchs_live(strategy: str, epochs: int) -> None:
    torch = pytest.importorskip("torch")
    theirs_utils = importlib.import_module("torch.optim.swa_utils")
    found = []
    for kit, utils in ((mg, swa_utils), (torch, theirs_utils)):
        p = kit.zeros(1, requires_grad=True)
        optimizer = kit.optim.SGD([p], lr=1.0)
        schedule = utils.SWALR(optimizer, 0.1, epochs, strategy)
        rates = []
        for _ in range(7):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        found.append(rates)
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_statistics_of_a_loader() -> None:
    model = nn.Sequential(nn.BatchNorm1d(1))
    rows = [[mg.tensor([[1.0], [3.0]]), mg.zeros(2)], [mg.tensor([[5.0], [7.0]]), mg.zeros(2)]]
    model.eval()
    swa_utils.update_bn(rows, model)
    assert model[0].running_mean.tolist() == [4.0]
    assert model[0].momentum == 0.1
    assert not model.training
    swa_utils.update_bn(rows, nn.Linear(1, 1))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"decay in \[0, 1\]"):
        swa_utils.get_ema_avg_fn(1.5)
    with pytest.raises(AssertionError, match="got both"):
        one = swa_utils.get_ema_avg_fn()
        swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=one, multi_avg_fn=swa_utils.for_all(one))
    with pytest.raises(ValueError, match="'cos' or 'linear'"):
        swa_utils.SWALR(mg.optim.SGD([mg.zeros(1)], lr=1.0), 0.1, anneal_strategy="exp")


def test_lists_of_parameters() -> None:
    held = nn.ParameterList([mg.ones(2)])
    held += [mg.zeros(1), "note"]
    assert [n for n, _ in held.named_parameters()] == ["0", "1"]
    assert held[-1] == "note"
    held[0] = mg.zeros(3)
    assert isinstance(held[0], nn.Parameter)
    assert held[0].shape == (3,)
    assert len(held[:2]) == 2
    with pytest.raises(IndexError, match="index 3 is out of range for 3"):
        _ = held[3]


def test_dicts_of_parameters() -> None:
    held = nn.ParameterDict({"a": mg.ones(2)})
    held["b"] = mg.zeros(1)
    assert list(held.state_dict()) == ["a", "b"]
    assert held.get("c") is None
    assert held.setdefault("c", mg.ones(1)).shape == (1,)
    assert held.popitem()[0] == "c"
    assert held.pop("a").shape == (2,)
    assert list(held.copy().keys()) == ["b"]
    with pytest.raises(KeyError, match="has no 'z'"):
        _ = held["z"]
    with pytest.raises(KeyError, match="already has an attribute 'keys'"):
        held["keys"] = mg.ones(1)
    held.clear()
    assert len(held) == 0
