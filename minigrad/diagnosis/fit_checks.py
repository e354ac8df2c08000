"""The fit as a whole: its length, its modes, what it watched and what it kept."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minigrad.diagnosis.case import LEAST, Case
from minigrad.diagnosis.findings import Seen, check, counted
from minigrad.diagnosis.model_checks import WEIGHTED, known
from minigrad.diagnosis.optimizer_checks import adam_lr
from minigrad.train.direction import direction

NEARLY = 0.05  # of the skill asked for that a model may lack
WORTH = 2000  # steps that any fit can be told to take


def stopped_early(case: Case) -> bool:
    """Return whether a callback ended the fit, or would have."""
    return any(hasattr(callback, "patience") for callback in case.callbacks)


@check(
    "MG701",
    "stopped while the loss was still falling",
    "end",
    "the model has not learnt yet what it could",
)
def too_few_epochs(case: Case) -> Iterator[Seen]:
    """Look for stopped while the loss was still falling."""
    curve = case.curve
    if len(curve) < 2 or not np.isfinite(curve).all() or case.error is not None:
        return
    skill = case.skill
    if skill is None or short(case) or case.way == "static":
        return
    if (skill >= 0.9 or skill > case.enough - NEARLY) and not case.misnamed:
        return  # some noise is left, and no number says how much
    if case.history is not None and case.history.stop_reason != "all epochs done":
        return  # a callback or a limit has ended it
    tail = max(len(curve) // 5, 1)
    held = validation(case)
    if (
        len(held) >= 5
        and int(np.argmin(held)) < len(held) - tail - 1
        and held[-1] > 1.02 * min(held)
    ):
        return  # longer, it would learn its rows by heart
    if len(held) >= 2 * tail and case.learnt:
        gained = np.mean(held[-2 * tail : -tail]) - np.mean(held[-tail:])
        if gained < 0.02 * abs(float(np.mean(held[-tail:]))):
            return  # new rows gain nothing by it
    now, before = float(np.mean(curve[-tail:])), float(np.mean(curve[-2 * tail : -tail]))
    fell = (before - now) / max(abs(before), 1e-12)
    share = (before - now) / max(curve[0] - now, 1e-12)
    epochs = case.epochs or len(curve)
    if fell > 0.01 and share > 0.03:
        factor = max(10 if skill < 0.5 else 4, min(50, -(-WORTH // max(case.steps, 1))))
        said = (
            f"epochs={factor * epochs}"
            if case.history is not None
            else (f"{factor} times as many steps")
        )
        last = f"{tail} of" if tail > 1 else "of"
        yield Seen(
            f"in the last {last} {len(curve)} epochs the loss fell by {100 * fell:.2g} %, to "
            f"{curve[-1]:.4g}, and the model knows {known(case)} of its training rows",
            said,
            sure=fell > 0.03 and share > 0.05 and not case.learnt,
        )


def short(case: Case) -> bool:
    """Return whether a fit is so short that it is a trial, of which nothing is to be learnt."""
    return len(case.curve) < 3 and case.steps < 200


def validation(case: Case) -> list[float]:
    """Return the validation loss by epoch."""
    rows = [] if case.history is None else case.history.rows
    return [float(row["val_loss"]) for row in rows if "val_loss" in row]


@check(
    "MG702",
    "trained on after the best epoch",
    "end",
    "the weights that are left are worse on new rows than some that were thrown away",
)
def too_many_epochs(case: Case) -> Iterator[Seen]:
    """Look for trained on after the best epoch."""
    curve = validation(case)
    if len(curve) < 10 or not np.isfinite(curve).all() or stopped_early(case):
        return
    best = int(np.argmin(curve))
    late = float(np.mean(curve[-max(len(curve) // 10, 1) :]))
    if best < 0.6 * len(curve) and late > 1.5 * curve[best] and late - curve[best] > 0.05:
        yield Seen(
            f"the validation loss was least in epoch {best + 1} of {len(curve)}, "
            f"{curve[best]:.3g}; at the end it is {late:.3g}",
            "callbacks=[EarlyStopping(patience=10)], which brings the best weights back",
            sure=late > 2 * curve[best],
        )


@check(
    "MG703",
    "overfitting",
    "end",
    "the model knows its training rows by heart, and new ones less and less",
)
def overfitting(case: Case) -> Iterator[Seen]:
    """Look for overfitting."""
    curve, train = validation(case), case.curve
    if len(curve) < 5 or len(train) != len(curve):
        return
    if not np.isfinite(curve).all() or not np.isfinite(train).all() or stopped_early(case):
        return
    best = int(np.argmin(curve))
    risen = curve[-1] > 2 * curve[best] and train[-1] < 0.2 * curve[-1] and best < len(curve) - 3
    untrained = max([curve[0], *(loss for step, loss in case.losses if step == 1)])
    apart = curve[-1] > 10 * train[-1] and curve[-1] > 0.25 * untrained
    if risen or apart:
        yield Seen(
            f"training loss {train[-1]:.3g}, validation loss {curve[-1]:.3g} (at best "
            f"{curve[best]:.3g}, epoch {best + 1})",
            "nn.Dropout(0.2), AdamW(weight_decay=0.01), fewer units, or more rows",
        )


@check(
    "MG704",
    "underfitting",
    "end",
    "the model cannot tell its own training rows apart: it has too few units or the wrong loss, or "
    "a regulariser holds it",
)
def underfitting(case: Case) -> Iterator[Seen]:
    """Look for underfitting."""
    curve = case.curve
    if len(curve) < 10 or not np.isfinite(curve).all() or case.steps < 200 or not case.failing:
        return
    layers = sum(isinstance(module, WEIGHTED) for module in case.model.modules())
    linear = float(case.probe.get("linear", 0.0))
    if layers == 1 and (case.skill or 0) > max(linear - NEARLY, LEAST):
        return  # a linear model that knows what a linear model can
    tail = max(len(curve) // 5, 1)
    now, before = float(np.mean(curve[-tail:])), float(np.mean(curve[-2 * tail : -tail]))
    if abs(before - now) < 0.01 * abs(before):
        yield Seen(
            f"the loss has stayed at {now:.3g}, and the model knows {known(case)} of its training "
            "rows",
            "more or wider layers with nn.ReLU() between, less dropout and decay, "
            f"optim.AdamW(model.parameters(), lr={adam_lr(case.steps):g})",
            sure=False,
        )


@check(
    "MG705",
    "a monitor in the wrong direction",
    "setup",
    "what gets better counts as worse: the first epoch stays the best, and its weights come back",
)
def wrong_direction(case: Case) -> Iterator[Seen]:
    """Look for a monitor in the wrong direction."""
    for callback in case.callbacks:
        name = getattr(callback, "monitor", "")
        mode = getattr(getattr(callback, "_best", None), "mode", getattr(callback, "mode", None))
        right = direction(name) if isinstance(name, str) and name else None
        if right and mode in ("min", "max") and mode != right:
            yield Seen(
                f"{type(callback).__name__} watches {name!r} with mode={mode!r}",
                f"mode={right!r}, or leave mode out",
            )


@check(
    "MG706",
    "best weights kept by reference",
    "end",
    "the optimizer goes on writing into them, so the best weights are the last ones",
)
def by_reference(case: Case) -> Iterator[Seen]:
    """Look for best weights kept by reference."""
    lines = case.events.get("own weights loaded", [])
    if lines:
        yield Seen(
            "load_state_dict() was given arrays that are the model's own",
            "best = copy.deepcopy(model.state_dict())",
            line=lines[0],
        )


@check(
    "MG707",
    "evaluating in training mode",
    "end",
    "dropout drops and batch-norm uses the batch's own statistics: the score is worse, and depends "
    "on the company of a row",
)
def evaluated_in_training(case: Case) -> Iterator[Seen]:
    """Look for evaluating in training mode."""
    lines = case.events.get("no_grad in training mode", [])
    if lines:
        yield Seen(
            f"{counted(len(lines), 'call')} of a model with dropout or batch-norm under no_grad() "
            "in training mode",
            "model.eval() before, model.train() after",
            line=lines[0],
        )


@check(
    "MG708",
    "training in eval mode",
    "running",
    "dropout does nothing and batch-norm keeps the statistics it was made with",
)
def trained_in_eval(case: Case) -> Iterator[Seen]:
    """Look for training in eval mode."""
    looks = case.looks
    names = case.probe.get("eval modules", [])
    lines = case.events.get("training in eval mode", [])
    if looks and names and not all(look.training for look in looks):
        yield Seen(
            f"{names[0]!r} was in eval mode in {sum(not k.training for k in looks)} of "
            f"{len(looks)} training steps looked at",
            "model.train() before the steps of each epoch",
            names[0],
            lines[0] if lines else "",
        )


@check(
    "MG709",
    "training and evaluation disagree",
    "end",
    "at the same weights and rows the two modes give quite different losses: running statistics "
    "that have not settled, or much dropout",
)
def modes_apart(case: Case) -> Iterator[Seen]:
    """Look for training and evaluation disagree."""
    pair = case.probe.get("modes")
    if pair is None or case.steps < 20:
        return
    training, evaluation = pair
    if math.isfinite(training) and evaluation > 3 * training + 0.5:
        yield Seen(
            f"on one batch the loss is {training:.3g} in training mode and {evaluation:.3g} in "
            "eval mode",
            "more steps, larger batches, nn.BatchNorm1d(n, momentum=0.1), or nn.LayerNorm",
            sure=False,
        )


@check(
    "MG710",
    "few steps",
    "end",
    "so few updates cannot bring the weights far, whatever their number of epochs",
)
def few_steps(case: Case) -> Iterator[Seen]:
    """Look for few steps."""
    if case.learnt or case.skill is None or not case.epochs or case.steps == 0:
        return
    per = case.steps / max(case.epochs, 1)
    rows = case.train.rows
    if case.steps < 100 and per <= 2 and rows >= 128 and case.epochs >= 2:
        yield Seen(
            f"{case.steps} steps with batches of {case.train.sizes[0]} rows, and the model knows "
            f"{known(case)} of its training rows",
            "batch_size=32",
            sure=False,
        )
