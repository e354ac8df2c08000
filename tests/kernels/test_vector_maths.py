"""The vector functions to their stated error in ULP, over all of float32 and float64, and that they
are vector code at all.

float32 is held to NumPy's and Python's float64 functions over evenly spaced bit patterns, so that
each power of two, the subnormals included, is sampled alike; float64 to 80-bit arithmetic where the
host has it, else to the library's own last bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigrad_kernels.elementwise.hyperbolas import (
    vector_acosh,
    vector_asinh,
    vector_atanh,
    vector_cosh,
    vector_hypot,
    vector_sinh,
)
from minigrad_kernels.elementwise.inverse_tangent import (
    vector_acos,
    vector_asin,
    vector_atan,
    vector_atan2,
)
from minigrad_kernels.elementwise.logarithms import vector_log2, vector_log10
from minigrad_kernels.elementwise.tangent import near_tangent
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import PARALLEL
from minigrad_kernels.math.error_function import normal, vector_erf
from minigrad_kernels.math.exponential import exp_of_negative, vector_exp, vector_expm1, vector_tanh
from minigrad_kernels.math.logarithm import log1p_unit, vector_log, vector_log1p
from minigrad_kernels.math.scalar import rule
from minigrad_kernels.table import KERNELS

Array = np.ndarray[Any, Any]
INF = np.inf
EXTENDED = np.finfo(np.longdouble).nmant >= 63


@rule
def cumulative(x):
    below, _ = normal(x)
    return below


@rule
def exp_of_minus(x):
    return exp_of_negative(-abs(x))


RULES = {
    "exp": vector_exp,
    "exp of -|x|": exp_of_minus,
    "expm1": vector_expm1,
    "tanh": vector_tanh,
    "log": vector_log,
    "log1p": vector_log1p,
    "log1p_unit": log1p_unit,
    "erf": vector_erf,
    "normal": cumulative,
    "atan": vector_atan,
    "asin": vector_asin,
    "acos": vector_acos,
    "sinh": vector_sinh,
    "cosh": vector_cosh,
    "asinh": vector_asinh,
    "acosh": vector_acosh,
    "atanh": vector_atanh,
    "log2": vector_log2,
    "log10": vector_log10,
    "tan": near_tangent,
}
POSITIVE = ("log", "log2", "log10")


def loop_over(rule: Any) -> Any:
    @jit()
    def loop(x, y):
        for i in range(x.size):
            y[i] = rule(x[i])

    return loop


LOOPS = {name: loop_over(rule) for name, rule in RULES.items()}


def vectorized(function: Callable[[float], float]) -> Callable[[Array], Array]:
    return np.vectorize(function, otypes=[np.float64])


def exp_of_minus_abs(x: Array) -> Array:
    return np.exp(-np.abs(x))


# name: float64 reference, greatest error in ULP of float32 and of float64
WIDE: dict[str, tuple[Callable[[Array], Array], float, float]] = {
    "exp": (np.exp, 0.93, 1.2),
    "exp of -|x|": (exp_of_minus_abs, 1.0, 1.2),
    "expm1": (np.expm1, 1.5, 2.6),
    "tanh": (np.tanh, 1.4, 1.4),
    "log": (np.log, 0.85, 0.85),
    "log1p": (np.log1p, 0.85, 0.85),
    "erf": (vectorized(math.erf), 1.1, 1.0),
    "normal": (vectorized(lambda x: math.erfc(-x / math.sqrt(2)) / 2), 5.2, 3.2),
    "atan": (np.arctan, 1.4, 1.7),
    "asin": (np.arcsin, 2.3, 2.3),
    "acos": (np.arccos, 2.3, 2.3),
    "sinh": (np.sinh, 1.7, 1.7),
    "cosh": (np.cosh, 1.6, 1.6),
    "asinh": (np.arcsinh, 1.8, 1.8),
    "acosh": (np.arccosh, 2.4, 2.5),
    "atanh": (np.arctanh, 2.1, 2.1),
    "log2": (np.log2, 1.1, 1.1),
    "log10": (np.log10, 1.0, 1.0),
}
LONG = {name: getattr(np, name) for name in ("exp", "expm1", "tanh", "log", "log1p")}
LONG |= {"atan": np.arctan, "asin": np.arcsin, "acos": np.arccos}
LONG |= {"asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh}
LONG |= {name: getattr(np, name) for name in ("sinh", "cosh", "log2", "log10")}
LONG["exp of -|x|"] = exp_of_minus_abs


def values(name: str, x: Array) -> Array:
    y = np.empty_like(x)
    LOOPS[name](x, y)
    return y


def errors(got: Array, want: Array) -> Array:
    """Return the distance in ULP; infinity where one alone is NaN or infinite."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        same = (got == rounded) | ((got != got) & (rounded != rounded))
        ulp = np.spacing(np.abs(rounded)).astype(want.dtype)
        distance = np.abs(got.astype(want.dtype) - want) / ulp
    return np.where(same, np.minimum(np.nan_to_num(distance, nan=0.0), 0.5), distance)


