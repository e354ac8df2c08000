"""One training step of the MLP: zero_grad, forward, backward, AdamW, at four sizes.

Three blocks of Linear, BatchNorm, ReLU, Dropout(0.2), a linear head, cross-entropy; minigrad eager
and captured beside PyTorch (best thread count; eager, its fused AdamW, and compiled where there is
a C++ compiler) and JAX compiled.  Each step sees other data than the one before.
"""

from __future__ import annotations

import shutil
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
    with_fresh_data,
)
from benchmarks.train_step_jax import jax_step
from minigrad_kernels.compare.timing import Candidate, Case

SIZES = ((64, 30, 64, 2), (128, 64, 256, 10), (256, 784, 512, 10), (1024, 784, 1024, 10))
QUICK_SIZES = ((16, 8, 12, 3),)
CHECKED_STEPS = 4
UNTIL_REPLAYED = 6  # calls until all that a captured step prepares is there
COMPILED: dict[Any, Callable[[], Any]] = {}


def eager_step(
    framework: Any,
    given: Problem,
    dropout: float,
    compiled: Callable[[Any], Any] = lambda step: step,
    **adamw: Any,
) -> Callable[[], Any]:
    """Return a training step of `framework`, minigrad or torch: the same lines make both.

    compiled: what becomes of the step, a function of a batch.
    """
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
    batch = given.batches(framework.from_numpy)
    cross_entropy = nn.functional.cross_entropy

    def step(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return loss

    run = compiled(step)
    return lambda: run(*batch())


def minigrad_step(given: Problem, dropout: float) -> Callable[[], Any]:
    """Return minigrad's step."""
    return eager_step(mg, given, dropout)


def captured_step(given: Problem, dropout: float) -> Callable[[], Any]:
    """Return minigrad's step, captured."""
    return eager_step(mg, given, dropout, mg.capture)


def replayed_step(given: Problem, dropout: float) -> Callable[[], Any]:
    """Return minigrad's step, captured and replayed by now."""
    step = captured_step(given, dropout)
    for _ in range(UNTIL_REPLAYED):
        step()
    return step


def torch_step(given: Problem, dropout: float, **adamw: Any) -> Callable[[], Any]:
    """Return PyTorch's step, without torch.compile."""
    import torch

    return eager_step(torch, given, dropout, **adamw)


def torch_compiled_step(given: Problem, dropout: float) -> Callable[[], Any]:
    """Return PyTorch's step under torch.compile: the whole of it, with the fused AdamW."""
    import torch

    return eager_step(torch, given, dropout, torch.compile, fused=True)


def torch_ready_step(given: Problem, dropout: float) -> Callable[[], Any]:
    """Return the same, compiled by now: once for each problem and thread count."""
    import torch

    key = given.x.shape, torch.get_num_threads()
    if key not in COMPILED:
        COMPILED[key] = torch_compiled_step(given, dropout)
        for _ in range(3):
            COMPILED[key]()
    return COMPILED[key]


Steps = Callable[[Problem, float], Callable[[], Any]]


def check(name: str, steps: Steps, given: Problem, expected: list[float]) -> None:
    """Compare the losses of the first steps, without dropout, with those of float64."""
    step = steps(given, 0.0)
    losses = [float(step()) if name == "jax" else step().item() for _ in expected]
    agree(f"{name}, losses of the first steps", losses, expected, rtol=1e-3, atol=1e-4)


def cases(peers: Sequence[str], quick: bool, only: str = "") -> Iterator[Case]:
    """Check the losses of all against float64, then yield each size."""
    for sizes in QUICK_SIZES if quick else SIZES:
        if only not in ", ".join(map(str, sizes)):
            continue
        given = problem(*sizes)
        expected = exact_losses(given, CHECKED_STEPS)
        check("minigrad", minigrad_step, given, expected)
        check("minigrad captured", captured_step, given, expected)
        checked, given = given, with_fresh_data(given)
        candidates = ours(partial(minigrad_step, given, DROPOUT))
        candidates += ours(partial(replayed_step, given, DROPOUT), "captured")
        if "torch" in peers:
            check("torch", torch_step, checked, expected)
            candidates += with_torch(partial(torch_step, given, DROPOUT))
            candidates += with_torch(partial(torch_step, given, DROPOUT, fused=True), "fused AdamW")
            if not quick and shutil.which("g++"):
                check("torch.compile", torch_compiled_step, checked, expected)
                candidates += with_torch(partial(torch_ready_step, given, DROPOUT), "compile")
        if "jax" in peers:
            check("jax", jax_step, checked, expected)
            candidates.append(Candidate("jax", partial(jax_step, given, DROPOUT), "jit"))
        yield Case(", ".join(map(str, sizes)), candidates)


BENCHMARK = Benchmark(
    "train_step",
    "A training step of the MLP (batch, in, hidden, classes)",
    ("torch", "jax"),
    cases,
    options=("only",),
)
