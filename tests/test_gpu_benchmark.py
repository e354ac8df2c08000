"""benchmarks.gpu without a GPU: its exit status, its rows, how it goes on, what runs anywhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu, gpu_losses, gpu_phases
from benchmarks.gpu_launches import timed
from benchmarks.gpu_rows import LostContext, NotMeasured, Part, Rows
from minigrad_kernels.compare import gpu_limits as limits
from minigrad_kernels.compare.targets import TARGETS
from minigrad_kernels.cuda.driver import DriverError
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

    def started(name: str, seconds: float, rows: Rows, since: int, patience: float) -> bool:
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
    assert gpu.main(["--out", str(tmp_path)]) == 0  # what failed before has ended well since
    said = capsys.readouterr().out
    assert "environment: done before" in said and "check: done before" not in said
    rows = Rows(tmp_path).all()
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
    assert not any(row["phase"] == "check" for row in Rows(tmp_path).all())


def test_time_is_kept(phases: dict[str, Any], tmp_path: Path) -> None:
    assert gpu.main(["--out", str(tmp_path), "--until", "0"]) == 0
    assert Rows(tmp_path).all() == []


def test_rows_outlast_a_kill(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    rows.keep({"phase": "check", "wrong": False})
    with rows.path.open("a") as file:
        file.write('{"phase": "che')
    assert rows.all() == [{"phase": "check", "wrong": False}]
    rows.keep({"phase": "step"})  # on a line of its own
    assert rows.all() == [{"phase": "check", "wrong": False}, {"phase": "step"}]


def test_what_fails_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(part: Part) -> None:
        part.say({"row": part.number})
        raise RuntimeError("an illegal address")

    monkeypatch.setattr(gpu, "PHASES", {"smoke": gpu.Phase(broken, 5)})
    rows = Rows(tmp_path)
    assert gpu.one_part(Part("smoke", rows)) == 1
    assert [row.get("failed") for row in rows.all()] == [None, "RuntimeError: an illegal address"]
    assert gpu.summary(rows, 1) == 1
    rows.keep({"phase": "smoke", "ended": True})  # by a second call
    assert gpu.summary(rows, 1) == 0


def counted(part: Part, tried: list[str], results: dict[str, Any]) -> None:
    """Try rows, each of which returns or raises what it is told to."""
    for name, result in results.items():

        def find(name: str = name, result: Any = result) -> dict[str, Any]:
            tried.append(name)
            if isinstance(result, Exception):
                raise result
            return dict(result)

        part.attempt({"kernel": name}, find)


def test_a_second_process_goes_on_behind_the_last_row(tmp_path: Path) -> None:
    rows, tried = Rows(tmp_path), list[str]()
    results: dict[str, Any] = {"a": {"wrong": False}, "b": {"wrong": True}, "c": ValueError("odd")}
    counted(Part("check", rows), tried, results)
    began = rows.size
    results["d"] = {"wrong": False}
    counted(Part("check", rows, since=0), tried, results)  # of the same run: what is bad stays so
    assert tried == ["a", "b", "c", "d"]
    mended: dict[str, Any] = {name: {"wrong": False} for name in results}
    counted(Part("check", rows, since=rows.size), tried, mended)  # of another: it is tried again
    assert tried == ["a", "b", "c", "d", "b", "c"] and began < rows.size
    assert gpu.summary(rows, 1) == 0  # each row counts as it was found last
    counted(Part("gemm", rows), tried, {"a": {}})
    assert tried[-1] == "a"  # of another phase


def test_an_error_that_the_gpu_does_not_recover_from_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, tried = Rows(tmp_path), list[str]()
    lost = DriverError(700, "cuStreamSynchronize failed: CUDA_ERROR_ILLEGAL_ADDRESS")
    results: dict[str, Any] = {"a": DriverError(1, "invalid value"), "b": lost, "c": {}}

    def phase(part: Part) -> None:
        counted(part, tried, results)

    monkeypatch.setattr(gpu, "PHASES", {"check": gpu.Phase(phase, 5)})
    assert gpu.one_part(Part("check", rows)) == gpu.LOST
    assert tried == ["a", "b"] and gpu.goes_on("check", 0, gpu.LOST, rows)
    assert gpu.one_part(Part("check", rows)) == 0
    assert tried == ["a", "b", "c"] and [*tmp_path.glob("trying/*")] == []
    with pytest.raises(LostContext):
        counted(Part("gemm", rows), tried, {"b": lost})


def test_what_cannot_be_measured_is_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = Rows(tmp_path)
    for n in (1, 2):
        Part("gemm", rows).attempt({"n": n}, _no_torch)
    assert gpu.summary(rows, 1) == 0
    said = capsys.readouterr().out
    assert "2 rows in" in said and "0 of them bad, 2 not measured" in said
    assert "not measured, 2 rows: gemm: PyTorch 2.9 finds no CUDA" in said


def _no_torch() -> dict[str, Any]:
    raise NotMeasured("PyTorch 2.9 finds no CUDA")


def test_torch_without_cuda_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Torch:
        __version__ = "2.9"
        cuda = SimpleNamespace(is_available=lambda: False)

    monkeypatch.setattr(gpu_phases.importlib, "import_module", lambda name: Torch)
    with pytest.raises(NotMeasured, match=r"PyTorch 2.9 finds no CUDA"):
        gpu_phases.cublas([], "high")


def test_a_process_that_crashes_is_begun_anew_behind_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "crash.sh"  # as a process that ends in the midst of its first two rows
    program.write_text(
        f"#!/bin/sh\ncd {tmp_path}; mkdir -p trying; echo x >> begun; n=$(wc -l < begun)\n"
        "[ $n -gt 2 ] && exit\n"
        """echo "{\\"kernel\\": \\"k$n\\"}" > trying/environment.0; kill -SEGV $$"""
    )
    program.chmod(0o755)
    monkeypatch.setattr(gpu.sys, "executable", str(program))
    rows = Rows(tmp_path)
    assert gpu.in_processes("environment", 20, rows) is True
    first, second, last = rows.all()
    assert (first["kernel"], second["kernel"]) == ("k1", "k2")
    assert "it ended its process, 0, with -11; see logs.txt" in first["failed"]
    assert last["ended"] is True and last["begun anew"] == 2


def test_a_process_that_ends_between_rows_is_not_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu.sys, "executable", shutil.which("false"))
    rows = Rows(tmp_path)
    assert gpu.in_processes("environment", 20, rows) is False
    (row,) = rows.all()
    assert "begun anew" not in row and "ended with [1]" in row["failed"]


def test_a_row_that_hangs_ends_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from benchmarks.gpu_rows import Part, Rows\n"
        "part = Part('check', Rows(Path(sys.argv[1])), patience=0.004)\n"
        "part.attempt({'kernel': 'slow'}, lambda: time.sleep(60))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 1 and "Timeout" in done.stderr and "attempt" in done.stderr
    assert gpu.goes_on("check", 0, 1, Rows(tmp_path))
    (row,) = Rows(tmp_path).all()
    assert row["kernel"] == "slow" and "it ended its process, 0, with 1;" in row["failed"]


def test_a_phase_that_hangs_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.sys, "executable", "/bin/sh")
    program = tmp_path / "hang.sh"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(gpu.sys, "executable", str(program))
    rows = Rows(tmp_path)
    assert gpu.in_processes("environment", 0.2, rows) is False
    (row,) = rows.all()
    assert row["ended"] is False and "cut off" in row["failed"]


def test_phases_fit_into_six_minutes() -> None:
    ours = [phase.seconds for phase in gpu.PHASES.values() if not phase.tool]
    assert sum(ours) <= 360
    assert [*gpu.PHASES][:3] == ["environment", "smoke", "check"]


@pytest.mark.slow
def test_the_demo_learns_and_repeats() -> None:
    first, spent = gpu_losses.losses("cpu", 6, rows=32)
    again, _ = gpu_losses.losses("cpu", 6, rows=32)
    assert first == again and spent > 0
    assert first[-1] < first[0]


def test_the_losses_of_plain_mode_are_the_cpus() -> None:
    """What a GPU's are held to, in a process of its own that compiles nothing."""
    found = gpu_phases.reference_losses(3)
    assert len(found) == 3 and found[-1] < found[0] < 4


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
