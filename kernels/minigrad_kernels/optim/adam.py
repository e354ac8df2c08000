"""Adam and AdamW over all parameters at once: t is counted up, then for each element

    g = -g if maximize;  g = g + weight_decay p, or where decoupled  p = (1 - lr weight_decay) p
    m = m + (1 - beta1)(g - m);  v = beta2 v + (1 - beta2) g^2;  x = v, or in amsgrad max(x, v)
    p = p - lr / (1 - beta1^t)  m / (sqrt(x) / sqrt(1 - beta2^t) + eps)

Shapes: a row of the table is p, g, m, v (amsgrad: and x), each (n,).
hyper: (groups, 7), the columns LR to MAXIMIZE.
Source: Kingma and Ba 2015, Algorithm 1; Loshchilov and Hutter 2019, Algorithm 2; Reddi et al. 2018
(amsgrad, with PyTorch's bias correction of the maximum).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import callee, stepped
from minigrad_kernels.optim.multi_tensor import decayed, lift, prepare_decay, row_of

Array = np.ndarray[Any, Any]

LR, BETA1, BETA2, EPS, WEIGHT_DECAY, DECOUPLED, MAXIMIZE = range(7)


def adam_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step every parameter in float64."""
    for (p, g, m, v, *largest), h, t in stepped(table, hyper, like, steps):
        weight, grad = np.float64(p), np.float64(g)
        grad = -grad if h[MAXIMIZE] else grad
        if h[DECOUPLED]:
            weight = weight * (1 - h[LR] * h[WEIGHT_DECAY])
        elif h[WEIGHT_DECAY]:
            grad = grad + h[WEIGHT_DECAY] * weight
        first = h[BETA1] * np.float64(m) + (1 - h[BETA1]) * grad
        second = h[BETA2] * np.float64(v) + (1 - h[BETA2]) * grad**2
        m[...] = first
        v[...] = second
        if largest:
            second = np.maximum(np.float64(largest[0]), second)
            largest[0][...] = second
        first = first / (1 - h[BETA1] ** t)
        second = second / (1 - h[BETA2] ** t)
        p[...] = weight - h[LR] * first / (np.sqrt(second) + h[EPS])


@callee()
def adam_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    prepare_decay(h[LR], h[WEIGHT_DECAY], h[DECOUPLED], h[MAXIMIZE], c)
    c[3] = 1.0 - h[BETA1]
    c[4] = h[BETA2]
    c[5] = 1.0 - h[BETA2]
    c[6] = h[LR] / (1.0 - h[BETA1] ** np.float64(t))
    c[7] = 1.0 / math.sqrt(1.0 - h[BETA2] ** np.float64(t))
    c[8] = h[EPS]


@callee()
def adam_rule(c: Any, p: float, g: float, m: float, v: float) -> tuple[float, float, float]:
    p, g = decayed(c, p, g)
    m = m + c[3] * (g - m)
    v = c[4] * v + c[5] * g * g
    return p - c[6] * m / (math.sqrt(v) * c[7] + c[8]), m, v


@callee()
def amsgrad_rule(
    c: Any, p: float, g: float, m: float, v: float, x: float
) -> tuple[float, float, float, float]:
    p, g = decayed(c, p, g)
    m = m + c[3] * (g - m)
    v = c[4] * v + c[5] * g * g
    x = x if x >= v else v
    return p - c[6] * m / (math.sqrt(x) * c[7] + c[8]), m, v, x


KERNELS = {
    "adam_step": row_of(adam_reference, lift(adam_rule, adam_prepare, 2, "adam"), 14, 2),
    "amsgrad_step": row_of(adam_reference, lift(amsgrad_rule, adam_prepare, 3, "amsgrad"), 15, 3),
}
