"""RMSprop over all parameters at once: t is counted up, then for each element

    g = -g if maximize;  g = g + weight_decay p
    v = alpha v + (1 - alpha) g^2;  s = sqrt(v)
    centered  a = a + (1 - alpha)(g - a);  s = sqrt(v - a^2)
    u = g / (s + eps);  momentum  b = momentum b + u;  u = b;  p = p - lr u

Shapes: a row of the table is p, g, v (centered: and a; momentum: and b), each (n,).
Source: Tieleman and Hinton 2012, lecture 6.5; Graves 2013, eq. 38 (centered; eps outside of the
root as in PyTorch).
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

H = numbers("lr", "weight_decay", "maximize", "eps", "alpha", "momentum", "centered")


def rmsprop_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step all parameters of a table by RMSprop, in float64."""
    for (p, g, v, *rest), h, _ in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h[H.lr], h[H.weight_decay], 0.0, h[H.maximize])
        second = h[H.alpha] * np.float64(v) + (1 - h[H.alpha]) * grad**2
        v[...] = second
        if h[H.centered]:
            mean = h[H.alpha] * np.float64(rest[0]) + (1 - h[H.alpha]) * grad
            rest[0][...] = mean
            second = second - mean**2
        update = grad / (np.sqrt(second) + h[H.eps])
        if h[H.momentum]:
            update = h[H.momentum] * np.float64(rest[-1]) + update
            rest[-1][...] = update
        p[...] = weight - h[H.lr] * update


@device_function()
def rmsprop_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,) from a group's hyperparameters h, at step t."""
    prepare_decay(h[H.lr], h[H.weight_decay], 0.0, h[H.maximize], c)
    c[3] = h[H.alpha]
    c[4] = 1.0 - h[H.alpha]
    c[5] = h[H.eps]
    c[6] = h[H.momentum]
    c[7] = h[H.lr]


@device_function()
def rmsprop_rule(c: Any, p: float, g: float, v: float) -> tuple[float, float]:
    """Return parameter and second moment after a step."""
    p, g = decayed(c, p, g)
    v = c[3] * v + c[4] * g * g
    return p - c[7] * g / (math.sqrt(v) + c[5]), v


@device_function()
def rmsprop_momentum_rule(
    c: Any, p: float, g: float, v: float, b: float
) -> tuple[float, float, float]:
    """Return parameter, second moment and momentum buffer after a step."""
    p, g = decayed(c, p, g)
    v = c[3] * v + c[4] * g * g
    b = c[6] * b + g / (math.sqrt(v) + c[5])
    return p - c[7] * b, v, b


@device_function()
def rmsprop_centered_rule(
    c: Any, p: float, g: float, v: float, a: float
) -> tuple[float, float, float]:
    """Return parameter, second moment and mean gradient after a step."""
    p, g = decayed(c, p, g)
    v = c[3] * v + c[4] * g * g
    a = a + c[4] * (g - a)
    return p - c[7] * g / (math.sqrt(v - a * a) + c[5]), v, a


@device_function()
def rmsprop_centered_momentum_rule(
    c: Any, p: float, g: float, v: float, a: float, b: float
) -> tuple[float, float, float, float]:
    """Return parameter, second moment, mean gradient and momentum buffer after a step."""
    p, g = decayed(c, p, g)
    v = c[3] * v + c[4] * g * g
    a = a + c[4] * (g - a)
    b = c[6] * b + g / (math.sqrt(v - a * a) + c[5])
    return p - c[7] * b, v, a, b


CASES = (
    case(lr=1e-2, eps=1e-8, alpha=0.99),
    case(lr=3e-2, eps=1e-3, alpha=0.9, weight_decay=0.1, maximize=1.0),
)


def rmsprop_step(name: str, rule: Any, *more: str, flops: int, **switched: float) -> Any:
    """Return the row of one of the rules; switched: numbers that all of its cases have."""
    cases = tuple({**values, **switched} for values in CASES)
    states = ("square_avg", *more)
    return step(name, rmsprop_reference, rmsprop_prepare, rule, H, cases, states, flops=flops)


MEAN, VELOCITY = "grad_avg", "momentum_buffer"
KERNELS = {
    "rmsprop_step": rmsprop_step("rmsprop", rmsprop_rule, flops=9),
    "rmsprop_momentum_step": rmsprop_step(
        "rmsprop_momentum", rmsprop_momentum_rule, VELOCITY, flops=11, momentum=0.9
    ),
    "rmsprop_centered_step": rmsprop_step(
        "rmsprop_centered", rmsprop_centered_rule, MEAN, flops=14, centered=1.0
    ),
    "rmsprop_centered_momentum_step": rmsprop_step(
        "rmsprop_centered_momentum",
        rmsprop_centered_momentum_rule,
        MEAN,
        VELOCITY,
        flops=16,
        centered=1.0,
        momentum=0.9,
    ),
}
