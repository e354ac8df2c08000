"""The loss of sequences without alignment; `minigrad.nn.functional` re-exports it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.engine.errors import ArgumentError
from minigrad.nn.functional.losses import reduced
from minigrad.ops.arranging import beside
from minigrad.ops.common import Array
from minigrad.ops.elementwise import where
from minigrad.ops.grammar import host
from minigrad.ops.index import gather, picked
from minigrad.ops.registry import public
from minigrad.ops.shape import cat, stack

NEVER = -1e30  # the logarithm of a probability of 0: finite, so that sums of such have gradients


@public("functional")
def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Return minus the logarithm of the probability of target sequences, over all ways to stretch
    them with repeats and blanks.

    Shape: log_probs: (T, N, C) or (T, C); targets: (N, S), or all in one row; lengths: (N,).
    reduction: "mean" divides each loss by its target's length, then takes the mean.
    zero_infinity: 0, with no gradient, for targets that do not fit.
    Source: Graves et al., "Connectionist temporal classification" (2006), section 4.1.

    >>> import minigrad as mg
    >>> logs = mg.log_softmax(mg.zeros(2, 1, 3), -1)
    >>> ctc_loss(logs, mg.tensor([[1]]), mg.tensor([2]), mg.tensor([1]))
    tensor(1.0986)
    """
    alone = log_probs.ndim == 2
    logs = log_probs.reshape(log_probs.shape[0], 1, -1) if alone else log_probs
    steps, count, classes = logs.shape
    times, sizes = lengths_of(input_lengths, count), lengths_of(target_lengths, count)
    if not 0 <= blank < classes:
        raise ArgumentError(f"ctc_loss: blank {blank} is out of range for {classes} classes")
    if times.size and (times.max() > steps or times.min() < 0):
        raise ArgumentError(f"ctc_loss: input_lengths must be 0 to {steps}, got {times.tolist()}")
    given = host(targets)
    labels = stretched(given.reshape(1, -1) if alone else given, sizes, blank, count)
    losses = -forward_variables(logs, labels, times, sizes)
    impossible = losses.detach() > -NEVER / 2
    losses = where(impossible, 0.0 if zero_infinity else math.inf, losses)
    losses = losses.reshape(()) if alone else losses
    if reduction == "mean":
        divisor = np.maximum(sizes, 1).astype(log_probs.array.dtype).reshape(losses.shape)
        return (losses / beside(divisor, logs)).mean()
    return reduced("ctc_loss", losses, reduction)


def lengths_of(lengths: Any, count: int) -> Array:
    """Return lengths as an array of ints, one a sequence."""
    found = host(lengths) if hasattr(lengths, "array") else np.asarray(lengths)
    found = found.reshape(-1).astype(np.int64)
    if found.size != count:
        raise ArgumentError(f"ctc_loss: expected {count} lengths, got {found.size}")
    return found


def stretched(targets: Array, sizes: Array, blank: int, count: int) -> Array:
    """Return the targets with blanks around each label: (N, 2 S + 1)."""
    longest = int(sizes.max(initial=0))
    labels = np.full((count, 2 * longest + 1), blank, np.int64)
    if targets.ndim == 1 and int(sizes.sum()) != targets.size:
        raise ArgumentError(
            f"ctc_loss: target_lengths add up to {int(sizes.sum())}, there are {targets.size} "
            "targets"
        )
    start = 0
    for i, n in enumerate(sizes.tolist()):
        row = targets[i] if targets.ndim == 2 else targets[start:]
        labels[i, 1 : 2 * n : 2] = row[:n]
        start += n
    return labels


def forward_variables(logs: Any, labels: Array, times: Array, sizes: Array) -> Any:
    """Return the log-probabilities of the labels, by the recursion over time."""
    steps, count, _ = logs.shape
    width = labels.shape[1]
    skips = np.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != labels[:, :-2]) & (np.arange(2, width) % 2 == 1)
    can_skip, places = beside(skips, logs), beside(labels, logs)
    kind = logs.array.dtype
    start = np.full((count, width), NEVER, kind)
    start[:, :1] = 0  # before the first step: at the first blank, from where two places are reached
    alpha, held = beside(start, logs), []
    edge = beside(np.full((count, 2), NEVER, kind), logs)
    first = beside(np.arange(width)[None] < 2, logs)
    for t in range(steps):
        wide = cat([edge, alpha], 1)
        ways = [alpha, wide[:, 1 : width + 1], where(can_skip, wide[:, :width], NEVER)]
        reached = stack(ways).logsumexp(0) if t else where(first, 0.0, alpha * 0 + NEVER)
        alpha = reached + gather(logs[t], 1, places)
        held.append(alpha)
    return at_the_ends(held, logs, times, sizes)


def at_the_ends(held: list[Any], logs: Any, times: Array, sizes: Array) -> Any:
    """Return the log-probabilities at the last two places, at each sequence's last step."""
    rows = np.arange(len(times))
    whole = stack(held)
    last = np.maximum(times - 1, 0)
    blank = picked(whole, last, rows, 2 * sizes)
    label = picked(whole, last, rows, np.maximum(2 * sizes - 1, 0))
    label = where(beside(sizes > 0, logs), label, NEVER)
    total = stack([blank, label]).logsumexp(0)
    # Without a step there is one way to say nothing, and none to say anything.
    none = np.where(sizes == 0, 0.0, NEVER).astype(logs.array.dtype)
    return where(beside(times > 0, logs), total, beside(none, logs))
