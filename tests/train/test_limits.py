"""What cuts a fit short: max_steps, max_seconds, overfit_batches, fast_dev_run."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from minigrad.optim.lr_scheduler import OneCycleLR
from minigrad.train import Callback, ScheduleLR, accuracy
from tests.train.toys import loader, network, trainer


class Seen(Callback):
    """Count the hooks."""

    def __init__(self) -> None:
        self.hooks: list[str] = []

    def on_train_epoch_end(self, trainer: Any) -> None:
        self.hooks.append("train")

    def on_epoch_end(self, trainer: Any) -> None:
        self.hooks.append("epoch")

    def on_fit_end(self, trainer: Any) -> None:
        self.hooks.append("end")


class Writes(Callback):
    """A callback that writes files."""

    writes_files = True

    def on_fit_begin(self, trainer: Any) -> None:
        raise AssertionError("fast_dev_run should leave it out")


def test_max_steps_ends_the_fit_with_a_validated_row() -> None:
    seen = Seen()
    made = trainer(seen, metrics=[accuracy])
    history = made.fit(loader(), loader(seed=1), epochs=10, max_steps=7)  # 5 steps an epoch
    assert made.step == 7 and made.epochs == 2
    assert len(history) == 2 and history.names[-4:] == ["val_loss", "val_accuracy", "lr", "seconds"]
    assert history.stop_reason == "max_steps=7 reached"
    assert seen.hooks == ["train", "epoch", "train", "epoch", "end"]


def test_max_steps_at_the_end_of_an_epoch() -> None:
    history = trainer().fit(loader(), epochs=10, max_steps=10)
    assert len(history) == 2 and history.stop_reason == "max_steps=10 reached"


def test_schedules_are_as_long_as_max_steps() -> None:
    cycle = ScheduleLR(lambda o, total: OneCycleLR(o, 0.1, total), per="step")
    trainer(cycle).fit(loader(), epochs=10, max_steps=7)
    assert cycle.scheduler is not None and cycle.scheduler.last_epoch == 7


def test_max_seconds_ends_the_fit() -> None:
    class Slow(Callback):
        def on_step_end(self, trainer: Any) -> None:
            time.sleep(0.03)

    made = trainer(Slow())
    history = made.fit(loader(), epochs=100, max_seconds=0.1)
    # The fifth step ends after four pauses at least, so it is the last on any machine.
    assert 1 <= made.step <= 5 and len(history) == 1
    assert history.stop_reason == "max_seconds=0.1 are over"


def test_overfit_batches_are_the_same_in_every_epoch_and_validated_on() -> None:
    batches: list[np.ndarray] = []

    class Look(Callback):
        def on_step_end(self, trainer: Any) -> None:
            batches.append(trainer._batch[2].numpy().copy())

    made = trainer(Look(), model=network(norm=False), metrics=[accuracy])
    history = made.fit(loader(shuffle=True), loader(seed=1), epochs=4, overfit_batches=2)
    assert len(batches) == 8
    for epoch in range(1, 4):
        assert np.array_equal(batches[2 * epoch], batches[0])
        assert np.array_equal(batches[2 * epoch + 1], batches[1])
    scored = made.evaluate([(x, y) for x, y in made.val_loader])
    assert scored["loss"] == history["val_loss"][-1]
    assert made.val_loader is made.train_loader


def test_fast_dev_run_goes_through_all_hooks_and_leaves_out_what_writes_files() -> None:
    seen = Seen()
    made = trainer(seen, Writes())
    history = made.fit(loader(), loader(seed=1), epochs=50, fast_dev_run=True)
    assert made.step == 1 and len(history) == 1 and "val_loss" in history.names
    assert seen.hooks == ["train", "epoch", "end"]
    assert made.fit(loader(), epochs=50, fast_dev_run=3).last["epoch"] == 1 and made.step == 3
    with pytest.raises(AssertionError, match="leave it out"):
        made.fit(loader(), epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_steps": 0}, "max_steps"),
        ({"max_seconds": 0}, "max_seconds above 0"),
        ({"overfit_batches": -1}, "overfit_batches"),
        ({"overfit_batches": 0.5}, "overfit_batches"),
        ({"overfit_batches": 1, "fast_dev_run": True}, "but got both"),
    ],
)
def test_limits_out_of_range(options: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        trainer().fit(loader(), epochs=1, **options)
