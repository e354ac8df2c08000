"""Cross-entropy from logits, one loss a row, not reduced.

With log p = log_softmax(x), smoothing e and class weights w (1 where there are none), for target t:

    loss = (1 - e) * w[t] * -log p[t] + e / C * sum_c w[c] * -log p[c]
    dx = scale * ((1 - e) * w[t] * (p - onehot(t)) + e / C * (p * sum w - w))

and both are 0 where t == ignore_index.  Backward makes p again from the row's logsumexp: no (N, C)
array is kept.  `logsum` should be float64: rounded to float32, one of 1e4 costs 5e-4 of p.

Shapes: x, dx: (N, C) C-contiguous logits; target: (N,) int64 in [0, C) or ignore_index; weight:
(C,) or (0,) for none; loss, scale, logsum: (N,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from minigrad_kernels.exponential import exponential, largest
from minigrad_kernels.launch import Kernel, jit
from minigrad_kernels.softmax import PARALLEL_EXP, shifted, sum_exp

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
    loss: Array,
    logsum: Array,
) -> None:
    kept, index, weights = chosen(target, weight, ignore_index, x.shape[1])
    centred, total, top = shifted(x)
    logsum[...] = (top + np.log(total))[:, 0]
    if x.size == 0:
        return
    nll = np.log(total) - centred
    picked = np.take_along_axis(nll, index[:, None], axis=1)[:, 0] * weights[index]
    loss[...] = (1 - label_smoothing) * picked
    if label_smoothing:
        loss += label_smoothing / x.shape[1] * (nll * weights).sum(axis=1)
    loss[~kept] = 0


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
    kept, index, weights = chosen(target, weight, ignore_index, x.shape[1])
    if x.size == 0:
        return
    p = np.exp(x.astype(np.float64) - logsum.astype(np.float64)[:, None])
    onehot = np.arange(x.shape[1]) == index[:, None]
    g = (1 - label_smoothing) * weights[index][:, None] * (p - onehot)
    g += label_smoothing / x.shape[1] * (p * weights.sum() - weights)
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


@jit()
def forward_row(x, target, weight, ignore_index, label_smoothing, loss, logsum, i):
    row = x[i]
    top = largest(row)
    log_total = np.log(sum_exp(row, top))
    logsum[i] = np.float64(top) + np.float64(log_total)
    t = target[i]
    if t == ignore_index:
        loss[i] = 0
        return
    hard = log_total - (row[t] - top)
    if weight.size:
        hard *= weight[t]
    if label_smoothing > 0:
        soft = smooth_loss(row, top, log_total, weight)
        hard = x.dtype.type(1 - label_smoothing) * hard
        hard += x.dtype.type(label_smoothing / row.size) * soft
    loss[i] = hard


@jit(fastmath={"contract"})
def backward_row(scale, x, target, weight, ignore_index, smooth, total, logsum, dx, i):
    row = x[i]
    out = dx[i]
    t = target[i]
    if t == ignore_index:
        out[:] = 0
        return
    kind = x.dtype.type
    # logsum in two parts: row - high is exact where it matters, low is what float32 cannot hold.
    high = kind(logsum[i])
    low = kind(logsum[i] - np.float64(high))
    picked = weight[t] if weight.size else kind(1)
    picked *= kind(1 - smooth)
    each = kind(smooth / row.size)
    factor = scale[i] * (picked + each * kind(total))
    if smooth > 0 and weight.size:
        part = scale[i] * each
        for c in range(row.size):
            out[c] = factor * exponential((row[c] - high) - low) - part * weight[c]
    else:
        part = scale[i] * each
        for c in range(row.size):
            out[c] = factor * exponential((row[c] - high) - low) - part
    # At the target p - 1 comes before the scaling: near p = 1 a difference of products cancels.
    p = exponential((row[t] - high) - low)
    rest = each * (p * kind(total) - (weight[t] if weight.size else kind(1)))
    out[t] = scale[i] * (picked * (p - kind(1)) + rest)


# ---------------------------------------------------------------- all rows
def forward(x, target, weight, ignore_index, label_smoothing, loss, logsum):
    for i in prange(len(x)):
        forward_row(x, target, weight, ignore_index, label_smoothing, loss, logsum, i)


def backward(scale, x, target, weight, ignore_index, label_smoothing, logsum, dx):
    total = float(x.shape[1])
    if weight.size:
        total = 0.0
        for c in range(weight.size):
            total += weight[c]
    for i in prange(len(x)):
        backward_row(
            scale, x, target, weight, ignore_index, label_smoothing, total, logsum, dx, i
        )


forward_small = jit(name="cross_entropy.forward.small")(forward)
forward_large = jit(name="cross_entropy.forward.large", parallel=True)(forward)
backward_small = jit(name="cross_entropy.backward.small")(backward)
backward_large = jit(name="cross_entropy.backward.large", parallel=True)(backward)


def cross_entropy_forward_cpu(
    x: Array,
    target: Array,
    weight: Array,
    ignore_index: int,
    label_smoothing: float,
    loss: Array,
    logsum: Array,
) -> None:
    run = forward_small if x.size < PARALLEL_EXP else forward_large
    run(x, target, weight, ignore_index, float(label_smoothing), loss, logsum)


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
    run = backward_small if x.size < PARALLEL_EXP else backward_large
    run(scale, x, target, weight, ignore_index, float(label_smoothing), logsum, dx)


def forward_cost(x: Array, *rest: Any) -> tuple[int, int]:
    return 20 * x.size, x.nbytes + sum(a.nbytes for a in rest if isinstance(a, np.ndarray))


def backward_cost(scale: Array, x: Array, *rest: Any) -> tuple[int, int]:
    moved = (scale, x, *rest)
    return 22 * x.size, sum(a.nbytes for a in moved if isinstance(a, np.ndarray))


KERNELS = {
    "cross_entropy_forward": Kernel(
        cross_entropy_forward_reference,
        cross_entropy_forward_cpu,
        forward_cost,
        out=("loss", "logsum"),
    ),
    "cross_entropy_backward": Kernel(
        cross_entropy_backward_reference, cross_entropy_backward_cpu, backward_cost, out=("dx",)
    ),
}
