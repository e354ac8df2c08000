"""Functions captured on tensors of one element, whose values change from call to call.

Numbers of Python are arrays of one element, too: what NumPy makes of a tensor must not be taken for
such a number, which would be the same in every call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.empty_cases import FUNCTIONS

SHAPES = ((), (1,), (1, 1))
CALLS = 6


def arrays(made: Any) -> list[np.ndarray]:
    """Return the arrays of what a function gives: a tensor, tensors, or numbers."""
    if isinstance(made, mg.Tensor):
        return [made.detach().numpy()]
    if isinstance(made, list | tuple):
        return [array for part in made for array in arrays(part)]
    return [np.array(made, object)]


def alike(f: Callable[..., Any], inputs: Callable[[int], tuple[Any, ...]]) -> bool:
    """Say whether captured calls give the same as plain ones, errors too."""
    captured = mg.capture(f)
    for call in range(CALLS):
        args, found = inputs(call), []
        for g in (captured, f):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found.append(arrays(g(*args)))
            except Exception as error:
                found.append([np.array(type(error).__name__, object)])
        same = len(found[0]) == len(found[1]) and all(
            a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
            for a, b in zip(*found, strict=True)
        )
        if not same:
            return False
    return True


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_functions_of_numbers(shape: tuple[int, ...], request: pytest.FixtureRequest) -> None:
    wrong = []
    every = 1 if request.config.getoption("--all-trials") else 3  # each function has its shape
    for name, function in list(FUNCTIONS.items())[SHAPES.index(shape) % every :: every]:
        if any(word in name for word in ("rand", "multinomial", "bernoulli", "dropout", "poisson")):
            continue

        def f(x: Any, function: Any = function) -> Any:
            return function(mg, F, x)

        g = np.random.default_rng(0)
        values = [g.uniform(0.2, 2.0, shape) * (-1) ** (k // 2) for k in range(CALLS)]
        if not alike(f, lambda call, v=values: (mg.tensor(v[call]),)):
            wrong.append(name)
    assert not wrong, wrong


W = mg.tensor([1.0, 20.0, 0.5, 3.0])
L = mg.tensor(np.random.default_rng(1).normal(size=(6, 4)))
BY_POSITION: dict[str, Callable[[Any], Any]] = {
    "an index": lambda t: W[t] * 1,
    "an index of columns": lambda t: L[:, t] * 1,
    "a slice's end": lambda t: L[: int(t.max()) + 1].sum(),
    "two indices": lambda t: L[t, t] * 1,
    "gather": lambda t: W.gather(0, t.reshape(-1)) * 1,
    "index_select": lambda t: L.index_select(0, t.reshape(-1)) * 1,
    "take": lambda t: L.take(t) * 1,
    "take_along_dim": lambda t: mg.take_along_dim(W, t.reshape(-1), 0) * 1,
    "embedding": lambda t: F.embedding(t, L) * 1,
    "one_hot": lambda t: F.one_hot(t, 4).float() * 1,
    "scatter": lambda t: mg.zeros(4).scatter(0, t.reshape(-1), 1.0) * 1,
    "scatter_add": lambda t: W.scatter_add(0, t.reshape(-1), mg.ones(1)) * 1,
    "index_add": lambda t: W.index_add(0, t.reshape(-1), mg.ones(1)) * 1,
    "a mask": lambda t: W[t.reshape(-1)[0] < W] * 1,
    "a mask of itself": lambda t: t[t > 1],
    "masked_select": lambda t: t.masked_select(t > 1),
    "a mask of a row": lambda t: L[(t.reshape(-1)[0] < W).expand(6, 4)].sum(),
    "where's positions": lambda t: mg.where(t > 1)[0],
    "unique": lambda t: mg.unique(t),
    "a mask in place": lambda t: (t * 2).masked_fill_(t > 1, 0),
    "where": lambda t: mg.where(t > 1, 2.0, 3.0),
    "masked_fill": lambda t: (t * 1.0).masked_fill(t > 1, 0.0),
    "nonzero": lambda t: t.nonzero(),
    "roll": lambda t: W.roll(int(t.sum())),
    "a loss": lambda t: F.cross_entropy(L[:1], t.reshape(-1), weight=W),
    "nll": lambda t: F.nll_loss(L[:1], t.reshape(-1), weight=W),
    "margin": lambda t: F.multi_margin_loss(L[:1], t.reshape(-1)),
    "searchsorted": lambda t: mg.searchsorted(mg.tensor([0, 1, 3]), t) * 1,
    "bincount": lambda t: mg.bincount(t.reshape(-1), minlength=4) * 1,
    "full": lambda t: mg.full((2,), t.item()),
    "repeat": lambda t: W[:1].repeat_interleave(t.reshape(-1) + 1),
}


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "no_grad"])
@pytest.mark.parametrize("shape", [*SHAPES, (3,)], ids=str)
def test_positions(shape: tuple[int, ...], recorded: bool) -> None:
    with nullcontext() if recorded else mg.no_grad():
        wrong = [
            name
            for name, f in BY_POSITION.items()
            if not alike(f, lambda call: (mg.tensor(np.full(shape, call // 2 + call % 2)),))
        ]
    assert not wrong, wrong


def test_an_assignment_by_position() -> None:
    def assign(x: mg.Tensor, t: mg.Tensor) -> mg.Tensor:
        y = x * 1
        y[t] = 5.0
        return y

    for shape in SHAPES:
        assert alike(assign, lambda call, s=shape: (W * 1, mg.tensor(np.full(s, call // 2))))
