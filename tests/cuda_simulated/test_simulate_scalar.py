"""The simulator computes scalar rules to the bits that the compiled ones have on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numba import cuda

import minigrad_cudasim as simulate
from minigrad_cudasim.models import MODELS
from minigrad_cudasim.numbers import fma
from minigrad_kernels.elementwise import activations as activation
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.math import exponential, scalar
from minigrad_kernels.math import simulated as simulate_scalar
from minigrad_kernels.math.error_function import vector_erf
from minigrad_kernels.math.logarithm import log1p_unit, vector_log, vector_log1p
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()
simulate_scalar.register()

Array = np.ndarray[Any, Any]
DTYPES = (np.float32, np.float64)
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.41, 88.8, -104.5, 710.0, -746.0, 1e-40, 5e-324, np.inf, -np.inf)


@scalar.rule
def parts(x):
    m, n = scalar.split_power(abs(x) + scalar.like(x, 1e-30))
    return m + n


RULES = {
    "exp": exponential.vector_exp,
    "expm1": exponential.vector_expm1,
    "tanh": exponential.vector_tanh,
    "log": vector_log,
    "log1p": vector_log1p,
    "log1p_unit": log1p_unit,
    "erf": vector_erf,
    "gelu": activation.gelu,
    "split_power": parts,
    "sigmoid": activation.sigmoid,
    "softplus": activation.softplus,
    "gelu_tanh": activation.gelu_tanh,
}


def numbers(dtype: Any) -> Array:
    """Return numbers of all sizes that matter to exponentials and logarithms, signed, and NaN."""
    rng = np.random.default_rng(1)
    sizes = np.exp2(rng.uniform(-30, 9, 80)) * rng.choice([-1.0, 1.0], 80)
    return np.concatenate([SPECIAL, [np.nan], sizes]).astype(dtype)


def host_fuses() -> bool:
    """Tell whether compiled code rounds a multiply-add once here, as a GPU does."""

    @jit()
    def fused(a, b, c):
        return scalar.multiply_add(a, b, c)

    x = 1 + 2.0**-30
    return bool(fused(x, x, -(x * x)) != 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RULES)
def test_a_simulated_rule_has_the_bits_of_the_compiled_one(name: str, dtype: Any) -> None:
    rule = RULES[name]

    @jit()
    def compiled(x, y):
        for i in range(x.size):
            y[i] = rule(x[i])

    def kernel(x, y):
        i = cuda.grid(1)
        if i < x.size:
            y[i] = rule(x[i])

    x = numbers(dtype)
    want, got = np.empty_like(x), simulate.empty(x.shape, dtype)
    compiled(x, want)
    simulate.launch(kernel, 1, 128, x, got, float64=dtype is np.float32)
    limits = {"rtol": 0, "atol": 0} if host_fuses() else {"rtol": 8 * np.finfo(dtype).eps}
    np.testing.assert_allclose(np.asarray(got), want, equal_nan=True, **limits)


def test_every_word_has_a_model() -> None:
    words = [v for v in vars(scalar).values() if type(v).__name__ == "_Intrinsic"]
    assert len(words) > 5
    assert [w._name for w in words if id(w) not in MODELS] == []


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_multiply_add_is_rounded_once(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal((2, 3000)) * np.exp2(rng.integers(-40, 40, (2, 3000)))).astype(
        dtype
    )
    c = (-a * b * rng.choice([1, 1.5, 1e-8, -1e9], 3000)).astype(dtype)
    # Sums next to the middle of two floats, where rounding twice goes wrong.
    half = np.finfo(dtype).eps / 2
    a[:2], b[:2], c[:2] = half, [1, 1 + 2 * half], [1 + 2 * half, 1]
    for x, y, z in zip(a, b, c, strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        got = fma(x, y, z)
        assert type(got) is dtype
        low, high = (np.nextafter(got, dtype(side)) for side in (-np.inf, np.inf))
        error = abs(Fraction(float(got)) - exact)
        assert all(error <= abs(Fraction(float(other)) - exact) for other in (low, high))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_multiply_add_of_what_is_no_number(dtype: Any) -> None:
    inf, nan, one, huge = map(dtype, (np.inf, np.nan, 1, np.finfo(dtype).max))
    with np.errstate(all="ignore"):
        assert fma(inf, one, one) == inf and math.isnan(fma(inf, one, -inf))
        assert math.isnan(fma(nan, one, one)) and fma(huge, huge, -one) == inf
        assert fma(huge, -huge, one) == -inf and fma(huge, one, -huge) == 0


def test_a_tie_of_the_wider_sum_is_broken_by_what_it_lost() -> None:
    up = fma(np.float32(2**-12 + 2**-35), np.float32(2**-12), np.float32(1))
    down = fma(np.float32(2**-12 - 2**-36), np.float32(2**-12), np.float32(1 + 2**-23))
    assert up == 1 + 2**-23 and down == 1 + 2**-23


def test_the_larger_of_a_number_and_nan_is_the_number_as_on_a_gpu() -> None:
    def kernel(x, y):
        y[0] = max(x[0], x[1])
        y[1] = min(x[1], x[0])
        y[2] = max(x[1], x[1])
        y[3] = max(2, 3)

    y = np.zeros(4, np.float32)
    simulate.launch(kernel, 1, 1, np.array([np.nan, 7], np.float32), y)
    assert y.tolist() == [7, 7, 7, 3]


@pytest.mark.parametrize("dtype", DTYPES)
def test_keys_order_as_floats_do(dtype: Any) -> None:
    def kernel(x, y):
        y[cuda.threadIdx.x] = exponential.to_key(x[cuda.threadIdx.x])

    x = np.array([-np.inf, -2, -0.0, 0, 1e-30, 3, np.inf, np.nan], dtype)
    y = np.zeros(8, np.int64)
    simulate.launch(kernel, 1, 8, x, y)
    assert sorted(y.tolist()) == y.tolist() and len(set(y.tolist())) == 8


def plain(x: Any) -> Any:
    raise NotImplementedError


def test_a_jitted_model_is_run_as_callees_are() -> None:
    helper: Callable[..., Any] = jit()(lambda x: exponential.vector_exp(x) + x)
    simulate.model(plain)(helper)

    def kernel(x, y):
        y[0] = plain(x[0])

    y = np.zeros(1, np.float32)
    simulate.launch(kernel, 1, 1, np.zeros(1, np.float32), y)
    assert y[0] == 1
