"""`.grad` is memory of its own: filled, it changes neither inputs, results, seeds, what a hook kept
nor the next sweep over the same tape; with a hook or without, for every op and layout.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.checking.command import leaves as tensors
from minigrad.engine.op import Op
from tests.ops.test_ops import cases, outputs, weighted

Array = np.ndarray[Any, Any]
ROUNDS = 3


def ones(found: tuple[mg.Tensor, ...]) -> list[mg.Tensor]:
    """Return the seeds that a rule may pass on, or leave out."""
    return [mg.Tensor(np.ones(y.shape, y.array.dtype)) for y in found]


def apart(*arrays: Array) -> bool:
    return not any(np.may_share_memory(a, b) for a, b in combinations(arrays, 2))


@pytest.mark.parametrize("heard", [False, True], ids=["plain", "hooks"])
@cases
def test_grad_is_memory_of_its_own(
    op: type[Op], arrays: tuple[Array, ...], meta: dict[str, Any], heard: bool
) -> None:
    for seeds_of in (ones, weighted):
        # As they come from a user: contiguous memory that an op could hand on as a gradient.
        inputs = [mg.Tensor(x.array.copy(), requires_grad=x.requires_grad) for x in tensors(arrays)]
        found = outputs(op, inputs, meta)
        moving = [x for x in inputs if x.requires_grad]
        seeds = seeds_of(found)
        kept: list[mg.Tensor] = []
        for t in (*moving, *found) if heard else ():
            t.register_hook(kept.append)
        held = [*inputs, *found, *seeds]
        before = [t.array.copy() for t in held]
        rounds = []
        for _ in range(ROUNDS):
            values = []
            for y, seed in zip(found, seeds, strict=True):
                y.backward(seed, retain_graph=True)
                values += [g.array.copy() for g in kept[len(values) :]]
            grads = [x.grad for x in moving if x.grad is not None]
            rounds.append([g.array.copy() for g in grads])
            for i, g in enumerate(grads):
                others = [t.array for t in (*held, *kept, *grads[:i])]
                assert not any(np.may_share_memory(g.array, a) for a in others)
            for y, seed in zip(found, seeds, strict=True):
                y.backward(seed, retain_graph=True)  # adds in place
            for g, once in zip(grads, rounds[-1], strict=True):
                np.testing.assert_allclose(g.array, 2 * once, rtol=1e-13)
                g.array.fill(np.nan)
            for g, value in zip(kept, values):  # noqa: B905  those of the first sweep
                np.testing.assert_array_equal(g.array, value)
            kept.clear()
            for x in moving:
                x.grad = None
        for t, value in zip(held, before, strict=True):
            np.testing.assert_array_equal(t.array, value)
        for later in rounds[1:]:
            for a, b in zip(rounds[0], later, strict=True):
                np.testing.assert_array_equal(a, b)


@cases
def test_results_of_grad_may_be_changed(
    op: type[Op], arrays: tuple[Array, ...], meta: dict[str, Any]
) -> None:
    """What `mg.grad` returns is not what the tape has saved."""
    inputs = tensors(arrays)
    found = outputs(op, inputs, meta)
    moving = [x for x in inputs if x.requires_grad]
    before = [t.array.copy() for t in (*inputs, *found)]
    rounds = []
    for _ in range(2):
        grads = mg.grad(found, moving, ones(found), retain_graph=True)
        rounds.append([g.array.copy() for g in grads])
        for g in grads:
            if g.array.flags.writeable:
                g.array.fill(np.nan)
    for t, value in zip((*inputs, *found), before, strict=True):
        np.testing.assert_array_equal(t.array, value)
    for a, b in zip(*rounds, strict=True):
        np.testing.assert_array_equal(a, b)
