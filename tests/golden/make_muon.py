"""Write muon.json: the parameters after each step of PyTorch's Muon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.optim.muon_cases import CASES, run


def compute(key: str) -> list[Any]:
    """Return PyTorch's answers to a case."""
    return run(
        torch,
        key,
        lambda x: torch.tensor(x, requires_grad=True),
        lambda p: p.detach().numpy(),
    )


def main() -> None:
    """Write the file."""
    found = {key: compute(key) for key in CASES}
    Path(__file__).with_name("muon.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
