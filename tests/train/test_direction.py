"""Which way a metric gets better, and who asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from minigrad.optim.lr_scheduler import ReduceLROnPlateau
from minigrad.train import EarlyStopping, ScheduleLR, accuracy
from minigrad.train.direction import DOWN, UP, direction
from tests.train.toys import Scores, loader, same, snapshot, trainer

PREFIXES = ("", "val_", "train_", "test/", "val-", "macro_", "eval ")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_known_names(prefix: str) -> None:
    for names, way in ((UP, "max"), (DOWN, "min")):
        for name in names.split():
            assert direction(prefix + name) == way
            assert direction(prefix + name.upper()) == way
            assert direction(f"{prefix}{name}_macro") == way


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("val_binary_accuracy", "max"),
        ("valAccuracy", "max"),
        ("roc_auc", "max"),
        ("f1_score", "max"),
        ("dice_loss", "min"),
        ("accuracy_loss", "min"),
        ("mean_squared_error", "min"),
        ("word_error_rate", "min"),
        ("bce_with_logits", "min"),
        ("neg_mean_squared_error", None),
        ("negative_log_likelihood", None),
        ("one_minus_accuracy", None),
        ("1-f1", None),
        ("false_recall", None),
        ("score", None),
        ("val_metric", None),
        ("accurate", None),
        ("gloss", None),
        ("lossless", None),
        ("seconds", None),
        ("", None),
    ],
)
def test_names(name: str, way: str | None) -> None:
    assert direction(name) == way


@pytest.mark.parametrize(
    ("monitor", "mode", "best"),
    [
        ("val_accuracy", None, 3),
        ("val_loss", None, 1),
        ("val_accuracy", "min", 1),
        ("val_loss", "max", 3),
    ],
)
def test_early_stopping_restores_the_best_epoch(monitor: str, mode: Any, best: int) -> None:
    scores = Scores(0.5, 0.6, 0.9, 0.8, name=monitor)
    fitted = trainer(scores, EarlyStopping(monitor, mode=mode), metrics=[accuracy])
    history = fitted.fit(loader(), loader(seed=1), epochs=4)
    assert history.restored_epoch == history.best_epoch == best
    assert same(snapshot(fitted.model), scores.snapshots[best])


def test_a_metric_of_unknown_direction_needs_a_mode() -> None:
    message = "whether 'val_score' should rise or fall is not known; pass mode='max' or mode='min'"
    with pytest.raises(ValueError, match=message):
        EarlyStopping("val_score")
    assert "mode='max'" in repr(EarlyStopping("val_score", mode="max"))
    with pytest.raises(ValueError, match="expected 'min' or 'max', but got 'maximum'"):
        EarlyStopping("val_loss", mode="maximum")


@pytest.mark.parametrize(
    ("monitor", "options", "message"),
    [
        ("val_accuracy", {}, "should rise, but .* made without a mode.*give it mode='max'"),
        ("val_score", {}, "is not known to fall, .*give it mode='max' or 'min'"),
        ("val_accuracy", {"mode": "max"}, None),
        ("val_accuracy", {"mode": "min"}, None),  # as it was told
        ("val_score", {"mode": "max"}, None),
        ("val_score", {"mode": "min"}, None),
        ("val_loss", {}, None),
        ("loss", {}, None),
    ],
)
@pytest.mark.parametrize("made", ["before", "by a function"])
def test_a_plateau_watches_in_a_direction_that_fits(
    monitor: str, options: Any, message: str | None, made: str
) -> None:
    fitted = trainer(metrics={"accuracy": accuracy, "score": accuracy})
    plateau: Any = ReduceLROnPlateau(fitted.optimizer, patience=0, **options)
    if made == "by a function":

        def plateau(opt: Any, n: int) -> ReduceLROnPlateau:
            return ReduceLROnPlateau(opt, patience=0, **options)

    fitted.callbacks.append(ScheduleLR(plateau, monitor=monitor))
    if message is None:
        assert len(fitted.fit(loader(), loader(seed=1), epochs=2)) == 2
        return
    before = snapshot(fitted.model)
    with pytest.raises(ValueError, match=message):
        fitted.fit(loader(), loader(seed=1), epochs=2)
    assert same(snapshot(fitted.model), before)


def test_a_plateau_that_watches_accuracy_cuts_where_it_falls() -> None:
    fitted = trainer(lr=1.0, metrics=[accuracy])
    plateau = ReduceLROnPlateau(fitted.optimizer, "max", 0.1, patience=0)
    fitted.callbacks += [
        Scores(0.5, 0.6, 0.55, 0.7, name="val_accuracy"),
        ScheduleLR(plateau, monitor="val_accuracy"),
    ]
    history = fitted.fit(loader(), loader(seed=1), epochs=4)
    assert history["lr"] == pytest.approx([1.0, 1.0, 1.0, 0.1])
