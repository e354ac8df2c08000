"""Clipping and the guard against NaN and infinity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.train import EarlyStopping, GradientClipping, StopOnNonFinite
from tests.train.toys import At, Scores, loader, network, same, snapshot, trainer


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
    model = network()
    model.unused = mg.nn.Parameter(mg.zeros(2))
    fitted = trainer(StopOnNonFinite(), model=model)
    assert len(fitted.fit(loader(), epochs=1)) == 1


# ---------------------------------------------------------------- what cannot be clipped
def spoils(value: float, steps: tuple[int, ...]) -> At:
    """Return a callback that spoils one gradient in some steps, before others look at it."""

    class Spoil(At):
        order = -50

        def after_backward(self, t: Any) -> None:
            if t.step in steps:
                t.model[4].weight.grad.array[1, 2] = value

    return Spoil("", None)


LIMITS: tuple[dict[str, float], ...] = ({"max_norm": 1.0}, {"max_norm": 1e6}, {"value": 0.5})


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_cannot_be_clipped_is_named(value: float, limit: Any) -> None:
    fitted = trainer(GradientClipping(**limit), spoils(value, (7,)))
    if "value" in limit and np.isinf(value):
        fitted.fit(loader(40), epochs=2)  # an infinity becomes the limit
    else:
        message = (
            "GradientClipping: the gradients cannot be clipped in epoch 2, step 7; the gradient of "
            f"4.weight has 1 of 24 values not finite, the first is {value}"
        )
        with pytest.raises(FloatingPointError, match=message):
            fitted.fit(loader(40), epochs=2)
    assert all(np.isfinite(array).all() for array in snapshot(fitted.model).values())


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_a_step_may_be_skipped_instead(limit: Any) -> None:
    clipping = GradientClipping(**limit, on_nonfinite="skip")
    states: list[Any] = []
    keep = At("on_epoch_end", lambda t: states.append(snapshot(t.model)))
    fitted = trainer(clipping, spoils(float("nan"), (3, 4, 8)), keep, loss=F.cross_entropy)
    with pytest.warns(UserWarning, match="the step is skipped, .* see the callback's .skipped"):
        history = fitted.fit(loader(40), epochs=2)
    assert clipping.skipped == 3
    assert len(history) == 2
    assert all(np.isfinite(array).all() for array in snapshot(fitted.model).values())
    assert repr(clipping).endswith(", on_nonfinite='skip')")
    fitted.callbacks.pop(1)
    fitted.fit(loader(40), epochs=1)
    assert clipping.skipped == 0


def test_a_skipped_step_changes_nothing_of_the_optimizer() -> None:
    fitted = trainer(GradientClipping(1.0, on_nonfinite="skip"), spoils(float("inf"), (2,)))
    model = fitted.model
    fitted.optimizer = mg.optim.AdamW(model.named_parameters(), lr=0.1, weight_decay=0.1)
    seen: list[Any] = []

    class Look(At):
        def on_step_end(self, t: Any) -> None:
            parameters = {n: p.array.copy() for n, p in t.model.named_parameters()}
            seen.append((parameters, t.optimizer.state_dict()["state"]))

    fitted.callbacks.append(Look("", None))
    with pytest.warns(UserWarning, match="skipped"):
        fitted.fit(loader(24), epochs=1)
    assert same(seen[0][0], seen[1][0])
    assert [entry["step"] for entry in seen[1][1].values()] == [1] * len(seen[1][1])
    assert not same(seen[1][0], seen[2][0])


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), True])
@pytest.mark.parametrize("name", ["max_norm", "value"])
def test_limits_that_are_none(name: str, limit: Any) -> None:
    with pytest.raises(ValueError, match="expected a limit above 0"):
        GradientClipping(**{name: limit})
    with pytest.raises(ValueError, match="on_nonfinite to be one of"):
        GradientClipping(1.0, on_nonfinite="ignore")
