"""micrograd's moons demo for any `Value`: an MLP 2-16-16-1, hinge loss and weight decay."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any


def data(count: int) -> tuple[list[list[float]], list[int]]:
    """Return points on two half circles, and their labels -1 and 1."""
    rng = random.Random(0)
    points, labels = [], []
    for k in range(count):
        angle = rng.uniform(0, math.pi)
        x, y = math.cos(angle), math.sin(angle)
        upper = k % 2 == 0
        points.append([x, y] if upper else [1 - x, 0.5 - y])
        labels.append(1 if upper else -1)
    return points, labels


class MLP:
    """Layers of (weights, bias) neurons, ReLU between them."""

    def __init__(self, kind: Any, sizes: list[int]) -> None:
        rng = random.Random(1337)
        self.layers = [
            [([kind(rng.uniform(-1, 1)) for _ in range(n)], kind(0)) for _ in range(m)]
            for n, m in itertools.pairwise(sizes)
        ]

    def __call__(self, x: list[Any]) -> Any:
        for number, layer in enumerate(self.layers, 1):
            x = [sum((w * v for w, v in zip(ws, x, strict=True)), bias) for ws, bias in layer]
            x = [v.relu() for v in x] if number < len(self.layers) else x
        return x[0]

    def parameters(self) -> list[Any]:
        return [p for layer in self.layers for ws, bias in layer for p in [*ws, bias]]


def loss_of(kind: Any, model: MLP, points: list[list[float]], labels: list[int]) -> Any:
    """Return the mean hinge loss plus weight decay."""
    scores = [model([kind(x) for x in point]) for point in points]
    losses = [(1 + -label * score).relu() for label, score in zip(labels, scores, strict=True)]
    decay = 1e-4 * sum(p * p for p in model.parameters())
    return sum(losses) * (1.0 / len(losses)) + decay


def train(kind: Any, steps: int, count: int = 20, sizes: tuple[int, ...] = (2, 8, 8, 1)) -> list:
    """Return the losses of gradient descent that builds the graph anew each step."""
    points, labels = data(count)
    model = MLP(kind, list(sizes))
    history = []
    for step in range(steps):
        loss = loss_of(kind, model, points, labels)
        for p in model.parameters():
            p.grad = 0
        loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * step / 100) * p.grad
        history.append(loss.data)
    return history
