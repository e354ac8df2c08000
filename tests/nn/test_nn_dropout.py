"""Dropout: scaling, extremes, streams, masks that are functions of (seed, stream, call)."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn


def test_inverted_scaling_and_the_share_dropped() -> None:
    n, p = 100_000, 0.3
    y = nn.Dropout(p)(mg.ones(n)).array
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - p) < 5 * math.sqrt(p * (1 - p) / n)


def test_classical_scaling() -> None:
    layer = nn.Dropout(0.25, scaling="classical")
    assert set(np.unique(layer(mg.ones(1000)).array)) == {0, 1}
    x = mg.ones(4, requires_grad=True)
    y = layer.eval()(x)
    assert y.tolist() == [0.75] * 4
    y.sum().backward()
    assert x.grad.tolist() == [0.75] * 4


def test_nothing_to_drop_is_the_same_tensor() -> None:
    x = mg.ones(3)
    assert nn.Dropout(0.0)(x) is x and nn.Dropout(0.5).eval()(x) is x
    assert F.dropout(x, 0.0) is x and F.dropout(x, training=False) is x
    with mg.no_grad():
        assert (nn.Dropout(0.5)(mg.ones(100)) == 0).any()  # no_grad does not change dropout


@pytest.mark.parametrize("scaling", ["inverted", "classical"])
def test_everything_dropped_is_zero_with_zero_gradient(scaling: str) -> None:
    x = mg.tensor([1.0, math.inf, -math.inf, math.nan], requires_grad=True)
    y = nn.Dropout(1.0, scaling=scaling)(x)
    assert y.tolist() == [0.0] * 4
    y.sum().backward()
    assert x.grad.tolist() == [0.0] * 4


def test_backward_uses_the_mask_of_forward() -> None:
    x = mg.ones(1000, requires_grad=True)
    y = nn.Dropout(0.5)(x)
    y.sum().backward()
    assert np.array_equal(x.grad.array, y.array)


def test_each_call_and_each_module_draws_anew_and_the_seed_repeats_it() -> None:
    def masks() -> list[list[float]]:
        mg.manual_seed(3)
        a, b = nn.Dropout(), nn.Dropout()
        return [a(mg.ones(64)).tolist(), a(mg.ones(64)).tolist(), b(mg.ones(64)).tolist()]

    first = masks()
    assert len({tuple(m) for m in first}) == 3
    assert masks() == first


def test_a_deep_copy_draws_masks_of_its_own() -> None:
    layer = nn.Dropout()
    twin = copy.deepcopy(nn.ModuleList([layer, layer]))
    assert twin[0] is twin[1]
    assert twin[0](mg.ones(64)).tolist() != layer(mg.ones(64)).tolist()
    mg.manual_seed(0)
    assert twin[0].generator.calls == 0


def test_functional_takes_a_generator() -> None:
    x = mg.ones(64)
    a, b = (F.dropout(x, generator=mg.Generator(5)).tolist() for _ in range(2))
    assert a == b and a != F.dropout(x).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": 1.5}, r"expected 0 <= p <= 1, got 1.5"),
        ({"p": -0.1}, r"expected 0 <= p <= 1, got -0.1"),
        ({"p": math.nan}, r"expected 0 <= p <= 1, got nan"),
        ({"scaling": "none"}, "scaling must be 'inverted' or 'classical', got 'none'"),
    ],
)
def test_refusals(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nn.Dropout(**options)
    with pytest.raises(ValueError, match=message):
        F.dropout(mg.ones(1), **options)
