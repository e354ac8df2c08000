"""The checked mode names every rule that kernels are compiled on, broken once; nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine import dispatch as backend
from minigrad.engine import fast
from minigrad.engine.dispatch import launch
from minigrad_kernels.checked import check_launch
from minigrad_kernels.jit.address_table import build_table
from minigrad_kernels.kernel import PARALLEL
from minigrad_kernels.table import KERNELS
from tests.kernels.test_table import SAMPLES, fresh

Array = np.ndarray[Any, Any]
ROOT = Path(__file__).resolve().parents[2]
F64 = np.float64


def read_only(n: int) -> Array:
    a = np.zeros(n)
    a.flags.writeable = False
    return a


def odd(n: int) -> Array:
    return np.frombuffer(bytearray(8 * n + 1), F64, offset=1)


X, LONG = np.zeros(8), np.zeros(PARALLEL + 1)
IMAGE, HALF = np.zeros((1, 4, 4)), np.zeros((1, 2, 2))
PLACES = np.zeros((1, 2, 2), np.int32)
WINDOWS = np.array([[0, 2, 1], [2, 4, 1]])
BEYOND = np.array([[0, 2, 1], [2, 5, 1]])


def step_over(p: Array, g: Array, *state: Array) -> tuple[Any, ...]:
    table = build_table([(p, g, *state)])
    return table, np.zeros((1, 6)), np.empty(0, p.dtype), np.zeros(1, np.int64)


def loss_of(target: list[int]) -> tuple[Any, ...]:
    row = (np.zeros(2), np.zeros(2), np.zeros(1), np.zeros(1), np.zeros((0, 3)))
    return (np.zeros((2, 3)), np.array(target), np.zeros(0), -100, 0.0, True, *row)


BROKEN: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "shifted": ("exp", (X[1:], X[:-1]), r"y, float64 \(7,\), shares memory with its argument a0"),
    "reversed": ("exp", (X, X[::-1]), "shares memory"),
    "second operand": ("sub", (np.zeros(7), X[1:], X[:-1]), "shares memory with its argument a1"),
    "another dtype": ("eq", (X.view(np.int64), X, X.view(np.bool_)[:8]), "shares memory"),
    "same, but not elementwise": (
        "argmax",
        (X, 0, X.view(np.int64)[0:1].reshape(())),
        "shares memory with its argument x",
    ),
    "a large copy": ("copy", (LONG[1:], LONG[:-1]), "shares memory with its argument a"),
    "a large sum": ("add", (LONG[1:], LONG[1:], LONG[:-1]), "shares memory with its argument a0"),
    "two outputs": (
        "max_pool",
        (IMAGE, WINDOWS, WINDOWS, HALF, HALF.view(np.int32).reshape(-1)[:4].reshape(1, 2, 2)),
        "shares memory",
    ),
    "read-only": ("exp", (X, read_only(8)), "y, .* is written, but lies in read-only memory"),
    "repeated": (
        "exp",
        (X, np.lib.stride_tricks.as_strided(np.zeros(1), (8,), (0,))),
        "several of its elements share memory",
    ),
    "odd input": ("exp", (odd(8), np.zeros(8)), "a0, .* is not aligned"),
    "odd output": ("exp", (X, odd(8)), "y, .* is not aligned"),
    "bytes swapped": ("exp", (X.astype(">f8"), np.zeros(8)), "or of another byte order"),
    "inout": (
        "batch_norm_running",
        (X[:3], X[3:6], 4, np.ones(1), X[4:7], np.zeros(3)),
        "running_mean, .* shares memory with its argument var",
    ),
    "index beyond": (
        "take_rows",
        (np.zeros((3, 2)), np.array([0, 3]), np.zeros((2, 2))),
        "indices goes from 0 to 3, outside 0 to 2",
    ),
    "index below": ("take_flat", (X, np.array([-1]), np.zeros(1)), "goes from -1 to -1"),
    "scatter": ("scatter_flat", (np.zeros(1), np.array([8]), X), "goes from 8 to 8"),
    "scatter_add": (
        "scatter_add_rows",
        (np.zeros((1, 2)), np.array([3]), np.zeros((3, 2))),
        "goes from 3 to 3",
    ),
    "window": (
        "avg_pool",
        (IMAGE, BEYOND, WINDOWS, HALF),
        "row_windows goes from 2 to 5, outside 1 to 4",
    ),
    "place": (
        "max_pool_backward",
        (HALF, PLACES + np.int32(16), IMAGE),
        "index goes from 16 to 16, outside -1 to 15",
    ),
    "class": ("cross_entropy_forward", loss_of([0, 3]), "target goes from 0 to 3, outside 0 to 2"),
    "gradient in parameter": ("sgd_step", step_over(X[:4], X[2:6]), "tensors 0 and 0 of its"),
    "state in parameter": (
        "sgd_momentum_step",
        step_over(X[:4], np.zeros(4), X[3:7]),
        "a state of tensor 0 lies in tensor 0",
    ),
    "odd parameter": ("sgd_step", step_over(odd(4), np.zeros(4)), "tensor 0 .* not aligned"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_each_broken_rule_is_named(case: str) -> None:
    name, args, message = BROKEN[case]
    with pytest.raises(RuntimeError, match=f"^kernel {name}: .*{message}"):
        check_launch(name, KERNELS[name], args)


def test_what_is_allowed_passes() -> None:
    check_launch("exp", KERNELS["exp"], (X, X))
    check_launch("add", KERNELS["add"], (X, X, X))
    check_launch("exp", KERNELS["exp"], (X[::2], X[1::2]))
    check_launch("copy", KERNELS["copy"], (X[1:], X[:-1]))  # small: NumPy minds the overlap
    check_launch("exp", KERNELS["exp"], (read_only(8), X))
    check_launch("add", KERNELS["add"], (X[:4], np.broadcast_to(np.zeros(1), 4), X[4:]))
    check_launch("cross_entropy_forward", KERNELS["cross_entropy_forward"], loss_of([-100, 2]))
    check_launch("grad_clamp", KERNELS["grad_clamp"], (step_over(X, X)[0], 1.0, np.empty(0)))
    empty = np.array([[0, 0, 2], [2, 4, 1]])
    args = (IMAGE, empty, WINDOWS, np.zeros((1, 2, 2)), PLACES.copy())
    check_launch("max_pool", KERNELS["max_pool"], args)


def test_the_samples_of_every_kernel_pass(rng: np.random.Generator) -> None:
    for name, kernel in KERNELS.items():
        for args in SAMPLES[name](rng, np.dtype(np.float32)):
            mine, _ = fresh(kernel, args, 0.0)
            check_launch(name, kernel, mine)


def small(x: mg.Tensor) -> None:
    with mg.no_grad():
        backend.dispatch.small["exp"](x.array[1:], x.array[:-1])


DOORS: dict[str, Callable[[mg.Tensor], Any]] = {
    "launch": lambda x: launch("exp", x.array[1:], x.array[:-1]),
    **({"small": small} if fast.ON else {}),
}


@pytest.mark.parametrize("way", DOORS)
def test_the_switch(way: str) -> None:
    x = mg.zeros(8)
    was = backend.dispatch.checked
    with mg.check_launches():
        with mg.check_launches():
            pass
        with pytest.raises(RuntimeError, match="kernel exp: y, .* shares memory"):
            DOORS[way](x)
        (x + 1).sum().item()
        seen: list[bool] = []
        other = threading.Thread(target=lambda: seen.append(backend.dispatch.checked))
        other.start()
        other.join()
        assert seen == [backend.CHECKED]
    assert backend.dispatch.checked == was
    if not was:
        DOORS[way](x)

    @mg.check_launches()
    def within(depth: int) -> None:
        assert backend.dispatch.checked
        if depth:
            within(depth - 1)

    within(3)
    assert backend.dispatch.checked == was


def test_anomaly_detection_checks_launches_too() -> None:
    x = mg.zeros(8)
    was = backend.dispatch.checked
    with mg.detect_anomaly():
        with pytest.raises(RuntimeError, match="kernel exp: y, .* shares memory"):
            launch("exp", x.array[1:], x.array[:-1])
        with mg.check_launches():
            pass
        with mg.detect_anomaly():
            pass
        assert backend.dispatch.checked
    assert backend.dispatch.checked == was
    with mg.check_launches():
        with mg.detect_anomaly():
            pass
        assert backend.dispatch.checked
    assert backend.dispatch.checked == was


def test_the_simulated_device_is_checked() -> None:
    x = mg.zeros(8).to("cuda-sim")
    with mg.check_launches():
        (x + 1).sum().item()
        with pytest.raises(RuntimeError, match="kernel exp: y, .* shares memory"):
            launch("exp", x.array[1:], x.array[:-1])


# Batteries that launch nearly every kernel, from tensors: each passes when all is checked.
BATTERIES = (
    "tests/ops/test_ops_golden.py",
    "tests/nn/test_nn_golden.py",
    "tests/optim/test_optimizers_golden.py",
    "tests/optim/test_clip_grad.py",
    "tests/engine/test_inplace.py",
)


@pytest.mark.slow
def test_batteries_in_the_checked_mode() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *BATTERIES]
    command += ["-k", "not live and not is_as_stable"]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env={**os.environ, "MINIGRAD_CHECKED": "1"},
    )
    assert result.returncode == 0, result.stdout[-3000:]
