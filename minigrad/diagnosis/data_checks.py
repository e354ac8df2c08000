"""Rows and labels: what the batches of the first epoch hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.diagnosis import baselines
from minigrad.diagnosis.case import LEAST, REGRESSION, Case
from minigrad.diagnosis.findings import Seen, check, counted

Array = np.ndarray[Any, Any]
CHANCE = 3.5  # deviations that independent rows and targets hardly reach
FEW = 20  # rows below which nothing is said of a set


def numbers(case: Case) -> Array | None:
    """Return the training rows as (n, features) floats; None where they are no numbers."""
    x = case.train.x
    if x is None or x.dtype.kind != "f" or x.ndim < 2 or not x.size:
        return None
    return x.reshape(len(x), -1)


def labels(case: Case) -> Array | None:
    """Return the training rows' classes as (n,) integers; None where there are none."""
    y = case.train.y
    if y is None or not y.size:
        return None
    kind = case.targets
    if kind == "one-hot":
        found: Array = y.argmax(1)
        return found
    if kind in ("classes", "binary", "codes") and y.size == len(y):
        return y.reshape(-1).astype(np.int64) if case.classifies else None
    return None


def normalised_first(case: Case) -> bool:
    """Return whether the model standardises its inputs itself."""
    look = case.look
    nodes = [] if look is None else look.nodes
    if nodes:
        first = next((n for n in nodes if look is not None and look.layer_name(n)), None)
        case.probe["normalised"] = first is not None and first.op in (
            *("BatchNorm", "BatchNormDropout", "BatchNormEval", "LayerNorm"),
        )
    return bool(case.probe.get("normalised"))


@check(
    "MG201",
    "labels out of range",
    "data",
    "there is no output for such a label, so its rows cannot be learnt",
)
def out_of_range(case: Case) -> Iterator[Seen]:
    """Look for labels out of range."""
    y, units = case.train.y, case.units
    if y is None or not y.size or case.loss_kind not in ("cross_entropy", "nll"):
        if y is not None and y.size and case.loss_kind in ("bce", "bce_logits"):
            low, high = float(y.min()), float(y.max())
            if low < 0 or (high > 1 and (case.units or 1) > 1) or high > 1.5:
                if case.targets in ("codes", "classes") and low >= 0:
                    return  # MG109 says more
                signs = low == -1 and high == 1
                yield Seen(
                    f"targets of a binary cross-entropy from {low:g} to {high:g}",
                    "give the two classes as 0 and 1" + (": (target + 1) / 2" if signs else ""),
                )
        return
    if case.targets == "classes" and units:
        ignored = getattr(case.loss, "ignore_index", -100)
        kept = y[y != ignored]
        if kept.size and (kept.min() < 0 or kept.max() >= units):
            least, most = int(kept.min()), int(kept.max())
            if least == 1 and most == units:
                return  # MG202 says more
            yield Seen(
                f"labels from {least} to {most}, but {units} outputs, 0 to {units - 1}",
                f"number the classes from 0, with one output each: nn.Linear(n, {most + 1})",
            )


@check(
    "MG202",
    "labels that start at 1",
    "data",
    "output 0 has no class, and the last class none of the outputs where there is one a class",
)
def shifted(case: Case) -> Iterator[Seen]:
    """Look for labels that start at 1."""
    y, units = case.train.y, case.units
    if y is None or not y.size or case.loss_kind not in ("cross_entropy", "nll"):
        return
    from_one = case.targets == "classes" and units and y.min() == 1
    if not from_one or y.max() not in (units, int(units or 0) - 1):
        return
    if len(np.unique(y)) == y.max() and case.train.rows >= FEW:
        yield Seen(
            f"labels from 1 to {int(y.max())}, with {units} outputs",
            f"target - 1, and nn.Linear(n, {int(y.max())}) as the last layer",
            sure=bool(y.max() == units),
        )


@check(
    "MG203",
    "all targets are alike",
    "data",
    "a constant output fits them, so nothing about the inputs is learnt",
)
def one_class(case: Case) -> Iterator[Seen]:
    """Look for all targets are alike."""
    y = case.train.y
    if y is None or case.train.rows < FEW or y.dtype.kind not in "iufb":
        return
    if bool((y == y[:1]).all()):
        yield Seen(
            f"{case.train.rows} rows with the target {np.ravel(y[0])[:4].tolist()}",
            "look at how the labels were read, and at what the loader leaves out; shuffle before "
            "splitting",
        )


