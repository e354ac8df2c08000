"""Write ops.npz, PyTorch's values and gradients of tests/ops/golden_cases.py: `python
tests/golden/make_ops.py`.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from tests.ops.golden_cases import CASES, evaluate

PATH = Path(__file__).with_name("ops.npz")


def main() -> None:
    """Evaluate every case in float64 and save the arrays."""
    warnings.simplefilter("ignore")  # std of one element warns; its NaN is the answer
    found = {}
    for name in CASES:
        for part, value in evaluate(torch, torch.nn.functional, name).items():
            found[f"{name}/{part}"] = value
    np.savez_compressed(PATH, **found)
    print(f"{len(found)} arrays of {len(CASES)} cases by torch {torch.__version__} in {PATH.name}")


if __name__ == "__main__":
    main()
