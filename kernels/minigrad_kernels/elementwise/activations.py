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
from minigrad_kernels.kernel import EXACT, NEAR_ONE, Rounding, Rule
from minigrad_kernels.math.error_function import normal
from minigrad_kernels.math.exponential import exp_of_negative, hyperbolic_tangent, vector_expm1
from minigrad_kernels.math.logarithm import log1p_unit
from minigrad_kernels.math.scalar import like, multiply_add, near_quotient, rule

Array = np.ndarray[Any, Any]
LINEAR = 20  # PyTorch's threshold of softplus: linear above
SLOPE = math.sqrt(8 / math.pi)
CUBE = 0.044715
FLAT = 30
SLOPES, ALPHA, BOUNDS = (0.25, 0.0), (1.5, 0.0), (-1.0, 0.5)  # numbers of samples and examples
LOSS: Rounding = (6.0, 0.0)
SLOPE_NEAR_ONE: Rounding = (10.0, 1.0)


# ---------------------------------------------------------------- the rules
@rule
def tanh(a):
    """Return the hyperbolic tangent."""
    return hyperbolic_tangent(a)


@rule
def tanh_backward(g, y):
    """Return the gradient of tanh from its result."""
    return g * (like(y, 1) - y * y)


@rule
def sigmoid(a):
    """Return the logistic function, without overflow."""
    e = exp_of_negative(-abs(a))
    return near_quotient(like(a, 1) if a >= 0 else e, like(a, 1) + e)


@rule
def sigmoid_backward(g, y):
    """Return the gradient of sigmoid from its result."""
    return g * (y * (like(y, 1) - y))


@rule
def relu(a):
    """Return the positive part; NaN stays."""
    return like(a, 0) if a <= 0 else a  # NaN passes


@rule
def relu_backward(g, y):
    """Return the gradient of relu from its result."""
    return like(y, 0) if y <= 0 else g  # NaN passes


@rule
def leaky_relu(a, slope, _):
    """Return the element, its negative part times the slope."""
    return a if a > 0 else a * slope


@rule
def leaky_relu_backward(g, a, slope, _):
    """Return the gradient of leaky_relu."""
    return g if a > 0 else g * slope


@rule
def elu(a, alpha, _):
    """Return the exponential linear unit."""
    return alpha * vector_expm1(min(a, like(a, 0))) if a <= 0 else a


@rule
def elu_backward(g, a, alpha, _):
    """Return the gradient of elu."""
    return g * (alpha * exp_of_negative(min(a, like(a, 0)))) if a <= 0 else g


@rule
def clamp(a, low, high):
    """Return the element limited to a range; NaN stays."""
    above = a if a > low or a != a else low
    return above if above < high or above != above else high


@rule
def clamp_backward(g, a, low, high):
    """Return the gradient of clamp, which passes at the bounds."""
    return g if a >= low and a <= high else like(a, 0)


@rule
def hardtanh_backward(g, a, low, high):
    """Return the gradient of hardtanh and relu6, which does not pass at the bounds."""
    return like(a, 0) if a <= low or a >= high else g  # NaN passes


@rule
def softplus(a):
    """Return softplus, linear from LINEAR on."""
    curved = max(a, like(a, 0)) + log1p_unit(exp_of_negative(-abs(a)))
    return a if a > LINEAR else curved


@rule
def softplus_backward(g, a):
    """Return the gradient of softplus."""
    return g if a > LINEAR else g * sigmoid(a)


@rule
def logsigmoid(a):
    """Return the logarithm of sigmoid, without overflow."""
    return min(a, like(a, 0)) - log1p_unit(exp_of_negative(-abs(a)))


@rule
def logsigmoid_backward(g, a):
    """Return the gradient of logsigmoid."""
    return g * sigmoid(-a)


@rule
def silu(a):
    """Return the element times its sigmoid."""
    return a * sigmoid(a)


@rule
def silu_backward(g, a):
    """Return the gradient of silu."""
    s = sigmoid(a)
    return g * (s * multiply_add(a, like(a, 1) - s, like(a, 1)))


@rule
def gelu(a):
    """Return the Gaussian error linear unit."""
    below, _ = normal(a)
    return a * below


@rule
def gelu_backward(g, a):
    """Return the gradient of gelu."""
    below, bell = normal(a)
    return g * multiply_add(a, bell * like(a, 1 / math.sqrt(2 * math.pi)), below)


@rule
def gelu_tanh(a):
    """Return gelu in its approximation by tanh."""
    return a * sigmoid(like(a, SLOPE) * multiply_add(like(a, CUBE) * a * a, a, a))


@rule
def gelu_tanh_backward(g, a):
    """Return the gradient of gelu_tanh."""
    far = like(a, FLAT) if a > 0 else like(a, -FLAT)
    t = far if abs(a) > FLAT else a  # 0 or 1 from there on, where the square would overflow
    square = t * t
    s = sigmoid(like(t, SLOPE) * multiply_add(like(t, CUBE) * square, t, t))
    inner = like(t, SLOPE) * multiply_add(like(t, 3 * CUBE), square, like(t, 1))
    return g * multiply_add(t * (s * (like(t, 1) - s)), inner, s)


