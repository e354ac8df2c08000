"""Rprop over all parameters at once: for each element, by the signs of this gradient and the last,

    g = -g if maximize
    s = s eta_plus where g last > 0, s eta_minus where g last < 0, within [step_min, step_max]
    g = 0 where g last < 0;  p = p - sign(g) s;  last = g

s is lr before the first step.
Shapes: a row of the table is p, g, last, s, each (n,).
Source: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning" (1993).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.jit.address_table import device_function, stepped
from minigrad_kernels.optim.multi_tensor import (
    case,
    numbers,
    step,
)

Array = np.ndarray[Any, Any]

H = numbers("lr", "eta_minus", "eta_plus", "step_min", "step_max", "maximize")


def rprop_reference(table: Array, hyper: Array, like: Array, steps: Array) -> None:
    """Step all parameters of a table by Rprop, in float64."""
    for (p, g, last, s), h, t in stepped(table, hyper, like, steps):
        grad = -np.float64(g) if h[H.maximize] else np.float64(g)
        product = grad * np.float64(last)
        factor = np.where(product > 0, h[H.eta_plus], np.where(product < 0, h[H.eta_minus], 1.0))
        begun: Any = h[H.lr] if t == 1 else np.float64(s)
        size = np.clip(begun * factor, h[H.step_min], h[H.step_max])
        kept = np.where(product < 0, 0.0, grad)
        p[...] = np.float64(p) - np.sign(kept) * size
        last[...], s[...] = kept, size


@device_function()
def rprop_prepare(row: Array, h: Array, t: int, c: Array) -> None:
    """Write the numbers of a step to c: (WIDTH,) from a group's hyperparameters h."""
    c[0] = -1.0 if h[H.maximize] != 0.0 else 1.0
    c[1] = h[H.eta_minus]
    c[2] = h[H.eta_plus]
    c[3] = h[H.step_min]
    c[4] = h[H.step_max]
    c[5] = 0.0  # of the tensors' dtype: g * 0 would be float64, and p be stored as that
    c[6] = h[H.lr] if t == 1 else 0.0


@device_function()
def rprop_rule(c: Any, p: float, g: float, last: float, s: float) -> tuple[float, float, float]:
    """Return parameter, gradient and size of the step after it."""
    g = c[0] * g
    if c[6] != c[5]:
        s = c[6]
    product = g * last
    if product > 0:
        s = s * c[2]
    elif product < 0:
        s = s * c[1]
        g = c[5]
    if s < c[3]:
        s = c[3]
    elif s > c[4]:
        s = c[4]
    if g > 0:
        p = p - s
    elif g < 0:
        p = p + s
    return p, g, s


CASES = (
    case(lr=1e-2, eta_minus=0.5, eta_plus=1.2, step_min=1e-6, step_max=50.0),
    case(lr=1e-2, eta_minus=0.3, eta_plus=1.5, step_min=4e-3, step_max=2e-2, maximize=1.0),
)
STATES = ("prev", "step_size")
KERNELS = {
    "rprop_step": step(
        *("rprop", rprop_reference, rprop_prepare, rprop_rule, H, CASES, STATES), flops=6
    )
}
