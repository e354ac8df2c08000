"""A few operations on one element in one pass: what takes as many passes when written out.

    hardsigmoid h(a) = min(max(a + 3, 0), 6) / 6       hardswish a h(a)
    lerp a + (b - a) weight         addcmul a + b c        addcdiv a + b / c
    add_scaled a + b value          huber d^2 / 2 for d = a - b up to delta, else a line
    nan_to_num 0 where a is NaN, two numbers for the infinities

The operations and their order are those of what is written out, so on the CPU the bits are too.

Shapes: as elementwise/rules.py, whose rules these are too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad_kernels.elementwise.kernels import lift
from minigrad_kernels.kernel import EXACT, NEAR_ONE, Rounding, Rule
from minigrad_kernels.math.scalar import like, rule

Array = np.ndarray[Any, Any]
WEIGHT, VALUE, DELTA = (0.25, 0.0), (1.5, 0.0), (0.75, 0.0)  # numbers of samples and examples
ENDS = (9.0, -8.0)
TWICE: Rounding = (4.0, 1.0)


# ---------------------------------------------------------------- activations of straight pieces
@rule
def hardsigmoid(a):
    """Return relu6(a + 3) / 6; NaN stays."""
    t = a + like(a, 3)
    above = t if t > 0 or t != t else like(a, 0)
    return (above if above < like(a, 6) or above != above else like(a, 6)) / like(a, 6)


@rule
def hardswish(a):
    """Return the element times its hardsigmoid."""
    return a * hardsigmoid(a)


@rule
def hardswish_backward(g, a):
    """Return the gradient of hardswish."""
    flat = a <= like(a, -3) or a >= like(a, 3)
    return g * (hardsigmoid(a) + (like(a, 0) if flat else a / like(a, 6)))


# ---------------------------------------------------------------- sums with a product
@rule
def lerp(a, b, weight, _):
    """Return the point between two at a weight."""
    return a + (b - a) * weight


@rule
def add_scaled(a, b, value, _):
    """Return the first operand and so many times the second."""
    return a + b * value


@rule
def addcmul(a, b, c):
    """Return the first operand and the product of the others."""
    return a + b * c


@rule
def addcdiv(a, b, c):
    """Return the first operand and the quotient of the others."""
    return a + b / c


# ---------------------------------------------------------------- of single cases
@rule
def huber(a, b, delta, _):
    """Return half the square of a - b, linear beyond delta."""
    gap = a - b
    above = gap if gap > -delta or gap != gap else -delta
    near = above if above < delta or above != above else delta
    return near * (gap - near * like(a, 0.5))


@rule
def nan_to_num(a, most, least):
    """Return the element, 0 for NaN, `most` and `least` for the infinities."""
    y = a if a == a else like(a, 0)
    y = most if a == like(a, np.inf) else y
    return least if a == like(a, -np.inf) else y


# ---------------------------------------------------------------- NumPy spellings
def np_hardsigmoid(a: Array) -> Array:
    """Return relu6(a + 3) / 6."""
    return np.clip(a + 3, 0, 6) / 6


def np_hardswish_backward(g: Array, a: Array) -> Array:
    """Return the gradient of a times its hardsigmoid."""
    return g * (np_hardsigmoid(a) + np.where(abs(a) >= 3, 0, a / 6))


def np_huber(a: Array, b: Array, delta: float, _: float) -> Array:
    """Return half the square of a - b, linear beyond delta."""
    gap = a - b
    near = np.clip(gap, -delta, delta)
    return near * (gap - near / 2)


def np_nan_to_num(a: Array, most: float, least: float) -> Array:
    """Return a, 0 for NaN, `most` and `least` for the infinities."""
    return np.nan_to_num(a, nan=0.0, posinf=most, neginf=least)


RULES = {
    "hardsigmoid": Rule(hardsigmoid, 1, np_hardsigmoid, flops=4, rounding=TWICE),
    "hardswish": Rule(hardswish, 1, lambda a: a * np_hardsigmoid(a), flops=5, rounding=TWICE),
    "hardswish_backward": Rule(
        hardswish_backward, 2, np_hardswish_backward, flops=8, rounding=NEAR_ONE
    ),
    "lerp": Rule(
        lerp, 2, lambda a, b, n, _: a + (b - a) * n, flops=3, numbers=WEIGHT, rounding=NEAR_ONE
    ),
    "add_scaled": Rule(
        add_scaled, 2, lambda a, b, n, _: a + b * n, flops=2, numbers=VALUE, rounding=NEAR_ONE
    ),
    "addcmul": Rule(addcmul, 3, lambda a, b, c: a + b * c, flops=2, rounding=NEAR_ONE),
    "addcdiv": Rule(
        addcdiv,
        3,
        lambda a, b, c: a + b / c,
        flops=2,
        draws=("normal", "normal", "positive"),
        rounding=NEAR_ONE,
    ),
    "huber": Rule(huber, 2, np_huber, flops=5, numbers=DELTA, rounding=TWICE),
    "nan_to_num": Rule(nan_to_num, 1, np_nan_to_num, flops=3, numbers=ENDS, rounding=EXACT),
}
KERNELS = {name: lift(name, rule) for name, rule in RULES.items()}
