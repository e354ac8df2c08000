"""Losses between distributions, of margins and of likeness; `minigrad.nn.functional` re-exports
them.

`size_average` and `reduce` are PyTorch's keywords of old for `reduction`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.nn.functional import means, regression
from minigrad.nn.functional.classification import check_reduction, cross_entropy, reduction_of
from minigrad.nn.functional.distances import pairwise_distance
from minigrad.nn.functional.late import judged_there
from minigrad.nn.functional.layers import linear
from minigrad.ops.arranging import beside, kept_beside
from minigrad.ops.elementwise import where
from minigrad.ops.grammar import host
from minigrad.ops.index import gather
from minigrad.ops.registry import public
from minigrad.ops.unary import LogSigmoid, Softplus

Old = bool | None


def reduced(name: str, loss: Any, reduction: str) -> Any:
    """Return a loss as it is, its sum, or its mean; say what it is the mean of."""
    check_reduction(name, reduction)
    return regression.reduced(loss, None, reduction)


# ---------------------------------------------------------------- distributions
@public("functional")
def kl_div(
    input: Any,
    target: Any,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """Return t (log t - x) of log-probabilities x, 0 where t is 0; log_target: t is a logarithm.

    reduction: "batchmean" is the divergence, the sum over the number of rows; "mean" divides by
        the number of elements.
    Source: Kullback and Leibler, "On information and sufficiency" (1951).

    >>> import minigrad as mg
    >>> kl_div(mg.tensor([[-1.0, -1.0]]), mg.tensor([[0.5, 0.0]]), reduction="sum")
    tensor(0.1534)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        some = target != 0  # a negative one gives NaN
        safe = where(some, target, 1.0)
        loss = where(some, safe * safe.log(), 0.0) - target * input
    if reduction == "batchmean":
        rows = input.shape[0] if input.ndim else 1
        result = loss.sum() / rows
        means.report(result, rows)
        return result
    return reduced("kl_div", loss, reduction)


@public("functional")
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: Old = None,
    eps: float = 1e-8,
    reduce: Old = None,
    reduction: str = "mean",
) -> Any:
    """Return e^x - t x of the logarithm of a rate, or x - t log(x + eps) of the rate itself.

    full: with Stirling's approximation of log(t!) where t > 1.
    """
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        large = target > 1
        t = where(large, target, 1.0)
        loss = loss + where(large, t * t.log() - t + 0.5 * (2 * math.pi * t).log(), 0.0)
    return reduced("poisson_nll_loss", loss, reduction_of(reduction, size_average, reduce))


def check_variance(var: Any) -> None:
    """Refuse negative variances; of those on a device one number is read."""
    if bool((var < 0).any()):
        raise ArgumentError("gaussian_nll_loss: var must not be negative")


@public("functional")
def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """Return (log v + (x - t)^2 / v) / 2, v the variance or a number, at least `eps`.

    full: with the constant log(2 pi) / 2.
    """
    if not hasattr(var, "array"):
        var = input * 0 + var
    if var.shape != input.shape and input.shape[:-1] == var.shape:
        var = var.unsqueeze(-1)
    if np.broadcast_shapes(tuple(input.shape), tuple(var.shape)) != tuple(input.shape):
        raise ArgumentError(f"gaussian_nll_loss: var {var.shape} does not fit input {input.shape}")
    if not judged_there(var, lambda t: t < 0, partial(check_variance, var.detach())):
        check_variance(var)
    small = var.detach() < eps
    v = where(small, var - var.detach() + eps, var)
    gap = input - target
    loss = 0.5 * (v.log() + gap * gap / v)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced("gaussian_nll_loss", loss, reduction)


