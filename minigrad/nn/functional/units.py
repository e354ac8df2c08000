"""Activations beside the common ones, as compositions of ops."""

from __future__ import annotations

from typing import Any

from minigrad.engine import random
from minigrad.engine.device import moved
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.nn.functional.activations import elu, hardtanh, leaky_relu, relu, softmax, written
from minigrad.ops.arranging import narrow
from minigrad.ops.common import axis_of, only_floating, tensor_of
from minigrad.ops.elementwise import where
from minigrad.ops.registry import public
from minigrad.ops.scatter import scatter
from minigrad.ops.unary import Elu, Hardsigmoid, Hardswish, Softplus
from minigrad.tensors.creation import rand, zeros_like
from minigrad.tensors.tensor import Tensor

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


# ---------------------------------------------------------------- exponential
@public("function", "functional")
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return scale * (x where x > 0, else alpha (e^x - 1)), which keeps mean 0 and variance 1.

    Source: Klambauer et al., "Self-normalizing neural networks" (2017), where both numbers stand.

    >>> import minigrad as mg
    >>> selu(mg.tensor([0.0, 1.0]))
    tensor([0.0000, 1.0507])
    """
    if inplace:
        return written(selu, input)
    return Elu.apply(input, alpha=SELU_ALPHA) * SELU_SCALE


@public("function", "functional")
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x where x > 0, else alpha (e^(x / alpha) - 1), smooth at 0.

    Source: Barron, "Continuously differentiable exponential linear units" (2017).

    >>> import minigrad as mg
    >>> celu(mg.tensor([-1.0, 1.0]), 2.0)
    tensor([-0.7869,  1.0000])
    """
    if inplace:
        return written(celu, input, alpha)
    if not alpha:
        raise ArgumentError("celu: alpha must not be 0")
    return Elu.apply(input / float(alpha), alpha=1.0) * float(alpha)


