"""Replays allocate nothing that stays."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

import minigrad as mg
from minigrad import nn

F = nn.functional


def captured() -> Any:
    """Return a captured step with all that a replay renews, and a batch, replayed by now."""
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3)
    )
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = mg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10**6)

    @mg.capture
    def step(x: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        return loss

    batch = mg.randn(16, 6), mg.randint(0, 3, (16,))
    for _ in range(10):
        step(*batch)
    assert step.calls["replayed"] >= 5
    return step, batch


def grown(step: Any, batch: Any, calls: int) -> tuple[int, int]:
    """Return the bytes and the objects of the interpreter that calls leave behind."""
    for _ in range(100):
        step(*batch)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(100):
            step(*batch)
        gc.collect()
        before, objects = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
        for _ in range(calls):
            step(*batch)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before, len(gc.get_objects()) - objects
    finally:
        tracemalloc.stop()


def test_replays_leave_no_memory_behind() -> None:
    step, batch = captured()
    size, objects = grown(step, batch, 1000)
    assert size < 1000 and objects < 20, (size, objects)  # less than a byte and an object a call


@pytest.mark.slow
def test_many_replays_leave_no_memory_behind(request: pytest.FixtureRequest) -> None:
    """By the process's own memory, too: what compiled code allocated would be seen there alone."""
    resource = pytest.importorskip("resource")
    step, batch = captured()
    size, objects = grown(step, batch, 20_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100_000 if request.config.getoption("--all-trials") else 30_000):
        step(*batch)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert size < 1000 and objects < 20 and more < 1024, (size, objects, more)  # KiB on Linux
