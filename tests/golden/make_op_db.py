"""Write tests/golden/op_db.npz: calls of PyTorch's own samples of operations, and their outcomes.

Needs torch and expecttest; with names, only those operations are made anew.  An operation that we
do not have is left out; of each that we have up to 36 calls with few elements, floats of the
outcomes in float32.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tests.peers import files
from tests.peers.calls import Array, Call, Outcome, mapped
from tests.peers.op_db import calls_of, entries, fault, has, peer_outcome, spread, torch_library

HERE = Path(__file__).parent
CALLS = 30
REFUSED = 6
ELEMENTS = 300


def rounded(leaf: Any) -> Any:
    """Return an argument with few digits, where that changes little, so that files are small."""
    if not isinstance(leaf, Array) or leaf.data.dtype.kind != "f" or not leaf.data.size:
        return leaf
    a = leaf.data
    with np.errstate(all="ignore"):
        short = np.where(np.abs(a) < 64, np.round(a * 256) / 256, a).astype(a.dtype)
    short = np.where((short == 0) & (a != 0), a, short)
    if 0 in a.strides:
        return leaf
    made = files.laid_out(short, [s // a.itemsize for s in a.strides])
    return Array(made, leaf.grad)


def chosen(op: Any) -> list[tuple[Call, Outcome]]:
    """Return the calls of an operation for the file."""
    library = torch_library()
    right, refused = [], []
    for call, peer in calls_of(op, 40):
        if not has(call) or fault(call, peer):
            continue
        if peer.error:
            refused.append((call, peer))
        elif files.elements(call, peer) <= ELEMENTS:
            right.append(call)
    found = []
    for call in spread(right, CALLS):
        args, options = mapped([call.args, call.options], rounded)
        few = Call(call.name, args, options, call.way)
        peer = peer_outcome(library, few)
        if peer is None or peer.error or fault(few, peer):
            few, peer = call, peer_outcome(library, call)
        assert peer is not None
        found.append((few, peer))
    return found + spread(refused, REFUSED)


def held(call: Call, peer: Outcome) -> bool:
    """Say whether a file can hold a call."""
    try:
        files.Writer().tree([call.args, call.options, list(peer.leaves)])
    except TypeError:
        return False
    return True


def main() -> None:
    warnings.filterwarnings("ignore")
    np.seterr(all="ignore")
    path = HERE / "op_db.npz"
    pairs: files.Pairs = files.load(path) if path.exists() else {}
    try:
        for op in entries(sys.argv[1:]):
            name = f"{op.name}/{op.variant_test_name}".rstrip("/")
            pairs.pop(name, None)
            calls = chosen(op) if has(Call(op.name, [], {})) else []
            calls = [(call, emptied(peer)) for call, peer in calls if held(call, peer)]
            if calls:
                pairs[name] = calls
                print(f"{name}: {len(calls)}", flush=True)
    finally:  # a run that is cut short is not lost
        files.save(path, pairs)


def emptied(peer: Outcome) -> Outcome:
    """Return an outcome without the values of random results: only shapes and dtypes count."""
    if peer.random:
        peer.leaves = [np.zeros_like(x) if hasattr(x, "dtype") else x for x in peer.leaves]
        peer.gradients = [np.zeros_like(x) for x in peer.gradients]
    return peer


if __name__ == "__main__":
    main()
