"""SGD's kernels against their reference, and what a sample cannot show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.optim.sgd import KERNELS
from tests.kernels.samples.sgd import HYPER
from tests.kernels.tables import Tensors, check_steps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "states"), [("sgd_step", 0), ("sgd_momentum_step", 1)])
def test_five_steps_match_the_reference(name: str, states: int, dtype: Any) -> None:
    check_steps(KERNELS[name], HYPER, states, dtype)


def test_first_velocity_is_the_undamped_gradient() -> None:
    t = Tensors(np.random.default_rng(0), np.float64, [1], 1)
    p, g, b = t.rows[0]
    p[0], g[0] = 1.0, 2.0
    hyper = np.array([[0.1, 0.5, 0.75, 0.0, 0.0, 0.0]])
    KERNELS["sgd_momentum_step"].cpu(t.table, hyper, t.like, t.steps)
    assert (p[0], b[0]) == (0.8, 2.0)
    KERNELS["sgd_momentum_step"].cpu(t.table, hyper, t.like, t.steps)
    assert b[0] == 0.5 * 2.0 + 0.25 * 2.0
