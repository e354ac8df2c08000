"""Adamax over all parameters at once: t is counted up, then for each element

    g = -g if maximize;  g = g + weight_decay p
    m = beta1 m + (1 - beta1) g;  u = max(beta2 u, |g| + eps)
    p = p - lr / (1 - beta1^t) m / u

Shapes: a row of the table is p, g, m, u, each (n,).
Source: Kingma and Ba 2015, algorithm 2, with eps.
"""

from __future__ import annotations

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

H = numbers("lr", "beta1", "beta2", "eps", "weight_decay", "maximize")


def adamax_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step all parameters of a table by Adamax, in float64."""
    for (p, g, m, u), h, t in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h[H.lr], h[H.weight_decay], 0.0, h[H.maximize])
        first = h[H.beta1] * np.float64(m) + (1 - h[H.beta1]) * grad
        largest = np.maximum(h[H.beta2] * np.float64(u), np.abs(grad) + h[H.eps])
        m[...], u[...] = first, largest
        p[...] = weight - h[H.lr] / (1 - h[H.beta1] ** t) * first / largest


@device_function()
def adamax_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,) from a group's hyperparameters h, at step t."""
    prepare_decay(h[H.lr], h[H.weight_decay], 0.0, h[H.maximize], c)
    c[3] = 1.0 - h[H.beta1]
    c[4] = h[H.beta2]
    c[5] = h[H.eps]
    c[6] = h[H.lr] / (1.0 - h[H.beta1] ** np.float64(t))


@device_function()
def adamax_rule(c: Any, p: float, g: float, m: float, u: float) -> tuple[float, float, float]:
    """Return parameter, moment and largest gradient after a step."""
    p, g = decayed(c, p, g)
    m = m + c[3] * (g - m)
    u, size = c[4] * u, abs(g) + c[5]
    if not u >= size:  # a NaN stays one
        u = size
    return p - c[6] * m / u, m, u


CASES = (
    case(lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8),
    case(lr=1e-2, beta1=0.5, beta2=0.75, eps=1e-3, weight_decay=0.1, maximize=1.0),
)
STATES = ("exp_avg", "exp_inf")
KERNELS = {
    "adamax_step": step(
        *("adamax", adamax_reference, adamax_prepare, adamax_rule, H, CASES, STATES), flops=11
    )
}
