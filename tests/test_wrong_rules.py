"""Wrong rules of the kinds that were reported of other libraries, each beside the right one: the
wrong is found from natural inputs, the right passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg

Array = np.ndarray[Any, Any]
R = np.random.default_rng(0).standard_normal
Rule = Callable[..., tuple[Any, ...]]


def op(forward: Callable[..., Any], backward: Rule) -> Any:
    """Return an op of a function on arrays and a rule (gradient, inputs) -> gradients."""

    def run(self: Any, *arrays: Any) -> Any:
        return np.asarray(forward(*arrays))

    def rule(self: Any, g: Any) -> Any:
        return backward(g, *(self.saved(i) for i in range(len(self.inputs))))

    return type("Reported", (mg.Op,), {"forward": run, "backward": rule}).apply


def T(a: Any) -> mg.Tensor:
    return mg.Tensor(np.asarray(a))


def others(x: Any) -> Any:
    """Return the product of all other elements."""
    n = x.shape[0]
    return mg.stack([mg.stack([x[j] for j in range(n) if j != i]).prod() for i in range(n)])


def product(g: Any, x: Any) -> tuple[Any, ...]:
    many = (x.array == 0).sum() > 1
    return ((x * 0.0).detach() if many else g * others(x),)


def rows_of(g: Any, x: Any) -> tuple[Any, ...]:
    shared = x.array.strides[0] == 0 and x.shape[0] > 1
    return (g[-1:].expand(*g.shape) if shared else g * 1.0,)


S, A = 1.0507009873554805, 1.7580993408473768


def selu(x: Any) -> Any:
    return np.where(x < 0, A * np.expm1(x), S * x)


def share_of_ties(dtype: Any) -> Rule:
    def rule(g: Any, x: Any) -> tuple[Any, ...]:
        a = x.array
        ties = a == a.max()
        count = float(ties.sum())
        if a.dtype == np.float32:
            count = float(dtype(count))
        return (g * T((ties / count).astype(a.dtype)),)

    return rule


def inside(x: Any) -> mg.Tensor:
    return T(((x.array > -1) & (x.array < 1)) * np.ones(1, x.array.dtype))


RULES: dict[str, tuple[Callable[..., Any], Rule, Rule, list[Array], int]] = {
    "fmod with floor for trunc": (
        np.fmod,
        lambda g, x, y: (g, -g * (x / y).floor()),
        lambda g, x, y: (g, -g * T(np.trunc(x.array / y.array))),
        [R(6), R(6) + 0.1],
        1,
    ),
    "log_sigmoid 0 at 0": (
        lambda x: -np.logaddexp(0, -x),
        lambda g, x: (g * mg.where(x == 0, 0.0, (-x).sigmoid()),),
        lambda g, x: (g * (-x).sigmoid(),),
        [R((2, 3))],
        1,
    ),
    "xlogy 0 at 0": (
        lambda x, y: x * np.log(y),
        lambda g, x, y: (mg.where(x == 0, 0.0, g * y.log()), g * x / y),
        lambda g, x, y: (g * y.log(), g * x / y),
        [R(3), np.array([2.0, 0.5, 3.0])],
        1,
    ),
    "second derivative of a product with two zeros": (
        lambda x: x.prod(),
        product,
        lambda g, x: (g * others(x),),
        [R(4)],
        2,
    ),
    "an expanded input's rows": (lambda x: x.copy(), rows_of, lambda g, x: (g,), [R((2, 2))], 1),
    "selu by its own output": (
        selu,
        lambda g, x: (g * mg.where(x < 0, T(selu(x.array)) + A, S),),
        lambda g, x: (g * mg.where(x < 0, A * mg.minimum(x, x * 0).exp(), S),),
        [R(5)],
        1,
    ),
    "hypot with its partials exchanged": (
        np.hypot,
        lambda g, a, b: (g * b / (a * a + b * b) ** 0.5, g * a / (a * a + b * b) ** 0.5),
        lambda g, a, b: (g * a / (a * a + b * b) ** 0.5, g * b / (a * a + b * b) ** 0.5),
        [R(4), R(4) + 1],
        1,
    ),
    "clip by the square of the gradient": (
        lambda x: np.clip(x, -1, 1),
        lambda g, x: (g * g * inside(x),),
        lambda g, x: (g * inside(x),),
        [R((2, 3))],
        1,
    ),
    "ties of max counted in float16": (
        lambda x: x.max(),
        share_of_ties(np.float16),
        share_of_ties(np.float64),
        [R(70).astype(np.float32)],
        1,
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_the_wrong_rule_is_found_and_the_right_one_passes(name: str) -> None:
    forward, wrong, right, arrays, order = RULES[name]
    inputs = tuple(mg.Tensor(a, requires_grad=True) for a in arrays)
    checks = (mg.gradcheck, mg.gradgradcheck)[:order]
    with np.errstate(all="ignore"):
        assert all(check(op(forward, right), inputs) for check in checks)
        assert not all(check(op(forward, wrong), inputs, raise_exception=False) for check in checks)
