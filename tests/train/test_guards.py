"""Clipping and the guard against NaN and infinity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.train import EarlyStopping, GradientClipping, StopOnNonFinite
from tests.train.toys import At, Scores, loader, same, snapshot, trainer


def gradients(model: Any) -> np.ndarray:
    return np.concatenate([p.grad.array.ravel() for p in model.parameters()])


def seen_after(callback: Any) -> np.ndarray:
    """Return the gradients that the first step gets."""
    kept: list[np.ndarray] = []
    look = At("after_backward", lambda t: kept.append(gradients(t.model)))
    trainer(callback, look).fit(loader(8), epochs=1)
    return kept[0]


def test_clipping_by_norm() -> None:
    assert np.linalg.norm(seen_after(GradientClipping(max_norm=0.01))) == pytest.approx(0.01, 1e-3)


def test_clipping_by_value() -> None:
    clipped = seen_after(GradientClipping(value=0.001))
    assert np.abs(clipped).max() == np.float32(0.001)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either max_norm or value, but got max_norm=None and value=None"),
        ({"max_norm": 1.0, "value": 1.0}, "either max_norm or value"),
        ({"max_norm": 0.0}, "a limit above 0, but got 0.0"),
        ({"value": float("nan")}, "a limit above 0, but got nan"),
    ],
)
def test_clipping_needs_one_limit(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GradientClipping(**options)


def broken_loss(value: float, at: int) -> Any:
    """Return cross-entropy that is `value` at one of its calls."""
    calls = iter(range(1, 1000))

    def loss(output: Any, target: Any) -> Any:
        factor = value if next(calls) == at else 1.0
        return F.cross_entropy(output, target) * factor

    return loss


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_loss_is_named_before_it_reaches_the_weights(value: float) -> None:
    fitted = trainer(StopOnNonFinite(), GradientClipping(1.0), loss=broken_loss(value, at=7))
    message = (
        f"the loss is {value} in epoch 2, step 7; the gradient of 0.weight has .* of 32 values not"
    )
    with pytest.raises(FloatingPointError, match=message):
        fitted.fit(loader(40), epochs=3)
    assert all(np.isfinite(array).all() for array in snapshot(fitted.model).values())


def test_a_bad_gradient_is_named() -> None:
    def poison(t: Any) -> None:
        t.model[3 + 1].weight.grad.array[1, 2] = np.inf

    bad = At("after_backward", poison)
    bad.order = -20  # type: ignore[misc]
    fitted = trainer(StopOnNonFinite(), bad)
    message = "the gradient of 4.weight has 1 of 24 values not finite, the first is inf; clip"
    with pytest.raises(FloatingPointError, match=message):
        fitted.fit(loader(), epochs=1)


def test_the_best_weights_come_back_after_the_error() -> None:
    scores = Scores(1.0, 2.0)
    callbacks = (scores, EarlyStopping("loss"), StopOnNonFinite())
    fitted = trainer(*callbacks, loss=broken_loss(float("nan"), at=13))
    scores.name = "loss"
    with pytest.raises(FloatingPointError, match="in epoch 3, step 13"):
        fitted.fit(loader(40), epochs=3)
    assert same(snapshot(fitted.model), scores.snapshots[1])


def test_a_parameter_without_gradient_is_left_out() -> None:
    fitted = trainer(StopOnNonFinite())
    fitted.model.unused = mg.nn.Parameter(mg.zeros(2))
    assert len(fitted.fit(loader(), epochs=1)) == 1
