"""Loss and metrics are those of the whole set: the same for any batches, as one batch has them."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from minigrad.train import Trainer, accuracy, binary_accuracy, scores

ROWS, CLASSES = 37, 4
SIZES = (1, 2, 5, 8, 36, 37, 64)
rng = np.random.default_rng(0)
LOGITS = rng.normal(size=(ROWS, CLASSES)).astype(np.float32) * 2
PICTURES = rng.normal(size=(ROWS, CLASSES, 3)).astype(np.float32)
LABELS = np.sort(rng.integers(0, CLASSES, ROWS))  # sorted: batches differ in their weights
IGNORING = np.where(np.arange(ROWS) % 5 < 2, -100, LABELS)
GAPS = np.where(np.arange(ROWS) < 20, -100, LABELS)  # whole batches count for nothing
PIXELS = rng.integers(0, CLASSES, (ROWS, 3))
SHARES = np.abs(rng.normal(size=(ROWS, CLASSES))).astype(np.float32)
SHARES /= SHARES.sum(1, keepdims=True)
NUMBERS = rng.normal(size=(ROWS, CLASSES)).astype(np.float32)
BINARY = (NUMBERS > 0).astype(np.float32)
WEIGHT = mg.tensor([1.0, 20.0, 0.5, 3.0])

Case = tuple[Callable[[Any, Any], Any], np.ndarray, np.ndarray]
CASES: dict[str, Case] = {}

for reduction in ("mean", "sum"):
    for name, weight in (("", None), ("weight ", WEIGHT)):
        for target_name, target in (("", LABELS), ("ignore ", IGNORING), ("gaps ", GAPS)):
            key = f"{name}{target_name}{reduction}"
            options: Any = {"weight": weight, "reduction": reduction}
            CASES[f"cross_entropy {key}"] = partial(F.cross_entropy, **options), LOGITS, target
            smooth: Any = {**options, "label_smoothing": 0.1}
            CASES[f"cross_entropy smooth {key}"] = (
                partial(F.cross_entropy, **smooth),
                LOGITS,
                target,
            )
            CASES[f"CrossEntropyLoss {key}"] = mg.nn.CrossEntropyLoss(**options), LOGITS, target

            def nll(o: Any, t: Any, options: Any = options) -> Any:
                return F.nll_loss(F.log_softmax(o, 1), t, **options)

            CASES[f"nll_loss {key}"] = nll, LOGITS, target
            index: Any = {**options, "ignore_index": 1}
            CASES[f"cross_entropy index {key}"] = partial(F.cross_entropy, **index), LOGITS, LABELS
        CASES[f"cross_entropy pixels {name}{reduction}"] = (
            partial(F.cross_entropy, weight=weight, reduction=reduction),
            PICTURES,
            PIXELS,
        )
        CASES[f"cross_entropy shares {name}{reduction}"] = (
            partial(F.cross_entropy, weight=weight, reduction=reduction),
            LOGITS,
            SHARES,
        )
        CASES[f"bce logits {name}{reduction}"] = (
            partial(F.binary_cross_entropy_with_logits, weight=weight, reduction=reduction),
            LOGITS,
            BINARY,
        )
    for loss in (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss):
        CASES[f"{loss.__name__} {reduction}"] = partial(loss, reduction=reduction), LOGITS, NUMBERS
    CASES[f"bce {reduction}"] = (
        lambda o, t, r=reduction: F.binary_cross_entropy(mg.sigmoid(o), t, reduction=r),
        LOGITS,
        BINARY,
    )
    CASES[f"pos_weight {reduction}"] = (
        mg.nn.BCEWithLogitsLoss(pos_weight=WEIGHT, reduction=reduction),
        LOGITS,
        BINARY,
    )


def by_target(o: Any, t: Any, name: str, reduction: str) -> Any:
    return getattr(F, name)(o, t, weight=mg.abs(t) * 5 + 0.1, reduction=reduction)


for reduction in ("mean", "sum"):
    for name in ("mse_loss", "l1_loss", "huber_loss"):
        chosen = partial(by_target, name=name, reduction=reduction)
        CASES[f"{name} weight {reduction}"] = chosen, LOGITS, NUMBERS


SIGNS = (BINARY * 2 - 1).astype(np.float32)
COUNTS = np.abs(np.round(NUMBERS * 2)).astype(np.float32)
RANKED = np.where(np.arange(CLASSES) < 2, np.argsort(NUMBERS, 1), -1)  # two classes a row
OF_TWO: dict[str, tuple[Any, np.ndarray]] = {
    "kl_div": (F.kl_div, SHARES),
    "poisson_nll_loss": (F.poisson_nll_loss, COUNTS),
    "soft_margin_loss": (F.soft_margin_loss, SIGNS),
    "hinge_embedding_loss": (F.hinge_embedding_loss, SIGNS),
    "multi_margin_loss": (F.multi_margin_loss, LABELS),
    "multilabel_margin_loss": (F.multilabel_margin_loss, RANKED),
    "multilabel_soft_margin_loss": (F.multilabel_soft_margin_loss, BINARY),
}
for name, (loss, target) in OF_TWO.items():
    for reduction in ("mean", "sum"):
        CASES[f"{name} {reduction}"] = partial(loss, reduction=reduction), LOGITS, target
CASES["kl_div batchmean"] = partial(F.kl_div, reduction="batchmean"), LOGITS, SHARES
# Of more than an output and a target: none for a trainer as they are.
OF_MORE = {
    "cosine_embedding_loss",
    "ctc_loss",
    "gaussian_nll_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
}


def own(o: Any, t: Any) -> Any:
    """A class-weighted mean by hand, which says what it is the mean of."""
    weights = WEIGHT[t]
    each = -F.log_softmax(o, 1).gather(1, t.unsqueeze(1)).squeeze(1)
    return (weights * each).sum() / weights.sum(), weights.sum()


CASES["own"] = own, LOGITS, LABELS
CASES["own rows"] = (lambda o, t: ((o - t) ** 2).mean()), LOGITS, NUMBERS


class Same(mg.nn.Module):
    """The model that returns its input, and has a parameter for the optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = mg.nn.Parameter(mg.zeros(1))

    def forward(self, x: Any) -> Any:
        return x + self.shift * 0


