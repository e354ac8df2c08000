"""One training step of the MLP: zero_grad, forward, backward, AdamW, at four sizes.

Three blocks of Linear, BatchNorm, ReLU, Dropout(0.2), a linear head, cross-entropy; minigrad eager
beside PyTorch eager (best thread count, default and fused AdamW) and JAX compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import minigrad as mg
from benchmarks.harness import Benchmark, agree, ours, with_torch
from benchmarks.mlp import (
    DROPOUT,
    LR,
    WEIGHT_DECAY,
    Problem,
    blocks,
    exact_losses,
    problem,
)
from benchmarks.train_step_jax import jax_step
from minigrad_kernels.compare.timing import Candidate, Case

SIZES = ((64, 30, 64, 2), (128, 64, 256, 10), (256, 784, 512, 10), (1024, 784, 1024, 10))
QUICK_SIZES = ((16, 8, 12, 3),)
CHECKED_STEPS = 4


def eager_step(framework: Any, given: Problem, dropout: float, **adamw: Any) -> Callable[[], Any]:
    """Return a training step of `framework`, minigrad or torch: the same lines make both."""
    nn = framework.nn
    layers: list[Any] = []
    depth = blocks(given.parameters)
    for i in range(depth):
        hidden, wide = given.parameters[f"{4 * i}.weight"].shape
        layers += [nn.Linear(wide, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout)]
    classes, hidden = given.parameters[f"{4 * depth}.weight"].shape
    model = nn.Sequential(*layers, nn.Linear(hidden, classes))
    initial = {name: framework.from_numpy(value) for name, value in given.parameters.items()}
    model.load_state_dict({**model.state_dict(), **initial})
    optimizer = framework.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, **adamw)
    x, target = framework.from_numpy(given.x), framework.from_numpy(given.target)
    cross_entropy = nn.functional.cross_entropy

    def step() -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    return step


def minigrad_step(given: Problem, dropout: float) -> Callable[[], Any]:
    """Return minigrad's step."""
    return eager_step(mg, given, dropout)


def torch_step(given: Problem, dropout: float, **adamw: Any) -> Callable[[], Any]:
    """Return PyTorch's step, without torch.compile."""
    import torch

    return eager_step(torch, given, dropout, **adamw)


Steps = Callable[[Problem, float], Callable[[], Any]]


def check(name: str, steps: Steps, given: Problem, expected: list[float]) -> None:
    """Compare the losses of the first steps, without dropout, with those of float64."""
    step = steps(given, 0.0)
    losses = [float(step()) if name == "jax" else step().item() for _ in expected]
    agree(f"{name}, losses of the first steps", losses, expected, rtol=1e-3, atol=1e-4)


def cases(peers: Sequence[str], quick: bool) -> Iterator[Case]:
    """Check the losses of all against float64, then yield each size."""
    for sizes in QUICK_SIZES if quick else SIZES:
        given = problem(*sizes)
        expected = exact_losses(given, CHECKED_STEPS)
        check("minigrad", minigrad_step, given, expected)
        candidates = ours(partial(minigrad_step, given, DROPOUT))
        if "torch" in peers:
            check("torch", torch_step, given, expected)
            candidates += with_torch(partial(torch_step, given, DROPOUT))
            candidates += with_torch(partial(torch_step, given, DROPOUT, fused=True), "fused AdamW")
        if "jax" in peers:
            check("jax", jax_step, given, expected)
            candidates.append(Candidate("jax", partial(jax_step, given, DROPOUT), "jit"))
        yield Case(", ".join(map(str, sizes)), candidates)


BENCHMARK = Benchmark(
    "train_step",
    "A training step of the MLP (batch, in, hidden, classes)",
    ("torch", "jax"),
    cases,
)
