"""Forward mode: jvp of every op against two reverse sweeps and finite differences."""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
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


def test_a_pass_forward_keeps_nothing_of_what_it_has_passed() -> None:
    alive: list[Any] = []
    counts: list[int] = []

    def chain(x: mg.Tensor) -> mg.Tensor:
        for _ in range(50):
            x = (x * 1.5).sin()
            alive.append(weakref.ref(x.array))
            counts.append(sum(r() is not None for r in alive))
        return x

    x = mg.ones(3)
    jvp(chain, (x,), (x,))
    assert max(counts) <= 2
    alive.clear()
    counts.clear()
    vjp(chain, x)
    assert max(counts) == 50, "reverse mode keeps all: the count counts"


def test_what_forward_mode_has_passed_does_not_disturb_a_sweep() -> None:
    """A sweep from a loss that also depends on a dual tensor goes by it."""
    w = mg.ones(3, requires_grad=True)

    def f(x: mg.Tensor) -> mg.Tensor:
        y = F.linear(x.sin().unsqueeze(0), mg.eye(3))
        (y * w * w).sum().backward(create_graph=True)
        return y

    x = mg.tensor([0.1, 0.2, 0.3])
    _, pushed = jvp(f, (x,), (mg.ones(3),))
    np.testing.assert_allclose(pushed.numpy()[0], np.cos(x.numpy()), rtol=1e-6)
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.detach().numpy(), 2 * np.sin(x.numpy()), rtol=1e-6)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_the_third_derivative_is_the_slope_of_the_second(name: str) -> None:
    function, inputs = function_of((name, 0))
    tangents = directions(inputs)
    outputs = function(*inputs)
    weights = directions(list(outputs) if isinstance(outputs, tuple) else [outputs], 4)
    every = tuple(range(len(inputs)))

    def loss(*xs: Any) -> Any:
        found = function(*xs)
        parts = found if isinstance(found, tuple) else (found,)
        return sum([(y * w).sum() for y, w in zip(parts, weights, strict=True)], mg.tensor(0.0))

    def curvature(*xs: Any) -> Any:
        return jvp(grad(loss, argnums=every), xs, tangents)[1]

    _, third = jvp(curvature, tuple(inputs), tangents)
    step = 1e-5
    up, down = (
        flat(curvature(*[x + (s * step) * t for x, t in zip(inputs, tangents, strict=True)]))
        for s in (1, -1)
    )
    slope = (up - down) / (2 * step)
    scale = 1 + np.abs(slope).max(initial=0)
    np.testing.assert_allclose(flat(third) / scale, slope / scale, atol=2e-5)


# Transformations inside of others, of functions that see the outer one's argument: of
# sin(x) y^2 by y at y = 2, once or twice.
POINT, Y = 0.7, mg.tensor(2.0, dtype=mg.float64)
INNER = {
    "grad": (lambda f: mg.func.grad(f)(Y), 4.0),
    "vjp": (lambda f: mg.func.vjp(f, Y)[1](mg.ones_like(Y))[0], 4.0),
    "jvp": (lambda f: mg.func.jvp(f, (Y,), (mg.ones_like(Y),))[1], 4.0),
    "jacrev": (lambda f: mg.func.jacrev(f)(Y), 4.0),
    "jacfwd": (lambda f: mg.func.jacfwd(f)(Y), 4.0),
    "grad twice": (lambda f: mg.func.grad(mg.func.grad(f))(Y), 2.0),
    "hessian": (lambda f: mg.func.hessian(f)(Y), 2.0),
}
OUTER = {
    "jvp": lambda f, x: mg.func.jvp(f, (x,), (mg.ones_like(x),))[1],
    "grad": lambda f, x: mg.func.grad(f)(x),
    "vjp": lambda f, x: mg.func.vjp(f, x)[1](mg.ones_like(x))[0],
    "jacfwd": lambda f, x: mg.func.jacfwd(f)(x),
    "jacrev": lambda f, x: mg.func.jacrev(f)(x),
}


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("outer", OUTER)
def test_inner_functions_see_the_outer_argument(outer: str, inner: str) -> None:
    derivative, factor = INNER[inner]
    x = mg.tensor(POINT, dtype=mg.float64)
    found = OUTER[outer](lambda x: derivative(lambda y: x.sin() * y * y), x)
    assert found.item() == pytest.approx(factor * math.cos(POINT), rel=1e-12)
    assert not found.requires_grad


def test_a_tensor_of_the_program_is_reached_through_both() -> None:
    w = mg.tensor(3.0, dtype=mg.float64, requires_grad=True)
    x = mg.tensor(POINT, dtype=mg.float64)
    found = OUTER["jvp"](lambda x: mg.func.grad(lambda y: w * x * y * y)(Y), x)
    found.backward()
    assert w.grad is not None and w.grad.item() == 4.0
