"""vmap of every op against a loop: values, per-example gradients, gradients through vmap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.func import grad, jvp, vjp, vmap
from tests.autodiff.op_cases import CASES, Case, directions, flat, function_of

cases = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[1]}")
few = pytest.mark.parametrize(
    "case", [c for c in CASES if c[1] in (0, 3, 5, 7)], ids=lambda c: f"{c[0]}-{c[1]}"
)
LANES = (1.0, 1.03, 0.97)


def batches(inputs: list[mg.Tensor]) -> list[mg.Tensor]:
    return [mg.stack([x * scale for scale in LANES], 0) for x in inputs]


def looped(function: Any, *inputs: Any) -> np.ndarray[Any, Any]:
    """Return what a function gives for each example, all numbers of one output after another."""
    found = [function(*[x[i] for x in inputs]) for i in range(len(LANES))]
    several = [y if isinstance(y, tuple) else (y,) for y in found]
    return np.concatenate([np.stack([y.numpy() for y in c]).ravel() for c in zip(*several)])  # noqa: B905


def loss_of(function: Any, inputs: list[mg.Tensor]) -> Any:
    outputs = function(*inputs)
    weights = directions(list(outputs) if isinstance(outputs, tuple) else [outputs], 4)

    def loss(*xs: Any) -> Any:
        found = function(*xs)
        parts = found if isinstance(found, tuple) else (found,)
        return sum([(y * w).sum() for y, w in zip(parts, weights, strict=True)], mg.tensor(0.0))

    return loss


@cases
def test_vmap_is_a_loop(case: Case) -> None:
    function, inputs = function_of(case)
    given = batches(inputs)
    close = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(flat(vmap(function)(*given)), looped(function, *given), **close)
    every = tuple(range(len(inputs)))
    single = grad(loss_of(function, inputs), argnums=every)
    np.testing.assert_allclose(flat(vmap(single)(*given)), looped(single, *given), **close)


@few
def test_vmap_over_one_input_of_several(case: Case) -> None:
    function, inputs = function_of(case)
    given = batches(inputs)
    every = tuple(range(len(inputs)))
    loss = loss_of(function, inputs)
    for k in range(len(inputs) if len(inputs) > 1 else 0):
        mixed = [given[i] if i == k else inputs[i] for i in every]
        spread = [mg.stack([x] * len(LANES)) if i != k else x for i, x in enumerate(mixed)]
        dims = tuple([0 if i == k else None for i in every])
        found = vmap(grad(loss, argnums=every), in_dims=dims)(*mixed)
        want = looped(grad(loss, argnums=every), *spread)
        np.testing.assert_allclose(flat(found), want, rtol=1e-10, atol=1e-12)
        mapped = vmap(loss, in_dims=dims)
        through = grad(lambda *xs, f=mapped: f(*xs).sum(), argnums=every)(*mixed)
        sums = [
            g if i == k else g.sum(0)
            for i, g in enumerate(vmap(grad(loss, argnums=every))(*spread))
        ]
        np.testing.assert_allclose(flat(through), flat(tuple(sums)), rtol=1e-9, atol=1e-11)


@few
def test_forward_mode_under_vmap_and_over_it(case: Case) -> None:
    function, inputs = function_of(case)
    given = batches(inputs)
    tangents = directions(given, 6)
    n = len(inputs)

    def pushed(*both: Any) -> Any:
        return jvp(function, both[:n], both[n:])[1]

    want = looped(pushed, *given, *tangents)
    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(flat(vmap(pushed)(*given, *tangents)), want, **close)
    over = jvp(vmap(function), tuple(given), tangents)[1]
    np.testing.assert_allclose(flat(over), want, **close)


@few
def test_sweeps_over_many_gradients_are_differentiated(case: Case) -> None:
    """A Jacobian by vmap over its rows, in both modes: what is saved has no lanes, gradients do."""
    function, inputs = function_of(case)
    outputs = function(*inputs)
    several = list(outputs) if isinstance(outputs, tuple) else [outputs]
    weights = [directions(several, seed) for seed in (5, 6)]
    rows = [mg.stack(list(column)) for column in zip(*weights, strict=True)]
    nested = (lambda w: tuple(w)) if isinstance(outputs, tuple) else (lambda w: w[0])
    tangents = directions(inputs, 7)

    def at_once(*xs: Any) -> Any:
        pull = vjp(function, *xs)[1]
        return vmap(lambda *w: pull(nested(w)))(*rows)

    def in_turn(*xs: Any) -> Any:
        pull = vjp(function, *xs)[1]
        found = [pull(nested(w)) for w in weights]
        return tuple([mg.stack(list(column)) for column in zip(*found, strict=True)])

    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(flat(at_once(*inputs)), flat(in_turn(*inputs)), **close)
    pushed = [jvp(f, tuple(inputs), tangents)[1] for f in (at_once, in_turn)]
    np.testing.assert_allclose(flat(pushed[0]), flat(pushed[1]), **close)
    every = tuple(range(len(inputs)))
    found = [
        grad(lambda *xs, f=f: sum([(y * y).sum() for y in f(*xs)], mg.tensor(0.0)), every)(*inputs)
        for f in (at_once, in_turn)
    ]
    np.testing.assert_allclose(flat(found[0]), flat(found[1]), **close)