# ---------------------------------------------------------------- margins
@public("functional")
def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Any:
    """Return x where t is 1, max(0, margin - x) where t is -1.

    >>> import minigrad as mg
    >>> hinge_embedding_loss(mg.tensor([2.0, 0.5]), mg.tensor([1.0, -1.0]), reduction="none")
    tensor([2.0000, 0.5000])
    """
    far = where(target != 1, (margin - input).clamp(min=0.0), 0.0)
    near = where(target != -1, input, 0.0)
    loss = near + far
    return reduced("hinge_embedding_loss", loss, reduction_of(reduction, size_average, reduce))


@public("functional")
def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Any:
    """Return max(0, -t (x1 - x2) + margin): t = 1 asks x1 to be larger, -1 x2."""
    if not input1.ndim == input2.ndim == target.ndim:
        raise ArgumentError(
            f"margin_ranking_loss: expected as many dimensions, got {input1.shape}, "
            f"{input2.shape} and {target.shape}"
        )
    loss = (margin - target * (input1 - input2)).clamp(min=0.0)
    return reduced("margin_ranking_loss", loss, reduction_of(reduction, size_average, reduce))


@public("functional")
def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Any:
    """Return 1 - cos(x1, x2) where t is 1, max(0, cos(x1, x2) - margin) where t is -1.

    Shape: input1, input2: (N, D), target: (N,); or (D,) with a single target.
    """
    if target.ndim > 1 or target.ndim + 1 != max(input1.ndim, input2.ndim):
        raise ArgumentError(
            f"cosine_embedding_loss: expected (N, D), (N, D) and (N,), or (D,), (D,) and (), got "
            f"{input1.shape}, {input2.shape} and {target.shape}"
        )
    tiny = 1e-12
    squares = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    likeness = (input1 * input2).sum(-1) / squares.sqrt()
    near = where(target == 1, 1 - likeness, 0.0)
    loss = near + where(target == -1, (likeness - margin).clamp(min=0.0), 0.0)
    return reduced("cosine_embedding_loss", loss, reduction_of(reduction, size_average, reduce))


@public("functional")
def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Any:
    """Return log(1 + e^(-t x)) of targets 1 and -1, without overflow."""
    loss = Softplus.apply(-(target * input))
    return reduced("soft_margin_loss", loss, reduction_of(reduction, size_average, reduce))


