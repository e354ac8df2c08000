"""Sums in two levels: many tasks to a block, many blocks to a sum, as only large arrays have them.

The sizes at which the second level begins are made small here.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from minigrad_kernels.cuda.targets import Simulator
from minigrad_kernels.cuda_table import CUDA_KERNELS
from minigrad_kernels.table import KERNELS
from tests.cuda_simulated import cuda_kernels
from tests.cuda_simulated.extras import require_greenlet
from tests.cuda_simulated.samples import cross_entropy, layer_norm, optimizers

require_greenlet()

F32 = np.dtype(np.float32)
GRIDS: tuple[dict[str, Any], ...] = ({"seed": 1, "most": 1}, {"seed": 7, "processors": 1})
# Kernel, samples of which some are run, and what its file's constants are made.
CASES = (
    ("cross_entropy_forward", cross_entropy.forward, {"TASKS": 3}, slice(0, 5, 4)),
    ("layer_norm_backward", layer_norm.backward, {"TASKS": 2, "CHUNK": 3}, slice(0, 5, 4)),
    ("layer_norm_backward", layer_norm.backward, {"ROOM": 64}, slice(0, 5, 4)),
    ("grad_norm", optimizers.SAMPLES["grad_norm"], {"PARTS": 1}, slice(0, 2)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{'-'.join(case[2])}")
def test_many_tasks(case: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    name, drawn, constants, some = case
    kernel, cuda_kernel = KERNELS[name], CUDA_KERNELS[name]
    module = importlib.import_module(getattr(cuda_kernel, "__wrapped__", cuda_kernel).__module__)
    for constant, value in constants.items():
        monkeypatch.setattr(module, constant, value)
    for args in drawn(np.random.default_rng(0), F32)[some]:
        first, second = (
            cuda_kernels.run(name, cuda_kernel, kernel, args, Simulator(**grid)) for grid in GRIDS
        )
        for a, b in zip(first, second, strict=True):
            assert a.tobytes() == b.tobytes(), f"{name}: other bits in another grid"
        cuda_kernels.agree(name, first, cuda_kernels.expected(name, kernel, args), name, F32)


def test_many_counts_of_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad_kernels.reduce.cuda_cumsum.TILE", 128)
    rng = np.random.default_rng(0)
    dy, indices = rng.normal(size=(1_100, 1)).astype(F32), rng.integers(0, 5, 1_100)
    args = dy, indices, np.full((5, 1), np.nan, F32)  # 9 tiles of keys, 2 of 144 counts
    name, launched = "scatter_add_rows", []
    for grid in GRIDS:
        target = Simulator(**grid)
        run = target.run
        monkeypatch.setattr(
            target,
            "run",
            lambda kernel, *rest, run=run: (
                launched.append(kernel.py_func.__name__),
                run(kernel, *rest),
            ),
        )
        got = cuda_kernels.run(name, CUDA_KERNELS[name], KERNELS[name], args, target)
        cuda_kernels.agree(name, got, cuda_kernels.expected(name, KERNELS[name], args), name, F32)
    assert launched.count("tile_sums") == 2 and launched.count("tile_scans") == 4
