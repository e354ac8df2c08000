"""Training steps of every module, optimizer and schedule: captured, all that they leave is what
they leave eagerly, to the bit, whether they are replayed or run as ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.optim.lr_scheduler as schedules
from minigrad import nn
from tests.nn.nn_samples import SAMPLES, Sample

CALLS = 6
HOW: Counter[str] = Counter()
Step = Callable[..., Any]


def bits(x: Any) -> Any:
    """Return all bits of tensors, and of what holds tensors."""
    if isinstance(x, mg.Tensor):
        return str(x.dtype), x.shape, x.requires_grad, x.array.tobytes()
    if isinstance(x, list | tuple):
        return [bits(v) for v in x]
    if isinstance(x, dict):
        return {k: bits(v) for k, v in x.items()}
    return repr(x)


def left(make: Callable[[], tuple[Step, list[Any], Any]], capture: bool) -> list[Any]:
    """Return what calls leave: results, and the states of all that takes part.

    make: returns a step, what has a state, and the arguments of the k-th call.
    """
    _ = mg.manual_seed(2)
    step, stateful, inputs = make()
    call = mg.capture(step) if capture else step
    found = []
    for k in range(CALLS):
        found.append(bits(call(*inputs(k))))
        found.append([bits(s.state_dict()) for s in stateful])
    if capture:
        HOW["replayed" if call.calls["replayed"] == CALLS - 3 else call.explain()] += 1
    return found


def of_module(sample: Sample) -> tuple[Step, list[Any], Any]:
    module = sample.make()
    params = [p for p in module.parameters() if p.requires_grad]
    optimizer = mg.optim.AdamW(params or [mg.zeros(1, requires_grad=True)], lr=0.01)

    def step(*tensors: Any) -> Any:
        optimizer.zero_grad()
        found = module(*tensors)
        first = found if isinstance(found, mg.Tensor) else found[0]
        loss = (first * first).sum()
        if loss.requires_grad:
            loss.backward()
        optimizer.step()
        return loss.detach(), [p.grad for p in params]

    def inputs(k: int) -> list[mg.Tensor]:
        return [
            mg.Tensor((x * (1 - k / 64)).astype(np.float32) if x.dtype.kind == "f" else x.copy())
            for x in sample.inputs
        ]

    return step, [module, optimizer], inputs


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(s, id=f"{name}-{i}")
        for name, samples in SAMPLES.items()
        for i, s in enumerate(samples)
        if s.shape is not None
    ],
)
def test_modules(sample: Sample) -> None:
    assert left(lambda: of_module(sample), True) == left(lambda: of_module(sample), False)


# ---------------------------------------------------------------- optimizers and schedules
def of_optimizer(
    make: Callable[[Any], Any], schedule: Callable[[Any], Any] | None = None
) -> tuple[Step, list[Any], Any]:
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = make(model.parameters())
    scheduler = None if schedule is None else schedule(optimizer)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        return loss

    def inputs(k: int) -> tuple[Any, Any]:
        x = np.random.default_rng(k).standard_normal((4, 3)).astype(np.float32)
        return mg.from_numpy(x), mg.tensor([0, 1, k % 2, 1])

    return step, [model, optimizer, *([] if scheduler is None else [scheduler])], inputs


@pytest.mark.parametrize("name", [*mg.optim.OPTIMIZERS, "Adafactor", "Muon"])
def test_optimizers(name: str) -> None:
    def make(params: Any) -> Any:
        return getattr(mg.optim, name)([p for p in params if name != "Muon" or p.ndim == 2])

    found = [left(lambda: of_optimizer(make), capture) for capture in (True, False)]
    assert found[0] == found[1]


SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "ConstantLR": lambda o: schedules.ConstantLR(o, 0.5, 3),
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, 5),
    "CosineAnnealingWarmRestarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 3),
    "CyclicLR": lambda o: schedules.CyclicLR(o, 0.1, 0.5, step_size_up=2),
    "ExponentialLR": lambda o: schedules.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: schedules.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "LinearLR": lambda o: schedules.LinearLR(o, total_iters=4),
    "MultiStepLR": lambda o: schedules.MultiStepLR(o, [2, 4]),
    "OneCycleLR": lambda o: schedules.OneCycleLR(o, 0.5, total_steps=9),
    "PolynomialLR": lambda o: schedules.PolynomialLR(o, 5),
    "SequentialLR": lambda o: schedules.SequentialLR(
        o, [schedules.LinearLR(o, total_iters=2), schedules.StepLR(o, 1, 0.5)], [3]
    ),
    "StepLR": lambda o: schedules.StepLR(o, 2, 0.5),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    def make() -> Any:
        return of_optimizer(
            lambda params: mg.optim.SGD(params, lr=0.1, momentum=0.9), SCHEDULES[name]
        )

    before = HOW["replayed"]
    assert left(make, True) == left(make, False)
    assert HOW["replayed"] == before + 1, HOW


# ---------------------------------------------------------------- other ways to train
def averaged() -> tuple[Step, list[Any], Any]:
    """An exponential average of the weights, and a metric."""
    step, stateful, inputs = of_optimizer(lambda params: mg.optim.Adam(params, lr=0.1))
    model = stateful[0]
    mean = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))

    def both(x: Any, y: Any) -> Any:
        loss = step(x, y)
        with mg.no_grad():
            for a, p in zip(mean.parameters(), model.parameters(), strict=True):
                a.mul_(0.9).add_(p, alpha=0.1)
            right = (model(x).argmax(1) == y).float().mean()
        return loss, right

    return both, [*stateful, mean], inputs


def accumulated() -> tuple[Step, list[Any], Any]:
    """Two halves of a batch, one step; gradients clipped by value."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2))
    optimizer = mg.optim.RMSprop(model.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        losses = []
        for half in (slice(0, 4), slice(4, 8)):
            loss = nn.functional.cross_entropy(model(x[half]), y[half]) / 2
            loss.backward()
            losses.append(loss)
        nn.utils.clip_grad_value_(model.parameters(), 0.05)
        optimizer.step()
        return losses

    def inputs(k: int) -> Any:
        x = np.random.default_rng(k).standard_normal((8, 3)).astype(np.float32)
        return mg.from_numpy(x), mg.tensor([0, 1, k % 2, 1] * 2)

    return step, [model, optimizer], inputs


def by_transformation() -> tuple[Step, list[Any], Any]:
    """Gradients by `mg.grad` and by hand; weights changed in place."""
    w = nn.Parameter(mg.ones(3, 2))
    holder = nn.Module()
    holder.w = w

    def step(x: Any, y: Any) -> Any:
        loss = ((x @ w).tanh() ** 2).mean()
        (g,) = mg.grad(loss, [w])
        with mg.no_grad():
            w.sub_(g * 0.1)
        return loss.detach(), g

    def inputs(k: int) -> Any:
        x = np.random.default_rng(k).standard_normal((8, 3)).astype(np.float32)
        return mg.from_numpy(x), mg.zeros(1)

    return step, [holder], inputs


@pytest.mark.parametrize("make", [averaged, accumulated, by_transformation])
def test_ways_to_train(make: Any) -> None:
    before = HOW["replayed"]
    assert left(make, True) == left(make, False)
    assert HOW["replayed"] == before + 1, HOW


def test_most_of_them_replay() -> None:
    total = sum(HOW.values())
    assert not total or HOW["replayed"] > 0.75 * total, HOW.most_common(60)
