"""The heart is right by itself: without engine/fast.py tests pass, and bits are the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.engine import backward, fast, op
from minigrad.ops import unary

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = (
    *("tests/engine/test_sweep.py", "tests/engine/test_hooks.py", "tests/engine/test_tape.py"),
    *("tests/engine/test_grad_modes.py", "tests/engine/test_inplace.py"),
    *("tests/engine/test_mode_programs.py", "tests/engine/test_threads.py"),
    *("tests/ops/test_functions.py", "tests/ops/test_ownership.py"),
)


def without_fast(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "MINIGRAD_FAST": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def program() -> dict[str, Any]:
    """Return bits of what a training, hooks, sums of many terms and second derivatives give."""
    mg.manual_seed(0)
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.normal(size=(16, 6)).astype(np.float32))
    t = mg.tensor(rng.integers(0, 3, 16))
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)
    )
    optimizer = mg.optim.AdamW(model.parameters(), lr=0.01)
    found: dict[str, Any] = {"losses": []}
    for _ in range(5):
        loss = F.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found["losses"].append(loss.item().hex())
    w = mg.tensor(rng.normal(size=(2, 3)), requires_grad=True)
    w.register_hook(lambda g: g * 1.5)
    row = mg.tensor(rng.normal(size=3), requires_grad=True)
    y = (w + row).tanh() * w - (w / 3).exp() * row + w.reshape(3, 2).reshape(2, 3).sigmoid() * 2
    first = mg.grad(y.sum(), (w, row), create_graph=True)
    (first[0] * first[1]).sum().backward()
    found["second"] = [[n.hex() for n in p.grad.flatten().tolist()] for p in (w, row)]  # type: ignore[union-attr]
    return found


@pytest.mark.slow
def test_the_heart_passes_its_tests_without_the_hot_paths() -> None:
    done = without_fast("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def test_bits_are_the_same_without_the_hot_paths() -> None:
    script = "import json; from tests.engine.test_fast import program; print(json.dumps(program()))"
    done = without_fast("-c", script)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == program()


@pytest.mark.skipif(not fast.ON, reason="the hot paths are left out of this process")
def test_the_hot_paths_are_in_their_places() -> None:
    assert op.Op.apply.__func__ is fast.apply  # type: ignore[attr-defined]
    assert op.Op.record is fast.record
    assert unary.Unary.apply.__func__ is fast.apply_unary  # type: ignore[attr-defined]
    assert backward.Sweep.run is fast.run and backward.owned is fast.owned


def test_without_the_hot_paths_nothing_of_them_is_called() -> None:
    script = """
import sys
import minigrad as mg
files = set()
def look(frame, event, argument):
    files.add(frame.f_code.co_filename.rpartition("/")[2])
x = mg.ones(2, 3, requires_grad=True)
sys.settrace(look)
with mg.no_grad():
    x * 2
(x * x + x.relu()).sum().backward()
sys.settrace(None)
print(*sorted(files))
"""
    seen = without_fast("-c", script).stdout.split()
    assert {"op.py", "backward.py", "arithmetic.py", "unary.py", "grad_mode.py"} <= set(seen)
    assert "fast.py" not in seen
