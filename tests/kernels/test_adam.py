"""Adam's kernels against their reference, and what a sample cannot show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.optim.adam import KERNELS
from tests.kernels.samples.adam import HYPER
from tests.kernels.tables import Tensors, check_steps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "states"), [("adam_step", 2), ("amsgrad_step", 3)])
def test_five_steps_match_the_reference(name: str, states: int, dtype: Any) -> None:
    check_steps(KERNELS[name], HYPER, states, dtype)


def test_first_step_by_hand() -> None:
    # At t = 1 the corrected moments are g and g^2: the step is lr * sign(g), whatever its size.
    t = Tensors(np.random.default_rng(0), np.float64, [3], 2)
    t.rows[0][0][...] = [1.0, 1.0, 1.0]
    t.rows[0][1][...] = [2.0, -1e-3, 0.0]
    hyper = np.array([[0.1, 0.9, 0.999, 1e-12, 0.0, 0.0, 0.0]])
    KERNELS["adam_step"].cpu(t.table, hyper, t.like, t.steps)
    np.testing.assert_allclose(t.rows[0][0], [0.9, 1.1, 1.0], rtol=1e-8)


def test_decoupled_decay_comes_before_the_step() -> None:
    t = Tensors(np.random.default_rng(0), np.float64, [2], 2)
    t.rows[0][0][...] = [2.0, -2.0]
    t.rows[0][1][...] = 0.0
    hyper = np.array([[0.1, 0.9, 0.999, 1e-8, 0.5, 1.0, 0.0]])
    KERNELS["adam_step"].cpu(t.table, hyper, t.like, t.steps)
    np.testing.assert_allclose(t.rows[0][0], [1.9, -1.9], rtol=1e-15)


def test_nan_and_infinity_stay_in_their_element() -> None:
    t = Tensors(np.random.default_rng(0), np.float32, [40], 2)
    t.rows[0][1][[3, 17]] = [np.nan, np.inf]
    hyper = np.array([[0.1, 0.9, 0.999, 1e-8, 0.0, 0.0, 0.0]])
    with np.errstate(all="ignore"):
        KERNELS["adam_step"].cpu(t.table, hyper, t.like, t.steps)
    assert np.flatnonzero(~np.isfinite(t.rows[0][0])).tolist() == [3, 17]


def test_a_table_of_no_tensors_does_nothing() -> None:
    t = Tensors(np.random.default_rng(0), np.float32, [], 2)
    KERNELS["adam_step"].cpu(t.table, np.array(HYPER), t.like, t.steps)


def test_cost_counts_state_twice() -> None:
    t = Tensors(np.random.default_rng(0), np.float32, [10, 20], 2)
    flops, traffic = KERNELS["adam_step"].cost(t.table, np.array(HYPER), t.like, t.steps)
    assert flops == 14 * 30
    assert traffic == 7 * 30 * 4
