"""EMA and SWA: the averaged weights are evaluated and kept, the raw ones train on undisturbed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn
from minigrad.train import EMA, SWA, Callback, EarlyStopping, ModelCheckpoint, Trainer, accuracy
from minigrad.train import steps as computations
from tests.train.toys import Scores, loader, network, same, snapshot

MAKERS = {"ema": partial(EMA, 0.9), "swa": partial(SWA, 2)}


class Raw(Callback):
    """Keep the weights after each step, and those that hooks at an epoch's end see."""

    order = 80

    def __init__(self) -> None:
        self.steps: list[dict[str, np.ndarray]] = []
        self.epochs: list[dict[str, np.ndarray]] = []

    def on_step_end(self, trainer: Any) -> None:
        self.steps.append(snapshot(trainer.model))

    def on_epoch_end(self, trainer: Any) -> None:
        self.epochs.append(snapshot(trainer.model))


def fitted(*callbacks: Any, epochs: int = 3, dropout: float = 0.3, **options: Any) -> Any:
    mg.manual_seed(5)
    model = network(dropout=dropout)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    data = loader(shuffle=True)
    made = Trainer(model, optimizer, callbacks=callbacks, metrics=[accuracy], **options)
    history = made.fit(data, loader(seed=1), epochs=epochs, **{})
    return made, history, data


@pytest.mark.parametrize("refresh", [True, False])
@pytest.mark.parametrize("kind", MAKERS)
def test_training_goes_on_with_the_raw_weights(
    kind: str, refresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step has the bits that it has without the callback, captured, with dropout and all."""
    monkeypatch.setattr(computations, "PAYS", 0)
    plain, averaged = Raw(), Raw()
    fitted(plain)
    fitted(averaged, MAKERS[kind](refresh_batch_norm=refresh))
    assert len(plain.steps) == len(averaged.steps) == 15
    assert all(same(a, b) for a, b in zip(plain.steps, averaged.steps, strict=True))
    assert not same(plain.epochs[-1], averaged.epochs[-1])


def test_what_is_evaluated_is_the_average_with_fresh_statistics() -> None:
    """The same as PyTorch's recipe of AveragedModel and update_bn makes of the steps' weights."""
    raw = Raw()
    made, history, data = fitted(raw, EMA(0.9), dropout=0.0)
    model = network()
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for weights in raw.steps:
        model.load_state_dict({name: mg.Tensor(array) for name, array in weights.items()})
        average.update_parameters(model)
    for name, parameter in average.module.named_parameters():
        assert np.array_equal(parameter.array, raw.epochs[-1][name]), name
    update_bn(data, average)
    for name, buffer in average.module.named_buffers():
        assert np.allclose(buffer.array, raw.epochs[-1][name], 1e-5, 1e-6), name
    assert same(snapshot(made.model), raw.epochs[-1])  # what remains after the fit
    scored = made.evaluate(loader(seed=1))
    assert scored["loss"] == history["val_loss"][-1]


def test_swa_is_the_mean_of_the_last_epochs() -> None:
    raw = Raw()
    fitted(raw, SWA(0.5), epochs=4)  # epochs 3 and 4
    ends = [raw.steps[5 * epoch - 1]["0.weight"] for epoch in (3, 4)]
    assert np.allclose(raw.epochs[3]["0.weight"], np.mean(ends, 0), 1e-6)
    assert np.array_equal(raw.epochs[1]["0.weight"], raw.steps[9]["0.weight"])  # not yet


def test_statistics_that_are_not_refreshed_are_averaged() -> None:
    raw = Raw()
    fitted(raw, EMA(0.5, refresh_batch_norm=False), epochs=1)
    expected = raw.steps[0]["1.running_mean"]
    for weights in raw.steps[1:]:
        expected = 0.5 * expected + 0.5 * weights["1.running_mean"]
    assert np.allclose(raw.epochs[0]["1.running_mean"], expected, 1e-6)


def test_frozen_statistics_stay() -> None:
    class Freeze(Callback):
        def on_epoch_begin(self, trainer: Any) -> None:
            trainer.model[1].eval()

    made, _, _ = fitted(Freeze(), EMA(0.9))
    assert not made.model[1].running_mean.array.any()


def test_early_stopping_keeps_the_averaged_weights_of_its_best_epoch() -> None:
    raw = Raw()
    scores = Scores(3.0, 1.0, 2.0, 2.0)
    made, history, _ = fitted(scores, EarlyStopping(patience=2), raw, EMA(0.9), epochs=9)
    assert history.restored_epoch == 2
    assert same(snapshot(made.model), raw.epochs[1])


def test_keep_raw() -> None:
    raw = Raw()
    made, _, _ = fitted(raw, EMA(0.9, keep="raw"))
    assert same(snapshot(made.model), raw.steps[-1])


def test_an_error_in_validation_leaves_the_last_evaluated_average() -> None:
    raw = Raw()

    class Fails(Callback):
        def on_epoch_end(self, trainer: Any) -> None:
            if trainer.epoch == 2:
                raise KeyError("here")

    mg.manual_seed(0)
    model = network()
    made = Trainer(
        model, mg.optim.SGD(model.parameters(), lr=0.1), callbacks=[raw, Fails(), EMA(0.9)]
    )
    with pytest.raises(KeyError):
        made.fit(loader(), loader(), epochs=3)
    assert not same(snapshot(model), raw.steps[-1])


def test_warmup_follows_a_short_fit() -> None:
    raw = Raw()
    fitted(raw, EMA(0.999, warmup=True), epochs=1)
    expected = raw.steps[0]["0.weight"]
    for n, weights in enumerate(raw.steps[1:], 1):
        decay = (1 + n) / (10 + n)
        expected = decay * expected + (1 - decay) * weights["0.weight"]
    assert np.allclose(raw.epochs[0]["0.weight"], expected, 1e-6)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_resumed_fit_goes_on_with_the_average(kind: str, tmp_path: Path) -> None:
    def run(folder: str, *epochs: int) -> Any:
        for count, total in enumerate(epochs):
            mg.manual_seed(5)
            model = network(dropout=0.3)
            made = Trainer(
                model,
                mg.optim.SGD(model.parameters(), lr=0.2),
                callbacks=[MAKERS[kind](), ModelCheckpoint(tmp_path / folder, every_steps=3)],
            )
            limit = 7 if count == 0 and len(epochs) > 1 else None
            data = loader(shuffle=True)
            made.fit(data, loader(seed=1), epochs=total, max_steps=limit, resume="auto")
        return snapshot(made.model)

    assert same(run("whole", 4), run("in parts", 4, 4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EMA(1.0), "decay in"),
        (lambda: EMA(keep="best"), "keep to be one of"),
        (lambda: SWA(0), "start"),
        (lambda: SWA(1.5), "share of the epochs"),
    ],
)
def test_options_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
