"""The loop: its order, its means, its modes, its seeds, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.train import Callback, EarlyStopping, Trainer, accuracy
from tests.train.toys import At, interrupt, loader, network, rows, same, snapshot, trainer

ROOT = Path(__file__).resolve().parents[2]


class Log(Callback):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_fit_begin(self, trainer: Trainer) -> None:
        self.seen.append("fit")

    def on_epoch_begin(self, trainer: Trainer) -> None:
        self.seen.append(f"epoch {trainer.epoch}")

    def after_backward(self, trainer: Trainer) -> None:
        assert all(p.grad is not None for p in trainer.model.parameters())
        self.seen.append("backward")

    def on_step_end(self, trainer: Trainer) -> None:
        assert all(p.grad is None for p in trainer.model.parameters())
        self.seen.append(f"step {trainer.step}")

    def on_epoch_end(self, trainer: Trainer) -> None:
        assert trainer.history.last["epoch"] == trainer.epoch
        self.seen.append("epoch end")

    def on_fit_end(self, trainer: Trainer) -> None:
        self.seen.append("fit end")


def test_hooks_come_in_order() -> None:
    log = Log()
    trainer(log).fit(loader(16), epochs=2)
    steps = [["backward", f"step {i}"] for i in range(1, 5)]
    first = ["epoch 1", *steps[0], *steps[1], "epoch end"]
    second = ["epoch 2", *steps[2], *steps[3], "epoch end"]
    assert log.seen == ["fit", *first, *second, "fit end"]


def test_fit_is_the_loop_by_hand() -> None:
    mg.manual_seed(3)
    fitted = trainer(lr=0.1)
    fitted.fit(loader(shuffle=True, generator=mg.Generator(5)), epochs=3)
    mg.manual_seed(3)
    model = network()
    optimizer = mg.optim.SGD(model.named_parameters(), lr=0.1)
    batches = loader(shuffle=True, generator=mg.Generator(5))
    for _ in range(3):
        for x, y in batches:
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert same(snapshot(fitted.model), snapshot(model))


def test_it_learns_and_measures() -> None:
    fitted = trainer(metrics=[accuracy], lr=0.1)
    history = fitted.fit(loader(120, shuffle=True), loader(60, seed=1), epochs=8)
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    assert history.names == columns
    assert history["epoch"] == list(range(1, 9))
    assert history["val_accuracy"][-1] > 0.85
    assert history.stop_reason == "all epochs done"
    scores = fitted.evaluate(loader(60, seed=1))
    assert scores == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}


def test_means_weigh_batches_by_their_rows() -> None:
    fitted = trainer(metrics={"accuracy": accuracy})
    by_parts = fitted.evaluate(loader(37, batch_size=10))  # the last batch has 7 rows
    whole = fitted.evaluate(loader(37, batch_size=37))
    assert by_parts["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    assert by_parts["accuracy"] == pytest.approx(whole["accuracy"], rel=1e-6)


def test_same_seed_same_bits() -> None:
    runs = []
    for _ in range(2):
        mg.manual_seed(11)
        fitted = trainer(model=network(dropout=0.3))
        history = fitted.fit(loader(shuffle=True), loader(seed=1), epochs=3)
        runs.append((snapshot(fitted.model), history["loss"], history["val_loss"]))
    assert same(runs[0][0], runs[1][0])
    assert runs[0][1:] == runs[1][1:]


def test_validation_does_not_touch_the_training() -> None:
    states = []
    for validation in (None, loader(seed=1)):
        mg.manual_seed(2)
        fitted = trainer(model=network(dropout=0.3))
        fitted.fit(loader(shuffle=True, generator=mg.Generator(1)), validation, epochs=2)
        states.append(snapshot(fitted.model))
    assert same(*states)


def test_modes_come_back() -> None:
    model = network()
    model[1].eval()
    fitted = trainer(model=model)
    before = [module.training for module in model.modules()]
    fitted.evaluate(loader())
    fitted.predict(rows()[0])
    assert [module.training for module in model.modules()] == before
    seen: list[bool] = []
    fitted.callbacks.append(At("after_backward", lambda t: seen.append(t.model[1].training)))
    fitted.fit(loader(), loader(seed=1), epochs=1)
    assert set(seen) == {False}  # frozen by the user: in eval through the fit
    assert [module.training for module in model.modules()] == before


def test_evaluation_leaves_statistics_alone_and_records_nothing() -> None:
    fitted = trainer()
    before = snapshot(fitted.model)
    fitted.evaluate(loader())
    assert same(before, snapshot(fitted.model))
    assert not fitted.predict(rows()[0]).requires_grad


def test_predict_takes_arrays_tensors_and_loaders() -> None:
    fitted = trainer()
    x, _ = rows()
    whole = fitted.predict(x).numpy()
    assert whole.shape == (40, 3)
    np.testing.assert_allclose(fitted.predict(mg.Tensor(x), batch_size=7).numpy(), whole, rtol=1e-5)
    np.testing.assert_allclose(fitted.predict(loader()).numpy(), whole, rtol=1e-5)
    with pytest.raises(ValueError, match="expected at least one row, but got shape \\(0, 4\\)"):
        fitted.predict(x[:0])


def test_old_gradients_do_not_count() -> None:
    states = []
    for stale in (False, True):
        mg.manual_seed(0)
        fitted = trainer()
        if stale:
            F.cross_entropy(
                fitted.model.eval()(mg.Tensor(rows()[0])), mg.Tensor(rows()[1])
            ).backward()
            fitted.model.train()
        fitted.fit(loader(), epochs=1)
        states.append(snapshot(fitted.model))
    assert same(*states)


def test_stop_ends_the_fit_and_an_unfinished_epoch_has_no_row() -> None:
    fitted = trainer(At("on_step_end", lambda t: t.stop("enough"), epoch=2))
    history = fitted.fit(loader(), loader(seed=1), epochs=5)
    assert (len(history), history.stop_reason, fitted.step) == (1, "enough", 6)


def test_ctrl_c_keeps_the_history_and_restores_the_best() -> None:
    early = EarlyStopping("loss", patience=50)
    kept: list[Any] = []
    keep = At("on_epoch_end", lambda t: kept.append(snapshot(t.model)), epoch=2)
    fitted = trainer(early, keep, At("on_step_end", interrupt, epoch=3))
    history = fitted.fit(loader(), epochs=5)
    assert history.interrupted
    assert history.stop_reason == "interrupted in epoch 3"
    assert (len(history), history.restored_epoch) == (2, 2)
    assert same(snapshot(fitted.model), kept[0])
    assert fitted.model.training


SIGNALLED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
import minigrad as mg
from minigrad.train import Callback, EarlyStopping
from tests.train.toys import loader, trainer

class Say(Callback):
    def on_epoch_end(self, trainer):
        print("epoch", flush=True)

early = EarlyStopping("loss", patience=10**6)
fitted = trainer(early, Say())
history = fitted.fit(loader(), epochs=10**6)
print(history.interrupted, history.restored_epoch == early.best_epoch, len(history) > 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_a_real_sigint_ends_the_fit() -> None:
    command = [sys.executable, "-c", textwrap.dedent(SIGNALLED)]
    path = {"PYTHONPATH": f"{ROOT / 'kernels'}:{ROOT}"}
    environment = {**os.environ, **path}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "epoch\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "True True True"


def test_every_on_fit_end_runs_even_if_one_raises() -> None:
    class Broken(Callback):
        def on_fit_end(self, trainer: Trainer) -> None:
            raise RuntimeError("broken")

    log = Log()
    with pytest.raises(RuntimeError, match="broken"):
        trainer(Broken(), log).fit(loader(16), epochs=1)
    assert log.seen[-1] == "fit end"


def test_arguments_in_the_wrong_place() -> None:
    model = network()
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match="expected a Module as model, but got SGD"):
        Trainer(optimizer, model)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected an optimizer as second argument"):
        Trainer(model, F.cross_entropy)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected Callbacks, but got .*a class: make one of it"):
        Trainer(model, optimizer, callbacks=[EarlyStopping])  # type: ignore[list-item]


def test_repr_names_the_parts() -> None:
    text = repr(trainer(EarlyStopping(patience=3), metrics=[accuracy]))
    assert text.startswith("Trainer(Sequential, SGD, loss=cross_entropy, metrics=['accuracy']")
    assert "EarlyStopping(monitor='val_loss', patience=3" in text
