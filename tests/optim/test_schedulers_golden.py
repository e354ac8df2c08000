"""Every scheduler against PyTorch, stored and live: alone, composed, resumed, changed by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import lr_scheduler
from minigrad.optim.lr_scheduler import SCHEDULERS
from tests.npz import arrays_of
from tests.optim import scheduler_cases as cases

GOLDEN = arrays_of(Path(__file__).parent.parent / "golden" / "schedulers.npz")


def optimizer_for(key: str) -> Any:
    first, second = cases.RATES
    groups = [{"params": [mg.zeros(1)]}, {"params": [mg.zeros(1)], "lr": second}]
    return mg.optim.OPTIMIZERS[cases.optimizer_of(key)](groups, lr=first)  # type: ignore[call-arg]


def test_every_scheduler_has_cases_and_golden_values() -> None:
    assert {key.split(".")[0] for key in cases.KEYS} == set(SCHEDULERS)
    runs = {f"{key}{mark}" for key in cases.ALL_KEYS for mark in ("", "!")}
    assert set(GOLDEN) == runs | {f"{key}?" for key in cases.JUMPS}


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("key", cases.ALL_KEYS)
def test_matches_pytorch(key: str, by_hand: bool) -> None:
    found = cases.run(key, optimizer_for(key), lr_scheduler, by_hand)
    golden = GOLDEN[key + ("!" if by_hand else "")]
    np.testing.assert_allclose(found, golden, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("key", cases.ALL_KEYS)
def test_matches_pytorch_live(key: str, by_hand: bool) -> None:
    pytest.importorskip("torch")
    live = importlib.import_module("tests.golden.make_schedulers").compute(key, by_hand)
    found = cases.run(key, optimizer_for(key), lr_scheduler, by_hand)
    np.testing.assert_allclose(found, live, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("key", cases.JUMPS)
def test_going_to_an_epoch_matches_pytorch(key: str) -> None:
    found = cases.jump(key, optimizer_for(key), lr_scheduler)
    np.testing.assert_allclose(found, GOLDEN[f"{key}?"], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("key", cases.JUMPS)
def test_going_to_an_epoch_matches_pytorch_live(key: str) -> None:
    pytest.importorskip("torch")
    live = importlib.import_module("tests.golden.make_schedulers").compute_jumps(key)
    found = cases.jump(key, optimizer_for(key), lr_scheduler)
    np.testing.assert_allclose(found, live, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("key", cases.ALL_KEYS)
def test_resumed_equals_straight_on(key: str, by_hand: bool) -> None:
    optimizer = optimizer_for(key)

    def resume(step: int, scheduler: Any) -> Any:
        if step != 7:
            return scheduler
        kept = optimizer.state_dict(), scheduler.state_dict()
        new = cases.build(key, lr_scheduler, optimizer)  # writes the optimizer's lr
        optimizer.load_state_dict(kept[0])
        new.load_state_dict(kept[1])
        return new

    found = cases.run(key, optimizer, lr_scheduler, by_hand, resume)
    golden = GOLDEN[key + ("!" if by_hand else "")]
    np.testing.assert_allclose(found, golden, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("start", [0, 5])
@pytest.mark.parametrize("key", [key for key in cases.ALL_KEYS if key not in cases.PLATEAUS])
def test_preview_is_what_happens_and_disturbs_nothing(key: str, start: int) -> None:
    optimizer = optimizer_for(key)
    previews = []

    def look(step: int, scheduler: Any) -> Any:
        if step == start:
            before = scheduler.state_dict(), optimizer.state_dict()["param_groups"]
            previews.extend(scheduler.preview(cases.STEPS + 1 - start, group) for group in (0, 1))
            assert (scheduler.state_dict(), optimizer.state_dict()["param_groups"]) == before
        return scheduler

    found = cases.run(key, optimizer, lr_scheduler, between=look)
    np.testing.assert_array_equal(np.stack(previews, axis=1), found[start:, :, 0])


@pytest.mark.parametrize("key", cases.PLATEAUS)
def test_preview_of_a_plateau(key: str) -> None:
    optimizer = optimizer_for(key)
    scheduler = cases.build(key, lr_scheduler, optimizer)
    before = scheduler.state_dict()
    previews = [scheduler.preview(cases.PLATEAUS[key][1], group) for group in (0, 1)]
    assert scheduler.state_dict() == before
    np.testing.assert_allclose(np.stack(previews, axis=1), GOLDEN[key][:-1, :, 0], rtol=1e-12)
