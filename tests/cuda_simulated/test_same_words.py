"""Random draws on a device are the CPU's: words and uniforms to the bit, masks to the element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.cuda.targets import Simulator
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated import cuda_kernels
from tests.cuda_simulated.extras import require_greenlet
from tests.kernels import test_table

require_greenlet()


def both(name: str, args: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """Return what the CUDA kernel and what the CPU's kernel write."""
    kernel = KERNELS[name]
    mine, outs = test_table.fresh(kernel, args, np.nan)
    kernel.cpu(*mine)
    return cuda_kernels.run(name, CUDA_KERNELS[name], kernel, args, Simulator(seed=3)), outs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["uniform", "random_bits"])
def test_draws_have_the_bits_of_the_cpu(name: str, dtype: str) -> None:
    for args in cuda_kernels.samples(name, np.dtype(dtype)):
        (got,), (want,) = both(name, args)
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_after_batch_norm_keeps_what_the_cpu_keeps(dtype: str) -> None:
    for args in cuda_kernels.samples("batch_norm_dropout_forward", np.dtype(dtype)):
        got, want = both("batch_norm_dropout_forward", (*args[:4], 0, *args[5:]))  # no relu
        np.testing.assert_array_equal(got[-1] == 0, want[-1] == 0)
