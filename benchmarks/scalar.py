"""Scalars: micrograd's moons demo, its graph built anew each step or replayed; a million nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.harness import Array, Benchmark, agree, ours
from benchmarks.moons import MLP, data, loss_of
from minigrad.scalar import Replay
from minigrad_kernels.compare.timing import Candidate, Case, Pace

POINTS, SIZES = 100, [2, 16, 16, 1]
QUICK_POINTS, QUICK_SIZES = 10, [2, 4, 1]
NODES, QUICK_NODES = 1_000_000, 1_000
LR = 0.05
SLOPE, SHIFT = 0.99999, 0.001  # of the long chain x -> SLOPE x + SHIFT

Call = Callable[[], Any]


# ---------------------------------------------------------------- the moons demo
def anew(kind: Any, points: int, sizes: list[int]) -> Call:
    """Return a step of gradient descent that builds the graph anew; it returns the gradient."""
    x, labels = data(points)
    model = MLP(kind, sizes)
    parameters = model.parameters()

    def step() -> list[float]:
        loss = loss_of(kind, model, x, labels)
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        for p in parameters:
            p.data -= LR * p.grad
        return [loss.data, *(p.grad for p in parameters)]

    return step


def replayed(points: int, sizes: list[int]) -> Call:
    """Return the same step on a graph that was recorded once."""
    x, labels = data(points)
    model = MLP(mg.Value, sizes)
    parameters = model.parameters()
    numbers = np.array([p.data for p in parameters])
    run = Replay(loss_of(mg.Value, model, x, labels), parameters)

    def step() -> Array:
        loss = run(numbers)
        gradient = run.gradient()
        np.subtract(numbers, LR * gradient, out=numbers)
        return np.array([loss, *gradient])

    return step


def expected_step(points: int, sizes: list[int]) -> Array:
    """Return the first loss and its gradient, by tensors in float64."""
    x, labels = data(points)
    h = mg.tensor(x, dtype=mg.float64)
    target = mg.tensor(labels, dtype=mg.float64)
    leaves, decay = [], mg.tensor(0.0, dtype=mg.float64)
    layers = MLP(float, sizes).layers
    for number, layer in enumerate(layers, 1):
        rows = mg.tensor([[*ws, bias] for ws, bias in layer], dtype=mg.float64, requires_grad=True)
        leaves.append(rows)
        decay = decay + rows.square().sum()
        h = h @ rows[:, :-1].T + rows[:, -1]
        h = h.relu() if number < len(layers) else h
    loss = (1 - target * h[:, 0]).relu().mean() + 1e-4 * decay
    loss.backward()
    return np.concatenate([[loss.item()], *(rows.grad.numpy().ravel() for rows in leaves)])


def demos(peers: Sequence[str], points: int, sizes: list[int]) -> Iterator[Case]:
    """Hold the first step of all to tensors, then yield both ways beside micrograd."""
    theirs: list[Candidate] = []
    if "micrograd" in peers:
        from micrograd.engine import Value

        theirs = [Candidate("micrograd", partial(anew, Value, points, sizes), threads=1)]
    expected = expected_step(points, sizes)
    label = f"moons, {points} points, MLP {'-'.join(map(str, sizes))}"
    ways = (("built anew", partial(anew, mg.Value)), ("replayed", replayed))
    for way, make in ways:
        candidates = [*ours(partial(make, points, sizes), threads=(1,)), *theirs]
        for candidate in candidates:
            agree(f"{candidate.name}, {way}", candidate.make()(), expected, 1e-9, 1e-12)
        yield Case(f"{label}, {way}", candidates)


# ---------------------------------------------------------------- a million nodes
def chain(start: Any, count: int) -> Any:
    """Return a chain of `count` nodes: a product and a sum in turn, each with its constant."""
    x = start
    for _ in range(count // 4):
        x = x * SLOPE + SHIFT
    return x


def built(count: int) -> Call:
    """Return a call that builds a chain anew and differentiates it."""

    def call() -> float:
        x = mg.Value(1.0)
        chain(x, count).backward()
        return x.grad

    return call


def swept(count: int) -> Call:
    """Return a call that differentiates one chain again."""
    x = mg.Value(1.0)
    y = chain(x, count)

    def call() -> float:
        x.grad = 0.0
        y.backward()
        return x.grad

    return call


def long_chains(count: int) -> Iterator[Case]:
    """Yield building and sweeping a chain so deep that a recursive engine would fail."""
    for what, make in (("built and swept", built), ("swept", swept)):
        candidates = ours(partial(make, count), threads=(1,))
        agree(f"a chain, {what}", candidates[0].make()(), SLOPE ** (count // 4), rtol=1e-9)
        yield Case(f"a chain of {count:,} nodes, {what}", candidates)


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Yield the demo, then the long chains."""
    yield from demos(peers, *((QUICK_POINTS, QUICK_SIZES) if quick else (POINTS, SIZES)))
    yield from long_chains(QUICK_NODES if quick else NODES)


BENCHMARK = Benchmark(
    "scalar",
    "Scalars: micrograd's moons demo, and a million nodes, one thread",
    ("micrograd",),
    cases,
    unit="ms",
    pace=Pace(rounds=3, block=0.2),
)
