"""`minigrad train --resume`: an interrupted run goes on, and ends in the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.cli import main as cli
from minigrad.cli import resuming
from minigrad.data import load_iris
from minigrad.train import Progress
from tests.train.resume_toys import KillAt, Killed


@pytest.fixture(autouse=True)
def after_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a checkpoint after every epoch, however short it is."""
    monkeypatch.setattr(resuming, "SECONDS", 0.0)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    data = load_iris()
    path = tmp_path / "flowers.csv"
    rows = [f"{','.join(f'{v:g}' for v in x)},k{y}" for x, y in zip(data.x, data.y, strict=True)]
    path.write_text("\n".join(["a,b,c,d,kind", *rows]) + "\n")
    return path


def killed(monkeypatch: pytest.MonkeyPatch, step: int, *arguments: str) -> None:
    """Run a command whose fit is killed after a step."""
    stop = KillAt(step)
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_step_end", lambda self, trainer: stop.on_step_end(trainer))
        with pytest.raises(Killed):
            cli.main(list(arguments))


def options(source: Any, out: Path, recipe: str) -> list[str]:
    more = ["--hidden", "8"] if recipe == "plain" else ["--hidden", "8", "--recipe", "strong"]
    return ["train", str(source), "--epochs", "4", *more, "--out", str(out)]


@pytest.mark.parametrize(("source", "recipe"), [("iris", "plain"), (0, "plain"), (0, "strong")])
def test_it_ends_in_the_files_of_a_run_that_was_not_interrupted(
    source: Any,
    recipe: str,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = source or table
    assert cli.main(options(source, tmp_path / "whole", recipe)) == 0
    capsys.readouterr()
    command = options(source, tmp_path / "out", recipe)
    killed(monkeypatch, 9, *command)
    assert not (tmp_path / "out/model.safetensors").exists()
    mg.manual_seed(77)
    assert cli.main([*command, "--resume"]) == 0
    printed = capsys.readouterr().out
    assert "resume  goes on after epoch " in printed
    wanted = (tmp_path / "whole/model.safetensors").read_bytes()
    assert (tmp_path / "out/model.safetensors").read_bytes() == wanted
    rows = [
        [line.rpartition(",")[0] for line in (tmp_path / name).read_text().splitlines()]
        for name in ("whole/history.csv", "out/history.csv")
    ]
    assert rows[0] == rows[1] and len(rows[0]) == 5
    assert not (tmp_path / "out/earlier-1").exists()  # nothing of its own is moved aside
    for folder in ("out", "whole"):  # a run that is done needs no checkpoints
        assert all(path.is_file() for path in (tmp_path / folder).iterdir())
    assert cli.main([*command, "--resume"]) == 0  # once more, anew
    assert "no checkpoint, and its model is written: it is done; it begins anew" in " ".join(
        capsys.readouterr().out.split()
    )
    assert (tmp_path / "out/model.safetensors").read_bytes() == wanted


def test_what_differs_is_refused_in_one_line(
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = options(table, tmp_path / "out", "plain")
    killed(monkeypatch, 9, *command)
    capsys.readouterr()
    for change, said in (
        (["--seed", "3"], "configuration, seed: 0 in the checkpoint, 3 here"),
        (["--hidden", "9"], "configuration, hidden: [8] in the checkpoint, [9] here"),
        (["--batch-size", "16"], "training data, batch_size: 32 in the checkpoint, 16 here"),
    ):
        assert cli.main([*command, "--resume", *change]) == 2
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 1 and said in errors[0], errors
    table.write_text(table.read_text().replace("5.1", "5.2", 1))
    assert cli.main([*command, "--resume"]) == 2
    assert "configuration, table: " in capsys.readouterr().err


def test_without_a_checkpoint_it_begins_anew_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*options("iris", tmp_path / "out", "plain"), "--resume"]) == 0
    assert "has no checkpoint; it begins anew" in capsys.readouterr().out
    killed(monkeypatch, 9, *options("iris", tmp_path / "out", "plain"))
    capsys.readouterr()
    assert cli.main(options("iris", tmp_path / "out", "plain")) == 0  # anew
    printed = capsys.readouterr().out
    assert "note    ModelCheckpoint: " in printed and "earlier-1 now" in printed
    assert "the earlier run is now in" in printed


def test_a_damaged_checkpoint_is_noted_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(options("iris", tmp_path / "whole", "plain")) == 0
    wanted = (tmp_path / "whole/model.safetensors").read_bytes()
    command = options("iris", tmp_path / "out", "plain")
    killed(monkeypatch, 13, *command)
    newest = sorted((tmp_path / "out/checkpoints").glob("step-*"))[-1]
    data = np.frombuffer(newest.read_bytes(), np.uint8).copy()
    data[len(data) // 2] ^= 1
    newest.write_bytes(data.tobytes())
    capsys.readouterr()
    assert cli.main([*command, "--resume"]) == 0
    printed = capsys.readouterr().out
    assert "is damaged: " in printed and "going on from the older " in printed
    assert (tmp_path / "out/model.safetensors").read_bytes() == wanted
