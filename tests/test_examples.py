"""The examples run, in their small mode, and show what they say they show."""

from __future__ import annotations

import importlib.util
import json
import struct
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minigrad as mg

FOLDER = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted({path.stem for path in FOLDER.glob("*.py")} - {"beside_torch"})  # which others use
# Their small modes run below, where what they measured is looked at.
MEASURED = {
    "batch_norm_depth",
    "dropout_overfit",
    "fashion_mnist",
    "mnist_1d",
    "super_convergence",
}


def example(name: str) -> ModuleType:
    """Import an example, which is a script and no module of a package."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(FOLDER))  # as Python does for a script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


def test_all_examples_are_here() -> None:
    assert {"ablation", "cnn_digits", "moons", "oscillator", "recipe_by_hand", "xor"} <= set(NAMES)
    assert set(NAMES) >= MEASURED


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NAMES) - MEASURED))
def test_small_mode_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "race_hunt":
        pytest.importorskip("greenlet")
    if name == "tables":
        pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    mg.manual_seed(0)
    example(name).main(["--small", "--out", str(tmp_path)])
    shown = capsys.readouterr().out
    assert shown.strip()
    written = [path for path in tmp_path.iterdir() if path.stat().st_size]
    if name == "moons" and find_spec("matplotlib") is None:  # it writes a picture and no more
        assert "matplotlib" in shown
    else:
        assert written, f"{name} --out wrote nothing"


@pytest.mark.slow
def test_ablation_reports_every_variant(tmp_path: Path) -> None:
    module = example("ablation")
    runs = module.main(["--small", "--out", str(tmp_path)])
    assert list(runs) == [variant.name for variant in module.VARIANTS]
    text = (tmp_path / "ablation.md").read_text(encoding="utf-8")
    assert all(name in text for name in runs)
    assert all(len(mine) == 2 for mine in runs.values())


@pytest.mark.slow
def test_race_hunt_finds_every_planted_fault() -> None:
    pytest.importorskip("greenlet")
    module = example("race_hunt")
    for planted in module.PLANTED:
        for seed in range(4):
            fault = module.hunt(planted, seed)
            assert fault is not None, f"{planted.kernel.__name__}: nothing under seed {seed}"
            assert fault.kind == planted.kind, f"{planted.kernel.__name__}: {fault}"
            assert fault.lines, f"{planted.kernel.__name__}: no line in {fault}"


def results(folder: Path, name: str) -> Any:
    """Return what an example wrote, and hold its table to be of that name."""
    assert (folder / f"{name}.md").read_text(encoding="utf-8").startswith("# ")
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_fashion_mnist_learns_and_writes_what_it_measured(tmp_path: Path) -> None:
    module = example("fashion_mnist")
    runs = module.main(["--small", "--out", str(tmp_path)])
    assert [run.model for run in runs] == list(module.MODELS)
    assert all(run.accuracy[-1] > 0.8 for run in runs)
    assert all(run.loss[1] < run.loss[0] for run in runs)
    rows = results(tmp_path, "fashion_mnist")
    assert rows == [vars(run) for run in runs]
    text = (tmp_path / "fashion_mnist.md").read_text(encoding="utf-8")
    assert f"| CNN | 120,634 | {100 * runs[1].accuracy[-1]:.2f} (" in text


def test_fashion_mnist_reads_a_folder_and_says_where_to_get_one(tmp_path: Path, capsys) -> None:
    module = example("fashion_mnist")
    with pytest.raises(SystemExit):
        module.main(["--data", str(tmp_path / "none")])
    assert "apt install dataset-fashion-mnist, or --data" in capsys.readouterr().err
    rng = np.random.default_rng(0)
    for part, count in (("train", 256), ("t10k", 100)):
        x, y = rng.integers(0, 256, (count, 28, 28)), rng.integers(0, 10, count)
        for name, array in (("images", x), ("labels", y)):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            path = tmp_path / f"{part}-{name}-idx{array.ndim}-ubyte"
            path.write_bytes(header + array.astype(np.uint8).tobytes())
    runs = module.main(["--data", str(tmp_path), "--seeds", "1", "--epochs", "1"])
    assert [len(run.accuracy) for run in runs] == [1, 1]
    assert "256 training images" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist_1d"])
def test_steps_are_timed_beside_torch(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    module = example(name)
    timings = module.main(["--small", "--vs", "torch", "--out", str(tmp_path)])
    fused = {"fashion_mnist": "torch fused AdamW", "mnist_1d": "torch fused Adam"}[name]
    names = ["minigrad", "minigrad captured", "torch", fused]
    assert [t.candidate for t in timings] == names * len(module.MODELS)
    assert len(results(tmp_path, f"{name}_steps")) == len(timings)


@pytest.mark.slow
def test_a_cnn_is_ahead_only_where_points_are_in_order(tmp_path: Path) -> None:
    module = example("mnist_1d")
    runs = module.main(["--small", "--out", str(tmp_path)])
    last = {(run.model, run.order): run.test[-1] for run in runs}
    assert last["logistic", "in order"] < 0.6
    assert last["CNN", "in order"] > max(0.95, last["MLP 100", "in order"])
    assert last["CNN", "shuffled"] < last["MLP 100", "shuffled"] - 0.05
    assert results(tmp_path, "mnist_1d") == [vars(run) for run in runs]


def test_mnist_1d_says_which_package_makes_its_data(monkeypatch, capsys) -> None:
    module = example("mnist_1d")
    monkeypatch.setattr(module, "make_dataset", None)
    with pytest.raises(SystemExit):
        module.main([])
    assert "pip install mnist1d==0.0.2.post1" in capsys.readouterr().err


@pytest.mark.slow
def test_sigmoids_learn_sooner_with_batch_norm(tmp_path: Path) -> None:
    module = example("batch_norm_depth")
    runs = module.main(["--small", "--out", str(tmp_path)])
    last = {(run.norm, run.lr): run.accuracy[-1] for run in runs}
    for lr in module.RATES:
        assert last[True, lr] > max(0.85, last[False, lr] + 0.1)
    assert all(low <= mid <= high for run in runs for low, mid, high in run.unit)
    assert results(tmp_path, "batch_norm_depth") == [vars(run) for run in runs]


@pytest.mark.slow
def test_dropout_keeps_the_test_loss_down(tmp_path: Path) -> None:
    module = example("dropout_overfit")
    runs = module.main(["--small", "--out", str(tmp_path)])
    for size in module.SMALL_SIZES:
        without, dropped = (r for r in runs if r.size == size)
        assert not without.dropout and dropped.dropout
        assert without.train_accuracy == 1.0
        assert dropped.test_loss[-1] < 0.9 * without.test_loss[-1]
        assert dropped.train_loss[-1] > without.train_loss[-1]
        assert min(without.test_accuracy, dropped.test_accuracy) > 0.8
    assert results(tmp_path, "dropout_overfit") == [vars(run) for run in runs]


@pytest.mark.slow
def test_super_convergence_searches_rates_and_runs_both_policies(tmp_path: Path) -> None:
    module = example("super_convergence")
    runs = module.main(["--small", "--out", str(tmp_path)])
    assert [run.policy for run in runs] == list(module.POLICIES)
    for run in runs:
        assert run.lr in module.SMALL_RATES
        assert len(run.accuracy) == run.epochs == module.SMALL_BUDGETS[0]
        assert run.accuracy[-1] > 0.8
    assert results(tmp_path, "super_convergence") == [vars(run) for run in runs]
