"""Functions beside PyTorch's: values, dtypes and gradients, golden and live, in both dtypes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.breadth_cases import (
    CASES,
    GOLDEN,
    evaluate,
    found_in,
    outputs_of,
    read_recorded,
    tensors_of,
)

CALLS = [
    pytest.param(name, k, id=f"{name}-{k}") for name, c in CASES.items() for k in range(len(c))
]
SMOOTH = [p for p in CALLS if CASES[p.values[0]][p.values[1]].smooth]
LOOSE = {
    "F.hardsigmoid": 1e-7,  # PyTorch's 1/6 in its slope is a float32 number
    **dict.fromkeys(("digamma", "polygamma", "special.psi"), 3e-9),  # its trigamma has 9 digits
}
calls = pytest.mark.parametrize(("name", "k"), CALLS)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return read_recorded()


def agree(got: dict[str, Any], want: dict[str, Any], tolerance: float) -> None:
    assert set(got) == set(want)
    for part, value in got.items():
        expected = want[part]
        assert (value.shape, value.dtype.kind) == (expected.shape, expected.dtype.kind), part
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(
                value, expected, rtol=tolerance, atol=tolerance, err_msg=part
            )
        else:
            np.testing.assert_array_equal(value, expected, err_msg=part)


@calls
def test_as_recorded(name: str, k: int, golden: dict[str, Any]) -> None:
    start = f"{name}/{k}/"
    want = {key[len(start) :]: value for key, value in golden.items() if key.startswith(start)}
    assert want, f"{name} is not in {GOLDEN.name}: run python -m tests.golden.make_breadth"
    agree(evaluate(mg, F, name, k), want, LOOSE.get(name, 1e-11))


@calls
def test_as_pytorch_live(name: str, k: int) -> None:
    torch = pytest.importorskip("torch")
    for dtype, tolerance in (("float64", 1e-11), ("float32", 3e-5)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = evaluate(torch, torch.nn.functional, name, k, dtype)
        got = evaluate(mg, F, name, k, dtype)
        agree(got, want, max(tolerance, LOOSE.get(name, 0.0)))
        assert {p: v.dtype for p, v in got.items()} == {p: v.dtype for p, v in want.items()}


@pytest.mark.parametrize(("name", "k"), SMOOTH)
def test_second_derivatives(name: str, k: int) -> None:
    args, moving = tensors_of(mg, name, k, "float64")
    if not moving or not all(np.isfinite(x.array).all() for x in moving):
        return
    function, options = found_in(mg, F, name), CASES[name][k].options

    def outputs(*xs: Any) -> Any:
        left = list(xs)

        def placed(a: Any) -> Any:
            if isinstance(a, list | tuple):
                return type(a)(placed(b) for b in a)
            return left.pop(0) if any(a is m for m in moving) else a

        found = outputs_of(function(*map(placed, args), **options))
        return tuple(y for y in found if getattr(y, "requires_grad", False))

    if outputs(*moving):
        assert mg.gradgradcheck(outputs, moving)
