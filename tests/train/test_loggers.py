"""Callbacks that watch and write: into files, and into lists."""

from __future__ import annotations

import csv
import importlib
import math
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim.lr_scheduler import ExponentialLR, StepLR
from minigrad.train import (
    Callback,
    CSVLogger,
    GradientClipping,
    GradientMonitor,
    LearningRateMonitor,
    ModelCheckpoint,
    ScheduleLR,
    TensorBoard,
    Timer,
    Trainer,
    accuracy,
)
from minigrad.train import steps as computations
from tests.train.toys import loader, network, trainer


def lines(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


# ---------------------------------------------------------------- CSVLogger
def test_rows_are_those_of_the_history(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.csv"
    made = trainer(CSVLogger(path), GradientMonitor(), metrics=[accuracy])
    history = made.fit(loader(), loader(), epochs=3)
    header, *rows = lines(path)
    assert header == history.names and "grad_norm" in header
    assert [[float(cell) for cell in row] for row in rows] == [
        list(row.values()) for row in history.rows
    ]


def test_fits_are_appended_and_columns_are_fixed(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    trainer(CSVLogger(path)).fit(loader(), epochs=2)
    trainer(CSVLogger(path)).fit(loader(), epochs=1)
    assert [row[0] for row in lines(path)] == ["epoch", "1", "2", "1"]
    before = path.read_bytes()
    with pytest.raises(ValueError, match="has the columns epoch, loss, lr, seconds, but this fit"):
        trainer(CSVLogger(path), metrics=[accuracy]).fit(loader(), epochs=1)
    assert path.read_bytes() == before
    trainer(CSVLogger(path, append=False), metrics=[accuracy]).fit(loader(), epochs=2)
    assert [row[0] for row in lines(path)] == ["epoch", "1", "2"]


def test_a_line_that_was_not_written_whole_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    trainer(CSVLogger(path)).fit(loader(), epochs=2)
    whole = path.read_bytes()
    for cut in (len(whole) - 3, 5):
        path.write_bytes(whole[:cut])
        trainer(CSVLogger(path)).fit(loader(), epochs=1)
        found = lines(path)
        assert found[0] == ["epoch", "loss", "lr", "seconds"]
        assert all(len(row) == 4 for row in found) and found[-1][0] == "1"


def test_a_resumed_fit_has_each_epoch_once(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"

    def made(*more: Callback) -> Trainer:
        mg.manual_seed(0)
        return trainer(*more, CSVLogger(path), ModelCheckpoint(tmp_path / "kept", every_epochs=2))

    class Crash(Callback):
        def on_epoch_begin(self, trainer: Any) -> None:
            if trainer.epoch == 4:
                raise KeyError("crash")

    with pytest.raises(KeyError):
        made(Crash()).fit(loader(), epochs=6)
    assert [row[0] for row in lines(path)] == ["epoch", "1", "2", "3"]
    history = made().fit(loader(), epochs=6, resume="auto")  # from epoch 2
    assert [row[0] for row in lines(path)] == ["epoch", *"123456"]
    assert [float(row[1]) for row in lines(path)[1:]] == history["loss"]
    path.write_text("something else\n")
    with pytest.raises(ValueError, match="is not the file that this run has written"):
        made().fit(loader(), epochs=6, resume="auto")


# ---------------------------------------------------------------- TensorBoard
def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = importlib.import_module

    def missing(name: str) -> Any:
        if name.startswith("tensorboard"):
            raise ModuleNotFoundError(name)
        return really(name)

    made = trainer()  # which imports the doctor
    monkeypatch.setattr(importlib, "import_module", missing)
    made.callbacks.append(TensorBoard(tmp_path / "run"))
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'minigrad\[tensorboard\]'"):
        made.fit(loader(), epochs=1)


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="tensorboard is not installed")
@pytest.mark.filterwarnings("ignore")
def test_scalars_are_read_back_by_tensorboard(tmp_path: Path) -> None:
    reading = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    made = trainer(TensorBoard(tmp_path, every_steps=2), metrics=[accuracy])
    history = made.fit(loader(), loader(), epochs=3)
    found = reading.EventAccumulator(str(tmp_path)).Reload()
    points = found.Scalars("loss/validation")
    assert [point.step for point in points] == [5, 10, 15]
    assert np.allclose([point.value for point in points], history["val_loss"])
    assert [point.step for point in found.Scalars("loss/batch")] == [2, 4, 6, 8, 10, 12, 14]
    assert {"accuracy/training", "accuracy/validation", "lr/epoch"} <= set(found.Tags()["scalars"])


# ---------------------------------------------------------------- LearningRateMonitor
def test_learning_rates_are_those_of_the_steps() -> None:
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[-1].parameters()}]
    optimizer = mg.optim.SGD(groups, lr=0.1)
    monitor, epochs = LearningRateMonitor(), LearningRateMonitor(per="epoch")
    schedule = ScheduleLR(StepLR(optimizer, 1, gamma=0.5), per="step")
    with pytest.warns(UserWarning, match="does not step 1.weight"):
        history = Trainer(model, optimizer, callbacks=[schedule, monitor, epochs]).fit(
            loader(), epochs=2
        )
    assert monitor.steps == list(range(1, 11))
    assert np.allclose(monitor.rates["lr"], 0.5 * 0.5 ** np.arange(10))
    assert np.allclose(monitor.rates["lr_1"], 0.1 * 0.5 ** np.arange(10))
    assert epochs.steps == [5, 10] and history["lr_1"] == epochs.rates["lr_1"]
    with pytest.raises(ValueError, match="per='step' or per='epoch'"):
        LearningRateMonitor(per="batch")


def test_rates_of_epochs_are_those_before_the_schedule() -> None:
    monitor = LearningRateMonitor(per="epoch")
    made = trainer(monitor, lr=0.2)
    made.callbacks.append(ScheduleLR(ExponentialLR(made.optimizer, 0.5)))
    assert made.fit(loader(), epochs=3)["lr"] == monitor.rates["lr"] == [0.2, 0.1, 0.05]


# ---------------------------------------------------------------- GradientMonitor
class Gradients(Callback):
    order = -100

    def __init__(self) -> None:
        self.norms: list[dict[str, float]] = []

    def after_backward(self, trainer: Any) -> None:
        found: dict[str, float] = {}
        for name, p in trainer.model.named_parameters():
            layer = name.rpartition(".")[0]
            found[layer] = found.get(layer, 0.0) + float((p.grad.numpy().astype(float) ** 2).sum())
        self.norms.append({layer: math.sqrt(value) for layer, value in found.items()})


def test_norms_are_those_of_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computations, "PAYS", 0)
    theirs, monitor = Gradients(), GradientMonitor(every=2)
    history = trainer(theirs, monitor, GradientClipping(max_norm=0.01)).fit(loader(), epochs=2)
    assert monitor.steps == [1, 3, 5, 6, 8, 10]
    assert list(monitor.norms) == ["0", "1", "4"]
    for i, step in enumerate(monitor.steps):
        for layer, norms in monitor.norms.items():
            assert norms[i] == pytest.approx(theirs.norms[step - 1][layer], rel=1e-5)
    totals = [math.hypot(*theirs.norms[step - 1].values()) for step in (1, 3, 5)]
    assert history["grad_norm"][0] == pytest.approx(np.mean(totals), rel=1e-5)


