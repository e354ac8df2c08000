"""Report: a page that holds the run's numbers and nothing else; it changes nothing of the fit."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.cli.main import main
from minigrad.train import EarlyStopping, ModelCheckpoint, Report, accuracy
from minigrad.train.callbacks.history import History
from minigrad.train.callbacks.report import PROFILED
from minigrad.train.outcomes import Outcome
from minigrad.train.pages import MOST_CHARTS, confusion, curve, epochs, residuals, times
from minigrad.train.probing import probe, spread_of
from minigrad_kernels.jit import plain
from minigrad_kernels.pages.page import page
from tests.html_page import Page, checked_page
from tests.train.toys import At, interrupt

HOSTILE = "</td><script>alert(1)</script>\"'<img src=//x onerror=y>&amp;"


def network(last: int = 3) -> Any:
    return mg.nn.Sequential(
        mg.nn.Linear(4, 16, bias=False),
        mg.nn.BatchNorm1d(16),
        mg.nn.ReLU(),
        mg.nn.Dropout(0.2),
        mg.nn.Linear(16, last),
    )


def fitted(
    *callbacks: Any, rounds: int = 4, model: Any = None, loss: Any = None, **options: Any
) -> tuple[Any, History]:
    mg.manual_seed(0)
    train, validation, _ = mg.data.load_iris().split(seed=0)
    model = model or network()
    options = {"doctor": False, **options}
    trainer = mg.Trainer(
        model,
        mg.optim.AdamW(model.parameters(), lr=0.01),
        loss or mg.nn.functional.cross_entropy,
        metrics={"accuracy": accuracy},
        callbacks=callbacks,
        **options,
    )
    loaders = mg.data.DataLoader(train, 16, shuffle=True), mg.data.DataLoader(validation, 16)
    return trainer, trainer.fit(*loaders, epochs=rounds)


def read(path: Path) -> Page:
    return checked_page(path.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- the page
def test_the_page_holds_the_run(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    names = ["setosa", "versicolor", "virginica"]
    report = Report(path, class_names=names, details={"note": "mine"})
    trainer, history = fitted(EarlyStopping(patience=50), report, rounds=6)
    shown = read(path)
    assert shown.headings[1:] == [
        *("Curves", "Gradients", "Norms by depth", "Norms over the epochs, on one scale"),
        *("Elements", "Weights", "Activations"),
        *("Confusion matrix", "Time by kernel", "Configuration", "Epochs"),
    ]
    # Every number of the history stands in its table, to six digits.
    table = [row for row in shown.rows if len(row) == len(history.names)][-6:]
    for row, true in zip(table, history, strict=True):
        found = [float(text.split()[0]) for text in row]
        assert found == pytest.approx(list(true.values()), rel=1e-5)
    # The confusion matrix is that of the weights that the fit has ended with.
    _, validation, _ = mg.data.load_iris().split(seed=0)
    guess = trainer.predict(validation).argmax(1).numpy()
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (validation[:][1].numpy(), guess), 1)
    for name, line in zip(names, counts, strict=True):
        assert [name, *map(str, line)] in shown.rows
    assert "mine" in shown.text and "AdamW" in shown.text and "Dropout" in shown.text
    assert f"best epoch: {history.best_epoch}" in shown.svg_texts
    assert any("AdamW step" in row for row in shown.rows)
    assert any(label.startswith("norm of the gradient of 0.weight") for label in shown.labels)


def test_the_last_probe_is_in_the_page(tmp_path: Path) -> None:
    report = Report(tmp_path / "r.html")
    trainer, _ = fitted(report, rounds=3)
    shown = read(tmp_path / "r.html")
    weights = trainer.model[0].weight.array
    (row,) = [r for r in shown.rows if r[:2] == ["0.weight, Linear", "3"] and "0.0 %" in r][-1:]
    assert float(row[2]) == pytest.approx(float(np.linalg.norm(weights)), rel=1e-2)
    assert float(row[3]) == pytest.approx(float(weights.min()), rel=1e-2)
    assert float(row[9]) == pytest.approx(float(weights.max()), rel=1e-2)


def test_nothing_that_is_told_becomes_markup(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    bad = SimpleNamespace(code=HOSTILE, title=HOSTILE, seen=HOSTILE, why=HOSTILE, fix=HOSTILE)
    model = mg.nn.Sequential()
    model.add_module("<b>", mg.nn.Linear(4, 3))
    report = Report(
        path, class_names=[HOSTILE] * 3, title=HOSTILE, details={HOSTILE: HOSTILE}, findings=[bad]
    )
    mg.manual_seed(0)
    train, validation, _ = mg.data.load_iris().split(seed=0)
    trainer = mg.Trainer(
        model,
        mg.optim.SGD(model.parameters(), lr=0.1),
        metrics={HOSTILE: accuracy},
        callbacks=[report],
        doctor=False,
    )
    loaders = mg.data.DataLoader(train, 16), mg.data.DataLoader(validation, 16)
    trainer.fit(*loaders, epochs=2)
    shown = read(path)
    assert not {"script", "img", "b"} & shown.tags
    assert shown.headings[:3] == [HOSTILE, "Findings", f"{HOSTILE}: {HOSTILE}"]
    assert sum(row[0] == HOSTILE for row in shown.rows if row) >= 3


def test_findings_of_the_doctor_come_by_themselves(tmp_path: Path) -> None:
    model = mg.nn.Sequential(mg.nn.Linear(4, 3), mg.nn.Softmax(1))
    path = tmp_path / "r.html"
    trainer, _ = fitted(Report(path), model=model, rounds=2, doctor="collect")
    (found,) = [f for f in trainer.doctor.report if f.code == "MG101"]
    shown = read(path)
    assert shown.headings[1:3] == ["Findings", f"MG101: {found.title}"]
    assert found.seen in shown.text and found.fix in shown.text
    fitted(Report(path), rounds=25, doctor="collect")
    assert "found nothing" in read(path).text
    fitted(Report(path), rounds=1)
    assert "Findings" not in read(path).headings


def test_a_regression_has_residuals(tmp_path: Path) -> None:
    mg.manual_seed(0)
    x = mg.randn(200, 4)
    y = x.sum(1, keepdim=True)
    model = mg.nn.Linear(4, 1)
    report = Report(tmp_path / "r.html")
    trainer = mg.Trainer(
        model,
        mg.optim.SGD(model.parameters(), lr=0.1),
        mg.nn.functional.mse_loss,
        callbacks=[report],
        doctor=False,
    )
    data = mg.data.DataLoader(mg.data.TensorDataset(x, y), 50)
    trainer.fit(data, data, epochs=2)
    shown = read(tmp_path / "r.html")
    error = model(x).detach().numpy() - y.numpy()
    assert "Residuals" in shown.headings
    assert f"{np.abs(error).max():.4g}" in shown.text
    assert f"{error.std():.4g}" in shown.text


# ---------------------------------------------------------------- it is only looking
@pytest.mark.parametrize("capture", [True, False])
def test_a_fit_with_a_report_is_the_same_to_the_bit(tmp_path: Path, capture: bool) -> None:
    plain_fit, history = fitted(EarlyStopping(patience=50), rounds=25, capture=capture)
    mg.rand(1)
    seen_fit, seen = fitted(
        EarlyStopping(patience=50), Report(tmp_path / "r.html"), rounds=25, capture=capture
    )
    for (name, a), (_, b) in zip(
        plain_fit.model.state_dict().items(), seen_fit.model.state_dict().items(), strict=True
    ):
        assert a.numpy().tobytes() == b.numpy().tobytes(), name
    assert [{**r, "seconds": 0} for r in history] == [{**r, "seconds": 0} for r in seen]
    assert seen_fit.explain() == plain_fit.explain()  # no step was recorded anew
    assert all(p.grad is None for p in seen_fit.model.parameters())
    assert all(not (m._hooks or {}) for m in seen_fit.model.modules())


def test_a_probe_sees_what_there_is_and_sets_all_back() -> None:
    mg.manual_seed(3)
    model = network()
    x, target = mg.randn(8, 4), mg.randint(0, 3, (8,))
    before = {k: v.numpy().tobytes() for k, v in model.state_dict().items()}
    expected = mg.rand(3).numpy().tobytes()
    mg.manual_seed(3)
    model = network()
    x, target = mg.randn(8, 4), mg.randint(0, 3, (8,))
    found = probe(model, mg.nn.functional.cross_entropy, x, target)
    assert mg.rand(3).numpy().tobytes() == expected
    assert {k: v.numpy().tobytes() for k, v in model.state_dict().items()} == before
    mg.nn.functional.cross_entropy(model(x), target).backward()
    for name, p in model.named_parameters():
        assert found.gradients[name].norm > 0
        assert found.weights[name].norm == pytest.approx(float(np.linalg.norm(p.array)), rel=1e-6)
        assert p.grad is not None
    relu = found.activations["2"]
    assert relu.quantiles[0] == 0 and 0.2 < relu.zeros < 0.8
    assert list(found.activations) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("size", [1, 7, 8_000, 100_000])
def test_quantiles_are_numpys(size: int) -> None:
    values = np.random.default_rng(0).normal(size=size).astype(np.float32)
    found = spread_of(values).quantiles
    exact = np.quantile(values, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1))
    near = 1e-6 if size <= 8_000 else 0.05
    assert found == pytest.approx(exact.tolist(), abs=near)
    assert found[0] == values.min() and found[-1] == values.max()


def test_awkward_arrays_have_a_spread() -> None:
    assert spread_of(np.zeros((0, 3), np.float32)).norm == 0
    lost = spread_of(np.array([np.nan, np.inf, 3.0, 4.0], np.float32))
    assert math.isnan(lost.norm) and lost.lost == 0.5
    assert math.isnan(spread_of(np.full(3, np.nan)).quantiles[3])
    assert spread_of(np.array([True, False])).zeros == 0.5


# ---------------------------------------------------------------- however it ends
def test_five_steps_are_timed_of_the_second_epoch(tmp_path: Path) -> None:
    report = Report(tmp_path / "r.html")
    fitted(report, rounds=2)
    assert {s.name: s.calls for s in report.profile.ops}["AdamW step"] == PROFILED
    fitted(report, rounds=1)  # of a single epoch of 7 steps: those after the first three
    assert 1 <= {s.name: s.calls for s in report.profile.ops}["AdamW step"] <= PROFILED


@pytest.mark.parametrize("action", ["interrupt", "fail", "stop", "nan"])
def test_a_page_is_written_however_the_fit_ends(tmp_path: Path, action: str) -> None:
    path = tmp_path / "r.html"

    def act(trainer: Any) -> None:
        if action == "interrupt":
            interrupt(trainer)
        if action == "fail":
            raise ZeroDivisionError
        if action == "stop":
            trainer.stop("enough")
            return
        for p in trainer.model.parameters():
            p.array[...] = np.nan

    hook = At("on_step_end", act, epoch=3)
    if action == "fail":
        with pytest.raises(ZeroDivisionError):
            fitted(hook, Report(path))
    else:
        fitted(hook, Report(path))
    shown = read(path)
    reason = {"interrupt": "interrupted in epoch 3", "stop": "enough", "nan": "all epochs done"}
    assert reason.get(action, "by an error") in shown.text
    if action == "nan":
        assert "Not finite in" in shown.text and "100 % not finite" in shown.text
        assert ["4", *["nan"] * 5] in shown.rows  # a norm is not 0 for that
        assert "5 not finite of 5; they have no point" in shown.text


def test_a_fit_without_a_finished_epoch(tmp_path: Path) -> None:
    fitted(At("on_step_end", interrupt, epoch=1), Report(tmp_path / "r.html"))
    assert "No epoch was finished." in read(tmp_path / "r.html").text


def test_a_loss_that_cannot_be_run_again_costs_no_fit(tmp_path: Path) -> None:
    calls: list[int] = []

    def once(output: Any, target: Any) -> Any:
        calls.append(len(output))
        if len(calls) == 8:  # the first epoch has seven steps
            raise RuntimeError("only seven")
        return mg.nn.functional.cross_entropy(output, target)

    with pytest.warns(UserWarning, match="Report: gradients and activations: RuntimeError: only"):
        _, history = fitted(Report(tmp_path / "r.html"), loss=once, rounds=2, capture=False)
    assert len(history) == 2
    assert "RuntimeError: only seven" in read(tmp_path / "r.html").text


def test_a_place_that_cannot_be_written_is_said_before_the_fit(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        fitted(Report(tmp_path / "file" / "r.html"))


def test_a_disk_that_is_full_in_the_end_costs_no_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minigrad.train.pages.write_whole", full)
    with pytest.warns(UserWarning, match="No space left"):
        _, history = fitted(Report(tmp_path / "r.html"))
    assert len(history) == 4


def test_a_resumed_run_has_all_epochs(tmp_path: Path) -> None:
    whole = Report(tmp_path / "whole.html")
    fitted(whole, ModelCheckpoint(tmp_path / "a"), rounds=6)
    first = Report(tmp_path / "r.html")
    with pytest.raises(ZeroDivisionError):
        fitted(first, ModelCheckpoint(tmp_path / "b"), At("on_step_end", fail, epoch=4), rounds=6)
    second = Report(tmp_path / "r.html")
    mg.manual_seed(1)
    train, validation, _ = mg.data.load_iris().split(seed=0)
    model = network()
    trainer = mg.Trainer(
        model,
        mg.optim.AdamW(model.parameters(), lr=0.01),
        metrics={"accuracy": accuracy},
        callbacks=[second, ModelCheckpoint(tmp_path / "b")],
        doctor=False,
    )
    loaders = mg.data.DataLoader(train, 16, shuffle=True), mg.data.DataLoader(validation, 16)
    trainer.fit(*loaders, epochs=6, resume="auto")
    for kind, found in whole.seen.items():
        assert set(found) == set(second.seen[kind])
        for name, rows in found.items():
            assert rows.tolist() == second.seen[kind][name].tolist(), (kind, name)
    assert read(tmp_path / "r.html").headings == read(tmp_path / "whole.html").headings


def fail(trainer: Any) -> None:
    raise ZeroDivisionError


def test_fast_dev_run_writes_nothing(tmp_path: Path) -> None:
    mg.manual_seed(0)
    model = network()
    report = Report(tmp_path / "r.html")
    trainer = mg.Trainer(model, mg.optim.SGD(model.parameters(), lr=0.1), callbacks=[report])
    train, _, _ = mg.data.load_iris().split(seed=0)
    trainer.fit(mg.data.DataLoader(train, 16), epochs=5, fast_dev_run=True)
    assert not (tmp_path / "r.html").exists()


# ---------------------------------------------------------------- parts
def body(html: str) -> Page:
    return checked_page(page("t", [("Epochs", html)]))


def test_many_layers_are_drawn_in_part_and_listed_in_full(tmp_path: Path) -> None:
    layers = [mg.nn.Linear(4, 4) for _ in range(40)]
    model = mg.nn.Sequential(*layers, mg.nn.Linear(4, 3))
    fitted(Report(tmp_path / "r.html"), model=model, rounds=2)
    shown = read(tmp_path / "r.html")
    assert len(shown.labels) < 4 * MOST_CHARTS + 9  # one of them in three sizes
    assert sum(row[0] == "39.bias, Linear" for row in shown.rows) == 2
    assert os.path.getsize(tmp_path / "r.html") < 400_000


def test_ten_thousand_epochs_make_a_page_of_a_sane_size() -> None:
    history = History()
    for epoch in range(1, 10_001):
        value = math.nan if epoch == 5_000 else 1 / epoch
        history.append({"epoch": epoch, "loss": value, "lr": 0.1, "seconds": 0.1})
    html = curve(history, "loss").figure() + epochs(history)
    shown = body(html)
    assert len(html) < 400_000
    assert any(row[0].startswith("10000") for row in shown.rows)
    assert "first in epoch 5000" in shown.text


def test_many_classes_show_the_pairs_most_often_confused() -> None:
    counts = np.diag(np.full(100, 9))
    counts[7, 3] = 5
    shown = body(confusion(counts, None))
    assert ["7", "3", "5", "35.7 %"] in shown.rows
    assert len(shown.rows) < 110
    few = body(confusion(np.array([[0, 0], [0, 0]]), ["a"]))
    assert "0 of 0 validation rows" in few.text


def test_classes_have_their_precision_recall_and_f1() -> None:
    shown = body(confusion(np.array([[6, 2, 0], [1, 3, 0], [1, 0, 0]]), ["a", "b", "a long class"]))
    assert ["a", "8", "75.0 %", "75.0 %", "75.0 %", ""] in shown.rows
    assert ["b", "4", "60.0 %", "75.0 %", "66.7 %", ""] in shown.rows
    assert ["a long class", "1", "", "0.0 %", "0.0 %", ""] in shown.rows


def test_a_time_of_few_steps_is_no_zero(tmp_path: Path) -> None:
    report = Report(tmp_path / "r.html")
    fitted(report, rounds=2)
    shown = read(tmp_path / "r.html")
    report.profile.wall_seconds = report.profile.profiling_seconds + 3.2e-4
    assert "5 training steps, reading data and all: 320 us" in times(report.profile, 5)
    assert f"{PROFILED} training steps, reading data and all" in shown.text
    assert not any(row and row[0].startswith("_") for row in shown.rows)  # private functions


def test_residuals_of_one_value() -> None:
    for true, guessed in (([1.0], [1.0]), ([1.0, 1.0], [2.0, 2.0]), ([np.nan], [1.0])):
        body("".join(residuals(np.array(true), np.array(guessed), "")) or "<p></p>")


def test_outcomes_of_awkward_outputs() -> None:
    binary = Outcome(of_logits=True)
    binary.add(np.array([2.0, -1.0]), np.array([1.0, 1.0]))
    assert binary.confusion is not None and binary.confusion.tolist() == [[0, 0], [1, 1]]
    amounts = Outcome()
    amounts.add(np.array([2.0, -1.0]), np.array([1.0, 0.0]))
    assert amounts.confusion is None and len(amounts.true) == 1
    ignored = Outcome()
    ignored.add(np.zeros((2, 3)), np.array([-100, 2]))
    assert ignored.confusion is not None and ignored.confusion.sum() == 1
    with pytest.raises(ValueError, match=r"outputs \(2, 3\) for targets \(5,\)"):
        Outcome().add(np.zeros((2, 3)), np.zeros(5))


# ---------------------------------------------------------------- the command
@pytest.mark.slow
@pytest.mark.skipif(plain.ON, reason="the same in plain mode, minutes longer")
def test_minigrad_train_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "train",
        "--data",
        "iris",
        "--epochs",
        "3",
        "--hidden",
        "8",
        "--out",
        str(tmp_path),
    ]
    assert main([*arguments, "--report", "--quiet"]) == 0
    assert "report.html" in capsys.readouterr().out
    shown = read(tmp_path / "report.html")
    assert shown.headings[0] == "iris: minigrad train"
    assert any(row[0] == "setosa" for row in shown.rows)
    assert main([*arguments, "--quiet"]) == 0  # the next run moves it aside
    assert (tmp_path / "earlier-1" / "report.html").exists()
    assert not (tmp_path / "report.html").exists()


def test_the_page_needs_no_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    fitted(Report(tmp_path / "r.html"), rounds=1)
    read(tmp_path / "r.html")
