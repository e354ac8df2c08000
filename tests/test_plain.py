"""Plain mode: every kernel is its NumPy reference, and Numba is not imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad_kernels.jit import plain
from minigrad_kernels.jit.plain import StandIn, replaced
from tests import plain_mode

ROOT = Path(__file__).resolve().parent.parent
STEPS = """
import json, sys
import numpy as np
import minigrad as mg
from tests.test_plain import losses
from minigrad_kernels.table import KERNELS
assert not {"numba", "llvmlite"} & set(sys.modules), "plain mode imports Numba"
assert all(row.cpu is row.reference and row.small is None for row in KERNELS.values())
print(json.dumps(losses(MODEL)))
"""
REFERENCES = """
import sys
import minigrad as mg
seen = set()
def look(frame, event, argument):
    seen.add(frame.f_code.co_name)
w = mg.tensor([[0.5, -1.0], [2.0, 0.25]], requires_grad=True)
loss = (w @ w).relu().sum()
sys.settrace(look)
loss.backward()
sys.settrace(None)
print(*sorted(name for name in seen if name.endswith("reference")))
"""
STEPPED = """import minigrad as mg
w = mg.tensor([[0.5, -1.0], [2.0, 0.25]], requires_grad=True)
loss = (w @ w).relu().sum()
loss.backward()
"""


def built(kind: str) -> nn.Module:
    if kind == "mlp":
        return nn.Sequential(
            nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)
        )
    return nn.Sequential(
        nn.Unflatten(1, (1, 3, 4)),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.LayerNorm(8),
        nn.Linear(8, 3),
    )


def losses(kind: str) -> list[float]:
    """Return the losses of ten steps of a small model."""
    mg.manual_seed(3)
    rng = np.random.default_rng(0)
    x = mg.Tensor(rng.normal(size=(20, 12)).astype(np.float32))
    t = mg.tensor(rng.integers(0, 3, 20))
    model = built(kind)
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = mg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    found = []
    for _ in range(10):
        loss = nn.functional.cross_entropy(model(x), t, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        mg.optim.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        found.append(loss.item())
    return found


def run(
    source: str, *options: str, typed: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program in plain mode; options: of the interpreter, typed: its standard input."""
    return subprocess.run(
        [sys.executable, *(options or ("-c", source))],
        env={
            **os.environ,
            "MINIGRAD_PLAIN": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]),
            **environment,
        },
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "convolutions"])
def test_a_model_trains_as_with_the_kernels(kind: str) -> None:
    done = run(STEPS.replace("MODEL", repr(kind)))
    assert done.returncode == 0, done.stderr
    # float32 kernels round each step, the references once; ten steps of Adam keep that small.
    np.testing.assert_allclose(json.loads(done.stdout), losses(kind), rtol=1e-4)


def test_a_debugger_can_step_into_each_rules_numpy() -> None:
    done = run(REFERENCES)
    assert done.returncode == 0, done.stderr
    assert {"gemm_reference"} <= set(done.stdout.split())


def test_pdb_steps_from_backward_to_numpys_line(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(STEPPED)
    typed = "\n".join(["break 4", "continue", *["step"] * 500, "quit", ""])
    done = run("", "-m", "pdb", str(program), typed=typed)
    assert "-> loss.backward()" in done.stdout, done.stderr
    after = done.stdout.partition("-> loss.backward()")[2]
    assert "gemm_reference()\n-> c[...] = np.matmul(" in after
    assert "backward.py" in after.partition("gemm_reference()")[0]


@pytest.mark.slow
def test_the_digits_reach_their_score(tmp_path: Path) -> None:
    done = run("", "-m", "minigrad", "train", "--quiet", "--seed", "0", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("accuracy ")[1].split(" %")[0]) >= 96.5


@pytest.mark.parametrize(
    "source",
    [
        "import minigrad as mg\nmg.zeros(2, device='cuda-sim')",
        "import minigrad.compare as c\nc.run('add')",
    ],
    ids=["a device", "a comparison"],
)
def test_what_needs_compiled_kernels_says_so(source: str) -> None:
    done = run(source)
    assert done.returncode == 1
    assert "needs compiled kernels, but MINIGRAD_PLAIN=1" in done.stderr


def test_off_by_default_and_by_zero() -> None:
    probe = "from minigrad_kernels.jit import plain; print(plain.ON)"
    assert run(probe, MINIGRAD_PLAIN="0").stdout == "False\n"
    assert run(probe, MINIGRAD_PLAIN="").stdout == "False\n"
    assert os.environ.get("MINIGRAD_PLAIN") or not plain.ON


def test_stand_ins_leave_no_trace() -> None:
    held: dict[str, Any] = {n: m for n, m in sys.modules.items() if n.startswith("numba")}
    with replaced():
        import numba  # noqa: PLC0415

        assert isinstance(numba, StandIn)
        assert isinstance(numba.types.float32[::1], StandIn)
    assert {n: m for n, m in sys.modules.items() if n.startswith("numba")} == held


@pytest.mark.parametrize("name", plain_mode.ABSENT)
def test_what_is_left_out_in_plain_mode_exists(name: str) -> None:
    path, _, test = name.partition("[")[0].partition("::")
    assert (ROOT / path).exists()
    if test:
        held = test.rpartition(".")[2]  # of a doctest, the class or function
        assert re.search(rf"^(def|class) {held}\b", (ROOT / path).read_text(), re.MULTILINE)


def test_equal_bits_become_a_few_roundings_in_plain_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    want = np.array([1.0, 1e-9, np.inf], np.float32)
    near, far = want + np.float32(2e-7), want + np.float32(1e-5)
    monkeypatch.setattr(plain, "ON", True)
    plain_mode.assert_same_bits(near, want)
    with pytest.raises(AssertionError):
        plain_mode.assert_same_bits(far, want)
    monkeypatch.setattr(plain, "ON", False)
    plain_mode.assert_same_bits(want.copy(), want)
    with pytest.raises(AssertionError):
        plain_mode.assert_same_bits(near, want)
