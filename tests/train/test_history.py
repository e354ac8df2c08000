"""The history: columns, best epoch, CSV, curves."""

from __future__ import annotations

import csv
import importlib.util
import math
import sys
from pathlib import Path

import pytest

from minigrad.train import History
from minigrad.train.callbacks.history import Best

ROWS = [
    {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 0.9, "val_accuracy": 0.6, "lr": 0.1},
    {"epoch": 2, "loss": 0.5, "accuracy": 0.7, "val_loss": 1 / 3, "val_accuracy": 0.7, "lr": 0.1},
    {
        "epoch": 3,
        "loss": 0.4,
        "accuracy": 0.8,
        "val_loss": math.nan,
        "val_accuracy": 0.7,
        "lr": 0.01,
    },
]
needs_plot = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)


@pytest.fixture
def history() -> History:
    result = History()
    for row in ROWS:
        result.append({**row, "seconds": 0.5})
    return result


def test_columns(history: History) -> None:
    assert len(history) == 3
    assert history["loss"] == [1.0, 0.5, 0.4]
    assert list(history.to_dict()) == [*ROWS[0], "seconds"]
    assert history.to_dict()["epoch"] == [1, 2, 3]
    assert history.seconds == 1.5
    assert history.last["epoch"] == 3
    assert history.row(2)["loss"] == 0.5
    assert [row["epoch"] for row in history] == [1, 2, 3]


def test_what_is_not_there(history: History) -> None:
    with pytest.raises(KeyError, match="no column 'f1'; it has epoch, loss"):
        history["f1"]
    with pytest.raises(LookupError, match="epoch 9 is not among the 3 finished ones"):
        history.row(9)
    with pytest.raises(IndexError, match="no epoch has been finished yet"):
        History().last


def test_best_epoch_is_of_the_validation_loss_and_never_nan(history: History) -> None:
    assert history.best_epoch == 2
    bare = History()
    for value in (math.nan, 2.0, 1.0, 1.0):
        bare.append({"epoch": len(bare) + 1, "loss": value})
    assert bare.best_epoch == 3


def test_csv_holds_full_precision(history: History, tmp_path: Path) -> None:
    path = history.to_csv(tmp_path / "history.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows][:2] == [0.9, 1 / 3]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert rows[2]["val_loss"] == "nan"
    assert b"\r" not in path.read_bytes()


@needs_plot
def test_plot_draws_and_saves(history: History, tmp_path: Path) -> None:
    panels = history.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [panel.get_title() for panel in panels] == ["loss", "accuracy", "learning rate"]
    labels = [line.get_label() for line in panels[0].lines]
    assert labels == ["training", "validation", "best: 2"]
    assert panels[0].lines[0].get_ydata().tolist() == history["loss"]
    assert set(panels[0].lines[2].get_xdata()) == {2}
    with pytest.raises(ValueError, match="no epoch has been finished, so nothing can be drawn"):
        History().plot()


@needs_plot
def test_plot_takes_axes_and_shows_a_learning_rate_that_changed(history: History) -> None:
    for i, row in enumerate(history.rows):
        row["lr"] = 10.0**-i
    panels = history.plot()
    assert [panel.get_yscale() for panel in panels] == ["linear", "linear", "log"]
    figure = panels[0].figure
    assert history.plot(axes=figure.axes)[0] is figure.axes[0]
    with pytest.raises(ValueError, match="expected 3 axes, for loss, accuracy, lr, but got 1"):
        history.plot(axes=figure.axes[0])
    for row in history.rows:
        row["lr"] = 0.1
    assert [panel.get_title() for panel in history.plot()] == ["loss", "accuracy"]


def test_plot_without_matplotlib(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match="pip install 'minigrad\\[plot\\]'"):
        history.plot()


def test_repr(history: History) -> None:
    text = repr(history)
    assert text.startswith("History(3 epochs, best epoch 2; last: loss=0.4, accuracy=0.8")
    assert repr(History()) == "History(no finished epoch)"


def test_best_with_infinities() -> None:
    best = Best("loss")
    assert [best.update(v, i) for i, v in enumerate([math.inf, math.inf, 1.0, -math.inf])] == [
        True,
        False,
        True,
        True,
    ]
