"""ReduceLROnPlateau: when it reduces, what a NaN does, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import SGD
from minigrad.optim.lr_scheduler import ReduceLROnPlateau


def plateau(**options: Any) -> ReduceLROnPlateau:
    optimizer = SGD([mg.zeros(1)], lr=1.0)
    optimizer.step()
    return ReduceLROnPlateau(optimizer, **{"factor": 0.5, **options})


def after(scheduler: ReduceLROnPlateau, *metrics: Any) -> float:
    for metric in metrics:
        scheduler.step(metric)
    return float(scheduler.get_last_lr()[0])


def test_patience_counts_epochs_without_improvement() -> None:
    scheduler = plateau(patience=2)
    assert after(scheduler, 1.0, 1.0, 1.0) == 1.0
    assert after(scheduler, 1.0) == 0.5
    assert after(scheduler, 1.0, 1.0) == 0.5
    assert after(scheduler, 1.0) == 0.25


def test_the_first_metric_improves_whatever_it_is() -> None:
    for first in (math.inf, -math.inf, 1e30):
        scheduler = plateau(patience=0, threshold_mode="abs")
        assert after(scheduler, first) == 1.0
        assert scheduler.best == first


def test_a_nan_never_improves() -> None:
    scheduler = plateau(patience=1)
    assert after(scheduler, math.nan, math.nan) == 0.5
    assert scheduler.best is None
    assert after(scheduler, 3.0) == 0.5
    assert scheduler.best == 3.0
    assert after(scheduler, math.nan) == 0.5
    assert scheduler.best == 3.0


def test_too_small_a_reduction_is_left_but_counts_as_one() -> None:
    scheduler = plateau(patience=0, eps=0.6, cooldown=2)
    assert after(scheduler, 1.0, 1.0) == 1.0
    assert scheduler.cooldown_counter == 2
    assert scheduler.num_bad_epochs == 0


@pytest.mark.parametrize("mode", ["min", "max"])
def test_magnitude_holds_on_both_sides_of_zero(mode: str) -> None:
    sign = -1.0 if mode == "min" else 1.0
    for best in (-10.0, 10.0):
        scheduler = plateau(mode=mode, threshold=0.1, threshold_mode="magnitude")
        after(scheduler, best, best + sign * 0.9)
        assert scheduler.best == best
        after(scheduler, best + sign * 1.1)
        assert scheduler.best == best + sign * 1.1


def test_rel_warns_once_of_a_negative_metric() -> None:
    scheduler = plateau()
    with pytest.warns(UserWarning, match="met a negative metric, -2.0.*'magnitude'"):
        scheduler.step(-2.0)
    scheduler.step(-3.0)


def test_a_tensor_or_an_array_is_a_metric() -> None:
    scheduler = plateau(patience=0)
    assert after(scheduler, mg.tensor(1.0), np.float32(1.0)) == 0.5


def test_a_group_added_later_has_the_same_floor() -> None:
    scheduler = plateau(patience=0, min_lr=0.75)
    scheduler.optimizer.add_param_group({"params": [mg.zeros(1)], "lr": 4.0})
    after(scheduler, 1.0, 1.0)
    assert scheduler.get_last_lr() == [0.75, 2.0]


def test_a_missing_metric_and_a_missing_optimizer_step() -> None:
    message = r"needs the metric that it watches; call scheduler.step\(validation_loss\)"
    with pytest.raises(TypeError, match=message):
        plateau().step()
    fresh = ReduceLROnPlateau(SGD([mg.zeros(1)]))
    with pytest.raises(RuntimeError, match="before the optimizer's first step"):
        fresh.step(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "low"}, r"mode to be one of \('min', 'max'\), got 'low'"),
        ({"threshold_mode": "half"}, "threshold_mode to be one of"),
        ({"factor": 1.0}, r"expected factor in \[0, 1\), got 1.0"),
        ({"patience": -1}, "patience to be an int >= 0, got -1"),
        ({"threshold": -1.0}, "threshold >= 0"),
        ({"cooldown": -1}, "cooldown to be an int >= 0"),
        ({"min_lr": [0.1, 0.2]}, "expected one min_lr or 1, one a parameter group, got 2"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plateau(**options)