@public("functional")
def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """Return the cross-entropy of the logits x W^T + b; see `cross_entropy`.

    linear_weight: (C, in_features), or (C, d1, ..., in_features) for logits (N, C, d1, ...), which
        takes a batch.  linear_bias: its shape without in_features.  ignore_index: -100 if None.
    options: how PyTorch cuts the work into parts; the numbers are the same, and it does nothing
        here.
    Shape: input: (N, in_features) or (in_features,), target: see `cross_entropy` -> () or target's.
    Raises: ValueError for shapes that do not fit.

    >>> import minigrad as mg
    >>> linear_cross_entropy(mg.zeros(1, 3), mg.ones(2, 3), mg.tensor([1]))
    tensor(0.6931)
    """
    classes, *sizes, features = linear_weight.shape
    if input.ndim not in (1, 2) or (sizes and input.ndim == 1) or input.shape[-1] != features:
        raise ArgumentError(
            f"linear_cross_entropy: input {input.shape} and linear_weight {linear_weight.shape} do "
            "not fit: expected (N, in_features) and (C, in_features)"
        )
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(input, linear_weight.reshape(-1, features), bias)
    return cross_entropy(
        logits.reshape(*input.shape[:-1], classes, *sizes),
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


@public("functional")
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Any:
    """Return the mean over the classes i but t of max(0, margin - x_t + x_i)^p, times weight_t.

    Shape: input: (N, C) or (C,), target: (N,) or () -> () or target's.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_reduction("multi_margin_loss", reduction)
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss: p must be 1 or 2, got {p}")
    if weight is not None and tuple(weight.shape) != (tuple(input.shape[-1:]) or (1,)):
        raise ArgumentError(
            f"multi_margin_loss: expected one weight a class, got {weight.shape} for {input.shape}"
        )
    x = input if input.ndim > 1 else input.reshape(1, -1)
    t = target.reshape(-1)
    if len(t.shape) != 1 or t.shape[0] != x.shape[0]:
        raise ArgumentError(
            f"multi_margin_loss: target {target.shape} does not fit the input {input.shape}"
        )
    own = gather(x, 1, t.reshape(-1, 1))
    gap = (margin - own + x).clamp(min=0.0)
    gap = gap * gap if p == 2 else gap
    if weight is not None:
        gap = gap * gather(weight, 0, t).reshape(-1, 1)
    others = t.reshape(-1, 1) != kept_beside(np.arange(x.shape[1]), x)
    loss = where(others, gap, 0.0).sum(1) / max(x.shape[1], 1)
    loss = loss if target.ndim else loss.reshape(())
    return reduced("multi_margin_loss", loss, reduction)


@public("functional")
def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Any:
    """Return the sum over labels t and other classes i of max(0, 1 - (x_t - x_i)) / C.

    target: class numbers, up to the first -1 of each row.  Shape: both (N, C) or (C,).
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_reduction("multilabel_margin_loss", reduction)
    if target.dtype.is_floating_point:
        raise ArgumentTypeError(
            f"multilabel_margin_loss: expected class numbers as target, got {target.dtype}; use "
            ".long()"
        )
    if input.shape != target.shape or input.ndim > 2:
        raise ArgumentError(
            f"multilabel_margin_loss: expected (N, C) or (C,) twice, got {input.shape} and "
            f"{target.shape}"
        )
    x = input.reshape(-1, input.shape[-1] if input.ndim else 1)
    t = host(target).reshape(x.shape)
    valid = np.cumprod(t >= 0, axis=1).astype(bool)
    n, classes = x.shape
    labelled = np.zeros((n, classes), bool)
    rows, places = valid.nonzero()
    labelled[rows, t[rows, places]] = True
    own = gather(x, 1, beside(np.where(valid, t, 0), x))
    gap = (1 - own.reshape(n, classes, 1) + x.reshape(n, 1, classes)).clamp(min=0.0)
    counts = valid[:, :, None] & ~labelled[:, None, :]
    loss = where(beside(counts, x), gap, 0.0).sum((1, 2)) / max(classes, 1)
    loss = loss if input.ndim > 1 else loss.reshape(())
    return reduced("multilabel_margin_loss", loss, reduction)


@public("functional")
def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Any:
    """Return the mean over classes of -(t log s(x) + (1 - t) log s(-x)), s the sigmoid."""
    loss = -(target * LogSigmoid.apply(input) + (1 - target) * LogSigmoid.apply(-input))
    loss = loss if weight is None else loss * weight
    loss = loss.sum(-1) / input.shape[-1]
    name = "multilabel_soft_margin_loss"
    return reduced(name, loss, reduction_of(reduction, size_average, reduce))


@public("functional")
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Old = None,
    reduce: Old = None,
    reduction: str = "mean",
) -> Any:
    """Return max(0, |a - p| - |a - n| + margin), distances of `pairwise_distance`.

    swap: take the smaller of |a - n| and |p - n|.
    Source: Schroff et al., "FaceNet" (2015); Balntas et al., "Learning local feature descriptors
        with triplets" (2016) for the swap.
    """

    def distance(x: Any, y: Any) -> Any:
        return pairwise_distance(x, y, p, eps)

    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance,
        margin=margin,
        swap=swap,
        reduction=reduction_of(reduction, size_average, reduce),
    )


@public("functional")
def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Return max(0, d(a, p) - d(a, n) + margin) for a distance d; see `triplet_margin_loss`."""
    if margin <= 0:
        raise ArgumentError(f"triplet_margin_loss: margin must be positive, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ArgumentError(
            f"triplet_margin_loss: expected as many dimensions, got {anchor.shape}, "
            f"{positive.shape} and {negative.shape}"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduced("triplet_margin_loss", (margin + near - far).clamp(min=0.0), reduction)
