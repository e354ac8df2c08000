"""Stochastic gradient descent over all parameters at once: t is counted up, then for each element

    g = -g if maximize;  g = g + weight_decay p
    b = momentum b + (1 - dampening) g, at the first step b = g
    p = p - lr b, with nesterov  p - lr (g + momentum b), without momentum  p - lr g

Shapes: a row of the table is p, g (sgd_momentum: and b), each (n,).
Source: Sutskever et al. 2013, section 2, in PyTorch's form (lr outside of the velocity, the first
velocity undamped).
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

H = numbers("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")


def sgd_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step every parameter in float64."""
    for (p, g, *velocity), h, t in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h[H.lr], h[H.weight_decay], 0.0, h[H.maximize])
        for b in velocity:
            new = grad if t == 1 else h[H.momentum] * np.float64(b) + (1 - h[H.dampening]) * grad
            b[...] = new
            grad = grad + h[H.momentum] * new if h[H.nesterov] else new
        p[...] = weight - h[H.lr] * grad


@device_function()
def sgd_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,) from a group's hyperparameters h, at step t."""
    prepare_decay(h[H.lr], h[H.weight_decay], 0.0, h[H.maximize], c)
    c[3] = h[H.lr]
    c[4] = h[H.momentum] if t > 1 else 0.0
    c[5] = 1.0 - h[H.dampening] if t > 1 else 1.0
    # The update is  c6 g + c7 b:  b alone, or with nesterov  g + momentum b.
    c[6] = 1.0 if h[H.nesterov] != 0.0 else 0.0
    c[7] = h[H.momentum] if h[H.nesterov] != 0.0 else 1.0


@device_function()
def sgd_rule(c: Any, p: float, g: float) -> float:
    """Return the parameter after a step without momentum."""
    p, g = decayed(c, p, g)
    return p - c[3] * g


@device_function()
def sgd_momentum_rule(c: Any, p: float, g: float, b: float) -> tuple[float, float]:
    """Return parameter and momentum buffer after a step."""
    p, g = decayed(c, p, g)
    b = c[4] * b + c[5] * g
    update = c[7] * b
    if c[6] != 0:
        update = update + g
    return p - c[3] * update, b


CASES = (
    case(lr=1e-2, momentum=0.9),
    case(lr=1e-1, momentum=0.5, dampening=0.3, weight_decay=0.1, maximize=1.0),
    case(lr=3e-2, momentum=0.8, weight_decay=0.05, nesterov=1.0),
)
PLAIN = (case(lr=1e-2), case(lr=1e-1, weight_decay=0.1, maximize=1.0))
STATES = ("momentum_buffer",)
KERNELS = {
    "sgd_step": step("sgd", sgd_reference, sgd_prepare, sgd_rule, H, PLAIN, flops=3),
    "sgd_momentum_step": step(
        "sgd_momentum", sgd_reference, sgd_prepare, sgd_momentum_rule, H, CASES, STATES, flops=7
    ),
}
