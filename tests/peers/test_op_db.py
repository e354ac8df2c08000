"""PyTorch's own samples of its operations: values, gradients, dtypes and refusals, from a file, and
live where PyTorch is installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad_kernels.jit import plain
from tests.peers import files, op_db

PAIRS = files.load(Path(__file__).parent.parent / "golden" / "op_db.npz")
LIVE = all(importlib.util.find_spec(name) for name in ("torch", "expecttest"))
IN_FLOAT32 = (1e-6, 1e-7)  # the file's digits
OVERFLOWING = {"i0", "special.i0e"}
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", PAIRS)
def test_the_calls_of_the_file(name: str) -> None:
    if plain.ON and name in OVERFLOWING:
        pytest.skip("NumPy's reference overflows to infinity where PyTorch has NaN")
    with np.errstate(all="ignore"):
        faults = [
            f"{op_db.describe(call)}: {what}"
            for call, peer in PAIRS[name]
            if (what := op_db.fault(call, peer, IN_FLOAT32))
        ]
    assert not faults, "\n".join(faults)


def test_the_file_has_what_it_is_said_to_have() -> None:
    assert len(PAIRS) >= 100
    calls = [call for pairs in PAIRS.values() for call, _ in pairs]
    assert sum(not a.data.flags.c_contiguous for c in calls for a in tensors(c)) > 500
    assert sum(a.data.size == 0 for c in calls for a in tensors(c)) > 50
    assert sum(bool(peer.error) for pairs in PAIRS.values() for _, peer in pairs) > 50


def tensors(call: op_db.Call) -> list[op_db.Array]:
    leaves = op_db.leaves_of([call.args, call.options])
    return [x for x in leaves if isinstance(x, op_db.Array)]


def test_a_wrong_answer_is_found() -> None:
    call, peer = next(pair for pair in PAIRS["exp"] if pair[1].gradients)
    assert op_db.fault(call, peer, IN_FLOAT32) == ""
    peer = op_db.Outcome(leaves=peer.leaves, tracked=peer.tracked, gradients=[peer.leaves[0] * 2])
    assert "gradient 0: off by" in op_db.fault(call, peer, IN_FLOAT32)


# What a Python number may come as.
IN_NUMPY = {
    bool: (np.bool_,),
    int: (np.int64, np.int32),
    float: (np.float64,),
}


def in_numpy(call: op_db.Call) -> Iterator[op_db.Call]:
    """Yield a call with its numbers as NumPy's, in each of their types."""
    for which in range(2):
        seen = False

        def leaf(x: Any, which: int = which) -> Any:
            nonlocal seen
            forms = IN_NUMPY.get(type(x), ())
            if which >= len(forms) or (which and abs(x) >= 2**31):
                return x
            seen = True
            return forms[which](x)

        args, options = op_db.mapped([call.args[1:], call.options], leaf)
        if seen:
            yield op_db.Call(call.name, [*call.args[:1], *args], options, call.way)


@pytest.mark.parametrize("name", PAIRS)
def test_numbers_of_numpy(name: str) -> None:
    chosen = [pair for pair in PAIRS[name] if not pair[1].error]
    with np.errstate(all="ignore"):
        faults = [
            f"{op_db.describe(varied)}: {what}"
            for call, peer in op_db.spread(chosen, 8)
            for varied in in_numpy(call)
            if (what := op_db.fault(varied, peer, IN_FLOAT32))
        ]
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.skipif(not LIVE, reason="needs torch and expecttest")
@pytest.mark.parametrize("name", PAIRS)
def test_live(name: str) -> None:
    import torch  # noqa: PLC0415

    if plain.ON and name in OVERFLOWING:
        pytest.skip("NumPy's reference overflows to infinity where PyTorch has NaN")
    torch.set_num_threads(1)
    found = [
        f"{op_db.describe(call)}: {what}"
        for op in op_db.entries([name.partition("/")[0]])
        if f"{op.name}/{op.variant_test_name}".rstrip("/") == name
        for call, peer in op_db.calls_of(op, 12)
        if op_db.has(call) and (what := op_db.fault(call, peer))
    ]
    assert not found, "\n".join(found)
