"""RMSprop, Adagrad, NAdam and RAdam against their references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.optim.adaptive import KERNELS
from tests.kernels.samples.adaptive import CASES
from tests.kernels.tables import check_steps


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(KERNELS))
def test_five_steps_match_the_reference(name: str, dtype: Any) -> None:
    hyper, states, scalar = CASES[name]
    check_steps(KERNELS[name], hyper, states, dtype, scalar)
