"""Schedulers beyond PyTorch's trajectories: what they refuse, save, preview and compose."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import SGD, Adagrad, Optimizer
from minigrad.optim import lr_scheduler as schedules


def sgd(lr: float = 1.0, groups: int = 1, stepped: bool = False) -> Optimizer:
    optimizer = SGD([{"params": [mg.zeros(1)]} for _ in range(groups)], lr=lr)
    if stepped:
        optimizer.step()
    return optimizer


def rates(scheduler: Any, steps: int) -> list[float]:
    """Step for real; return group 0's lr before and after each step."""
    optimizer = scheduler.optimizer
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


# ---------------------------------------------------------------- order of the two steps
@pytest.mark.parametrize(
    "scheduler",
    [
        lambda o: schedules.StepLR(o, 2),
        lambda o: schedules.ChainedScheduler([schedules.StepLR(o, 2)]),
        lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 2)], []),
    ],
)
def test_a_step_before_the_optimizer_is_refused(scheduler: Any) -> None:
    optimizer = sgd()
    made = scheduler(optimizer)
    message = "called before the optimizer's first step.*call optimizer.step\\(\\), then"
    with pytest.raises(RuntimeError, match=message):
        made.step()
    assert optimizer.param_groups[0]["lr"] == 1.0
    optimizer.step()
    made.step()


def test_a_resumed_optimizer_has_stepped() -> None:
    new = sgd()
    new.load_state_dict(sgd(stepped=True).state_dict())
    schedules.ExponentialLR(new, 0.5).step()
    assert new.param_groups[0]["lr"] == 0.5


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: schedules.StepLR(3, 1), TypeError, "StepLR: expected an optimizer.*got int"),
        (
            lambda o: schedules.StepLR(o, 0),
            ValueError,
            "StepLR: expected step_size to be an int >= 1, got 0",
        ),
        (lambda o: schedules.StepLR(o, 1, last_epoch=3), KeyError, "load the optimizer's state"),
        (lambda o: schedules.ConstantLR(o, 2.0), ValueError, r"factor in \(0, 1\], got 2.0"),
        (lambda o: schedules.LinearLR(o, 0.0), ValueError, r"start_factor in \(0, 1\], got 0.0"),
        (lambda o: schedules.LinearLR(o, 0.5, 2.0), ValueError, "end_factor"),
        (
            lambda o: schedules.LinearLR(o, total_iters=-1),
            ValueError,
            "total_iters to be an int >= 0, got -1",
        ),
        (lambda o: schedules.PolynomialLR(o, -1), ValueError, "total_iters to be an int >= 0"),
        (lambda o: schedules.CosineAnnealingLR(o, 0), ValueError, "T_max to be an int >= 1, got 0"),
        (lambda o: schedules.LambdaLR(o, [abs, abs]), ValueError, "one lr_lambda or 1, .* got 2"),
        (lambda o: schedules.LambdaLR(o, 0.5), ValueError, "a function of the epoch, got 0.5"),
        (
            lambda o: schedules.CosineAnnealingWarmRestarts(o, 2.5),
            ValueError,
            "T_0 to be an int >= 1, got 2.5",
        ),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 2, 0), ValueError, "T_mult"),
        (lambda o: schedules.OneCycleLR(o, 1.0), ValueError, "total_steps, or epochs and steps_p"),
        (lambda o: schedules.OneCycleLR(o, 1.0, 0), ValueError, "total_steps to be an int >= 1"),
        (
            lambda o: schedules.OneCycleLR(o, 1.0, epochs=3, steps_per_epoch=0),
            ValueError,
            "steps_per_epoch to be an int >= 1, got 0",
        ),
        (
            lambda o: schedules.OneCycleLR(o, 1.0, 10, pct_start=0.1),
            ValueError,
            r"pct_start \* total_steps = 0.1 \* 10 = 1 leaves no step to rise in; raise pct_start",
        ),
        (lambda o: schedules.OneCycleLR(o, 1.0, 9, pct_start=1.5), ValueError, r"in \[0, 1\]"),
        (
            lambda o: schedules.OneCycleLR(o, 1.0, 9, anneal_strategy="exp"),
            ValueError,
            "anneal_strategy 'cos' or 'linear', got 'exp'",
        ),
        (lambda o: schedules.OneCycleLR(o, [1.0, 2.0], 9), ValueError, "one max_lr or 1"),
        (
            lambda o: schedules.OneCycleLR(Adagrad([mg.zeros(1)]), 1.0, 9),
            ValueError,
            "Adagrad has neither; pass cycle_momentum=False",
        ),
        (lambda o: schedules.CyclicLR(o, 0.1, 1.0, mode="saw"), ValueError, "mode to be one of"),
        (lambda o: schedules.CyclicLR(o, 0.1, 1.0, 0), ValueError, "step sizes > 0"),
        (
            lambda o: schedules.CyclicLR(o, 0.1, 1.0, scale_mode="epoch"),
            ValueError,
            "scale_mode to be one of",
        ),
        (lambda o: schedules.SequentialLR(o, [], []), ValueError, "at least one scheduler"),
        (
            lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 1)], [3]),
            ValueError,
            "expected 0 milestones for 1 schedulers, one fewer, got 1",
        ),
        (
            lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 1)] * 3, [3, 3]),
            ValueError,
            "milestones that rise",
        ),
        (lambda o: schedules.ChainedScheduler([]), ValueError, "at least one scheduler"),
        (lambda o: schedules.ChainedScheduler([3], o), TypeError, "expected schedulers, got int"),
        (
            lambda o: schedules.ChainedScheduler([schedules.StepLR(sgd(), 1)], o),
            ValueError,
            "StepLR at place 0 belongs to another optimizer",
        ),
        (
            lambda o: schedules.ChainedScheduler([schedules.ReduceLROnPlateau(o)]),
            ValueError,
            "ReduceLROnPlateau at place 0 needs a metric",
        ),
        (lambda o: schedules.warmup(3, 5), TypeError, "warmup: expected an optimizer or a sched"),
        (
            lambda o: schedules.warmup(schedules.ReduceLROnPlateau(o), 5),
            ValueError,
            r"use warmup\(optimizer, steps\)",
        ),
        (
            lambda o: schedules.StepLR(o, 1).preview(-1),
            ValueError,
            "n, a number of steps, to be an int >= 0",
        ),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(sgd())


