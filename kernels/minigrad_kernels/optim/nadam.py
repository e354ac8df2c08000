"""NAdam over all parameters at once: t is counted up, then for each element

    g = -g if maximize;  g = g + weight_decay p, or where decoupled  p = (1 - lr weight_decay) p
    m = m + (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2
    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2);  q = q mu_t
    u = (1 - mu_t) / (1 - q) g + mu_(t+1) / (1 - q mu_(t+1)) m
    p = p - lr u / (sqrt(v / (1 - beta2^t)) + eps)

Shapes: a row of the table is p, g, m, v, each (n,); its last address leads to q: (1,) float64.
Source: Dozat 2016, Algorithm 2, with the momentum schedule of its section 3.1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import STATE, device_function, memory, stepped
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
from minigrad_kernels.simd.registers import address_array

Array = np.ndarray[Any, Any]

H = numbers(
    *("lr", "beta1", "beta2", "eps", "weight_decay", "momentum_decay"),
    *("decoupled_weight_decay", "maximize"),
)


def nadam_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step all parameters of a table by NAdam, in float64."""
    products = [memory(row[STATE + 2], 1, np.float64) for row in table]
    for q, (arrays, h, t) in zip(
        products, stepped(table[:, : STATE + 2], hyper, like, steps), strict=True
    ):
        p, g, m, v = arrays
        weight, grad = decayed_reference(
            p, g, h[H.lr], h[H.weight_decay], h[H.decoupled_weight_decay], h[H.maximize]
        )
        first, second = moments_reference(m, v, grad, h[H.beta1], h[H.beta2])
        mu = h[H.beta1] * (1 - 0.5 * 0.96 ** (t * h[H.momentum_decay]))
        mu_next = h[H.beta1] * (1 - 0.5 * 0.96 ** ((t + 1) * h[H.momentum_decay]))
        q[0] *= mu
        update = (1 - mu) * grad / (1 - q[0]) + mu_next * first / (1 - q[0] * mu_next)
        p[...] = weight - h[H.lr] * update / (np.sqrt(second / (1 - h[H.beta2] ** t)) + h[H.eps])


@device_function()
def nadam_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,), and move the product of momenta on."""
    prepare_decay(h[H.lr], h[H.weight_decay], h[H.decoupled_weight_decay], h[H.maximize], c)
    prepare_moments(h[H.beta1], h[H.beta2], c)
    product = address_array(row[STATE + 2], 1, np.float64)
    mu = h[H.beta1] * (1.0 - 0.5 * 0.96 ** (np.float64(t) * h[H.momentum_decay]))
    mu_next = h[H.beta1] * (1.0 - 0.5 * 0.96 ** (np.float64(t + 1) * h[H.momentum_decay]))
    product[0] *= mu
    c[6] = h[H.lr] * (1.0 - mu) / (1.0 - product[0])
    c[7] = h[H.lr] * mu_next / (1.0 - product[0] * mu_next)
    c[8] = 1.0 / math.sqrt(1.0 - h[H.beta2] ** np.float64(t))
    c[9] = h[H.eps]


@device_function()
def nadam_rule(c: Any, p: float, g: float, m: float, v: float) -> tuple[float, float, float]:
    """Return parameter and moments after a step."""
    p, g = decayed(c, p, g)
    m = m + c[3] * (g - m)
    v = c[4] * v + c[5] * g * g
    return p - (c[6] * g + c[7] * m) / (math.sqrt(v) * c[8] + c[9]), m, v


CASES = (
    case(lr=2e-3, eps=1e-8, beta1=0.9, beta2=0.999, momentum_decay=4e-3),
    case(
        lr=1e-2, eps=1e-3, beta1=0.8, beta2=0.9, momentum_decay=1e-1, weight_decay=0.1, maximize=1.0
    ),
    case(lr=1e-2, eps=1e-3, beta1=0.95, beta2=0.8, weight_decay=0.1, decoupled_weight_decay=1.0),
)
STATES = ("exp_avg", "exp_avg_sq")
PRODUCT = {"mu_product": 1.0}  # q
KERNELS = {
    "nadam_step": step(
        "nadam", nadam_reference, nadam_prepare, nadam_rule, H, CASES, STATES, PRODUCT, flops=16
    )
}
