"""Elementwise kernels: y[i] = f(a[i], ...), operands broadcast and strided, never materialised.

A rule is written once, as a scalar function, and lifted.  Below `PARALLEL` elements a rule that
NumPy has as a ufunc is that ufunc (it compiles nothing and takes any strides); above, and for the
rules that NumPy lacks, a jitted loop: flat where all operands are contiguous, else over at most
three collapsed dimensions. Integer and bool arrays always go to the reference.

Shapes: inputs broadcast against y: (...); y may be strided and may be one of the inputs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad_kernels.exponential import exponential, hyperbolic_tangent
from minigrad_kernels.launch import Kernel, jit, like
from minigrad_kernels.lift import by_size, lift

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- the rules
@jit()
def neg(a):
    return -a


@jit()
def absolute(a):
    return abs(a)


@jit()
def exp(a):
    return exponential(a)


@jit()
def sqrt(a):
    return np.sqrt(a)


@jit()
def tanh(a):
    return hyperbolic_tangent(a)


@jit()
def erf(a):
    return math.erf(a)


@jit()
def reciprocal(a):
    return like(a, 1) / a


@jit()
def square(a):
    return a * a


@jit()
def sigmoid(a):
    e = exponential(-abs(a))
    return (like(a, 1) if a >= 0 else e) / (like(a, 1) + e)


@jit()
def relu(a):
    return like(a, 0) if a <= 0 else a  # NaN passes


@jit()
def softplus(a):
    if a > 20:  # PyTorch's threshold: linear above
        return a
    return np.log1p(exponential(a))


@jit()
def logsigmoid(a):
    return min(a, like(a, 0)) - np.log1p(exponential(-abs(a)))


@jit()
def silu(a):
    return a * sigmoid(a)


@jit()
def gelu(a):
    return a * (like(a, 0.5) * (like(a, 1) + math.erf(a * like(a, math.sqrt(0.5)))))


@jit()
def gelu_tanh(a):
    inner = like(a, math.sqrt(2 / math.pi)) * (a + like(a, 0.044715) * a * a * a)
    return like(a, 0.5) * a * (like(a, 1) + hyperbolic_tangent(inner))


@jit()
def power(a, b):
    return a**b


@jit()
def add(a, b):
    return a + b


@jit()
def sub(a, b):
    return a - b


@jit()
def mul(a, b):
    return a * b


@jit()
def div(a, b):
    return a / b


@jit()
def maximum(a, b):
    return a if a > b or a != a else b


@jit()
def minimum(a, b):
    return a if a < b or a != a else b


@jit()
def tanh_backward(g, y):
    return g * (like(y, 1) - y * y)


@jit()
def sigmoid_backward(g, y):
    return g * (y * (like(y, 1) - y))


@jit()
def relu_backward(g, y):
    return like(y, 0) if y <= 0 else g  # NaN passes


@jit()
def softplus_backward(g, a):
    return g if a > 20 else g * sigmoid(a)


@jit()
def silu_backward(g, a):
    s = sigmoid(a)
    return g * (s * (like(a, 1) + a * (like(a, 1) - s)))


@jit()
def gelu_backward(g, a):
    cdf = like(a, 0.5) * (like(a, 1) + math.erf(a * like(a, math.sqrt(0.5))))
    pdf = exponential(like(a, -0.5) * a * a) * like(a, 1 / math.sqrt(2 * math.pi))
    return g * (cdf + a * pdf)


@jit()
def where(c, a, b):
    return a if c else b


# ---------------------------------------------------------------- NumPy spellings
def np_where(c: Array, a: Array, b: Array, y: Array) -> None:
    if y is a:
        np.copyto(y, b, where=~c)
        return
    np.copyto(y, b)
    np.copyto(y, a, where=c)


def np_maximum(a: Array, b: Array, y: Array | None = None) -> Array:
    return np.maximum(a, b, out=y)  # NumPy deprecates a third positional argument of these two


def np_minimum(a: Array, b: Array, y: Array | None = None) -> Array:
    return np.minimum(a, b, out=y)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def np_sigmoid(a: Array) -> Array:
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, e) / (1 + e)


def np_cdf(a: Array) -> Array:
    return 0.5 * (1 + _erf(a * math.sqrt(0.5)))


def np_gelu_tanh(a: Array) -> Array:
    return 0.5 * a * (1 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))


def np_gelu_backward(g: Array, a: Array) -> Array:
    return g * (np_cdf(a) + a * np.exp(-0.5 * a * a) / math.sqrt(2 * math.pi))


def np_silu_backward(g: Array, a: Array) -> Array:
    s = np_sigmoid(a)
    return g * s * (1 + a * (1 - s))


def plain(ufunc: np.ufunc) -> Kernel:
    """Return a row whose two columns are NumPy's own loop: comparisons and logic, already at vector
    speed.
    """

    def cost(*args: Array) -> tuple[int, int]:
        return args[-1].size, sum(a.nbytes for a in args)

    return Kernel(ufunc, ufunc, cost)


def function(ufunc: np.ufunc) -> Kernel:
    """Return the row of a function whose vectorised loop is NumPy's at every size."""

    def reference(a: Array, y: Array) -> None:
        y[...] = ufunc(a.astype(np.float64))

    def cost(a: Array, y: Array) -> tuple[int, int]:
        return 10 * y.size, a.nbytes + y.nbytes

    return Kernel(reference, ufunc, cost, small=ufunc)


