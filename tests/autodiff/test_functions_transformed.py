"""Every function of the breadth battery under vmap, grad and jvp, against a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.func import grad, jvp, trees, vmap
from tests.autodiff.op_cases import directions
from tests.ops.breadth_cases import CASES, found_in, outputs_of, tensors_of

SCALES = (1.0, 1.01, 0.99)
DRAWS = "randomness='different'"


class Mapped:
    """A call of a function, its tensors as the arguments."""

    def __init__(self, name: str, k: int) -> None:
        args, _ = tensors_of(mg, name, k, "float64")
        self.leaves, self.shape = trees.flatten(tuple(args))
        self.places = [i for i, t in enumerate(self.leaves) if isinstance(t, mg.Tensor)]
        self.moving = tuple(j for j, i in enumerate(self.places) if self.leaves[i].requires_grad)
        self.options, self.function = CASES[name][k].options, found_in(mg, F, name)
        base = [self.leaves[i].detach() for i in self.places]
        self.batch = [
            mg.stack([t * s if j in self.moving else t for s in SCALES]) for j, t in enumerate(base)
        ]

    def __call__(self, *tensors: mg.Tensor) -> tuple[mg.Tensor, ...]:
        leaves = list(self.leaves)
        for i, t in zip(self.places, tensors, strict=True):
            leaves[i] = t
        found = self.function(*trees.unflatten(self.shape, leaves), **self.options)
        return tuple([y for y in outputs_of(found) if isinstance(y, mg.Tensor)])

    def loss(self, *tensors: mg.Tensor) -> mg.Tensor:
        """Return the sum of the squares of what has a gradient."""
        parts = [(y * y).sum() for y in self(*tensors) if y.dtype == mg.float64]
        return sum(parts, mg.tensor(0.0, dtype=mg.float64))

    def example(self, i: int) -> list[mg.Tensor]:
        return [t[i] for t in self.batch]


def same(found: Any, rows: list[Any]) -> None:
    for i, y in enumerate(found):
        want = np.stack([np.asarray(row[i].detach().numpy()) for row in rows])
        np.testing.assert_allclose(y.detach().numpy(), want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_a_function_is_mapped_as_in_a_loop(name: str) -> None:
    for k in range(len(CASES[name])):
        call = Mapped(name, k)
        examples = [call.example(i) for i in range(len(SCALES))]
        if not call.batch or not call(*examples[0]):
            continue
        try:
            found = vmap(call)(*call.batch)
        except RuntimeError as error:
            assert DRAWS in str(error)
            continue
        same(found, [call(*e) for e in examples])
        if not call.moving:
            continue
        slope = grad(call.loss, argnums=call.moving)
        rows = [slope(*e) for e in examples]
        same(vmap(slope)(*call.batch), rows)

        def line(*moved: mg.Tensor, call: Mapped = call, e: Any = examples[0]) -> mg.Tensor:
            given = list(e)
            for j, t in zip(call.moving, moved, strict=True):
                given[j] = t
            return call.loss(*given)

        primals = tuple([examples[0][j] for j in call.moving])
        tangents = directions(list(primals))
        value, pushed = jvp(line, primals, tangents)
        want = sum(float((g * t).sum()) for g, t in zip(rows[0], tangents, strict=True))
        if np.isfinite(want) and np.isfinite(float(value)):
            np.testing.assert_allclose(float(pushed), want, rtol=1e-8, atol=1e-10)
