"""Every scheduler, made and loaded in any order at any place, goes on as if nothing had been."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import lr_scheduler
from minigrad.optim.lr_scheduler.base import start_over
from tests.optim import scheduler_cases as cases
from tests.optim.test_schedulers_golden import optimizer_for

PLACES = (0, 1, 2, 4, 5, 8, 9, 15, 20, 23)
Pair = tuple[Any, Any]
Order = Callable[[str, Any, Any], Pair]


def make(key: str, optimizer: Any) -> Any:
    return cases.build(key, lr_scheduler, optimizer)


def optimizer_make_scheduler(key: str, optimizer: Any, scheduler: Any) -> Pair:
    new = optimizer_for(key)
    new.load_state_dict(optimizer.state_dict())
    made = make(key, new)
    made.load_state_dict(scheduler.state_dict())
    return new, made


def make_optimizer_scheduler(key: str, optimizer: Any, scheduler: Any) -> Pair:
    new = optimizer_for(key)
    made = make(key, new)
    new.load_state_dict(optimizer.state_dict())
    made.load_state_dict(scheduler.state_dict())
    return new, made


def make_scheduler_optimizer(key: str, optimizer: Any, scheduler: Any) -> Pair:
    new = optimizer_for(key)
    made = make(key, new)
    made.load_state_dict(scheduler.state_dict())
    new.load_state_dict(optimizer.state_dict())
    return new, made


def scheduler_alone(key: str, optimizer: Any, scheduler: Any) -> Pair:
    new = optimizer_for(key)
    made = make(key, new)
    made.load_state_dict(scheduler.state_dict())
    return new, made


def on_the_same_optimizer(key: str, optimizer: Any, scheduler: Any) -> Pair:
    state = scheduler.state_dict()
    made = make(key, optimizer)
    made.load_state_dict(state)
    return optimizer, made


def through_json(key: str, optimizer: Any, scheduler: Any) -> Pair:
    new = optimizer_for(key)
    text = json.dumps(optimizer.state_dict(), default=lambda tensor: tensor.tolist())
    new.load_state_dict(json.loads(text))
    made = make(key, new)
    made.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    return new, made


def copied(key: str, optimizer: Any, scheduler: Any) -> Pair:
    return copy.deepcopy((optimizer, scheduler))  # type: ignore[no-any-return]


def on_a_started_pair(key: str, optimizer: Any, scheduler: Any) -> Pair:
    new = optimizer_for(key)
    made = make(key, new)
    for _ in range(3):
        advance(key, new, made, 0)
    new.load_state_dict(optimizer.state_dict())
    made.load_state_dict(scheduler.state_dict())
    return new, made


ORDERS: tuple[Order, ...] = (
    optimizer_make_scheduler,
    make_optimizer_scheduler,
    make_scheduler_optimizer,
    scheduler_alone,
    on_the_same_optimizer,
    through_json,
    copied,
    on_a_started_pair,
)


def advance(key: str, optimizer: Any, scheduler: Any, step: int) -> None:
    optimizer.step()
    scheduler.step(*((cases.PLATEAUS[key][1][step],) if key in cases.PLATEAUS else ()))


def to(key: str, optimizer: Any, scheduler: Any, start: int, end: int) -> list[Any]:
    """Step from one place to another; return lr, momentum and beta1 at each."""
    rows = [cases.snapshot(optimizer)]
    for step in range(start, end):
        advance(key, optimizer, scheduler, step)
        rows.append(cases.snapshot(optimizer))
    return rows


@pytest.mark.filterwarnings("ignore:ReduceLROnPlateau. threshold_mode")
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.__name__)
@pytest.mark.parametrize("key", cases.ALL_KEYS)
def test_any_order_goes_on_bit_for_bit(key: str, order: Order) -> None:
    optimizer = optimizer_for(key)
    straight = to(key, optimizer, make(key, optimizer), 0, cases.STEPS)
    for place in PLACES:
        before = optimizer_for(key)
        scheduler = make(key, before)
        to(key, before, scheduler, 0, place)
        optimizer, resumed = order(key, before, scheduler)
        assert to(key, optimizer, resumed, place, cases.STEPS) == straight[place:], place
        assert resumed.get_last_lr() == [group["lr"] for group in optimizer.param_groups]


class LastEpoch:
    """The schedulers' module as it looks to one who resumes by number."""

    def __init__(self, last_epoch: int) -> None:
        self.last_epoch = last_epoch

    def __getattr__(self, name: str) -> Any:
        kind = getattr(lr_scheduler, name)
        return lambda *args, **options: kind(*args, **options, last_epoch=self.last_epoch)