@pytest.mark.parametrize("name", WIDE)
def test_float32_over_all_bit_patterns(name: str) -> None:
    reference, bound, _ = WIDE[name]
    step = 20_011 if name in LONG else 400_009  # math.erf takes its arguments one by one
    x = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        want = reference(x.astype(np.float64))
    error = errors(values(name, x), want)
    worst = int(np.argmax(np.nan_to_num(error, nan=INF)))
    assert error[worst] <= bound, f"{name}({x[worst]!r}) is off by {error[worst]} ULP"


@pytest.mark.parametrize(("low", "high"), [(-104, 89), (-20, 20), (-1.2, 1.2), (-1e-3, 1e-3)])
@pytest.mark.parametrize("name", WIDE)
def test_float32_between(name: str, low: float, high: float) -> None:
    reference, bound, _ = WIDE[name]
    x = np.linspace(low, high, 200_003 if name in LONG else 20_003).astype(np.float32)
    x = x[x > -1] if name == "log1p" else abs(x) if name in POSITIVE else x
    with np.errstate(all="ignore"):
        error = errors(values(name, x), reference(x.astype(np.float64)))
    assert error.max() <= bound


@pytest.mark.parametrize("name", LONG)
def test_float64_against_extended_arithmetic(name: str, rng: np.random.Generator) -> None:
    tiny = 10.0 ** rng.uniform(-300, 0, 20_000)
    x = np.concatenate([rng.uniform(-745, 709, 20_000), rng.uniform(-3, 3, 100_000), tiny, -tiny])
    x = x[x > -1] if name == "log1p" else abs(x) if name in POSITIVE else x
    with np.errstate(all="ignore"):
        want = LONG[name](x.astype(np.longdouble))
    assert errors(values(name, x), want).max() <= WIDE[name][2] + (0 if EXTENDED else 1)


@pytest.mark.parametrize("name", ["erf", "normal"])
def test_float64_of_the_error_functions(name: str, rng: np.random.Generator) -> None:
    # math.erfc is right to an ULP, but its argument x / sqrt(2) is rounded: stay near 0.
    reach = 6 if name == "erf" else 1.2
    x = np.concatenate([rng.uniform(-reach, reach, 20_000), 10.0 ** rng.uniform(-300, 0, 2_000)])
    assert errors(values(name, x), WIDE[name][0](x)).max() <= WIDE[name][2] + 2