# ---------------------------------------------------------------- one cycle
def test_one_cycle_takes_total_steps_calls_and_no_more() -> None:
    scheduler = schedules.OneCycleLR(sgd(), max_lr=1.0, total_steps=6)
    rates(scheduler, 6)
    scheduler.optimizer.step()
    message = r"called 7 times, but the schedule has total_steps = 6; .* epochs \* len\(loader\)"
    with pytest.raises(ValueError, match=message):
        scheduler.step()


def test_one_cycle_ends_and_peak() -> None:
    found = schedules.OneCycleLR(sgd(), 1.0, 20, pct_start=0.25, div_factor=10.0).preview(20)
    assert found.argmax() == 4
    np.testing.assert_allclose(found[[0, 4, 19]], [0.1, 1.0, 0.1 / 1e4], rtol=1e-12)


def test_one_cycle_that_only_rises() -> None:
    found = schedules.OneCycleLR(sgd(), 1.0, 4, pct_start=1.0).preview(4)
    assert (np.diff(found) > 0).all()


# ---------------------------------------------------------------- composition
def test_warm_up_of_an_optimizer() -> None:
    found = rates(schedules.warmup(sgd(), steps=4, start_factor=0.2), 6)
    np.testing.assert_allclose(found, [0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0], rtol=1e-12)


def test_warm_up_before_a_schedule() -> None:
    found = rates(schedules.warmup(schedules.StepLR(sgd(), 2, 0.5), 2, 0.5), 6)
    np.testing.assert_allclose(found, [0.5, 0.75, 1.0, 1.0, 0.5, 0.5, 0.25], rtol=1e-12)


def test_warm_up_beside_a_plateau() -> None:
    optimizer = sgd()
    rise = schedules.warmup(optimizer, steps=2, start_factor=0.5)
    plateau = schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for metric in (1.0, 1.0, 1.0):
        optimizer.step()
        rise.step()
        plateau.step(metric)
    np.testing.assert_allclose(optimizer.param_groups[0]["lr"], 0.25)  # 1 at the top, halved twice