SINGLE = [key for key in cases.CASES if not key.startswith(("Sequential", "Chained"))]


@pytest.mark.parametrize("key", SINGLE)
def test_resumed_by_the_number_of_the_last_epoch(key: str) -> None:
    # PyTorch drops the lr twice where a step or milestone is resumed on, and loses the period.
    optimizer = optimizer_for(key)
    straight = to(key, optimizer, make(key, optimizer), 0, cases.STEPS)
    for place in PLACES[1:]:
        before = optimizer_for(key)
        to(key, before, make(key, before), 0, place)
        new = optimizer_for(key)
        new.load_state_dict(before.state_dict())
        resumed = cases.build(key, LastEpoch(place - 1), new)
        assert to(key, new, resumed, place, cases.STEPS) == straight[place:], place


@pytest.mark.parametrize("place", PLACES[1:])
def test_a_sequence_resumed_by_number(place: int) -> None:
    def sequence(optimizer: Any, last_epoch: int = -1) -> Any:
        parts = [
            lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4),
            lr_scheduler.CosineAnnealingLR(optimizer, 10),
        ]
        return lr_scheduler.SequentialLR(optimizer, parts, [4], last_epoch)

    optimizer = optimizer_for("SequentialLR")
    straight = to("SequentialLR", optimizer, sequence(optimizer), 0, cases.STEPS)
    new = optimizer_for("SequentialLR")
    new.load_state_dict(optimizer.state_dict())
    resumed = sequence(new, place - 1)
    assert to("SequentialLR", new, resumed, place, cases.STEPS) == straight[place:]


def test_a_state_of_other_parameter_groups_is_refused_whole() -> None:
    scheduler = make("StepLR", optimizer_for("StepLR"))
    one = lr_scheduler.StepLR(mg.optim.SGD([mg.zeros(1)], lr=1.0), 3)
    with pytest.raises(ValueError, match="an optimizer with 2 parameter groups, .* here has 1"):
        one.load_state_dict(scheduler.state_dict())
    assert one.optimizer.param_groups[0]["lr"] == 1.0


# ---------------------------------------------------------------- made for a used optimizer
def test_a_change_by_hand_after_loading_stays() -> None:
    optimizer = optimizer_for("StepLR")
    scheduler = make("StepLR", optimizer)
    to("StepLR", optimizer, scheduler, 0, 4)
    scheduler.load_state_dict(scheduler.state_dict())
    optimizer.param_groups[0]["lr"] = 0.7
    advance("StepLR", optimizer, scheduler, 4)
    assert optimizer.param_groups[0]["lr"] == 0.7


SPENT: dict[str, Any] = {
    "cosine": lambda m, o: m.CosineAnnealingLR(o, 5),
    "cosine.eta_min": lambda m, o: m.CosineAnnealingLR(o, 5, eta_min=0.01),
    "polynomial": lambda m, o: m.PolynomialLR(o, 5),
    "linear": lambda m, o: m.LinearLR(o, 1.0, 0.0, 5),
    "warm up, cosine": lambda m, o: m.warmup(m.CosineAnnealingLR(o, 3), 2),
}


