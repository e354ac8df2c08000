"""Write copies.json, what PyTorch makes of tests/engine/copy_programs.py: `python
tests/golden/make_copies.py`.
"""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from tests.engine.copy_programs import COPIERS, SUBJECTS, seen

PATH = Path(__file__).with_name("copies.json")
TORCH = SimpleNamespace(
    tensor=torch.tensor,
    ones=torch.ones,
    arange=torch.arange,
    float64=torch.float64,
    float32=torch.float32,
    int32=torch.int32,
    no_grad=torch.no_grad,
    Parameter=torch.nn.Parameter,
)


def expected(subject: str, copier: str) -> Any:
    """Return what PyTorch does, or what it does in `deepcopy` where its pickle gives up sharing."""
    if copier.startswith("pickle") and ("views" in subject or subject == "detached"):
        return seen(TORCH, subject, "deepcopy")
    return seen(TORCH, subject, copier)


def main() -> None:
    """Copy everything in every way with PyTorch and save what is seen."""
    warnings.simplefilter("ignore")
    found = {
        f"{subject}, {copier}": expected(subject, copier)
        for subject, copier in itertools.product(SUBJECTS, COPIERS)
    }
    PATH.write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{len(found)} copies by torch {torch.__version__} in {PATH.name}")


if __name__ == "__main__":
    main()
