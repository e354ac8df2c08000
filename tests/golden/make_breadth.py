"""Write breadth.json.gz, PyTorch's values and gradients of tests/ops/breadth_cases.py: `python -m
tests.golden.make_breadth`.
"""

from __future__ import annotations

import warnings

import torch

from tests.ops.breadth_cases import CASES, evaluate, write_recorded


def main() -> None:
    """Evaluate every call in float64 and write the arrays."""
    warnings.simplefilter("ignore")
    found = {}
    for name, calls in CASES.items():
        for k in range(len(calls)):
            for part, value in evaluate(torch, torch.nn.functional, name, k).items():
                found[f"{name}/{k}/{part}"] = value
    write_recorded(found)
    print(f"{len(found)} arrays of {len(CASES)} functions by torch {torch.__version__}")


if __name__ == "__main__":
    main()
