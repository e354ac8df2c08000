"""The NaN locator: kinds of numerical faults as small programs, each named at the op that made it.

The kinds are those of public collections of numerical bugs: log of 0, exponentials that overflow,
divisions by 0, roots at 0, softmax and losses written out by hand, 0 * inf, inf - inf.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg

Program = Callable[[], object]
FAULTS: dict[str, tuple[str, Program]] = {}


def fault(name: str) -> Callable[[Program], Program]:
    """Enter a program with the op that makes what is not finite."""

    def enter(program: Program) -> Program:
        FAULTS[program.__name__] = name, program
        return program

    return enter


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), requires_grad=True)


@fault("Log")
def cross_entropy_by_hand() -> object:
    p = leaf(0.0, 1.0)
    return -(mg.tensor([0.0, 1.0]) * p.log()).sum()  # line of 0 * -inf


@fault("Log")
def cross_entropy_of_a_certain_mistake() -> object:
    return (-(mg.tensor([1.0, 0.0]) * leaf(0.0, 1.0).log())[0]).backward()


@fault("Log")
def binary_cross_entropy_by_hand() -> object:
    p = leaf(1.0, 0.3)
    y = mg.tensor([1.0, 0.0])
    return (y * p.log() + (1 - y) * (1 - p).log()).mean()


@fault("Log")
def entropy() -> object:
    p = leaf(0.5, 0.5, 0.0)
    return (p * p.log()).sum()


@fault("Log")
def log_of_a_negative() -> object:
    return leaf(-1.0, 2.0).log()


@fault("Log")
def log_of_relu() -> object:
    return leaf(-1.0, 2.0).relu().log().mean().backward()


@fault("Log")
def log_after_a_softmax() -> object:
    return leaf(0.0, 200.0).softmax(0).log().sum().backward()


@fault("Log")
def log_of_a_sigmoid() -> object:
    return leaf(-200.0).sigmoid().log().sum().backward()


@fault("Exp")
def softmax_by_hand() -> object:
    e = leaf(1.0, 1000.0).exp()
    return e / e.sum()


@fault("Exp")
def logsumexp_by_hand() -> object:
    return leaf(1.0, 1000.0).exp().sum().log().backward()


@fault("Exp")
def sigmoid_by_hand() -> object:
    x = leaf(-1000.0)
    return (x.exp() / (1 + x.exp()) + (-x).exp() * 0).sum()


@fault("Exp")
def softplus_by_hand() -> object:
    return (1 + leaf(200.0).exp()).log().sum().backward()


@fault("Exp")
def poisson_loss() -> object:
    rate = leaf(100.0, 1.0)
    return (rate.exp() - mg.tensor([3.0, 1.0]) * rate).mean().backward()


@fault("Exp")
def variance_of_a_vae() -> object:
    log_var = leaf(0.0, 180.0)
    return (-0.5 * (1 + log_var - log_var.exp()).sum()).backward()


@fault("Exp")
def tanh_by_hand() -> object:
    x = leaf(100.0)
    a, b = x.exp(), (-x).exp()
    return (a - b) / (a + b)


@fault("Div")
def division_by_zero() -> object:
    return (leaf(1.0, 2.0) / mg.tensor([0.0, 1.0])).sum().backward()


@fault("Div")
def nothing_by_nothing() -> object:
    return leaf(0.0, 1.0) / mg.tensor([0.0, 1.0])


@fault("Div")
def mean_over_an_empty_mask() -> object:
    mask = mg.zeros(3)
    return (leaf(1.0, 2.0, 3.0) * mask).sum() / mask.sum()


@fault("Div")
def cosine_of_a_zero_vector() -> object:
    a, b = leaf(0.0, 0.0), mg.tensor([1.0, 2.0])
    return (a * b).sum() / (a.norm() * b.norm())


@fault("Div")
def normalised_constant_column() -> object:
    x = leaf(3.0, 3.0, 3.0)
    return (x - x.mean()) / x.std()


@fault("Div")
def f1_score() -> object:
    hits, wrong = leaf(0.0), mg.zeros(1)
    return 2 * hits / (2 * hits + wrong)


@fault("Sqrt")
def distance_to_itself() -> object:
    a = leaf(1.0, 2.0)
    return ((a - mg.tensor([1.0, 2.0])) ** 2).sum().sqrt().backward()


@fault("Sqrt")
def root_of_a_negative() -> object:
    return leaf(-1e-7, 1.0).sqrt()


@fault("Sqrt")
def root_of_a_clamped_variance() -> object:
    return (leaf(-1.0, 1.0).clamp(min=0)).sqrt().sum().backward()


@fault("Sqrt")
def a_root_in_the_branch_not_taken() -> object:
    x = leaf(0.0, 4.0)
    return mg.where(x > 0, x.sqrt(), x).sum().backward()


@fault("Pow")
def negative_power_of_zero() -> object:
    return (leaf(0.0, 1.0) ** -1.0).sum().backward()


@fault("Sqrt")
def root_as_a_power() -> object:
    return (leaf(0.0, 1.0) ** 0.5).sum().backward()


@fault("Pow")
def power_of_a_negative() -> object:
    return leaf(-2.0, 1.0) ** 0.3


@fault("Mul")
def growth_without_bound() -> object:
    w = leaf(10.0)
    x = mg.ones(1)
    for _ in range(60):
        x = x * w
    return x.backward()


@fault("Square")
def square_that_overflows() -> object:
    return leaf(1e30).square().sum().backward()


@fault("Exp")
def infinity_less_infinity() -> object:
    x = leaf(100.0)
    return x.exp() - x.exp()


@pytest.mark.parametrize("name", FAULTS)
def test_the_op_that_made_it_is_named_first(name: str) -> None:
    op, program = FAULTS[name]
    with pytest.raises(RuntimeError) as caught, mg.detect_anomaly():
        program()
    text = str(caught.value)
    first = program.__code__.co_firstlineno
    last = max(line for _, _, line in program.__code__.co_lines() if line)
    lines = [f"{__file__}:{n}" for n in range(first, last + 1)]
    names = [word for word in text.replace("(", " ").replace(";", " ").split() if word == op]
    assert names, text
    assert any(line in text for line in lines), text
    blamed = text.partition(" made ")[0].rpartition(" (recorded")[0].rpartition(" ")[2]
    assert op in (blamed or text.split()[4]), text


def test_what_is_masked_is_no_fault() -> None:
    """Infinities that never come out: a mask of -inf, a log of 0 that is clamped."""
    x = leaf(1.0, 2.0, 3.0)
    mask = mg.tensor([True, False, False])
    with mg.detect_anomaly(), warnings.catch_warnings():
        warnings.simplefilter("error")
        y = mg.where(mask, float("-inf"), x).softmax(0)
        (y * y).sum().backward()
        z = mg.tensor([0.0, 1.0]).log().clamp(min=-100.0)
        (z.sum() * x.sum()).backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_what_comes_from_outside_is_said() -> None:
    w = leaf(1.0, float("nan"))
    with pytest.raises(RuntimeError, match="(?s)is NaN.*came from outside"), mg.detect_anomaly():
        (w * w * mg.ones(2)).sum().backward()


def test_a_last_value_that_is_infinite_is_warned_of() -> None:
    with pytest.warns(RuntimeWarning, match="holds -inf: Log"), mg.detect_anomaly():
        leaf(0.0, 1.0).log()


def test_ops_that_are_not_recorded_are_seen() -> None:
    named = r"Log \(recorded at .*test_locator.*\) made NaN"
    with pytest.raises(RuntimeError, match=named), mg.detect_anomaly():
        mg.tensor([-1.0]).log()


def test_a_repro_is_saved(tmp_path: Path) -> None:
    at = tmp_path / "nan"
    with pytest.raises(RuntimeError, match="a repro is in"), mg.detect_anomaly(save=at):
        leaf(-1.0, 2.0).log()
    with pytest.raises(RuntimeError, match="Log .* made NaN"):
        exec(compile((tmp_path / "nan.py").read_text(), "nan.py", "exec"), {})


def test_a_tape_outside_hears_of_all() -> None:
    with mg.Tape() as tape, mg.detect_anomaly():
        leaf(1.0, 2.0).log().sum()
    assert [entry.op for entry in tape] == ["Log", "Sum"]
