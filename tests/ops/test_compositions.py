"""Functions that are compositions against PyTorch: values, gradients, and gradients of those, from
a file without it, and live where it is installed.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.composition_calls import CALLS, evaluate, recorded

PAIRS = [pytest.param(call, id=f"{family}-{call}") for family, c in CALLS.items() for call in c]
each = pytest.mark.parametrize("call", PAIRS)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return recorded()


def agree(got: dict[str, Any], want: dict[str, Any], tol: float) -> None:
    for part, expected in want.items():
        value = got.get(part, np.zeros_like(expected))
        assert value.shape == expected.shape, part
        if part == "y":
            assert value.dtype.kind == expected.dtype.kind
        np.testing.assert_allclose(value, expected, rtol=tol, atol=tol, err_msg=part)


@each
def test_as_pytorch(call: str, golden: dict[str, Any]) -> None:
    assert call in golden, "run python -m tests.golden.make_compositions"
    agree(evaluate(mg, F, call), golden[call], 1e-8)


@each
def test_float32_is_near(call: str, golden: dict[str, Any]) -> None:
    got = evaluate(mg, F, call, "float32")
    assert got["y"].dtype in (np.float32, np.int64, np.bool_)
    first = {part: value for part, value in golden[call].items() if part[0] != "s"}
    agree(got, first, 5e-4)


@each
def test_as_pytorch_live(call: str) -> None:
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = evaluate(torch, torch.nn.functional, call)
    agree(evaluate(mg, F, call), want, 1e-8)


def test_golden_file_holds_no_other_calls(golden: dict[str, Any]) -> None:
    assert set(golden) == {call for calls in CALLS.values() for call in calls}
