"""Every CUDA kernel under the simulator: right, the same bits in any grid and order, no fault."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.cuda.targets import Simulator
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.kernel import EXACT
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated import cuda_kernels
from tests.cuda_simulated.extras import require_greenlet
from tests.kernels import test_table

require_greenlet()

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
# Grids: one block; many; what a small device would take.  Seeds draw other orders of the threads.
GRIDS: tuple[dict[str, Any], ...] = ({"seed": 1, "most": 1}, {"seed": 50, "processors": 1})


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CUDA_KERNELS)
def test_cuda_kernel(name: str, dtype: np.dtype[Any]) -> None:
    kernel = KERNELS[name]
    found = cuda_kernels.samples(name, dtype)
    assert found, f"no sample of {name} is small enough: add some to tests/cuda_simulated/samples"
    for args in found:
        message = f"{name}({test_table.shown(args)})"
        first, *others = [
            cuda_kernels.run(name, CUDA_KERNELS[name], kernel, args, Simulator(**grid))
            for grid in GRIDS
        ]
        for other in others:
            for a, b in zip(first, other, strict=True):
                assert a.tobytes() == b.tobytes(), f"{message}: other bits in another grid"
        cuda_kernels.agree(name, first, cuda_kernels.expected(name, kernel, args), message, dtype)
        if kernel.rounding == EXACT:
            mine, cpu = test_table.fresh(kernel, args, np.nan)
            test_table.run(kernel.cpu, mine, 1)
            for a, b in zip(first, cpu, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"{message}: the CPU has other bits")
