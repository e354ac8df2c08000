"""What the schedulers are compared on; builders that work for minigrad and for PyTorch alike."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Build = Callable[[Any, Any], Any]

STEPS = 24
RATES = (0.1, 0.3)  # lr of the two groups


def power(base: float) -> Callable[[float], float]:
    """Return x -> base^x."""
    return lambda x: base**x


# (module with the schedulers, optimizer) -> scheduler
CASES: dict[str, Build] = {
    "StepLR": lambda m, o: m.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [5, 2, 5, 9], 0.5),
    "ConstantLR": lambda m, o: m.ConstantLR(o, 0.3, 4),
    "LinearLR": lambda m, o: m.LinearLR(o, 0.2, 0.7, 6),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o, 8, 2.0),
    "LambdaLR": lambda m, o: m.LambdaLR(o, [power(0.9), lambda e: 1 / (1 + e)]),
    "MultiplicativeLR": lambda m, o: m.MultiplicativeLR(o, lambda e: 0.9 + 0.01 * e),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, 7, 0.01),
    "CosineAnnealingWarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "CosineAnnealingWarmRestarts.equal": lambda m, o: m.CosineAnnealingWarmRestarts(o, 5),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, [0.5, 0.3], total_steps=25),
    "OneCycleLR.linear": lambda m, o: m.OneCycleLR(
        o, 0.5, epochs=6, steps_per_epoch=5, anneal_strategy="linear", pct_start=0.4
    ),
    "OneCycleLR.three": lambda m, o: m.OneCycleLR(
        o, 0.5, total_steps=25, three_phase=True, div_factor=10.0, final_div_factor=100.0
    ),
    "OneCycleLR.no_rise": lambda m, o: m.OneCycleLR(
        o, 0.5, total_steps=30, pct_start=0.0, cycle_momentum=False
    ),
    "CyclicLR": lambda m, o: m.CyclicLR(o, 0.01, [0.1, 0.2], 4, 6),
    "CyclicLR.triangular2": lambda m, o: m.CyclicLR(o, [0.01, 0.02], 0.1, 4, mode="triangular2"),
    "CyclicLR.exp_range": lambda m, o: m.CyclicLR(o, 0.01, 0.1, 4, mode="exp_range", gamma=0.95),
    "CyclicLR.scale": lambda m, o: m.CyclicLR(
        o, 0.01, 0.1, 4, scale_fn=power(0.9), scale_mode="iterations", cycle_momentum=False
    ),
    "SequentialLR": lambda m, o: m.SequentialLR(
        o,
        [m.LinearLR(o, 0.1, total_iters=4), m.CosineAnnealingLR(o, 10), m.ExponentialLR(o, 0.8)],
        [4, 15],
    ),
    "SequentialLR.at_zero": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=4), m.StepLR(o, 2, 0.8)], [0]
    ),
    "SequentialLR.no_closed_form": lambda m, o: m.SequentialLR(
        o,
        [
            m.ExponentialLR(o, 0.9),
            m.MultiplicativeLR(o, lambda e: 0.95),
            m.CosineAnnealingWarmRestarts(o, 3),
        ],
        [4, 9],
    ),
    "SequentialLR.cycles": lambda m, o: m.SequentialLR(
        o, [m.CyclicLR(o, 0.01, 0.1, 3), m.OneCycleLR(o, 0.5, total_steps=20)], [8]
    ),
    "SequentialLR.closed_forms": lambda m, o: m.SequentialLR(
        o,
        [
            m.PolynomialLR(o, 9),
            m.ConstantLR(o, 0.5, 2),
            m.MultiStepLR(o, [1, 2], 0.5),
            m.PolynomialLR(o, 5, 0.5),
            m.LinearLR(o, 0.5, total_iters=3),
            m.LambdaLR(o, power(0.8)),
        ],
        [3, 7, 11, 15, 20],
    ),
    "SequentialLR.of_chained": lambda m, o: m.SequentialLR(
        o,
        [m.ChainedScheduler([m.ConstantLR(o, 0.5, 2), m.ExponentialLR(o, 0.9)]), m.StepLR(o, 2)],
        [6],
    ),
    "SequentialLR.of_sequential": lambda m, o: m.SequentialLR(
        o,
        [
            m.SequentialLR(o, [m.ConstantLR(o, 0.5, 2), m.ExponentialLR(o, 0.9)], [3]),
            m.StepLR(o, 2, 0.5),
        ],
        [8],
    ),
    "ChainedScheduler": lambda m, o: m.ChainedScheduler(
        [m.ConstantLR(o, 0.5, 4), m.ExponentialLR(o, 0.9), m.StepLR(o, 4, 0.5)]
    ),
    "ChainedScheduler.cosine": lambda m, o: m.ChainedScheduler(
        [m.CosineAnnealingLR(o, 10), m.LinearLR(o, 0.5, total_iters=3)]
    ),
}

SOME = (3.0, 2.0, 2.0, 2.5, 2.0, 1.9999, 1.9, math.nan, 1.9, 1.9, 1.95, 1.9, 1.9, 1.0, 1.0, 1.0)
METRICS = (*SOME, 1.0, 0.9, math.nan, math.nan, math.nan, math.nan, 0.9, 0.8)
PLATEAUS: dict[str, tuple[dict[str, Any], Any]] = {
    "ReduceLROnPlateau": ({"patience": 2}, METRICS),
    "ReduceLROnPlateau.every": ({"patience": 0, "factor": 0.5}, METRICS),
    "ReduceLROnPlateau.cooldown": ({"patience": 1, "cooldown": 3, "factor": 0.5}, METRICS),
    "ReduceLROnPlateau.floor": (
        {"patience": 0, "factor": 0.5, "min_lr": [0.02, 0.01], "cooldown": 1},
        METRICS,
    ),
    "ReduceLROnPlateau.eps": ({"patience": 1, "factor": 0.5, "eps": 0.02, "cooldown": 1}, METRICS),
    "ReduceLROnPlateau.max": (
        {"mode": "max", "patience": 2, "factor": 0.3, "threshold": 0.1},
        [10 - x for x in METRICS],
    ),
    "ReduceLROnPlateau.abs": (
        {"threshold_mode": "abs", "threshold": 0.3, "patience": 1, "factor": 0.5},
        [x - 5 for x in METRICS],
    ),
    "ReduceLROnPlateau.max_abs": (
        {"mode": "max", "threshold_mode": "abs", "threshold": 0.05, "patience": 1, "factor": 0.5},
        [-x for x in METRICS],
    ),
}

KEYS = [*CASES, *PLATEAUS]
CYCLES_BETAS = ("OneCycleLR", "CyclicLR")  # run again with AdamW


def optimizer_of(key: str) -> str:
    """Return the name of the optimizer that a case is run with: two have their own for beta1."""
    return "AdamW" if key.endswith("@AdamW") else "SGD"


ALL_KEYS = [*KEYS, *(f"{key}@AdamW" for key in CYCLES_BETAS)]


def snapshot(optimizer: Any) -> list[list[float]]:
    """Return lr, momentum and beta1 of every group."""
    groups = optimizer.param_groups
    return [[g["lr"], g.get("momentum", 0.0), g.get("betas", (0.0,))[0]] for g in groups]


def build(key: str, modules: Any, optimizer: Any) -> Any:
    """Return the scheduler of a case."""
    name = key.removesuffix("@AdamW")
    if name in PLATEAUS:
        return modules.ReduceLROnPlateau(optimizer, **PLATEAUS[name][0])
    return CASES[name](modules, optimizer)


def run(
    key: str,
    optimizer: Any,
    modules: Any,
    by_hand: bool = False,
    between: Callable[[int, Any], Any] = lambda step, scheduler: scheduler,
) -> Array:
    """Step a case with any framework; return lr, momentum and beta1, (STEPS + 1, groups, 3).

    by_hand: lr is changed between steps.  between: may replace the scheduler before a step.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = build(key, modules, optimizer)
        rows = [snapshot(optimizer)]
        for step in range(STEPS):
            scheduler = between(step, scheduler)
            optimizer.step()
            if key in PLATEAUS:
                scheduler.step(PLATEAUS[key][1][step])
            else:
                scheduler.step()
            if by_hand and step in (3, 11):
                optimizer.param_groups[0]["lr"] *= 0.5
                optimizer.param_groups[1]["lr"] = 0.07
            rows.append(snapshot(optimizer))
    return np.array(rows)


# Where step(epoch) goes, forwards and back, before some plain steps.
WHOLE = (0, 1, 5, 2, 9, 9, 14, 3)
FRACTIONS = (0.0, 0.25, 1.5, 2.75, 3.0, 8.99, 9.0, 20.5, 0.5)
JUMPS = {
    key: FRACTIONS if "Restarts" in key else WHOLE
    for key in CASES
    if not key.startswith(("Sequential", "Chained", "Multiplicative"))
}


def jump(key: str, optimizer: Any, modules: Any) -> Array:
    """Step a case to the epochs of JUMPS, then by one; return lr and momentum after each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's: the argument is deprecated
        scheduler = build(key, modules, optimizer)
        optimizer.step()
        rows = []
        for epoch in (*JUMPS[key], None, None, None):
            scheduler.step(*(() if epoch is None else (epoch,)))
            rows.append(snapshot(optimizer))
    return np.array(rows)
