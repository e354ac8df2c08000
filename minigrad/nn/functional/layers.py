"""Linear, dropout and normalisations as functions; `minigrad.nn.functional` re-exports them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.engine import arguments, random
from minigrad.engine.device import filled
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import refuse_others
from minigrad.engine.overwrite import check_writable, overlap
from minigrad.nn.functional.activations import written
from minigrad.ops.common import Array, sizes_of
from minigrad.ops.dropout import dropped
from minigrad.ops.linalg import absent
from minigrad.ops.linalg import linear as _linear
from minigrad.ops.linalg import linear_activation as linear_activation
from minigrad.ops.norm import BatchNorm, BatchNormDropout, BatchNormEval, LayerNorm, check_channels
from minigrad.ops.registry import public
from minigrad.ops.unary import Relu
from minigrad.tensors.tensor import Tensor, new


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x W^T + b.

    Shape: input: (..., in), weight: (out, in), bias: (out,) -> (..., out).

    >>> import minigrad as mg
    >>> linear(mg.ones(1, 2), mg.tensor([[1.0, 2.0]]))
    tensor([[3.]])
    """
    return _linear(input, weight, bias)


# ---------------------------------------------------------------- dropout
def check_dropout(p: float, scaling: str) -> None:
    """Refuse a probability outside [0, 1] and an unknown scaling."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"dropout: p is the probability to drop, expected 0 <= p <= 1, got {p}")
    if scaling not in ("inverted", "classical"):
        raise ArgumentError(f"dropout: scaling must be 'inverted' or 'classical', got {scaling!r}")


@public("functional", "function")
def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: random.Generator | None = None,
    scaling: str = "inverted",
) -> Tensor:
    """Set each element to 0 with probability `p`.

    inplace: write the result into the input.

    scaling: "inverted" multiplies what is kept by 1 / (1 - p) in training; "classical" multiplies
    by 1 - p in evaluation instead.  p = 0 returns the same tensor; p = 1 gives zeros, for infinite
    inputs too.
    generator: whose stream the mask is drawn from; the default one if None.
    Source: Srivastava et al., "Dropout" (JMLR 2014), whose scaling is the classical one.

    >>> import minigrad as mg
    >>> dropout(mg.ones(2), training=False)
    tensor([1., 1.])
    """
    if type(p) is not float:
        p = arguments.number("dropout", "p", p)
    check_dropout(p, scaling)
    if inplace:
        return written(dropout, input, p, training, generator=generator, scaling=scaling)
    if p == 0:
        return input
    inverted = scaling == "inverted"
    if not training:
        return input if inverted else input * (1.0 - p)
    scale = 1 / (1 - p) if inverted and p < 1 else 1.0
    return dropped(input, p, scale, generator or random.default)


# ---------------------------------------------------------------- normalisations
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel: (x - mean) / sqrt(var + eps) * weight + bias.

    training: use the statistics of the batch (biased variance) and move the running ones, if given,
    by `momentum` towards them (unbiased variance); otherwise use the running ones as constants.
    Shape: input: (N, C, ...), all others (C,) -> input's.
    Raises: ValueError where batch statistics are used and there is one value a channel, and for an
        eps that is not positive.
    Source: Ioffe and Szegedy, "Batch normalization" (ICML 2015), section 3.

    >>> import minigrad as mg
    >>> batch_norm(mg.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    try:
        x = input.array
    except AttributeError:
        refuse_others("batch_norm", (input,))
        raise
    if type(eps) is not float:
        eps = arguments.number("batch_norm", "eps", eps)
    check_statistics("batch_norm", running_mean, running_var, eps)
    check_channels(
        "batch_norm",
        x,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    scale, shift = scale_and_shift(input, weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: training=False needs running_mean and running_var")
        y = BatchNormEval.apply(input, scale, shift, running_mean, running_var, eps=float(eps))
        return y
    if not x.size:
        return of_nothing(input, weight, bias)
    check_count("batch_norm", x)
    if type(momentum) is not float:
        momentum = arguments.number("batch_norm", "momentum", momentum)
    if running_mean is None or running_var is None:
        return BatchNorm.apply(input, scale, shift, eps=float(eps))
    check_running("batch_norm", running_mean.array, running_var.array)
    running = (running_mean.array, running_var.array, np.array([momentum], np.float64))
    y = BatchNorm.apply(input, scale, shift, eps=float(eps), running=running)
    running_mean.bump_version("by batch_norm")
    running_var.bump_version("by batch_norm")
    return y


def of_nothing(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the norm of an input without elements, which has no statistics and changes none."""
    sizes = (1, -1, *(1,) * (input.ndim - 2)) if input.shape[1] else (1, 0)
    y = input if weight is None else input * weight.reshape(*sizes)
    return y * 1 if bias is None else y + bias.reshape(*sizes)


