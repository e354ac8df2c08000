"""Activations as functions; `minigrad.nn.functional` re-exports them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.engine import arguments
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.ops.elementwise import where
from minigrad.ops.norm import log_softmax as _log_softmax
from minigrad.ops.norm import softmax as _softmax
from minigrad.ops.unary import (
    Elu,
    Exp,
    Gelu,
    GeluTanh,
    Hardtanh,
    LeakyRelu,
    Log1p,
    LogSigmoid,
    Relu,
    Sigmoid,
    Silu,
    Softplus,
    Tanh,
)
from minigrad.tensors.registry import function_in_place
from minigrad.tensors.tensor import Tensor


def written(function: Any, input: Tensor, *args: Any, **options: Any) -> Tensor:
    """Write the result of a function into its input, recorded where a gradient flows."""
    found: Tensor = function_in_place(function.__name__, function)(input, *args, **options)
    return found


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return max(x, 0); the derivative at 0 is 0.

    inplace: write it into the input, as in all activations that take the argument.

    >>> import minigrad as mg
    >>> relu(mg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if inplace:
        return written(relu, input)
    return Relu.apply(input)


def tanh(input: Tensor) -> Tensor:
    """Return tanh(x).

    >>> import minigrad as mg
    >>> tanh(mg.zeros(1))
    tensor([0.])
    """
    return Tanh.apply(input)


def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + e^-x).

    >>> import minigrad as mg
    >>> sigmoid(mg.zeros(1))
    tensor([0.5000])
    """
    return Sigmoid.apply(input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return x Phi(x), Phi the normal distribution function.

    approximate: "none", or "tanh" for x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    Source: Hendrycks and Gimpel, "Gaussian error linear units" (2016).

    >>> import minigrad as mg
    >>> gelu(mg.tensor([-1.0, 1.0]))
    tensor([-0.1587,  0.8413])
    """
    if approximate == "none":
        return Gelu.apply(input)
    if approximate == "tanh":
        return GeluTanh.apply(input)
    raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x sigmoid(x).

    >>> import minigrad as mg
    >>> silu(mg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """
    if inplace:
        return written(silu, input)
    return Silu.apply(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return log(1 + e^(beta x)) / beta, linear where beta x > threshold.

    beta: positive.

    >>> import minigrad as mg
    >>> softplus(mg.tensor([0.0, 1000.0]))
    tensor([6.9315e-01, 1.0000e+03])
    """
    if type(beta) is not float:
        beta = arguments.number("softplus", "beta", beta)
    if not beta > 0:
        raise ArgumentError(f"softplus: beta must be positive, got {beta}")
    if threshold == 20:
        if beta == 1:
            return Softplus.apply(input)
        return Softplus.apply(input * float(beta)) / float(beta)
    threshold = arguments.number("softplus", "threshold", threshold)
    scaled = input * float(beta)
    linear = scaled > threshold
    bent = Log1p.apply(Exp.apply(where(linear, 0.0, scaled))) / float(beta)
    return where(linear, input, bent)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return x where x > 0, else negative_slope * x.

    >>> import minigrad as mg
    >>> leaky_relu(mg.tensor([-1.0, 2.0]), 0.5)
    tensor([-0.5000,  2.0000])
    """
    if inplace:
        return written(leaky_relu, input, negative_slope)
    if type(negative_slope) is not float:
        negative_slope = arguments.number("leaky_relu", "negative_slope", negative_slope)
    return LeakyRelu.apply(input, negative_slope=negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x where x > 0, else alpha (e^x - 1).

    >>> import minigrad as mg
    >>> elu(mg.tensor([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """
    if inplace:
        return written(elu, input, alpha)
    if type(alpha) is not float:
        alpha = arguments.number("elu", "alpha", alpha)
    return Elu.apply(input, alpha=alpha)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Return x limited to [min_val, max_val]; the derivative at both bounds is 0.

    >>> import minigrad as mg
    >>> hardtanh(mg.tensor([-3.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """
    if inplace:
        return written(hardtanh, input, min_val, max_val)
    if type(min_val) is not float:
        min_val = arguments.number("hardtanh", "min_val", min_val)
    if type(max_val) is not float:
        max_val = arguments.number("hardtanh", "max_val", max_val)
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val {min_val:g} is above max_val {max_val:g}")
    return Hardtanh.apply(input, low=min_val, high=max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x limited to [0, 6]; the derivative at both bounds is 0.

    >>> import minigrad as mg
    >>> relu6(mg.tensor([-3.0, 3.0, 9.0]))
    tensor([0., 3., 6.])
    """
    if inplace:
        return written(relu6, input)
    return hardtanh(input, 0.0, 6.0)


def logsigmoid(input: Tensor) -> Tensor:
    """Return log(sigmoid(x)) without overflow.

    >>> import minigrad as mg
    >>> logsigmoid(mg.tensor([-1000.0]))
    tensor([-1000.])
    """
    return LogSigmoid.apply(input)


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Return exp(x) / sum(exp(x)) along `dim`.

    dtype: what to convert the input to first.

    >>> import minigrad as mg
    >>> softmax(mg.zeros(2, 2), dim=1)
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    return _softmax(_prepared(input, dtype), _dim("softmax", dim, input))


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Return log(softmax(x)) along `dim`, stable for extreme inputs.

    >>> import minigrad as mg
    >>> log_softmax(mg.tensor([1e4, 0.0]), dim=0)
    tensor([     0., -10000.])
    """
    return _log_softmax(_prepared(input, dtype), _dim("log_softmax", dim, input))


def _prepared(input: Tensor, dtype: Any) -> Tensor:
    """Return the input in a dtype, itself for None."""
    return input if dtype is None else input.to(dtype)


# What is taken for a dimension that is not given, by name and input; `as_torch` sets it.
implied: Callable[[str, Tensor], int] | None = None


def _dim(name: str, dim: int | None, input: Tensor) -> int:
    """Return the dimension that an activation is asked for.

    Raises: TypeError where there is none.
    """
    if dim is None:
        if implied is not None:
            return implied(name, input)
        raise ArgumentTypeError(
            f"{name}: say along which dimension, e.g. dim=1 for logits of shape (N, C)"
        )
    return dim
