"""Several ranks train as one process does on the same global batches."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from tests.distributed.ranks import needs_mpi, run

pytestmark = needs_mpi


@functools.cache
def curves(size: int, again: int = 0) -> Any:
    return json.loads(run(size, "curve", "float64", "float32"))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_ranks_give_the_loss_curve_of_one_process(size: int) -> None:
    alone, ours = curves(0), curves(size)
    for dtype, most in (("float64", 1e-12), ("float32", 1e-6)):
        pairs = list(zip(alone[dtype]["losses"], ours[dtype]["losses"], strict=True))
        assert len(pairs) == 200
        assert pairs[-1][0] < 0.5 * pairs[0][0]  # it learns
        worst = max(abs(a - b) / abs(a) for a, b in pairs)
        assert worst <= most, f"{size} ranks, {dtype}: {worst}"


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_two_runs_have_the_same_bits(size: int) -> None:
    assert curves(size) == curves(size, again=1)
