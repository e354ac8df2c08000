"""no_grad, detach, eval: three different things; what a thread records is its own affair."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import minigrad as mg


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


def gradient(t: mg.Tensor) -> Any:
    assert t.grad is not None
    return t.grad.tolist()


def test_no_grad_detach_and_enable_grad() -> None:
    x = leaf(2.0)
    with mg.no_grad():
        y = x * x
        assert not mg.is_grad_enabled()
        with mg.enable_grad():
            z = x * x
    assert mg.is_grad_enabled()
    assert (y.requires_grad, z.requires_grad) == (False, True)
    (x.detach() * x).sum().backward()
    assert gradient(x) == [2.0]

    @mg.no_grad()
    def decorated() -> mg.Tensor:
        return x * x

    assert not decorated().requires_grad
    assert decorated().is_leaf
    with mg.set_grad_enabled(False):
        assert not (x * 2).requires_grad


def test_no_grad_ends_with_an_exception() -> None:
    with pytest.raises(KeyError), mg.no_grad():
        raise KeyError
    assert mg.is_grad_enabled()


def test_grad_mode_is_per_thread() -> None:
    found: list[bool] = []
    with mg.no_grad():
        thread = threading.Thread(target=lambda: found.append(mg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert found == [True]


def test_eval_records_and_no_grad_drops_out() -> None:
    x = mg.ones(1000, requires_grad=True)
    layer = mg.nn.Dropout(0.5)
    with mg.no_grad():
        assert 0 < (layer(x) == 0).sum().item() < 1000
    layer.eval()
    assert layer(x * 1).requires_grad


def test_detach_shares_memory_and_version() -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    d = y.detach()
    assert np.shares_memory(d.array, y.array)
    z = y * y
    d += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()