def test_warm_up_before_composed_schedules() -> None:
    # PyTorch raises NotImplementedError here: its composed schedulers cannot come second.
    optimizer = sgd()
    parts = [schedules.ConstantLR(optimizer, 0.5, 2), schedules.ExponentialLR(optimizer, 0.5)]
    found = rates(schedules.warmup(schedules.ChainedScheduler(parts), 2, 0.5), 5)
    np.testing.assert_allclose(found, [0.5, 0.75, 0.5, 0.25, 0.25, 0.125], rtol=1e-12)
    optimizer = sgd()
    parts = [schedules.ConstantLR(optimizer, 0.5, 9), schedules.ExponentialLR(optimizer, 0.5)]
    inner = schedules.SequentialLR(optimizer, parts, [2])
    found = rates(schedules.warmup(inner, 2, 0.5), 6)
    np.testing.assert_allclose(found, [0.5, 0.75, 0.5, 0.5, 1.0, 0.5, 0.25], rtol=1e-12)


def test_two_independent_schedulers_multiply() -> None:
    optimizer = sgd()
    halving = schedules.ExponentialLR(optimizer, 0.5)
    steps = schedules.StepLR(optimizer, 2, 0.1)
    for _ in range(4):
        optimizer.step()
        halving.step()
        steps.step()
    np.testing.assert_allclose(optimizer.param_groups[0]["lr"], 0.5**4 * 0.1**2, rtol=1e-12)


# ---------------------------------------------------------------- state and preview
def test_state_goes_through_json() -> None:
    optimizer = sgd(stepped=True)
    parts = [schedules.MultiStepLR(optimizer, [2, 3]), schedules.OneCycleLR(optimizer, 1.0, 9)]
    scheduler = schedules.SequentialLR(optimizer, parts, [4])
    for _ in range(3):
        scheduler.step()
    state = scheduler.state_dict()
    again = json.loads(json.dumps(state))
    assert again == state
    scheduler.step()
    scheduler.load_state_dict(again)
    assert scheduler.state_dict() == state


def test_a_state_that_does_not_fit() -> None:
    step, cosine = schedules.StepLR(sgd(), 2), schedules.CosineAnnealingLR(sgd(), 5)
    with pytest.raises(ValueError, match="StepLR: expected a state of StepLR, got one of 'Cosine"):
        step.load_state_dict(cosine.state_dict())
    state = step.state_dict()
    del state["gamma"]
    state["speed"] = 3
    with pytest.raises(ValueError, match=r"missing \['gamma'\], not known \['speed'\]"):
        step.load_state_dict(state)


class Decay:
    """A function with memory, as LambdaLR may be given one."""

    def __init__(self, base: float) -> None:
        self.base = base
        self.calls = 0

    def __call__(self, epoch: int) -> float:
        self.calls += 1
        return self.base**epoch


def test_the_state_of_function_objects_is_saved_and_of_functions_is_not() -> None:
    optimizer = sgd(groups=2, stepped=True)
    scheduler = schedules.LambdaLR(optimizer, [Decay(0.5), lambda epoch: 1.0])
    scheduler.step()
    scheduler.preview(50)
    state = scheduler.state_dict()
    assert state["lr_lambdas"] == [{"base": 0.5, "calls": 2}, None]
    other = schedules.LambdaLR(sgd(groups=2), [Decay(0.9), lambda epoch: 1.0])
    other.load_state_dict(state)
    assert other.lr_lambdas[0].base == 0.5  # type: ignore[attr-defined]


def test_preview_of_none_and_of_one() -> None:
    scheduler = schedules.StepLR(sgd(), 1)
    assert scheduler.preview(0).shape == (0,)
    assert scheduler.preview(1).tolist() == [1.0]


def test_last_lr_is_a_copy_and_repr_tells_it() -> None:
    scheduler = schedules.StepLR(sgd(), 2)
    scheduler.get_last_lr()[0] = 9.0
    assert scheduler.get_last_lr() == [1.0]
    assert repr(scheduler) == "StepLR(last_epoch=0, lr=[1.0])"
