"""`Value` against micrograd, against differences, and on graphs that are large, old or shared."""

from __future__ import annotations

import gc
import json
import math
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from benchmarks.moons import train
from minigrad import Value
from minigrad.scalar import tape
from tests.scalar.expressions import EXPRESSIONS

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "scalar.json").read_text())

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": lambda a, b: a.exp() * b,
    "log": lambda a, b: a.log() + b,
    "tanh": lambda a, b: (a * b).tanh(),
    "sigmoid": lambda a, b: a.sigmoid() - b.sigmoid(),
    "pow": lambda a, b: a**b,
    "rpow": lambda a, b: 2.0**a * b,
    "division": lambda a, b: a / b - b / a + 1 / a,
    "all": lambda a, b: ((a * b).tanh() + a**b / (b.exp() + 1)).sigmoid().log() - a,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_give_what_micrograd_gives(name: str) -> None:
    a, b = Value(-4.0), Value(2.0)
    y = EXPRESSIONS[name](a, b)
    y.backward()
    np.testing.assert_allclose([y.data, a.grad, b.grad], GOLDEN["expressions"][name], rtol=1e-13)


def test_the_moons_demo_learns_as_micrograd_does() -> None:
    np.testing.assert_allclose(train(Value, 12), GOLDEN["moons"], rtol=1e-9)


def test_micrograds_own_nn_runs_on_our_values() -> None:
    nn = pytest.importorskip("micrograd.nn")
    engine = types.ModuleType("micrograd.engine")
    engine.Value = Value  # type: ignore[attr-defined]
    held = sys.modules["micrograd.engine"]
    sys.modules["micrograd.engine"] = engine
    try:
        ours = types.ModuleType("nn_on_ours")
        exec(Path(nn.__file__).read_text(), ours.__dict__)
    finally:
        sys.modules["micrograd.engine"] = held
    results = []
    for module in (ours, nn):
        module.random.seed(3)
        model = module.MLP(3, [4, 4, 1])
        y = model([1.0, -2.0, 0.5]) ** 2
        model.zero_grad()
        y.backward()
        results.append([y.data, *[p.grad for p in model.parameters()]])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-13)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_agree_with_differences(name: str) -> None:
    at = (1.3, 0.7)
    a, b = Value(at[0]), Value(at[1])
    FUNCTIONS[name](a, b).backward()
    h = 1e-6
    for value, step in ((a, (h, 0.0)), (b, (0.0, h))):
        high, low = (
            FUNCTIONS[name](Value(at[0] + s * step[0]), Value(at[1] + s * step[1])).data
            for s in (1, -1)
        )
        assert value.grad == pytest.approx((high - low) / (2 * h), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda: Value(0.0).log(), -math.inf),
        (lambda: Value(-1.0).log(), math.nan),
        (lambda: Value(1000.0).exp(), math.inf),
        (lambda: Value(-1000.0).sigmoid(), 0.0),
        (lambda: Value(1000.0).sigmoid(), 1.0),
        (lambda: Value(1.0) / 0.0, math.inf),
        (lambda: Value(0.0) / 0.0, math.nan),
        (lambda: Value(0.0) ** -1, math.inf),
        (lambda: Value(-8.0) ** (1 / 3), math.nan),
        (lambda: Value(10.0) ** 400, math.inf),
        (lambda: Value(math.nan).relu(), math.nan),
    ],
)
def test_out_of_range_is_infinite_or_nan(compute: Callable[[], Value], expected: float) -> None:
    assert compute().data == pytest.approx(expected, nan_ok=True)


def test_an_infinite_slope_elsewhere_brings_no_nan() -> None:
    x = Value(0.0)
    x.log()  # of no consequence to y
    y = x * 3
    y.backward()
    assert x.grad == 3.0


def test_a_constant_power_of_a_negative_number_has_a_gradient() -> None:
    x = Value(-3.0)
    (x**2).backward()
    assert x.grad == -6.0


def test_backward_twice_doubles_leaves_and_renews_the_rest() -> None:
    x = Value(3.0)
    h = x * x
    y = h * 2
    y.backward()
    y.backward()
    assert (x.grad, h.grad, y.grad) == (24.0, 2.0, 1.0)


def test_a_value_of_one_sweep_serves_in_the_next() -> None:
    x = Value(2.0)
    h = x * x
    h.backward()
    y = h * x + h
    y.backward()
    assert x.grad == 4.0 + (3 * 4.0 + 2 * 2.0)
    assert h.grad == 3.0


