"""Write empty.npz, PyTorch's answers to tests/ops/empty_cases.py as JSON in bytes: `python
tests/golden/make_empty.py`.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import torch

from tests.ops.empty_cases import FUNCTIONS, SHAPES, evaluate

PATH = Path(__file__).with_name("empty.npz")


def main() -> None:
    """Evaluate every function over every shape."""
    warnings.simplefilter("ignore")
    F = torch.nn.functional
    found = {name: [evaluate(torch, F, name, s) for s in SHAPES] for name in FUNCTIONS}
    np.savez_compressed(PATH, answers=np.frombuffer(json.dumps(found).encode(), np.uint8))
    print(f"{len(found)} functions by torch {torch.__version__}")


if __name__ == "__main__":
    main()
