"""sin and cos on a device, where angles are large and next to multiples of pi / 2."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from minigrad_kernels.cuda.targets import Simulator, upload
from minigrad_kernels.elementwise.cuda_rules import CUDA_KERNELS
from minigrad_kernels.math.cuda_trigonometry import TABLE, TWO_OVER_PI
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

# Doubles next to multiples of pi / 2: Muller, "Elementary Functions"; Kahan, "Nearpi".
HARD = (6381956970095103.0 * 2.0**797, 1.6367e308, 5.319372648326541e255, 1.5707963267948966)
HARD32 = (16367173.0 * 2.0**72, 3.4e38, 1.5707964, 3.1415927, 51471.855, 2.3025e8)


def whole_arctangent(n: int, bits: int) -> int:
    """Return 2^bits arctan(1 / n), rounded down in each term."""
    total, term, k = 0, (1 << bits) // n, 0
    while term:
        total += (-1) ** k * term // (2 * k + 1)
        term //= n * n
        k += 1
    return total


def test_the_table_holds_two_over_pi() -> None:
    bits = 1400
    pi = 4 * (4 * whole_arctangent(5, bits) - whole_arctangent(239, bits))
    assert Fraction(int(TWO_OVER_PI, 16), 2**1216) <= Fraction(2 << bits, pi)
    assert Fraction(2 << bits, pi) - Fraction(int(TWO_OVER_PI, 16), 2**1216) < Fraction(1, 2**1200)
    assert TABLE[:3].tolist() == [0, 0, 0xA2F9836E] and TABLE.size == 40


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_float32_of_all_sizes(name: str, rng: np.random.Generator) -> None:
    sizes = np.exp2(rng.uniform(-20, 127, 150)) * rng.choice([-1, 1], 150)
    turns = np.concatenate([np.arange(1, 40), [41_721, 41_722, 41_723]]) * (np.pi / 2)
    check(name, np.concatenate([HARD32, sizes, turns]).astype(np.float32), 2.0)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_float64_of_all_sizes(name: str, rng: np.random.Generator) -> None:
    sizes = np.exp2(rng.uniform(-20, 1023, 150)) * rng.choice([-1, 1], 150)
    turns = np.concatenate([np.arange(1, 40), [41_721, 41_722, 41_723]]) * (np.pi / 2)
    check(name, np.concatenate([HARD, sizes, turns]), 3.0)


def check(name: str, x: Any, ulps: float) -> None:
    target = Simulator()
    y = target.empty(x.shape, x.dtype)
    CUDA_KERNELS[name](upload(target, x), y)
    want = getattr(np, name)(x.astype(np.longdouble if x.dtype == np.float64 else np.float64))
    error = np.abs(target.read(y) - want) / np.spacing(np.abs(want).astype(x.dtype))
    k = int(error.argmax())
    assert error[k] <= ulps, f"{name}({x[k]!r}) is {target.read(y)[k]!r}, {error[k]} ulp off"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_no_angle(dtype: Any) -> None:
    target = Simulator()
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-40], dtype)
    y = target.empty(6, dtype)
    CUDA_KERNELS["sin"](upload(target, x), y)
    got = target.read(y)
    assert np.isnan(got[:3]).all() and got[3:].tobytes() == x[3:].tobytes()
    CUDA_KERNELS["cos"](upload(target, x), y)
    got = target.read(y)
    assert np.isnan(got[:3]).all() and got[3:].tolist() == [1, 1, 1]