def test_older_segments_are_swept_through_once_all_gradients_are_there() -> None:
    x = Value(2.0)
    a = x * 3
    tape.Current.renew()
    b = a * a
    tape.Current.renew()
    c = b + a * b
    c.backward()
    assert x.grad == pytest.approx(3 * (2 * 6 + 3 * 36))


def test_a_leaf_that_changes_is_used_with_its_new_number() -> None:
    x = Value(2.0)
    a = x * 10
    x.data = 5.0
    b = x * x
    (a + b).backward()
    assert (a.data, b.data, x.grad) == (20.0, 25.0, 10.0 + 10.0)


def test_a_computed_value_that_changes_passes_its_gradient_on() -> None:
    x = Value(2.0)
    h = x * 3
    h.data = 100.0
    y = h * h
    y.backward()
    assert (y.data, x.grad, h.grad) == (10_000.0, 600.0, 200.0)


def test_data_and_gradient_can_be_set() -> None:
    x = Value(2)
    assert isinstance(x.data, float)
    x.grad = 1
    (x * 2).backward()
    assert x.grad == 3.0
    h = x * 2
    assert h.grad == 0.0
    h.backward()
    h.grad = 7
    assert h.grad == 7.0


def test_a_leaf_alone_is_its_own_derivative() -> None:
    x = Value(5.0)
    x.backward()
    assert x.grad == 1.0


def test_numpy_numbers_on_the_left() -> None:
    x = Value(3.0)
    y = np.float64(2.0) * x + np.float32(1.0)
    assert isinstance(y, Value)
    assert y.data == 7.0


def test_repr_is_micrograds() -> None:
    assert repr(Value(2)) == "Value(data=2.0, grad=0.0)"


@pytest.mark.parametrize("wrong", ["1", None, [1.0], np.ones(2), 1j])
def test_other_things_are_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Value(wrong)
    with pytest.raises((TypeError, ValueError)):
        Value(1.0) + wrong


def test_a_tensor_is_refused_with_the_way_to_go() -> None:
    with pytest.raises(TypeError, match=r"got a Tensor; minigrad\.scalar\.from_tensor"):
        Value(1.0) * mg.ones(1)


def test_a_million_nodes_are_swept_without_recursion() -> None:
    x = Value(1.0)
    y = x
    for _ in range(1_000_000):
        y = y * 1.000001
    y.backward()
    assert x.grad == pytest.approx(1.000001**1_000_000)


@pytest.fixture
def alive() -> Iterator[Callable[[], int]]:
    """Count the segments that were made since and still live."""
    made: list[weakref.ref[Any]] = []

    class Watched(tape.Segment):
        __slots__ = ("__weakref__",)

        def __init__(self) -> None:
            super().__init__()
            made.append(weakref.ref(self))

    was = tape.Segment
    tape.Segment = Watched  # type: ignore[misc]
    gc.disable()
    try:
        yield lambda: sum(ref() is not None for ref in made)
    finally:
        gc.enable()
        tape.Segment = was  # type: ignore[misc]


def test_segments_go_with_their_values(alive: Callable[[], int]) -> None:
    weights = [Value(0.5) for _ in range(3)]
    for _ in range(20):
        inputs = [Value(float(k)) for k in range(3)]
        loss = sum((w * x).tanh() for w, x in zip(weights, inputs, strict=True))
        loss.backward()
    assert alive() <= 2


def test_a_segment_ends_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad.scalar.value.LIMIT", 50)
    x = Value(1.0)
    y = x
    first = tape.Current.segment
    for _ in range(500):
        y = (y + x) * 0.5
    y.backward()
    assert tape.Current.segment.serial - first.serial > 10
    assert x.grad == pytest.approx(1.0)


# ---------------------------------------------------------------- on a Tape
def test_a_tape_lists_and_draws_scalar_ops_beside_tensor_ops() -> None:
    x, t = Value(2.0), mg.ones(2, requires_grad=True)
    with mg.Tape() as kept:
        h = x * x
        (t * 2).sum()
        h.backward()
        h.exp()
    assert [entry.op for entry in kept] == ["Mul", "Sum", "Mul", "Exp"]
    dot = kept.to_dot()
    assert dot.count("shape=box") == 4
    assert "op2 -> op3" in dot
    assert str(kept).count("float64") == 2


def test_after_a_tape_nothing_is_noted() -> None:
    with mg.Tape() as kept:
        Value(1.0) + 1
    Value(1.0) * 3
    assert [entry.op for entry in kept] == ["Add"]
    assert tape.Current.logs == []
