"""Losses over classes: cross-entropy and negative log-likelihood; `minigrad.nn.functional`
re-exports them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.engine import arguments
from minigrad.engine.device import (
    BATCHED,
    device_of,
    host_copy,
    in_lanes,
    judge_later,
    kept_constant,
    lanes_of,
    moved,
    target_of,
)
from minigrad.engine.dispatch import empty, launch
from minigrad.engine.errors import ArgumentError, ArgumentTypeError
from minigrad.engine.grad_mode import mode, no_grad
from minigrad.engine.op import refuse_others
from minigrad.engine.recording import each_input, recording
from minigrad.nn.functional import means
from minigrad.ops.common import any_true, contiguous, extremes
from minigrad.ops.elementwise import where
from minigrad.ops.index import picked
from minigrad.ops.linalg import absent
from minigrad.ops.loss import CrossEntropy
from minigrad.ops.memory import cast
from minigrad.ops.norm import LogSoftmax
from minigrad.ops.reduce import Mean, Sum
from minigrad.ops.shape import Permute, Reshape
from minigrad.tensors.tensor import Tensor, new

Array = np.ndarray[Any, Any]

INT64 = np.dtype(np.int64)
REDUCTIONS = ("none", "mean", "sum")


def check_reduction(name: str, reduction: str) -> None:
    """Refuse an unknown reduction."""
    if reduction not in REDUCTIONS:
        raise ArgumentError(f"{name}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")


def reduction_of(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """Return the reduction that PyTorch's keywords of old ask for, where one of them is given.

    >>> reduction_of("mean", False, None), reduction_of("mean", None, False)
    ('sum', 'none')
    """
    if size_average is None and reduce is None:
        return reduction
    if reduce is not None and not reduce:
        return "none"
    return "sum" if size_average is not None and not size_average else "mean"


def not_tensors(name: str, input: Any, target: Any) -> TypeError:
    """Return the error for an input or a target that is no tensor."""
    kinds = f"{type(input).__name__} and {type(target).__name__}"
    return TypeError(f"{name}: expected input and target as tensors, got {kinds}")


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy of logits: w[t] * -log softmax(x)_t.

    target: class numbers, or probabilities in the input's shape.  weight: one factor a class.
    ignore_index: a class number whose rows count for nothing.
    label_smoothing: e in [0, 1]; the loss is (1-e) times the above plus e/C * sum_c w[c] * -log
        softmax(x)_c.
    reduction: "mean" divides by the summed weights of the targets that count (NaN if none does),
    for probabilities by the number of rows; "sum"; or "none".
    Shape: input: (N, C), (N, C, d1, ...) or (C,); target: the input's without C -> () or target's.
    Raises: ValueError for a class number outside [0, C).

    >>> import minigrad as mg
    >>> cross_entropy(mg.tensor([[0.0, 0.0]]), mg.tensor([1]))
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_reduction("cross_entropy", reduction)
    if type(ignore_index) is not int:
        ignore_index = arguments.whole("cross_entropy", "ignore_index", ignore_index)
    if type(label_smoothing) is not float:
        label_smoothing = arguments.number("cross_entropy", "label_smoothing", label_smoothing)
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(
            f"cross_entropy: label_smoothing must lie in [0, 1], got {label_smoothing}"
        )
    check_scores("cross_entropy", input, target, weight)
    if target.array.dtype.kind == "f":
        return _against_probabilities(
            input, target, weight, ignore_index, reduction, label_smoothing
        )
    rows, classes, shape = _rows("cross_entropy", input, target)
    ignored = check_classes("cross_entropy", classes, rows.array.shape[1], ignore_index, True)
    loss = CrossEntropy.apply(
        rows,
        target if is_vector(target.array) else new(classes),
        absent(rows) if weight is None else weight,
        ignore_index=ignore_index,
        smoothing=label_smoothing,
        reduction=reduction,
        gradient=bool(mode.recording and rows.requires_grad),
    )
    if reduction == "none" and loss.array.shape != shape:
        return Reshape.apply(loss, shape=shape)
    if means.watch.reports is not None:
        _say_mean(loss, classes, weight, ignore_index, ignored, reduction)
    return loss


def _against_probabilities(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """Return the cross-entropy against probabilities of the input's shape."""
    if target.array.shape != input.array.shape:
        raise ArgumentError(
            "cross_entropy: probabilities as target must have the input's shape "
            f"{input.array.shape}, got"
            f" {target.array.shape}; class numbers must be integers: convert them with .long()"
        )
    if ignore_index >= 0:
        raise ArgumentError(
            f"cross_entropy: ignore_index={ignore_index} applies to class numbers,"
            " not to probabilities"
        )
    axis = 0 if input.array.ndim == 1 else 1
    classes = input.array.shape[axis]
    if label_smoothing > 0:
        target = target * (1.0 - label_smoothing) + label_smoothing / classes
    terms = LogSoftmax.apply(input, axis=axis) * target
    if weight is not None:
        terms = terms * Reshape.apply(weight, shape=(-1, *(1,) * max(0, input.array.ndim - 2)))
    if reduction == "none":
        return -Sum.apply(terms, dim=axis)
    rows = input.array.size // classes if classes else 0
    result = -Sum.apply(terms)
    if reduction == "mean":
        result = result / float(rows)
    if means.watch.reports is not None:
        means.report(result, rows, reduction == "sum")
    return result


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return -w[t] * x_t of log-probabilities x.

    Shape: input: (N, C), (N, C, d1, ...) or (C,); target: integers, the input's shape without C.
    reduction: "mean" divides by the summed weights of the targets that count; "sum"; or "none".
    Raises: ValueError for a class number outside [0, C).

    >>> import minigrad as mg
    >>> nll_loss(mg.tensor([[-1.0, -2.0]]), mg.tensor([1]))
    tensor(2.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    check_reduction("nll_loss", reduction)
    ignore_index = arguments.whole("nll_loss", "ignore_index", ignore_index)
    check_scores("nll_loss", input, target, weight)
    if target.array.dtype.kind == "f":
        raise ArgumentTypeError(
            f"nll_loss: expected integer class numbers, got {target.array.dtype}; convert them "
            "with .long()"
        )
    if BATCHED:
        found = in_lanes("nll_loss", input, target, weight, ignore_index, reduction)
        if found is not None:
            return found
    rows, classes, shape = _rows("nll_loss", input, target)
    n, c = rows.array.shape
    on_device = n and target_of((classes,)) is not None
    if on_device and check_later("nll_loss", classes, c, ignore_index):
        return _compared(rows, classes, weight, ignore_index, reduction, shape)
    there, classes = device_of(rows.array), host_copy(classes)
    ignored = check_classes("nll_loss", classes, c, ignore_index)
    if recording.recorder is not None:
        ignored = bool((classes == ignore_index).any())  # which ends the recording
    live = classes != ignore_index
    safe = np.where(live, classes, 0) if ignored else classes
    flat = Reshape.apply(rows, shape=(n * c,))
    loss = -picked(flat, np.arange(n, dtype=np.int64) * c + safe)
    if weight is not None:
        loss = loss * picked(weight, safe)
    if ignored:
        loss = where(new(moved(live, there)), loss, 0.0)
    loss = _reduced(loss, classes, weight, ignore_index, ignored, reduction, shape)
    if means.watch.reports is not None:
        _say_mean(loss, classes, weight, ignore_index, ignored, reduction)
    return loss


def _compared(
    rows: Tensor,
    classes: Array,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    shape: tuple[int, ...],
) -> Tensor:
    """Return nll_loss by comparing class numbers, which are never read: a number out of range
    picks no score.
    """
    n, c = rows.array.shape
    numbers: Any = new(kept_constant(np.arange(c, dtype=INT64)[None], classes))
    given: Any = new(classes.reshape(n, 1))
    chosen, live = given == numbers, new(classes) != ignore_index
    loss = -where(chosen, rows, 0.0).sum(1)
    factors = cast(live, rows.array.dtype)
    if weight is not None:
        factors = factors * where(chosen, weight, 0.0).sum(1)
        loss = loss * factors
    loss = where(live, loss, 0.0)
    if reduction == "none":
        return loss.reshape(shape)
    return loss.sum() / factors.sum() if reduction == "mean" else loss.sum()


# ---------------------------------------------------------------- shared
def check_scores(name: str, input: Tensor, target: Tensor, weight: Tensor | None) -> None:
    """Refuse no tensors, an input without classes, and weights that are not one a class."""
    try:
        x = input.array
        target.array  # noqa: B018  (is it a tensor?)
    except AttributeError:
        raise not_tensors(name, input, target) from None
    if x.dtype.kind != "f":
        raise ArgumentTypeError(
            f"{name}: expected a floating input, got {x.dtype}; convert it with .float()"
        )
    if x.ndim == 0:
        raise ArgumentError(f"{name}: expected an input of shape (N, C), got a single number")
    if weight is not None:
        refuse_others(f"{name}: weight", (weight,))
        classes = x.shape[0 if x.ndim == 1 else 1]
        if weight.array.shape != (classes,):
            raise ArgumentError(
                f"{name}: weight has shape {weight.array.shape}, expected ({classes},): one a class"
            )
        if weight.array.dtype != x.dtype:
            raise ArgumentTypeError(
                f"{name}: weight is {weight.array.dtype}, the input {x.dtype}; convert one of them"
            )


def _rows(name: str, input: Tensor, target: Tensor) -> tuple[Tensor, Array, tuple[int, ...]]:
    """Return the input as (M, C), the targets as (M,) int64, and the shape of the targets."""
    x, t = input.array, target.array
    if t.dtype.kind not in "iu":
        raise ArgumentTypeError(
            f"{name}: expected integer class numbers, got {t.dtype}; convert them with .long()"
        )
    expected = x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()
    if t.shape != expected:
        raise ArgumentError(
            f"{name}: an input of shape {x.shape} (N, C, ...) needs a target of shape {expected}, "
            f"got {t.shape}"
        )
    rows = input
    if x.ndim == 1:
        rows = Reshape.apply(input, shape=(1, x.shape[0]))
    elif x.ndim > 2:
        moved = Permute.apply(input, axes=(0, *range(2, x.ndim), 1))
        rows = Reshape.apply(moved, shape=(t.size, x.shape[1]))
    # In memory of its own, but for a vector: backward reads it, and a tensor's version tells it of
    # changes.
    if t.dtype != INT64 or t.ndim != 1:
        t = t.astype(INT64)
    line = contiguous(t)
    return rows, line if line.ndim == 1 else line.reshape(-1), t.shape


def is_vector(t: Any) -> bool:
    """Return whether targets are as kernels take them."""
    return t.ndim == 1 and t.dtype == INT64 and bool(t.flags.c_contiguous)


def check_classes(
    name: str, classes: Array, count: int, ignore_index: int, later: bool = False
) -> bool:
    """Refuse class numbers outside [0, count); return whether some are `ignore_index`.

    later: whether the kernels that follow mind neither; those on a GPU are then judged there, and
        the error comes with the next read of the device.
    """
    if target_of((classes,)) is not None:
        if later and check_later(name, classes, count, ignore_index):
            return 0 <= ignore_index < count
        return _check_there(name, classes, count, ignore_index)
    if recording.recorder is not None and not recording.recorder.checking:
        each_input(lambda c: check_classes(name, c, count, ignore_index), classes)
        return False
    # Seen as unsigned, a negative number is a huge one: one pass tells whether all are in range.
    if not classes.size or int(classes.view(np.uint64).max()) < count:
        return 0 <= ignore_index < count and bool((classes == ignore_index).any())
    ignored = classes == ignore_index
    wrong = ((classes < 0) | (classes >= count)) & ~ignored
    if wrong.any():
        at = int(wrong.argmax())
        raise ArgumentError(
            f"{name}: target {int(classes[at])} at position {at} is out of range for {count} "
            "classes:"
            f" expected 0 to {count - 1}, or ignore_index={ignore_index}"
        )
    return True


def check_later(name: str, classes: Any, count: int, ignore_index: int) -> bool:
    """Have classes on a GPU judged there, without a wait; return False for any other device."""
    if means.watch.reports is not None:
        return False

    def refuse(read: Any) -> None:
        check_classes(name, read, count, ignore_index)

    return judge_later(classes, count, ignore_index, refuse)


def _check_there(name: str, classes: Any, count: int, ignore_index: int) -> bool:
    """Check classes on a device: two numbers are read, all of them where there is an error."""
    if not classes.size:
        return False
    held = lanes_of(classes)
    if held is not None:  # under vmap: of all lanes
        return check_classes(name, np.ascontiguousarray(held).reshape(-1), count, ignore_index)
    low, high = extremes(classes)
    t = new(classes)
    if low >= 0 and high < count:
        return 0 <= ignore_index < count and any_true((t == ignore_index).array)
    if any_true((((t < 0) | (t >= count)) & (t != ignore_index)).array):
        check_classes(name, classes.read(), count, ignore_index)
    return True


def _reduced(
    loss: Any,
    classes: Array,
    weight: Tensor | None,
    ignore_index: int,
    ignored: bool,
    reduction: str,
    shape: tuple[int, ...],
) -> Tensor:
    """Reduce one loss a row; the mean is over the summed weights of the rows that count."""
    if reduction == "none":
        return loss if loss.array.shape == shape else Reshape.apply(loss, shape=shape)
    if reduction == "sum":
        return Sum.apply(loss)
    if not ignored and weight is None:
        return Mean.apply(loss)
    kept = classes[classes != ignore_index] if ignored else classes
    if weight is None:
        divisor = float(kept.size)
    else:
        divisor = float(host_copy(weight.array)[kept].sum(dtype=np.float64))
    return Sum.apply(loss) / divisor


EXACT = 1 << 24  # whole numbers up to which float32 has them all


def _say_mean(
    loss: Tensor,
    classes: Array,
    weight: Tensor | None,
    ignore_index: int,
    ignored: bool,
    reduction: str,
) -> None:
    """Report the summed weights of the targets that count."""
    if reduction == "none":
        return
    divisor: Any = classes.size
    if target_of((classes,)) is not None:
        if ignored or weight is not None:
            kept = host_copy(classes)
            kept = kept[kept != ignore_index] if ignored else kept
            divisor = float(kept.size)
            if weight is not None:
                divisor = float(host_copy(weight.array)[kept].sum(dtype=np.float64))
    elif ignored or weight is not None or recording.recorder is not None:
        # Other batches may ignore some.  The kernel has counted already, in the loss's dtype.
        counted = getattr(loss.node, "divisor", None) if reduction == "mean" else None
        if weight is None and counted is not None and classes.size < EXACT:
            divisor = new(counted)
        else:
            divisor = _divisor(new(classes), weight, ignore_index)
    means.report(loss, divisor, reduction == "sum")


def _divisor(classes: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """Return the summed weights of the targets that count, () float64 or their number, by kernels
    alone: a recording reads no numbers.
    """
    live = classes != ignore_index
    if weight is None:
        return live.sum()
    found = empty(classes.array.shape, weight.array.dtype)
    with no_grad():
        launch("take_flat", contiguous(weight.array), where(live, classes, 0).array, found)
        return where(live, new(found).double(), 0.0).sum()
