"""Early stopping: when, with which weights, and how it goes on later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.train import EarlyStopping
from tests.train.toys import At, Scores, interrupt, loader, same, snapshot, trainer

NAN = float("nan")


def fit(values: list[float], epochs: int | None = None, **options: Any) -> Any:
    """Fit with given validation losses; return trainer, history and the snapshots by epoch."""
    scores = Scores(*values)
    early = EarlyStopping(**options)
    fitted = trainer(scores, early)
    history = fitted.fit(loader(), loader(seed=1), epochs=epochs or len(values))
    return fitted, history, scores.snapshots


def test_it_stops_after_patience_epochs_and_restores_the_best() -> None:
    fitted, history, snapshots = fit([3.0, 1.0, 2.0, 1.5, 0.5], patience=2)
    assert len(history) == 4
    assert history.stop_reason == "val_loss has not improved for 2 epochs"
    assert (history.best_epoch, history.restored_epoch) == (2, 2)
    assert same(snapshot(fitted.model), snapshots[2])
    assert not same(snapshots[2], snapshots[4])


def test_buffers_are_restored_too() -> None:
    fitted, _, snapshots = fit([1.0, 2.0, 2.0], patience=10)
    names = [n for n, _ in fitted.model.named_buffers()]
    assert "1.running_mean" in names
    now = snapshot(fitted.model)
    for name in names:
        np.testing.assert_array_equal(now[name], snapshots[1][name])
        assert not np.array_equal(now[name], snapshots[3][name])


def test_buffers_that_are_in_no_state_dict_are_restored() -> None:
    fitted = trainer(Scores(1.0, 2.0), EarlyStopping())
    fitted.model.register_buffer("calls", mg.tensor([0.0]), persistent=False)

    def count(t: Any) -> None:
        t.model.calls.array[...] += 1.0

    fitted.callbacks.append(At("on_step_end", count, epoch=2))
    fitted.fit(loader(), loader(seed=1), epochs=2)
    assert fitted.model.calls.tolist() == [0.0]


def test_exhaustion_restores_and_says_so() -> None:
    fitted, history, snapshots = fit([1.0, 2.0, 3.0], patience=10)
    assert (history.stop_reason, history.restored_epoch) == ("all epochs done", 1)
    assert same(snapshot(fitted.model), snapshots[1])


def test_an_error_restores_too() -> None:
    def fail(t: Any) -> None:
        raise RuntimeError("disk full")

    scores = Scores(1.0, 2.0, 3.0)
    fitted = trainer(scores, EarlyStopping(), At("on_step_end", fail, epoch=3))
    with pytest.raises(RuntimeError, match="disk full"):
        fitted.fit(loader(), loader(seed=1), epochs=3)
    assert same(snapshot(fitted.model), scores.snapshots[1])


def test_ctrl_c_before_any_epoch_leaves_the_weights() -> None:
    fitted = trainer(EarlyStopping("loss"), At("on_step_end", interrupt))
    history = fitted.fit(loader(), epochs=2)
    assert history.interrupted
    assert (len(history), history.restored_epoch) == (0, None)


def test_restore_best_can_be_declined() -> None:
    fitted, history, snapshots = fit([1.0, 2.0], restore_best=False)
    assert (history.best_epoch, history.restored_epoch) == (1, None)
    assert same(snapshot(fitted.model), snapshots[2])


def test_improvement_is_strict_and_by_more_than_min_delta() -> None:
    assert fit([1.0, 1.0, 1.0], patience=2)[1].best_epoch == 1
    _, history, _ = fit([1.0, 0.75, 0.5, 0.25], patience=3, min_delta=0.25)
    assert history.best_epoch == 3  # 0.75 is better by 0.25, no more; 0.5 by 0.5; 0.25 not again


def test_mode_max() -> None:
    scores = Scores(0.5, 0.9, 0.8, 0.7, name="val_accuracy")
    early = EarlyStopping("val_accuracy", patience=2, mode="max")
    fitted = trainer(scores, early, metrics={"accuracy": mg.train.accuracy})
    history = fitted.fit(loader(), loader(seed=1), epochs=9)
    assert (len(history), history.best_epoch, early.best_value) == (4, 2, 0.9)


def test_nan_is_never_best() -> None:
    _, history, _ = fit([NAN, 2.0, NAN, NAN, 1.0], patience=2)
    assert (len(history), history.best_epoch, history.restored_epoch) == (4, 2, 2)
    _, history, _ = fit([NAN, NAN, NAN], patience=5)
    assert (history.best_epoch, history.restored_epoch) == (None, None)


def test_nan_can_stop_or_raise() -> None:
    _, history, _ = fit([2.0, NAN, 1.0], on_nan="stop")
    assert (len(history), history.stop_reason) == (2, "val_loss is NaN in epoch 2")
    with pytest.raises(
        FloatingPointError, match="EarlyStopping: val_loss is NaN in epoch 2; lower"
    ):
        fit([2.0, NAN, 1.0], on_nan="raise")


def test_a_second_fit_starts_anew() -> None:
    early = EarlyStopping("loss", patience=2)
    fitted = trainer(early)
    fitted.fit(loader(), epochs=2)
    best = early.best_value
    fitted.fit(loader(), epochs=1)
    assert early.best_epoch == 1
    assert early.best_value != best


def test_state_goes_on_in_another_one() -> None:
    values = [3.0, 1.0, 2.0]
    first = EarlyStopping(patience=3)
    trainer(Scores(*values), first).fit(loader(), loader(seed=1), epochs=3)
    assert first.wait == 1
    second = EarlyStopping(patience=3)
    second.load_state_dict(first.state_dict())
    fitted = trainer(Scores(2.0, 2.0, 0.0), second)
    history = fitted.fit(loader(), loader(seed=1), epochs=3)
    assert len(history) == 2  # waited one epoch before, two here
    weights = first.state_dict()["best_weights"]
    assert same(snapshot(fitted.model), weights)


def test_a_state_is_a_copy() -> None:
    early = EarlyStopping("loss")
    fitted = trainer(early)
    fitted.fit(loader(), epochs=1)
    early.state_dict()["best_weights"]["0.weight"][...] = 7.0
    assert not np.any(early.state_dict()["best_weights"]["0.weight"] == 7.0)


def test_a_foreign_state_is_refused() -> None:
    state = EarlyStopping("loss").state_dict()
    with pytest.raises(
        ValueError, match="saved with monitor='loss', but this one has .*'val_loss'"
    ):
        EarlyStopping().load_state_dict(state)
    with pytest.raises(ValueError, match="expected the keys .* but got \\['wait'\\]"):
        EarlyStopping().load_state_dict({"wait": 1})


def test_a_metric_that_will_not_be_there_is_refused_at_once() -> None:
    message = "EarlyStopping monitors 'val_loss', but fit\\(\\) got no val_loader; pass one"
    with pytest.raises(ValueError, match=message):
        trainer(EarlyStopping()).fit(loader(), epochs=1)
    with pytest.raises(ValueError, match="'val_f1', which this fit does not measure; it measures"):
        trainer(EarlyStopping("val_f1")).fit(loader(), loader(seed=1), epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "patience as a whole number >= 1, but got 0"),
        ({"patience": 2.5}, "patience as a whole number >= 1, but got 2.5"),
        ({"mode": "best"}, "mode: expected 'min' or 'max', but got 'best'"),
        ({"min_delta": -0.1}, "min_delta: expected a number >= 0, but got -0.1"),
        ({"on_nan": "cry"}, "on_nan to be one of .* but got 'cry'"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**options)


def test_parameters_added_in_mid_fit_are_named() -> None:
    fitted = trainer(EarlyStopping("loss"))

    def grow(t: Any) -> None:
        t.model.register_buffer("late", mg.tensor([0.0]))

    fitted.callbacks.append(At("on_step_end", grow, epoch=2))
    fitted.callbacks.append(At("on_step_end", interrupt, epoch=2))
    with pytest.raises(ValueError, match="changed during the fit \\(\\['late'\\]\\)"):
        fitted.fit(loader(), epochs=2)
