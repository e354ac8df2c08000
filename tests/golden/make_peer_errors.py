"""Write peer_errors.json, PyTorch's rounding errors of tests/ops/peer_errors.py: `python
tests/golden/make_peer_errors.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

import minigrad as mg
from tests.ops.peer_errors import cases, errors, inputs, results

PATH = Path(__file__).with_name("peer_errors.json")


def main() -> None:
    """Compare float32 on PyTorch with float64, op by op, and save the errors."""
    torch.set_num_threads(1)
    found = {}
    for name, family, size in cases():
        drawn = inputs(name, family, size)
        exact = results(mg, family, drawn, np.float64)
        theirs = errors(results(torch, family, drawn, np.float32), exact)
        found[name] = [float(f"{error:.3g}") for error in theirs]
    PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{len(found)} ops by torch {torch.__version__} in {PATH.name}")


if __name__ == "__main__":
    main()