def scale_and_shift(
    input: Tensor, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the weight and the bias as the kernels take them: both, or both empty."""
    x = input.array
    if weight is None and bias is None:
        none = absent(input)
        return none, none
    scale = new(filled(x.shape[1], 1, x.dtype, x)) if weight is None else weight
    return scale, new(filled(x.shape[1], 0, x.dtype, x)) if bias is None else bias


def check_statistics(name: str, mean: Tensor | None, var: Tensor | None, eps: float) -> None:
    """Refuse one running statistic without the other, and an eps that is not positive."""
    if not eps > 0:
        raise ArgumentError(f"{name}: eps must be positive, got {eps!r}")
    if (mean is None) is not (var is None):
        raise ArgumentError(f"{name}: give both running_mean and running_var, or neither")


def check_running(name: str, mean: Array, var: Array) -> None:
    """Refuse statistics that cannot be written, or lie in one memory."""
    check_writable(mean, f"{name}: running_mean")
    check_writable(var, f"{name}: running_var")
    if overlap(mean, var):
        raise ArgumentError(
            f"{name}: running_mean and running_var share memory; clone() one of them"
        )


def check_count(name: str, x: Array) -> None:
    """Refuse batch statistics of fewer than two values a channel."""
    count = x.size // x.shape[1] if x.shape[1] else 0
    if count <= 1:
        raise ArgumentError(
            f"{name}: expected more than one value per channel for batch statistics,"
            f" got {count} in an input of shape {x.shape}; use drop_last=True in the loader,"
            " or eval() to use the running statistics"
        )


def batch_norm_activation_dropout(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = "relu",
    p: float = 0.5,
    *,
    generator: random.Generator | None = None,
    scaling: str = "inverted",
) -> Tensor:
    """Return dropout(activation(batch_norm(x))), in training on (N, C) as one op.

    The bits are those of `batch_norm`, `relu` and `dropout` one after the other, with the same
    random call; images (N, C, ...), evaluation and p = 0 or 1 run just these three.
    activation: "relu" or None.  All else: as `batch_norm` and `dropout` take it.
    Shape: input: (N, C, ...), all others (C,) -> input's.

    >>> import minigrad as mg
    >>> x = mg.tensor([[1.0], [3.0]])
    >>> batch_norm_activation_dropout(x, None, None, training=True, p=0.0)
    tensor([[0.0000],
            [1.0000]])
    """
    name = "batch_norm_activation_dropout"
    if activation not in ("relu", None):
        raise ArgumentError(f"{name}: activation must be 'relu' or None, got {activation!r}")
    if type(p) is not float:
        p = arguments.number(name, "p", p)
    check_dropout(p, scaling)
    check_statistics(name, running_mean, running_var, eps)
    x = input.array
    statistics = running_mean, running_var
    if not training or p in (0, 1) or x.ndim != 2:
        z = batch_norm(input, *statistics, weight, bias, training, momentum, eps)
        y = Relu.apply(z) if activation else z
        return dropout(y, p, training, generator=generator, scaling=scaling)
    named = {"running_mean": running_mean, "running_var": running_var}
    check_channels(name, x, **named, weight=weight, bias=bias)
    check_count(name, x)
    stream = generator or random.default
    running = None
    if running_mean is not None and running_var is not None:
        check_running(name, running_mean.array, running_var.array)
        running = (running_mean.array, running_var.array, np.array([momentum], np.float64))
    y = BatchNormDropout.apply(
        input,
        *scale_and_shift(input, weight, bias),
        eps=float(eps),
        relu=activation is not None,
        p=p,
        scale=1 / (1 - p) if scaling == "inverted" else 1.0,
        seed=stream.seed,
        stream=stream.stream,
        call=stream.next_call(),
        running=running,
    )
    if running_mean is not None and running_var is not None:
        running_mean.bump_version(f"by {name}")
        running_var.bump_version(f"by {name}")
    return y


@public("functional", "function")
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each sample over its last dimensions: (x - mean) / sqrt(var + eps) * weight + bias.

    Shape: input: (..., *normalized_shape), weight and bias: normalized_shape -> input's.
    Source: Ba, Kiros and Hinton, "Layer normalization" (2016).

    >>> import minigrad as mg
    >>> layer_norm(mg.tensor([[1.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    try:
        x = input.array
    except AttributeError:
        refuse_others("layer_norm", (input,))
        raise
    if type(eps) is not float:
        eps = arguments.number("layer_norm", "eps", eps)
    shape = sizes_of((normalized_shape,))
    if not shape or x.shape[x.ndim - len(shape) :] != shape or x.ndim < len(shape):
        raise ArgumentError(
            f"layer_norm: an input of shape {x.shape} does not end in normalized_shape {shape}"
        )
    if x.dtype.kind != "f":
        raise ArgumentTypeError(
            f"layer_norm: expected a floating input, got {x.dtype}; convert it with .float()"
        )
    for name, t in (("weight", weight), ("bias", bias)):
        if t is None:
            continue
        try:
            held = t.array
        except AttributeError:
            refuse_others(f"layer_norm: {name}", (t,))
            raise
        if held.shape != shape:
            raise ArgumentError(f"layer_norm: {name} has shape {t.array.shape}, expected {shape}")
        if t.array.dtype != x.dtype:
            raise ArgumentTypeError(
                f"layer_norm: {name} is {t.array.dtype}, the input {x.dtype}; convert one of them"
            )
    if weight is None:
        # The kernel sums the bias's gradient beside the weight's.
        scale = absent(input) if bias is None else new(filled(shape, 1, x.dtype, x))
    else:
        scale = weight
    shift = absent(input) if bias is None else bias
    return LayerNorm.apply(input, scale, shift, dims=len(shape), eps=float(eps))


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Return x divided by its p-norm along `dim`, or by `eps` where that is larger.

    >>> import minigrad as mg
    >>> normalize(mg.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    refuse_others("normalize", (input,))
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps)
