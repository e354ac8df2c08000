"""Activations in place, and dropout of channels: what the comparison with PyTorch does not see."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F

UNITS: dict[str, tuple[Any, ...]] = {
    "relu": (),
    "relu6": (),
    "elu": (1.3,),
    "leaky_relu": (0.2,),
    "silu": (),
    "hardtanh": (-0.5, 0.5),
    "selu": (),
    "celu": (0.7,),
    "mish": (),
    "hardswish": (),
    "hardsigmoid": (),
    "threshold": (0.1, -2.0),
    "rrelu": (0.1, 0.3, False),
    "dropout": (0.4, False),
}


@pytest.mark.parametrize("name", UNITS)
def test_in_place_is_as_out_of_place(name: str) -> None:
    function = getattr(F, name)
    w = mg.tensor([-2.0, -0.3, 0.4, 1.5], requires_grad=True)
    want = function(w, *UNITS[name])
    (slope,) = mg.grad(want.sum(), w)
    for call in (
        lambda x: function(x, *UNITS[name], True),
        lambda x: function(x, *UNITS[name], inplace=True),
    ):
        x = w * 1
        assert call(x) is x
        assert x.tolist() == want.tolist()
        (got,) = mg.grad(x.sum(), w)
        assert got is not None and slope is not None and got.tolist() == slope.tolist()


@pytest.mark.parametrize("name", ["relu", "elu", "leaky_relu", "selu", "celu", "hardtanh", "rrelu"])
def test_names_with_an_underscore_write(name: str) -> None:
    x = mg.tensor([-2.0, 0.5])
    want = getattr(F, name)(x).tolist()
    assert getattr(F, f"{name}_")(x) is x
    assert x.tolist() == want


@pytest.mark.parametrize(
    ("function", "shape", "lead"),
    [
        (F.dropout1d, (40, 5, 3), 2),
        (F.dropout1d, (200, 3), 1),
        (F.dropout2d, (20, 10, 2, 2), 2),
        (F.dropout2d, (20, 10, 4), 2),
        (F.dropout3d, (20, 10, 2, 1, 2), 2),
        (F.dropout3d, (200, 2, 1, 2), 1),
    ],
)
def test_whole_channels_are_dropped(function: Any, shape: tuple[int, ...], lead: int) -> None:
    y = function(mg.ones(*shape), 0.25).numpy().reshape(math.prod(shape[:lead]), -1)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (y == y[:, :1]).all()
    assert 0.1 < (y[:, 0] == 0).mean() < 0.4


@pytest.mark.parametrize("function", [F.alpha_dropout, F.feature_alpha_dropout])
def test_alpha_dropout_keeps_mean_and_variance(function: Any) -> None:
    x = mg.randn(300, 200)
    y = function(x, 0.3, True)
    assert abs(float(y.mean())) < 0.02 and abs(float(y.var()) - 1) < 0.03
    _, counts = np.unique(y.numpy(), return_counts=True)
    assert 0.27 < counts.max() / y.numel() < 0.33


def test_a_generator_repeats_a_mask() -> None:
    for function in (F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout):
        x, source = mg.ones(4, 6, 2), mg.Generator()
        a, b = (function(x, 0.5, True, generator=source.manual_seed(3)) for _ in range(2))
        assert a.tolist() == b.tolist()


def test_gumbel_softmax_draws_by_the_logits() -> None:
    logits = mg.tensor([0.1, 0.2, 0.7]).log().expand(4000, 3)
    y = F.gumbel_softmax(logits, hard=True)
    assert y.sum(1).tolist() == [1.0] * 4000
    np.testing.assert_allclose(y.mean(0).numpy(), [0.1, 0.2, 0.7], atol=0.03)
    x = mg.zeros(2, 3, requires_grad=True)
    (F.gumbel_softmax(x, 0.5, hard=True) * mg.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad is not None and bool((x.grad.sum(1).abs() < 1e-6).all())


def test_what_units_refuse() -> None:
    x = mg.ones(2, 3)
    with pytest.raises(ValueError, match=r"prelu: 2 weights for an input of shape \(2, 3\)"):
        F.prelu(x, mg.ones(2))
    with pytest.raises(ValueError, match="glu: size 3 of dim -1"):
        F.glu(x)
    with pytest.raises(ValueError, match="softshrink: lambd must be at least 0, got -1"):
        F.softshrink(x, -1)
    with pytest.raises(ValueError, match="rrelu: lower 2 is above upper 1"):
        F.rrelu(x, 2.0, 1.0)
    with pytest.raises(ValueError, match="dropout1d: expected 2 or 3 dimensions"):
        F.dropout1d(mg.ones(2))
