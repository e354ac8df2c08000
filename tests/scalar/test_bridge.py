"""Gradients cross between Values and tensors."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import Value
from minigrad.scalar import from_tensor, to_tensor


def test_a_tensor_of_values_gives_them_their_gradient() -> None:
    a, b = Value(2.0), Value(3.0)
    h = a * b
    t = to_tensor([[a, b], [h, h]])
    assert t.shape == (2, 2)
    assert t.dtype == mg.float64
    (t * mg.tensor([[1.0, 10.0], [100.0, 1000.0]], dtype=mg.float64)).sum().backward()
    assert (a.grad, b.grad) == (1 + 1100 * 3, 10 + 1100 * 2)
    assert h.grad == 1100.0


def test_values_of_a_tensor_give_it_its_gradient() -> None:
    w = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    (p, q), (r, s) = from_tensor(w.exp())
    (p * q + r * s).backward()
    e = np.exp([[1.0, 2.0], [3.0, 4.0]])
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), e * e[:, ::-1], rtol=1e-6)
    assert p.grad == pytest.approx(q.data)


def test_there_and_back_again() -> None:
    x = Value(0.5)
    t = to_tensor([x * 2, x]).tanh()
    u, v = from_tensor(t)
    y = u * v
    y.backward()
    z = Value(0.5)
    ((z * 2).tanh() * z.tanh()).backward()
    assert x.grad == pytest.approx(z.grad, rel=1e-12)


def test_a_value_alone_is_a_tensor_without_dimensions() -> None:
    x = Value(3.0)
    t = to_tensor(x * x, mg.float32)
    assert t.shape == ()
    assert t.dtype == mg.float32
    t.backward()
    assert x.grad == 6.0
    assert isinstance(from_tensor(mg.tensor(2.0)), Value)


def test_without_grad_nothing_is_linked() -> None:
    with mg.no_grad():
        assert not to_tensor([Value(1.0)]).requires_grad
    (x,) = from_tensor(mg.ones(1))
    (x * 2).backward()
    assert x.grad == 2.0


def test_other_things_are_refused() -> None:
    with pytest.raises(TypeError, match=r"expected Values, got 1\.0 \(float\)"):
        to_tensor([1.0])
    with pytest.raises((ValueError, TypeError), match="differ in length|inhomogeneous"):
        to_tensor([[Value(1.0)], [Value(1.0), Value(2.0)]])
