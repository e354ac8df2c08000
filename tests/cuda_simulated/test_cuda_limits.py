"""What the CUDA kernels refuse, and rows that begin where no 128-bit access may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad_kernels.cuda.launch import MAX_ELEMENTS
from minigrad_kernels.cuda.targets import Simulator, upload
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.jit.address_table import SIZE, STATE
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated import cuda_kernels
from tests.cuda_simulated.extras import require_greenlet

require_greenlet()


@pytest.mark.parametrize("name", ["adam_step", "grad_norm", "grad_clamp"])
def test_tables_beyond_32_bits_are_refused(name: str) -> None:
    table = np.zeros((2, STATE + 2), np.int64)
    table[1, SIZE] = MAX_ELEMENTS + 1
    like = Simulator().empty(0, np.float32)
    steps = np.zeros(2, np.int64)
    args: dict[str, tuple[Any, ...]] = {
        "adam_step": (table, np.zeros((1, 10)), like, steps),
        "grad_norm": (table, 2.0, like, like),
        "grad_clamp": (table, 1.0, like),
    }
    with pytest.raises(ValueError, match=r"at most 2147483647 elements in all, these have 214748"):
        CUDA_KERNELS[name](*args[name])
    assert not steps.any()


@pytest.mark.parametrize("odd", ["x", "y"])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_rows_at_odd_addresses(name: str, odd: str) -> None:
    target = Simulator(seed=3)
    host = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    out = np.full(5 if name == "logsumexp" else host.shape, np.nan, np.float32)
    first = int(odd == "x")
    x = upload(target, np.append(host[0, :first], host))[first:].reshape(host.shape)
    first = int(odd == "y")
    y = target.empty(out.size + first, out.dtype)[first:].reshape(out.shape)
    CUDA_KERNELS[name](x, y)
    want = cuda_kernels.expected(name, KERNELS[name], (host, out))
    cuda_kernels.agree(name, [target.read(y)], want, name, host.dtype)
