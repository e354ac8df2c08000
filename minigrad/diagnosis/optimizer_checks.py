"""Optimizer and schedule: what is stepped, by how much, and when."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.diagnosis.case import Case
from minigrad.diagnosis.findings import Seen, check, counted
from minigrad.optim import SGD, Adam, AdamW, NAdam, Optimizer, RAdam
from minigrad.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LambdaLR,
    OneCycleLR,
    ReduceLROnPlateau,
)

ADAMS = (Adam, AdamW, NAdam, RAdam)
# Learning rates outside of these are seldom meant: (least, most) where something is learnt.
SANE = {"adam": (1e-6, 0.05), "sgd": (1e-5, 1.0), "other": (1e-7, 2.0)}


def groups(case: Case) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield the groups of all optimizers."""
    for optimizer in case.optimizers:
        for group in optimizer.param_groups:
            yield optimizer, group


def family(optimizer: Any) -> str:
    """Return "adam", "sgd" or "other"."""
    if isinstance(optimizer, ADAMS):
        return "adam"
    return "sgd" if type(optimizer) is SGD else "other"


def first_lr(group: dict[str, Any]) -> float:
    """Return the learning rate that a group began with."""
    return float(group.get("own_lr", group["lr"]))


def listed(names: list[str]) -> str:
    """Return a few names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + more


@check(
    "MG401",
    "parameters that no optimizer steps",
    "setup",
    "they stay as they were made",
)
def left_out(case: Case) -> Iterator[Seen]:
    """Look for parameters that no optimizer steps."""
    stepped = {id(p) for _, group in groups(case) for p in group["params"]}
    named = dict(case.model.named_parameters())
    lacking = [n for n, p in named.items() if p.requires_grad and id(p) not in stepped]
    if stepped and lacking and len(lacking) < len(named):
        yield Seen(
            f"{listed(lacking)} of {len(named)} parameters are in no optimizer",
            "give the optimizer model.parameters(), or freeze them with requires_grad_(False)",
            lacking[0].rpartition(".")[0],
        )


@check(
    "MG402",
    "an optimizer of another model",
    "setup",
    "its steps change nothing of this one",
)
def other_model(case: Case) -> Iterator[Seen]:
    """Look for an optimizer of another model."""
    stepped = {id(p) for _, group in groups(case) for p in group["params"]}
    own = {id(p) for p in case.model.parameters()}
    if stepped and own and not stepped & own:
        yield Seen(
            f"none of the optimizer's {len(stepped)} parameters is one of the model's {len(own)}",
            "make the optimizer after the model, with this model's parameters()",
        )


@check(
    "MG403",
    "parameters in two optimizers",
    "setup",
    "they are stepped twice for one gradient",
)
def twice(case: Case) -> Iterator[Seen]:
    """Look for parameters in two optimizers."""
    counts: dict[int, int] = {}
    for optimizer in case.optimizers:
        for i in {id(p) for group in optimizer.param_groups for p in group["params"]}:
            counts[i] = counts.get(i, 0) + 1
    names = [n for n, p in case.model.named_parameters() if counts.get(id(p), 0) > 1]
    if names:
        yield Seen(
            f"{listed(names)} are in {max(counts.values())} optimizers",
            "give each parameter to one optimizer",
            names[0],
        )


@check(
    "MG404",
    "nothing to train",
    "setup",
    "no parameter requires a gradient, or none is there",
)
def nothing_to_train(case: Case) -> Iterator[Seen]:
    """Look for nothing to train."""
    parameters = list(case.model.parameters())
    frozen = [p for p in parameters if not p.requires_grad]
    if case.optimizers and parameters and len(frozen) == len(parameters):
        yield Seen(
            f"all {len(parameters)} parameters are frozen",
            "model.requires_grad_(True), or thaw the layers to be trained",
        )


@check(
    "MG405",
    "parameters that never get a gradient",
    "running",
    "the loss does not depend on them: a layer that forward() does not call, or a detach() or "
    ".data on the way",
)
def no_gradient(case: Case) -> Iterator[Seen]:
    """Look for parameters that never get a gradient."""
    looks = [look for look in case.looks if look.gradients]
    if len(looks) < (1 if case.way == "static" else 2):
        return
    names = [
        name
        for name in looks[-1].gradients
        if all(look.gradients.get(name, 0.0) is None for look in looks)
    ]
    if names and len(names) < len(looks[-1].gradients):
        yield Seen(
            f"{listed(names)} had no gradient in {counted(len(looks), 'step')}",
            "call the layer in forward(), or remove it",
            names[0].rpartition(".")[0],
        )


@check(
    "MG406",
    "learning rate too high",
    "end",
    "steps jump over the valley: the loss grows, swings, or stays where a constant output is",
)
def lr_too_high(case: Case) -> Iterator[Seen]:
    """Look for learning rate too high."""
    ratios = [ratio for look in case.looks[1:] or case.looks for ratio in [update_ratio(look)]]
    ratio = float(np.median(ratios)) if ratios else 0.0
    for optimizer, group in groups(case):
        lr = first_lr(group)
        high = SANE[family(optimizer)][1]
        said = f"{type(optimizer).__name__} with lr={lr:g}"
        if case.way == "static" and lr > high:
            yield Seen(said, f"lr={suggested(optimizer):g}", sure=lr > 20 * high)
            return
        curve = [v for v in case.curve if np.isfinite(v)]
        diverged = len(curve) < len(case.curve) or (
            len(curve) > 1 and curve[-1] > 1.5 * curve[0] + 1e-6
        )
        swings = swinging(curve)
        # A loss that has fallen well says that it was not too high.
        if (case.learnt and not diverged) or not case.steps:
            return
        evidence = ratio > 0.05 or lr > high
        if diverged and (evidence or case.failing):
            yield Seen(
                f"{said}: the loss went from {case.curve[0]:.3g} to {case.curve[-1]:.3g}",
                f"lr={min(lr / 10, suggested(optimizer, case.steps)):g}",
                sure=evidence,
            )
            return
        if evidence and (case.failing or swings):
            yield Seen(
                f"{said}: a step changes the weights by {100 * ratio:.2g} % of their size, and the "
                f"loss {'swings' if swings else 'stays'} at {case.curve[-1]:.3g}",
                f"lr={min(lr / 10, suggested(optimizer, case.steps)):g}",
                sure=lr > high,
            )
            return


def suggested(optimizer: Any, steps: int = 0) -> float:
    """Return a learning rate that an optimizer mostly does well with, over so many steps."""
    if family(optimizer) == "sgd":
        return 0.01 if any(g.get("momentum") for g in optimizer.param_groups) else 0.05
    return adam_lr(steps) if steps and family(optimizer) == "adam" else 1e-3


def adam_lr(steps: int) -> float:
    """Return a learning rate for Adam over so many steps: each takes a weight about as far, and a
    weight has to travel a few units.

    >>> [adam_lr(steps) for steps in (100, 600, 10_000)]
    [0.01, 0.005, 0.001]
    """
    return float(f"{min(max(3 / max(steps, 1), 1e-3), 1e-2):.0e}")


def update_ratio(look: Any) -> float:
    """Return the largest change of a weight matrix in a step, against its size."""
    found = [
        change / size
        for name, (change, size) in look.updates.items()
        if size > 1e-8 and not name.endswith("bias")
    ]
    return max(found, default=0.0)


def swinging(curve: list[float]) -> bool:
    """Return whether the last half of a curve goes up as much as down, by more than a tenth.

    >>> swinging([1, 0.5, 0.7, 0.4, 0.8, 0.4, 0.7, 0.8]), swinging([8, 7, 6, 5, 4, 3, 2, 1])
    (True, False)
    """
    half = np.asarray(curve[len(curve) // 2 :], np.float64)
    if len(half) < 4 or not np.isfinite(half).all():
        return False
    steps = np.diff(half)
    moved = float(np.abs(steps).sum())
    return moved > 4 * abs(float(half[-1] - half[0])) and moved / len(steps) > 0.1 * float(
        np.abs(half).mean()
    )


@check(
    "MG407",
    "learning rate too low",
    "end",
    "the weights hardly move, so the loss would take many times as many steps",
)
def lr_too_low(case: Case) -> Iterator[Seen]:
    """Look for learning rate too low."""
    for optimizer, group in groups(case):
        lr = first_lr(group)
        low = SANE[family(optimizer)][0]
        said = f"{type(optimizer).__name__} with lr={lr:g}"
        better = max(10 * lr, suggested(optimizer, 0 if case.way == "static" else case.steps))
        if lr == 0:
            return
        if case.way == "static" and lr < low:
            yield Seen(said, f"lr={better:g}", sure=lr < low / 10)
            return
        ratios = [update_ratio(look) for look in case.looks if look.updates]
        curve = case.curve
        if case.learnt or len(ratios) < 2 or len(curve) < 2 or lr >= suggested(optimizer):
            return
        ratio = float(np.median(ratios))
        travelled = ratio * case.steps  # how far the weights can have come
        fell = (curve[0] - curve[-1]) / max(abs(curve[0]), 1e-12)
        slow = fell < 0.5 or case.failing
        if (ratio < 1e-4 or travelled < 0.1) and slow and not swinging(curve):
            yield Seen(
                f"{said}: a step changes the weights by {100 * ratio:.2g} % of their size, and the "
                f"loss went from {curve[0]:.3g} to {curve[-1]:.3g} in {case.steps} steps",
                f"lr={better:g}",
                sure=False,
            )
        return


@check(
    "MG408",
    "L2 in Adam taken for weight decay",
    "setup",
    "Adam divides the decay by the gradient's size, so weights with large gradients are hardly "
    "decayed",
)
def adam_with_l2(case: Case) -> Iterator[Seen]:
    """Look for L2 in Adam taken for weight decay."""
    for optimizer, group in groups(case):
        decay = float(group.get("weight_decay", 0) or 0)
        if type(optimizer) is Adam and decay > 0 and not group.get("decoupled_weight_decay"):
            yield Seen(
                f"Adam with weight_decay={decay:g}",
                "AdamW(decay_groups(model, weight_decay=0.01), lr=...)",
                sure=False,
            )
            return


@check(
    "MG409",
    "weight decay on biases and norms",
    "setup",
    "decay draws the scale of a norm, and every bias, towards 0, where it regularises nothing",
)
def decay_on_biases(case: Case) -> Iterator[Seen]:
    """Look for weight decay on biases and norms."""
    for optimizer, group in groups(case):
        decay = float(group.get("weight_decay", 0) or 0)
        usual = inspect.signature(type(optimizer).__init__).parameters.get("weight_decay")
        by_default = usual is not None and usual.default == decay
        small = [p for p in group["params"] if p.ndim < 2]
        if decay >= 0.005 and not by_default and small and len(small) < len(group["params"]):
            yield Seen(
                f"weight_decay={decay:g} holds for {len(small)} biases and norms too",
                f"{type(optimizer).__name__}(decay_groups(model, weight_decay={decay:g}), lr=...)",
                sure=False,
            )
            return


@check(
    "MG410",
    "an unusual setting of the optimizer",
    "setup",
    "eps bounds the step where gradients are small, betas and momentum say over how many steps "
    "they are averaged: far from the usual values training stalls or swings",
)
def unusual(case: Case) -> Iterator[Seen]:
    """Look for an unusual setting of the optimizer."""
    for optimizer, group in groups(case):
        kind = type(optimizer).__name__
        eps = group.get("eps")
        if isinstance(optimizer, ADAMS) and eps is not None and not 1e-12 <= eps <= 1e-3:
            yield Seen(f"{kind} with eps={eps:g}", "eps=1e-8", sure=eps > 0.05)
        betas = group.get("betas")
        if isinstance(optimizer, ADAMS) and betas and betas[1] < 0.9:
            yield Seen(f"{kind} with betas={betas}", "betas=(0.9, 0.999)", sure=False)
        if float(group.get("momentum", 0) or 0) >= 0.99:
            yield Seen(f"{kind} with momentum={group['momentum']:g}", "momentum=0.9", sure=False)


@check(
    "MG411",
    "a learning rate of 0",
    "setup",
    "the optimizer's steps change nothing",
)
def no_lr(case: Case) -> Iterator[Seen]:
    """Look for a learning rate of 0."""
    rates = [float(group["lr"]) for _, group in groups(case)]
    scheduled = any("own_lr" in group or "initial_lr" in group for _, group in groups(case))
    if rates and not any(rates) and not scheduled and not case.schedules:
        yield Seen("lr=0 in all groups", f"lr={suggested(case.optimizers[0]):g}")


@check(
    "MG412",
    "zero_grad forgotten",
    "running",
    "backward() adds to the gradients, so each step goes along the sum of all so far",
)
def no_zero_grad(case: Case) -> Iterator[Seen]:
    """Look for zero_grad forgotten."""
    lines = case.events.get("backward into stepped gradients", [])
    if len(lines) >= 2:
        yield Seen(
            f"{len(lines)} times backward() added to gradients that a step had used already",
            "optimizer.zero_grad() after optimizer.step(), or before backward()",
            line=lines[0],
        )


@check(
    "MG413",
    "weight decay larger than the loss",
    "running",
    "the optimizer makes the weights small rather than the errors",
)
def decay_over_loss(case: Case) -> Iterator[Seen]:
    """Look for weight decay larger than the loss."""
    sizes = {id(p): name for name, p in case.model.named_parameters()}
    losses = dict(case.losses)
    for look in case.looks[1:]:
        penalty = 0.0
        for optimizer, group in groups(case):
            decay = float(group.get("weight_decay", 0) or 0)
            coupled = family(optimizer) != "other" and not isinstance(optimizer, AdamW)
            if decay and coupled:
                norms = [look.updates.get(sizes.get(id(p), ""), (0, 0))[1] for p in group["params"]]
                penalty += decay / 2 * sum(n * n for n in norms)
            elif decay * first_lr(group) > 0.01:
                yield Seen(
                    f"{type(optimizer).__name__} takes {100 * decay * first_lr(group):.2g} % from "
                    f"every weight at each step: weight_decay={decay:g}, lr={first_lr(group):g}",
                    "weight_decay=0.01",
                    sure=False,
                )
                return
        loss = abs(losses.get(look.step, math.inf))
        if penalty > 2 * loss > 0:
            yield Seen(
                f"in step {look.step} the decay's share of what is minimised is {penalty:.3g}, the "
                f"loss {loss:.3g}",
                "weight_decay=1e-4",
                sure=False,
            )
            return


@check(
    "MG414",
    "gradients clipped at nearly every step",
    "end",
    "the gradient's size never gets through: the clip is a second, smaller learning rate",
)
def much_clipping(case: Case) -> Iterator[Seen]:
    """Look for gradients clipped at nearly every step."""
    for callback in case.callbacks:
        limit = getattr(callback, "max_norm", None)
        norms = [total_norm(look) for look in case.looks[1:]]
        if limit and norms and min(norms) > 20 * float(limit) and not case.learnt:
            yield Seen(
                f"gradients of norm {np.median(norms):.3g}, clipped to {float(limit):g}",
                f"GradientClipping(max_norm={np.median(norms):.1g}), or standardise the inputs",
                sure=False,
            )
            return


def total_norm(look: Any) -> float:
    """Return the norm of all gradients of a step."""
    return float(np.sqrt(sum((g or 0.0) ** 2 for g in look.gradients.values())))


@check(
    "MG415",
    "steps without a gradient",
    "running",
    "the optimizer leaves parameters alone that have none: zero_grad() came between backward() and "
    "step(), or backward() was forgotten",
)
def empty_steps(case: Case) -> Iterator[Seen]:
    """Look for steps without a gradient."""
    lines = case.events.get("step without gradients", [])
    if len(lines) >= 2:
        yield Seen(
            f"{len(lines)} steps of the optimizer found no gradient",
            "forward, loss, backward, step, zero_grad, in this order",
            line=lines[0],
        )


@check(
    "MG416",
    "backward without a step",
    "end",
    "gradients are computed, but nobody uses them",
)
def never_stepped(case: Case) -> Iterator[Seen]:
    """Look for backward without a step."""
    lines = case.events.get("backward", [])
    never = len(lines) >= 5 and not case.events.get("step")
    own = {id(p) for p in case.model.parameters()}
    has_one = any(id(p) in own for _, group in groups(case) for p in group["params"])
    if case.way == "script" and never and has_one:
        yield Seen(
            f"{len(lines)} calls of backward() and no optimizer.step()",
            "optimizer.step() after backward()",
            line=lines[0],
        )


@check(
    "MG417",
    "plain SGD, and still far from the end",
    "end",
    "without momentum or a scale by parameter, directions of small gradient are hardly learnt",
)
def plain_sgd(case: Case) -> Iterator[Seen]:
    """Look for plain SGD, and still far from the end."""
    for optimizer, group in groups(case):
        plain = type(optimizer) is SGD and not group.get("momentum")
        known = case.skill
        if plain and known is not None and known < case.enough - 0.1 and case.steps >= 20:
            yield Seen(
                f"SGD without momentum, lr={first_lr(group):g}: after {case.steps} steps the model "
                f"knows {max(0, 100 * known):.0f} % of its training rows",
                f"optim.AdamW(model.parameters(), lr={adam_lr(case.steps):g}), or "
                "SGD(..., momentum=0.9)",
                sure=False,
            )
        return


# ---------------------------------------------------------------- schedules
@check(
    "MG501",
    "a schedule that never acts",
    "setup",
    "the fit ends before its first change: it counts epochs where steps were meant, or is too long",
)
def never_acts(case: Case) -> Iterator[Seen]:
    """Look for a schedule that never acts."""
    for schedule, per, _ in case.schedules:
        total = turns(case, per)
        if total is None or isinstance(schedule, ReduceLROnPlateau | ConstantLR | LambdaLR):
            continue
        length = getattr(schedule, "T_max", None) or getattr(schedule, "total_steps", None)
        kind = type(schedule).__name__
        if isinstance(schedule, CosineAnnealingLR | OneCycleLR) and length and length > 3 * total:
            yield Seen(
                f"{kind} over {length} steps, but it is stepped {total} times, at each {per}",
                "T_max (or total_steps) as often as it is stepped; "
                'ScheduleLR(..., per="step") where it counts steps',
            )
            return
        rates = preview(schedule, total)
        if rates is not None and total > 2 and np.ptp(rates) <= 1e-9 * rates.max():
            yield Seen(
                f"{kind} does not change the learning rate in {total} calls, one at each {per}",
                'a shorter schedule, or ScheduleLR(..., per="step") where it counts steps',
            )
            return


@check(
    "MG502",
    "a schedule that ends too soon",
    "setup",
    "for most of the fit the learning rate is next to 0: it counts steps where epochs were meant, "
    "or is too short",
)
def ends_too_soon(case: Case) -> Iterator[Seen]:
    """Look for a schedule that ends too soon."""
    for schedule, per, _ in case.schedules:
        total = turns(case, per)
        if total is None or isinstance(schedule, ReduceLROnPlateau):
            continue
        rates = preview(schedule, total)
        if rates is None or total < 10:
            continue
        small = float((rates < 1e-3 * rates.max()).mean())
        if small > 0.4:
            yield Seen(
                f"{type(schedule).__name__}, stepped at each {per}, leaves less than a thousandth "
                f"of the learning rate for {100 * small:.0f} % of the fit",
                'a longer schedule, or ScheduleLR(..., per="epoch") where it counts epochs',
            )
            return


@check(
    "MG503",
    "a schedule stepped past its end",
    "setup",
    "a cosine goes up again after T_max, and a one-cycle schedule has nothing left",
)
def past_its_end(case: Case) -> Iterator[Seen]:
    """Look for a schedule stepped past its end."""
    for schedule, per, _ in case.schedules:
        total = turns(case, per)
        length = getattr(schedule, "T_max", None) or getattr(schedule, "total_steps", None)
        known = isinstance(schedule, CosineAnnealingLR | OneCycleLR)
        if total is not None and length and known and 2 <= length < 0.9 * total:
            yield Seen(
                f"{type(schedule).__name__} over {length} steps is stepped {total} times, at each "
                f"{per}",
                f"T_max (or total_steps) = {total}",
            )
            return


def turns(case: Case, per: str) -> int | None:
    """Return how often a schedule is stepped in the fit."""
    if not case.epochs:
        return None
    if per == "epoch":
        return case.epochs
    return None if case.steps_per_epoch is None else case.epochs * case.steps_per_epoch


def preview(schedule: Any, total: int) -> Any:
    """Return the learning rates of a whole fit; None where that would take long."""
    if total > 400 or not isinstance(schedule.optimizer, Optimizer):
        return None
    try:
        return schedule.preview(total)
    except (TypeError, ValueError, RuntimeError):
        return None


@check(
    "MG504",
    "a plateau watched on the training loss",
    "setup",
    "the training loss falls as long as the model memorises, so the learning rate is cut too late",
)
def plateau_on_training(case: Case) -> Iterator[Seen]:
    """Look for a plateau watched on the training loss."""
    for schedule, _, monitor in case.schedules:
        watched = isinstance(schedule, ReduceLROnPlateau) and monitor
        if watched and not monitor.startswith("val_") and case.val_loader is not None:
            yield Seen(
                f"ReduceLROnPlateau watches {monitor!r}, though there is a validation set",
                'ScheduleLR(scheduler, monitor="val_loss")',
            )
            return


@check(
    "MG505",
    "a schedule stepped before the optimizer",
    "end",
    "the first learning rate of the schedule is skipped",
)
def schedule_first(case: Case) -> Iterator[Seen]:
    """Look for a schedule stepped before the optimizer."""
    lines = case.events.get("schedule before optimizer", [])
    if lines or "before the optimizer's first step" in str(case.error or ""):
        yield Seen(
            "scheduler.step() came before the first optimizer.step()",
            "optimizer.step(), then scheduler.step()",
            line=lines[0] if lines else "",
        )