def test_watching_gradients_does_not_change_a_clipped_fit() -> None:
    losses = []
    for more in ([], [GradientMonitor(every=1)]):
        mg.manual_seed(0)
        made = trainer(*more, GradientClipping(max_norm=0.1))
        losses.append(made.fit(loader(), epochs=3)["loss"])
    assert losses[0] == losses[1]


# ---------------------------------------------------------------- Timer
def test_the_timer_tells_training_from_validation_and_hooks() -> None:
    class Slow(Callback):
        def on_step_end(self, trainer: Any) -> None:
            time.sleep(0.004)

        def on_train_epoch_end(self, trainer: Any) -> None:
            time.sleep(0.01)

        def on_epoch_end(self, trainer: Any) -> None:
            time.sleep(0.015)

    timer = Timer()
    started = time.perf_counter()
    trainer(Slow(), timer).fit(loader(), loader(), epochs=2)
    whole = time.perf_counter() - started
    assert timer.seconds["training"] >= 2 * (5 * 0.004 + 0.01)
    assert timer.seconds["validation"] >= 2 * 0.015
    assert timer.elapsed <= whole
    assert timer.steps == 10
    assert timer.steps_per_second == pytest.approx(10 / timer.seconds["training"])


def test_the_timer_ends_a_run_over_its_resumes() -> None:
    timer = Timer(max_seconds=1000)
    made = trainer(timer)
    made.fit(loader(), epochs=1)
    state = timer.state_dict()
    assert state["seconds"]["training"] > 0 and state["steps"] == 5

    class Loads(Callback):
        order = 600

        def on_fit_begin(self, trainer: Any) -> None:
            timer.load_state_dict(
                {"seconds": {**state["seconds"], "training": 999.999}, "steps": 5}
            )
            timer.max_seconds = 1000 - 0.001

    made.callbacks.append(Loads())
    history = made.fit(loader(), epochs=500)
    assert len(history) < 500 and "Timer: max_seconds" in history.stop_reason
    with pytest.raises(ValueError, match="max_seconds above 0"):
        Timer(0)
