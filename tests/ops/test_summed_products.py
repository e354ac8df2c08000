"""Gradients of products towards operands that were broadcast: one kernel where it can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.engine import dispatch
from minigrad.ops import summed_products
from minigrad.ops.arithmetic import Mul
from minigrad.ops.summed_products import groups

# Shapes of both operands, and whether the second one's gradient is summed by one kernel.
CASES = (
    ((4, 5), (5,), True),
    ((4, 5), (4, 1), True),
    ((4, 5), (1, 5), True),
    ((4, 5), (), True),
    ((3, 4, 5), (4, 1), False),
    ((3, 4, 5), (3, 1, 5), True),
    ((3, 4, 5), (1, 4, 1), False),
    ((0, 5), (5,), True),
    ((4, 5), (4, 5), False),
    ((150, 133), (133,), True),  # below and above the size at which loops are parallel
    ((151, 133), (133,), True),
    ((151, 133), (151, 1), True),
)


def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the launches of `product_toward` from here on."""
    names: list[str] = []

    def noted(name: str, *args: Any) -> None:
        names.append(name)
        dispatch.launch(name, *args)

    monkeypatch.setattr(summed_products, "launch", noted)
    return names


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("large", "small", "one"), CASES)
def test_gradients_are_those_of_the_product_summed(
    large: Any, small: Any, one: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    a, b, g = (rng.standard_normal(s).astype(dtype) for s in (large, small, large))
    names = launched(monkeypatch)
    for first, second in ((a, b), (b, a)):
        x, z = mg.tensor(first, requires_grad=True), mg.tensor(second, requires_grad=True)
        (x * z).backward(mg.tensor(g))
        got = (z if first is a else x).grad
        assert got is not None and got.array.dtype == dtype
        lead = a.ndim - b.ndim
        axes = tuple(i for i in range(a.ndim) if i < lead or b.shape[i - lead] != a.shape[i])
        want = (g.astype(np.float64) * a).sum(axes).reshape(b.shape)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(got.numpy(), want, tolerance, tolerance * a.size**0.5)
    assert names == ["sum_products"] * 2 * one


def test_what_one_kernel_cannot_sum_is_left_to_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    names = launched(monkeypatch)
    x, w = mg.randn(4, 6, requires_grad=True), mg.randn(6, requires_grad=True)
    (x * w).backward(mg.ones(1, 1).expand(4, 6))  # one number, seen in that shape
    assert names == []
    np.testing.assert_allclose(w.grad.numpy(), x.detach().numpy().sum(0), 1e-5, 1e-6)
    z = mg.randn(6, 4, requires_grad=True)
    w.grad = None
    (z.T * w).backward(mg.ones(4, 6))
    assert names == []
    np.testing.assert_allclose(w.grad.numpy(), z.detach().numpy().sum(1), 1e-5, 1e-6)


@pytest.mark.parametrize(("large", "small"), [((3, 4), (4,)), ((3, 4), (3, 1))])
def test_products_are_differentiated_to_any_order(large: Any, small: Any) -> None:
    x = mg.randn(*large, dtype=mg.float64, requires_grad=True)
    w = mg.randn(*small, dtype=mg.float64, requires_grad=True)
    assert mg.gradcheck(Mul.apply, (x, w)) and mg.gradgradcheck(Mul.apply, (x, w))


def test_a_saved_operand_that_was_written_to_is_still_refused() -> None:
    x, w = mg.randn(3, 4, requires_grad=True), mg.randn(4, requires_grad=True)
    a = x + 0
    y = a * w
    with mg.no_grad():
        a += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(mg.ones(3, 4))


def test_lanes_are_summed_each_by_itself() -> None:
    x, w = mg.randn(5, 3, 4), mg.randn(4)
    found = mg.func.vmap(lambda x: mg.func.grad(lambda w: (x * w).exp().sum())(w))(x)
    want = (x * (x * w).exp()).sum(1)
    np.testing.assert_allclose(found.numpy(), want.numpy(), 1e-5, 1e-6)


def test_shapes_that_do_not_broadcast_have_no_groups() -> None:
    assert groups((4, 5), (3,)) is None and groups((5,), (4, 5)) is None
    assert groups((4, 5), (4, 5)) is None
