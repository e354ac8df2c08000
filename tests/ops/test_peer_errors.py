"""No op rounds worse than PyTorch's, forward or backward: committed errors of its, same inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from benchmarks.families import Family
from tests.ops.peer_errors import cases, errors, inputs, results

PEER = json.loads((Path(__file__).parent.parent / "golden" / "peer_errors.json").read_text())
# Below the root mean square of one unit in the last place, more or less is a matter of chance.
UNIT = float(np.finfo(np.float32).eps)
SLACK = 1.15
# Where PyTorch is better, and by what factor at most: sums about the first of 64 rows.
WORSE = {"batch_norm 64x64": 1.8}


CASES = [pytest.param(*case, id=case[0].replace(" ", "_")) for case in cases()]


@pytest.mark.parametrize(("name", "family", "size"), CASES)
def test_no_worse_than_torch(name: str, family: Family, size: tuple[int, ...]) -> None:
    drawn = inputs(name, family, size)
    exact = results(mg, family, drawn, np.float64)
    ours = errors(results(mg, family, drawn, np.float32), exact)
    for error, peer in zip(ours, PEER[name], strict=True):
        assert error <= max(WORSE.get(name, SLACK) * peer, UNIT), f"torch {PEER[name]}, ours {ours}"
