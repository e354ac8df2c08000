"""Adadelta over all parameters at once: for each element

    g = -g if maximize;  g = g + weight_decay p
    v = rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) g
    u = rho u + (1 - rho) d^2;  p = p - lr d

Shapes: a row of the table is p, g, v, u, each (n,).
Source: Zeiler 2012, algorithm 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import device_function, stepped
from minigrad_kernels.optim.multi_tensor import (
    case,
    decayed,
    decayed_reference,
    numbers,
    prepare_decay,
    step,
)

Array = np.ndarray[Any, Any]

H = numbers("lr", "rho", "eps", "weight_decay", "maximize")


def adadelta_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step all parameters of a table by Adadelta, in float64."""
    for (p, g, v, u), h, _ in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h[H.lr], h[H.weight_decay], 0.0, h[H.maximize])
        second = h[H.rho] * np.float64(v) + (1 - h[H.rho]) * grad**2
        update = np.sqrt(np.float64(u) + h[H.eps]) / np.sqrt(second + h[H.eps]) * grad
        u[...] = h[H.rho] * np.float64(u) + (1 - h[H.rho]) * update**2
        v[...] = second
        p[...] = weight - h[H.lr] * update


@device_function()
def adadelta_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,) from a group's hyperparameters h."""
    prepare_decay(h[H.lr], h[H.weight_decay], 0.0, h[H.maximize], c)
    c[3] = h[H.rho]
    c[4] = 1.0 - h[H.rho]
    c[5] = h[H.eps]
    c[6] = h[H.lr]


@device_function()
def adadelta_rule(c: Any, p: float, g: float, v: float, u: float) -> tuple[float, float, float]:
    """Return parameter and the two averages after a step."""
    p, g = decayed(c, p, g)
    v = c[3] * v + c[4] * g * g
    d = math.sqrt(u + c[5]) / math.sqrt(v + c[5]) * g
    u = c[3] * u + c[4] * d * d
    return p - c[6] * d, v, u


CASES = (
    case(lr=1.0, rho=0.9, eps=1e-6),
    case(lr=0.5, rho=0.5, eps=1e-2, weight_decay=0.1, maximize=1.0),
)
STATES = ("square_avg", "acc_delta")
KERNELS = {
    "adadelta_step": step(
        *("adadelta", adadelta_reference, adadelta_prepare, adadelta_rule, H, CASES, STATES),
        flops=14,
    )
}