@public("functional")
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x tanh(log(1 + e^x)).

    Source: Misra, "Mish: a self regularized non-monotonic activation function" (2019).

    >>> import minigrad as mg
    >>> mish(mg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8651])
    """
    if inplace:
        return written(mish, input)
    return input * Softplus.apply(input).tanh()


@public("functional")
def tanhshrink(input: Tensor) -> Tensor:
    """Return x - tanh(x).

    >>> import minigrad as mg
    >>> tanhshrink(mg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.2384])
    """
    return input - input.tanh()


@public("functional")
def softsign(input: Tensor) -> Tensor:
    """Return x / (1 + |x|).

    >>> import minigrad as mg
    >>> softsign(mg.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return input / (input.abs() + 1.0)


# ---------------------------------------------------------------- of straight pieces
@public("functional")
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x * relu6(x + 3) / 6.

    Source: Howard et al., "Searching for MobileNetV3" (2019).

    >>> import minigrad as mg
    >>> hardswish(mg.tensor([-1.0, 0.5, 3.0]))
    tensor([-0.3333,  0.2917,  3.0000])
    """
    if inplace:
        return written(hardswish, input)
    return Hardswish.apply(input)


@public("functional")
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Return relu6(x + 3) / 6.

    >>> import minigrad as mg
    >>> hardsigmoid(mg.tensor([-3.0, 0.0, 3.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    if inplace:
        return written(hardsigmoid, input)
    return Hardsigmoid.apply(input)


@public("function", "method", "functional")
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return 0 where |x| <= lambd, else x.

    >>> import minigrad as mg
    >>> hardshrink(mg.tensor([-1.0, 0.2]))
    tensor([-1.,  0.])
    """
    only_floating("hardshrink", input.array)
    return where(input.abs() <= lambd, 0.0, input)


@public("functional")
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return x moved towards 0 by lambd, 0 where that would pass it.

    Raises: ValueError for a negative lambd.

    >>> import minigrad as mg
    >>> softshrink(mg.tensor([-1.0, 0.2, 2.0]))
    tensor([-0.5000,  0.0000,  1.5000])
    """
    only_floating("softshrink", input.array)
    if lambd < 0:
        raise ArgumentError(f"softshrink: lambd must be at least 0, got {lambd}")
    return input - input.clamp(-float(lambd), float(lambd))


@public("function", "functional")
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Return the elements above `threshold`, `value` in place of the others.

    >>> import minigrad as mg
    >>> mg.threshold(mg.tensor([0.5, 2.0]), 1.0, 0.0)
    tensor([0., 2.])
    """
    if inplace:
        return written(threshold_function, input, threshold, value)
    return where(input <= threshold, tensor_of(value, input).to(input.dtype), input)


threshold_function = threshold


@public("function", "method", "functional")
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return x where x > 0, else weight * x.

    weight: one number, or one for each channel.
    Shape: input: (N, C, ...), weight: (1,) or (C,) -> input's.
    Source: He et al., "Delving deep into rectifiers" (2015).

    >>> import minigrad as mg
    >>> prelu(mg.tensor([-2.0, 1.0]), mg.tensor([0.25]))
    tensor([-0.5000,  1.0000])
    """
    if weight.ndim > 1:
        raise ArgumentError(
            f"prelu: expected a weight of at most one dimension, got {weight.shape}"
        )
    if input.array.dtype != weight.array.dtype:
        raise ArgumentTypeError(
            f"prelu: the input is {input.array.dtype}, the weight {weight.array.dtype}; convert one"
        )
    count = weight.numel()
    if count != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != count or not input.ndim:
            raise ArgumentError(
                f"prelu: {count} weights for an input of shape {input.shape}: expected one, or one "
                "for each channel, the second dimension"
            )
        weight = weight.reshape(count, *[1] * (input.ndim - 2))
    elif weight.ndim:
        weight = weight.reshape(())
    return where(input > 0, input, input * weight)


@public("function", "functional")
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Return x where x >= 0, else a x, with a drawn between lower and upper; their middle out of
    training.

    Source: Xu et al., "Empirical evaluation of rectified activations" (2015).

    >>> import minigrad as mg
    >>> rrelu(mg.tensor([-24.0, 1.0]))
    tensor([-5.5000,  1.0000])
    """
    if inplace:
        return written(rrelu, input, lower, upper, training)
    if not lower <= upper:
        raise ArgumentError(f"rrelu: lower {lower:g} is above upper {upper:g}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    only_floating("rrelu", input.array)
    u = rand(*input.shape, dtype=input.dtype, device=input.device)
    return where(input >= 0, input, input * (u * (upper - lower) + lower))


# ---------------------------------------------------------------- along a dimension
@public("functional")
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return a * sigmoid(b), of the halves a and b of the input along `dim`.

    Source: Dauphin et al., "Language modeling with gated convolutional networks" (2016).

    >>> import minigrad as mg
    >>> glu(mg.tensor([2.0, 4.0, 0.0, 0.0]))
    tensor([1., 2.])
    """
    only_floating("glu", input.array)
    if not input.ndim:
        raise ArgumentError("glu: a single number has no halves")
    axis = axis_of("glu", dim, input.ndim)
    n = input.shape[axis]
    if n % 2:
        raise ArgumentError(f"glu: size {n} of dim {dim} of shape {input.shape} is odd")
    first: Tensor = narrow(input, axis, 0, n // 2)
    return first * narrow(input, axis, n // 2, n // 2).sigmoid()


@public("functional")
def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """Return softmax(-x) along `dim`.

    >>> import minigrad as mg
    >>> softmin(mg.tensor([0.0, 1.0]), 0)
    tensor([0.7311, 0.2689])
    """
    return softmax(-input, dim, dtype)


@public("functional")
def gumbel_softmax(
    logits: Tensor, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Draw from the Gumbel-softmax distribution of `logits` along `dim`.

    tau: temperature, positive.  hard: give the one-hot vector of the largest; the gradient is that
    of the soft numbers.  eps: unused, as in PyTorch.
    Source: Jang et al., "Categorical reparameterization with Gumbel-softmax" (2017).

    >>> import minigrad as mg
    >>> gumbel_softmax(mg.zeros(2, 3), hard=True).sum(1)
    tensor([1., 1.])
    """
    only_floating("gumbel_softmax", logits.array)
    drawn = random.source(None).exponential(logits.array.shape, logits.array.dtype)
    noise = -Tensor(moved(drawn, logits.device)).clamp(min=2.0**-32).log()
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    largest = soft.detach().argmax(dim, keepdim=True)
    one: Tensor = scatter(zeros_like(soft), dim, largest, 1.0)
    return one - soft.detach() + soft


# ---------------------------------------------------------------- in place
@public("function", "functional")
def relu_(input: Tensor) -> Tensor:
    """Write `relu` of the input into its memory."""
    return written(relu, input)


@public("functional")
def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Write `elu` of the input into its memory."""
    return written(elu, input, alpha)


@public("functional")
def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Write `leaky_relu` of the input into its memory."""
    return written(leaky_relu, input, negative_slope)


@public("functional")
def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Write `hardtanh` of the input into its memory."""
    return written(hardtanh, input, min_val, max_val)


@public("function", "functional")
def selu_(input: Tensor) -> Tensor:
    """Write `selu` of the input into its memory."""
    return written(selu, input)


@public("function", "functional")
def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Write `celu` of the input into its memory."""
    return written(celu, input, alpha)


@public("function", "functional")
def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """Write `threshold` of the input into its memory."""
    return written(threshold_function, input, threshold, value)


@public("function", "functional")
def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """Write `rrelu` of the input into its memory."""
    return written(rrelu, input, lower, upper, training)
