"""`python -m benchmarks.gpu` as a whole, on the pretended driver: its processes, rows and exits.

Nothing is computed there, so what looks at results says that they are wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu
from tests.cuda_pretended import pretended, rehearse

pretended.require()
ROOT = Path(__file__).parents[2]
PATIENCE = ["--patience", "40", "--until", "4000"]  # a loaded machine is no failure


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for rows; the benchmark's processes have the pretended driver."""
    monkeypatch.setenv("MINIGRAD_CUDA_LIBRARY", str(pretended.built()))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'kernels'}")
    monkeypatch.setenv("MINIGRAD_LOG2", "16")
    monkeypatch.setenv("MINIGRAD_SQUARES", "64")
    monkeypatch.setattr(gpu, "driver", lambda: None)  # the processes ask for it, not this one
    monkeypatch.chdir(ROOT)
    return tmp_path


def rows_of(folder: Path, phase: str) -> list[dict[str, Any]]:
    return [row for row in gpu.Rows(folder).all() if row["phase"] == phase]


def test_phases_run_and_are_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--out", str(folder), *PATIENCE, "--only", "environment"]
    assert gpu.main(asked) == 0, (folder / "logs.txt").read_text()
    said = {key: value for row in rows_of(folder, "environment") for key, value in row.items()}
    assert said["gpu"] == "Pretended GPU" and said["capability"] == [9, 0] and said["ended"] is True
    assert "numba-cuda" in said["packages"]
    capsys.readouterr()
    assert gpu.main([*asked, "launches"]) == 1  # the numbers are wrong, and it says so
    assert "environment: done before" in capsys.readouterr().out
    found = rows_of(folder, "launches")
    assert len(found) == 5 and found[-1]["ended"] is True
    assert all(row["wrong"] and row["host_us"] > 0 for row in found[:-1])


def test_smoke_says_what_is_wrong_and_ends_the_run(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--all-trials"):
        pytest.skip("--all-trials: processes that compile")
    assert gpu.main(["--out", str(folder), *PATIENCE, "--only", "smoke", "environment"]) == 1
    found = {row["what"]: row for row in rows_of(folder, "smoke") if "what" in row}
    assert not any(row.get("failed") for row in found.values())
    assert found["a copy there and back"]["wrong"] is False
    assert found["relu: 128-bit accesses"]["wrong"] is True
    assert rows_of(folder, "environment") == []


def test_every_phase_runs_through(folder: Path, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--all-trials"):
        pytest.skip("--all-trials: compiles every CUDA kernel in eight processes")
    rows, _ = rehearse.rehearsed(folder)
    assert [row for row in rows if row.get("failed") and row["phase"] != "smoke"] == []
    phases = {row["phase"] for row in rows if row.get("ended")}
    assert phases | {"smoke"} >= {name for name, phase in gpu.PHASES.items() if not phase.tool}
    steps = [row for row in rows if "graph_ms" in row]
    assert len(steps) == 2 and not any(row["wrong"] for row in steps)  # each became a graph