@check(
    "MG204",
    "labels of a shape or type that the loss does not take",
    "data",
    "cross_entropy takes the classes' numbers as (N,) integers, or probabilities as (N, C) floats",
)
def label_shape(case: Case) -> Iterator[Seen]:
    """Look for labels of a shape or type that the loss does not take."""
    y, units = case.train.y, case.units
    if y is None or case.loss_kind not in ("cross_entropy", "nll") or (units or 0) < 2:
        return
    shape = f"(N, {', '.join(map(str, y.shape[1:]))})" if y.ndim > 1 else "(N,)"
    if y.dtype.kind == "f" and y.ndim == 1:
        yield Seen(f"targets {shape} of {y.dtype}", "target.long()")
    elif y.ndim == 2 and y.shape[1] == 1:
        yield Seen(f"targets {shape} of {y.dtype}", "target.squeeze(1).long()")
    elif y.ndim == 2 and y.dtype.kind in "iub" and y.shape[1] == units:
        yield Seen(f"one-hot targets {shape} of {y.dtype}", "target.argmax(1), or target.float()")


@check(
    "MG205",
    "inputs not standardised",
    "data",
    "large or far-off inputs make the first layer's gradients large and one-sided, so that no "
    "learning rate fits all weights",
)
def not_standardised(case: Case) -> Iterator[Seen]:
    """Look for inputs not standardised."""
    x = numbers(case)
    if x is None or len(x) < 4 or normalised_first(case):
        return
    with np.errstate(over="ignore"):
        size = np.sqrt(np.square(x).mean(0, dtype=np.float64))
    overall = float(np.sqrt((size**2).mean()))
    fix = (
        "scaler = mg.data.Standardizer().fit(x); x = scaler.transform(x), for all sets with the "
        "scaler of the training rows"
    )
    if x.min() >= 0 and 200 < x.max() <= 255:
        fix = "x / 255, or mg.data.Standardizer() fitted on the training rows"
    if overall > 5:
        at = int(size.argmax())
        yield Seen(
            f"inputs of root mean square {overall:.3g}, up to {size[at]:.3g} in feature {at}",
            fix,
            sure=False,
        )
    elif 0 < overall < 0.02:
        yield Seen(f"inputs of root mean square {overall:.2g}", fix, sure=False)


@check(
    "MG206",
    "constant features",
    "data",
    "a feature that is the same in all rows says nothing, and divides by 0 when it is standardised",
)
def constant_features(case: Case) -> Iterator[Seen]:
    """Look for constant features."""
    x = case.train.x
    if x is None or x.ndim != 2 or x.dtype.kind != "f" or len(x) < FEW or not case.train.whole:
        return
    same = np.flatnonzero((x == x[:1]).all(0))
    if len(same) == x.shape[1]:
        yield Seen("all rows are the same", "look at how the inputs were read")
    elif len(same) > 0 and x.shape[1] <= 40:
        many = ", ".join(map(str, same[:5])) + ("..." if len(same) > 5 else "")
        yield Seen(
            f"of {x.shape[1]} features {counted(len(same), 'feature')} never change: {many}",
            f"x = np.delete(x, {same[:5].tolist()}, axis=1)",
            sure=False,
        )


@check(
    "MG207",
    "rows that come again and again",
    "data",
    "duplicated rows count double, and land on both sides of a split",
)
def duplicates(case: Case) -> Iterator[Seen]:
    """Look for rows that come again and again."""
    keys = case.train.keys
    y = case.train.y
    if keys is None or y is None or len(keys) < 50 or case.train.x is None:
        return
    if case.train.x.reshape(len(keys), -1).shape[1] < 4 or case.train.x.dtype.kind != "f":
        return
    share = 1 - len(np.unique(keys)) / len(keys)
    if share > 0.2:
        yield Seen(
            f"{100 * share:.0f} % of {len(keys)} training rows are copies of others",
            "keep one of each before splitting (np.unique(x, axis=0, return_index=True)), or give "
            "them weights",
            sure=False,
        )


