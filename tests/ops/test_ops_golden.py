"""Awkward inputs against PyTorch: golden values without it, and live where it is installed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.npz import arrays_of
from tests.ops.golden_cases import CASES, GOLDEN, evaluate

# float32 values whose exact answer float64 does not share: they overflow, or the sum of squares
# does.
NOT_IN_FLOAT32 = {"bce", "var", "exp", "expm1"}
# PyTorch's own float32 differs from its float64: 0 for gelu(-inf), which float64 makes NaN.
UNLIKE_ITSELF = {"gelu"}
# Slopes at the infinities: PyTorch has NaN there, ours is the limit (test_extremes has the values).
LIMITS = {("gelu_tanh", "d0")}
LOOSE = {"bce_wrong": 1e-7}  # PyTorch's 1e-12 in the denominator is a float32 number


@pytest.fixture(scope="module")
def golden() -> Any:
    return arrays_of(GOLDEN)


def agree(got: dict[str, Any], want: dict[str, Any], rtol: float, name: str) -> None:
    assert set(got) == set(want)
    rtol = max(rtol, LOOSE.get(name, 0.0))
    for part, value in got.items():
        expected = want[part]
        assert value.shape == expected.shape
        if (name, part) in LIMITS:
            ours = np.isnan(expected) & np.isfinite(value)
            assert ours.sum() == 2
            expected = np.where(ours, value, expected)
        np.testing.assert_allclose(value, expected, rtol=rtol, atol=rtol, err_msg=f"{name} {part}")


@pytest.mark.parametrize("name", CASES)
def test_as_pytorch(name: str, golden: Any) -> None:
    parts = [key.split("/")[1] for key in golden if key.split("/")[0] == name]
    assert parts, f"{name} is not in {GOLDEN.name}: run python tests/golden/make_ops.py"
    want = {part: golden[f"{name}/{part}"] for part in parts}
    agree(evaluate(mg, F, name), want, 1e-12, name)


@pytest.mark.parametrize("name", sorted(set(CASES) - NOT_IN_FLOAT32))
def test_float32_is_as_stable(name: str, golden: Any) -> None:
    got = evaluate(mg, F, name, "float32")
    with np.errstate(over="ignore"):
        want = {part: golden[f"{name}/{part}"].astype(np.float32) for part in got}
    agree(got, want, 2e-5, name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_as_pytorch_live(name: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    if dtype == "float32" and name in UNLIKE_ITSELF:
        pytest.skip("PyTorch's float32 is unlike its float64 here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = evaluate(torch, torch.nn.functional, name, dtype)
    agree(evaluate(mg, F, name, dtype), want, 1e-12 if dtype == "float64" else 1e-5, name)


def test_golden_file_holds_no_other_cases(golden: Any) -> None:
    assert {key.split("/")[0] for key in golden} == set(CASES)
