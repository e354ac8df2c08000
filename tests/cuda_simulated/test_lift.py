"""Lifted CUDA kernels beyond the battery: strided results, in place, other dtypes, index maths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad_cudasim as simulate
from minigrad_kernels.cuda.targets import Simulator, upload
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.elementwise.cuda_copy import contiguous, copy_words, tilings, transpose
from minigrad_kernels.elementwise.cuda_kernels import (
    digits,
    divisor,
    line_of,
    offset_of,
    quotient,
    shape_of,
    walk_of,
)
from minigrad_kernels.elementwise.cuda_rules import COMPARISONS, LOGIC, TESTS
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()

Array = np.ndarray[Any, Any]
ONE = ("square", "abs", "neg", "sign", "floor")
TWO = ("add", "sub", "mul", "maximum", "minimum", "floor_divide", "remainder", "pow")
WHOLE = (np.int64, np.int32, np.int8, np.uint8)


@pytest.fixture
def target() -> Simulator:
    return Simulator(seed=3)


def pair(rng: np.random.Generator, dtype: Any) -> tuple[Array, Array]:
    a, b = rng.integers(-9, 9, (2, 4, 6)) if dtype != np.uint8 else rng.integers(0, 9, (2, 4, 6))
    return a.astype(dtype), b.astype(dtype)


# ---------------------------------------------------------------- index maths
def test_division_by_multiplication_is_exact(rng: np.random.Generator) -> None:
    def kernel(n, d, q):
        for i in range(n.size):
            q[i] = quotient(n[i], d[i, 1], d[i, 2])

    most = 2**31 - 1
    divisors = [1, 2, 3, 5, 7, 31, 32, 33, 641, 65_537, 2**30, 2**30 + 1, most - 1, most]
    found = []
    for d in divisors:
        near = np.array([0, 1, d - 1, d, d + 1, 2 * d - 1, 2 * d, most // d * d, most])
        found += [(int(n), d) for n in near if n <= most]
    found += [(int(n), int(d)) for n, d in rng.integers(1, 2**31, (200, 2))]
    n = np.array([n for n, _ in found], np.uint32)
    d = np.array([divisor(d) for _, d in found], np.uint32)
    q = simulate.empty(n.size, np.uint32)
    simulate.launch(kernel, 1, 1, n, d, q)
    assert q.tolist() == [n // d for n, d in found]


def test_an_element_is_found_by_its_number() -> None:
    def kernel(shape, steps, y):
        for i in range(y.size):
            y[i] = offset_of(digits(i, shape), steps)

    sizes, steps = (3, 2, 5, 7), (200, 70, -1, 14, 2)
    y = simulate.empty(210, np.uint32)
    wrapped = tuple(np.array([s % 2**32 for s in steps], np.uint32))
    simulate.launch(kernel, 1, 1, shape_of(sizes), wrapped, y)
    where = np.indices(sizes).reshape(4, -1)
    assert y.tolist() == (200 + np.array(steps[1:]) @ where).tolist()


def test_arrays_alike_in_another_order_than_c_are_walked_as_lines() -> None:
    a = np.zeros((4, 6), np.float32).T
    layout = (a.shape, a.strides, 4)
    assert walk_of(layout, layout).alike
    assert not walk_of(layout, ((6, 4), (16, 4), 4)).alike
    assert not walk_of(((4,), (4,), 4), ((6, 4), (16, 4), 4)).alike


def test_six_dimensions_take_a_launch_for_each_of_the_outer_ones() -> None:
    a = np.zeros((2, 3, 2, 2, 2, 8), np.float32)[:, ::2, :, ::2, :, ::2]
    walk = walk_of((a.shape, a.strides, 4), (a.shape, a.strides, 4))
    assert len(walk.launches) == 1  # one dimension is 1, another joins its neighbour
    b = np.zeros((2, 3, 2, 4, 2, 8), np.float32)[:, ::2, :, ::2, ::-1, ::2]
    assert len(walk_of((b.shape, b.strides, 4), (b.shape, b.strides, 4)).launches) == 2


# ---------------------------------------------------------------- results of any layout
def test_a_strided_result_leaves_the_gaps_alone(
    target: Simulator, rng: np.random.Generator
) -> None:
    a, b = rng.normal(size=(2, 4, 6)).astype(np.float32)
    held = upload(target, np.full((9, 13), -7, np.float32))
    y = held[1::2, ::-2][:, :6]
    CUDA_KERNELS["add"](upload(target, a), upload(target, b), y)
    want = np.full((9, 13), -7, np.float32)
    want[1::2, ::-2][:, :6] = a + b
    np.testing.assert_array_equal(target.read(held), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_result_may_overwrite_an_operand(
    dtype: Any, transposed: bool, target: Simulator, rng: np.random.Generator
) -> None:
    a, b = rng.normal(size=(2, 6, 6)).astype(dtype)
    x, z = upload(target, a), upload(target, b)
    CUDA_KERNELS["mul"](x.T if transposed else x, z, x.T if transposed else x)
    want = (a.T * b).T if transposed else a * b
    np.testing.assert_array_equal(target.read(x), want)


def test_a_transposed_copy_goes_through_tiles(target: Simulator) -> None:
    def launches(a: Array, y: Array) -> Any:
        return tilings((a.shape, a.strides, a.itemsize), (y.shape, y.strides, y.itemsize))

    tall = np.zeros((40, 33), np.float32)
    assert launches(tall.T, np.zeros((33, 40), np.float32)) is not None
    assert launches(tall, np.zeros((40, 33), np.float32)[:, ::-1]) is None
    assert launches(tall[:, :15].T, np.zeros((15, 40), np.float32)) is None
    called: list[Any] = []

    class Watched(Simulator):
        def run(self, kernel: Any, *rest: Any, **options: Any) -> None:
            called.append(kernel)
            super().run(kernel, *rest, **options)

    watched = Watched()
    x = np.arange(40 * 33, dtype=np.int64).reshape(40, 33)
    y = contiguous(upload(watched, x).T)
    assert called == [transpose]
    assert watched.read(y).tolist() == x.T.tolist()
    assert contiguous(y) is y
    whole = upload(watched, np.arange(8))
    CUDA_KERNELS["abs"](whole, whole)
    called.clear()
    y = watched.empty(8, np.int64)
    CUDA_KERNELS["copy"](whole, y)
    assert called == [copy_words.vectors]  # 128 bits at once, whatever the dtype


# ---------------------------------------------------------------- integers and bools
@pytest.mark.parametrize("to", [*WHOLE, np.bool_, np.float32, np.float64])
@pytest.mark.parametrize("of", [*WHOLE, np.bool_, np.float32, np.float64])
def test_a_copy_casts_as_numpy_does(
    of: Any, to: Any, target: Simulator, rng: np.random.Generator
) -> None:
    signed = of in (np.float32, np.float64) and to not in (np.uint8,)
    a = (rng.normal(size=(5, 7)) * 9 if signed else rng.integers(0, 99, (5, 7))).astype(of)
    a[0, :2] = 0, 1
    for few in (a, a.T):
        y = target.empty(few.shape, to)
        CUDA_KERNELS["copy"](upload(target, few.copy().T.copy()).T, y)
        np.testing.assert_array_equal(target.read(y), few.astype(to))


@pytest.mark.parametrize("dtype", WHOLE)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_integers_are_computed_as_numpy_does(
    name: str, dtype: Any, target: Simulator, rng: np.random.Generator
) -> None:
    a, b = pair(rng, dtype)
    if name == "pow":
        b = abs(b) % 5
    few = [a] if name in ONE else [a, b]
    want, y = np.empty_like(a), target.empty(a.shape, dtype)
    with np.errstate(all="ignore"):
        KERNELS[name].cpu(*few, want)
    CUDA_KERNELS[name](*[upload(target, x) for x in few], y)
    np.testing.assert_array_equal(target.read(y), want)


@pytest.mark.parametrize("dtype", [*WHOLE, np.bool_])
@pytest.mark.parametrize("name", [*COMPARISONS, *LOGIC, *TESTS])
def test_integers_and_bools_are_compared_as_numpy_does(
    name: str, dtype: Any, target: Simulator, rng: np.random.Generator
) -> None:
    a, b = (x % 3 for x in pair(rng, np.int64))
    few = [x.astype(dtype) for x in ((a,) if name in TESTS else (a, b))]
    want, y = np.empty(a.shape, np.bool_), target.empty(a.shape, np.bool_)
    KERNELS[name].cpu(*few, want)
    CUDA_KERNELS[name](*[upload(target, x) for x in few], y)
    np.testing.assert_array_equal(target.read(y), want)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.uint8])
def test_choice_of_integers(dtype: Any, target: Simulator, rng: np.random.Generator) -> None:
    a, b = (abs(x).astype(dtype) for x in pair(rng, np.int64))
    c = rng.random((4, 1)) > 0.5
    y = target.empty((4, 6), dtype)
    CUDA_KERNELS["where"](upload(target, c), upload(target, a), upload(target, b), y)
    np.testing.assert_array_equal(target.read(y), np.where(c, a, b))


def test_whole_powers_beyond_what_float64_holds(target: Simulator) -> None:
    a, b = np.array([3, -7, 2, 0, 10]), np.array([39, 22, 63, 0, 1])
    y = target.empty(5, np.int64)
    CUDA_KERNELS["pow"](upload(target, a), upload(target, b), y)
    assert target.read(y).tolist() == np.power(a, b).tolist()


def test_a_line_holds_all_that_a_view_reaches(target: Simulator) -> None:
    x = upload(target, np.arange(24, dtype=np.float32).reshape(4, 6))
    view = x[::-2, 1::2]
    (low, count), *_ = walk_of((view.shape, view.strides, 4)).lines
    assert target.read(line_of(view, low, count)).tolist() == list(range(7, 24))
