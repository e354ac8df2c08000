"""RAdam over all parameters at once: t is counted up, then for each element

    g = -g if maximize;  g = g + weight_decay p, or where decoupled  p = (1 - lr weight_decay) p
    m = m + (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2
    r_inf = 2 / (1 - beta2) - 1;  r = r_inf - 2 t beta2^t / (1 - beta2^t)
    u = 1, or for r > 5
    u = sqrt((1 - beta2^t)(r - 4)(r - 2) r_inf / ((r_inf - 4)(r_inf - 2) r)) / (sqrt(v) + eps)
    p = p - lr / (1 - beta1^t) m u

Shapes: a row of the table is p, g, m, v, each (n,).
Source: Liu et al. 2020, Algorithm 2; eps and the bound 5 are PyTorch's.
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
    moments_reference,
    numbers,
    prepare_decay,
    prepare_moments,
    step,
)

Array = np.ndarray[Any, Any]

H = numbers("lr", "beta1", "beta2", "eps", "weight_decay", "decoupled_weight_decay", "maximize")


def radam_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step all parameters of a table by RAdam, in float64."""
    for (p, g, m, v), h, t in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(
            p, g, h[H.lr], h[H.weight_decay], h[H.decoupled_weight_decay], h[H.maximize]
        )
        first, second = moments_reference(m, v, grad, h[H.beta1], h[H.beta2])
        correction = 1 - h[H.beta2] ** t
        limit = 2 / (1 - h[H.beta2]) - 1
        r = limit - 2 * t * h[H.beta2] ** t / correction
        update = first / (1 - h[H.beta1] ** t)
        if r > 5:
            rectified = (r - 4) * (r - 2) * limit / ((limit - 4) * (limit - 2) * r)
            update = update * np.sqrt(rectified * correction) / (np.sqrt(second) + h[H.eps])
        p[...] = weight - h[H.lr] * update


@device_function()
def radam_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,), with a variance once it can be trusted."""
    prepare_decay(h[H.lr], h[H.weight_decay], h[H.decoupled_weight_decay], h[H.maximize], c)
    prepare_moments(h[H.beta1], h[H.beta2], c)
    decay = h[H.beta2] ** np.float64(t)
    limit = 2.0 / (1.0 - h[H.beta2]) - 1.0
    r = limit - 2.0 * np.float64(t) * decay / (1.0 - decay)
    c[6] = h[H.lr] / (1.0 - h[H.beta1] ** np.float64(t))
    c[7] = 0.0  # too few steps for the variance to be trusted
    if r > 5.0:
        rectified = (r - 4.0) * (r - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * r)
        c[7] = c[6] * math.sqrt(rectified * (1.0 - decay))
    c[8] = h[H.eps]


@device_function()
def radam_rule(c: Any, p: float, g: float, m: float, v: float) -> tuple[float, float, float]:
    """Return parameter and moments after a step."""
    p, g = decayed(c, p, g)
    m = m + c[3] * (g - m)
    v = c[4] * v + c[5] * g * g
    if c[7] != 0:
        update = c[7] * m / (math.sqrt(v) + c[8])
    else:
        update = c[6] * m
    return p - update, m, v


CASES = (
    case(lr=2e-3, eps=1e-8, beta1=0.9, beta2=0.999),
    case(lr=1e-2, eps=1e-3, beta1=0.8, beta2=0.9, weight_decay=0.1, maximize=1.0),
    case(lr=1e-2, eps=1e-3, beta1=0.95, beta2=0.8, weight_decay=0.1, decoupled_weight_decay=1.0),
)
STATES = ("exp_avg", "exp_avg_sq")
KERNELS = {
    "radam_step": step(
        "radam", radam_reference, radam_prepare, radam_rule, H, CASES, STATES, flops=14
    )
}
