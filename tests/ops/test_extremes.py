"""Functions over the whole range of their dtype, small and large arrays, to the bounds they state.

Values and gradients are held to mpmath's, infinities and NaN to PyTorch's where no exact answer is
finite; golden/extremes.npz keeps both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.engine.dispatch import PARALLEL
from tests.npz import arrays_of
from tests.ops.extreme_cases import BOUNDS, CALLS, evaluate, grid, kind

Array = np.ndarray[Any, Any]
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
PATH = Path(__file__).parents[1] / "golden" / "extremes.npz"
INF = np.inf
# Where PyTorch 2.13 has NaN though the limit exists, minigrad has the limit.
OURS = {
    ("bce_1", "value"): {-INF: INF},
    ("bce_positive", "value"): {-INF: INF},
    ("bce_half", "value"): {-INF: INF},
    ("gelu_tanh", "slope"): {INF: 1.0, -INF: 0.0},
}


@pytest.fixture(scope="module")
def golden() -> Any:
    return arrays_of(PATH)


def off(got: Array, exact: Array, ulps: float, floor: float, dtype: Any) -> Array:
    """Return where a result is further from the exact one than its bound."""
    info = np.finfo(dtype)
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        unit = float(info.eps) * (np.abs(exact) + floor) + float(info.smallest_subnormal)
        near = np.abs(got.astype(np.longdouble) - exact) <= ulps * unit
        # An overflow within the bound is one: the largest number and infinity are neighbours.
        most = float(info.max) * (1 - ulps * float(info.eps))
        edge = np.isinf(got) & (np.abs(exact) >= most) & (np.sign(got) == np.sign(exact))
    return np.isfinite(exact) & ~(near | (got == rounded) | edge)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_value_and_gradient(name: str, dtype: np.dtype[Any], golden: Any) -> None:
    x = grid(dtype)
    ulps, floor, slope_ulps, slope_floor = BOUNDS[name]
    few = evaluate(mg, F, name, x)
    repeats = -(-PARALLEL // x.size) + 1
    many = evaluate(mg, F, name, np.tile(x, repeats))
    strided = np.stack([x] * 3, axis=1)  # a column of each, transposed
    for part, own, bound in (("value", 0, (ulps, floor)), ("slope", 1, (slope_ulps, slope_floor))):
        exact = golden[f"{name}/{dtype.name}/{part}"]
        theirs = golden[f"{name}/{dtype.name}/kinds"][own]
        for label, got in (("few", few[own]), ("many", many[own][-x.size :])):
            bad = off(got, exact, *bound, dtype)
            assert not bad.any(), (
                f"{name} {part}, {label}: at {x[bad][:5]} {got[bad][:5]}, exactly {exact[bad][:5]}"
            )
            ours = OURS.get((name, part), {})
            for point, limit in ours.items():
                assert (got[x == point] == limit).all(), f"{name} {part}, {label}: at {point}"
            unlike = ~np.isfinite(exact) & ~np.isin(x, list(ours)) & (kind(got) != theirs)
            assert not unlike.any(), (
                f"{name} {part}, {label}: at {x[unlike]} {got[unlike]}, PyTorch has "
                f"{theirs[unlike]} (0 a number, 1 inf, 2 -inf, 3 NaN)"
            )
    columns = evaluate(mg, F, name, strided)
    np.testing.assert_array_equal(columns[0][:, 1], few[0])
    np.testing.assert_array_equal(columns[1][:, 1], few[1])


def test_golden_file_holds_no_other_cases(golden: Any) -> None:
    assert {key.split("/")[0] for key in golden} == set(CALLS) == set(BOUNDS)


@pytest.mark.parametrize("name", CALLS)
def test_kinds_as_pytorch_live(name: str, golden: Any) -> None:
    torch = pytest.importorskip("torch")
    if name == "gelu":
        pytest.skip("PyTorch's gelu at the largest numbers is another on Intel than on AMD")
    for dtype in DTYPES:
        theirs = evaluate(torch, torch.nn.functional, name, grid(dtype))
        want = golden[f"{name}/{dtype.name}/kinds"]
        np.testing.assert_array_equal(np.stack([kind(part) for part in theirs]), want)
