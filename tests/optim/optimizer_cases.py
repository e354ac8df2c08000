"""What the optimizers are compared on: options, parameters in two groups, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

STEPS = 12
RESUME_AFTER = 5  # the state is saved and loaded into a new optimizer after so many steps
SHAPES = ((3, 4), (5,), ())
NAMES = ("weight", "bias", "scale")
GROUPS = ((0,), (1, 2))  # which parameters stand in which group

# Options of the optimizer, and what the second group has instead.
CASES: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    "SGD": [
        ({"lr": 0.1}, {"lr": 0.03}),
        ({"lr": 0.1, "weight_decay": 0.1, "maximize": True}, {"weight_decay": 0.0}),
        ({"lr": 0.1, "momentum": 0.9}, {"momentum": 0.5}),
        ({"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}, {"momentum": 0.0}),
        ({"lr": 0.1, "momentum": 0.9, "nesterov": True}, {"weight_decay": 0.2}),
        ({"lr": 0.1, "momentum": 0.8, "nesterov": True, "maximize": True}, {"nesterov": False}),
    ],
    "Adam": [
        ({}, {"lr": 0.03}),
        ({"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3}, {"betas": (0.5, 0.6)}),
        ({"lr": 0.02, "weight_decay": 0.1, "maximize": True}, {"weight_decay": 0.0}),
        ({"lr": 0.02, "amsgrad": True}, {"eps": 1e-2}),
        ({"lr": 0.02, "amsgrad": True, "betas": (0.5, 0.6)}, {"amsgrad": False}),
        ({"lr": 0.02, "weight_decay": 0.2, "decoupled_weight_decay": True}, {"lr": 0.1}),
    ],
    "AdamW": [
        ({}, {"lr": 0.03}),
        ({"lr": 0.02, "weight_decay": 0.3}, {"weight_decay": 0.0}),
        ({"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "amsgrad": True}, {"lr": 0.1}),
        ({"lr": 0.02, "maximize": True}, {"betas": (0.0, 0.9)}),
    ],
    "RMSprop": [
        ({}, {"lr": 0.03}),
        ({"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}, {"alpha": 0.5}),
        ({"momentum": 0.9}, {"momentum": 0.5}),
        ({"centered": True}, {"lr": 0.1, "eps": 1e-2}),
        ({"centered": True, "momentum": 0.7, "weight_decay": 0.1}, {"centered": False}),
    ],
    "Adagrad": [
        ({}, {"lr": 0.03}),
        ({"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "maximize": True}, {"lr_decay": 0.0}),
        ({"initial_accumulator_value": 0.5, "eps": 1e-2}, {"lr": 0.1}),
    ],
    "Adadelta": [
        ({}, {"lr": 0.3}),
        ({"rho": 0.5, "eps": 1e-2, "weight_decay": 0.1, "maximize": True}, {"rho": 0.7}),
    ],
    "Adamax": [
        ({}, {"lr": 0.03}),
        ({"betas": (0.5, 0.6), "eps": 1e-2, "weight_decay": 0.1, "maximize": True}, {"lr": 0.1}),
    ],
    "Rprop": [
        ({}, {"lr": 0.03}),
        ({"etas": (0.3, 1.5), "step_sizes": (4e-3, 2e-2), "maximize": True}, {"lr": 0.1}),
    ],
    "ASGD": [
        ({}, {"lr": 0.03}),
        ({"lambd": 0.1, "alpha": 0.5, "t0": 2.0, "weight_decay": 0.1, "maximize": True}, {"t0": 0}),
    ],
    "Adafactor": [
        ({}, {"lr": 0.03}),
        ({"beta2_decay": -0.5, "eps": (1e-2, 1e-1), "d": 1.5}, {"weight_decay": 0.1}),
        ({"weight_decay": 0.1, "maximize": True}, {"d": 2.0}),
    ],
    "NAdam": [
        ({}, {"lr": 0.03}),
        ({"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "momentum_decay": 0.1}, {"lr": 0.1}),
        ({"weight_decay": 0.1, "maximize": True}, {"weight_decay": 0.0}),
        ({"weight_decay": 0.1, "decoupled_weight_decay": True}, {"momentum_decay": 0.0}),
    ],
    "RAdam": [
        ({}, {"lr": 0.03}),
        ({"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3}, {"betas": (0.5, 0.6)}),
        ({"betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}, {"weight_decay": 0.0}),
        ({"betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True}, {"lr": 0.1}),
    ],
}

KEYS = [f"{name}-{i}" for name, cases in CASES.items() for i in range(len(cases))]


def case(key: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the optimizer's name, its options and those of its second group."""
    name, number = key.split("-")
    return name, *CASES[name][int(number)]


def initial() -> list[Array]:
    """Return the parameters' first values."""
    return [np.cos(1.0 + i + np.arange(np.prod(s))).reshape(s) for i, s in enumerate(SHAPES)]


def gradients(step: int) -> list[Array | None]:
    """Return the gradients of a step; in turn, each parameter has none."""
    found: list[Array | None] = []
    for i, shape in enumerate(SHAPES):
        phase = 0.7 * step + 1.9 * i + 1.3 * np.arange(np.prod(shape))
        found.append(None if step % 4 == i + 1 else np.asarray(np.sin(phase).reshape(shape)))
    return found


def run(
    key: str,
    make: Callable[[list[dict[str, Any]], dict[str, Any]], Any],
    params: list[Any],
    set_grad: Callable[[Any, Array | None], None],
    read: Callable[[Any], Array],
    resume: Callable[[Any, list[dict[str, Any]], dict[str, Any]], Any] | None = None,
) -> Array:
    """Train with any framework; return all parameters after every step, (STEPS, numbers).

    resume: makes a second optimizer that goes on where the first one is.
    """
    _, options, second = case(key)
    groups = [
        {"params": [params[i] for i in GROUPS[0]]},
        {"params": [params[i] for i in GROUPS[1]], **second},
    ]
    optimizer = make(groups, options)
    rows = []
    for step in range(STEPS):
        if resume is not None and step == RESUME_AFTER:
            optimizer = resume(optimizer, groups, options)
        for p, g in zip(params, gradients(step), strict=True):
            set_grad(p, g)
        optimizer.step()
        rows.append(np.concatenate([read(p).reshape(-1) for p in params]))
    return np.stack(rows)
