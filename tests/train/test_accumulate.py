"""Accumulated gradients are those of one big batch; steps, hooks and schedules count steps."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.optim.lr_scheduler import OneCycleLR
from minigrad.train import Callback, GradientClipping, ScheduleLR, StopOnNonFinite, Trainer
from minigrad.train import steps as computations
from tests.train.toys import rows

X, Y = rows(45)
SOME = np.where(np.arange(45) % 9 < 4, -100, Y)  # batches of 8 differ in what counts
GAPS = np.where((np.arange(45) >= 8) & (np.arange(45) < 16), -100, Y)  # one counts for nothing
WEIGHT = mg.tensor([1.0, 20.0, 0.5])
LOSSES: dict[str, tuple[Any, Any]] = {
    "rows": (F.cross_entropy, Y),
    "class weights": (partial(F.cross_entropy, weight=WEIGHT), Y),
    "ignored": (F.cross_entropy, SOME),
    "ignored and weights": (partial(F.cross_entropy, weight=WEIGHT), SOME),
    "a batch without targets": (F.cross_entropy, GAPS),
    "sum": (partial(F.cross_entropy, reduction="sum"), Y),
    "own": (lambda o, t: F.log_softmax(o, 1).square().sum(1).mean(), Y),
    "own with its weight": (
        lambda o, t: (F.cross_entropy(o[: len(o) // 2], t[: len(o) // 2]), len(o) // 2),
        Y,
    ),
}


class Gradients(Callback):
    """Keep the gradients and the loss of each step."""

    def __init__(self) -> None:
        self.found: list[list[Any]] = []
        self.losses: list[float] = []

    def after_backward(self, trainer: Any) -> None:
        self.found.append([p.grad.numpy().copy() for p in trainer.model.parameters()])
        self.losses.append(trainer.batch_loss.item())


def make() -> Any:
    _ = mg.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def fitted(size: int, accumulate: int, loss: Any, y: Any, *parts: Any, **options: Any) -> Any:
    model = make()
    data = mg.data.DataLoader(mg.data.TensorDataset(X, y), size)
    optimizer = options.pop("optimizer", partial(mg.optim.SGD, lr=0.05))(model.parameters())
    epochs = options.pop("epochs", 1)
    callbacks = [part(optimizer) if not isinstance(part, Callback) else part for part in parts]
    trainer = Trainer(model, optimizer, loss, callbacks=callbacks, accumulate=accumulate, **options)
    history = trainer.fit(data, epochs=epochs)
    return trainer, history


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_one_big_batch(name: str) -> None:
    """45 rows: batches of 8, the last of 5; steps of 24 and 21 rows."""
    loss, y = LOSSES[name]
    small, big = Gradients(), Gradients()
    _, several = fitted(8, 3, loss, y, small)
    if name == "own with its weight":  # halves of batches are other rows than the halves of three

        def whole(o: Any, t: Any) -> Any:
            parts = [(o[i : i + 8], t[i : i + 8]) for i in range(0, len(o), 8)]
            kept = [(a[: len(a) // 2], b[: len(a) // 2]) for a, b in parts]
            o, t = mg.cat([a for a, _ in kept]), mg.cat([b for _, b in kept])
            return F.cross_entropy(o, t), len(o)

        loss = whole
    _, one = fitted(24, 1, loss, y, big)
    assert len(small.found) == len(big.found) == 2
    for mine, theirs in zip(small.found, big.found, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert np.allclose(a, b, 2e-5, 2e-7)
    assert np.allclose(small.losses, big.losses, 1e-6)
    assert several["loss"] == pytest.approx(one["loss"], rel=1e-6)


@pytest.mark.parametrize("parts", ["none", "guard, clip and cycle"])
def test_captured_steps_have_the_bits_of_eager_ones(
    parts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computations, "PAYS", 0)
    made: list[Any] = []
    if parts != "none":
        made = [
            lambda o: StopOnNonFinite(),
            lambda o: GradientClipping(max_norm=0.05),
            lambda o: ScheduleLR(lambda o, total: OneCycleLR(o, 0.05, total), per="step"),
        ]
    bits = {}
    adam = partial(mg.optim.AdamW, lr=0.01)
    loss = partial(F.cross_entropy, weight=WEIGHT)
    for capture in (False, True):
        trainer, history = fitted(
            8, 3, loss, SOME, *made, optimizer=adam, epochs=6, capture=capture
        )
        bits[capture] = [t.array.tobytes() for t in trainer.model.state_dict().values()]
        bits[capture].append(np.array(history["loss"]).tobytes())
    assert bits[True] == bits[False]
    said = trainer.explain()
    assert "backward_of_sum" in said and "mean_" in said
    assert all(" 0 replayed" not in line for line in said.splitlines()), said


def test_steps_hooks_and_schedules_count_optimizer_steps() -> None:
    seen: list[tuple[int, str]] = []

    class Look(Callback):
        def after_backward(self, trainer: Any) -> None:
            seen.append((trainer.step, "after_backward"))

        def on_step_end(self, trainer: Any) -> None:
            seen.append((trainer.step, "on_step_end"))

    cycle = ScheduleLR(lambda o, total: OneCycleLR(o, 0.1, total), per="step")
    trainer, _ = fitted(8, 4, F.cross_entropy, Y, Look(), cycle, epochs=2)
    steps = [step for step, _ in seen]
    assert steps == [1, 1, 2, 2, 3, 3, 4, 4]  # 6 batches: 4 and 2
    assert trainer.steps_per_epoch == 2 and trainer.step == 4
    assert trainer.optimizer.state_dict()["step_count"] == 4
    assert cycle.scheduler is not None and cycle.scheduler.last_epoch == 4


def test_clipping_sees_the_mean_gradient() -> None:
    """The norm of the summed gradient is 24 times that of the mean."""
    free, clipped = Gradients(), Gradients()
    free.order, clipped.order = -1, 1
    fitted(8, 3, F.cross_entropy, Y, free)
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in free.found[0]))
    fitted(8, 3, F.cross_entropy, Y, GradientClipping(max_norm=2 * norm), clipped)
    assert all(np.array_equal(a, b) for a, b in zip(free.found[0], clipped.found[0], strict=True))


def test_accumulate_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match="accumulate"):
        fitted(8, 0, F.cross_entropy, Y)
