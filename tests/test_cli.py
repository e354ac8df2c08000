"""The command line: what it prints, writes, returns, and says about mistakes."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.cli import main as cli
from minigrad.cli import train as training
from minigrad.data import load_iris
from minigrad.train import Callback, Trainer

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("train", "--data", "iris", "--hidden", "16", "--epochs", "3")
HAS_PLOT = importlib.util.find_spec("matplotlib") is not None


@pytest.fixture
def csv_path(tmp_path: Path) -> Path:
    data = load_iris()
    path = tmp_path / "flowers.csv"
    lines = [",".join(["a", "b", "c", "d", "kind"])]
    for x, y in zip(data.x, data.y, strict=True):
        lines.append(",".join([*(f"{v:g}" for v in x), data.target_names[y]]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_train_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert cli.main([*SMALL, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert text.isascii()
    lines = text.splitlines()
    assert lines[0] == "data    iris: 150 rows, 4 features, 3 classes"
    assert lines[1].startswith("split   106 training, 22 validation, 22 test rows; seed 0")
    assert lines[2] == "model   4 -> 16 -> 3, 147 parameters"
    assert "          (1): BatchNorm1d(16" in text
    assert "AdamW, lr 0.001, weight decay 0.01 on weights, batches of 32, at most 3 epochs" in text
    assert " 3/3 " in text
    assert "Restored the weights of epoch" in text
    (test,) = [line for line in lines if line.startswith("test ")]
    assert "of 22 wrong" in test
    assert "the best on validation" in test
    assert lines[-1].startswith("wrote   model.safetensors, standardizer.safetensors, history.csv")
    with (out / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0])[-2:] == ["lr", "seconds"]


def test_the_files_are_enough_to_predict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["train", "--data", "iris", "--epochs", "25", "--lr", "0.01", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    built = mg.recipe(4, 3)
    built.model.load_state_dict(mg.load(tmp_path / "model.safetensors"))
    standardizer = mg.data.Standardizer()
    standardizer.load_state_dict(mg.load(tmp_path / "standardizer.safetensors"))
    raw = load_iris().split(0, training.FRACTIONS, standardize=False)
    x, y = raw.test.arrays
    wrong = int((built.predict(standardizer.transform(x)).numpy().argmax(1) != y).sum())
    assert f"({wrong} of 22 wrong)" in printed


def test_same_seed_same_files(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert cli.main([*SMALL, "--quiet", "--seed", seed, "--out", str(tmp_path / name)]) == 0
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_quiet_prints_two_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*SMALL, "--quiet", "--out", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["test", "wrote"]


@pytest.mark.skipif(not HAS_PLOT, reason="matplotlib is not installed")
def test_curves_where_matplotlib_is_there(tmp_path: Path) -> None:
    cli.main([*SMALL, "--quiet", "--out", str(tmp_path)])
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main([*SMALL, "--quiet", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "; no curves: History.plot needs matplotlib: pip install 'minigrad[plot]'" in printed
    assert not (tmp_path / "curves.png").exists()


def test_a_csv_file(
    csv_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "--data", str(csv_path), "--epochs", "2"]) == 0
    assert "data    flowers: 150 rows, 4 features, 3 classes" in capsys.readouterr().out
    assert (tmp_path / "runs" / "flowers" / "model.safetensors").is_file()
    for target in ("kind", "4", "-1"):
        assert (
            cli.main(["train", "--data", str(csv_path), "--epochs", "1", "--target", target]) == 0
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "mnist"], "no data set 'mnist': expected digits, breast_cancer, iris"),
        (
            ["train", "--data", "iris", "--target", "2"],
            "--target is for CSV files; iris has its own",
        ),
        (["train", "--data", "{csv}", "--target", "kin"], "called 'kin'; did you mean 'kind'?"),
        (["train", "--data", "{csv}", "--target", "9"], "has 5 columns, so no column 9"),
        (["train", "--data", "iris", "{csv}"], "expected TABLE or --data, not both"),
        (["train", "--data", "iris", "--regression"], "--regression is for CSV files; iris has"),
        (["train", "{csv}", "--types", "a"], "--types: expected COLUMN=..., got 'a'"),
        (["train", "{csv}", "--types", "a=colour"], "expected one of number, category, date"),
        (["train", "{csv}", "--drop", "z"], "has no column called 'z'"),
        (["train", "{csv}", "--class-weights", "a=b"], "--class-weights: expected NAME=WEIGHT"),
        (["train", "{csv}", "--regression"], "column 'kind': expected a number, but got"),
        (["train", "--data", "iris", "--out", "{csv}"], "File exists"),
        (["train", "--data", "{prices}", "--classes"], "has 12 distinct values in 12 rows"),
        (["train", "--data", "{prices}", "--target", "b"], "has 1 distinct value in 12 rows"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, csv_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = csv_path.with_name("prices.csv")
    prices.write_text("a,b,c\n" + "".join(f"{i},1,{i}.5\n" for i in range(1, 13)))
    paths = {"{csv}": str(csv_path), "{prices}": str(prices)}
    assert cli.main([paths.get(argument, argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("minigrad train: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "minigrad: error: the following arguments are required: COMMAND (see minigrad --help)",
        ),
        (["fly"], "minigrad: error: argument COMMAND: invalid choice: 'fly'"),
        (["train", "--epochs", "0"], "--epochs: expected a whole number >= 1, got '0'"),
        (["train", "--epochs", "many"], "--epochs: expected a whole number >= 1, got 'many'"),
        (["train", "--seed", "-1"], "--seed: expected a whole number >= 0, got '-1'"),
        (["train", "--batch-size", "1"], "--batch-size: expected a whole number >= 2, got '1'"),
        (["train", "--hidden", "64,x"], "--hidden: expected widths such as 256,128, got '64,x'"),
        (["train", "--hidden", "0"], "--hidden: expected widths such as 256,128, got '0'"),
        (["train", "--lr", "0"], "--lr: expected a number above 0, got '0'"),
        (["train", "--lr", "nan"], "--lr: expected a number above 0, got 'nan'"),
        (["train", "--speed", "9"], "minigrad: error: unrecognized arguments: --speed"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["--help"], "train the production recipe"),
        (["train", "--help"], "--batch-size N"),
        (["--version"], "minigrad "),
    ):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 0
        assert expected in capsys.readouterr().out


def test_a_diverging_fit_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SMALL, "--quiet", "--lr", "1e38", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("minigrad train: error: StopOnNonFinite: the loss is ")
    assert error.count("\n") == 1


class Interrupt(Callback):
    """Press Ctrl-C in an epoch, as a stand-in for the table."""

    epoch = 2

    def after_backward(self, trainer: Trainer) -> None:
        if trainer.epoch == self.epoch:
            raise KeyboardInterrupt


def test_ctrl_c_still_scores_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "Progress", Interrupt)
    assert cli.main([*SMALL, "--out", str(tmp_path)]) == 130
    assert "weights of epoch 1, the best on validation" in capsys.readouterr().out
    assert (tmp_path / "model.safetensors").is_file()


def test_ctrl_c_in_the_first_epoch_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "Progress", Interrupt)
    monkeypatch.setattr(Interrupt, "epoch", 1)
    assert cli.main([*SMALL, "--out", str(tmp_path)]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'kernels'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-W", "error", "-m", "minigrad", *SMALL, "--out", str(tmp_path)]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # what the doctor finds is a line of the command
    assert "doctor  MG701 in the last of 3 epochs the loss fell" in done.stdout
    assert "\x1b" not in done.stdout
    assert "accuracy" in done.stdout
    assert (tmp_path / "model.safetensors").is_file()


@pytest.mark.slow
def test_digits_reach_their_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = []
    for seed in range(5):
        cli.main(["train", "--quiet", "--seed", str(seed), "--out", str(tmp_path)])
        scores.append(float(capsys.readouterr().out.split("accuracy ")[1].split(" %")[0]))
    assert np.mean(scores) >= 97.5, scores
    assert min(scores) >= 96.5, scores
