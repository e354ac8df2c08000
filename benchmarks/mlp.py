"""The benchmark's model in float64 NumPy: what one training step must compute, in plain sight.

Blocks of Linear, BatchNorm, ReLU, a linear head, cross-entropy, AdamW; without dropout, whose masks
no two libraries share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, pairwise
from typing import Any

import numpy as np

from benchmarks.harness import Array

BLOCKS = 3
DROPOUT = 0.2
LR = 1e-3
BETA1 = 0.9
BETA2 = 0.999
ADAM_EPS = 1e-8
WEIGHT_DECAY = 0.01
NORM_EPS = 1e-5
MOMENTUM = 0.1

Parameters = dict[str, Array]


@dataclass(frozen=True)
class Problem:
    """A batch and initial parameters, named as a Sequential of four modules a block names them.

    more: batches that follow the first; after the last comes the first again.
    """

    x: Array
    target: Array
    parameters: Parameters
    more: tuple[tuple[Array, Array], ...] = ()

    def batches(self, array: Callable[[Array], Any]) -> Callable[[], tuple[Any, Any]]:
        """Return what gives the next batch, as arrays of a library's."""
        held = [tuple(array(a) for a in batch) for batch in ((self.x, self.target), *self.more)]
        return partial(next, cycle(held))


def with_fresh_data(given: Problem, count: int = 16) -> Problem:
    """Return a problem whose steps see other data each time: so long nothing is learnt by heart,
    and no caches or denormals are a step's alone.
    """
    rng = np.random.default_rng(1)
    classes = int(given.target.max()) + 1
    more = [
        (rng.standard_normal(given.x.shape, np.float32), rng.integers(0, classes, len(given.x)))
        for _ in range(count - 1)
    ]
    return replace(given, more=tuple(more))


def blocks(parameters: Parameters) -> int:
    """Return the number of blocks: four parameters each, two of the head."""
    return (len(parameters) - 2) // 4


def problem(batch: int, n_in: int, hidden: int, classes: int, depth: int = BLOCKS) -> Problem:
    """Draw one batch and PyTorch's initial distribution."""
    rng = np.random.default_rng(0)
    sizes = [n_in, *[hidden] * depth, classes]
    parameters: Parameters = {}
    for i, (wide, out) in enumerate(pairwise(sizes)):
        bound = wide**-0.5
        weight, bias = rng.uniform(-bound, bound, (out, wide)), rng.uniform(-bound, bound, out)
        parameters[f"{4 * i}.weight"] = weight.astype(np.float32)
        parameters[f"{4 * i}.bias"] = bias.astype(np.float32)
        if i < depth:
            parameters[f"{4 * i + 1}.weight"] = np.ones(out, np.float32)
            parameters[f"{4 * i + 1}.bias"] = np.zeros(out, np.float32)
    x = rng.standard_normal((batch, n_in), np.float32)
    return Problem(x, rng.integers(0, classes, batch), parameters)


def exact_losses(given: Problem, steps: int) -> list[float]:
    """Return the losses of the first steps in float64."""
    p = {name: value.astype(np.float64) for name, value in given.parameters.items()}
    first = {name: np.zeros_like(value) for name, value in p.items()}
    second = {name: np.zeros_like(value) for name, value in p.items()}
    losses = []
    for t in range(1, steps + 1):
        loss, gradients = loss_and_gradients(p, given.x.astype(np.float64), given.target)
        losses.append(loss)
        for name, g in gradients.items():
            m = first[name] = BETA1 * first[name] + (1 - BETA1) * g
            v = second[name] = BETA2 * second[name] + (1 - BETA2) * g * g
            denominator = np.sqrt(v / (1 - BETA2**t)) + ADAM_EPS
            p[name] *= 1 - LR * WEIGHT_DECAY
            p[name] -= LR * m / (1 - BETA1**t) / denominator
    return losses


def loss_and_gradients(p: Parameters, x: Array, target: Array) -> tuple[float, Parameters]:
    """Return the mean cross-entropy and its gradient for every parameter."""
    h, saved, depth = x, [], blocks(p)
    for i in range(depth):
        z = h @ p[f"{4 * i}.weight"].T + p[f"{4 * i}.bias"]
        rstd = 1 / np.sqrt(z.var(axis=0) + NORM_EPS)
        normal = (z - z.mean(axis=0)) * rstd
        before = h
        h = np.maximum(normal * p[f"{4 * i + 1}.weight"] + p[f"{4 * i + 1}.bias"], 0)
        saved.append((before, rstd, normal, h))
    logits = h @ p[f"{4 * depth}.weight"].T + p[f"{4 * depth}.bias"]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(target))
    loss = -log_p[rows, target].mean()

    g = np.exp(log_p)
    g[rows, target] -= 1
    g /= len(target)
    gradients = {f"{4 * depth}.weight": g.T @ h, f"{4 * depth}.bias": g.sum(axis=0)}
    g = g @ p[f"{4 * depth}.weight"]
    for i in reversed(range(depth)):
        before, rstd, normal, h = saved[i]
        g = g * (h > 0)
        gradients[f"{4 * i + 1}.weight"] = (g * normal).sum(axis=0)
        gradients[f"{4 * i + 1}.bias"] = g.sum(axis=0)
        g = g * p[f"{4 * i + 1}.weight"]
        g = rstd * (g - g.mean(axis=0) - normal * (g * normal).mean(axis=0))
        gradients[f"{4 * i}.weight"] = g.T @ before
        gradients[f"{4 * i}.bias"] = g.sum(axis=0)
        g = g @ p[f"{4 * i}.weight"]
    return float(loss), gradients
