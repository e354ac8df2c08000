"""The schedule's callback: units, metric, length of the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim.lr_scheduler import ExponentialLR, OneCycleLR, ReduceLROnPlateau, StepLR
from minigrad.train import ScheduleLR
from tests.train.toys import At, Scores, loader, network, trainer


def fit(make: Any, epochs: int = 4, *, values: tuple[float, ...] = (), **options: Any) -> Any:
    """Fit with a scheduler made from the optimizer; return the trainer."""
    fitted = trainer(lr=1.0)
    fitted.callbacks += [Scores(*values)] if values else []
    fitted.callbacks.append(ScheduleLR(make(fitted.optimizer), **options))
    fitted.fit(loader(16), loader(seed=1), epochs=epochs)
    return fitted


def test_per_epoch_the_row_has_the_epochs_own_lr() -> None:
    fitted = fit(lambda opt: StepLR(opt, 2, gamma=0.5))
    assert fitted.history["lr"] == [1.0, 1.0, 0.5, 0.5]
    assert fitted.optimizer.param_groups[0]["lr"] == 0.25


def test_per_step() -> None:
    fitted = fit(lambda opt: ExponentialLR(opt, 0.5), epochs=2, per="step")
    assert fitted.optimizer.param_groups[0]["lr"] == 0.5**4


def test_plateau_gets_its_metric() -> None:
    values = (1.0, 0.5, 0.5, 0.5, 0.5)
    fitted = fit(
        lambda opt: ReduceLROnPlateau(opt, factor=0.1, patience=1), epochs=5, values=values
    )
    assert fitted.history["lr"] == [1.0, 1.0, 1.0, 1.0, 0.1]


def test_plateau_on_another_metric() -> None:
    fitted = trainer(lr=1.0)
    plateau = ReduceLROnPlateau(fitted.optimizer, patience=0)
    fitted.callbacks += [
        Scores(1.0, 2.0, 3.0, name="loss"),
        ScheduleLR(plateau, monitor="loss"),
    ]
    history = fitted.fit(loader(), epochs=3)
    np.testing.assert_allclose(history["lr"], [1.0, 1.0, 0.1])


def test_a_function_learns_how_long_the_fit_is() -> None:
    seen: list[int] = []

    def one_cycle(optimizer: Any, total_steps: int) -> OneCycleLR:
        seen.append(total_steps)
        return OneCycleLR(optimizer, 1.0, total_steps=total_steps, cycle_momentum=False)

    fitted = trainer(ScheduleLR(one_cycle, per="step"))
    rates: list[float] = []

    def look(t: Any) -> None:
        rates.append(t.optimizer.param_groups[0]["lr"])

    fitted.callbacks += [At("after_backward", look, epoch=e) for e in (1, 2, 3)]
    fitted.fit(loader(40), epochs=3)
    assert seen == [15]
    assert max(rates) > 0.9
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[-1] < 1e-5
    fitted.callbacks.clear()
    fitted.callbacks.append(ScheduleLR(lambda opt, n: seen.append(n) or StepLR(opt, n)))
    fitted.fit(loader(40), epochs=4)
    assert seen == [15, 4]


def test_one_cycle_steps_per_step_of_itself() -> None:
    fitted = trainer(lr=0.1)
    schedule = OneCycleLR(fitted.optimizer, 1.0, total_steps=10, cycle_momentum=False)
    callback = ScheduleLR(schedule)
    assert repr(callback) == "ScheduleLR(OneCycleLR, per='step')"
    fitted.callbacks.append(callback)
    fitted.fit(loader(40), epochs=2)
    assert schedule.last_epoch == 10


@pytest.mark.parametrize(("per", "total", "steps"), [(None, 10, 10), ("epoch", 2, 2)])
def test_one_cycle_made_by_a_function_steps_per_step_too(per: Any, total: int, steps: int) -> None:
    callback = ScheduleLR(lambda opt, n: OneCycleLR(opt, 1.0, n, cycle_momentum=False), per)
    fitted = trainer(callback, lr=0.1)
    fitted.fit(loader(40), epochs=2)
    assert isinstance(callback.scheduler, OneCycleLR)
    assert callback.scheduler.total_steps == total
    assert callback.scheduler.last_epoch == steps
    fitted.fit(loader(40), epochs=4)
    assert callback.scheduler.last_epoch == 2 * steps


def test_a_loader_without_length_needs_a_scheduler_of_its_own() -> None:
    class Stream:
        def __iter__(self) -> Any:
            return iter(loader())

    fitted = trainer(ScheduleLR(lambda opt, n: StepLR(opt, n), per="step"))
    with pytest.raises(ValueError, match="the training loader has no len\\(\\), so total_steps"):
        fitted.fit(Stream(), epochs=2)


def test_what_does_not_go_together() -> None:
    optimizer = mg.optim.SGD(network().parameters(), lr=1.0)
    with pytest.raises(ValueError, match="ReduceLROnPlateau waits for a metric of the whole epoch"):
        ScheduleLR(ReduceLROnPlateau(optimizer), per="step")
    with pytest.raises(ValueError, match="expected per='epoch' or per='step', but got 'batch'"):
        ScheduleLR(StepLR(optimizer, 1), per="batch")
    with pytest.raises(TypeError, match="expected a scheduler or a function of"):
        ScheduleLR(StepLR)
    with pytest.raises(
        ValueError, match="StepLR was made for another optimizer than the trainer's"
    ):
        trainer(ScheduleLR(StepLR(optimizer, 1))).fit(loader(), epochs=1)
    with pytest.raises(TypeError, match="should return a scheduler .* but it returned None"):
        trainer(ScheduleLR(lambda opt, n: None)).fit(loader(), epochs=1)  # type: ignore[arg-type]


def test_plateau_without_its_metric_is_refused_at_once() -> None:
    fitted = trainer()
    fitted.callbacks.append(ScheduleLR(ReduceLROnPlateau(fitted.optimizer)))
    message = (
        "ScheduleLR monitors 'val_loss', but fit\\(\\) got no val_loader; pass one, or monitor"
    )
    with pytest.raises(ValueError, match=message):
        fitted.fit(loader(), epochs=1)