@pytest.mark.parametrize("key", SPENT)
def test_a_schedule_made_after_one_that_ended_at_the_bottom_starts_over(key: str) -> None:
    optimizer = mg.optim.SGD([mg.zeros(1)], lr=0.5)
    runs = []
    for _ in range(3):
        scheduler = SPENT[key](lr_scheduler, optimizer)
        runs.append(to("", optimizer, scheduler, 0, 5))
    np.testing.assert_allclose(runs[0][-1][0][0], 0.01 if "eta_min" in key else 0.0, atol=1e-15)
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(runs[2], runs[0], rtol=1e-12, atol=1e-15)


def test_a_schedule_made_in_the_middle_of_another_goes_on_from_its_lr() -> None:
    optimizer = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    to("", optimizer, lr_scheduler.ExponentialLR(optimizer, 0.5), 0, 3)
    assert to("", optimizer, lr_scheduler.StepLR(optimizer, 1, 0.5), 0, 1) == [
        [[0.125, 0.0, 0.0]],
        [[0.0625, 0.0, 0.0]],
    ]


def test_a_group_frozen_by_hand_stays_frozen() -> None:
    optimizer = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    to("", optimizer, lr_scheduler.ExponentialLR(optimizer, 0.5), 0, 3)
    optimizer.param_groups[0]["lr"] = 0.0
    lr_scheduler.CosineAnnealingLR(optimizer, 5)
    assert optimizer.param_groups[0]["lr"] == 0.0


@pytest.mark.parametrize("key", [*SINGLE, "SequentialLR", "ChainedScheduler", "OneCycleLR@AdamW"])
def test_starting_over_leaves_nothing(key: str) -> None:
    optimizer = optimizer_for(key)
    before = optimizer.state_dict()["param_groups"]
    first = to(key, optimizer, make(key, optimizer), 0, 11)
    start_over(optimizer)
    assert optimizer.state_dict()["param_groups"] == before
    assert to(key, optimizer, make(key, optimizer), 0, 11) == first
    optimizer.param_groups[0]["lr"] = 0.007  # by hand: stays
    start_over(optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [0.007, cases.RATES[1]]


# ---------------------------------------------------------------- one cycle, restarts
@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("total", [4, 10, 25, 101])
def test_the_last_call_of_one_cycle_stays_at_the_bottom(
    strategy: str, three_phase: bool, total: int
) -> None:
    optimizer = mg.optim.SGD([mg.zeros(1)], lr=0.1, momentum=0.9)
    options: Any = {"anneal_strategy": strategy, "three_phase": three_phase}
    schedule = lr_scheduler.OneCycleLR(optimizer, 1.0, total, **options)
    rows = to("", optimizer, schedule, 0, total)
    assert rows[total] == rows[total - 1]
    assert rows[total][0][0] == pytest.approx(1 / 25 / 1e4)


@pytest.mark.parametrize(("first", "times"), [(1, 1), (3, 1), (1, 2), (3, 3), (7, 10)])
def test_restarts_lie_where_the_periods_end(first: int, times: int) -> None:
    optimizer = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    optimizer.step()
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, first, times)
    start, period = 0, first
    for _ in range(5):
        for epoch, expected in ((start, 1.0), (start + period / 2, 0.5)):
            schedule.step(epoch)
            assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, abs=1e-9), epoch
        start, period = start + period, period * times


@pytest.mark.parametrize("epoch", [-1, float("nan"), float("inf"), "2", True, None, [1]])
def test_an_epoch_that_is_none(epoch: Any) -> None:
    optimizer = mg.optim.SGD([mg.zeros(1)], lr=1.0)
    optimizer.step()
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2)
    if epoch is None:
        schedule.step(epoch)
        return
    with pytest.raises((TypeError, ValueError), match="epoch"):
        schedule.step(epoch)
    assert optimizer.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize("key", ["MultiplicativeLR", "SequentialLR", "ChainedScheduler"])
