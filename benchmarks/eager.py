"""The overhead of an eager op: chains of h = tanh(h w + x) on 16 numbers, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from benchmarks.harness import Array, Benchmark, agree, ours, with_torch
from minigrad_kernels.compare.timing import Case

SIZE = 16
DEPTH = 50
QUICK_DEPTH = 5
SEED = 0


def chain(x: Any, w: Any, depth: int) -> Callable[[], Any]:
    """Return a chain of 3 `depth` + 1 ops with its sweep; PyTorch's tensors go through as ours."""

    def call() -> Any:
        x.grad = w.grad = None
        h = x
        for _ in range(depth):
            h = (h * w + x).tanh()
        h.sum().backward()
        return x.grad

    return call


def exact_gradient(x: Array, w: Array, depth: int) -> Array:
    """Return d sum(h) / dx in float64: dh/dx = (1 - h^2) (w dh/dx + 1), forwards."""
    h, slope = x.astype(np.float64), np.ones(x.shape)
    for _ in range(depth):
        h = np.tanh(h * w + x)
        slope = (1 - h * h) * (slope * w + 1)
    return slope


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Check the gradients of all against float64, then yield both chains, on one thread each."""
    depth = QUICK_DEPTH if quick else DEPTH
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal(SIZE, np.float32)
    # A weight that learns costs one product more in the sweep, and a sum of many gradients.
    for label, learn in (("w constant", False), ("w learns", True)):
        w = np.full(SIZE, 0.1, np.float32)
        candidates = ours(partial(minigrad_chain, x, w, learn, depth), threads=(1,))
        if "torch" in peers:
            candidates += with_torch(partial(torch_chain, x, w, learn, depth), threads=(1,))
        expected = exact_gradient(x, w, depth)
        for candidate in candidates:
            got = candidate.make()().numpy()
            agree(f"{candidate.name}, {label}", got, expected, rtol=1e-5, atol=1e-6)
        yield Case(f"{3 * depth + 1} ops, {label}", candidates, parts=3 * depth + 1)


def minigrad_chain(x: Array, w: Array, learn: bool, depth: int) -> Callable[[], Any]:
    """Return the chain on minigrad's tensors."""
    return chain(mg.Tensor(x.copy(), True), mg.Tensor(w.copy(), learn), depth)


def torch_chain(x: Array, w: Array, learn: bool, depth: int) -> Callable[[], Any]:
    """Return the chain on PyTorch's tensors."""
    import torch

    return chain(torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=learn), depth)


BENCHMARK = Benchmark(
    "eager", "Time of a small op, forward plus backward, one thread", ("torch",), cases
)