def test_log1p_of_the_unit_interval() -> None:
    x = np.concatenate([np.linspace(0, 1, 100_001), 2.0 ** -np.arange(150.0)]).astype(np.float32)
    assert errors(values("log1p_unit", x), np.log1p(x.astype(np.float64))).max() <= 1.4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("exp", (INF, 0, 1, 1, INF, 0)),
        ("exp of -|x|", (0, 0, 1, 1, 0, 0)),
        ("expm1", (INF, -1, 0, -0.0, INF, -1)),
        ("tanh", (1, -1, 0, -0.0, 1, -1)),
        ("log", (INF, np.nan, -INF, -INF, np.log(1e30), np.nan)),
        ("log1p", (INF, np.nan, 0, -0.0, np.log(1e30), np.nan)),
        ("erf", (1, -1, 0, -0.0, 1, -1)),
        ("normal", (1, 0, 0.5, 0.5, 1, 0)),
        ("atan", (np.pi / 2, -np.pi / 2, 0, -0.0, np.pi / 2, -np.pi / 2)),
        ("asin", (np.nan, np.nan, 0, -0.0, np.nan, np.nan)),
        ("acos", (np.nan, np.nan, np.pi / 2, np.pi / 2, np.nan, np.nan)),
        ("sinh", (INF, -INF, 0, -0.0, INF, -INF)),
        ("cosh", (INF, INF, 1, 1, INF, INF)),
        ("asinh", (INF, -INF, 0, -0.0, np.arcsinh(1e30), -np.arcsinh(1e30))),
        ("acosh", (INF, np.nan, np.nan, np.nan, np.arccosh(1e30), np.nan)),
        ("atanh", (np.nan, np.nan, 0, -0.0, np.nan, np.nan)),
        ("log2", (INF, np.nan, -INF, -INF, np.log2(1e30), np.nan)),
        ("log10", (INF, np.nan, -INF, -INF, 30, np.nan)),
    ],
)
def test_special_values(name: str, wanted: tuple[float, ...], dtype: Any) -> None:
    x = np.array([INF, -INF, 0.0, -0.0, 1e30, -1e30, np.nan] * 7, dtype)
    want = np.array([*wanted, np.nan] * 7, dtype)  # vector body and the elements after it
    got = values(name, x)
    np.testing.assert_allclose(got, want, rtol=2e-7 if dtype == np.float32 else 3e-16)
    np.testing.assert_array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
