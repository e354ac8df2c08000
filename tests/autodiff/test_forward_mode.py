"""Forward mode: jvp of every op against two reverse sweeps and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.func import grad, jvp, linearize, vjp
from tests.autodiff.op_cases import CASES, Case, directions, flat, function_of

cases = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{c[1]}")


@cases
def test_jvp_is_the_derivative_along_a_line(case: Case) -> None:
    function, inputs = function_of(case)
    tangents = directions(inputs)
    value, pushed = jvp(function, tuple(inputs), tangents)
    np.testing.assert_array_equal(flat(value), flat(function(*inputs)))
    _, push = linearize(function, *inputs)
    np.testing.assert_allclose(flat(pushed), flat(push(*tangents)), rtol=1e-10, atol=1e-12)
    step = 1e-6
    ends = [
        function(*[x + (s * step) * t for x, t in zip(inputs, tangents, strict=True)])
        for s in (1, -1)
    ]
    slope = (flat(ends[0]) - flat(ends[1])) / (2 * step)
    np.testing.assert_allclose(flat(pushed), slope, rtol=1e-4, atol=1e-6)
    for y in value if isinstance(value, tuple) else (value,):
        assert not y.requires_grad


@cases
def test_forward_over_reverse_is_reverse_over_forward(case: Case) -> None:
    function, inputs = function_of(case)
    tangents = directions(inputs)
    outputs = function(*inputs)
    weights = directions(list(outputs) if isinstance(outputs, tuple) else [outputs], 4)
    every = tuple(range(len(inputs)))

    def loss(*xs: Any) -> Any:
        found = function(*xs)
        parts = found if isinstance(found, tuple) else (found,)
        return sum([(y * w).sum() for y, w in zip(parts, weights, strict=True)], mg.tensor(0.0))

    _, over_reverse = jvp(grad(loss, argnums=every), tuple(inputs), tangents)
    over_forward = grad(lambda *xs: jvp(loss, xs, tangents)[1], argnums=every)(*inputs)
    np.testing.assert_allclose(flat(over_reverse), flat(over_forward), rtol=1e-7, atol=1e-9)
    _, pull = vjp(grad(loss, argnums=every), *inputs)
    np.testing.assert_allclose(flat(pull(tangents)), flat(over_forward), rtol=1e-7, atol=1e-9)
