"""Losses between numbers of one shape; `minigrad.nn.functional` re-exports them.

Shapes must match: a (N,) against (N, 1) that would broadcast to (N, N) raises.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from minigrad.engine import arguments
from minigrad.engine.dtypes import result_dtype
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.op import refuse_others
from minigrad.nn.functional import means
from minigrad.nn.functional.classification import (
    check_reduction,
    not_tensors,
    reduction_of,
)
from minigrad.nn.functional.late import judged_there
from minigrad.ops.common import extremes
from minigrad.ops.loss import BceLogits, BceLogitsWeighted, BinaryCrossEntropy, Huber
from minigrad.ops.memory import cast
from minigrad.ops.reduce import Mean, Sum
from minigrad.ops.unary import Abs
from minigrad.tensors.creation import zeros_like
from minigrad.tensors.tensor import Tensor


def check_pair(
    name: str, input: Tensor, target: Tensor, reduction: str, either: bool = False
) -> None:
    """Refuse an unknown reduction, integers, and shapes that differ.

    either: whether a floating target will do.
    """
    check_reduction(name, reduction)
    try:
        shape, targets = input.array.shape, target.array.shape
    except AttributeError:
        raise not_tensors(name, input, target) from None
    if shape != targets:
        raise ArgumentError(
            f"{name}: input and target must have one shape, got {input.array.shape} and"
            f" {target.array.shape}; nothing is broadcast here: reshape one, e.g. with squeeze(1)"
        )
    if input.array.dtype.kind != "f" and not (either and target.array.dtype.kind == "f"):
        raise ArgumentTypeError(
            f"{name}: expected a floating input, got {input.array.dtype}; convert it with .float()"
        )


def reduced(loss: Tensor, weight: Tensor | None, reduction: str, divide: bool = False) -> Tensor:
    """Weight and reduce; `divide` makes the mean one over the summed weights."""
    count = loss.array.size
    by_weights = divide and weight is not None
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        result = Sum.apply(loss)
    elif by_weights:
        result = Sum.apply(loss) / Sum.apply(weight)
    else:
        result = Mean.apply(loss)
    if means.watch.reports is not None:
        divisor = Sum.apply(weight).detach() if by_weights else count
        means.report(result, divisor, reduction == "sum")
    return result


def difference(input: Tensor, target: Tensor) -> Tensor:
    """Return x - t, a bool among them as 0 or 1."""
    if target.array.dtype.kind == "b":
        target = target.to(input.dtype)
    elif input.array.dtype.kind == "b":
        input = input.to(target.dtype)
    return input - target


def check_weight(name: str, weight: Tensor | None, input: Tensor) -> None:
    """Refuse weights that would make the loss larger than the input."""
    if weight is None:
        return
    refuse_others(name, (weight,))
    shape, wanted = weight.array.shape, input.array.shape
    lead = len(wanted) - len(shape)
    fits = lead >= 0 and all(n in (1, m) for n, m in zip(shape, wanted[lead:], strict=True))
    if not fits:
        raise ArgumentError(
            f"{name} has shape {shape}, which does not broadcast to the input's {wanted}"
        )


def check_same(name: str, weight: Tensor | None, input: Tensor) -> None:
    """Refuse weights that are not one an element."""
    if weight is not None:
        refuse_others(name, (weight,))
    if weight is not None and weight.array.shape != input.array.shape:
        raise ArgumentError(
            f"{name} has shape {weight.array.shape}, expected the input's {input.array.shape}"
        )


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Return (x - t)^2.

    weight: factors in the input's shape.
    reduction: "mean" (divided by the sum of the weights, if given), "sum" or "none".
    Shape: input, target: one shape -> () or that shape.

    >>> import minigrad as mg
    >>> mse_loss(mg.tensor([1.0, 3.0]), mg.tensor([1.0, 1.0]))
    tensor(2.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_pair("mse_loss", input, target, reduction, either=True)
    check_same("mse_loss: weight", weight, input)
    gap = difference(input, target)
    return reduced(gap * gap, weight, reduction, divide=True)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Return |x - t|; the derivative where they are equal is 0.  See `mse_loss` for the options.

    >>> import minigrad as mg
    >>> l1_loss(mg.tensor([1.0, 3.0]), mg.tensor([1.0, 1.0]))
    tensor(1.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_pair("l1_loss", input, target, reduction, either=True)
    check_same("l1_loss: weight", weight, input)
    return reduced(Abs.apply(difference(input, target)), weight, reduction, divide=True)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Return d^2 / (2 beta) where d = |x - t| < beta, else d - beta / 2.

    beta: 0 or more; 0 is `l1_loss`.  It is `huber_loss` divided by beta.
    Source: Girshick, "Fast R-CNN" (2015), equation 3.

    >>> import minigrad as mg
    >>> smooth_l1_loss(mg.tensor([0.5, 3.0]), mg.zeros(2), reduction="none")
    tensor([0.1250, 2.5000])
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_pair("smooth_l1_loss", input, target, reduction, either=True)
    if type(beta) is not float:
        beta = arguments.number("smooth_l1_loss", "beta", beta)
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if not beta:
        return reduced(Abs.apply(difference(input, target)), None, reduction)
    found = _half_square_then_line(input, target, beta)
    return reduced(found if beta == 1 else found / float(beta), None, reduction)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Return d^2 / 2 where d = |x - t| <= delta, else delta (d - delta / 2).

    delta: positive.  weight: factors in the input's shape; the mean does not divide by them.
    Source: Huber, "Robust estimation of a location parameter" (1964).

    >>> import minigrad as mg
    >>> huber_loss(mg.tensor([0.5, 3.0]), mg.zeros(2), reduction="none")
    tensor([0.1250, 2.5000])
    """
    check_pair("huber_loss", input, target, reduction)
    check_same("huber_loss: weight", weight, input)
    if type(delta) is not float:
        delta = arguments.number("huber_loss", "delta", delta)
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    return reduced(_half_square_then_line(input, target, delta), weight, reduction)


