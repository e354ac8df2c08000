"""The steps of all optimizers against their references, and what a sample cannot show."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from minigrad_kernels.optim.adam import H
from minigrad_kernels.optim.multi_tensor import case, step
from tests.kernels.samples.steps import STEPS
from tests.kernels.tables import Tensors, check_steps

ADAM, SGD = STEPS["adam_step"], STEPS["sgd_momentum_step"]


def hyper(row: Any, **values: float) -> Any:
    return dataclasses.replace(row, cases=(values,)).hyper()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", STEPS)
def test_five_steps_match_the_reference(name: str, dtype: Any) -> None:
    check_steps(STEPS[name], dtype)


@pytest.mark.parametrize("name", STEPS)
def test_the_cases_use_every_number(name: str) -> None:
    row = STEPS[name]
    of_family = [other for other in STEPS.values() if other.numbers is row.numbers]
    used = {key for other in of_family for given in other.cases for key in given if given[key]}
    assert used == set(row.numbers)


def test_a_case_of_an_unknown_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lion: cases of \['alpha'\], expected numbers of \('lr'"):
        step("lion", ADAM.reference, ADAM.prepare, ADAM.update, H, (case(alpha=1.0),), flops=1)


# ---------------------------------------------------------------- Adam
def test_first_step_by_hand() -> None:
    # At t = 1 the corrected moments are g and g^2: the step is lr * sign(g), whatever its size.
    t = Tensors(np.random.default_rng(0), np.float64, [3], 2)
    t.rows[0][0][...] = [1.0, 1.0, 1.0]
    t.rows[0][1][...] = [2.0, -1e-3, 0.0]
    ADAM.cpu(t.table, hyper(ADAM, lr=0.1, beta1=0.9, beta2=0.999, eps=1e-12), t.like, t.steps)
    np.testing.assert_allclose(t.rows[0][0], [0.9, 1.1, 1.0], rtol=1e-8)


def test_decoupled_decay_comes_before_the_step() -> None:
    t = Tensors(np.random.default_rng(0), np.float64, [2], 2)
    t.rows[0][0][...] = [2.0, -2.0]
    t.rows[0][1][...] = 0.0
    decay = {"weight_decay": 0.5, "decoupled_weight_decay": 1.0}
    numbers = hyper(ADAM, lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8, **decay)
    ADAM.cpu(t.table, numbers, t.like, t.steps)
    np.testing.assert_allclose(t.rows[0][0], [1.9, -1.9], rtol=1e-15)


def test_nan_and_infinity_stay_in_their_element() -> None:
    t = Tensors(np.random.default_rng(0), np.float32, [40], 2)
    t.rows[0][1][[3, 17]] = [np.nan, np.inf]
    numbers = hyper(ADAM, lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8)
    with np.errstate(all="ignore"):
        ADAM.cpu(t.table, numbers, t.like, t.steps)
    assert np.flatnonzero(~np.isfinite(t.rows[0][0])).tolist() == [3, 17]


def test_a_table_of_no_tensors_does_nothing() -> None:
    t = Tensors(np.random.default_rng(0), np.float32, [], 2)
    ADAM.cpu(t.table, ADAM.hyper(), t.like, t.steps)


def test_cost_counts_state_twice() -> None:
    t = Tensors(np.random.default_rng(0), np.float32, [10, 20], 2)
    flops, traffic = ADAM.cost(t.table, ADAM.hyper(), t.like, t.steps)
    assert flops == 14 * 30
    assert traffic == 7 * 30 * 4


# ---------------------------------------------------------------- SGD
def test_first_velocity_is_the_undamped_gradient() -> None:
    t = Tensors(np.random.default_rng(0), np.float64, [1], 1)
    p, g, b = t.rows[0]
    p[0], g[0] = 1.0, 2.0
    numbers = hyper(SGD, lr=0.1, momentum=0.5, dampening=0.75)
    SGD.cpu(t.table, numbers, t.like, t.steps)
    assert (p[0], b[0]) == (0.8, 2.0)
    SGD.cpu(t.table, numbers, t.like, t.steps)
    assert b[0] == 0.5 * 2.0 + 0.25 * 2.0
