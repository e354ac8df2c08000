"""Metrics of whole sets: scikit-learn's numbers, however the set is cut into batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.train import (
    AUROC,
    F1,
    MAE,
    R2,
    RMSE,
    AveragePrecision,
    BalancedAccuracy,
    Precision,
    Recall,
    SetMetric,
    TopKAccuracy,
    accuracy,
    confusion_matrix,
    scores,
)
from minigrad.train.direction import direction
from tests.train.toys import loader, trainer

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "scores.json").read_text())
KINDS: dict[str, Any] = {"precision": Precision, "recall": Recall, "f1": F1}
PLAIN: dict[str, Any] = {
    "auroc": AUROC,
    "average_precision": AveragePrecision,
    "balanced_accuracy": BalancedAccuracy,
    "r2": R2,
    "mae": MAE,
    "rmse": RMSE,
}
CASES = [
    (group, name, score)
    for group in ("classes", "binary", "labels", "amounts")
    for name, case in GOLDEN[group].items()
    for score in case["scores"]
]


def metric_of(name: str) -> Any:
    """Return a metric by the name that it gives itself."""
    if name in PLAIN:
        return PLAIN[name]()
    if name.startswith("top"):
        return TopKAccuracy(int(name[3]))
    word, _, average = name.partition("_")
    return KINDS[word](average)


def arrays(group: str, name: str) -> tuple[Any, Any]:
    case = GOLDEN[group][name]
    return np.array(case["output"]), np.array(case["target"])


@pytest.mark.parametrize("group", ["classes", "binary", "labels", "amounts"])
def test_scores_are_scikit_learns(group: str) -> None:
    for of, name, score in CASES:
        if of != group:
            continue
        expected = GOLDEN[group][name]["scores"][score]
        expected = float("nan") if expected is None else expected
        output, target = arrays(group, name)
        metric = metric_of(score)
        assert metric.__name__ == score
        whole = metric(mg.from_numpy(output), mg.from_numpy(target))
        assert whole == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True), (name, score)
        for size in (1, 3, 7):
            cuts = range(0, len(output), size)
            parts = [metric.part(*map(mg.from_numpy, (output[i : i + size], target[i : i + size])))
                     for i in cuts]  # fmt: skip
            found = metric.combine(parts)
            assert found == pytest.approx(whole, rel=1e-11, abs=1e-9, nan_ok=True), (name, score)


def test_every_score_has_a_known_direction() -> None:
    falling = {"mae", "rmse"}
    for name in {score for _, _, score in CASES}:
        assert direction(f"val_{name}") == ("min" if name in falling else "max"), name


def test_auroc_leaves_out_classes_that_are_missing() -> None:
    """Where scikit-learn raises: of classes 0 and 2 each against the rest, class 1 is not there."""
    logits = mg.tensor([[2.0, 0.0, 1.0], [1.0, 0.0, 2.0], [3.0, 0.0, 1.0], [1.5, 0.0, 1.4]])
    y = mg.tensor([0, 2, 0, 2])
    assert AUROC()(logits, y) == 1.0
    assert np.isnan(AUROC()(logits, mg.tensor([1, 1, 1, 1])))


def test_ignored_targets_do_not_count() -> None:
    logits, y = mg.randn(20, 3, 4), mg.randint(0, 3, (20, 4))
    y[:5] = -100
    for metric in (F1(), AUROC(), BalancedAccuracy(), TopKAccuracy(2)):
        assert metric(logits, y) == pytest.approx(metric(logits[5:], y[5:]))
    assert confusion_matrix(logits, y).sum() == 60


def test_shapes_of_one_logit() -> None:
    logit, y = mg.randn(30), mg.randint(0, 2, (30,))
    for metric in (F1(), AUROC(), AveragePrecision(), BalancedAccuracy()):
        found = metric(logit, y)
        assert found == metric(logit.reshape(30, 1), y.reshape(30, 1)) == metric(logit, y.float())
        assert found == metric(logit.reshape(30, 1), y)
    assert confusion_matrix(logit, y).shape == (2, 2)


@pytest.mark.parametrize(
    ("metric", "output", "target", "message"),
    [
        (F1(), mg.zeros(4, 3), mg.zeros(5, dtype=mg.int64), "expected logits"),
        (F1(), mg.zeros(4, 3), mg.zeros(4), "float32"),
        (F1(), mg.zeros(4, 3), mg.tensor([0, 1, 2, 3]), "classes from 0 to 2, but got 0 to 3"),
        (F1(), mg.zeros(2), mg.tensor([0.0, 2.0]), "targets of 0 and 1"),
        (F1("binary"), mg.zeros(4, 3), mg.tensor([0, 1, 2, 1]), "of two classes"),
        (BalancedAccuracy(), mg.zeros(4, 3), mg.zeros(4, 3), "one class a row"),
        (TopKAccuracy(3), mg.zeros(4, 3), mg.tensor([0, 1, 2, 1]), "more than k=3"),
        (R2(), mg.zeros(4, 1), mg.zeros(4), "of one shape"),
    ],
)
def test_what_does_not_go_together(metric: Any, output: Any, target: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(output, target)


def test_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="average"):
        F1("weighted")
    with pytest.raises(ValueError, match="k"):
        TopKAccuracy(0)


METRICS = [accuracy, F1(), F1("micro"), AUROC(), BalancedAccuracy(), TopKAccuracy(2)]


def test_a_fit_measures_the_whole_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for any batches, and where memory ends after each of them; in a captured fit too."""
    found = []
    for limit, sizes in ((1 << 28, (40, 8, 3)), (200, (8,))):
        monkeypatch.setattr(scores, "HELD_AT_MOST", limit)
        for size in sizes:
            mg.manual_seed(0)
            made = trainer(metrics=METRICS)
            found.append(made.evaluate(loader(batch_size=size)))
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-6)
    history = made.fit(loader(), loader(), epochs=2)
    assert history.last["val_f1"] == pytest.approx(made.evaluate(loader(batch_size=40))["f1"])


def test_a_metric_of_ones_own() -> None:
    class Largest(SetMetric):
        def part(self, output: Any, target: Any) -> Any:
            return output.abs().max().item()

        def combine(self, parts: list[Any]) -> float:
            return float(max(parts))

    made = trainer(metrics=[Largest()])
    found = made.evaluate(loader())
    assert found["Largest"] == pytest.approx(made.predict(loader()).abs().max().item())


def test_what_was_measured_goes_on_from_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "HELD_AT_MOST", 200)
    metrics = {str(i): metric for i, metric in enumerate([F1(), AUROC(), TopKAccuracy(2)])}
    logits, y = mg.randn(40, 3), mg.randint(0, 3, (40,))
    found = []
    for cut in (None, 3):
        collected = scores.Scores(metrics)
        for i in range(5):
            if i == cut:
                mg.save(collected.state_dict(), tmp_path / "state")
                collected = scores.Scores(metrics)
                collected.load_state_dict(mg.load(tmp_path / "state"))
            loss = scores.Scored(0.0, 8, False, True, None)
            collected.add(logits[8 * i : 8 * i + 8], y[8 * i : 8 * i + 8], loss, {})
        found.append(collected.results())
    assert found[0] == found[1]