def made(loss: Any, metrics: Any = None) -> Trainer:
    model = Same()
    return Trainer(model, mg.optim.SGD(model.parameters(), lr=0.0), loss, metrics=metrics)


def batches(x: np.ndarray, y: np.ndarray, size: int) -> mg.data.DataLoader:
    return mg.data.DataLoader(mg.data.TensorDataset(x, y), size)


def expected(loss: Any, x: np.ndarray, y: np.ndarray, name: str) -> float:
    """Return the mean over the set at once; for a sum, that of the same loss as a mean."""
    if name.endswith("sum"):
        if isinstance(loss, partial):
            loss = partial(loss, reduction="mean")
        elif isinstance(loss, mg.nn.Module):
            loss.reduction = "mean"
    value = loss(mg.Tensor(x), mg.Tensor(y))
    if name.endswith("sum") and isinstance(loss, mg.nn.Module):
        loss.reduction = "sum"
    return float(value[0] if isinstance(value, tuple) else value)


@pytest.mark.parametrize("name", CASES)
def test_a_loss_is_the_mean_over_the_set(name: str) -> None:
    loss, x, y = CASES[name]
    fitted = made(loss)
    found = [fitted.evaluate(batches(x, y, size))["loss"] for size in SIZES]
    np.testing.assert_allclose(found, found[-1], rtol=3e-6)
    if not (name.startswith(("nll", "bce ")) and name.endswith("sum")):
        np.testing.assert_allclose(found[-1], expected(loss, x, y, name), rtol=3e-6)
    if "gaps" not in name:  # a batch of none but ignored targets has no gradient to train on
        rows = [fitted.fit(batches(x, y, n), batches(x, y, 7), epochs=1) for n in (5, 8, 37)]
        np.testing.assert_allclose([h["loss"][0] for h in rows], found[-1], rtol=3e-6)
        np.testing.assert_allclose([h["val_loss"][0] for h in rows], found[-1], rtol=3e-6)


def test_every_reducing_loss_has_cases() -> None:
    reducing = {n for n in vars(F) if n.endswith(("_loss", "_entropy", "_with_logits"))}
    reducing = {n for n in reducing if callable(getattr(F, n))}
    shown = {"binary_cross_entropy": "bce ", "binary_cross_entropy_with_logits": "bce logits"}
    missing = {
        n for n in reducing - OF_MORE if not any(c.startswith(shown.get(n, n)) for c in CASES)
    }
    assert not missing


# ---------------------------------------------------------------- metrics
def f1(o: Any, t: Any) -> float:
    """Return the F1 score of class 1, which is no mean over batches."""
    said, true = o.numpy().argmax(1) == 1, t.numpy() == 1
    return 2 * float((said & true).sum()) / max(1.0, float(said.sum() + true.sum()))


def r2(o: Any, t: Any) -> Any:
    return 1 - ((o - t) ** 2).sum() / ((t - t.mean()) ** 2).sum()


def median(o: Any, t: Any) -> float:
    return float(np.median(np.abs(o.numpy() - t.numpy())))


def rmse(o: Any, t: Any) -> Any:
    return ((o - t) ** 2).mean().sqrt()


