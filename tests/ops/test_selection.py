"""Orders, ranks and distances found by other ways than the plain one give what that gives."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine.random import order_of_words
from minigrad.ops.sorting import PACKED, order_of, place_of_rank
from minigrad_kernels.jit import plain

Array = np.ndarray[Any, Any]
SUMS = 5e-6 if plain.ON else 0.0  # in plain mode added up in float64
DTYPES = ("float32", "float64", "int8", "int32", "int64", "uint8", "bool")


def arrays(dtype: str, size: int) -> list[Array]:
    """Return arrays (4, size) with many equals, in C order and not; zeros and NaN of both signs."""
    rng = np.random.default_rng(0)
    a = rng.integers(-4, 5, (4, size)).astype(dtype)
    found = [a, (rng.standard_normal((4, size)) * 1e4).astype(dtype)]
    if a.dtype.kind == "f":
        odd = a.copy()
        odd[odd == 1] = np.nan
        odd[odd == 2] = -np.float32(np.nan)
        odd[odd == 3] = np.inf
        odd[odd == -3] = -np.inf
        odd[:, ::3] *= -0.0
        found.append(odd)
    return found + [np.asfortranarray(b)[:, ::-1] for b in found]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [7, PACKED // 4 + 1])
def test_orders_and_ranks_are_those_of_the_stable_sort(dtype: str, size: int) -> None:
    with np.errstate(invalid="ignore"):
        cases = arrays(dtype, size)
    for a in cases:
        for axis in (0, 1):
            n = a.shape[axis]
            order = np.argsort(a, axis=axis, kind="stable")
            turned = np.argsort(np.flip(a, axis), axis=axis, kind="stable")
            np.testing.assert_array_equal(order_of(a, axis, False), order)
            np.testing.assert_array_equal(order_of(a, axis, True), n - 1 - np.flip(turned, axis))
            for rank in (0, n // 2, n - 1):
                expected = np.take(order, [rank], axis=axis)
                np.testing.assert_array_equal(place_of_rank(a, rank, axis), expected)
            if a.dtype.kind == "f":
                known = (a == a).sum(axis, keepdims=True)
                rank = np.maximum(known - 1, 0) // 2
                expected = np.take_along_axis(order, rank, axis).squeeze(axis)
                assert mg.nanmedian(mg.tensor(a), axis).indices.tolist() == expected.tolist()
                rank = np.where(known < n, known, (n - 1) // 2)
                expected = np.take_along_axis(order, rank, axis).squeeze(axis)
                assert mg.median(mg.tensor(a), axis).indices.tolist() == expected.tolist()


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_random_words_are_in_their_stable_order_even_where_upper_bits_agree(n: int) -> None:
    words = np.random.default_rng(0).integers(0, 2**64, n, np.uint64)
    for given in (words, words % np.uint64(5), words >> np.uint64(62) << np.uint64(62)):
        expected = np.argsort(given, kind="stable")
        np.testing.assert_array_equal(order_of_words(given), expected)


@pytest.mark.parametrize("rows", [25, 26])
@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_distances_by_products_are_those_of_differences(rows: int, dtype: Any) -> None:
    mg.manual_seed(0)
    x = mg.randn(2, 7, rows, dtype=dtype).transpose(1, 2).requires_grad_()
    y = mg.randn(3, 7, dtype=dtype).requires_grad_()
    weights = mg.randn(2, rows, 3, dtype=dtype)
    found = []
    for mode in (None, "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"):
        d = mg.cdist(x, y, compute_mode=mode) if mode else mg.cdist(x, y)
        found.append((d.detach(), *mg.grad((d * weights).sum(), (x, y))))
    tol = 1e-5 if dtype == mg.float32 else 1e-13
    for parts in zip(*found, strict=True):
        for part in parts[:2]:
            np.testing.assert_allclose(part.numpy(), parts[2].numpy(), rtol=tol, atol=tol)
    with pytest.raises(ValueError, match="compute_mode"):
        mg.cdist(x, y, compute_mode="fast")


def test_distances_of_rows_to_themselves_have_finite_gradients() -> None:
    x = mg.eye(30).requires_grad_()
    d = mg.cdist(x, x)
    assert d.detach().diagonal().tolist() == [0.0] * 30
    (g,) = mg.grad(d.sum(), (x,))
    assert bool(g.isfinite().all())
    nan = mg.full((30, 2), float("nan"))
    assert bool(mg.cdist(nan, nan).isnan().all())


def test_distances_of_many_rows_need_no_tensor_of_their_differences() -> None:
    x = mg.randn(200, 200)
    tracemalloc.start()
    try:
        mg.cdist(x, x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 200**3 / 4


def test_the_trapezoidal_rule_takes_half_of_each_end() -> None:
    y = np.random.default_rng(0).standard_normal((4, 5, 6))
    for axis in (0, 1, -1):
        x = mg.tensor(y, requires_grad=True)
        area = mg.trapezoid(x, dx=0.5, dim=axis)
        np.testing.assert_allclose(area.detach().numpy(), np.trapezoid(y, dx=0.5, axis=axis))
        (g,) = mg.grad(area.sum(), (x,))
        ends = np.moveaxis(g.numpy(), axis, 0)
        assert set(ends[[0, -1]].ravel()) == {0.25} and set(ends[1:-1].ravel()) == {0.5}
    assert mg.trapezoid(mg.tensor([2.0, 4.0]), dx=3).item() == 9
    assert mg.trapezoid(mg.tensor([float("inf"), 1.0, 1.0])).item() == float("inf")


def test_repeated_tensors_have_memory_of_their_own() -> None:
    for shape, times in (((3,), (1,)), ((1,), (4,)), ((2, 1), (1, 3)), ((2, 3), (2, 1, 2))):
        x = mg.zeros(*shape)
        y = x.repeat(*times)
        y += 1
        assert not x.any() and bool((y == 1).all())
        assert y.shape == np.tile(np.zeros(shape), times).shape


def test_positions_out_of_range_are_refused_on_both_sides() -> None:
    x = mg.arange(6).reshape(2, 3)
    for bad in (-1, 3):
        with pytest.raises(IndexError, match=f"index {bad} is out of range for 3"):
            mg.gather(x, 1, mg.tensor([[0, bad]]))
    assert x[:, mg.tensor([-1, 0])].tolist() == [[2, 0], [5, 3]]


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_slices_along_any_axis_are_numpy_s(dtype: str, dim: int, rng: np.random.Generator) -> None:
    x = (rng.normal(size=(6, 7, 12)) * 9).astype(dtype)
    at = rng.integers(0, x.shape[dim], 20)
    part = (rng.normal(size=np.take(x, at, dim).shape) * 9).astype(dtype)
    np.testing.assert_array_equal(
        mg.index_select(mg.tensor(x), dim, mg.tensor(at)), x.take(at, dim)
    )
    want = np.zeros_like(x)
    np.add.at(want, (slice(None),) * dim + (at,), part)
    got = mg.zeros(*x.shape, dtype=dtype).index_add(dim, mg.tensor(at), mg.tensor(part))
    np.testing.assert_allclose(got, want, rtol=0, atol=SUMS)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("shape", [(6, 7, 12), (3, 7, 5), (40, 30, 25)])
def test_elements_along_any_axis_are_numpy_s(
    shape: tuple[int, ...], dim: int, rng: np.random.Generator
) -> None:
    x = rng.normal(size=(40, 30, 25)).astype(np.float32)
    at = rng.integers(0, x.shape[dim], shape)
    places = list(np.ogrid[tuple(slice(0, n) for n in shape)])
    places[dim] = at
    for held in (at, np.asfortranarray(at), np.repeat(at, 2, 0)[::2]):
        np.testing.assert_array_equal(
            mg.gather(mg.tensor(x), dim, mg.from_numpy(held)), x[tuple(places)]
        )
    src = rng.normal(size=shape).astype(np.float32)
    want = np.zeros_like(x)
    np.add.at(want, tuple(places), src)
    got = mg.zeros(*x.shape).scatter_add(dim, mg.tensor(at), mg.tensor(src))
    np.testing.assert_allclose(got, want, rtol=0, atol=SUMS)


def test_a_gradient_goes_where_the_positions_were() -> None:
    at = np.zeros((3, 4), np.int64)
    x = mg.zeros(3, 4, requires_grad=True)
    y = x.gather(1, mg.from_numpy(at))
    z = mg.zeros(3, 4).scatter_add(1, mg.from_numpy(at), x)
    at[:] = 3
    (y.sum() + (z * mg.arange(4.0)).sum()).backward()
    np.testing.assert_array_equal(x.grad, [[4, 0, 0, 0]] * 3)
