"""Lion over all parameters at once: for each element

    g = -g if maximize;  p = (1 - lr weight_decay) p
    p = p - lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g

Shapes: a row of the table is p, g, m, each (n,).
Source: Chen et al., "Symbolic discovery of optimization algorithms" (NeurIPS 2023), program 1.
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

H = numbers("lr", "beta1", "beta2", "weight_decay", "maximize")


def lion_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step all parameters of a table by Lion, in float64."""
    for (p, g, m), h, _ in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h[H.lr], h[H.weight_decay], 1.0, h[H.maximize])
        kept = np.float64(m)
        p[...] = weight - h[H.lr] * np.sign(h[H.beta1] * kept + (1 - h[H.beta1]) * grad)
        m[...] = h[H.beta2] * kept + (1 - h[H.beta2]) * grad


@device_function()
def lion_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,) from a group's hyperparameters h."""
    prepare_decay(h[H.lr], h[H.weight_decay], 1.0, h[H.maximize], c)
    c[3] = h[H.beta1]
    c[4] = 1.0 - h[H.beta1]
    c[5] = h[H.beta2]
    c[6] = 1.0 - h[H.beta2]
    c[7] = h[H.lr]


@device_function()
def lion_rule(c: Any, p: float, g: float, m: float) -> tuple[float, float]:
    """Return parameter and momentum after a step."""
    p, g = decayed(c, p, g)
    u = c[3] * m + c[4] * g
    if u > 0:
        p = p - c[7]
    elif u < 0:
        p = p + c[7]
    return p, c[5] * m + c[6] * g


CASES = (
    case(lr=1e-2, beta1=0.9, beta2=0.99),
    case(lr=3e-2, beta1=0.5, beta2=0.75, weight_decay=0.1, maximize=1.0),
)
KERNELS = {
    "lion_step": step(
        "lion", lion_reference, lion_prepare, lion_rule, H, CASES, ("exp_avg",), flops=9
    )
}
