"""benchmarks.gpu without a GPU: its exit status, its rows, how it goes on, what runs anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu, gpu_phases
from benchmarks.gpu_launches import timed
from minigrad_kernels.compare import gpu_limits as limits
from minigrad_kernels.compare.targets import TARGETS
from minigrad_kernels.cuda.launch import run
from minigrad_kernels.cuda.targets import Simulator, upload
from tests.cuda_simulated.extras import require_greenlet


def test_without_a_gpu_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if TARGETS["cuda"].absent() is None:
        pytest.skip("there is a GPU")
    assert gpu.main(["--out", str(tmp_path / "rows")]) == gpu.NO_GPU == 2
    assert "benchmarks.gpu: no CUDA: " in capsys.readouterr().err
    assert not (tmp_path / "rows").exists()


@pytest.fixture
def phases(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return phases that end as they are told: name -> whether well; they are run in this process
    by turns."""
    ends = {"environment": True, "smoke": True, "check": True}
    monkeypatch.setattr(gpu, "driver", lambda: None)
    monkeypatch.setattr(gpu, "PHASES", {n: gpu.PHASES[n]._replace(parts=1) for n in ends})

    def started(name: str, seconds: float, rows: gpu.Rows) -> bool:
        rows.keep({"phase": name, "row": 1})
        rows.keep({"phase": name, "ended": ends[name], **({} if ends[name] else {"failed": "x"})})
        return ends[name]

    monkeypatch.setattr(gpu, "in_processes", started)
    return ends


def test_a_second_call_goes_on_where_the_first_was_ended(
    phases: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phases["check"] = False
    assert gpu.main(["--out", str(tmp_path)]) == 1
    phases["check"] = True
    capsys.readouterr()
    assert gpu.main(["--out", str(tmp_path)]) == 1  # what failed before is still said
    said = capsys.readouterr().out
    assert "environment: done before" in said and "check: done before" not in said
    rows = gpu.Rows(tmp_path).all()
    assert [row["phase"] for row in rows if "row" in row] == [
        "environment",
        "smoke",
        *["check"] * 2,
    ]


def test_nothing_is_asked_for_after_smoke_that_failed(
    phases: dict[str, Any], tmp_path: Path
) -> None:
    phases["smoke"] = False
    assert gpu.main(["--out", str(tmp_path)]) == 1
    assert not any(row["phase"] == "check" for row in gpu.Rows(tmp_path).all())


def test_time_is_kept(phases: dict[str, Any], tmp_path: Path) -> None:
    assert gpu.main(["--out", str(tmp_path), "--until", "0"]) == 0
    assert gpu.Rows(tmp_path).all() == []


def test_rows_outlast_a_kill(tmp_path: Path) -> None:
    rows = gpu.Rows(tmp_path)
    rows.keep({"phase": "check", "wrong": False})
    with rows.path.open("a") as file:
        file.write('{"phase": "che')
    assert rows.all() == [{"phase": "check", "wrong": False}]


def test_what_fails_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(say: Any, part: int, parts: int) -> None:
        say({"row": part})
        raise RuntimeError("an illegal address")

    monkeypatch.setattr(gpu, "PHASES", {"smoke": gpu.Phase(broken, 5)})
    rows = gpu.Rows(tmp_path)
    assert gpu.one_part("smoke", 0, rows) == 1
    assert [row.get("failed") for row in rows.all()] == [None, "RuntimeError: an illegal address"]


def test_a_phase_that_hangs_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.sys, "executable", "/bin/sh")
    program = tmp_path / "hang.sh"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(gpu.sys, "executable", str(program))
    rows = gpu.Rows(tmp_path)
    assert gpu.in_processes("environment", 0.2, rows) is False
    (row,) = rows.all()
    assert row["ended"] is False and "cut off" in row["failed"]


def test_phases_fit_into_six_minutes() -> None:
    ours = [phase.seconds for phase in gpu.PHASES.values() if not phase.tool]
    assert sum(ours) <= 360
    assert [*gpu.PHASES][:3] == ["environment", "smoke", "check"]


def test_an_error_ends_one_row_alone() -> None:
    rows: list[dict[str, Any]] = []

    def broken() -> Any:
        raise ValueError("odd")

    gpu_phases.guarded(rows.append, {"kernel": "a"}, broken)
    gpu_phases.guarded(rows.append, {"kernel": "b"}, lambda: {"wrong": False})
    assert rows[0]["failed"] == "ValueError: odd" and rows[1]["wrong"] is False
    assert json.dumps(rows)


@pytest.mark.slow
def test_the_demo_learns_and_repeats() -> None:
    first, spent = gpu_phases.losses("cpu", 6, rows=32)
    again, _ = gpu_phases.losses("cpu", 6, rows=32)
    assert first == again and spent > 0
    assert first[-1] < first[0]


def test_launches_are_counted_and_waited_for() -> None:
    calls: list[str] = []
    host, whole = timed(lambda: calls.append("launch"), lambda: calls.append("wait"), 7)
    assert 0 < host <= whole
    assert calls[-8:] == ["launch"] * 7 + ["wait"]


@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_multiply_adds_reach_their_limit_under_the_simulator(dtype: str) -> None:
    require_greenlet()
    target = Simulator(processors=1)
    y = target.empty(70, dtype)
    kind = y.dtype.type
    run(limits.multiply_adds, 3, 32, np.uint32(2), kind(0.5), kind(1), y)
    one = 2 * (1 - 0.5 ** (2 * limits.UNROLLED))
    np.testing.assert_allclose(target.read(y), limits.CHAINS * one, rtol=1e-6)


def test_limits_are_measured_on_any_target() -> None:
    require_greenlet()
    target = Simulator(processors=1, checks=False)
    assert limits.bandwidth(target, 4_096, least=0.0) > 0
    x = upload(target, np.arange(64, dtype=np.float32))
    y = target.empty(64, np.float32)
    run(limits.copy_vectors, 2, 8, x, y)
    np.testing.assert_array_equal(target.read(y), target.read(x))
