"""Write lbfgs.json: losses and parameters of PyTorch's L-BFGS after each step."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.optim.lbfgs_cases import CASES, run


def compute(key: str) -> list[list[float]]:
    """Return PyTorch's answers to a case."""
    return run(torch, key, lambda x: torch.tensor(x, requires_grad=True))


def main() -> None:
    """Write the file."""
    found = {key: compute(key) for key in CASES}
    Path(__file__).with_name("lbfgs.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