@rule
def bce_logits(a, t):
    """Return the binary cross-entropy of a logit and a target."""
    # What is added is of one sign for t in [0, 1]: nothing cancels, however sure the logit.
    far = (like(a, 1) - t) * a if a >= 0 else t * -a
    return far + log1p_unit(exp_of_negative(-abs(a)))


@rule
def bce_logits_backward(g, a, t):
    """Return the gradient of bce_logits in the logit."""
    e = exp_of_negative(-abs(a))
    up, down = (like(a, 1), e) if a >= 0 else (e, like(a, 1))
    return g * (((like(a, 1) - t) * up - t * down) / (like(a, 1) + e))


@rule
def bce_logits_weighted(a, t, q):
    """Return the binary cross-entropy with a weight for positive targets."""
    rest = log1p_unit(exp_of_negative(-abs(a)))
    wrong = max(a, like(a, 0)) + rest
    right = max(-a, like(a, 0)) + rest
    return (like(a, 1) - t) * wrong + q * t * right


@rule
def bce_logits_slope(a, t, q):
    """Return the derivative of bce_logits_weighted in the logit."""
    e = exp_of_negative(-abs(a))
    up, down = (like(a, 1), e) if a >= 0 else (e, like(a, 1))
    return ((like(a, 1) - t) * up - q * t * down) / (like(a, 1) + e)


# ---------------------------------------------------------------- NumPy spellings
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def np_sigmoid(a: Array) -> Array:
    """Return 1 / (1 + e^-a) without overflow."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, e) / (1 + e)


def np_softplus(a: Array) -> Array:
    """Return log(1 + e^a), a itself above LINEAR."""
    return np.where(a > LINEAR, a, np.logaddexp(a, 0))


def np_cdf(a: Array) -> Array:
    """Return the normal distribution's cumulative probability of a."""
    return 0.5 * _erfc(-a * math.sqrt(0.5))


def np_inner(a: Array) -> Array:
    """Return what gelu's tanh form takes the sigmoid of."""
    return SLOPE * (a + CUBE * a**3)


def np_gelu_backward(g: Array, a: Array) -> Array:
    """Return the gradient of gelu."""
    return g * (np_cdf(a) + a * np.exp(-0.5 * a * a) / math.sqrt(2 * math.pi))


def np_gelu_tanh_backward(g: Array, a: Array) -> Array:
    """Return the gradient of gelu's tanh form."""
    a = np.clip(a, -FLAT, FLAT)
    s = np_sigmoid(np_inner(a))
    return g * (s + a * s * (1 - s) * SLOPE * (1 + 3 * CUBE * a * a))


def np_silu_backward(g: Array, a: Array) -> Array:
    """Return the gradient of a sigmoid(a)."""
    s = np_sigmoid(a)
    return g * s * (1 + a * (1 - s))


def np_clamp(a: Array, low: float, high: float) -> Array:
    """Return a limited to [low, high]."""
    return np.minimum(np.maximum(a, low), high)


def np_clamp_backward(g: Array, a: Array, low: float, high: float) -> Array:
    """Return g where a lies in [low, high], else 0."""
    return np.where((a >= low) & (a <= high), g, 0)


def np_hardtanh_backward(g: Array, a: Array, low: float, high: float) -> Array:
    """Return g where a lies inside (low, high), else 0; NaN passes."""
    return np.where((a <= low) | (a >= high), 0, g)


def np_elu(a: Array, alpha: float, _: float) -> Array:
    """Return a, or alpha (e^a - 1) where a <= 0."""
    return np.where(a <= 0, alpha * np.expm1(a), a)


def np_elu_backward(g: Array, a: Array, alpha: float, _: float) -> Array:
    """Return the gradient of elu."""
    return np.where(a <= 0, g * (alpha * np.exp(a)), g)


def np_leaky_relu(a: Array, slope: float, _: float) -> Array:
    """Return a, or slope a where a <= 0."""
    return np.where(a > 0, a, a * slope)


def np_leaky_relu_backward(g: Array, a: Array, slope: float, _: float) -> Array:
    """Return the gradient of leaky_relu."""
    return np.where(a > 0, g, g * slope)


def np_softplus_backward(g: Array, a: Array) -> Array:
    """Return the gradient of softplus."""
    return np.where(a > LINEAR, g, g * np_sigmoid(a))


def np_bce_logits(a: Array, t: Array) -> Array:
    """Return the binary cross-entropy of logits a and targets t."""
    return np.where(a >= 0, (1 - t) * a, -t * a) + np.log1p(np.exp(-np.abs(a)))