def _half_square_then_line(input: Tensor, target: Tensor, delta: float) -> Tensor:
    """Return half the square of the gap up to delta, a line beyond."""
    if input.array.dtype != target.array.dtype:
        gap = difference(input, target)
        input, target = gap, zeros_like(gap)
    return Huber.apply(input, target, delta=float(delta))


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return -(t log x + (1 - t) log(1 - x)) of probabilities x, logs not below -100.

    From logits use `binary_cross_entropy_with_logits`, which loses nothing near 0 and 1.
    weight: factors that broadcast to the input.
    Shape: input, target: one shape -> () or that shape.
    Raises: ValueError for an input outside [0, 1]; from a GPU with the next number that is read.

    >>> import minigrad as mg
    >>> binary_cross_entropy(mg.tensor([0.5]), mg.tensor([1.0]))
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_pair("binary_cross_entropy", input, target, reduction)
    check_weight("binary_cross_entropy: weight", weight, input)
    x = input.array
    if not judged_there(input, lambda t: ~((t >= 0) & (t <= 1)), partial(check_probabilities, x)):
        check_probabilities(x)
    if target.array.dtype != x.dtype:
        target = target.to(input.dtype)
    return reduced(BinaryCrossEntropy.apply(input, target), weight, reduction)


def check_probabilities(x: Any) -> None:
    """Refuse numbers outside [0, 1]; of those on a device two are read."""
    low, high = extremes(x) if x.size else (0.0, 1.0)
    if not (low >= 0 and high <= 1):
        worst = low if not low >= 0 else high
        raise ArgumentError(
            f"binary_cross_entropy: expected probabilities in [0, 1], got {worst};"
            " apply sigmoid, or give logits to binary_cross_entropy_with_logits"
        )


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Return -(q t log s(x) + (1 - t) log(1 - s(x))) of logits x, s the sigmoid, at any x.

    pos_weight: q, a factor for the positive targets, one a class.  weight: factors for all.
    Both broadcast to the input.
    Shape: input, target: one shape -> () or that shape.

    >>> import minigrad as mg
    >>> binary_cross_entropy_with_logits(mg.tensor([1e4, -1e4]), mg.tensor([0.0, 0.0]))
    tensor(5000.)
    """
    name = "binary_cross_entropy_with_logits"
    reduction = reduction_of(reduction, size_average, reduce)
    check_pair(name, input, target, reduction)
    check_weight(f"{name}: weight", weight, input)
    check_weight(f"{name}: pos_weight", pos_weight, input)
    if target.array.dtype.kind != "f":
        target = target.to(input.dtype)
    if target.array.dtype != input.array.dtype:
        dtype = result_dtype(input.array, target.array)
        input, target = cast(input, dtype), cast(target, dtype)
    if pos_weight is None:
        return reduced(BceLogits.apply(input, target), weight, reduction)
    pos_weight = cast(pos_weight, input.dtype)
    return reduced(BceLogitsWeighted.apply(input, target, pos_weight), weight, reduction)