def test_what_cannot_be_entered_in_its_middle(key: str) -> None:
    optimizer = optimizer_for(key)
    scheduler = make(key, optimizer)
    optimizer.step()
    state = scheduler.state_dict()
    with pytest.raises(TypeError, match="takes no epoch"):
        scheduler.step(3)
    assert scheduler.state_dict() == state


# ---------------------------------------------------------------- numbers of other types
NUMBERS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "StepLR": lambda m, o, i, f: m.StepLR(o, i(3), f(0.5)),
    "MultiStepLR": lambda m, o, i, f: m.MultiStepLR(o, np.array([5, 2, 5, 9]), f(0.5)),
    "ConstantLR": lambda m, o, i, f: m.ConstantLR(o, f(0.25), i(4)),
    "LinearLR": lambda m, o, i, f: m.LinearLR(o, f(0.25), f(0.75), i(6)),
    "ExponentialLR": lambda m, o, i, f: m.ExponentialLR(o, f(0.75)),
    "PolynomialLR": lambda m, o, i, f: m.PolynomialLR(o, i(8), f(2.0)),
    "LambdaLR": lambda m, o, i, f: m.LambdaLR(o, lambda e: f(0.5**e)),
    "MultiplicativeLR": lambda m, o, i, f: m.MultiplicativeLR(o, lambda e: f(0.75)),
    "CosineAnnealingLR": lambda m, o, i, f: m.CosineAnnealingLR(o, i(7), f(0.0625)),
    "CosineAnnealingWarmRestarts": lambda m, o, i, f: m.CosineAnnealingWarmRestarts(
        o, i(3), i(2), f(0.0625)
    ),
    "OneCycleLR": lambda m, o, i, f: m.OneCycleLR(o, f(0.5), i(25), pct_start=f(0.25)),
    "CyclicLR": lambda m, o, i, f: m.CyclicLR(o, f(0.125), f(0.5), i(4), i(6)),
    "ReduceLROnPlateau": lambda m, o, i, f: m.ReduceLROnPlateau(
        o, "min", f(0.5), i(2), f(0.25), cooldown=i(1), min_lr=f(0.0625)
    ),
    "SequentialLR": lambda m, o, i, f: m.SequentialLR(
        o, [m.ConstantLR(o, f(0.5), i(2)), m.StepLR(o, i(2))], [i(3)]
    ),
    "ChainedScheduler": lambda m, o, i, f: m.ChainedScheduler([m.StepLR(o, i(2), f(0.5))], o),
}
TYPES: dict[str, tuple[Any, Any]] = {
    "python": (int, float),
    "numpy": (np.int32, np.float64),
    "half as wide": (np.uint8, np.float32),
    "0-d arrays": (lambda n: np.array(n), lambda x: np.array(x)),
    "0-d tensors": (lambda n: mg.tensor(n), lambda x: mg.tensor(x)),
}


@pytest.mark.parametrize("key", NUMBERS)
def test_numbers_of_any_type_make_the_same_schedule(key: str) -> None:
    found = {}
    for name, (whole, number) in TYPES.items():
        optimizer = mg.optim.SGD([mg.zeros(1)], lr=0.5, momentum=0.5)
        schedule = NUMBERS[key](lr_scheduler, optimizer, whole, number)
        rows = [cases.snapshot(optimizer)]
        for step in range(20):
            optimizer.step()
            schedule.step(*((number(cases.METRICS[step]),) * (key == "ReduceLROnPlateau")))
            rows.append(cases.snapshot(optimizer))
        found[name] = rows
        state = schedule.state_dict()
        assert json.loads(json.dumps(state)) == state, name  # plain numbers, whatever came
    for name, rows in found.items():
        np.testing.assert_allclose(rows, found["python"], rtol=1e-6, err_msg=name)


def test_every_scheduler_has_such_numbers() -> None:
    assert set(NUMBERS) == set(lr_scheduler.SCHEDULERS)