def np_bce_logits_weighted(a: Array, t: Array, q: Array) -> Array:
    """Return the binary cross-entropy with the weight q for positive targets."""
    return (1 - t) * np.logaddexp(0, a) + q * t * np.logaddexp(0, -a)


def np_bce_logits_slope(a: Array, t: Array, q: Any = 1) -> Array:
    """Return the derivative of the weighted binary cross-entropy in the logits."""
    return (1 - t) * np_sigmoid(a) - q * t * np_sigmoid(-a)


def np_bce_logits_backward(g: Array, a: Array, t: Array) -> Array:
    """Return the gradient of the binary cross-entropy in the logits."""
    return g * np_bce_logits_slope(a, t)


TARGET = ("normal", "unit")
RULES = {
    "tanh": Rule(tanh, 1, np.tanh, ufunc=True, flops=10, rounding=(4.0, 0.0)),
    "tanh_backward": Rule(
        tanh_backward, 2, lambda g, y: g * (1 - y * y), flops=3, rounding=(6.0, 1.0)
    ),
    "sigmoid": Rule(sigmoid, 1, np_sigmoid, flops=12, rounding=(5.0, 0.0)),
    "sigmoid_backward": Rule(
        sigmoid_backward, 2, lambda g, y: g * y * (1 - y), flops=3, rounding=(6.0, 1.0)
    ),
    "relu": Rule(relu, 1, lambda a: np.maximum(a, 0), rounding=EXACT),
    "relu_backward": Rule(relu_backward, 2, lambda g, y: np.where(y <= 0, 0, g), rounding=EXACT),
    "leaky_relu": Rule(leaky_relu, 1, np_leaky_relu, numbers=SLOPES, rounding=EXACT),
    "leaky_relu_backward": Rule(
        leaky_relu_backward, 2, np_leaky_relu_backward, numbers=SLOPES, rounding=EXACT
    ),
    "elu": Rule(elu, 1, np_elu, flops=12, numbers=ALPHA, rounding=(5.0, 0.0)),
    "elu_backward": Rule(
        elu_backward, 2, np_elu_backward, flops=12, numbers=ALPHA, rounding=(6.0, 0.0)
    ),
    "clamp": Rule(clamp, 1, np_clamp, flops=2, numbers=BOUNDS, rounding=EXACT),
    "clamp_backward": Rule(
        clamp_backward, 2, np_clamp_backward, flops=2, numbers=BOUNDS, rounding=EXACT
    ),
    "hardtanh_backward": Rule(
        hardtanh_backward, 2, np_hardtanh_backward, flops=2, numbers=BOUNDS, rounding=EXACT
    ),
    "softplus": Rule(softplus, 1, np_softplus, flops=20, rounding=(5.0, 0.0)),
    "softplus_backward": Rule(
        softplus_backward, 2, np_softplus_backward, flops=13, rounding=(6.0, 1.0)
    ),
    "logsigmoid": Rule(
        logsigmoid, 1, lambda a: -np.logaddexp(0, -a), flops=20, rounding=(5.0, 0.0)
    ),
    "logsigmoid_backward": Rule(
        logsigmoid_backward, 2, lambda g, a: g * np_sigmoid(-a), flops=13, rounding=(6.0, 0.0)
    ),
    "silu": Rule(silu, 1, lambda a: a * np_sigmoid(a), flops=13, rounding=(6.0, 1.0)),
    "silu_backward": Rule(silu_backward, 2, np_silu_backward, flops=17, rounding=SLOPE_NEAR_ONE),
    "gelu": Rule(gelu, 1, lambda a: a * np_cdf(a), flops=40, rounding=(6.0, 1.0)),
    "gelu_backward": Rule(gelu_backward, 2, np_gelu_backward, flops=43, rounding=SLOPE_NEAR_ONE),
    "gelu_tanh": Rule(
        gelu_tanh, 1, lambda a: a * np_sigmoid(np_inner(a)), flops=17, rounding=(6.0, 1.0)
    ),
    "gelu_tanh_backward": Rule(
        gelu_tanh_backward, 2, np_gelu_tanh_backward, flops=23, rounding=SLOPE_NEAR_ONE
    ),
    "bce_logits": Rule(bce_logits, 2, np_bce_logits, flops=23, draws=TARGET, rounding=LOSS),
    "bce_logits_backward": Rule(
        bce_logits_backward,
        3,
        np_bce_logits_backward,
        flops=19,
        draws=("normal", *TARGET),
        rounding=NEAR_ONE,
    ),
    "bce_logits_weighted": Rule(
        bce_logits_weighted,
        3,
        np_bce_logits_weighted,
        flops=26,
        draws=(*TARGET, "unit"),
        rounding=LOSS,
    ),
    "bce_logits_slope": Rule(
        bce_logits_slope,
        3,
        np_bce_logits_slope,
        flops=19,
        draws=(*TARGET, "unit"),
        rounding=NEAR_ONE,
    ),
}
KERNELS = {name: lift(name, rule) for name, rule in RULES.items()}
