"""The examples run, in their small mode, and show what they say they show."""

from __future__ import annotations

import importlib.util
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import minigrad as mg

FOLDER = Path(__file__).resolve().parent.parent / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


def example(name: str) -> ModuleType:
    """Import an example, which is a script and no module of a package."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_all_examples_are_here() -> None:
    assert {"ablation", "cnn_digits", "moons", "oscillator", "recipe_by_hand", "xor"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_small_mode_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "race_hunt":
        pytest.importorskip("greenlet")
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


def test_ablation_reports_every_variant(tmp_path: Path) -> None:
    module = example("ablation")
    runs = module.main(["--small", "--out", str(tmp_path)])
    assert list(runs) == [variant.name for variant in module.VARIANTS]
    text = (tmp_path / "ablation.md").read_text(encoding="utf-8")
    assert all(name in text for name in runs)
    assert all(len(mine) == 2 for mine in runs.values())


def test_race_hunt_finds_every_planted_fault() -> None:
    pytest.importorskip("greenlet")
    module = example("race_hunt")
    for planted in module.PLANTED:
        for seed in range(4):
            fault = module.hunt(planted, seed)
            assert fault is not None, f"{planted.kernel.__name__}: nothing under seed {seed}"
            assert fault.kind == planted.kind, f"{planted.kernel.__name__}: {fault}"
            assert fault.lines, f"{planted.kernel.__name__}: no line in {fault}"
