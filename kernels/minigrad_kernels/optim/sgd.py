"""Stochastic gradient descent over all parameters at once: t is counted up, then for each element

    g = -g if maximize;  g = g + weight_decay p
    b = momentum b + (1 - dampening) g, at the first step b = g
    p = p - lr b, with nesterov  p - lr (g + momentum b), without momentum  p - lr g

Shapes: a row of the table is p, g (sgd_momentum: and b), each (n,).
hyper: (groups, 6), the columns LR to MAXIMIZE.
Source: Sutskever et al. 2013, section 2, in PyTorch's form (lr outside of the velocity, the first
velocity undamped).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import callee, stepped
from minigrad_kernels.optim.multi_tensor import decayed, lift, prepare_decay, row_of

Array = np.ndarray[Any, Any]

LR, MOMENTUM, DAMPENING, WEIGHT_DECAY, NESTEROV, MAXIMIZE = range(6)


def sgd_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step every parameter in float64."""
    for (p, g, *velocity), h, t in stepped(table, hyper, like, steps):
        weight, grad = np.float64(p), np.float64(g)
        grad = -grad if h[MAXIMIZE] else grad
        if h[WEIGHT_DECAY]:
            grad = grad + h[WEIGHT_DECAY] * weight
        for b in velocity:
            new = grad if t == 1 else h[MOMENTUM] * np.float64(b) + (1 - h[DAMPENING]) * grad
            b[...] = new
            grad = grad + h[MOMENTUM] * new if h[NESTEROV] else new
        p[...] = weight - h[LR] * grad


@callee()
def sgd_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    prepare_decay(h[LR], h[WEIGHT_DECAY], 0.0, h[MAXIMIZE], c)
    c[3] = h[LR]
    c[4] = h[MOMENTUM] if t > 1 else 0.0
    c[5] = 1.0 - h[DAMPENING] if t > 1 else 1.0
    # The update is  c6 g + c7 b:  b alone, or with nesterov  g + momentum b.
    c[6] = 1.0 if h[NESTEROV] != 0.0 else 0.0
    c[7] = h[MOMENTUM] if h[NESTEROV] != 0.0 else 1.0


@callee()
def sgd_rule(c: Any, p: float, g: float) -> float:
    p, g = decayed(c, p, g)
    return p - c[3] * g


@callee()
def sgd_momentum_rule(c: Any, p: float, g: float, b: float) -> tuple[float, float]:
    p, g = decayed(c, p, g)
    b = c[4] * b + c[5] * g
    update = c[7] * b
    if c[6] != 0:
        update = update + g
    return p - c[3] * update, b


KERNELS = {
    "sgd_step": row_of(sgd_reference, lift(sgd_rule, sgd_prepare, 0, "sgd"), 3, 0),
    "sgd_momentum_step": row_of(
        sgd_reference, lift(sgd_momentum_rule, sgd_prepare, 1, "sgd_momentum"), 7, 1
    ),
}
