"""Adam and AdamW over all parameters at once: t is counted up, then for each element

    g = -g if maximize;  g = g + weight_decay p, or where decoupled  p = (1 - lr weight_decay) p
    m = m + (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2;  x = v, or in amsgrad max(x, v)
    p = p - lr / (1 - beta1^t)  m / (sqrt(x) / sqrt(1 - beta2^t) + eps)

Shapes: a row of the table is p, g, m, v (amsgrad: and x), each (n,).
Source: Kingma and Ba 2015, Algorithm 1; Loshchilov and Hutter 2019, Algorithm 2; Reddi et al. 2018
(amsgrad, with PyTorch's bias correction of the maximum).
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


def adam_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step every parameter in float64."""
    for (p, g, m, v, *largest), h, t in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(
            p, g, h[H.lr], h[H.weight_decay], h[H.decoupled_weight_decay], h[H.maximize]
        )
        first, second = moments_reference(m, v, grad, h[H.beta1], h[H.beta2])
        if largest:
            second = np.maximum(np.float64(largest[0]), second)
            largest[0][...] = second
        first = first / (1 - h[H.beta1] ** t)
        second = second / (1 - h[H.beta2] ** t)
        p[...] = weight - h[H.lr] * first / (np.sqrt(second) + h[H.eps])


@device_function()
def adam_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,) from a group's hyperparameters h, at step t."""
    prepare_decay(h[H.lr], h[H.weight_decay], h[H.decoupled_weight_decay], h[H.maximize], c)
    prepare_moments(h[H.beta1], h[H.beta2], c)
    c[6] = h[H.lr] / (1.0 - h[H.beta1] ** np.float64(t))
    c[7] = 1.0 / math.sqrt(1.0 - h[H.beta2] ** np.float64(t))
    c[8] = h[H.eps]


@device_function()
def adam_rule(c: Any, p: float, g: float, m: float, v: float) -> tuple[float, float, float]:
    """Return parameter and moments after a step."""
    p, g = decayed(c, p, g)
    m = m + c[3] * (g - m)
    v = c[4] * v + c[5] * g * g
    return p - c[6] * m / (math.sqrt(v) * c[7] + c[8]), m, v


@device_function()
def amsgrad_rule(
    c: Any, p: float, g: float, m: float, v: float, x: float
) -> tuple[float, float, float, float]:
    """Return parameter, moments and largest second moment after a step."""
    p, g = decayed(c, p, g)
    m = m + c[3] * (g - m)
    v = c[4] * v + c[5] * g * g
    x = x if x >= v else v
    return p - c[6] * m / (math.sqrt(x) * c[7] + c[8]), m, v, x


CASES = (
    case(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01, decoupled_weight_decay=1.0),
    case(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8),
    case(lr=1e-2, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.1, maximize=1.0),
    case(lr=3e-2, beta1=0.95, beta2=0.9, eps=1e-3, weight_decay=0.05, decoupled_weight_decay=1.0),
)
STATES = ("exp_avg", "exp_avg_sq")
LARGEST = (*STATES, "max_exp_avg_sq")
KERNELS = {
    "adam_step": step("adam", adam_reference, adam_prepare, adam_rule, H, CASES, STATES, flops=14),
    "amsgrad_step": step(
        "amsgrad", adam_reference, adam_prepare, amsgrad_rule, H, CASES, LARGEST, flops=15
    ),
}
