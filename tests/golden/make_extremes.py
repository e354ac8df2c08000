"""Write extremes.npz: exact values and gradients of tests/ops/extreme_cases.py, from mpmath, and
where PyTorch has NaN or infinity: `python tests/golden/make_extremes.py`.

Needs torch and mpmath.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import torch

from tests.ops.extreme_cases import CALLS, evaluate, grid, kind

PATH = Path(__file__).with_name("extremes.npz")
mp.mp.dps = 60
ONE = mp.mpf(1)


FAR = 10**5  # beyond, what vanishes is below every float64


def sigmoid(x: Any) -> Any:
    return ONE / (1 + mp.exp(-x)) if abs(x) < FAR else ONE * (x > 0)


def softplus(x: Any) -> Any:
    return (mp.log1p(mp.exp(-abs(x))) if abs(x) < FAR else mp.mpf(0)) + max(x, 0)


def bent(x: Any) -> Any:
    return softplus(x) if x <= 20 else x


def exp(x: Any) -> Any:
    return mp.exp(x) if abs(x) < FAR else mp.inf if x > 0 else mp.mpf(0)


def phi(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2 if abs(x) < FAR else ONE * (x > 0)


def bell(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi) if abs(x) < FAR else mp.mpf(0)


def sign(x: Any) -> Any:
    return mp.sign(x)


C = mp.mpf("0.044715")
S = mp.sqrt(8 / mp.pi)


def tanh_form(x: Any) -> Any:
    return x * sigmoid(S * (x + C * x**3))


def tanh_slope(x: Any) -> Any:
    s = sigmoid(S * (x + C * x**3))
    less = sigmoid(-S * (x + C * x**3))
    return s + x * s * less * S * (1 + 3 * C * x * x)


# name: (value, derivative), of a finite number inside the domain
EXACT: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "exp": (exp, exp),
    "expm1": (lambda x: mp.expm1(x) if abs(x) < 1 else exp(x) - 1, exp),
    "log": (mp.log, lambda x: 1 / x),
    "log1p": (mp.log1p, lambda x: 1 / (1 + x)),
    "sqrt": (mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x))),
    "rsqrt": (lambda x: 1 / mp.sqrt(x), lambda x: -1 / (2 * x * mp.sqrt(x))),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / (x * x)),
    "square": (lambda x: x * x, lambda x: 2 * x),
    "cube": (lambda x: x**3, lambda x: 3 * x * x),
    "root": (mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x))),
    "abs": (abs, sign),
    "tanh": (
        lambda x: mp.tanh(x) if abs(x) < FAR else sign(x),
        lambda x: 4 * sigmoid(2 * x) * sigmoid(-2 * x),
    ),
    "sigmoid": (sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "erf": (
        lambda x: mp.erf(x) if abs(x) < FAR else sign(x),
        lambda x: 2 * mp.sqrt(2) * bell(x * mp.sqrt(2)),
    ),
    "relu": (lambda x: max(x, mp.mpf(0)), lambda x: ONE if x > 0 else mp.mpf(0)),
    "leaky_relu": (lambda x: x if x > 0 else x / 4, lambda x: ONE if x > 0 else ONE / 4),
    "elu": (
        lambda x: x if x > 0 else mp.expm1(x) if x > -1 else exp(x) - 1,
        lambda x: ONE if x > 0 else exp(x),
    ),
    "hardtanh": (lambda x: max(min(x, ONE), -ONE), lambda x: ONE if abs(x) < 1 else mp.mpf(0)),
    "softplus": (bent, lambda x: sigmoid(x) if x <= 20 else ONE),
    "silu": (lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x))),
    "gelu": (lambda x: x * phi(x), lambda x: phi(x) + x * bell(x)),
    "gelu_tanh": (tanh_form, tanh_slope),
    "logsigmoid": (lambda x: -softplus(-x), lambda x: sigmoid(-x)),
    "bce_0": (softplus, sigmoid),
    "bce_1": (lambda x: softplus(-x), lambda x: -sigmoid(-x)),
    "bce_half": (
        lambda x: (softplus(x) + softplus(-x)) / 2,
        lambda x: mp.tanh(x / 2) / 2 if abs(x) < FAR else sign(x) / 2,
    ),
    "bce_positive": (lambda x: 3 * softplus(-x), lambda x: -3 * sigmoid(-x)),
    "mse": (lambda x: x * x, lambda x: 2 * x),
    "l1": (abs, sign),
    "huber": (
        lambda x: x * x / 2 if abs(x) <= 1 else abs(x) - ONE / 2,
        lambda x: x if abs(x) <= 1 else sign(x),
    ),
    "smooth_l1": (
        lambda x: x * x / 2 if abs(x) < 1 else abs(x) - ONE / 2,
        lambda x: x if abs(x) < 1 else sign(x),
    ),
    "divided": (lambda x: mp.mpf(1e-20) / x, lambda x: -mp.mpf(1e-20) / (x * x)),
}


def exact(function: Callable[[Any], Any], x: float) -> float:
    """Return f(x), NaN outside its domain and at what is no number."""
    if not np.isfinite(x):
        return np.nan
    try:
        found = function(mp.mpf(x))
    except (ZeroDivisionError, ValueError):
        return np.nan
    return np.nan if isinstance(found, mp.mpc) else float(found)


def main() -> None:
    """Evaluate every function over both grids and save the arrays."""
    found: dict[str, Any] = {}
    for dtype in (np.float32, np.float64):
        x = grid(dtype)
        label = np.dtype(dtype).name
        for name in CALLS:
            for part, function in zip(("value", "slope"), EXACT[name], strict=True):
                found[f"{name}/{label}/{part}"] = np.array([exact(function, v) for v in x.tolist()])
            theirs = evaluate(torch, torch.nn.functional, name, x)
            found[f"{name}/{label}/kinds"] = np.stack([kind(part) for part in theirs])
    np.savez_compressed(PATH, **found)
    print(f"{len(found)} arrays by mpmath {mp.__version__} and torch {torch.__version__}")


if __name__ == "__main__":
    main()
