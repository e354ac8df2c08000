"""Cross-entropy from logits: a loss a row, their mean or sum, and the gradient of that in one pass.

With log p = log_softmax(x), smoothing e and class weights w (1 where there are none), for target t:

    loss = (1 - e) * w[t] * -log p[t] + e / C * sum_c w[c] * -log p[c]
    dx = scale * ((1 - e) * w[t] * (p - onehot(t)) + e / C * (p * sum w - w))

and both are 0 where t == ignore_index.  total = sum loss / divisor, divisor = sum w[t] over the
rows that count for a mean, else 1; the forward kernel writes the dx of that total too, scale =
1 / divisor, unless dx has no rows.  Backward makes p again from the row's logsumexp.  `logsum`
should be float64: rounded to float32, one of 1e4 costs 5e-4 of p.

Shapes: x, dx: (N, C) C-contiguous logits; target: (N,) int64 in [0, C) or ignore_index; weight:
(C,) or (0,) for none; loss, scale, logsum: (N,); total, divisor: (1,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.jit.by_size import small_and_large
from minigrad_kernels.jit.compile import jit
from minigrad_kernels.kernel import Kernel
from minigrad_kernels.math.exponential import exponential, largest
from minigrad_kernels.simd.memory import line, part
from minigrad_kernels.softmax.softmax import (
    PARALLEL_EXP,
    exp_row,
    log_of_total,
    long_total,
    shifted,
    sum_exp,
)

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- references
def chosen(target: Array, weight: Array, ignore_index: int, classes: int) -> tuple[Array, ...]:
    """Return which rows count, a target that may index in every row, and the classes' weights."""
    kept = target != ignore_index
    weights = weight.astype(np.float64) if weight.size else np.ones(classes)
    return kept, np.where(kept, target, 0), weights


def cross_entropy_forward_reference(
    x: Array,
    target: Array,
    weight: Array,
    ignore_index: int,
    label_smoothing: float,
    mean: bool,
    loss: Array,
    logsum: Array,
    total: Array,
    divisor: Array,
    dx: Array,
) -> None:
    """Compute loss, logsum, total, divisor and, where dx is not empty, dx in float64."""
    kept, index, weights = chosen(target, weight, ignore_index, x.shape[1])
    centred, sums, top = shifted(x)
    logsum[...] = (top + np.log1p(sums))[:, 0]
    rows = np.zeros(len(x))
    divisor[...] = weights[index][kept].sum() if mean else 1
    if x.size:
        nll = np.log1p(sums) - centred
        rows = np.take_along_axis(nll, index[:, None], axis=1)[:, 0] * weights[index]
        if label_smoothing:
            rows *= 1 - label_smoothing
            rows += label_smoothing / x.shape[1] * (nll * weights).sum(axis=1)
        rows[~kept] = 0
    loss[...] = rows
    with np.errstate(all="ignore"):
        total[...] = rows.sum() / divisor.astype(np.float64)
        scale = np.full(len(x), 1 / divisor.astype(np.float64))
    if len(dx):
        cross_entropy_backward_reference(
            scale, x, target, weight, ignore_index, label_smoothing, logsum, dx
        )


def cross_entropy_backward_reference(
    scale: Array,
    x: Array,
    target: Array,
    weight: Array,
    ignore_index: int,
    label_smoothing: float,
    logsum: Array,
    dx: Array,
) -> None:
    """Compute dx: (N, C) in float64; scale: (N,), one factor a row."""
    kept, index, weights = chosen(target, weight, ignore_index, x.shape[1])
    if x.size == 0:
        return
    p = np.exp(x.astype(np.longdouble) - logsum.astype(np.longdouble)[:, None])
    onehot = np.arange(x.shape[1]) == index[:, None]
    others = np.where(onehot, 0, p).sum(axis=1, keepdims=True)
    g = (1 - label_smoothing) * weights[index][:, None] * np.where(onehot, -others, p)
    g += label_smoothing / x.shape[1] * (p * weights.sum() - weights)
    with np.errstate(invalid="ignore"):
        dx[...] = g * scale.astype(np.float64)[:, None]
    dx[~kept] = 0


# ---------------------------------------------------------------- one row
@jit(fastmath={"contract", "reassoc"})
def smooth_loss(x, top, log_total, weight):
    """Return sum_c w[c] * -log p[c] of a row."""
    total = x.dtype.type(0)
    if weight.size:
        for c in range(x.size):
            total += weight[c] * (log_total - (x[c] - top))
    else:
        for c in range(x.size):
            total += log_total - (x[c] - top)
    return total


@jit(fastmath={"contract"})
def gradient_row(scale, inverse, miss, t, weight, smooth, weights, out):
    """Turn p / inverse into dx, in place; miss: 1 - p of the target; weights: their sum."""
    kind = out.dtype.type
    p = out[t] * inverse
    picked = kind(1 - smooth) * (weight[t] if weight.size else kind(1))
    each = kind(smooth / out.size)
    factor = scale * (picked + each * kind(weights)) * inverse
    part = scale * each
    if smooth > 0 and weight.size:
        for c in range(out.size):
            out[c] = factor * out[c] - part * weight[c]
    else:
        for c in range(out.size):
            out[c] = factor * out[c] - part
    # At the target 1 - p comes before the scaling: near p = 1 a difference of products cancels.
    rest = each * (p * kind(weights) - (weight[t] if weight.size else kind(1)))
    out[t] = scale * (rest - picked * kind(miss))