@check(
    "MG208",
    "training and validation rows overlap",
    "data",
    "the validation score is that of rows the model has seen, so it says nothing about new ones",
)
def overlap(case: Case) -> Iterator[Seen]:
    """Look for training and validation rows overlap."""
    train, val = case.train.keys, case.validation.keys
    if train is None or val is None or len(val) < FEW or case.train.x is None:
        return
    if case.train.x.dtype.kind != "f" or case.train.x[0].size < 2:
        return
    share = float(np.isin(val, train).mean())
    if share > 0.05 + copies(train):
        yield Seen(
            f"{100 * share:.0f} % of {len(val)} validation rows are training rows too",
            "split once, before anything else: train, validation, test = dataset.split(seed=0)",
        )


def copies(keys: Array) -> float:
    """Return the share of rows that stand twice in a set: as many may stand in two."""
    return 1 - len(np.unique(keys)) / len(keys)


@check(
    "MG209",
    "ordered labels, not shuffled",
    "data",
    "batches of one class after another pull the model to and fro; what came last weighs most",
)
def not_shuffled(case: Case) -> Iterator[Seen]:
    """Look for ordered labels, not shuffled."""
    y = labels(case)
    sizes = case.train.sizes
    if y is None or len(y) < 50 or len(sizes) < 3:
        return
    if len(np.unique(y)) < 2:
        return
    size = max(sizes[0], 1)
    changes = int((np.diff(y) != 0).sum())
    shares = np.unique(y, return_counts=True)[1] / len(y)
    expected = (len(y) - 1) * (1 - float((shares * shares).sum()))
    if changes < 0.1 * expected and size < len(y):
        yield Seen(
            f"the labels change {changes} times in {len(y)} rows in the order of training, "
            f"{expected:.0f} times would be chance",
            "DataLoader(..., shuffle=True)",
        )


@check(
    "MG210",
    "imbalance that accuracy hides",
    "data",
    "a model that always says the largest class has almost this accuracy",
)
def imbalance(case: Case) -> Iterator[Seen]:
    """Look for imbalance that accuracy hides."""
    y = labels(case)
    if y is None or len(y) < 50 or not case.classifies:
        return
    counts = np.unique(y, return_counts=True)[1]
    share = counts.max() / len(y)
    if len(counts) > 1 and share > 0.9 and not weighted(case):
        yield Seen(
            f"{100 * share:.0f} % of the rows are of one class, the smallest has {counts.min()}",
            "give the loss weight= (pos_weight= for two classes), or the loader a "
            "WeightedRandomSampler, and judge by F1 or AUROC",
            sure=bool(share > 0.95),
        )


def weighted(case: Case) -> bool:
    """Return whether the loss or the loader weighs classes."""
    given = getattr(case.train_loader, "_given", (None, None))
    names = ("weight", "pos_weight")
    by_loss = any(getattr(case.loss, name, None) is not None for name in names)
    return by_loss or any(part is not None for part in given)


@check(
    "MG211",
    "targets of a regression not scaled",
    "data",
    "the loss and its gradients have the square of the targets' size, and the output has to travel "
    "far from its start near 0",
)
def targets_not_scaled(case: Case) -> Iterator[Seen]:
    """Look for targets of a regression not scaled."""
    y = case.train.y
    if y is None or case.loss_kind not in REGRESSION or len(y) < 4 or y.dtype.kind not in "iuf":
        return
    if case.targets in ("binary", "one-hot"):
        return
    values = y.astype(np.float64)
    mean, std = float(values.mean()), float(values.std())
    if std > 10 or abs(mean) > 20 or 0 < np.abs(values).max() < 0.01:
        yield Seen(
            f"targets of mean {mean:.3g} and standard deviation {std:.3g}",
            f"target = (target - {mean:.4g}) / {std or 1:.4g}, and prediction * {std or 1:.4g} + "
            f"{mean:.4g}",
            sure=False,
        )


