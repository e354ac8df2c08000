"""Layers, losses and activations with every option against PyTorch, stored and live."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.nn.nn_cases import CASES, Api, unpacked
from tests.npz import arrays_of

GOLDEN = unpacked(arrays_of(Path(__file__).parent.parent / "golden" / "nn.npz"))

MINIGRAD = Api(
    mg.nn.functional,
    mg.nn,
    lambda a, requires_grad=False: mg.tensor(a, requires_grad=requires_grad),
    lambda t: t.array,
)
# float64 rounding, and cancellation in sums of terms of size one.
RTOL, ATOL = 1e-12, 1e-13
SATURATED = 1e-8  # PyTorch's bound of 1e-12 below x (1 - x) is that number in float32


def close(key: str, expected: dict[str, Any]) -> None:
    found = CASES[key](MINIGRAD)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        rtol = SATURATED if key.startswith(("bce/", "bce-")) and name == "dx" else RTOL
        np.testing.assert_allclose(found[name], value, rtol, ATOL, err_msg=f"{key}: {name}")


def test_every_case_is_stored() -> None:
    assert set(GOLDEN) == set(CASES)


@pytest.mark.parametrize("key", CASES)
def test_agrees_with_the_stored_answers(key: str) -> None:
    close(key, GOLDEN[key])


def test_agrees_with_torch_live() -> None:
    pytest.importorskip("torch")
    live = importlib.import_module("tests.golden.make_nn")
    for key in CASES:
        close(key, live.compute(key))