@jit()
def forward_row(x, t, weight, ignore_index, smooth, weights, scale, out):
    """Return the loss of a row and its logsumexp; write its gradient unless `out` is empty."""
    kind = x.dtype.type
    top = largest(x)
    rest = exp_row(x, top, out) if out.size else sum_exp(x, top)
    log_total = log_of_total(x, rest)
    logsum = np.float64(top) + np.float64(log_total)
    if t == ignore_index:
        out[:] = 0
        return kind(0), logsum
    loss = log_total - (x[t] - top)
    if weight.size:
        loss *= weight[t]
    if smooth > 0:
        loss = kind(1 - smooth) * loss
        loss += kind(smooth / x.size) * smooth_loss(x, top, log_total, weight)
    if out.size:
        total = 1.0 + rest
        own = np.float64(out[t])
        others = rest if own == 1.0 else total - own
        gradient_row(scale, kind(1.0 / total), others / total, t, weight, smooth, weights, out)
    return loss, logsum


@jit(fastmath={"contract"})
def backward_row(scale, x, t, weight, ignore_index, smooth, weights, logsum, out):
    """Write a row's gradient from its logsum; zeros where its target is ignored."""
    if t == ignore_index:
        out[:] = 0
        return
    kind = x.dtype.type
    # logsum in two parts: x - high is exact where it matters, low is what float32 cannot hold.
    high = kind(logsum)
    low = kind(logsum - np.float64(high))
    for c in range(x.size):
        out[c] = exponential((x[c] - high) - low)
    miss = long_total(part(out, 0, t)) + long_total(part(out, t + 1, out.size))
    gradient_row(scale, kind(1), miss, t, weight, smooth, weights, out)


# ---------------------------------------------------------------- all rows
@jit()
def summed_weights(weight, classes):
    """Return the sum of the class weights, in order."""
    if weight.size == 0:
        return float(classes)
    total = 0.0
    for c in range(weight.size):
        total += weight[c]
    return total


@jit()
def weight_of_rows(target, weight, ignore_index):
    """Return the summed weights of the targets that count, in order."""
    total = 0.0
    for i in range(target.size):
        if target[i] != ignore_index:
            total += weight[target[i]] if weight.size else 1.0
    return total


@jit()
def sum_in_order(loss):
    """Return the sum in float64, element after element."""
    total = 0.0
    for i in range(loss.size):
        total += loss[i]
    return total


def cross_entropy_forward(
    x, target, weight, ignore_index, smooth, mean, loss, logsum, total, divisor, dx
):
    """Write loss, logsum, total, divisor and dx of all rows, a row a task."""
    weights = summed_weights(weight, x.shape[1])
    divisor[0] = weight_of_rows(target, weight, ignore_index) if mean else 1.0
    scale = x.dtype.type(1) / divisor[0]
    for i in prange(len(x)):
        out = line(dx, i) if len(dx) else part(loss, 0, 0)
        loss[i], logsum[i] = forward_row(
            line(x, i), target[i], weight, ignore_index, smooth, weights, scale, out
        )
    total[0] = sum_in_order(loss) / divisor[0]


def cross_entropy_backward(scale, x, target, weight, ignore_index, smooth, logsum, dx):
    """Write dx of all rows, a row a task."""
    weights = summed_weights(weight, x.shape[1])
    for i in prange(len(x)):
        backward_row(
            scale[i],
            line(x, i),
            target[i],
            weight,
            ignore_index,
            smooth,
            weights,
            logsum[i],
            line(dx, i),
        )


forward_small, forward_large = small_and_large("cross_entropy.forward", cross_entropy_forward)
backward_small, backward_large = small_and_large("cross_entropy.backward", cross_entropy_backward)


def cross_entropy_forward_cpu(
    x: Array,
    target: Array,
    weight: Array,
    ignore_index: int,
    label_smoothing: float,
    mean: bool,
    loss: Array,
    logsum: Array,
    total: Array,
    divisor: Array,
    dx: Array,
) -> None:
    """Compute loss, logsum, total, divisor and, where dx is not empty, dx on the CPU."""
    run = forward_small if x.size < PARALLEL_EXP else forward_large
    smooth = float(label_smoothing)
    run(x, target, weight, ignore_index, smooth, mean, loss, logsum, total, divisor, dx)


def cross_entropy_backward_cpu(
    scale: Array,
    x: Array,
    target: Array,
    weight: Array,
    ignore_index: int,
    label_smoothing: float,
    logsum: Array,
    dx: Array,
) -> None:
    """Compute dx: (N, C) on the CPU; scale: (N,), one factor a row."""
    run = backward_small if x.size < PARALLEL_EXP else backward_large
    run(scale, x, target, weight, ignore_index, float(label_smoothing), logsum, dx)


def forward_cost(x: Array, *rest: Any) -> tuple[int, int]:
    """Return the flops and the bytes of `cross_entropy_forward`."""
    moved = sum(a.nbytes for a in (x, *rest) if isinstance(a, np.ndarray))
    return 20 * x.size + 4 * rest[-1].size, moved


def backward_cost(scale: Array, x: Array, *rest: Any) -> tuple[int, int]:
    """Return the flops and the bytes of `cross_entropy_backward`."""
    moved = (scale, x, *rest)
    return 22 * x.size, sum(a.nbytes for a in moved if isinstance(a, np.ndarray))


KERNELS = {
    "cross_entropy_forward": Kernel(
        cross_entropy_forward_reference,
        cross_entropy_forward_cpu,
        forward_cost,
        out=("loss", "logsum", "total", "divisor", "dx"),
    ),
    "cross_entropy_backward": Kernel(
        cross_entropy_backward_reference, cross_entropy_backward_cpu, backward_cost, out=("dx",)
    ),
}