METRICS: dict[str, tuple[Any, np.ndarray, np.ndarray]] = {
    "accuracy": (accuracy, LOGITS, LABELS),
    "accuracy of pixels": (accuracy, PICTURES, PIXELS),
    "binary_accuracy": (binary_accuracy, LOGITS, BINARY),
    "f1": (f1, LOGITS, LABELS),
    "r2": (r2, LOGITS, NUMBERS),
    "median": (median, LOGITS, NUMBERS),
    "rmse": (rmse, LOGITS, NUMBERS),
    "weighted loss": (partial(F.cross_entropy, weight=WEIGHT), LOGITS, LABELS),
    "own": (own, LOGITS, LABELS),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_that_of_the_set(name: str) -> None:
    metric, x, y = METRICS[name]
    loss: Any = F.cross_entropy if y.dtype == np.int64 else F.mse_loss
    fitted = made(loss, {"metric": metric, "second": metric})
    value = metric(mg.Tensor(x), mg.Tensor(y))
    wanted = float(value[0] if isinstance(value, tuple) else value)
    for size in SIZES:
        found = fitted.evaluate(batches(x, y, size))
        assert list(found) == ["loss", "metric", "second"]
        assert found["metric"] == found["second"] == pytest.approx(wanted, rel=3e-6), size
    history = fitted.fit(batches(x, y, 8), batches(x, y, 5), epochs=2)
    np.testing.assert_allclose(history["metric"], wanted, rtol=3e-6)
    np.testing.assert_allclose(history["val_metric"], wanted, rtol=3e-6)


def test_metrics_over_more_than_can_be_kept_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "HELD_AT_MOST", 400)
    calls: list[int] = []

    def mean(o: Any, t: Any) -> Any:
        calls.append(len(o))
        return (o - t).mean()

    found = made(F.mse_loss, {"m": mean}).evaluate(batches(LOGITS, NUMBERS, 5))
    assert found["m"] == pytest.approx(float((LOGITS - NUMBERS).mean()), rel=1e-5)
    assert calls == [5, 10, 10, 10, 7]  # the first batch, and then parts of at most 400 bytes


def test_batches_of_different_lengths_weigh_what_they_hold() -> None:
    parts = [
        (mg.Tensor(PICTURES[:5, :, :2].copy()), mg.Tensor(PIXELS[:5, :2].copy())),
        (mg.Tensor(PICTURES[5:9]), mg.Tensor(PIXELS[5:9])),
    ]
    fitted = made(F.cross_entropy, {"accuracy": accuracy, "rows": lambda o, t: len(o) * 1.0})
    found = fitted.evaluate(parts)
    flat = [np.moveaxis(x.numpy(), 1, 2).reshape(-1, CLASSES) for x, _ in parts]
    logits, labels = np.concatenate(flat), np.concatenate([t.numpy().ravel() for _, t in parts])
    whole = F.cross_entropy(mg.Tensor(logits), mg.Tensor(labels)).item()
    assert found["loss"] == pytest.approx(whole, rel=1e-6)
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == labels).mean(), rel=1e-6)
    assert found["rows"] == pytest.approx((5 * 5 + 4 * 4) / 9)


def test_a_mixture_that_depends_on_the_batches_says_so() -> None:
    def mixed(o: Any, t: Any) -> Any:
        return F.cross_entropy(o, t, weight=WEIGHT) + 0.1 * (o * o).mean()

    with pytest.warns(UserWarning, match=r"depends on the batch size; return \(loss, weight\)"):
        made(mixed).evaluate(batches(LOGITS, LABELS, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(mixed).evaluate(batches(LOGITS, LABELS, 64))  # one batch

        def per_row(o: Any, t: Any) -> Any:
            return F.cross_entropy(o, t, reduction="sum") / len(t) + (o * o).mean()

        found = [made(per_row).evaluate(batches(LOGITS, LABELS, n))["loss"] for n in SIZES]
    np.testing.assert_allclose(found, found[-1], rtol=3e-6)


def test_a_set_of_ignored_targets_alone_has_no_mean() -> None:
    found = made(F.cross_entropy).evaluate(batches(LOGITS, np.full(ROWS, -100), 8))
    assert np.isnan(found["loss"])


def test_a_loss_of_another_thread_is_not_taken_for_ones_own() -> None:
    stop = threading.Event()

    def other() -> None:
        o, t = mg.Tensor(LOGITS), mg.Tensor(LABELS)
        while not stop.is_set():
            F.cross_entropy(o, t, weight=WEIGHT)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        fitted = made(partial(F.cross_entropy, weight=WEIGHT))
        found = [fitted.evaluate(batches(LOGITS, LABELS, n))["loss"] for n in SIZES]
    finally:
        stop.set()
        thread.join()
    np.testing.assert_allclose(found, found[-1], rtol=3e-6)


@pytest.mark.parametrize("size", SIZES)
def test_a_set_against_pytorch(size: int) -> None:
    torch = pytest.importorskip("torch")
    for weight in (None, WEIGHT):
        for target in (LABELS, IGNORING):
            options = {"weight": None if weight is None else torch.tensor(weight.tolist())}
            theirs = torch.nn.functional.cross_entropy(
                torch.tensor(LOGITS), torch.tensor(target), **options
            )
            ours = made(partial(F.cross_entropy, weight=weight))
            found = ours.evaluate(batches(LOGITS, target, size))["loss"]
            assert found == pytest.approx(theirs.item(), rel=3e-6)