def test_an_element_s_bits_do_not_depend_on_its_place(
    name: str, dtype: Any, rng: np.random.Generator
) -> None:
    x = abs(rng.normal(size=211)).astype(dtype) % 1
    whole = values(name, x)
    for start in (1, 5, 13, 100, 210):
        np.testing.assert_array_equal(values(name, x[start:].copy()), whole[start:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
def test_loops_are_vector_code(name: str, dtype: Any) -> None:
    values(name, np.ones(3, dtype))
    (code,) = (
        text
        for kinds, text in LOOPS[name].inspect_llvm().items()
        if kinds[0].dtype.name == dtype.__name__
    )
    kind = {np.float32: "float", np.float64: "double"}[dtype]
    assert len(re.findall(rf"call <\d+ x {kind}> @llvm.fmuladd", code)) > 5
    assert not re.search(r"@(exp|log\w*|expm1|erf|a?(sin|cos|tan)h?2?)f?\(", code)


@pytest.mark.parametrize(("dtype", "wide"), [(np.float32, np.float64), (np.float64, np.longdouble)])
def test_atan2_on_all_sides(dtype: Any, wide: Any, rng: np.random.Generator) -> None:
    ends = [0.0, 1.0, INF, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal]
    special = np.array([*ends, *[-x for x in ends], np.nan], dtype)
    drawn = (rng.normal(size=(2, 100_000)) * 10.0 ** rng.uniform(-9, 9, (2, 100_000))).astype(dtype)
    pairs = np.concatenate([np.array(np.meshgrid(special, special)).reshape(2, -1), drawn], 1)
    a, b = np.ascontiguousarray(pairs)
    y = np.empty_like(a)

    @jit()
    def loop(a, b, y):
        for i in range(a.size):
            y[i] = vector_atan2(a[i], b[i])

    loop(a, b, y)
    want = np.arctan2(a.astype(wide), b.astype(wide))
    assert errors(y, want).max() <= 1.7 + (0 if EXTENDED or dtype == np.float32 else 1)
    held = want == want
    np.testing.assert_array_equal(np.signbit(y[held]), np.signbit(want[held]))


@pytest.mark.parametrize(("dtype", "powers"), [(np.float32, 10), (np.float64, 22)])
def test_logarithms_of_powers_are_whole(dtype: Any, powers: int) -> None:
    n = np.arange(powers + 1)
    np.testing.assert_array_equal(values("log10", (10.0**n).astype(dtype)), n)
    n = np.arange(-149, 128) if dtype == np.float32 else np.arange(-1074, 1024)
    np.testing.assert_array_equal(values("log2", np.ldexp(dtype(1), n)), n)


@pytest.mark.parametrize(("dtype", "wide"), [(np.float32, np.float64), (np.float64, np.longdouble)])
def test_tan_at_any_angle(dtype: Any, wide: Any, rng: np.random.Generator) -> None:
    ends = [0.0, -0.0, INF, -INF, np.nan, np.finfo(dtype).smallest_subnormal]
    near = (np.arange(-500, 500) * (np.pi / 2)).astype(dtype)  # poles and zeros
    parts = [rng.uniform(-r, r, PARALLEL).astype(dtype) for r in (1e-3, 2, 8_000, 1e6)]
    x = np.concatenate([np.array(ends, dtype), near, *parts])
    y = np.empty_like(x)
    KERNELS["tan"].cpu(x, y)
    with np.errstate(all="ignore"):
        want = np.tan(x.astype(wide))
    assert errors(y, want).max() <= 2.6 + (0 if EXTENDED or dtype == np.float32 else 1)
    np.testing.assert_array_equal(np.signbit(y[:2]), [False, True])
    # A large angle beside it does not change an element's bits.
    moderate = x[abs(x) < 1_000]
    alone, beside = np.empty_like(moderate), np.empty_like(moderate)
    KERNELS["tan"].cpu(moderate, alone)
    mixed = moderate.copy()
    mixed[::64] = 1e6
    KERNELS["tan"].cpu(mixed, beside)
    kept = mixed == moderate
    np.testing.assert_array_equal(beside[kept], alone[kept])


@pytest.mark.parametrize(("dtype", "wide"), [(np.float32, np.float64), (np.float64, np.longdouble)])
def test_hypot_on_all_scales(dtype: Any, wide: Any, rng: np.random.Generator) -> None:
    info = np.finfo(dtype)
    ends = [0.0, 1.0, INF, info.max / 2, info.tiny, info.smallest_subnormal]
    special = np.array([*ends, *[-x for x in ends], np.nan], dtype)
    reach = 37 if dtype == np.float32 else 300
    size = 10.0 ** rng.uniform(-reach, reach, 100_000) * 10.0 ** rng.uniform(-2, 2, (2, 100_000))
    drawn = (rng.normal(size=size.shape) * size / 1e3).astype(dtype)
    pairs = np.concatenate([np.array(np.meshgrid(special, special)).reshape(2, -1), drawn], 1)
    a, b = np.ascontiguousarray(pairs)
    y = np.empty_like(a)

    @jit()
    def loop(a, b, y):
        for i in range(a.size):
            y[i] = vector_hypot(a[i], b[i])

    loop(a, b, y)
    want = np.hypot(a.astype(wide), b.astype(wide))
    assert errors(y, want).max() <= 1.3


@pytest.mark.parametrize(("dtype", "bits"), [(np.float32, 24), (np.float64, 53)])
def test_erfinv_over_its_whole_range(dtype: Any, bits: int) -> None:
    rest = np.concatenate([2.0 ** -np.arange(1, bits + 1), np.linspace(0.01, 0.5, 5_000)])
    size = (1 - rest).astype(dtype)
    x = np.concatenate([size, rest, 10.0 ** -np.arange(1, 38.0)]).astype(dtype)
    y = np.empty_like(x)
    KERNELS["erfinv"].cpu(x, y)
    wide, found = x.astype(np.float64), y.astype(np.float64)
    off = np.where(
        wide > 0.5,
        (1 - wide) - vectorized(math.erfc)(found),
        vectorized(math.erf)(found) - wide,
    )
    distance = abs(off) * math.sqrt(math.pi) / 2 * np.exp(found * found) / np.spacing(y)
    assert distance.max() <= 5
    minus = np.empty_like(y)
    KERNELS["erfinv"].cpu(-x, minus)
    np.testing.assert_array_equal(minus, -y)


def test_gelu_keeps_the_bits_of_its_tail() -> None:
    x = np.linspace(-13, 0, 2_001).astype(np.float32)
    y = np.empty_like(x)
    KERNELS["gelu"].cpu(x, y)
    want = x * WIDE["normal"][0](x.astype(np.float64))
    assert errors(y, want).max() <= 6