@check(
    "MG212",
    "NaN or infinity in the data",
    "data",
    "one such value makes the loss, every gradient and every weight NaN",
)
def not_finite(case: Case) -> Iterator[Seen]:
    """Look for NaN or infinity in the data."""
    for name, values in (("x", case.train.x), ("target", case.train.y)):
        if values is not None and values.dtype.kind == "f":
            bad = int((~np.isfinite(values)).sum())
            if bad:
                yield Seen(
                    f"{bad} of {values.size} values of {name} are NaN or infinite",
                    f"keep = np.isfinite({name}).reshape(len({name}), -1).all(1), and x[keep] and "
                    "target[keep] for all rows; or fill such values in before training",
                )


@check(
    "MG213",
    "equal rows with different labels",
    "data",
    "no model can tell them apart: labels are noise, or were shuffled apart from their rows",
)
def conflicting(case: Case) -> Iterator[Seen]:
    """Look for equal rows with different labels."""
    keys, y = case.train.keys, labels(case)
    if keys is None or y is None or len(keys) != len(y) or len(keys) < 50 or case.train.x is None:
        return
    if case.train.x.dtype.kind != "f":
        return
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    apart = y[order][1:] != y[order][:-1]
    share = float((same & apart).sum()) / len(keys)
    if share > 0.02:
        yield Seen(
            f"{100 * share:.0f} % of the training rows stand beside an equal row with another "
            "label",
            "look at how rows and labels were joined; drop or correct such rows",
            sure=share > 0.2,
        )


@check(
    "MG214",
    "validation rows on another scale",
    "data",
    "the model is judged on inputs it was not trained on: one set was standardised, or twice, and "
    "the other not",
)
def other_scale(case: Case) -> Iterator[Seen]:
    """Look for validation rows on another scale."""
    x, val = numbers(case), case.validation.x
    if x is None or val is None or val.dtype.kind != "f" or len(val) < FEW or len(x) < FEW:
        return
    other = val.reshape(len(val), -1)
    if other.shape[1] != x.shape[1]:
        return
    spread, spread_val = float(x.std()), float(other.std())
    size, size_val = float(np.abs(x).mean()), float(np.abs(other).mean())
    if min(spread, spread_val, size, size_val) <= 0:
        return
    ratio = max(spread, spread_val) / min(spread, spread_val)
    ratio = max(ratio, max(size, size_val) / min(size, size_val))
    if ratio > 4:
        yield Seen(
            f"training inputs have the mean size {size:.3g} and deviation {spread:.3g}, validation "
            f"inputs {size_val:.3g} and {spread_val:.3g}",
            "apply the Standardizer that was fitted on the training rows to both sets, once",
        )


@check(
    "MG215",
    "a class that validation has and training has not",
    "data",
    "it cannot be predicted: the split was not shuffled, or rows were left out",
)
def missing_class(case: Case) -> Iterator[Seen]:
    """Look for a class that validation has and training has not."""
    y, val = labels(case), case.validation.y
    if y is None or val is None or not val.size or not case.train.whole or len(y) < FEW:
        return
    other = val.argmax(1) if case.targets == "one-hot" and val.ndim == 2 else val.reshape(-1)
    lacking = np.setdiff1d(np.unique(other), np.unique(y))
    if len(lacking) and case.classifies and len(y) < 2048:
        yield Seen(
            f"classes {lacking[:5].tolist()} stand in the validation set only",
            "shuffle before splitting: train, validation, test = dataset.split(seed=0)",
        )


@check(
    "MG216",
    "targets that do not depend on the inputs",
    "end",
    "what the model has not learnt of its own training rows may not be in them: labels shuffled "
    "apart from their rows",
)
def unrelated(case: Case) -> Iterator[Seen]:
    """Look for targets that do not depend on the inputs."""
    x, known = numbers(case), case.skill
    if x is None or len(x) < 200 or known is None or known > 0.9 or case.enough > LEAST:
        return
    dependence = case.probe.get("dependence")
    if dependence is not None and dependence() < CHANCE:
        yield Seen(
            f"in {min(len(x), baselines.MOST)} training rows, rows with like inputs have no more "
            "like targets than rows drawn at random, and no input goes with the target more than "
            f"chance would have it; the model explains {max(0, 100 * known):.0f} % of them, by "
            "heart at most",
            "shuffle rows and labels by the same permutation; look at how they were joined",
        )
