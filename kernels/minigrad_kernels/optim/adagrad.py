"""Adagrad over all parameters at once: t is counted up, then for each element

    g = -g if maximize;  g = g + weight_decay p
    s = s + g^2;  p = p - lr / (1 + (t - 1) lr_decay)  g / (sqrt(s) + eps)

Shapes: a row of the table is p, g, s, each (n,).
Source: Duchi, Hazan and Singer 2011, figure 1, diagonal form.
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

H = numbers("lr", "lr_decay", "weight_decay", "maximize", "eps")


def adagrad_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step all parameters of a table by Adagrad, in float64."""
    for (p, g, s), h, t in stepped(table, hyper, like, steps):
        weight, grad = decayed_reference(p, g, h[H.lr], h[H.weight_decay], 0.0, h[H.maximize])
        second = np.float64(s) + grad**2
        s[...] = second
        p[...] = weight - h[H.lr] / (1 + (t - 1) * h[H.lr_decay]) * grad / (
            np.sqrt(second) + h[H.eps]
        )


@device_function()
def adagrad_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,) from a group's hyperparameters h, at step t."""
    prepare_decay(h[H.lr], h[H.weight_decay], 0.0, h[H.maximize], c)
    c[3] = h[H.lr] / (1.0 + np.float64(t - 1) * h[H.lr_decay])
    c[4] = h[H.eps]


@device_function()
def adagrad_rule(c: Any, p: float, g: float, s: float) -> tuple[float, float]:
    """Return parameter and sum of squares after a step."""
    p, g = decayed(c, p, g)
    s = s + g * g
    return p - c[3] * g / (math.sqrt(s) + c[4]), s


CASES = (
    case(lr=1e-2, eps=1e-10),
    case(lr=3e-2, eps=1e-3, lr_decay=0.2, weight_decay=0.1, maximize=1.0),
)
KERNELS = {
    "adagrad_step": step(
        "adagrad", adagrad_reference, adagrad_prepare, adagrad_rule, H, CASES, ("sum",), flops=7
    )
}
