"""Averaged stochastic gradient descent over all parameters at once: for each element, at step t

    g = -g if maximize;  g = g + weight_decay p;  p = (1 - lambd eta) p - eta g
    a = a + mu (p - a);  mu = 1 / max(1, t - 1 - t0)
    eta = lr at the first step, afterwards lr / (1 + lambd lr t)^alpha with the last step's lr and t

Shapes: a row of the table is p, g, a, each (n,), and eta, one float64, 0 before the first step.
Source: Bottou, "Stochastic gradient descent tricks" (2012), after Xu, "Towards optimal one pass
large scale learning with averaged stochastic gradient descent" (2011).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import STATE, device_function, memory, stepped
from minigrad_kernels.optim.multi_tensor import (
    case,
    decayed,
    decayed_reference,
    numbers,
    prepare_decay,
    step,
)
from minigrad_kernels.simd.registers import address_array

Array = np.ndarray[Any, Any]

H = numbers("lr", "lambd", "alpha", "t0", "weight_decay", "maximize")


def asgd_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step all parameters of a table by ASGD, in float64."""
    etas = [memory(row[STATE + 1], 1, np.float64) for row in table]
    for eta, (arrays, h, t) in zip(
        etas, stepped(table[:, : STATE + 1], hyper, like, steps), strict=True
    ):
        p, g, a = arrays
        weight, grad = decayed_reference(p, g, h[H.lr], h[H.weight_decay], 0.0, h[H.maximize])
        if eta[0] == 0:
            eta[0] = h[H.lr]
        moved = weight * (1 - h[H.lambd] * eta[0]) - eta[0] * grad
        a[...] = a + (moved - a) / max(1.0, t - 1 - h[H.t0])
        p[...] = moved
        eta[0] = h[H.lr] / (1 + h[H.lambd] * h[H.lr] * t) ** h[H.alpha]


@device_function()
def asgd_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,), and move eta on."""
    prepare_decay(h[H.lr], h[H.weight_decay], 0.0, h[H.maximize], c)
    eta = address_array(row[STATE + 1], 1, np.float64)
    now = h[H.lr] if eta[0] == 0.0 else eta[0]
    c[3] = 1.0 - h[H.lambd] * now
    c[4] = now
    c[5] = 1.0 / max(1.0, np.float64(t - 1) - h[H.t0])
    eta[0] = h[H.lr] / (1.0 + h[H.lambd] * h[H.lr] * np.float64(t)) ** h[H.alpha]


@device_function()
def asgd_rule(c: Any, p: float, g: float, a: float) -> tuple[float, float]:
    """Return parameter and average after a step."""
    p, g = decayed(c, p, g)
    p = c[3] * p - c[4] * g
    return p, a + c[5] * (p - a)


CASES = (
    case(lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6),
    case(lr=3e-2, lambd=0.2, alpha=0.5, t0=2.0, weight_decay=0.1, maximize=1.0),
)
ETA = {"eta": 0.0}
KERNELS = {
    "asgd_step": step(
        *("asgd", asgd_reference, asgd_prepare, asgd_rule, H, CASES, ("ax",), ETA), flops=9
    )
}
