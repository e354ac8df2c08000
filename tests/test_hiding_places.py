"""Wrong rules that are right at most points: at zeros, where elements or inputs are equal, far out,
at a branch's end, in float32, at some sizes, in the second derivative.  Each kind was reported of
some library; the wrong rule is found from natural inputs and the right one passes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.checking.oracle import extended, oracle_of
from minigrad.checking.problem import Problem
from tests.test_wrong_rules import Array, R, Rule, T, op

U = np.random.default_rng(1).uniform


def arrays(rule: Callable[..., Any]) -> Rule:
    """Return a rule on arrays as one on tensors."""

    def on_tensors(g: Any, *xs: Any) -> tuple[Any, ...]:
        found = rule(g.array, *(x.array for x in xs))
        parts = found if isinstance(found, tuple) else (found,)
        return tuple(T(np.asarray(p, g.array.dtype)) for p in parts)

    return on_tensors


def norm(x: Array) -> Any:
    return np.sqrt((x * x).sum())


def std(x: Array) -> Any:
    return x.std(ddof=1)


def distance(x: Array, y: Array) -> Any:
    return np.sqrt(((x - y) ** 2).sum(-1))


def unit(d: Array) -> Any:
    return d / np.sqrt((d * d).sum(-1, keepdims=True))


def softmax(x: Array) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def of_softmax(g: Array, x: Array) -> Any:
    y = softmax(x)
    return y * (g - (g * y).sum(-1, keepdims=True))


def masked(x: Array) -> Any:
    """Softmax over numbers above -50; zeros where a row has none."""
    return np.nan_to_num(softmax(np.where(x > -50, x, -np.inf)))


def of_masked(x: Array, g: Array) -> Any:
    y = masked(x)
    return y * (g - (g * y).sum(-1, keepdims=True))


def clipped(x: Array) -> Any:
    return x * min(1, 3 / norm(x))


def of_clipped(g: Array, x: Array) -> Any:
    n = norm(x)
    return g if n < 3 else 3 * (g / n - x * (g * x).sum() / n**3)


def median_rule(g: Array, x: Array, count: int) -> Any:
    order, out = np.argsort(x, kind="stable"), np.zeros_like(x)
    middle = [x.size // 2, x.size // 2 - 1][:count]
    out[order[middle]] = g / count
    return out


def sinc_slope(x: Any, near: float) -> Any:
    """The slope of sinc, by its series where |x| is less than `near`."""
    p = float(np.pi)
    little = x.abs() <= near
    safe = mg.where(little, 1.0, x)
    series = -(p**2) * x / 3 + p**4 * x**3 / 30 - p**6 * x**5 / 840
    return mg.where(
        little,
        series if near else 0.0,
        ((p * safe).cos() - (p * safe).sin() / (p * safe)) / safe,
    )


def logcumsumexp(x: Array) -> Any:
    return np.logaddexp.accumulate(x)


def cubic(g: Any, x: Any) -> Any:
    return g * 3 * x.detach() * x


def safe_power(g: Array, x: Array, y: Array) -> Any:
    logs = np.log(np.where(x > 0, x, 1.0))
    return g * y * x ** (y - 1), g * np.where(x > 0, x**y * logs, 0.0)


def half(x: Array) -> Any:
    """What is left of float32 in float16."""
    return x.astype(np.float16).astype(x.dtype) if x.dtype == np.float32 else x


def blocked(g: Array, x: Array) -> Any:
    """Forgets what is left over of blocks of 8, where there is more than one."""
    whole = np.arange(x.size) < x.size // 8 * 8
    return np.where(whole | (x.size < 13), g * np.cos(x), 0.0)


BUFFER: dict[Any, Any] = {}


def stale(g: Array, x: Array) -> Any:
    return g * BUFFER.setdefault(x.shape, np.cos(x))


Case = tuple[Callable[..., Any], Rule, Rule, list[Array], int, str]
RULES: dict[str, Case] = {
    "norm NaN at zeros": (
        norm,
        arrays(lambda g, x: g * x / norm(x)),
        arrays(lambda g, x: g * x / norm(x) if norm(x) else 0 * x),
        [R(3)], 1, "",
    ),
    "abs NaN at zero": (
        np.abs,
        lambda g, x: (g * x / x.abs(),),
        lambda g, x: (g * x.sign(),),
        [R(4)], 1, "",
    ),
    "std NaN of equal elements": (
        std,
        arrays(lambda g, x: g * (x - x.mean()) / (x.size - 1) / std(x)),
        arrays(lambda g, x: g * (x - x.mean()) / (x.size - 1) / std(x) if std(x) else 0 * x),
        [R(5)], 1, "ties",
    ),
    "distance NaN of equal points": (
        distance,
        arrays(lambda g, x, y: (g[:, None] * unit(x - y), -g[:, None] * unit(x - y))),
        arrays(lambda g, x, y: (g[:, None] * np.nan_to_num(unit(x - y)),
                                -g[:, None] * np.nan_to_num(unit(x - y)))),
        [R((3, 2)), R((3, 2))], 1, "ties",
    ),
    "power NaN by the exponent at 0": (
        lambda x, y: x**y,
        arrays(lambda g, x, y: (g * y * x ** (y - 1), g * x**y * np.log(x))),
        arrays(safe_power),
        [U(0.2, 1.5, 4), U(1.2, 2.5, 4)], 1, "",
    ),
    "maximum gives both all where equal": (
        np.maximum,
        arrays(lambda g, a, b: (g * (a >= b), g * (b >= a))),
        arrays(lambda g, a, b: (g * (a >= b), g * (b > a))),
        [R(4), R(4)], 1, "ties",
    ),
    "minimum gives neither anything where equal": (
        np.minimum,
        arrays(lambda g, a, b: (g * (a < b), g * (b < a))),
        arrays(lambda g, a, b: (g * (a <= b), g * (b < a))),
        [R(4), R(4)], 1, "ties",
    ),
    "median of an even number": (
        np.median,
        arrays(lambda g, x: median_rule(g, x, 1)),
        arrays(lambda g, x: median_rule(g, x, 2)),
        [R(4)], 1, "",
    ),
    "clip by the norm without projection": (
        clipped,
        arrays(lambda g, x: g * min(1, 3 / norm(x))),
        arrays(of_clipped),
        [0.3 * R(3)], 1, "",
    ),
    "softmax NaN beside minus infinity": (
        softmax,
        arrays(lambda g, x: of_softmax(g, x) + 0 * x),
        arrays(of_softmax),
        [R((2, 3))], 1, "infinite",
    ),
    "masked softmax NaN in a row of masks": (
        masked,
        arrays(lambda g, x: of_softmax(g, np.where(x > -50, x, -np.inf))),
        arrays(lambda g, x: of_masked(x, g)),
        [R((2, 3))], 1, "overflow",
    ),
    "sigmoid overflows": (
        lambda x: 1 / (1 + np.exp(-x)),
        lambda g, x: (g * (-x).exp() / (1 + (-x).exp()) ** 2,),
        lambda g, x: (g * x.sigmoid() * (1 - x.sigmoid()),),
        [R(4)], 1, "overflow",
    ),
    "logcumsumexp overflows": (
        logcumsumexp,
        arrays(lambda g, x: np.exp(x) * np.flip(np.cumsum(np.flip(g / np.exp(logcumsumexp(x)))))),
        arrays(lambda g, x: g @ np.tril(np.exp(x - logcumsumexp(x)[:, None]))),
        [R(4)], 1, "overflow",
    ),
    "huber without its outer branch": (
        lambda d: np.where(np.abs(d) < 5, d * d / 2, 5 * np.abs(d) - 12.5),
        arrays(lambda g, d: g * d),
        arrays(lambda g, d: g * np.clip(d, -5, 5)),
        [R(6)], 1, "",
    ),
    "huber with another bound": (
        lambda d: np.where(np.abs(d) < 2, d * d / 2, 2 * np.abs(d) - 2),
        arrays(lambda g, d: g * np.where(np.abs(d) < 0.5, d, 2 * np.sign(d))),
        arrays(lambda g, d: g * np.clip(d, -2, 2)),
        [np.array([-1.7, -0.9, -0.3, 0.2, 0.4, 1.1, 1.6])], 1, "branch",
    ),
    "prod NaN with a zero": (
        lambda x: x.prod(),
        arrays(lambda g, x: g * x.prod() / x),
        arrays(lambda g, x: g * np.array([np.delete(x, k).prod() for k in range(x.size)])),
        [R(4)], 1, "zeros",
    ),
    "cumsum the same way": (
        np.cumsum,
        lambda g, x: (g.cumsum(0),),
        lambda g, x: (g.flip(0).cumsum(0).flip(0),),
        [R(4)], 1, "transposed",
    ),
    "a buffer by the shape": (
        np.sin,
        arrays(stale),
        arrays(lambda g, x: g * np.cos(x)),
        [R(4)], 1, "before",
    ),
    "saved in float16": (
        np.log,
        arrays(lambda g, x: g / half(x)),
        arrays(lambda g, x: g / x),
        [U(0.2, 1.5, 5)], 1, "float32",
    ),
    "the rest of blocks": (
        np.sin,
        arrays(blocked),
        arrays(lambda g, x: g * np.cos(x)),
        [R(5)], 1, "tail",
    ),
    "second derivative of sinc 0 at 0": (
        np.sinc,
        lambda g, x: (g * sinc_slope(x, 0.0),),
        lambda g, x: (g * sinc_slope(x, 0.01),),
        [R(4)], 2, "",
    ),
    "second derivative of a detached factor": (
        lambda x: x**3,
        lambda g, x: (cubic(g, x),),
        lambda g, x: (g * 3 * x * x,),
        [R(3)], 2, "factor",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_wrong_in_few_places_is_found(name: str) -> None:
    forward, wrong, right, given, order, kind = RULES[name]
    BUFFER.clear()
    inputs = tuple(mg.Tensor(a, requires_grad=True) for a in given)
    checks = (mg.gradcheck, mg.gradgradcheck)[:order]
    with np.errstate(all="ignore"):
        assert all(check(op(forward, right), inputs) for check in checks)
        with pytest.raises(mg.GradcheckError) as caught:
            for check in checks:
                check(op(forward, wrong), inputs)
    assert caught.value.kind == kind or not kind, caught.value


def test_a_rule_is_not_refused_where_its_function_has_no_derivative() -> None:
    """Level along each axis, and of no slope together: x**y at (0, 0), hypot at (0, 0)."""

    def hypot(g: Array, a: Array, b: Array) -> Any:
        return g * a / np.hypot(a, b), g * b / np.hypot(a, b)

    pair = tuple(mg.Tensor(a, requires_grad=True) for a in (R(3), R(3)))
    with np.errstate(all="ignore"):
        assert mg.gradcheck(op(np.hypot, arrays(hypot)), pair)


def test_a_rule_that_saturates_as_the_sigmoid_is_right_in_float32() -> None:
    def lecun(g: Array, x: Array) -> Any:
        y = 1.7159 * np.tanh(2 * x / 3)
        return g * 2 / 3 * (1.7159 - y * y / 1.7159)

    x = mg.Tensor(R(4), requires_grad=True)
    assert mg.gradcheck(op(lambda x: 1.7159 * np.tanh(2 * x / 3), arrays(lecun)), x)


class Uneven(mg.Op):
    """x^2 y whose mixed second derivative is off by 2e-5, one way."""

    def forward(self, x: Any, y: Any) -> Any:
        return x * x * y

    def backward(self, g: Any) -> Any:
        x, y = self.saved(0), self.saved(1)
        return g * 2 * x * y, g * x * x + g * 2e-5 * (x - x.detach())


def test_the_hessian_is_held_to_its_transpose() -> None:
    """What differences are too coarse to see."""
    pair = tuple(mg.Tensor(a, requires_grad=True) for a in (R(3), R(3) + 2))
    assert mg.gradgradcheck(lambda x, y: x * x * y, pair)
    with pytest.raises(mg.GradcheckError, match="the Hessian is not symmetric") as caught:
        mg.gradgradcheck(Uneven.apply, pair)
    assert caught.value.kind == "symmetry"


@pytest.mark.skipif(float(np.finfo(np.longdouble).eps) > 1e-18, reason="long double is no longer")
def test_a_constant_of_float32_is_found_in_80_bits() -> None:
    """A tenth in float32 is off by 1.5e-8 of itself."""
    x = mg.Tensor(R(4), requires_grad=True)

    def scaled(x: Array) -> Any:
        return x / 10 + np.sin(x)

    assert mg.gradcheck(op(scaled, arrays(lambda g, x: g * (0.1 + np.cos(x)))), x)
    wrong = op(scaled, arrays(lambda g, x: g * (1.0000001 * (0.1 + np.cos(x)))))
    with pytest.raises(mg.GradcheckError, match="80 bits") as caught:
        mg.gradcheck(wrong, x)
    assert caught.value.kind == "digits"


def test_references_answer_for_ops_of_the_registry_in_80_bits() -> None:
    x = mg.Tensor(R((2, 3)), requires_grad=True)
    with Problem("oracle", mg.exp, x) as problem:
        problem.first = problem.run()
        values = oracle_of(problem, [0])
        assert values is not None
        here = values([x.array.astype(np.longdouble)])
        assert here[0].dtype == np.longdouble
        assert extended(here, [y.array for y in problem.first])
        assert mg.exp(x).array.dtype == np.float64  # the kernels are back


class Forgetful(mg.Op):
    """y = x^2, whose rule forgets the sign of a number below -1."""

    def forward(self, x: Any) -> Any:
        return x * x

    def backward(self, g: Any) -> Any:
        x = self.saved(0)
        return (g * 2 * mg.where(x < -1, -x, x),)


def test_a_failing_check_writes_the_smallest_inputs_that_fail(tmp_path: Path) -> None:
    x = mg.Tensor(np.array([[0.31, -1.234, 0.7], [1.1, -2.2, 0.456]]), requires_grad=True)
    with pytest.raises(mg.GradcheckError, match="run it again"):
        mg.gradcheck(Forgetful.apply, x, save=tmp_path / "wrong")
    with np.load(tmp_path / "wrong.npz") as file:
        held = dict(file)
    assert held["moving0"].size < 6
    lines = (tmp_path / "wrong.py").read_text().splitlines()
    assert len(lines) == 5
    with pytest.raises(mg.GradcheckError) as again:
        exec("\n".join(lines), {})
    assert again.value.mismatch is not None