def sign_reference(a: Array, y: Array) -> None:
    y[...] = np.nan_to_num(np.sign(a))


def sign(a: Array, y: Array) -> None:
    """Write -1, 0 or 1; 0 for NaN, as PyTorch, so that |x| has no gradient there."""
    np.sign(a, y)
    if y.dtype.kind == "f":
        np.copyto(y, 0, where=np.isnan(y))


def copy_reference(a: Array, y: Array) -> None:
    y[...] = a


def copy(a: Array, y: Array) -> None:
    np.copyto(y, a, casting="unsafe")


def copy_cost(a: Array, y: Array) -> tuple[int, int]:
    return 0, y.nbytes + a.nbytes


KERNELS = {
    # name: rule, operands, NumPy's expression, is it a ufunc with an out argument, flops an element
    **{
        name: lift(name, *row)
        for name, row in {
            "neg": (neg, 1, np.negative, True, 1),
            "abs": (absolute, 1, np.absolute, True, 1),
            "exp": (exp, 1, np.exp, True, 10),
            "sqrt": (sqrt, 1, np.sqrt, True, 1),
            "tanh": (tanh, 1, np.tanh, True, 10),
            "erf": (erf, 1, _erf, False, 10),
            "reciprocal": (reciprocal, 1, np.reciprocal, True, 1),
            "square": (square, 1, np.square, True, 1),
            "sigmoid": (sigmoid, 1, np_sigmoid, False, 12),
            "relu": (relu, 1, lambda a: np.maximum(a, 0), False, 1),
            "softplus": (softplus, 1, lambda a: np.where(a > 20, a, np.logaddexp(a, 0)), False, 20),
            "logsigmoid": (logsigmoid, 1, lambda a: -np.logaddexp(0, -a), False, 20),
            "silu": (silu, 1, lambda a: a * np_sigmoid(a), False, 13),
            "gelu": (gelu, 1, lambda a: a * np_cdf(a), False, 13),
            "gelu_tanh": (gelu_tanh, 1, np_gelu_tanh, False, 17),
            "add": (add, 2, np.add, True, 1),
            "sub": (sub, 2, np.subtract, True, 1),
            "mul": (mul, 2, np.multiply, True, 1),
            "div": (div, 2, np.divide, True, 1),
            "pow": (power, 2, np.power, True, 20),
            "maximum": (maximum, 2, np_maximum, True, 1),
            "minimum": (minimum, 2, np_minimum, True, 1),
            "tanh_backward": (tanh_backward, 2, lambda g, y: g * (1 - y * y), False, 3),
            "sigmoid_backward": (sigmoid_backward, 2, lambda g, y: g * y * (1 - y), False, 3),
            "relu_backward": (relu_backward, 2, lambda g, y: np.where(y <= 0, 0, g), False, 1),
            "softplus_backward": (
                softplus_backward,
                2,
                lambda g, a: np.where(a > 20, g, g * np_sigmoid(a)),
                False,
                13,
            ),
            "silu_backward": (silu_backward, 2, np_silu_backward, False, 17),
            "gelu_backward": (gelu_backward, 2, np_gelu_backward, False, 26),
        }.items()
    },
    "where": Kernel(
        np_where,
        by_size("where", where, 3, np_where),
        lambda *args: (0, sum(a.nbytes for a in args)),
    ),
    "expm1": function(np.expm1),
    "log": function(np.log),
    "log1p": function(np.log1p),
    "sin": function(np.sin),
    "cos": function(np.cos),
    "copy": Kernel(copy_reference, copy, copy_cost),
    "sign": Kernel(sign_reference, sign, copy_cost),
    "eq": plain(np.equal),
    "ne": plain(np.not_equal),
    "lt": plain(np.less),
    "le": plain(np.less_equal),
    "gt": plain(np.greater),
    "ge": plain(np.greater_equal),
    "logical_and": plain(np.logical_and),
    "logical_or": plain(np.logical_or),
    "logical_not": plain(np.logical_not),
    "isfinite": plain(np.isfinite),
    "isnan": plain(np.isnan),
    "floor": plain(np.floor),
    "floor_divide": plain(np.floor_divide),
    "remainder": plain(np.remainder),
}
