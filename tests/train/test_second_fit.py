"""Schedules in a second fit: a function's starts over, a scheduler goes on; neither in silence."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim import lr_scheduler as schedules
from minigrad.train import Callback, ScheduleLR, Trainer
from tests.optim.scheduler_cases import CASES, build
from tests.train.toys import loader, network


class Rates(Callback):
    """Note lr and momentum of every step."""

    order = -50

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def on_fit_begin(self, trainer: Trainer) -> None:
        self.seen = []

    def after_backward(self, trainer: Trainer) -> None:
        group = trainer.optimizer.param_groups[0]
        self.seen.append((group["lr"], group["momentum"]))


def made(schedule: Any, lr: float = 0.1, **options: Any) -> tuple[Trainer, Rates]:
    model = network()
    first, *others = model.named_parameters()
    groups = [{"params": [first]}, {"params": others, "lr": 3 * lr}]
    optimizer = mg.optim.SGD(groups, lr=lr, momentum=0.7)
    rates = Rates()
    return Trainer(model, optimizer, callbacks=[rates, ScheduleLR(schedule, **options)]), rates


@pytest.mark.parametrize("per", ["epoch", "step"])
@pytest.mark.parametrize("key", CASES)
def test_a_function_makes_the_same_schedule_in_every_fit(key: str, per: str) -> None:
    fitted, rates = made(lambda opt, n: build(key, schedules, opt), per=per)
    runs = []
    for _ in range(3):
        fitted.fit(loader(16), epochs=6)
        runs.append(rates.seen)
    assert runs[0] == runs[1] == runs[2]


LONG: dict[str, Any] = {
    "cosine": lambda opt, n: schedules.CosineAnnealingLR(opt, n),
    "one cycle": lambda opt, n: schedules.OneCycleLR(opt, [0.5, 0.3], total_steps=n),
    "one cycle linear": lambda opt, n: schedules.OneCycleLR(
        opt, 0.5, total_steps=n, anneal_strategy="linear", three_phase=True
    ),
    "polynomial": lambda opt, n: schedules.PolynomialLR(opt, n),
    "warm up": lambda opt, n: schedules.warmup(schedules.CosineAnnealingLR(opt, n), 3),
    "plateau": lambda opt, n: schedules.ReduceLROnPlateau(opt, patience=0, threshold=0.5),
}


@pytest.mark.parametrize("name", LONG)
def test_fits_of_other_lengths_and_after_other_schedules(name: str) -> None:
    fitted, rates = made(LONG[name])
    for other in (None, "one cycle", "cosine", "polynomial"):
        if other is not None:
            before = Trainer(fitted.model, fitted.optimizer, callbacks=[ScheduleLR(LONG[other])])
            before.fit(loader(16), epochs=4)
        for epochs in (5, 7):
            fitted.fit(loader(16), loader(16), epochs=epochs)
            fresh, wanted = made(LONG[name])
            fresh.fit(loader(16), loader(16), epochs=epochs)
            if name != "plateau":
                assert rates.seen == wanted.seen, (other, epochs)
            assert rates.seen[0] == wanted.seen[0]


@pytest.mark.parametrize("stop", ["stopped", "interrupted", "failed"])
def test_a_fit_that_ended_early_is_followed_by_a_whole_one(stop: str) -> None:
    class Ends(Callback):
        armed = True

        def on_step_end(self, trainer: Trainer) -> None:
            if self.armed and trainer.step == 5:
                if stop == "stopped":
                    trainer.stop("enough")
                else:
                    raise KeyboardInterrupt if stop == "interrupted" else RuntimeError("boom")

    fitted, rates = made(LONG["one cycle"])
    ends = Ends()
    fitted.callbacks.append(ends)
    if stop == "failed":
        with pytest.raises(RuntimeError, match="boom"):
            fitted.fit(loader(16), epochs=4)
    else:
        fitted.fit(loader(16), epochs=4)
    ends.armed = False
    fitted.fit(loader(16), epochs=4)
    fresh, wanted = made(LONG["one cycle"])
    fresh.fit(loader(16), epochs=4)
    assert rates.seen == wanted.seen


def test_lr_and_momentum_set_by_hand_between_fits_are_kept() -> None:
    fitted, rates = made(LONG["cosine"])
    fitted.fit(loader(16), epochs=3)
    for group in fitted.optimizer.param_groups:
        group["lr"], group["momentum"] = 0.02, 0.5
    fitted.fit(loader(16), epochs=3)
    assert rates.seen[0] == (0.02, 0.5)
    fitted.fit(loader(16), epochs=3)
    assert rates.seen[0] == (0.02, 0.5)


def test_a_resumed_optimizer_starts_its_schedule_over() -> None:
    fitted, rates = made(LONG["one cycle"])
    fitted.fit(loader(16), epochs=4)
    state = fitted.optimizer.state_dict()
    first = rates.seen
    again, rates = made(LONG["cosine"])
    again.optimizer.load_state_dict(state)
    again.fit(loader(16), epochs=4)
    assert rates.seen[0] == (0.1, 0.7)
    fitted.fit(loader(16), epochs=4)
    assert fitted.callbacks[0].seen == first  # type: ignore[attr-defined]


def test_a_function_learns_its_steps_even_where_the_epochs_would_be_too_few() -> None:
    # 0.25 * 4 epochs = 1 leaves OneCycleLR no epoch to rise in; 0.25 * 8 steps does.
    def one_cycle(opt: Any, n: int) -> Any:
        return schedules.OneCycleLR(opt, 1.0, total_steps=n, pct_start=0.25)

    fitted, rates = made(one_cycle)
    history = fitted.fit(loader(16), epochs=4)
    assert len(rates.seen) == 8
    assert max(lr for lr, _ in rates.seen) == 1.0
    assert history["lr"][-1] == pytest.approx(1 / 25 / 1e4)
    with pytest.raises(ValueError, match="leaves no step to rise in"):
        made(one_cycle, per="epoch")[0].fit(loader(16), epochs=4)


def test_a_function_that_returns_the_old_scheduler_is_refused() -> None:
    kept: list[Any] = []

    def lazy(opt: Any, n: int) -> Any:
        kept.append(kept[0] if kept else schedules.CosineAnnealingLR(opt, n))
        return kept[0]

    fitted, _ = made(lazy)
    fitted.fit(loader(16), epochs=2)
    with pytest.raises(ValueError, match="returned the CosineAnnealingLR of an earlier fit again"):
        fitted.fit(loader(16), epochs=2)


def test_a_scheduler_at_its_end_says_that_nothing_is_trained() -> None:
    fitted, _ = made(LONG["cosine"])
    scheduler = schedules.PolynomialLR(fitted.optimizer, 3)
    fitted.callbacks[1] = ScheduleLR(scheduler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.fit(loader(16), epochs=3)
    message = "PolynomialLR has brought the learning rate to 0 and keeps it"
    with pytest.warns(UserWarning, match=message):
        fitted.fit(loader(16), epochs=3)


def test_a_scheduler_goes_on_in_the_next_fit() -> None:
    fitted, rates = made(LONG["cosine"])
    fitted.callbacks[1] = ScheduleLR(schedules.ExponentialLR(fitted.optimizer, 0.5))
    fitted.fit(loader(8), epochs=3)
    fitted.fit(loader(8), epochs=2)
    np.testing.assert_allclose([lr for lr, _ in rates.seen], [0.1 / 8, 0.1 / 16])
