"""What L-BFGS is compared with PyTorch on: functions, options, and how many steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def rosenbrock(params: list[Any]) -> Any:
    (x,) = params
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def quadratic(params: list[Any]) -> Any:
    a, b = params
    return (a * a).sum() * 3.0 + ((a.sum() - b) ** 2).sum() + (b - 2.0).sum() ** 2


def bumpy(params: list[Any]) -> Any:
    (x,) = params
    return (x.sin() * 2.0 + x * x * 0.1).sum()


FUNCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "rosenbrock": rosenbrock,
    "quadratic": quadratic,
    "bumpy": bumpy,
}
STARTS: dict[str, list[Any]] = {
    "rosenbrock": [np.array([-1.2, 1.0, 0.7])],
    "quadratic": [np.array([[1.0, -2.0]]), np.array([0.5])],
    "bumpy": [np.array([3.0, -5.0, 0.1, 8.0])],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"lr": 0.01, "max_iter": 4},
    "wolfe": {"line_search_fn": "strong_wolfe", "max_iter": 6},
    "short": {"line_search_fn": "strong_wolfe", "history_size": 2, "max_eval": 7, "lr": 0.5},
    "tolerant": {"tolerance_grad": 1e-1, "tolerance_change": 1e-3, "lr": 0.1},
}
CASES = {
    f"{name}-{options}": (name, options)
    for name in FUNCTIONS
    for options in OPTIONS
    if (name, options) != ("rosenbrock", "tolerant")
}
STEPS = 4


def run(kit: Any, key: str, leaf: Callable[[Any], Any]) -> list[list[float]]:
    """Return loss and parameters after each step, minigrad's or PyTorch's."""
    name, options = CASES[key]
    params = [leaf(x) for x in STARTS[name]]
    optimizer = kit.optim.LBFGS(params, **OPTIONS[options])

    def closure() -> Any:
        optimizer.zero_grad()
        loss = FUNCTIONS[name](params)
        loss.backward()
        return loss

    rows = []
    for _ in range(STEPS):
        loss = optimizer.step(closure).item()
        rows.append([loss, *(v for p in params for v in p.detach().reshape(-1).tolist())])
    return rows
