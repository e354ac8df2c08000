"""Activations, and the gradient of each in one pass: dx = dy f'(x), written in x or in y.

    sigmoid 1 / (1 + e^-x)          silu x sigmoid(x)       softplus log(1 + e^x), x above 20
    gelu x Phi(x)                   gelu_tanh x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))
    elu x or alpha (e^x - 1)        leaky_relu x or slope x            clamp min(max(x, low), high)
    bce_logits (1 - t) softplus(x) + t softplus(-x), weighted: the second term times q

Phi is the normal distribution's cumulative function; its tail keeps all its bits.

Shapes: as elementwise/rules.py, whose rules these are too.
Source: gelu: Hendrycks and Gimpel (2016); silu: Elfwing et al. (2018); elu: Clevert et al. (2016).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.elementwise.kernels import lift
from minigrad_kernels.math.error_function import normal
from minigrad_kernels.math.exponential import exp_of_negative, hyperbolic_tangent, vector_expm1
from minigrad_kernels.math.logarithm import log1p_unit
from minigrad_kernels.math.scalar import like, multiply_add, rule

Array = np.ndarray[Any, Any]
LINEAR = 20  # PyTorch's threshold of softplus: linear above
SLOPE = math.sqrt(8 / math.pi)
CUBE = 0.044715
FLAT = 30


# ---------------------------------------------------------------- the rules
@rule
def tanh(a):
    return hyperbolic_tangent(a)


@rule
def tanh_backward(g, y):
    return g * (like(y, 1) - y * y)


@rule
def sigmoid(a):
    e = exp_of_negative(-abs(a))
    return (like(a, 1) if a >= 0 else e) / (like(a, 1) + e)


@rule
def sigmoid_backward(g, y):
    return g * (y * (like(y, 1) - y))


@rule
def relu(a):
    return like(a, 0) if a <= 0 else a  # NaN passes


@rule
def relu_backward(g, y):
    return like(y, 0) if y <= 0 else g  # NaN passes


@rule
def leaky_relu(a, slope, _):
    return a if a > 0 else a * slope


@rule
def leaky_relu_backward(g, a, slope, _):
    return g if a > 0 else g * slope


@rule
def elu(a, alpha, _):
    return alpha * vector_expm1(min(a, like(a, 0))) if a <= 0 else a


@rule
def elu_backward(g, a, alpha, _):
    return g * (alpha * exp_of_negative(min(a, like(a, 0)))) if a <= 0 else g


@rule
def clamp(a, low, high):
    above = a if a > low or a != a else low
    return above if above < high or above != above else high


@rule
def clamp_backward(g, a, low, high):
    return g if a >= low and a <= high else like(a, 0)


@rule
def hardtanh_backward(g, a, low, high):
    return like(a, 0) if a <= low or a >= high else g  # NaN passes


@rule
def softplus(a):
    bent = max(a, like(a, 0)) + log1p_unit(exp_of_negative(-abs(a)))
    return a if a > LINEAR else bent


@rule
def softplus_backward(g, a):
    return g if a > LINEAR else g * sigmoid(a)


@rule
def logsigmoid(a):
    return min(a, like(a, 0)) - log1p_unit(exp_of_negative(-abs(a)))


@rule
def logsigmoid_backward(g, a):
    return g * sigmoid(-a)


@rule
def silu(a):
    return a * sigmoid(a)


@rule
def silu_backward(g, a):
    s = sigmoid(a)
    return g * (s * multiply_add(a, like(a, 1) - s, like(a, 1)))


@rule
def gelu(a):
    below, _ = normal(a)
    return a * below


@rule
def gelu_backward(g, a):
    below, bell = normal(a)
    return g * multiply_add(a, bell * like(a, 1 / math.sqrt(2 * math.pi)), below)


@rule
def gelu_tanh(a):
    return a * sigmoid(like(a, SLOPE) * multiply_add(like(a, CUBE) * a * a, a, a))


@rule
def gelu_tanh_backward(g, a):
    far = like(a, FLAT) if a > 0 else like(a, -FLAT)
    t = far if abs(a) > FLAT else a  # 0 or 1 from there on, where the square would overflow
    square = t * t
    s = sigmoid(like(t, SLOPE) * multiply_add(like(t, CUBE) * square, t, t))
    inner = like(t, SLOPE) * multiply_add(like(t, 3 * CUBE), square, like(t, 1))
    return g * multiply_add(t * (s * (like(t, 1) - s)), inner, s)


@rule
def bce_logits(a, t):
    # What is added is of one sign for t in [0, 1]: nothing cancels, however sure the logit.
    far = (like(a, 1) - t) * a if a >= 0 else t * -a
    return far + log1p_unit(exp_of_negative(-abs(a)))


@rule
def bce_logits_backward(g, a, t):
    e = exp_of_negative(-abs(a))
    up, down = (like(a, 1), e) if a >= 0 else (e, like(a, 1))
    return g * (((like(a, 1) - t) * up - t * down) / (like(a, 1) + e))


@rule
def bce_logits_weighted(a, t, q):
    rest = log1p_unit(exp_of_negative(-abs(a)))
    wrong = max(a, like(a, 0)) + rest
    right = max(-a, like(a, 0)) + rest
    return (like(a, 1) - t) * wrong + q * t * right


@rule
def bce_logits_slope(a, t, q):
    e = exp_of_negative(-abs(a))
    up, down = (like(a, 1), e) if a >= 0 else (e, like(a, 1))
    return ((like(a, 1) - t) * up - q * t * down) / (like(a, 1) + e)


# ---------------------------------------------------------------- NumPy spellings
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def np_sigmoid(a: Array) -> Array:
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, e) / (1 + e)


def np_softplus(a: Array) -> Array:
    return np.where(a > LINEAR, a, np.logaddexp(a, 0))


def np_cdf(a: Array) -> Array:
    return 0.5 * _erfc(-a * math.sqrt(0.5))


def np_inner(a: Array) -> Array:
    return SLOPE * (a + CUBE * a**3)


def np_gelu_backward(g: Array, a: Array) -> Array:
    return g * (np_cdf(a) + a * np.exp(-0.5 * a * a) / math.sqrt(2 * math.pi))


def np_gelu_tanh_backward(g: Array, a: Array) -> Array:
    a = np.clip(a, -FLAT, FLAT)
    s = np_sigmoid(np_inner(a))
    return g * (s + a * s * (1 - s) * SLOPE * (1 + 3 * CUBE * a * a))


def np_silu_backward(g: Array, a: Array) -> Array:
    s = np_sigmoid(a)
    return g * s * (1 + a * (1 - s))


def np_clamp(a: Array, low: float, high: float) -> Array:
    return np.minimum(np.maximum(a, low), high)


def np_clamp_backward(g: Array, a: Array, low: float, high: float) -> Array:
    return np.where((a >= low) & (a <= high), g, 0)


def np_hardtanh_backward(g: Array, a: Array, low: float, high: float) -> Array:
    return np.where((a <= low) | (a >= high), 0, g)


def np_elu(a: Array, alpha: float, _: float) -> Array:
    return np.where(a <= 0, alpha * np.expm1(a), a)


def np_elu_backward(g: Array, a: Array, alpha: float, _: float) -> Array:
    return np.where(a <= 0, g * (alpha * np.exp(a)), g)


def np_leaky_relu(a: Array, slope: float, _: float) -> Array:
    return np.where(a > 0, a, a * slope)


def np_leaky_relu_backward(g: Array, a: Array, slope: float, _: float) -> Array:
    return np.where(a > 0, g, g * slope)


def np_softplus_backward(g: Array, a: Array) -> Array:
    return np.where(a > LINEAR, g, g * np_sigmoid(a))


def np_bce_logits(a: Array, t: Array) -> Array:
    return np.where(a >= 0, (1 - t) * a, -t * a) + np.log1p(np.exp(-np.abs(a)))


def np_bce_logits_weighted(a: Array, t: Array, q: Array) -> Array:
    return (1 - t) * np.logaddexp(0, a) + q * t * np.logaddexp(0, -a)


def np_bce_logits_slope(a: Array, t: Array, q: Any = 1) -> Array:
    return (1 - t) * np_sigmoid(a) - q * t * np_sigmoid(-a)


def np_bce_logits_backward(g: Array, a: Array, t: Array) -> Array:
    return g * np_bce_logits_slope(a, t)


# name: rule, operands, NumPy's expression, is it a ufunc, flops an element, two numbers?
RULES: dict[str, tuple[Any, ...]] = {
    "tanh": (tanh, 1, np.tanh, True, 10),
    "tanh_backward": (tanh_backward, 2, lambda g, y: g * (1 - y * y), False, 3),
    "sigmoid": (sigmoid, 1, np_sigmoid, False, 12),
    "sigmoid_backward": (sigmoid_backward, 2, lambda g, y: g * y * (1 - y), False, 3),
    "relu": (relu, 1, lambda a: np.maximum(a, 0), False, 1),
    "relu_backward": (relu_backward, 2, lambda g, y: np.where(y <= 0, 0, g), False, 1),
    "leaky_relu": (leaky_relu, 1, np_leaky_relu, False, 1, True),
    "leaky_relu_backward": (leaky_relu_backward, 2, np_leaky_relu_backward, False, 1, True),
    "elu": (elu, 1, np_elu, False, 12, True),
    "elu_backward": (elu_backward, 2, np_elu_backward, False, 12, True),
    "clamp": (clamp, 1, np_clamp, False, 2, True),
    "clamp_backward": (clamp_backward, 2, np_clamp_backward, False, 2, True),
    "hardtanh_backward": (hardtanh_backward, 2, np_hardtanh_backward, False, 2, True),
    "softplus": (softplus, 1, np_softplus, False, 20),
    "softplus_backward": (softplus_backward, 2, np_softplus_backward, False, 13),
    "logsigmoid": (logsigmoid, 1, lambda a: -np.logaddexp(0, -a), False, 20),
    "logsigmoid_backward": (
        logsigmoid_backward,
        2,
        lambda g, a: g * np_sigmoid(-a),
        False,
        13,
    ),
    "silu": (silu, 1, lambda a: a * np_sigmoid(a), False, 13),
    "silu_backward": (silu_backward, 2, np_silu_backward, False, 17),
    "gelu": (gelu, 1, lambda a: a * np_cdf(a), False, 40),
    "gelu_backward": (gelu_backward, 2, np_gelu_backward, False, 43),
    "gelu_tanh": (gelu_tanh, 1, lambda a: a * np_sigmoid(np_inner(a)), False, 17),
    "gelu_tanh_backward": (gelu_tanh_backward, 2, np_gelu_tanh_backward, False, 23),
    "bce_logits": (bce_logits, 2, np_bce_logits, False, 23),
    "bce_logits_backward": (bce_logits_backward, 3, np_bce_logits_backward, False, 19),
    "bce_logits_weighted": (bce_logits_weighted, 3, np_bce_logits_weighted, False, 26),
    "bce_logits_slope": (bce_logits_slope, 3, np_bce_logits_slope, False, 19),
}
KERNELS = {name: lift(name, *row) for name, row in RULES.items()}
