"""benchmarks.gpu without a GPU: its exit status, its JSON, what of its sections runs anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import gpu
from benchmarks.gpu_launches import timed
from minigrad_kernels.compare import gpu_limits as limits
from minigrad_kernels.compare.targets import TARGETS
from minigrad_kernels.cuda.launch import run
from minigrad_kernels.cuda.precision import PRECISIONS, get_precision
from minigrad_kernels.cuda.targets import Simulator, upload
from tests.cuda_simulated.extras import require_greenlet


def test_without_a_gpu_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if TARGETS["cuda"].absent() is None:
        pytest.skip("there is a GPU")
    path = tmp_path / "gpu.json"
    assert gpu.main(["--quick", "--out", str(path)]) == gpu.NO_GPU == 2
    assert "benchmarks.gpu: no CUDA: " in capsys.readouterr().err
    assert not path.exists()


def broken(quick: bool) -> Any:
    raise RuntimeError(f"quick is {quick}")


@pytest.mark.parametrize(("names", "status"), [(["fine"], 0), (["fine", "bad"], 1)])
def test_sections_that_fail_do_not_end_the_run(
    names: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "driver", lambda: None)
    monkeypatch.setattr(gpu, "card", lambda: {"gpu": "none"})
    every = {"bad": broken, "fine": lambda quick: {"ok": True, "rows": []}}
    monkeypatch.setattr(gpu, "SECTIONS", {name: every[name] for name in names[::-1]})
    path = tmp_path / "gpu.json"
    assert gpu.main(["--quick", "--out", str(path)]) == status
    found = json.loads(path.read_text())
    assert set(found) == {"machine", "quick", "sections"}
    assert found["machine"]["gpu"] == "none" and "date" in found["machine"]
    assert found["sections"]["fine"]["ok"] is True
    if status:
        assert found["sections"]["bad"]["failed"] == "RuntimeError: quick is True"


@pytest.mark.slow
def test_the_demo_learns_and_repeats() -> None:
    first, spent = gpu.losses("cpu", 6, rows=32)
    again, _ = gpu.losses("cpu", 6, rows=32)
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


@pytest.mark.slow
def test_products_are_measured_at_every_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    require_greenlet()
    target = Simulator(processors=1, checks=False)
    monkeypatch.setattr(gpu, "gpu", lambda: target)
    monkeypatch.setattr(gpu, "QUICK_SQUARES", (36,))
    monkeypatch.setattr(gpu, "LEAST", 0.0)
    found = gpu.products(quick=True)
    assert found["ok"] and get_precision() == "highest"
    errors = {row["precision"]: row["error"] for row in found["rows"]}
    assert list(errors) == list(PRECISIONS)
    assert errors["highest"] < 1e-6 < errors["high"] < errors["medium"] < 0.05
    assert all(row["tflops"] > 0 for row in found["rows"])
